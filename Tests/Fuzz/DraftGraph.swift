import RPCProto
import Tensor

/// A graph with its places, before it becomes a message.
struct DraftGraph {
    struct Member {
        var type: ElementType
        var shape: Shape
        var strides: Strides
        var operation = Operation.none
        /// Members, by their place in the list.
        var sources: [Int?] = []
        var content = Contents.Kind.any
        /// The number of its buffer, and the first byte in it.
        var buffer = 0
        var offset = 0

        /// From the first byte to the last, gaps included.
        var byteCount: Int { tensor.byteExtent }
        var tensor: Tensor { Tensor(name: "", type: type, shape: shape, strides: strides) }

        func record(id: UInt64) -> TensorRecord {
            var record = TensorRecord()
            record.id = id
            record.type = type.rawValue
            for dimension in 0..<4 {
                record.extents[dimension] = UInt32(truncatingIfNeeded: shape[dimension])
                record.strides[dimension] = UInt32(truncatingIfNeeded: strides[dimension])
            }
            guard let number = try? OperationTable.newest.number(of: operation),
                let parameters = try? OperationTable.newest.parameters(of: operation)
            else { return record }
            if operation == .none { return record }
            record.operation = number
            record.parameters = parameters
            record.flags = TensorFlags.compute.rawValue
            record.sources = sources.map { $0.map { UInt64($0 + 1) } ?? 0 }
            while record.sources.last == 0 { record.sources.removeLast() }
            return record
        }
    }

    var tensors: [Member] = []
    private(set) var bufferSizes: [Int] = []

    /// Bytes that a page leaves to a buffer whose padding ends with it.
    private static let page = 4096
    private static let padding = 64

    /// Gives every member a place: a buffer of its own, so that whatever leaves it shows; or all of them one, overlapping.
    mutating func place(_ random: inout Random) {
        let isShared = random.chance(20)
        let sharedSize = 16 * DraftGraph.page - DraftGraph.padding
        for index in tensors.indices {
            let extent = tensors[index].byteCount
            if let target = viewed(index) {
                tensors[index].buffer = tensors[target].buffer
                tensors[index].offset = tensors[target].offset
                continue
            }
            // In place of a source, as heads like to do.
            if tensors[index].operation != .none, random.chance(20), let source = tensors[index].sources.compactMap({ $0 }).first,
                tensors[source].byteCount >= extent
            {
                tensors[index].buffer = tensors[source].buffer
                tensors[index].offset = tensors[source].offset
                continue
            }
            if isShared, extent < sharedSize / 2 {
                if bufferSizes.isEmpty { bufferSizes = [sharedSize] }
                tensors[index].offset = random.below(sharedSize - extent) & ~(random.chance(80) ? 31 : 7)
                continue
            }
            let pages = (extent + DraftGraph.padding + DraftGraph.page - 1) / DraftGraph.page
            let size = pages * DraftGraph.page - DraftGraph.padding
            tensors[index].buffer = bufferSizes.count
            bufferSizes.append(size)
            // At its end, as near as its type's alignment allows, or at its beginning.
            let alignment = tensors[index].type.isQuantized ? 2 : tensors[index].type.bytesPerBlock
            if random.chance(70) { tensors[index].offset = (size - extent) / alignment * alignment }
        }
        if bufferSizes.isEmpty { bufferSizes = [DraftGraph.page - DraftGraph.padding] }
        // Members of the shared buffer come with number 0, which may have become another's.
        for index in tensors.indices where tensors[index].byteCount > bufferSizes[tensors[index].buffer] - tensors[index].offset {
            tensors[index].offset = 0
        }
    }

    /// The source whose memory a member's operation writes into.
    private func viewed(_ index: Int) -> Int? {
        let member = tensors[index]
        if member.operation == .none { return nil }
        let sources = member.sources.map { $0.map { tensors[$0].tensor } }
        let declared = Operation.Declaration(member.type, member.shape)
        guard let result = try? member.operation.inferred(from: sources, declared: declared), let view = result.viewOfSource else {
            return nil
        }
        return member.sources[view]
    }
}
