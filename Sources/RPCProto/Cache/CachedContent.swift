internal import Crypto

/// A content being read: from the file straight to where it is wanted, hashed on the way.
///
/// What was read may be used only once ``TensorCache/accept(_:)`` has said that it is the content wanted. So what counts are
/// the bytes that arrived, and neither a file that changes while it is read nor a disk that cannot be read can slip
/// something else in. The file may be removed meanwhile: an open one stays whole.
package final class CachedContent {
    package let byteCount: Int
    package let digest: ContentDigest
    private let file: CacheFile
    private var hash = SHA256()
    private var readCount = 0

    /// Bytes that stay in the processor's cache between their copying and their hashing.
    private static let chunk = 256 << 10

    init(_ file: CacheFile, _ digest: ContentDigest) {
        self.file = file
        self.digest = digest
        byteCount = file.byteCount
    }

    /// Fills all of the target with what comes next.
    ///
    /// - Returns: false if the file has less, or cannot be read.
    package func read(into target: UnsafeMutableRawBufferPointer) -> Bool {
        var start = 0
        while start < target.count {
            let end = min(target.count, start + CachedContent.chunk)
            let part = UnsafeMutableRawBufferPointer(rebasing: target[start..<end])
            guard file.read(into: part) else { return false }
            hash.update(bufferPointer: UnsafeRawBufferPointer(part))
            start = end
        }
        readCount += target.count
        return true
    }

    /// Whether all of it was read and was what its name says.
    package var isTrue: Bool { readCount == byteCount && ContentDigest(hash) == digest }
}
