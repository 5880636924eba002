extension Operation {
    /// What an operation makes of its sources.
    public struct Result: Hashable, Sendable {
        public var type: ElementType
        public var shape: Shape
        public var strides: Strides
        /// The source whose memory the result is written into, for operations that write in place.
        public var viewOfSource: Int?

        public init(_ type: ElementType, _ shape: Shape, strides: Strides? = nil, viewOfSource: Int? = nil) {
            self.type = type
            self.shape = shape
            self.strides = strides ?? Strides(contiguous: shape, type)
            self.viewOfSource = viewOfSource
        }
    }

    /// The type and shape that this operation gives, or why it is not defined for these sources.
    ///
    /// - Parameter name: of the tensor to be, for the error.
    public func inferred(from sources: [Tensor?], name: String = "") throws(GraphError) -> Result {
        func source(_ index: Int) throws(GraphError) -> Tensor {
            guard index < sources.count, let tensor = sources[index] else {
                throw GraphError(.structure, tensor: name, "\(self) needs source \(index)")
            }
            return tensor
        }
        func fail(_ code: GraphError.Code, _ message: String) -> GraphError {
            GraphError(code, tensor: name, message)
        }
        let a = try source(0)
        switch self {
        case .add, .sub, .mul, .div:
            let b = try source(1)
            guard b.shape.repeats(into: a.shape) else {
                throw fail(.shape, "\(b.shape) cannot be repeated to \(a.shape)")
            }
            return Result(a.type, a.shape)
        case .scale, .clamp, .unary, .rmsNorm, .norm, .l2Norm, .sqr, .sqrt, .log, .sin, .cos, .cont, .dup:
            return Result(a.type, a.shape)
        case .softMax:
            return Result(a.type, a.shape)
        case .sumRows, .mean:
            var shape = a.shape
            shape[0] = 1
            return Result(.f32, shape)
        case .matMul:
            let b = try source(1)
            guard a.shape[0] == b.shape[0], a.shape[2] > 0, a.shape[3] > 0,
                b.shape[2] % a.shape[2] == 0, b.shape[3] % a.shape[3] == 0
            else { throw fail(.shape, "\(a.name) \(a.shape) cannot multiply \(b.name) \(b.shape)") }
            return Result(.f32, Shape(a.shape[1], b.shape[1], b.shape[2], b.shape[3]))
        case .matMulID:
            let b = try source(1)
            let ids = try source(2)
            guard a.shape[0] == b.shape[0], a.shape[3] == 1, b.shape[3] == 1, ids.type == .i32,
                ids.shape[1] == b.shape[2], b.shape[1] > 0, ids.shape[0] % b.shape[1] == 0
            else { throw fail(.shape, "experts \(a.shape) cannot multiply \(b.shape) by ids \(ids.shape)") }
            return Result(.f32, Shape(a.shape[1], ids.shape[0], b.shape[2], 1))
        case .getRows:
            let ids = try source(1)
            guard ids.type == .i32, a.shape[2] == ids.shape[1], a.shape[3] == ids.shape[2], ids.shape[3] == 1 else {
                throw fail(.shape, "rows of \(a.shape) cannot be picked by \(ids.type.name) \(ids.shape)")
            }
            let type: ElementType = a.type == .i32 ? .i32 : .f32
            return Result(type, Shape(a.shape[0], ids.shape[0], ids.shape[1], ids.shape[2]))
        case .setRows:
            let ids = try source(1)
            let target = try source(2)
            guard a.type == .f32, ids.type == .i64 || ids.type == .i32, a.shape[0] == target.shape[0],
                a.shape[2] == target.shape[2], a.shape[3] == target.shape[3], a.shape[1] == ids.shape[0],
                ids.shape[1] > 0, ids.shape[2] > 0, a.shape[2] % ids.shape[1] == 0, a.shape[3] % ids.shape[2] == 0
            else { throw fail(.shape, "rows \(a.shape) cannot be set in \(target.shape) by \(ids.shape)") }
            return Result(target.type, target.shape, strides: target.strides, viewOfSource: 2)
        case .rope(let parameters):
            let positions = try source(1)
            guard parameters.dimensions > 0, parameters.dimensions % 2 == 0, parameters.dimensions <= a.shape[0],
                positions.type == .i32, positions.shape[0] >= a.shape[2]
            else { throw fail(.shape, "\(a.shape) cannot be rotated over \(parameters.dimensions) at \(positions.shape)") }
            return Result(a.type, a.shape)
        case .flashAttention:
            let k = try source(1)
            let v = try source(2)
            guard a.type == .f32, a.shape[0] == k.shape[0], k.shape[1] == v.shape[1], k.shape[2] == v.shape[2],
                k.shape[2] > 0, k.shape[3] > 0, a.shape[2] % k.shape[2] == 0, a.shape[3] % k.shape[3] == 0
            else { throw fail(.shape, "queries \(a.shape) do not fit keys \(k.shape) and values \(v.shape)") }
            if sources.count > 3, let mask = sources[3] {
                guard mask.type == .f16 || mask.type == .f32, mask.shape[0] >= k.shape[1], mask.shape[1] >= a.shape[1],
                    mask.shape[2] > 0, mask.shape[3] > 0, a.shape[2] % mask.shape[2] == 0, a.shape[3] % mask.shape[3] == 0
                else { throw fail(.shape, "a mask \(mask.shape) does not fit queries \(a.shape), keys \(k.shape)") }
            }
            return Result(.f32, Shape(v.shape[0], a.shape[2], a.shape[1], a.shape[3]))
        case .glu:
            if sources.count > 1, let b = sources[1] {
                guard a.shape == b.shape, a.type == b.type else {
                    throw fail(.shape, "gate \(a.shape) and value \(b.shape) differ")
                }
                return Result(a.type, a.shape)
            }
            guard a.shape[0] % 2 == 0 else { throw fail(.shape, "rows of \(a.shape) have no halves") }
            return Result(a.type, Shape(a.shape[0] / 2, a.shape[1], a.shape[2], a.shape[3]))
        case .concat(let dimension):
            let b = try source(1)
            guard (0..<Shape.rank).contains(dimension), a.type == b.type,
                (0..<Shape.rank).allSatisfy({ $0 == dimension || a.shape[$0] == b.shape[$0] })
            else { throw fail(.shape, "\(a.shape) and \(b.shape) cannot be joined along dimension \(dimension)") }
            var shape = a.shape
            shape[dimension] += b.shape[dimension]
            return Result(a.type, shape)
        case .argsort:
            return Result(.i32, a.shape)
        default:
            throw fail(.parameter, "no shape inference for \(self)")
        }
    }
}
