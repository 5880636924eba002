internal import Crypto

/// What a content is called: ggml's 64-bit name, by which heads ask for it, and the digest that it is known by for sure.
struct ContentIdentity: Hashable, Sendable {
    let name: UInt64
    let digest: ContentDigest

    /// Bytes that stay in the processor's cache between the one hash and the other.
    private static let chunk = 256 << 10

    /// Both hashes in one pass over memory.
    static func of(_ bytes: UnsafeRawBufferPointer) -> ContentIdentity {
        var name = FNVHash.basis
        var hash = SHA256()
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + chunk)
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            name = FNVHash.of(part, continuing: name)
            hash.update(bufferPointer: part)
            start = end
        }
        return ContentIdentity(name: name, digest: ContentDigest(hash))
    }
}

/// A SHA-256 digest as 64 lower-case hexadecimal digits: the name of a file.
package struct ContentDigest: Hashable, Sendable {
    package let digits: String

    init(_ hash: SHA256) {
        var digits = ""
        digits.reserveCapacity(64)
        for byte in hash.finalize() {
            digits.append(ContentDigest.digit(byte >> 4))
            digits.append(ContentDigest.digit(byte & 15))
        }
        self.digits = digits
    }

    /// Nil for anything else than a digest's digits: nothing that leads out of a folder comes through.
    init?(digits: Substring) {
        guard digits.utf8.count == 64, digits.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else { return nil }
        self.digits = String(digits)
    }

    private static func digit(_ value: UInt8) -> Character {
        Character(UnicodeScalar(value < 10 ? 48 + value : 87 + value))
    }
}

/// ggml's hash of a tensor's content: FNV-1a over 64 bits. Good for finding, not for trusting: who wants to can make two
/// contents of one hash.
public enum FNVHash {
    package static let basis: UInt64 = 0xcbf2_9ce4_8422_2325
    package static let prime: UInt64 = 0x100_0000_01b3

    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 { of(bytes, continuing: basis) }

    package static func of(_ bytes: UnsafeRawBufferPointer, continuing start: UInt64) -> UInt64 {
        var hash = start
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* prime }
        return hash
    }
}
