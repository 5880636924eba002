import RPCProto
import Tensor

/// Sessions of a few graphs each: one drawn, perhaps spoilt, computed, and computed again with other contents.
struct GraphMode: Mode {
    private let contents = Contents()
    private(set) var drawn: [OperationKind: Int] = [:]

    func count(of stream: ScriptedStream) -> Int { stream.graphCount }

    mutating func speaker(for index: Int, _ random: Random) -> any Speaker {
        let all = OperationKind.allCases
        var drafter = Drafter(random)
        let graph = drafter.graph(of: all[index % all.count])
        for node in graph.tensors where node.operation != .none { drawn[node.operation.kind, default: 0] += 1 }
        return GraphSpeaker(graph, drafter.random, contents)
    }
}

final class GraphSpeaker: Speaker {
    private let graph: DraftGraph
    private let contents: Contents
    private var random: Random
    private var step = 0
    private var remaining: Int
    private let sizes: [Int]
    private var handles: [UInt64] = []
    private var bases: [UInt64] = []

    init(_ graph: DraftGraph, _ random: Random, _ contents: Contents) {
        self.graph = graph
        self.random = random
        self.contents = contents
        remaining = 1 + self.random.below(4)
        sizes = graph.bufferSizes
    }

    func speak(into bytes: inout [UInt8], after answers: Answers) -> Bool {
        step += 1
        switch step {
        case 1:
            bytes += Request.hello(.none).encoded()
            for size in sizes { bytes += Request.allocateBuffer(device: 0, byteCount: UInt64(size)).encoded() }
        case 2:
            handles = Array(answers.numbers.suffix(sizes.count))
            for handle in handles { bytes += Request.getBase(buffer: handle).encoded() }
        case 3:
            bases = answers.numbers
            guard bases.count == sizes.count else { return false }
            fill(&bytes)
            compute(spoilt: random.chance(35), &bytes)
        default:
            if remaining == 0 { return false }
            remaining -= 1
            if random.chance(50) { fill(&bytes) }
            if random.chance(40) {
                bytes += Request.recomputeGraph(device: 0, uid: 1).encoded()
            } else {
                compute(spoilt: true, &bytes)
            }
        }
        return true
    }

    /// New contents for every tensor's place, in the order of the tensors.
    private func fill(_ bytes: inout [UInt8]) {
        for tensor in graph.tensors where tensor.byteCount > 0 {
            var record = TensorRecord()
            record.type = ElementType.i8.rawValue
            record.extents[0] = UInt32(tensor.byteCount)
            for dimension in 1..<4 { record.strides[dimension] = record.extents[0] }
            record.strides[0] = 1
            record.buffer = handles[tensor.buffer]
            record.data = bases[tensor.buffer] + UInt64(tensor.offset)
            let request = Request.setTensor(record, isCacheable: false, offset: 0)
            bytes += request.encoded(tailByteCount: tensor.byteCount)
            contents.append(tensor.content, tensor.type, tensor.byteCount, to: &bytes, &random)
        }
    }

    private func compute(spoilt: Bool, _ bytes: inout [UInt8]) {
        var message = GraphMessage(nodes: [], tensors: [])
        for (index, tensor) in graph.tensors.enumerated() {
            var record = tensor.record(id: UInt64(index + 1))
            record.buffer = handles[tensor.buffer]
            record.data = bases[tensor.buffer] + UInt64(tensor.offset)
            message.tensors.append(record)
            if record.operation != 0 { message.nodes.append(record.id) }
        }
        if spoilt {
            for _ in 0..<(1 + random.below(2)) { Spoiling.spoil(&message, bases, &random) }
        }
        let body = message.encoded
        bytes += Request.computeGraph(device: 0, uid: 1, nodeCount: UInt32(message.nodes.count)).encoded(tailByteCount: body.count)
        bytes += body
    }
}
