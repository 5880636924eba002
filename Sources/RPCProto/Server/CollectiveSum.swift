// The arithmetic of an all-reduce, over bytes that need not be aligned. Plain loops, which the compiler makes vectors of.
//
// Each rank adds its partner's part, as it travelled, to its own as it was computed. Where parts travel as BF16, the sums
// of the two ranks therefore differ by a rounding; stock's do too, and a head expects no more. Facts: ggml's
// `ggml-rpc.cpp` (the order), `ggml-impl.h` (the rounding: to nearest, ties to even, NaNs stay NaNs).

/// What a tensor's elements travel as.
enum CollectiveEncoding {
    case float32
    case bfloat16

    /// From this many elements on, F32 travels as BF16.
    static let leastHalvedCount = 32768

    init(elementCount: Int) {
        self = elementCount >= CollectiveEncoding.leastHalvedCount ? .bfloat16 : .float32
    }

    var byteCount: Int {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        }
    }

    /// Writes F32 elements as they travel.
    func encode(_ elements: UnsafeRawBufferPointer, into wire: UnsafeMutableRawBufferPointer) {
        switch self {
        case .float32: wire.copyMemory(from: elements)
        case .bfloat16: CollectiveEncoding.round(elements, into: wire)
        }
    }

    /// Adds elements as they travelled to F32 elements in place.
    func add(_ wire: UnsafeRawBufferPointer, to elements: UnsafeMutableRawBufferPointer) {
        switch self {
        case .float32: CollectiveEncoding.addFloats(wire, to: elements)
        case .bfloat16: CollectiveEncoding.addHalves(wire, to: elements)
        }
    }

    private static func round(_ elements: UnsafeRawBufferPointer, into wire: UnsafeMutableRawBufferPointer) {
        let count = min(elements.count / 4, wire.count / 2)
        guard let source = elements.baseAddress, let target = wire.baseAddress else { return }
        for index in 0..<count {
            let bits = source.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
            let upper = bits >> 16
            let rounded = (bits &+ 0x7fff &+ (upper & 1)) >> 16
            let isNaN = bits & 0x7fff_ffff > 0x7f80_0000
            let kept = isNaN ? upper | 64 : rounded
            target.storeBytes(of: UInt16(truncatingIfNeeded: kept), toByteOffset: index &* 2, as: UInt16.self)
        }
    }

    private static func addFloats(_ wire: UnsafeRawBufferPointer, to elements: UnsafeMutableRawBufferPointer) {
        let count = min(elements.count, wire.count) / 4
        guard let source = wire.baseAddress, let target = elements.baseAddress else { return }
        for index in 0..<count {
            let own = target.loadUnaligned(fromByteOffset: index &* 4, as: Float.self)
            let other = source.loadUnaligned(fromByteOffset: index &* 4, as: Float.self)
            target.storeBytes(of: own + other, toByteOffset: index &* 4, as: Float.self)
        }
    }

    private static func addHalves(_ wire: UnsafeRawBufferPointer, to elements: UnsafeMutableRawBufferPointer) {
        let count = min(elements.count / 4, wire.count / 2)
        guard let source = wire.baseAddress, let target = elements.baseAddress else { return }
        for index in 0..<count {
            let own = target.loadUnaligned(fromByteOffset: index &* 4, as: Float.self)
            let bits = UInt32(source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)) << 16
            target.storeBytes(of: own + Float(bitPattern: bits), toByteOffset: index &* 4, as: Float.self)
        }
    }
}
