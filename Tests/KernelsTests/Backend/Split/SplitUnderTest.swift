import Kernels
import Tensor

/// A device that lacks some operations, what it is made whole by, and ways to use them.
struct SplitUnderTest {
    let primary: DistantDevice
    let split: SplitBackend

    init(refusing refused: Set<OperationKind>, fallbackRefusing: Set<OperationKind> = []) throws {
        primary = DistantDevice(try CPUBackend(threads: 1), refusing: refused, alignment: 128)
        let fallback = try CPUBackend(threads: 1)
        split = SplitBackend(
            primary, fallback: fallbackRefusing.isEmpty ? fallback : DistantDevice(fallback, refusing: fallbackRefusing))
    }

    func buffer(_ values: [Float]) throws -> any TensorBuffer { try split.buffer(values) }
}

extension Backend {
    func buffer(_ values: [Float]) throws -> any TensorBuffer {
        let buffer = try allocate(byteCount: values.count * 4)
        try write(values, to: buffer)
        return buffer
    }

    func write(_ values: [Float], to buffer: any TensorBuffer, at byteOffset: Int = 0) throws {
        try values.withUnsafeBytes { try write($0, to: buffer, at: byteOffset) }
    }

    func values(of buffer: any TensorBuffer) throws -> [Float] {
        var values = [Float](repeating: -1, count: buffer.byteCount / 4)
        try values.withUnsafeMutableBytes { try read(buffer, at: 0, into: $0) }
        return values
    }

    /// The values of `outputs`, each with as many floats as it has bytes for, after one run.
    func run(_ plan: any Plan, _ graph: Graph, _ inputs: [(TensorID, [Float])] = [], reads outputs: [TensorID]) throws -> [[Float]] {
        var copies: [UnsafeMutableRawBufferPointer] = []
        defer { copies.forEach { $0.deallocate() } }
        func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
            copies.append(.allocate(byteCount: count, alignment: 64))
            return copies[copies.count - 1]
        }
        let writes = inputs.map { id, values in
            let bytes = memory(values.count * 4)
            values.withUnsafeBytes { bytes.copyMemory(from: $0) }
            return Step.Write(tensor: id, bytes: UnsafeRawBufferPointer(bytes))
        }
        let reads = outputs.map { Step.Read(tensor: $0, into: memory(graph[$0].byteExtent)) }
        try run(Step(writes: writes, plan: plan, reads: reads))
        return reads.map { read in (0..<(read.bytes.count / 4)).map { read.bytes.load(fromByteOffset: $0 * 4, as: Float.self) } }
    }
}
