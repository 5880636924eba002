/// Tensors laid out one behind the other, in as few buffers as their largest size allows.
public struct BufferPacking: Sendable {
    /// For each tensor: which buffer, and where in it.
    public private(set) var places: [(buffer: Int, byteOffset: Int)] = []
    /// Bytes of each buffer.
    public private(set) var byteCounts: [Int] = []

    /// - Parameters:
    ///   - tensors: whose names errors tell.
    ///   - sizes: bytes to set aside for each, those of memory that exists.
    ///   - device: whose buffers they are, for errors.
    ///   - alignment: of where a tensor may begin.
    ///   - apart: at which of the tensors another buffer begins, so that what is before can be freed without what is behind.
    /// - Throws: `outOfMemory` where a tensor alone is too large.
    public init(
        _ tensors: [TensorUpload], sizes: [Int], on device: String, alignment: Int, largest: Int, apart: Set<Int> = []
    ) throws(BackendError) {
        for (index, size) in sizes.enumerated() {
            guard size <= largest else {
                throw BackendError(
                    .outOfMemory, tensor: tensors[index].name, "\(device) has buffers of at most \(largest) bytes, not \(size)")
            }
            let start = ((byteCounts.last ?? 0) + alignment - 1) / alignment * alignment
            if byteCounts.isEmpty || apart.contains(index) || size > largest - min(start, largest) {
                places.append((byteCounts.count, 0))
                byteCounts.append(size)
            } else {
                places.append((byteCounts.count - 1, start))
                byteCounts[byteCounts.count - 1] = start + size
            }
        }
    }
}

extension Backend {
    /// Where there is nothing better, weights are written into memory of the backend's own.
    public func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] {
        for tensor in tensors { try tensor.checkSize() }
        let sizes = tensors.map(\.content.bytes.count)
        let packing = try BufferPacking(tensors, sizes: sizes, on: name, alignment: alignment, largest: largestBuffer)
        let buffers = try packing.byteCounts.map { count throws(BackendError) in try allocate(byteCount: count) }
        let loaded = packing.places.map { LoadedTensor(buffer: buffers[$0.buffer], byteOffset: $0.byteOffset) }
        var report = TransferProgress(done: 0, total: sizes.reduce(0, +), sent: 0)
        for (tensor, place) in zip(tensors, loaded) {
            let bytes = tensor.content.bytes
            for start in stride(from: 0, to: bytes.count, by: loadingPieceByteCount) {
                if isInVain() { throw BackendError(.cancelled, "the load was given up") }
                let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + loadingPieceByteCount)])
                try write(piece, to: place.buffer, at: place.byteOffset + start)
                report.done += piece.count
                report.sent += piece.count
                if report.done < report.total { progress(report) }
            }
        }
        progress(report)
        return loaded
    }
}

/// Bytes that are written between two looks at whether to go on.
private let loadingPieceByteCount = 64 << 20
