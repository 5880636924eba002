import Kernels
import Tensor
import Testing

/// Next to an extent of 0 another may be anything up to the largest number: room for a row of it must not be reckoned with
/// arithmetic that traps.
@Suite struct EndlessRowTests {
    static let operations: [GraphOperation] = [
        .sum, .sumRows, .mean, .cumsum, .argmax, .countEqual, .norm(epsilon: 0), .rmsNorm(epsilon: 0),
        .rmsNormBack(epsilon: 0), .l2Norm(epsilon: 0), .groupNorm(groups: 3, epsilon: 0),
        .softMax(scale: 1, maxBias: 0), .softMaxBack(scale: 1, maxBias: 0), .argsort(.ascending), .topK(count: 3),
        .rope(RopeParameters(dimensions: 8, mode: .neox)), .ropeBack(RopeParameters(dimensions: 8, mode: .normal)),
        .rope(RopeParameters(dimensions: 8, mode: .multi, sections: SIMD4(1, 1, 1, 1))), .crossEntropyLoss,
        .crossEntropyLossBack, .optStepAdamW, .optStepSGD,
        .pad(PadParameters(before: SIMD4(1, 2, 3, 4), after: SIMD4(4, 3, 2, 1))),
        .pad(PadParameters(before: SIMD4(1, 0, 0, 0), after: .zero, circular: true)),
        .padReflect1D(before: 1, after: 1), .roll(shifts: SIMD4(0, 0, 0, 0)),
        .timestepEmbedding(dimension: 8, maxPeriod: 10), .winPart(columnCount: 0, rowCount: 1, window: 4),
        .winUnpart(window: 4), .getRelPos, .addRelPos(inPlace: false), .add, .unary(.silu), .cont,
        .glu(GLUParameters(.swiglu)),
        .add1, .addID, .siluBack, .getRows, .getRowsBack, .setRows, .fill(value: 1), .diag, .diagMaskInf(past: 1), .tri(.lower),
        .acc(SetParameters(stride1: 0, stride2: 0, stride3: 0, byteOffset: 0, inPlace: false)),
        .set(SetParameters(stride1: 0, stride2: 0, stride3: 0, byteOffset: 0, inPlace: true)),
    ]

    @Test func trapsNowhere() throws {
        let backend = try CPUBackend(threads: 2)
        let extents = [Int.max, Int.max - 1, 1 << 62, 1 << 44, 0]
        for operation in EndlessRowTests.operations {
            for type in [ElementType.f32, .f16, .i32] {
                for long in extents {
                    for shape in [Shape(long, 0), Shape(long, 1, 0), Shape(0, long), Shape(8, long, 0), Shape(8, 0, 1, long)] {
                        for output in [shape, Shape(1, shape[1], shape[2], shape[3]), Shape(1)] {
                            let strides = Strides(type.bytesPerBlock, 0, 0, 0)
                            let leaf = Tensor(name: "x", type: type, shape: shape, strides: strides, flags: .input)
                            let result = Tensor(
                                name: "y", type: type, shape: output, strides: strides, operation: operation,
                                sources: [TensorID](repeating: TensorID(0), count: 2), flags: [.compute, .output])
                            let graph = Graph(tensors: [leaf, result], nodes: [TensorID(1)])
                            let isSupported = backend.supports(TensorID(1), of: graph)
                            let isPrepared = (try? backend.prepare(graph)) != nil
                            #expect(isSupported || !isPrepared)
                        }
                    }
                }
            }
        }
    }
}
