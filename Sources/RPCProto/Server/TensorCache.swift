#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Contents of large tensors in a folder, so that a head need not send them again: files named after ggml's hash of
/// their content, as the stock server keeps them.
///
/// A file appears under its name only when it is whole, and is hashed again when it is read, so that neither a crash in
/// the middle of writing nor a damaged file serves wrong content. Failures to write are no failures of a session.
public struct TensorCache: Sendable {
    public let folder: String

    /// - Parameter folder: made if it is not there.
    public init(folder: String) throws {
        self.folder = folder
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// `$LLAMA_CACHE/rpc`, else `llama.cpp/rpc` in the user's cache folder: where the stock server keeps its files.
    public static func defaultFolder(environment: [String: String]) -> String {
        if let folder = environment["LLAMA_CACHE"], !folder.isEmpty { return folder + "/rpc" }
        if let folder = environment["XDG_CACHE_HOME"], !folder.isEmpty { return folder + "/llama.cpp/rpc" }
        return (environment["HOME"] ?? ".") + "/.cache/llama.cpp/rpc"
    }

    /// The content whose hash this is; nil if there is none, or none that is whole.
    func find(_ hash: UInt64) -> Data? {
        guard let content = try? Data(contentsOf: URL(filePath: path(hash)), options: .mappedIfSafe),
            content.withUnsafeBytes({ FNVHash.of($0) }) == hash
        else { return nil }
        return content
    }

    func store(_ bytes: UnsafeRawBufferPointer) {
        let hash = FNVHash.of(bytes)
        let target = path(hash)
        if access(target, F_OK) == 0, find(hash) != nil { return }
        let part = "\(target).\(getpid())-\(UInt32.random(in: 0...UInt32.max)).part"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0 { return }
        var written = 0
        while written < bytes.count, let base = bytes.baseAddress {
            let count = write(descriptor, base + written, bytes.count - written)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            written += count
        }
        if close(descriptor) != 0 || written != bytes.count || rename(part, target) != 0 { unlink(part) }
    }

    private func path(_ hash: UInt64) -> String {
        let digits = String(hash, radix: 16)
        return folder + "/" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// ggml's hash of a tensor's content: FNV-1a over 64 bits. Good for finding, not for trusting.
public enum FNVHash {
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
