internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// A mixture of experts: experts `[k, m, experts]`, activations `[k, used or 1, tokens]`, ids `[used, tokens]`.
    ///
    /// A first phase sorts the columns by expert; then each expert's columns are packed and multiplied as any product.
    mutating func addMatMulID(_ id: TensorID) throws(BackendError) {
        let experts = try source(id, 0)
        let activations = try source(id, 1)
        let ids = try source(id, 2)
        guard experts.n0 == activations.n0, experts.n3 == 1, activations.n3 == 1, ids.type == .i32, ids.n2 == 1,
            ids.n3 == 1, ids.n1 == activations.n2, activations.n1 > 0, ids.n0 % activations.n1 == 0
        else { throw invalid(id, "experts \(experts.shape) cannot multiply \(activations.shape) by ids \(ids.shape)") }
        let result = try floatOutput(id, Shape(experts.n1, ids.n0, activations.n2))
        if result.isEmpty { return }
        guard let kernel = tables.products[experts.type.rawValue], experts.n0 > 0, experts.hasContiguousRows,
            experts.n2 > 0, experts.n2 <= 1 << 16, ids.elementCount <= 1 << 20, experts.n0 <= 1 << 24
        else { throw unsupported(id) }
        let readable = try gathered(id, activations)
        let groups = try ExpertGroups(id, experts, readable, ids, result, kernel, in: &self)
        add(
            Phase(
                body: { worker, _ in groups.sort(worker) }, pieces: 1, cost: 20 * ids.elementCount + 100,
                reads: ids.ranges, writes: [groups.place.addresses]))

        let pack = kernel.pack
        addPhase(
            over: groups.limit, costPerUnit: Double(experts.n0) * Double(groups.columnCount) / Double(groups.limit) * 0.25,
            reads: readable.ranges + [groups.place.addresses], writes: [groups.packed.addresses]
        ) { _, range in
            for index in range where index < groups.header[0].used {
                let group = groups.list[index]
                pack(groups.sources + group.first, experts.n0, group.count, 0, group.count, groups.packedBase + group.offset)
            }
        }

        try needScratch(kernel.scratchByteCount(experts.n0, groups.columnCount))
        let perGroup = max(1, groups.columnCount / groups.limit)
        let split = RowSplit(
            rows: experts.n1, rowBytes: experts.rowByteCount, columns: perGroup, k: experts.n0, matrices: groups.limit,
            granularity: kernel.rowGranularity, threads: threadCount)
        let multiply = kernel.multiply
        let body: (Worker, Int) -> Void = { worker, piece in
            let (index, part) = piece.quotientAndRemainder(dividingBy: split.perMatrix)
            if index >= groups.header[0].used { return }
            let group = groups.list[index]
            let first = part &* split.rowsPerPiece
            multiply(
                experts.row3(0, group.expert, 0), experts.s1, experts.n0, first,
                min(split.rowsPerPiece, experts.n1 &- first), groups.packedBase + group.offset, group.count, 0,
                group.count, groups.targets + group.first, worker.scratch)
        }
        add(
            Phase(
                body: body, pieces: split.perMatrix * groups.limit, cost: split.cost,
                reads: experts.ranges + [groups.place.addresses, groups.packed.addresses], writes: result.ranges))
    }
}

/// Columns sorted by expert, in memory that a phase fills in anew each run.
private struct ExpertGroups {
    struct Group: BitwiseCopyable {
        var expert: Int
        /// Place of the group's first column in the lists of columns.
        var first: Int
        var count: Int
        /// Byte offset of the group's packed columns.
        var offset: Int
    }

    struct Header: BitwiseCopyable {
        /// Groups there are.
        var used: Int
    }

    /// All columns: each token with each expert it uses.
    let columnCount: Int
    /// The most groups that there can be.
    let limit: Int
    let place: UnsafeMutableRawBufferPointer
    let header: UnsafeMutablePointer<Header>
    let list: UnsafeMutablePointer<Group>
    let sources: UnsafeMutablePointer<UnsafeRawPointer>
    let targets: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
    let packed: UnsafeMutableRawBufferPointer
    let packedBase: UnsafeMutableRawPointer

