internal import Tensor

/// Memory of a device on a server. Released, it is freed there with the next exchange.
final class RPCBuffer: Buffer {
    let byteCount: Int
    let handle: UInt64
    /// The address of its first byte, on the server.
    let base: UInt64
    let isWritable: Bool
    let owner: RPCBackend

    var backend: any Backend { owner }

    init(_ memory: RemoteDevice.Memory, of owner: RPCBackend, isWritable: Bool = true) {
        byteCount = memory.byteCount
        handle = memory.handle
        base = memory.base
        self.owner = owner
        self.isWritable = isWritable
    }

    deinit { owner.connection.free(handle) }

    func check(_ byteOffset: Int, _ count: Int) throws(BackendError) {
        guard byteOffset >= 0, count <= byteCount, byteOffset <= byteCount - count else {
            throw BackendError(.invalidArgument, "\(count) bytes at \(byteOffset) leave a buffer of \(byteCount) bytes")
        }
    }
}

/// Memory of this process at a constant address.
final class MemoryBlock: @unchecked Sendable {
    // Sendable: whoever holds the connection's lock uses it alone.
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        bytes = .allocate(byteCount: byteCount, alignment: 8)
    }

    convenience init(_ content: [UInt8]) {
        self.init(byteCount: content.count)
        bytes.copyBytes(from: content)
    }

    deinit { bytes.deallocate() }

    /// Puts a little-endian number at a place that the caller knows to be inside.
    func put(_ number: UInt64, at position: Int) {
        bytes.storeBytes(of: number.littleEndian, toByteOffset: position, as: UInt64.self)
    }
}
