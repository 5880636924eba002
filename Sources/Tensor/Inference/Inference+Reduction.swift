// Sums, counts, orders, and what training makes of them.
extension Inference {
    func reduction() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .sum:
            return Operation.Result(a.type, Shape(1))
        case .sumRows:
            return Operation.Result(a.type, Shape(1, a.shape[1], a.shape[2], a.shape[3]))
        case .mean:
            return Operation.Result(.f32, Shape(1, a.shape[1], a.shape[2], a.shape[3]))
        case .cumsum:
            try requireType(a, .f32)
            return Operation.Result(.f32, a.shape)
        case .argmax:
            try require(a.shape[2] == 1 && a.shape[3] == 1, .shape, "\(a.shape) is no matrix")
            try requireIndexable(a)
            return Operation.Result(.i32, Shape(a.shape[1]))
        case .countEqual:
            let b = try source(1)
            try requireShape(b, a.shape)
            try requireType(b, a.type)
            return Operation.Result(.i64, Shape(1))
        case .argsort:
            try requireIndexable(a)
            return Operation.Result(.i32, a.shape)
        case .topK(let count):
            try requireIndexable(a)
            try require(count > 0 && count <= a.shape[0], .parameter, "the \(count) largest of \(a.shape[0])")
            return Operation.Result(.i32, Shape(count, a.shape[1], a.shape[2], a.shape[3]))
        case .crossEntropyLoss:
            try requireType(a, .f32)
            try requireSame(a, as: 1)
            return Operation.Result(.f32, Shape(1))
        case .crossEntropyLossBack:
            let logits = try source(1)
            try require(a.shape == Shape(1), .shape, "the gradient \(a.shape) is not one element")
            try requireType(a, .f32)
            try requireType(logits, .f32)
            try requireSame(logits, as: 2)
            return Operation.Result(.f32, logits.shape)
        case .optStepAdamW:
            for index in 1...3 { try requireSame(a, as: index) }
            return try optimized(a, parameters: try source(4), count: 7)
        case .optStepSGD:
            try requireSame(a, as: 1)
            return try optimized(a, parameters: try source(2), count: 2)
        default:
            throw fail(.structure, "is no reduction")
        }
    }

    /// Indices within rows are 32 bits wide.
    private func requireIndexable(_ a: Tensor) throws(GraphError) {
        try require(a.shape[0] <= Int32.max, .shape, "rows of \(a.shape[0]) elements cannot be indexed")
    }

    private func requireSame(_ a: Tensor, as index: Int) throws(GraphError) {
        let b = try source(index)
        try requireShape(b, a.shape)
        try requireType(b, a.type)
    }

    private func optimized(_ a: Tensor, parameters: Tensor, count: Int) throws(GraphError) -> Operation.Result {
        try requireType(a, .f32)
        try requireType(parameters, .f32)
        try requireContiguous(parameters)
        let given = try elementCount(parameters)
        try require(given == count, .shape, "\(given) parameters instead of \(count)")
        return Operation.Result(a.type, a.shape, strides: a.strides, viewOfSource: 0)
    }
}