    private let counts: UnsafeMutablePointer<Int>
    private let chosen: UnsafeMutablePointer<Int>
    private let id: TensorID
    private let expertCount: Int
    private let k: Int
    private let activations: Operand
    private let ids: Operand
    private let result: Operand
    private let packedByteCount: @Sendable (Int, Int) -> Int

    init(
        _ id: TensorID, _ experts: Operand, _ activations: Operand, _ ids: Operand, _ result: Operand,
        _ kernel: ProductKernel, in builder: inout PlanBuilder
    ) throws(BackendError) {
        self.id = id
        self.activations = activations
        self.ids = ids
        self.result = result
        expertCount = experts.n2
        k = experts.n0
        columnCount = ids.n0 * ids.n1
        limit = min(expertCount, columnCount)
        packedByteCount = kernel.packedByteCount

        let words = 1 + limit * 4 + columnCount * 3 + expertCount
        place = try builder.temporary(words * 8)
        // What a group of any size takes per column bounds what all groups take together.
        var perColumn = 0
        for count in 1...columnCount where count <= 64 || count == columnCount || count % 256 == 0 {
            let each = (kernel.packedByteCount(k, count) + 63) & ~63
            perColumn = max(perColumn, (each + count - 1) / count)
        }
        let (bytes, overflow) = perColumn.multipliedReportingOverflow(by: columnCount)
        guard !overflow else { throw BackendError(.outOfMemory, "activations too large to pack") }
        packed = try builder.temporary(bytes)
        guard let base = place.baseAddress, let packedBase = packed.baseAddress else {
            throw BackendError(.outOfMemory, "no memory for groups of experts")
        }
        self.packedBase = packedBase
        header = base.assumingMemoryBound(to: Header.self)
        list = (base + 8).assumingMemoryBound(to: Group.self)
        let lists = base + (8 + limit * 32)
        sources = lists.assumingMemoryBound(to: UnsafeRawPointer.self)
        targets = (lists + columnCount * 8).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        chosen = (lists + columnCount * 16).assumingMemoryBound(to: Int.self)
        counts = (lists + columnCount * 24).assumingMemoryBound(to: Int.self)
    }

    /// Reads each id once, checks it and sorts the columns by it; columns keep their order within an expert.
    func sort(_ worker: Worker) {
        header[0].used = 0
        counts.update(repeating: 0, count: expertCount)
        for token in 0..<ids.n1 {
            for slot in 0..<ids.n0 {
                let value = ids.base.load(fromByteOffset: token &* ids.s1 &+ slot &* ids.s0, as: Int32.self)
                let expert = Int(value)
                guard expert >= 0, expert < expertCount else {
                    return worker.report(index: expert, limit: expertCount, at: id)
                }
                chosen[token &* ids.n0 &+ slot] = expert
                counts[expert] = counts[expert] &+ 1
            }
        }
        var used = 0
        var first = 0
        var offset = 0
        for expert in 0..<expertCount where counts[expert] > 0 {
            let count = counts[expert]
            let size = (packedByteCount(k, count) + 63) & ~63
            guard offset &+ size <= packed.count else {
                return worker.report(index: offset &+ size, limit: packed.count, at: id)
            }
            list[used] = Group(expert: expert, first: first, count: count, offset: offset)
            counts[expert] = first
            used = used &+ 1
            first = first &+ count
            offset = offset &+ size
        }
        for token in 0..<ids.n1 {
            for slot in 0..<ids.n0 {
                let expert = chosen[token &* ids.n0 &+ slot]
                let column = counts[expert]
                counts[expert] = column &+ 1
                sources[column] = UnsafeRawPointer(activations.row3(slot % activations.n1, token, 0))
                targets[column] = result.row3(slot, token, 0).assumingMemoryBound(to: Float.self)
            }
        }
        header[0].used = used
    }
}
