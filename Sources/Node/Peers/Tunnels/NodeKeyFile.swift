internal import Base
internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A node's key on disk, so that its id outlives it. Programs that run at the same time have a file each: the first of `worker-1.key`,
/// `worker-2.key` … that nobody holds, so that each has its own again when it starts anew.
package final class NodeKeyFile: Sendable {
    package let key: NodeKey
    package let path: String
    /// Held, and locked, for as long as the key is used.
    private let descriptor: Int32

    private static let limit = 256

    /// Takes the first free one of a role's files, which is made if need be.
    ///
    /// - Parameters:
    ///   - folder: made, for this user alone, if there is none.
    ///   - role: `worker`, `head` …
    package init(folder: String, role: String) throws(NodeKeyError) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw NodeKeyError("the folder '\(folder)' for this node's key cannot be made: \(error.localizedDescription)")
        }
        for number in 1...NodeKeyFile.limit {
            let path = "\(folder)/\(role)-\(number).key"
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else { throw NodeKeyError("'\(path)' cannot be opened: \(String(cString: strerror(errno)))") }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                close(descriptor)
                if code == EWOULDBLOCK || code == EINTR { continue }
                throw NodeKeyError("'\(path)' cannot be locked: \(String(cString: strerror(code)))")
            }
            do throws(NodeKeyError) {
                key = try NodeKeyFile.key(descriptor, path)
            } catch {
                close(descriptor)
                throw error
            }
            self.path = path
            self.descriptor = descriptor
            return
        }
        throw NodeKeyError("\(NodeKeyFile.limit) programs of this role run already with keys in '\(folder)'")
    }

    deinit { close(descriptor) }

    private static func key(_ descriptor: Int32, _ path: String) throws(NodeKeyError) -> NodeKey {
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        let text: String
        do {
            // A key has a few hundred bytes.
            text = String(decoding: try file.read(upToCount: 4096) ?? Data(), as: UTF8.self)
        } catch {
            throw NodeKeyError("'\(path)' cannot be read: \(error.localizedDescription)")
        }
        if !text.isEmpty {
            guard let key = NodeKey(pem: text) else {
                throw NodeKeyError("'\(path)' holds no key of a node: delete it, and the node gets a new id")
            }
            return key
        }
        let key = NodeKey()
        do {
            try file.write(contentsOf: Data(key.pem.utf8))
            try file.synchronize()
        } catch {
            throw NodeKeyError("'\(path)' cannot be written: \(error.localizedDescription)")
        }
        return key
    }
}

/// Why a node has no key.
package struct NodeKeyError: Error, Hashable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}
