/// A dictionary that keeps the order in which keys came, as templates expect of JSON objects.
///
/// Finding is a search through a handful of keys and a hash table from there on. Removing takes O(n).
struct OrderedMap<Key: Hashable, Value> {
    private(set) var keys: [Key] = []
    private(set) var values: [Value] = []
    /// Positions by key, kept once there are more than `few` keys.
    private var positions: [Key: Int] = [:]

    private static var few: Int { 8 }

    init() {}

    var count: Int { keys.count }
    var isEmpty: Bool { keys.isEmpty }

    private func position(of key: Key) -> Int? {
        keys.count <= Self.few ? keys.firstIndex(of: key) : positions[key]
    }

    subscript(key: Key) -> Value? {
        get { position(of: key).map { values[$0] } }
        set {
            guard let newValue else {
                _ = remove(key)
                return
            }
            if let position = position(of: key) {
                values[position] = newValue
                return
            }
            keys.append(key)
            values.append(newValue)
            if keys.count == Self.few + 1 {
                index()
            } else if keys.count > Self.few {
                positions[key] = keys.count - 1
            }
        }
    }

    mutating func remove(_ key: Key) -> Value? {
        guard let position = position(of: key) else { return nil }
        keys.remove(at: position)
        let value = values.remove(at: position)
        positions.removeAll()
        if keys.count > Self.few { index() }
        return value
    }

    private mutating func index() {
        for (position, key) in keys.enumerated() { positions[key] = position }
    }
}

extension OrderedMap: Sendable where Key: Sendable, Value: Sendable {}

/// A string that is equal only to the same code points. (Swift's own equality takes different spellings of a character
/// for the same; JSON and Python do not.)
struct ExactText: Hashable, Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: ExactText, right: ExactText) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
        hasher.combine(0xFF as UInt8)
    }
}
