/// The texts of a vocabulary: one blob of bytes, offsets into it, and a hash table from text to token id.
///
/// A vocabulary has up to a few hundred thousand tokens; as separate strings they would cost tens of megabytes and
/// most of a second at start. Texts are bytes, not characters: a token may be any part of a UTF-8 sequence.
///
/// Complexity: appending and finding take time in the token's length. The hash is seeded anew for every table, so a
/// hostile file cannot choose texts that collide.
public struct TokenTable: Sendable {
    /// Tokens that have a text which an earlier one has, too.
    public private(set) var duplicates: [Int32] = []
    /// Bytes of the longest text.
    public private(set) var longest = 0
    /// All texts, one after another.
    private var blob: [UInt8] = []
    /// `count + 1` offsets into `blob`.
    private var offsets: [UInt32] = [0]
    /// Open addressing, linear probing; a power of two in length and at most half full. -1 is free.
    private var slots: [Int32] = []
    private let seed: UInt64

    /// - Parameters:
    ///   - capacity: the number of tokens to come, a hint (it is not believed beyond what is cheap).
    ///   - byteCapacity: the bytes of all texts together, a hint likewise.
    public init(capacity: Int = 0, byteCapacity: Int = 0) {
        seed = UInt64.random(in: .min ... .max)
        let tokens = min(max(capacity, 0), 1 << 20)
        blob.reserveCapacity(min(max(byteCapacity, 0), 1 << 24))
        offsets.reserveCapacity(tokens + 1)
        slots = [Int32](repeating: -1, count: Self.slotCount(for: tokens))
    }

    /// A table of the given texts in order of id; for small vocabularies and tests.
    public init(_ texts: [String]) throws(VocabularyError) {
        self.init(capacity: texts.count)
        for text in texts { try append(Array(text.utf8)) }
    }

    /// The number of tokens.
    public var count: Int { offsets.count - 1 }

    /// Adds the text of the next token id. An empty text is replaced by `[EMPTY_<id>]`, as the format's readers agree.
    ///
    /// Of tokens with the same text, it is the last that is found by it, as for the format's other readers.
    ///
    /// Throws ``VocabularyError/tooLarge`` past 2³¹ tokens or 2³² bytes.
    public mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) throws(VocabularyError) {
        if bytes.isEmpty {
            try append(Array("[EMPTY_\(count)]".utf8))
            return
        }
        guard count < Int(Int32.max), blob.count + bytes.count <= Int(UInt32.max) else { throw .tooLarge }
        if 2 * (count + 1) > slots.count { grow() }
        let slot = slot(of: bytes)
        if slots[slot] >= 0 { duplicates.append(Int32(count)) }
        slots[slot] = Int32(count)
        blob.append(contentsOf: bytes)
        offsets.append(UInt32(blob.count))
        longest = max(longest, bytes.count)
    }

    /// Adds the text of the next token id; see the variant over a buffer pointer.
    public mutating func append(_ bytes: [UInt8]) throws(VocabularyError) {
        let result = bytes.withUnsafeBufferPointer { buffer in
            Result { () throws(VocabularyError) in try self.append(buffer) }
        }
        try result.get()
    }

    /// The id of the token with exactly this text.
    public func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
        guard bytes.count <= longest, !bytes.isEmpty else { return nil }
        let id = slots[slot(of: bytes)]
        return id < 0 ? nil : id
    }

    /// The id of the token with exactly this text.
    public func find(_ text: String) -> Int32? {
        var text = text
        return text.withUTF8 { find($0) }
    }

    /// The range of a token's text in the blob, empty for an id outside the table.
    private func range(of id: Int) -> Range<Int> {
        guard id >= 0, id < count else { return 0..<0 }
        return Int(offsets[id])..<Int(offsets[id + 1])
    }

    /// The text's length in bytes, 0 for an id outside the table.
    public func length(of id: Int32) -> Int { range(of: Int(id)).count }

    /// A copy of the token's text, empty for an id outside the table.
    public func bytes(of id: Int32) -> [UInt8] { Array(blob[range(of: Int(id))]) }

    /// The token's text without a copy, empty for an id outside the table.
    public func withBytes<Result>(of id: Int32, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        let range = range(of: Int(id))
        return blob.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range])) }
    }

    // MARK: Hashing

    private static func slotCount(for tokens: Int) -> Int {
        var size = 16
        while size < 2 * tokens { size *= 2 }
        return size
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: Self.slotCount(for: max(2 * count, 16)))
        blob.withUnsafeBufferPointer { all in
            for id in 0..<count {
                slots[slot(of: UnsafeBufferPointer(rebasing: all[range(of: id)]))] = Int32(id)
            }
        }
    }

    /// The slot that holds this text, or the free one where it would go.
    private func slot(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash(bytes)) & mask
        while true {
            let id = Int(slots[slot])
            if id < 0 || equals(bytes, id) { return slot }
            slot = (slot + 1) & mask
        }
    }

    private func equals(_ bytes: UnsafeBufferPointer<UInt8>, _ id: Int) -> Bool {
        let start = Int(offsets[id])
        guard Int(offsets[id + 1]) - start == bytes.count else { return false }
        return blob.withUnsafeBufferPointer { all in
            for index in 0..<bytes.count where all[start + index] != bytes[index] { return false }
            return true
        }
    }

    /// Eight bytes a step, folded by a 128-bit product.
    private func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var state = seed
        var index = 0
        while index < bytes.count {
            var word: UInt64 = 0
            if index + 8 <= bytes.count {
                word = UnsafeRawPointer(bytes.baseAddress!).loadUnaligned(fromByteOffset: index, as: UInt64.self)
            } else {
                for byte in bytes[index...] { word = word << 8 | UInt64(byte) }
                word ^= UInt64(bytes.count) << 56
            }
            let product = (state ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            state = product.high ^ product.low ^ 0xD6E8_FEB8_6659_FD93
            index += 8
        }
        return state ^ (state >> 32)
    }
}
