import Tensor
import Testing

/// A small generator whose sequence depends on the seed alone.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A contiguous tensor that is nothing but its type and shape.
func tensor(_ type: ElementType, _ extents: Int...) -> Tensor {
    var shape = Shape(1)
    for (dimension, extent) in extents.enumerated() { shape[dimension] = extent }
    return Tensor(name: "t", type: type, shape: shape)
}

func f32(_ e0: Int, _ e1: Int = 1, _ e2: Int = 1, _ e3: Int = 1) -> Tensor { tensor(.f32, e0, e1, e2, e3) }
func f16(_ e0: Int, _ e1: Int = 1, _ e2: Int = 1, _ e3: Int = 1) -> Tensor { tensor(.f16, e0, e1, e2, e3) }
func i32(_ e0: Int, _ e1: Int = 1, _ e2: Int = 1, _ e3: Int = 1) -> Tensor { tensor(.i32, e0, e1, e2, e3) }

extension Tensor {
    /// The same with dimensions exchanged: not contiguous where both are longer than 1.
    func swapped(_ a: Int, _ b: Int) -> Tensor {
        var result = self
        (result.shape[a], result.shape[b]) = (shape[b], shape[a])
        (result.strides[a], result.strides[b]) = (strides[b], strides[a])
        return result
    }
}

/// Memory that is nowhere, for graphs that are only looked at.
final class NoMemory: Buffer {
    let byteCount: Int
    let backend: any Backend

    init(_ byteCount: Int) {
        self.byteCount = byteCount
        backend = NoBackend()
    }
}

final class NoBackend: Backend {
    let name = "none"
    let alignment = 64
    func memory() -> DeviceMemory { DeviceMemory(free: 0, total: 0) }
    func allocate(byteCount: Int) -> any Buffer { NoMemory(byteCount) }
    func supports(_ id: TensorID, of graph: Graph) -> Bool { false }
    func prepare(_ graph: Graph) throws(BackendError) -> any Plan { throw BackendError(.unsupported, "nothing runs here") }
    func run(_ step: Step) throws(BackendError) { throw BackendError(.unsupported, "nothing runs here") }
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) {}
    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) {}
}

/// The code of what `body` throws; nil if it does not.
func code(_ body: () throws(GraphError) -> Void) -> GraphError.Code? {
    do throws(GraphError) { try body() } catch { return error.code }
    return nil
}
