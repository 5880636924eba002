// Copies, rows, views: elements that change their place, and tensors that come from nothing.
extension Inference {
    func movement() throws(GraphError) -> Operation.Result {
        switch operation {
        case .reshape, .view, .permute, .transpose: return try reshaped()
        case .getRows, .getRowsBack, .setRows: return try rows()
        case .arange(let start, let stop, let step): return try arange(start, stop, step)
        case .custom:
            let declared = try declaration()
            return Operation.Result(declared.type, declared.shape)
        default: return try copied()
        }
    }

    private func copied() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .repeat:
            let shape = try declaration().shape
            try require(a.shape.repeats(into: shape), .shape, "\(a.shape) cannot be repeated to \(shape)")
            return Operation.Result(a.type, shape)
        case .repeatBack:
            let shape = try declaration().shape
            try require(shape.repeats(into: a.shape), .shape, "\(a.shape) is no repetition of \(shape)")
            return Operation.Result(a.type, shape)
        case .concat(let dimension):
            let b = try source(1)
            try require(
                (0..<Shape.rank).contains(dimension) && a.type == b.type
                    && (0..<Shape.rank).allSatisfy { $0 == dimension || a.shape[$0] == b.shape[$0] },
                .shape, "\(a.shape) and \(b.shape) cannot be joined along dimension \(dimension)")
            var shape = a.shape
            shape[dimension] = try sum(a.shape[dimension], b.shape[dimension])
            return Operation.Result(a.type, shape)
        case .cpy:
            guard let target = optional(1) else { return Operation.Result(try declaration().type, a.shape) }
            let (from, to) = (try elementCount(a), try elementCount(target))
            try require(from == to, .shape, "\(a.shape) cannot be copied to \(target.shape)")
            return Operation.Result(target.type, target.shape, strides: target.strides, viewOfSource: 1)
        case .cont:
            guard let declared, declared.shape != a.shape else { return Operation.Result(a.type, a.shape) }
            let (from, to) = (try elementCount(a), try declaration().shape.checkedElementCount)
            try require(from == to, .shape, "\(a.shape) cannot be copied as \(declared.shape)")
            return Operation.Result(a.type, declared.shape)
        case .diag:
            try require(a.shape[1] == 1, .shape, "\(a.shape) are no rows of diagonals")
            return Operation.Result(a.type, Shape(a.shape[0], a.shape[0], a.shape[2], a.shape[3]))
        case .diagMaskInf(let past), .diagMaskZero(let past):
            try require(past >= 0, .parameter, "\(past) past columns")
        case .roll(let shifts):
            try requireContiguousRows(a)
            for dimension in 0..<Shape.rank {
                let shift = Int(shifts[dimension]).magnitude
                try require(shift < a.shape[dimension], .parameter, "\(a.shape) cannot be rolled by \(shifts)")
            }
        case .timestepEmbedding(let dimension, let period):
            try requireType(a, .f32)
            try require(a.shape == Shape(a.shape[0]) && a.strides[0] == 4, .shape, "steps of shape \(a.shape) are no row")
            try require(dimension > 0 && period > 0, .parameter, "\(dimension) elements, period \(period)")
            return Operation.Result(.f32, Shape(Int(dimension), a.shape[0]))
        default:
            break
        }
        return Operation.Result(a.type, a.shape)
    }

    /// The same bytes under another shape. A view's shape, strides and place are its own affair: what must hold of
    /// them is checked where the memory is known.
    private func reshaped() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .reshape:
            let shape = try declaration().shape
            try requireContiguous(a)
            let (from, to) = (try elementCount(a), shape.checkedElementCount)
            try require(from == to, .shape, "\(a.shape) cannot be reshaped to \(shape)")
            return Operation.Result(a.type, shape, viewOfSource: 0)
        case .permute(let axes):
            var seen = SIMD4<Int32>(repeating: 0)
            var shape = a.shape
            var strides = a.strides
            for dimension in 0..<Shape.rank {
                let axis = Int(axes[dimension])
                try require((0..<Shape.rank).contains(axis), .parameter, "\(axes) is no permutation of 0, 1, 2, 3")
                seen[axis] = 1
                shape[axis] = a.shape[dimension]
                strides[axis] = a.strides[dimension]
            }
            try require(seen == SIMD4(repeating: 1), .parameter, "\(axes) is no permutation of 0, 1, 2, 3")
            return Operation.Result(a.type, shape, strides: strides, viewOfSource: 0)
        case .transpose:
            let shape = Shape(a.shape[1], a.shape[0], a.shape[2], a.shape[3])
            let strides = Strides(a.strides[1], a.strides[0], a.strides[2], a.strides[3])
            return Operation.Result(a.type, shape, strides: strides, viewOfSource: 0)
        default:
            return Operation.Result(a.type, try declaration().shape, viewOfSource: 0)
        }
    }

    private func rows() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        let ids = try source(1)
        switch operation {
        case .getRows:
            try requireType(ids, .i32)
            try requireContiguousRows(a)
            try require(
                a.shape[2] == ids.shape[1] && a.shape[3] == ids.shape[2] && ids.shape[3] == 1, .shape,
                "rows of \(a.shape) cannot be picked by \(ids.shape)")
            let type: ElementType = a.type == .i32 ? .i32 : .f32
            return Operation.Result(type, Shape(a.shape[0], ids.shape[0], ids.shape[1], ids.shape[2]))
        case .getRowsBack:
            let shape = try declaration().shape
            try requireType(ids, .i32)
            try requireContiguousRows(a)
            try require(
                ids.shape == Shape(ids.shape[0]) && a.shape == Shape(a.shape[0], a.shape[1])
                    && ids.shape[0] <= a.shape[1] && shape == Shape(a.shape[0], shape[1]),
                .shape, "rows of \(a.shape) cannot be added up to \(shape) by \(ids.shape)")
            return Operation.Result(.f32, shape)
        default:
            let target = try source(2)
            try requireType(a, .f32, .f16)
            try requireType(ids, .i64, .i32)
            try requireContiguousRows(a)
            try requireContiguousRows(target)
            try require(
                a.shape[0] == target.shape[0] && a.shape[2] == target.shape[2] && a.shape[3] == target.shape[3]
                    && a.shape[1] == ids.shape[0] && ids.shape[1] > 0 && ids.shape[2] > 0 && ids.shape[3] == 1
                    && a.shape[2] % ids.shape[1] == 0 && a.shape[3] % ids.shape[2] == 0,
                .shape, "rows \(a.shape) cannot be set in \(target.shape) by \(ids.shape)")
            return Operation.Result(target.type, target.shape, strides: target.strides, viewOfSource: 2)
        }
    }

    private func arange(_ start: Float, _ stop: Float, _ step: Float) throws(GraphError) -> Operation.Result {
        let steps = ((stop - start) / step).rounded(.up)
        guard stop > start, let count = Int(exactly: steps), count > 0 else {
            throw fail(.parameter, "from \(start) to \(stop) by \(step)")
        }
        return Operation.Result(.f32, Shape(count))
    }
}
