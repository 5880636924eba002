/// The metadata of a file: keys in the file's order, each with its value.
public struct GGUFMetadata: Sendable {
    public struct Entry: Sendable {
        public let key: String
        public let value: GGUFValue
        /// Where in the file the key begins.
        public let byteOffset: Int
    }

    public private(set) var entries: [Entry] = []
    private var indices: [String: Int] = [:]

    /// False, and nothing is done, if the key is there already.
    mutating func append(_ entry: Entry) -> Bool {
        if indices.updateValue(entries.count, forKey: entry.key) != nil { return false }
        entries.append(entry)
        return true
    }

    public func entry(_ key: String) -> Entry? { indices[key].map { entries[$0] } }

    public subscript(key: String) -> GGUFValue? { entry(key)?.value }
}
