import Tensor

/// An operation over sources, and what it must make of them; nil for what it must refuse.
struct InferenceCase: Sendable {
    var operation: Operation
    var sources: [Tensor?]
    var declared: Operation.Declaration?
    var expected: Operation.Declaration?

    /// One that is defined.
    static func gives(
        _ operation: Operation, _ sources: [Tensor?], _ type: ElementType, _ shape: Shape,
        declared: Operation.Declaration? = nil
    ) -> InferenceCase {
        InferenceCase(operation: operation, sources: sources, declared: declared, expected: .init(type, shape))
    }

    /// One whose result says what it is to be, and may.
    static func allows(
        _ operation: Operation, _ sources: [Tensor?], _ type: ElementType, _ shape: Shape
    ) -> InferenceCase {
        gives(operation, sources, type, shape, declared: .init(type, shape))
    }

    /// One that is not defined.
    static func refuses(
        _ operation: Operation, _ sources: [Tensor?], declared: Operation.Declaration? = nil
    ) -> InferenceCase {
        InferenceCase(operation: operation, sources: sources, declared: declared, expected: nil)
    }
}

/// Shapes worked out by hand from the descriptions in `ggml.h`.
enum InferenceCases {
    static let all = elementwise + rows + movement + attention + convolutions + recurrences + training

    static let part = SetParameters(stride1: 16, stride2: 48, stride3: 48, byteOffset: 4, inPlace: false)
    static let partInPlace = SetParameters(stride1: 16, stride2: 48, stride3: 48, byteOffset: 4, inPlace: true)
    static let partOutside = SetParameters(stride1: 16, stride2: 48, stride3: 48, byteOffset: 12, inPlace: false)

