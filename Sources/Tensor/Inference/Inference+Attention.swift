// Attention, and what prepares its operands.
extension Inference {
    func attention() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .softMax(_, let maxBias):
            try softMaxMask(a, maxBias: maxBias)
            return Operation.Result(a.type, a.shape)
        case .softMaxBack:
            try requireShape(try source(1), a.shape)
            return Operation.Result(a.type, a.shape)
        case .rope(let parameters), .ropeBack(let parameters):
            try rope(a, parameters)
            return Operation.Result(a.type, a.shape)
        case .flashAttention(let parameters):
            return try flash(a, parameters)
        case .flashAttentionBack:
            return try flashBack(a)
        case .lightningIndexer:
            return try indexer(a)
        case .getRelPos:
            try requireType(a, .f16)
            try requireContiguousRows(a)
            try require(
                a.shape == Shape(a.shape[0], a.shape[1]) && a.shape[1] % 2 == 1, .shape,
                "\(a.shape) has no row for each difference of two positions")
            let positions = a.shape[1] / 2 + 1
            return Operation.Result(.f16, Shape(a.shape[0], positions, positions))
        case .addRelPos(let inPlace):
            try relativePositions(a)
            if inPlace { return Operation.Result(a.type, a.shape, strides: a.strides, viewOfSource: 0) }
            return Operation.Result(a.type, a.shape)
        default:
            return try windows(a)
        }
    }

    private func softMaxMask(_ a: Tensor, maxBias: Float) throws(GraphError) {
        try requireContiguousRows(a)
        if let mask = optional(1) {
            try requireType(mask, .f16, .f32)
            try requireContiguousRows(mask)
            try require(
                mask.shape[0] == a.shape[0] && mask.shape[1] >= a.shape[1] && mask.shape[2] > 0 && mask.shape[3] > 0
                    && a.shape[2] % mask.shape[2] == 0 && a.shape[3] % mask.shape[3] == 0,
                .shape, "a mask \(mask.shape) does not fit \(a.shape)")
        } else {
            try require(!(maxBias > 0), .structure, "a bias of \(maxBias) needs a mask")
        }
        if let sinks = optional(2) { try checkSinks(sinks, heads: a.shape[2]) }
    }

    private func checkSinks(_ sinks: Tensor, heads: Int) throws(GraphError) {
        try requireType(sinks, .f32)
        try requireContiguousRows(sinks)
        try require(sinks.shape == Shape(heads), .shape, "sinks \(sinks.shape) for \(heads) heads")
    }

    private func rope(_ a: Tensor, _ parameters: RopeParameters) throws(GraphError) {
        let positions = try source(1)
        try requireType(a, .f32, .f16)
        try requireContiguousRows(a)
        try requireType(positions, .i32)
        try requireContiguousRows(positions)
        let isVision = parameters.mode == .vision
        let hasSections = isVision || parameters.mode == .multi || parameters.mode == .interleavedMulti
        let count = try product(a.shape[2], hasSections ? 4 : 1)
        try require(positions.shape == Shape(count), .shape, "positions \(positions.shape) for \(a.shape)")
        let rotated = parameters.dimensions
        let isWithin =
            rotated > 0 && rotated % 2 == 0 && parameters.offset >= 0 && rotated <= a.shape[0]
            && parameters.offset <= a.shape[0] - rotated
        try require(isWithin, .parameter, "rows of \(a.shape[0]) cannot be rotated over \(rotated) from \(parameters.offset)")
        if isVision {
            try require(
                rotated == a.shape[0] / 2 && a.shape[0] % 4 == 0 && parameters.offset == 0, .parameter,
                "images are rotated over halves of rows, not \(rotated) of \(a.shape[0])")
        }
        if hasSections {
            let sections = parameters.sections
            let all = (0..<4).reduce(0) { $0 + Int(sections[$1]) }
            try require(sections.min() >= 0 && all > 0, .parameter, "sections \(sections)")
        }
        if let factors = optional(2) {
            try requireType(factors, .f32)
            try requireContiguousRows(factors)
            try require(factors.shape[0] >= rotated / 2, .shape, "\(factors.shape) frequency factors for \(rotated / 2) pairs")
        }
    }

    private func flash(_ q: Tensor, _ parameters: FlashAttentionParameters) throws(GraphError) -> Operation.Result {
        let k = try source(1)
        let v = try source(2)
        try requireType(q, .f32)
        for tensor in [q, k, v] { try requireContiguousRows(tensor) }
        try require(
            q.shape[0] == k.shape[0] && k.shape[1] == v.shape[1] && k.shape[2] == v.shape[2] && k.shape[3] == v.shape[3]
                && k.shape[2] > 0 && k.shape[3] > 0 && q.shape[2] % k.shape[2] == 0 && q.shape[3] % k.shape[3] == 0,
            .shape, "queries \(q.shape) do not fit keys \(k.shape) and values \(v.shape)")
        if let mask = optional(3) {
            try requireType(mask, .f16, .f32)
            try requireContiguousRows(mask)
            try require(
                mask.shape[0] >= k.shape[1] && mask.shape[1] >= q.shape[1] && mask.shape[2] > 0 && mask.shape[3] > 0
                    && q.shape[2] % mask.shape[2] == 0 && q.shape[3] % mask.shape[3] == 0,
                .shape, "a mask \(mask.shape) does not fit queries \(q.shape), keys \(k.shape)")
        } else {
            try require(!(parameters.maxBias > 0), .structure, "a bias of \(parameters.maxBias) needs a mask")
        }
        if let sinks = optional(4) { try checkSinks(sinks, heads: q.shape[2]) }
        return Operation.Result(.f32, Shape(v.shape[0], q.shape[2], q.shape[1], q.shape[3]))
    }

    /// The gradients of q, k and v one behind the other, each padded to 16 bytes. Here values are `[keys, size, …]`.
    private func flashBack(_ q: Tensor) throws(GraphError) -> Operation.Result {
        let k = try source(1)
        let v = try source(2)
        try requireShape(try source(3), q.shape)
        try require(
            q.shape[0] == k.shape[0] && k.shape[2] > 0 && q.shape[2] % k.shape[2] == 0 && q.shape[3] == k.shape[3]
                && v.shape == Shape(k.shape[1], q.shape[0], k.shape[2], k.shape[3]),
            .shape, "queries \(q.shape) do not fit keys \(k.shape) and values \(v.shape)")
        var count = 0
        for tensor in [q, k, v] {
            try requireType(tensor, .f32)
            count = try sum(count, try sum(try elementCount(tensor), 3) / 4 * 4)
        }
        return Operation.Result(.f32, Shape(count))
    }

    private func indexer(_ q: Tensor) throws(GraphError) -> Operation.Result {
        let k = try source(1)
        let weights = try source(2)
        let mask = try source(3)
        try requireType(q, .f32)
        try requireType(weights, .f32)
        try requireType(mask, .f16)
        for tensor in [q, k, weights, mask] { try requireContiguousRows(tensor) }
        try require(
            q.shape[0] == k.shape[0] && k.shape[1] == 1 && q.shape[3] == k.shape[3]
                && weights.shape == Shape(q.shape[1], q.shape[2], 1, q.shape[3]),
            .shape, "queries \(q.shape) do not fit keys \(k.shape) and weights \(weights.shape)")
        try require(
            mask.shape == Shape(k.shape[2], q.shape[2], 1, mask.shape[3]) && mask.shape[3] > 0
                && q.shape[3] % mask.shape[3] == 0,
            .shape, "a mask \(mask.shape) does not fit queries \(q.shape), keys \(k.shape)")
        return Operation.Result(.f32, Shape(k.shape[2], q.shape[2], 1, q.shape[3]))
    }

    private func relativePositions(_ a: Tensor) throws(GraphError) {
        let columns = try source(1)
        let rows = try source(2)
        try requireShape(rows, columns.shape)
        for tensor in [a, columns, rows] {
            try requireType(tensor, .f32)
            try requireContiguous(tensor)
        }
        let keys = try product(columns.shape[0], columns.shape[0])
        let queries = try product(columns.shape[1], columns.shape[2])
        try require(
            columns.shape[3] == a.shape[2] && keys == a.shape[0] && queries == a.shape[1] && a.shape[3] == 1, .shape,
            "relative positions \(columns.shape) do not fit \(a.shape)")
    }

    private func windows(_ a: Tensor) throws(GraphError) -> Operation.Result {
        try requireType(a, .f32)
        try requireContiguous(a)
        func count(_ extent: Int, _ window: Int) -> Int { extent / window + (extent % window == 0 ? 0 : 1) }
        switch operation {
        case .winPart(let columnCount, let rowCount, let size):
            let window = Int(size)
            try require(window > 0, .parameter, "windows of \(window)")
            try require(a.shape[3] == 1, .shape, "\(a.shape) is more than one image")
            try require(
                count(a.shape[1], window) == Int(columnCount) && count(a.shape[2], window) == Int(rowCount), .parameter,
                "\(a.shape) is not \(columnCount) by \(rowCount) windows of \(window)")
            return Operation.Result(.f32, Shape(a.shape[0], window, window, try product(Int(columnCount), Int(rowCount))))
        case .winUnpart(let size):
            let window = Int(size)
            let shape = try declaration().shape
            try require(window > 0, .parameter, "windows of \(window)")
            let windows = try product(count(shape[1], window), count(shape[2], window))
            try require(
                shape[3] == 1 && a.shape == Shape(shape[0], window, window, windows), .shape,
                "windows \(a.shape) do not make up \(shape)")
            return Operation.Result(.f32, shape)
        default:
            throw fail(.structure, "is no part of attention")
        }
    }
}
