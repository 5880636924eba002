import Tensor

/// An operation with the sources it might have.
struct Draft {
    struct Source {
        var type: ElementType
        var shape: Shape
        var content = Contents.Kind.any
        /// Whether gaps between rows and the like are tried.
        var mayBeLoose = true

        init(_ type: ElementType, _ shape: Shape, below limit: Int? = nil, loose: Bool = true) {
            self.type = type
            self.shape = shape
            if let limit { content = .indices(below: limit) }
            mayBeLoose = loose
        }
    }

    var operation: Operation
    var sources: [Source?]
    var declared: Operation.Declaration?

    init(_ operation: Operation, _ sources: [Source?], declared: Operation.Declaration? = nil) {
        self.operation = operation
        self.sources = sources
        self.declared = declared
    }
}

/// Draws graphs that might be somebody's.
struct Drafter {
    var random: Random

    init(_ random: Random) {
        self.random = random
    }

    /// Bytes of one tensor at most.
    private static let largest = 300_000

    /// One operation of this kind, or a few that read each other's sources and results.
    mutating func graph(of kind: OperationKind) -> DraftGraph {
        var graph = DraftGraph()
        add(draft(kind), to: &graph)
        while random.chance(20), graph.tensors.count < 20 {
            add(draft(random.chance(30) ? kind : random.pick(OperationKind.allCases)), to: &graph)
        }
        graph.place(&random)
        return graph
    }

    private mutating func add(_ draft: Draft, to graph: inout DraftGraph) {
        var sources: [Int?] = []
        let isTight = random.chance(60)
        for source in draft.sources {
            guard let source else {
                sources.append(nil)
                continue
            }
            let fitting = graph.tensors.indices.filter { graph.tensors[$0].type == source.type && graph.tensors[$0].shape == source.shape }
            if !fitting.isEmpty, random.chance(60) {
                sources.append(random.pick(fitting))
                continue
            }
            var member = DraftGraph.Member(
                type: source.type, shape: source.shape, strides: Strides(contiguous: source.shape, source.type), content: source.content)
            if !isTight, source.mayBeLoose, random.chance(40) { loosen(&member) }
            if member.byteCount > Drafter.largest { continue }
            sources.append(graph.tensors.count)
            graph.tensors.append(member)
        }
        let known = sources.map { $0.map { graph.tensors[$0].tensor } }
        guard let result = try? draft.operation.inferred(from: known, declared: draft.declared) else {
            // As wrong as it is: it must be refused.
            let shape = known.lazy.compactMap { $0 }.first?.shape ?? Shape(4)
            append(draft.operation, .f32, shape, Strides(contiguous: shape, .f32), sources, &graph)
            return
        }
        var strides = result.strides
        if result.viewOfSource == nil, random.chance(8), result.shape[1] > 1 { strides = widened(result.shape, result.type) }
        append(draft.operation, result.type, result.shape, strides, sources, &graph)
    }

    private func append(
        _ operation: Operation, _ type: ElementType, _ shape: Shape, _ strides: Strides, _ sources: [Int?], _ graph: inout DraftGraph
    ) {
        let member = DraftGraph.Member(type: type, shape: shape, strides: strides, operation: operation, sources: sources)
        guard let extent = member.tensor.checkedByteExtent, extent <= Drafter.largest else { return }
        graph.tensors.append(member)
    }

    // MARK: Strides

    private mutating func loosen(_ member: inout DraftGraph.Member) {
        switch random.below(5) {
        case 0, 1: member.strides = widened(member.shape, member.type)
        case 2:
            // A dimension repeated.
            let dimension = 1 + random.below(3)
            member.strides[dimension] = 0
        case 3:
            // Dimensions in another order.
            var order = [0, 1, 2, 3]
            if member.type.isQuantized || random.chance(50) {
                order = random.pick([[0, 2, 1, 3], [0, 1, 3, 2], [0, 3, 2, 1]])
            } else {
                order.shuffle(using: &random)
            }
            var stride = member.type.bytesPerBlock
            for dimension in order {
                member.strides[dimension] = stride
                stride *= dimension == 0 ? member.shape[0] / member.type.elementsPerBlock : max(1, member.shape[dimension])
            }
        default:
            if member.type.isQuantized { return }
            // Every other element.
            let scaled = Strides(contiguous: member.shape, member.type)
            member.strides = Strides(2 * scaled[0], 2 * scaled[1], 2 * scaled[2], 2 * scaled[3])
        }
    }

    /// Rows with something between them.
    private mutating func widened(_ shape: Shape, _ type: ElementType) -> Strides {
        var strides = Strides(contiguous: shape, type)
        let gap = type.bytesPerBlock * (1 + random.below(5))
        strides[1] += gap
        strides[2] = strides[1] * max(1, shape[1])
        strides[3] = strides[2] * max(1, shape[2]) + (random.chance(50) ? gap : 0)
        return strides
    }

    // MARK: Numbers for drafts

    mutating func extent(_ most: Int = 256) -> Int {
        let usual = [1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 128, 130, 255, 256, 257, 512]
        let chosen = random.chance(2) ? 0 : random.pick(usual)
        return min(chosen, most)
    }

    mutating func small(_ most: Int = 4) -> Int { random.chance(2) ? 0 : 1 + random.below(most) }

    mutating func shape() -> Shape {
        Shape(extent(512), extent(40), random.chance(50) ? 1 : small(5), random.chance(70) ? 1 : small(3))
    }

    mutating func matrix() -> Shape { Shape(extent(300), extent(40)) }

    mutating func float(_ usual: Float...) -> Float { random.chance(10) ? random.hostileFloat() : random.pick(usual) }

    mutating func whole(_ usual: Int32...) -> Int32 {
        random.chance(4) ? Int32(truncatingIfNeeded: random.hostile()) : random.pick(usual)
    }

    mutating func floatType() -> ElementType { random.pick([.f32, .f32, .f32, .f32, .f16, .f16, .bf16]) }

    mutating func weightType() -> ElementType { random.chance(25) ? floatType() : random.pick(ElementType.allCases) }

    mutating func plainType() -> ElementType { random.chance(60) ? .f32 : random.pick([.f16, .bf16, .i32, .i16, .i8, .i64, .f64]) }

    /// The shape with rows of whole blocks.
    mutating func fitting(_ shape: Shape, _ type: ElementType) -> Shape {
        guard type.isQuantized, shape[0] % type.elementsPerBlock != 0 else { return shape }
        var fit = shape
        fit[0] = type.elementsPerBlock * (1 + random.below(2))
        return fit
    }

    /// A shape that, repeated, gives `shape`.
    mutating func part(of shape: Shape) -> Shape {
        var part = shape
        for dimension in 0..<4 where random.chance(35) {
            part[dimension] =
                part[dimension] % 2 == 0 && part[dimension] > 0 && random.chance(40) ? part[dimension] / 2 : min(1, part[dimension])
        }
        return part
    }

    mutating func divisor(of number: Int) -> Int {
        number > 0 && number % 2 == 0 && random.chance(50) ? number / 2 : random.chance(50) ? 1 : number
    }
}
