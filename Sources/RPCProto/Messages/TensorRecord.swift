/// A tensor as it travels: 296 bytes, nothing checked yet.
///
/// Offsets: 0 id, 8 type, 12 buffer, 20 ne[4], 36 nb[4], 52 operation, 56 parameters[16], 120 flags, 124 sources[10],
/// 204 view source, 212 view offset, 220 data, 228 name[64], 292 use count. Facts: ggml's `ggml-rpc.cpp`.
public struct TensorRecord: Hashable, Sendable {
    public static let byteCount = 296
    public static let sourceCount = 10
    static let nameByteCount = 64

    /// The sender's name for the tensor; 0 for none.
    public var id: UInt64 = 0
    public var type: UInt32 = 0
    /// The receiver's handle of the buffer that holds it; 0 for none.
    public var buffer: UInt64 = 0
    /// Extents, fastest first.
    public var extents = SIMD4<UInt32>(repeating: 1)
    /// Distances in bytes; cut to 32 bits by the sender.
    public var strides = SIMD4<UInt32>(repeating: 0)
    public var operation: UInt32 = 0
    public var parameters = SIMD16<Int32>.zero
    public var flags: Int32 = 0
    /// Ids, up to ten; trailing absent ones are left off.
    public var sources: [UInt64] = []
    public var viewSource: UInt64 = 0
    public var viewOffset: UInt64 = 0
    /// The address, in the receiver's space; it counts even where it contradicts the view.
    public var data: UInt64 = 0
    public var name = ""
    /// How often the tensor is a source in the whole graph.
    public var useCount: Int32 = 0

    public init() {}

    /// - Parameter bytes: ``byteCount`` of them.
    init(_ reader: inout PackedReader) {
        id = reader.integer()
        type = reader.integer()
        buffer = reader.integer()
        for dimension in 0..<4 { extents[dimension] = reader.integer() }
        for dimension in 0..<4 { strides[dimension] = reader.integer() }
        operation = reader.integer()
        for slot in 0..<16 { parameters[slot] = reader.integer() }
        flags = reader.integer()
        sources.reserveCapacity(TensorRecord.sourceCount)
        for _ in 0..<TensorRecord.sourceCount { sources.append(reader.integer()) }
        while sources.last == 0 { sources.removeLast() }
        viewSource = reader.integer()
        viewOffset = reader.integer()
        data = reader.integer()
        name = String(zeroTerminated: reader.take(TensorRecord.nameByteCount))
        useCount = reader.integer()
    }

    func write(to writer: inout PackedWriter) {
        writer.put(id)
        writer.put(type)
        writer.put(buffer)
        for dimension in 0..<4 { writer.put(extents[dimension]) }
        for dimension in 0..<4 { writer.put(strides[dimension]) }
        writer.put(operation)
        for slot in 0..<16 { writer.put(parameters[slot]) }
        writer.put(flags)
        for index in 0..<TensorRecord.sourceCount { writer.put(index < sources.count ? sources[index] : 0) }
        writer.put(viewSource)
        writer.put(viewOffset)
        writer.put(data)
        writer.put(name, count: TensorRecord.nameByteCount)
        writer.put(useCount)
    }
}
