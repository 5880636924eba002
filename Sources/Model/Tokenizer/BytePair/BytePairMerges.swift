/// Which pairs of pieces join, in which order, and what they make: `tokenizer.ggml.merges`.
///
/// Pieces are known by numbers: tokens by their ids, and after them the texts that only merges name. So joining looks up pairs
/// of numbers and never compares texts.
struct BytePairMerges: Sendable {
    struct Merge: Sendable {
        /// Lower joins first.
        var rank: Int32
        var product: Int32
    }

    /// Texts that merges name and that are no tokens.
    private var others = TokenTable()
    private let tokenCount: Int
    /// Open addressing, linear probing, at most half full. A key is both pieces; no pair has this one.
    private var keys: [UInt64] = []
    private var merges: [Merge] = []
    private var count = 0
    private let seed = UInt64.random(in: .min ... .max) | 1

    private static let free = UInt64.max

    /// - Parameter lines: both pieces with a space between, in order of rank. A line without one is no merge.
    /// - Throws: ``VocabularyError/tooLarge``.
    init(_ lines: some Sequence<UnsafeRawBufferPointer>, lineCount: Int, _ vocabulary: Vocabulary) throws(VocabularyError) {
        tokenCount = vocabulary.count
        var size = 16
        while size < 2 * min(max(lineCount, 0), 1 << 20) { size *= 2 }
        keys = [UInt64](repeating: BytePairMerges.free, count: size)
        merges = [Merge](repeating: Merge(rank: 0, product: 0), count: size)
        var product: [UInt8] = []
        var rank: Int32 = 0
        for line in lines {
            defer { rank = rank == .max ? rank : rank + 1 }
            let bytes = line.assumingMemoryBound(to: UInt8.self)
            // The first piece may begin with a space itself.
            guard let space = bytes.dropFirst().firstIndex(of: 0x20) else { continue }
            let left = UnsafeBufferPointer(rebasing: bytes[..<space])
            let right = UnsafeBufferPointer(rebasing: bytes[(space + 1)...])
            guard !right.isEmpty else { continue }
            product.removeAll(keepingCapacity: true)
            product.append(contentsOf: left)
            product.append(contentsOf: right)
            let number = try piece(product, vocabulary)
            // Text does not become a control token by spelling it.
            if number < tokenCount, !vocabulary.attributes(of: number).isDisjoint(with: .structure) { continue }
            try insert(try piece(left, vocabulary), try piece(right, vocabulary), Merge(rank: rank, product: number))
        }
    }

    /// The number of a piece's text; nil for one that no merge and no token has.
    func piece(_ text: UnsafeBufferPointer<UInt8>, in vocabulary: Vocabulary) -> Int32? {
        vocabulary.tokens.find(text) ?? others.find(text).map { $0 + Int32(tokenCount) }
    }

    /// What two neighbours make, if they join.
    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> Merge? {
        let key = BytePairMerges.key(left, right)
        var slot = start(key)
        while true {
            if keys[slot] == key { return merges[slot] }
            if keys[slot] == BytePairMerges.free { return nil }
            slot = (slot + 1) & (keys.count - 1)
        }
    }

    // MARK: Filling

    private mutating func piece(_ text: [UInt8], _ vocabulary: Vocabulary) throws(VocabularyError) -> Int32 {
        let found = text.withUnsafeBufferPointer { piece($0, in: vocabulary) }
        if let found { return found }
        guard tokenCount + others.count < Int(Int32.max) else { throw .tooLarge }
        try others.append(text)
        return Int32(tokenCount + others.count - 1)
    }

    private mutating func piece(_ text: UnsafeBufferPointer<UInt8>, _ vocabulary: Vocabulary) throws(VocabularyError) -> Int32 {
        if let found = piece(text, in: vocabulary) { return found }
        return try piece(Array(text), vocabulary)
    }

    private mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) throws(VocabularyError) {
        if 2 * (count + 1) > keys.count { grow() }
        let key = BytePairMerges.key(left, right)
        var slot = start(key)
        while keys[slot] != BytePairMerges.free {
            // Of two alike the first counts.
            if keys[slot] == key { return }
            slot = (slot + 1) & (keys.count - 1)
        }
        (keys[slot], merges[slot]) = (key, merge)
        count += 1
    }

    private mutating func grow() {
        let old = zip(keys, merges).filter { $0.0 != BytePairMerges.free }
        keys = [UInt64](repeating: BytePairMerges.free, count: 2 * keys.count)
        merges = [Merge](repeating: Merge(rank: 0, product: 0), count: keys.count)
        for (key, merge) in old {
            var slot = start(key)
            while keys[slot] != BytePairMerges.free { slot = (slot + 1) & (keys.count - 1) }
            (keys[slot], merges[slot]) = (key, merge)
        }
    }

    /// Pieces are not negative, so the key of two is never ``free``.
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Seeded anew for every table, so that no file can choose pairs that collide.
    @inline(__always)
    private func start(_ key: UInt64) -> Int {
        let product = (key ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ seed << 1)
        return Int(truncatingIfNeeded: product.high ^ product.low) & (keys.count - 1)
    }
}
