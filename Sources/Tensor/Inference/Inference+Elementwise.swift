// Operations whose result has the shape of source 0.
extension Inference {
    func elementwise() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .add, .sub, .mul, .div:
            let b = try source(1)
            try require(b.shape.repeats(into: a.shape), .shape, "\(b.shape) cannot be repeated to \(a.shape)")
            return Operation.Result(sumType(a), a.shape)
        case .addID:
            let b = try source(1)
            let ids = try source(2)
            try requireType(ids, .i32)
            try require(
                a.shape[0] == b.shape[0] && a.shape[1] == ids.shape[0] && a.shape[2] == ids.shape[1], .shape,
                "\(b.shape) cannot be added to \(a.shape) by ids \(ids.shape)")
        case .add1:
            let b = try source(1)
            try require(b.shape == Shape(1), .shape, "\(b.shape) is not one element")
        case .acc(let part):
            let b = try source(1)
            try requireType(a, .f32)
            try requireType(b, .f32)
            return try written(b, into: a, part)
        case .set(let part):
            let b = try source(1)
            try requireType(b, a.type)
            return try written(b, into: a, part)
        case .groupNorm(let groups, _):
            try require(groups > 0, .parameter, "\(groups) groups")
        case .siluBack, .rmsNormBack:
            try requireShape(try source(1), a.shape)
        case .tri:
            try requireType(a, .f32)
            try requireContiguous(a)
            try require(a.shape[0] == a.shape[1], .shape, "\(a.shape) is not square")
        case .fill:
            try requireType(a, .f32, .f16)
            try requireContiguous(a)
        case .unary(let kind):
            try require(kind != .xielu, .parameter, "xIELU has parameters, and a case of its own")
        case .glu(let parameters):
            return try gated(a, parameters)
        default:
            break
        }
        return Operation.Result(a.type, a.shape)
    }

    /// A sum's type is source 0's, unless that is a short one and the result declares another.
    private func sumType(_ a: Tensor) -> ElementType {
        guard case .add = operation, let declared, declared.type != a.type else { return a.type }
        let mayConvert = a.type.isQuantized || a.type == .f16 || a.type == .bf16
        return mayConvert && !declared.type.isInteger ? declared.type : a.type
    }

    /// The gate and the value in the halves of rows, or in two tensors.
    private func gated(_ a: Tensor, _ parameters: GLUParameters) throws(GraphError) -> Operation.Result {
        try requireContiguousRows(a)
        if let b = optional(1) {
            try require(a.shape == b.shape && a.type == b.type, .shape, "gate \(a.shape) and value \(b.shape) differ")
            try requireContiguousRows(b)
            return Operation.Result(a.type, a.shape)
        }
        // An odd row's last value belongs to neither half.
        return Operation.Result(a.type, Shape(a.shape[0] / 2, a.shape[1], a.shape[2], a.shape[3]))
    }

    /// A copy of `a`, or `a` itself, with `b` at a place that strides and an offset give.
    private func written(_ b: Tensor, into a: Tensor, _ part: SetParameters) throws(GraphError) -> Operation.Result {
        try requireContiguous(a)
        try require(!a.type.isQuantized, .type, "blocks of \(a.type.name) cannot be written in part")
        var target = b
        target.strides = Strides(a.type.bytesPerBlock, part.stride1, part.stride2, part.stride3)
        let available = a.byteExtent
        guard part.byteOffset >= 0, part.byteOffset <= available, let extent = target.checkedByteExtent,
            extent <= available - part.byteOffset
        else {
            throw fail(.extent, "\(b.shape) at byte \(part.byteOffset) by \(target.strides) leaves the \(available) bytes of \(a.shape)")
        }
        if part.inPlace { return Operation.Result(a.type, a.shape, strides: a.strides, viewOfSource: 0) }
        return Operation.Result(a.type, a.shape)
    }
}
