import Tensor

/// The bytes that one step writes into graphs' inputs, in memory that is used again from step to step: filled once, and read by
/// every stage that the step goes through.
struct StepInputs {
    /// All kinds there are.
    static let kinds: [any StepInput.Type] = [
        TokenInput.self, PositionInput.self, SectionPositionInput.self, CacheRowInput.self, RingRowInput.self, OutputInput.self,
        MaskInput.self, RingMaskInput.self, SpreadInput.self, PickInput.self, StateSourceInput.self, StateTargetInput.self,
        CheckpointInput.self,
    ]

    private let memory = HostMemory()
    /// Where in the memory each kind's values are.
    private var ranges = [Range<Int>](repeating: 0..<0, count: StepInputs.kinds.count)

    /// Fills in what `batch` needs.
    mutating func fill(_ batch: Batch, _ cache: CacheShape) {
        let contents = StepInputs.kinds.map { StepInputs.bytes($0, batch, cache) }
        memory.grow(toByteCount: contents.reduce(0) { $0 + $1.count })
        var end = 0
        for (index, bytes) in contents.enumerated() {
            ranges[index] = end..<end + bytes.count
            memory.bytes(ranges[index]).copyBytes(from: bytes)
            end += bytes.count
        }
    }

    private static func bytes<Input: StepInput>(_ kind: Input.Type, _ batch: Batch, _ cache: CacheShape) -> [UInt8] {
        kind.values(of: batch, cache).withUnsafeBytes { Array($0) }
    }

    /// The writes for a graph's inputs; valid until the next filling.
    func writes(for tensors: InputTensors) -> [Step.Write] {
        zip(ranges, tensors.ofKinds).flatMap { range, taken in
            var start = range.lowerBound
            return taken.map { tensor in
                defer { start += tensor.byteCount }
                return Step.Write(tensor: tensor.id, bytes: UnsafeRawBufferPointer(memory.bytes(start..<start + tensor.byteCount)))
            }
        }
    }
}

/// Where a graph takes its inputs.
struct InputTensors: Sendable {
    /// For each of ``StepInputs/kinds``, the tensors that the graph takes it in.
    let ofKinds: [[(id: TensorID, byteCount: Int)]]

    /// For graphs that take nothing but hidden states.
    init() { ofKinds = StepInputs.kinds.map { _ in [] } }

    /// Adds to a graph what a stage takes.
    init(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters, _ g: GraphBuilder) {
        ofKinds = StepInputs.kinds.map { kind in
            kind.shapes(layout, extent, h).map { shape in
                let id = g.input(kind.name, kind.type, shape)
                return (id, g[id].byteExtent)
            }
        }
    }

    /// The tensors of a kind.
    subscript(kind: any StepInput.Type) -> [TensorID] {
        let index = StepInputs.kinds.firstIndex { $0 == kind }
        return index.map { ofKinds[$0].map(\.id) } ?? []
    }
}