    static let elementwise: [InferenceCase] = [
        .gives(.dup, [f16(5, 3)], .f16, Shape(5, 3)),
        .gives(.add, [f32(4, 3, 2), f32(4, 1, 2)], .f32, Shape(4, 3, 2)),
        .allows(.add, [tensor(.q8_0, 32, 2), f32(32, 2)], .f32, Shape(32, 2)),
        .refuses(.add, [f32(4, 3), f32(3, 3)]),
        .refuses(.add, [f32(4, 3)]),
        .refuses(.add, [f32(4), f32(4), f32(4)]),
        .gives(.addID, [f32(8, 2, 5), f32(8, 4), i32(2, 5)], .f32, Shape(8, 2, 5)),
        .refuses(.addID, [f32(8, 2, 5), f32(8, 4), f32(2, 5)]),
        .refuses(.addID, [f32(8, 2, 5), f32(8, 4), i32(2, 4)]),
        .gives(.add1, [f32(8, 2), f32(1)], .f32, Shape(8, 2)),
        .refuses(.add1, [f32(8, 2), f32(2)]),
        .gives(.acc(part), [f32(4, 3), f32(3, 2)], .f32, Shape(4, 3)),
        .refuses(.acc(partOutside), [f32(4, 3), f32(3, 3)]),
        .refuses(.acc(part), [f16(4, 3), f32(3, 2)]),
        .gives(.set(partInPlace), [f32(4, 3), f32(3, 2)], .f32, Shape(4, 3)),
        .refuses(.set(part), [f32(4, 3), f32(4, 3)]),
        .refuses(.set(part), [f32(3, 4).swapped(0, 1), f32(3, 2)]),
        .gives(.sub, [f32(4), f32(1)], .f32, Shape(4)),
        .gives(.mul, [f32(4, 2), f32(4)], .f32, Shape(4, 2)),
        .gives(.div, [f32(4, 2), f32(1, 2)], .f32, Shape(4, 2)),
        .gives(.sqr, [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.sqrt, [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.log, [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.sin, [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.cos, [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.scale(factor: 2, bias: 1), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.clamp(minimum: 0, maximum: 1), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.leakyRelu(slope: 0.1), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.tri(.lower), [f32(4, 4, 2)], .f32, Shape(4, 4, 2)),
        .refuses(.tri(.lower), [f32(4, 3)]),
        .gives(.fill(value: 1), [f16(4, 3)], .f16, Shape(4, 3)),
        .refuses(.fill(value: 1), [i32(4)]),
        .gives(.unary(.gelu), [f32(4, 2)], .f32, Shape(4, 2)),
        .refuses(.unary(.xielu), [f32(4)]),
        .gives(
            .xielu(XIELUParameters(alphaNegative: 1, alphaPositive: 1, beta: 0.5, epsilon: -1e-6)), [f32(4)], .f32, Shape(4)),
        .gives(.glu(GLUParameters(.swiglu)), [f32(6, 2)], .f32, Shape(3, 2)),
        .gives(.glu(GLUParameters(.geglu)), [f32(6, 2), f32(6, 2)], .f32, Shape(6, 2)),
        .gives(.glu(GLUParameters(.swiglu)), [f32(5, 2)], .f32, Shape(2, 2)),
        .refuses(.glu(GLUParameters(.swiglu)), [f32(6, 2), f32(6, 1)]),
    ]

    static let rows: [InferenceCase] = [
        .gives(.siluBack, [f32(4, 2), f32(4, 2)], .f32, Shape(4, 2)),
        .refuses(.siluBack, [f32(4, 2), f32(4)]),
        .gives(.norm(epsilon: 1e-5), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.rmsNorm(epsilon: 1e-5), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.rmsNormBack(epsilon: 1e-5), [f32(4, 2), f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.groupNorm(groups: 2, epsilon: 1e-5), [f32(4, 2, 6)], .f32, Shape(4, 2, 6)),
        .refuses(.groupNorm(groups: 0, epsilon: 1e-5), [f32(4, 2, 6)]),
        .gives(.l2Norm(epsilon: 1e-5), [f32(4, 2)], .f32, Shape(4, 2)),
        .gives(.sum, [f32(4, 2)], .f32, Shape(1)),
        .gives(.sumRows, [f32(4, 2, 3)], .f32, Shape(1, 2, 3)),
        .gives(.cumsum, [f32(4, 2)], .f32, Shape(4, 2)),
        .refuses(.cumsum, [f16(4, 2)]),
        .gives(.mean, [f16(4, 2)], .f32, Shape(1, 2)),
        .gives(.argmax, [f32(4, 2)], .i32, Shape(2)),
        .refuses(.argmax, [f32(4, 2, 2)]),
        .refuses(.argmax, [f32(1 << 32)]),
        .gives(.countEqual, [i32(4, 2), i32(4, 2)], .i64, Shape(1)),
        .refuses(.countEqual, [i32(4, 2), i32(4)]),
        .gives(.argsort(.descending), [f32(4, 2)], .i32, Shape(4, 2)),
        .gives(.topK(count: 3), [f32(8, 2)], .i32, Shape(3, 2)),
        .refuses(.topK(count: 9), [f32(8, 2)]),
        .refuses(.topK(count: 0), [f32(8, 2)]),
        .gives(.matMul(precision: .standard), [tensor(.q4_K, 256, 7), f32(256, 3, 4, 2)], .f32, Shape(7, 3, 4, 2)),
        .gives(.matMul(precision: .f32), [f16(8, 7, 2, 1), f32(8, 3, 4, 2)], .f32, Shape(7, 3, 4, 2)),
        .gives(
            .matMul(precision: .standard), [f16(3, 8, 7).swapped(0, 1).swapped(1, 2), f32(8, 5, 3)], .f32, Shape(7, 5, 3)),
        .refuses(.matMul(precision: .standard), [f32(8, 7, 3), f32(8, 3, 4)]),
        .refuses(.matMul(precision: .standard), [f32(7, 7), f32(8, 3)]),
        .refuses(.matMul(precision: .standard), [f32(7, 8).swapped(0, 1), f32(8, 3)]),
        .refuses(.matMul(precision: .standard), [f32(8, 7, 0), f32(8, 3, 0)]),
        .gives(.matMulID, [f32(8, 7, 4), f32(8, 1, 5), i32(2, 5)], .f32, Shape(7, 2, 5)),
        .gives(.matMulID, [f32(8, 7, 4), f32(8, 2, 5), i32(2, 5)], .f32, Shape(7, 2, 5)),
        .refuses(.matMulID, [f32(8, 7, 4), f32(8, 3, 5), i32(2, 5)]),
        .refuses(.matMulID, [f32(8, 7, 4), f32(8, 1, 5), i32(2, 4)]),
        .gives(.outProd, [f32(5, 3), f32(7, 3, 2)], .f32, Shape(5, 7, 2)),
        .refuses(.outProd, [f32(5, 3), f32(7, 4)]),
        .gives(.solveTri, [f32(4, 4, 2), f32(3, 4, 2)], .f32, Shape(3, 4, 2)),
        .refuses(.solveTri, [f32(4, 3), f32(3, 4)]),
    ]

    static let movement: [InferenceCase] = [
        .refuses(.none, []),
        .allows(.repeat, [f32(4, 1, 2)], .f32, Shape(8, 3, 2)),
        .refuses(.repeat, [f32(4)]),
        .refuses(.repeat, [f32(4)], declared: .init(.f32, Shape(6))),
        .allows(.repeatBack, [f32(8, 3)], .f32, Shape(4)),
        .refuses(.repeatBack, [f32(8, 3)], declared: .init(.f32, Shape(5))),
        .gives(.concat(dimension: 1), [f32(4, 2), f32(4, 3)], .f32, Shape(4, 5)),
        .refuses(.concat(dimension: 0), [f32(4, 2), f32(4, 3)]),
        .refuses(.concat(dimension: 4), [f32(4, 2), f32(4, 2)]),
        .refuses(.concat(dimension: -1), [f32(4, 2), f32(4, 2)]),
        .refuses(.concat(dimension: 1), [f32(0, .max), f32(0, 1)]),
        .gives(.cpy, [f32(4, 2), f16(8)], .f16, Shape(8)),
        .allows(.cpy, [f32(32, 2)], .q8_0, Shape(32, 2)),
        .refuses(.cpy, [f32(4, 2), f16(7)]),
        .refuses(.cpy, [f32(33)], declared: .init(.q8_0, Shape(33))),
        .gives(.cont, [f32(4, 2).swapped(0, 1)], .f32, Shape(2, 4)),
        .allows(.cont, [f32(4, 2)], .f32, Shape(8)),
        .refuses(.cont, [f32(4, 2)], declared: .init(.f32, Shape(9))),
        .allows(.reshape, [f32(4, 2)], .f32, Shape(2, 2, 2)),
        .refuses(.reshape, [f32(4, 2).swapped(0, 1)], declared: .init(.f32, Shape(8))),
        .refuses(.reshape, [f32(4, 2)], declared: .init(.f32, Shape(7))),
        .allows(.view(byteOffset: 8), [f32(4, 2)], .f32, Shape(2)),
        .gives(.permute(axes: SIMD4(0, 2, 1, 3)), [f32(4, 2, 3)], .f32, Shape(4, 3, 2)),
        .gives(.permute(axes: SIMD4(1, 2, 0, 3)), [f32(4, 2, 3)], .f32, Shape(3, 4, 2)),
        .refuses(.permute(axes: SIMD4(0, 0, 1, 3)), [f32(4)]),
        .refuses(.permute(axes: SIMD4(0, 1, 2, 4)), [f32(4)]),
        .gives(.transpose, [f32(4, 2)], .f32, Shape(2, 4)),
        .gives(.getRows, [tensor(.q4_0, 64, 9), i32(5)], .f32, Shape(64, 5)),
        .gives(.getRows, [i32(6, 9, 2), i32(5, 2)], .i32, Shape(6, 5, 2)),
        .refuses(.getRows, [f32(6, 9, 2), i32(5, 3)]),
        .refuses(.getRows, [f32(6, 9), f32(5)]),
        .allows(.getRowsBack, [f32(6, 5), i32(5)], .f32, Shape(6, 9)),
        .allows(.getRowsBack, [f32(6, 5), i32(2)], .f32, Shape(6, 9)),
        .refuses(.getRowsBack, [f32(6, 5), i32(6)], declared: .init(.f32, Shape(6, 9))),
        .gives(.setRows, [f32(64, 5), tensor(.i64, 5), tensor(.q8_0, 64, 9)], .q8_0, Shape(64, 9)),
        .refuses(.setRows, [f32(64, 5), tensor(.i64, 4), f16(64, 9)]),
        .refuses(.setRows, [f32(64, 5), f32(5), f16(64, 9)]),
        .refuses(.setRows, [f32(64, 5), tensor(.i64, 5, 0), f16(64, 9)]),
        .gives(.diag, [f32(4, 1, 2)], .f32, Shape(4, 4, 2)),
        .refuses(.diag, [f32(4, 2)]),
        .gives(.diagMaskInf(past: 2), [f32(4, 4)], .f32, Shape(4, 4)),
        .gives(.diagMaskZero(past: 0), [f32(4, 4)], .f32, Shape(4, 4)),
        .refuses(.diagMaskZero(past: -1), [f32(4, 4)]),
        .gives(.roll(shifts: SIMD4(3, -1, 0, 0)), [f32(4, 2)], .f32, Shape(4, 2)),
        .refuses(.roll(shifts: SIMD4(4, 0, 0, 0)), [f32(4, 2)]),
        .refuses(.roll(shifts: SIMD4(.min, 0, 0, 0)), [f32(4, 2)]),
        .gives(.arange(start: 0, stop: 10, step: 3), [], .f32, Shape(4)),
        .refuses(.arange(start: 1, stop: 1, step: 1), []),
        .refuses(.arange(start: 0, stop: 1, step: 0), []),
        .refuses(.arange(start: 0, stop: 1, step: -1), []),
        .refuses(.arange(start: 0, stop: .infinity, step: 1), []),
        .refuses(.arange(start: .nan, stop: 1, step: 1), []),
        .refuses(.arange(start: 0, stop: 3e38, step: 1e-30), []),
        .gives(.timestepEmbedding(dimension: 7, maxPeriod: 100), [f32(3)], .f32, Shape(7, 3)),
        .refuses(.timestepEmbedding(dimension: 0, maxPeriod: 100), [f32(3)]),
        .gives(.mapCustom1, [f32(4)], .f32, Shape(4)),
        .gives(.mapCustom2, [f32(4), f32(2)], .f32, Shape(4)),
        .gives(.mapCustom3, [f32(4), f32(2), f32(1)], .f32, Shape(4)),
        .allows(.custom, [f32(4), nil, f32(2)], .i32, Shape(3)),
    ]
}
