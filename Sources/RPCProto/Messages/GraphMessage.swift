/// What follows the head of GRAPH_COMPUTE: node ids, then `tensorCount: u32` and as many records.
public struct GraphMessage: Hashable, Sendable {
    /// Ids of the tensors to compute, in order.
    public var nodes: [UInt64]
    /// Nodes and what they read, in any order.
    public var tensors: [TensorRecord]

    public init(nodes: [UInt64], tensors: [TensorRecord]) {
        self.nodes = nodes
        self.tensors = tensors
    }

    /// Nil if the lists do not fit `bytes`. What lies behind them is ignored, as stock does.
    public init?(nodeCount: UInt32, _ bytes: UnsafeRawBufferPointer) {
        var reader = PackedReader(bytes)
        let nodeBytes = Int(nodeCount) * 8
        guard reader.remaining >= nodeBytes + 4 else { return nil }
        nodes = (0..<Int(nodeCount)).map { _ in reader.integer() }
        let tensorCount = Int(reader.integer(UInt32.self))
        guard reader.remaining / TensorRecord.byteCount >= tensorCount else { return nil }
        tensors = (0..<tensorCount).map { _ in TensorRecord(&reader) }
    }

    /// Bytes of the lists.
    public var byteCount: Int { nodes.count * 8 + 4 + tensors.count * TensorRecord.byteCount }

    /// The bytes behind the head.
    public var encoded: [UInt8] {
        var writer = PackedWriter(reserving: byteCount)
        for node in nodes { writer.put(node) }
        writer.put(UInt32(tensors.count))
        for tensor in tensors { tensor.write(to: &writer) }
        return writer.bytes
    }
}
