extension Inference {
    func image() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .pool1D(_, let size, let stride, let padding):
            let width = try pooled(a.shape[0], size, stride, padding)
            return Operation.Result(.f32, Shape(width, a.shape[1], a.shape[2], a.shape[3]))
        case .pool2D(let parameters):
            return Operation.Result(.f32, try pooled(a.shape, parameters))
        case .pool2DBack(let parameters):
            let original = try source(1)
            try requireShape(a, try pooled(original.shape, parameters))
            return Operation.Result(.f32, original.shape)
        case .upscale(let parameters):
            let shape = try declaration().shape
            try requireType(a, .f32)
            try require(!a.shape.isEmpty, .shape, "\(a.shape) has nothing to scale")
            try require(
                !parameters.antialiases || parameters.mode == .bilinear, .parameter,
                "\(parameters.mode) scaling does not average")
            return Operation.Result(.f32, shape)
        case .pad(let parameters):
            return Operation.Result(a.type, try padded(a, parameters))
        case .padReflect1D(let before, let after):
            try requireType(a, .f32)
            try requireContiguous(a)
            try require(
                before >= 0 && after >= 0 && Int(before) < a.shape[0] && Int(after) < a.shape[0], .parameter,
                "rows of \(a.shape[0]) have no reflections of \(before) and \(after)")
            var shape = a.shape
            shape[0] = try sum(shape[0], Int(before), Int(after))
            return Operation.Result(.f32, shape)
        default:
            throw fail(.structure, "is no operation on images")
        }
    }

    private func pooled(_ extent: Int, _ size: Int32, _ stride: Int32, _ padding: Int32) throws(GraphError) -> Int {
        try require(
            size > 0 && stride > 0 && padding >= 0, .parameter, "size \(size), stride \(stride), padding \(padding)")
        let room = try sum(extent, 2 * Int(padding))
        try require(room >= Int(size), .shape, "\(extent) elements are too few for windows of \(size)")
        return (room - Int(size)) / Int(stride) + 1
    }

    private func pooled(_ shape: Shape, _ parameters: Pool2DParameters) throws(GraphError) -> Shape {
        var result = shape
        for dimension in 0..<2 {
            result[dimension] = try pooled(
                shape[dimension], parameters.size[dimension], parameters.stride[dimension], parameters.padding[dimension])
        }
        return result
    }

    private func padded(_ a: Tensor, _ parameters: PadParameters) throws(GraphError) -> Shape {
        try require(!a.type.isQuantized, .type, "blocks of \(a.type.name) cannot be padded")
        var shape = a.shape
        for dimension in 0..<Shape.rank {
            let (before, after) = (Int(parameters.before[dimension]), Int(parameters.after[dimension]))
            try require(before >= 0 && after >= 0, .parameter, "padding by \(parameters.before) and \(parameters.after)")
            try require(
                !parameters.circular || shape[dimension] > 0 || before == 0 && after == 0, .parameter,
                "\(a.shape) has nothing to go around with")
            shape[dimension] = try sum(shape[dimension], before, after)
        }
        return shape
    }
}
