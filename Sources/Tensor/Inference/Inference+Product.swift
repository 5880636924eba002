// Matrix products. The first source may be quantized and is repeated over the second's outer dimensions.
extension Inference {
    func product() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        let b = try source(1)
        switch operation {
        case .matMul:
            try require(
                a.hasContiguousRows || a.strides[0] <= a.strides[1], .shape,
                "\"\(a.name)\" is transposed: strides \(a.strides)")
            try require(
                a.shape[0] == b.shape[0] && repeatsOuter(a, into: b), .shape,
                "\(a.name) \(a.shape) cannot multiply \(b.name) \(b.shape)")
            return Operation.Result(.f32, Shape(a.shape[1], b.shape[1], b.shape[2], b.shape[3]))
        case .matMulID:
            let ids = try source(2)
            try requireType(ids, .i32)
            try requireContiguousRows(a)
            try require(
                a.shape[0] == b.shape[0] && a.shape[3] == 1 && b.shape[3] == 1
                    && ids.shape == Shape(ids.shape[0], b.shape[2]) && b.shape[1] > 0 && ids.shape[0] % b.shape[1] == 0,
                .shape, "experts \(a.shape) cannot multiply \(b.shape) by ids \(ids.shape)")
            return Operation.Result(.f32, Shape(a.shape[1], ids.shape[0], b.shape[2], 1))
        case .outProd:
            try requireContiguousRows(a)
            try require(
                a.shape[1] == b.shape[1] && repeatsOuter(a, into: b), .shape,
                "\(a.name) \(a.shape) and \(b.name) \(b.shape) have no outer product")
            return Operation.Result(.f32, Shape(a.shape[0], b.shape[0], b.shape[2], b.shape[3]))
        default:
            try requireType(a, .f32)
            try requireType(b, .f32)
            try requireContiguous(a)
            try requireContiguous(b)
            try require(
                a.shape[0] == a.shape[1] && a.shape[1] == b.shape[1] && a.shape[2] == b.shape[2]
                    && a.shape[3] == b.shape[3],
                .shape, "\(a.shape) · X = \(b.shape) cannot be solved")
            return Operation.Result(.f32, b.shape)
        }
    }

    private func repeatsOuter(_ a: Tensor, into b: Tensor) -> Bool {
        a.shape[2] > 0 && a.shape[3] > 0 && b.shape[2] % a.shape[2] == 0 && b.shape[3] % a.shape[3] == 0
    }
}
