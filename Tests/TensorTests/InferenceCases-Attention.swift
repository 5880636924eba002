import Tensor

extension InferenceCases {
    static func rope(_ mode: RopeParameters.Mode, _ dimensions: Int, sections: SIMD4<Int32> = .zero, offset: Int = 0)
        -> RopeParameters
    {
        RopeParameters(dimensions: dimensions, mode: mode, sections: sections, offset: offset)
    }

    static let flash = FlashAttentionParameters(scale: 1)
    static let biased = FlashAttentionParameters(scale: 1, maxBias: 8)

    static let attention: [InferenceCase] = [
        .gives(.softMax(scale: 1, maxBias: 0), [f32(8, 3, 4)], .f32, Shape(8, 3, 4)),
        .gives(.softMax(scale: 1, maxBias: 8), [f32(8, 3, 4), f16(8, 32), f32(4)], .f32, Shape(8, 3, 4)),
        .refuses(.softMax(scale: 1, maxBias: 8), [f32(8, 3, 4)]),
        .refuses(.softMax(scale: 1, maxBias: 0), [f32(8, 3, 4), f16(7, 32)]),
        .refuses(.softMax(scale: 1, maxBias: 0), [f32(8, 3, 4), f16(8, 2)]),
        .refuses(.softMax(scale: 1, maxBias: 0), [f32(8, 3, 4), nil, f32(3)]),
        .gives(.softMaxBack(scale: 1, maxBias: 0), [f32(8, 3), f32(8, 3)], .f32, Shape(8, 3)),
        .gives(.rope(rope(.normal, 6)), [f32(8, 2, 5), i32(5)], .f32, Shape(8, 2, 5)),
        .gives(.rope(rope(.neox, 4, offset: 4)), [f32(8, 2, 5), i32(5), f32(2)], .f32, Shape(8, 2, 5)),
        .gives(.rope(rope(.multi, 8, sections: SIMD4(2, 1, 1, 0))), [f32(8, 2, 5), i32(20)], .f32, Shape(8, 2, 5)),
        .gives(.ropeBack(rope(.vision, 4, sections: SIMD4(2, 2, 0, 0))), [f32(8, 2, 5), i32(20)], .f32, Shape(8, 2, 5)),
        .refuses(.rope(rope(.multi, 8)), [f32(8, 2, 5), i32(20)]),
        .refuses(.rope(rope(.multi, 8, sections: SIMD4(.max, .min, 1, 0))), [f32(8, 2, 5), i32(20)]),
        .refuses(.rope(rope(.normal, 10)), [f32(8, 2, 5), i32(5)]),
        .refuses(.rope(rope(.normal, 5)), [f32(8, 2, 5), i32(5)]),
        .refuses(.rope(rope(.normal, 6, offset: 4)), [f32(8, 2, 5), i32(5)]),
        .refuses(.rope(rope(.normal, 6, offset: .max)), [f32(8, 2, 5), i32(5)]),
        .refuses(.rope(rope(.normal, 6)), [f32(8, 2, 5), i32(4)]),
        .refuses(.rope(rope(.normal, 6)), [f32(8, 2, 5), f32(5)]),
        .refuses(.rope(rope(.normal, 6)), [f32(8, 2, 5), i32(5), f32(2)]),
        .gives(
            .flashAttention(flash), [f32(64, 5, 8, 2), f16(64, 32, 4, 1), f16(96, 32, 4, 1)], .f32, Shape(96, 8, 5, 2)),
        .gives(
            .flashAttention(biased), [f32(64, 5, 8), tensor(.q8_0, 64, 32, 4), tensor(.q8_0, 64, 32, 4), f16(32, 5), f32(8)],
            .f32, Shape(64, 8, 5)),
        .refuses(.flashAttention(biased), [f32(64, 5, 8), f16(64, 32, 4), f16(64, 32, 4)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 3), f16(64, 32, 3)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 4), f16(64, 31, 4)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 4), f16(64, 32, 4), f16(31, 5)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 4), f16(64, 32, 4), f16(32, 4)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 4), f16(64, 32, 4), nil, f32(4)]),
        .refuses(.flashAttention(flash), [f32(64, 5, 8), f16(64, 32, 0), f16(64, 32, 0)]),
        .gives(
            .flashAttentionBack(masked: true), [f32(3, 5, 2), f32(3, 7, 2), f32(7, 3, 2), f32(3, 5, 2)], .f32,
            Shape(32 + 44 + 44)),
        .refuses(.flashAttentionBack(masked: true), [f32(3, 5, 2), f32(3, 7, 2), f32(6, 3, 2), f32(3, 5, 2)]),
        .gives(.lightningIndexer, [f32(16, 4, 5), f16(16, 1, 9), f32(4, 5), f16(9, 5)], .f32, Shape(9, 5)),
        .refuses(.lightningIndexer, [f32(16, 4, 5), f16(16, 1, 9), f32(4, 5), f16(8, 5)]),
        .refuses(.lightningIndexer, [f32(16, 4, 5), f16(16, 2, 9), f32(4, 5), f16(9, 5)]),
        .gives(.getRelPos, [f16(8, 9)], .f16, Shape(8, 5, 5)),
        .refuses(.getRelPos, [f16(8, 8)]),
        .gives(.addRelPos(inPlace: true), [f32(9, 20, 2), f32(3, 4, 5, 2), f32(3, 4, 5, 2)], .f32, Shape(9, 20, 2)),
        .refuses(.addRelPos(inPlace: false), [f32(9, 20, 2), f32(3, 4, 5, 2), f32(3, 5, 4, 2)]),
        .refuses(.addRelPos(inPlace: false), [f32(8, 20, 2), f32(3, 4, 5, 2), f32(3, 4, 5, 2)]),
        .gives(.winPart(columnCount: 3, rowCount: 2, window: 4), [f32(6, 10, 8)], .f32, Shape(6, 4, 4, 6)),
        .refuses(.winPart(columnCount: 2, rowCount: 2, window: 4), [f32(6, 10, 8)]),
        .refuses(.winPart(columnCount: 2, rowCount: 2, window: 0), [f32(6, 10, 8)]),
        .allows(.winUnpart(window: 4), [f32(6, 4, 4, 6)], .f32, Shape(6, 10, 8)),
        .refuses(.winUnpart(window: 4), [f32(6, 4, 4, 5)], declared: .init(.f32, Shape(6, 10, 8))),
        .refuses(.winUnpart(window: -4), [f32(6, 4, 4, 6)], declared: .init(.f32, Shape(6, 10, 8))),
    ]

    static let window = Window2D(stride: SIMD2(2, 1), padding: SIMD2(1, 0), dilation: SIMD2(1, 2))
    static let stuck = Window2D(stride: SIMD2(0, 1))
    static let volume = Window3D(stride: SIMD3(2, 1, 1), padding: SIMD3(1, 0, 0), dilation: SIMD3(1, 2, 1))
    static let pool = Pool2DParameters(.average, size: SIMD2(2, 3), stride: SIMD2(2, 1), padding: SIMD2(0, 1))
    static let around = PadParameters(before: SIMD4(1, 0, 0, 0), after: SIMD4(2, 3, 0, 0), circular: true)

    static let convolutions: [InferenceCase] = [
        .gives(.convTranspose1D(stride: 2), [f32(3, 5, 4), f32(7, 4)], .f32, Shape(15, 5)),
        .refuses(.convTranspose1D(stride: 2), [f32(3, 5, 4), f32(7, 3)]),
        .refuses(.convTranspose1D(stride: -2), [f32(3, 5, 4), f32(7, 4)]),
        .allows(.im2col(Im2colParameters(window, is2D: true)), [f16(3, 3, 4, 5), f32(9, 8, 4, 2)], .f16, Shape(36, 5, 4, 2)),
        .allows(.im2col(Im2colParameters(Window2D(), is2D: false)), [f16(3, 4, 5), f32(9, 4, 2)], .f32, Shape(12, 7, 2)),
        .refuses(
            .im2col(Im2colParameters(window, is2D: true)), [f16(3, 3, 4, 5), f32(9, 8, 4, 2)],
            declared: .init(.i32, Shape(1))),
        .refuses(
            .im2col(Im2colParameters(stuck, is2D: true)), [f16(3, 3, 4, 5), f32(9, 8, 4, 2)], declared: .init(.f32, Shape(1))),
        .allows(.im2colBack(Im2colParameters(window, is2D: true)), [f32(36, 5, 4, 2), f16(3, 3, 4, 5)], .f32, Shape(9, 8, 4, 2)),
        .refuses(
            .im2colBack(Im2colParameters(window, is2D: true)), [f32(36, 5, 3, 2), f16(3, 3, 4, 5)],
            declared: .init(.f32, Shape(9, 8, 4, 2))),
        .allows(.im2col3D(volume, channels: 2), [f16(3, 3, 2, 8), f32(9, 8, 6, 4)], .f16, Shape(36, 5, 4, 10)),
        .refuses(
            .im2col3D(volume, channels: 0), [f16(3, 3, 2, 8), f32(9, 8, 6, 4)], declared: .init(.f16, Shape(36, 5, 4, 10))),
        .gives(.col2im1D(stride: 2, channels: 5, padding: 1), [f32(15, 7)], .f32, Shape(13, 5)),
        .refuses(.col2im1D(stride: 2, channels: 4, padding: 1), [f32(15, 7)]),
        .refuses(.col2im1D(stride: 2, channels: 5, padding: 100), [f32(15, 7)]),
        .gives(.conv2D(window), [f16(3, 3, 4, 5), f32(9, 8, 4, 2)], .f32, Shape(5, 4, 5, 2)),
        .refuses(.conv2D(window), [f16(3, 3, 3, 5), f32(9, 8, 4, 2)]),
        .gives(.conv2D(window), [f16(12, 3, 4, 5), f32(9, 8, 4, 2)], .f32, Shape(1, 4, 5, 2)),
        .refuses(.conv2D(window), [f16(13, 3, 4, 5), f32(9, 8, 4, 2)]),
        .refuses(.conv2D(window), [f16(.max, 3, 0, 5), f32(9, 8, 0, 2)]),
        .gives(
            .conv3D(Convolution3DParameters(volume, channels: 2, batch: 3, outputs: 4)), [f16(3, 3, 2, 8), f32(9, 8, 6, 6)],
            .f32, Shape(5, 4, 5, 12)),
        .refuses(
            .conv3D(Convolution3DParameters(volume, channels: 2, batch: 3, outputs: 5)), [f16(3, 3, 2, 8), f32(9, 8, 6, 6)]),
        .gives(.conv2DDepthwise(window), [f16(3, 3, 1, 4), f32(9, 8, 4, 2)], .f32, Shape(5, 4, 4, 2)),
        .refuses(.conv2DDepthwise(window), [f16(3, 3, 1, 3), f32(9, 8, 4, 2)]),
        .gives(.convTranspose2D(stride: 2), [f16(3, 2, 5, 4), f32(7, 6, 4, 2)], .f32, Shape(15, 12, 5, 2)),
        .refuses(.convTranspose2D(stride: 0), [f16(3, 2, 5, 4), f32(7, 6, 4, 2)]),
        .gives(.pool1D(.maximum, size: 3, stride: 2, padding: 1), [f32(8, 2)], .f32, Shape(4, 2)),
        .refuses(.pool1D(.maximum, size: 11, stride: 2, padding: 1), [f32(8, 2)]),
        .gives(.pool2D(pool), [f32(8, 6, 3)], .f32, Shape(4, 6, 3)),
        .gives(.pool2DBack(pool), [f32(4, 6, 3), f32(8, 6, 3)], .f32, Shape(8, 6, 3)),
        .refuses(.pool2DBack(pool), [f32(4, 5, 3), f32(8, 6, 3)]),
        .allows(.upscale(UpscaleParameters(.bilinear, antialiases: true)), [f32(8, 6, 3)], .f32, Shape(4, 9, 3)),
        .refuses(.upscale(UpscaleParameters(.nearest, antialiases: true)), [f32(8)], declared: .init(.f32, Shape(4))),
        .refuses(.upscale(UpscaleParameters(.nearest)), [f32(0)], declared: .init(.f32, Shape(4))),
        .gives(.pad(around), [f32(4, 3)], .f32, Shape(7, 6)),
        .refuses(.pad(around), [f32(0, 3)]),
        .refuses(.pad(PadParameters(after: SIMD4(-1, 0, 0, 0))), [f32(4)]),
        .gives(.padReflect1D(before: 3, after: 1), [f32(4, 2)], .f32, Shape(8, 2)),
        .refuses(.padReflect1D(before: 4, after: 1), [f32(4, 2)]),
    ]

    static let recurrences: [InferenceCase] = [
        .gives(.ssmConv, [f32(9, 16, 2), f32(4, 16)], .f32, Shape(16, 6, 2)),
        .refuses(.ssmConv, [f32(9, 16, 2), f32(4, 15)]),
        .refuses(.ssmConv, [f32(2, 16, 2), f32(4, 16)]),
        .gives(
            .ssmScan(snapshots: 3),
            [f32(8, 4, 6, 9), f32(4, 6, 5, 2), f32(6, 5, 2), f32(1, 6), f32(8, 2, 5, 2), f32(8, 2, 5, 2), i32(2)], .f32,
            Shape(4 * 6 * 5 * 2 + 3 * 8 * 4 * 6 * 2)),
        .refuses(
            .ssmScan(snapshots: 3),
            [f32(8, 4, 6, 9), f32(4, 6, 5, 2), f32(6, 5, 2), f32(8, 6), f32(8, 2, 5, 2), f32(8, 2, 5, 2), i32(2)]),
        .refuses(
            .ssmScan(snapshots: 0),
            [f32(8, 4, 6, 9), f32(4, 6, 5, 2), f32(6, 5, 2), f32(1, 6), f32(8, 2, 5, 2), f32(8, 2, 5, 2), i32(2)]),
        .refuses(
            .ssmScan(snapshots: 1),
            [f32(8, 4, 6, 9), f32(4, 6, 5, 2), f32(6, 5, 2), f32(1, 6), f32(8, 4, 5, 2), f32(8, 4, 5, 2), i32(2)]),
        .gives(
            .rwkvWKV6, [f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2), f32(8, 2, 6), f32(128, 3)], .f32,
            Shape(16, 6 + 24)),
        .refuses(.rwkvWKV6, [f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8), f32(8, 2, 6), f32(128, 3)]),
        .refuses(.rwkvWKV6, [f32(8, 2, 6), f16(8, 2, 6), f32(8, 2, 6), f32(8, 2), f32(8, 2, 6), f32(128, 3)]),
        .gives(
            .gatedLinearAttention(scale: 1), [f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(128, 3)], .f32,
            Shape(16, 30)),
        .refuses(
            .gatedLinearAttention(scale: 1), [f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(128, 4)]),
        .gives(
            .rwkvWKV7,
            [f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(8, 2, 6), f32(128, 3)], .f32,
            Shape(16, 30)),
        .refuses(
            .rwkvWKV7,
            [f32(8, 2, 0), f32(8, 2, 0), f32(8, 2, 0), f32(8, 2, 0), f32(8, 2, 0), f32(8, 2, 0), f32(128, 0)]),
        .gives(
            .gatedDeltaNet(snapshots: 2),
            [f32(8, 2, 6, 3), f32(8, 2, 6, 3), f32(8, 4, 6, 3), f32(1, 4, 6, 3), f32(1, 4, 6, 3), f32(8, 8, 4, 3)], .f32,
            Shape(32, 18 + 48)),
        .refuses(
            .gatedDeltaNet(snapshots: 2),
            [f32(8, 3, 6, 3), f32(8, 3, 6, 3), f32(8, 4, 6, 3), f32(1, 4, 6, 3), f32(1, 4, 6, 3), f32(8, 8, 4, 3)]),
        .refuses(
            .gatedDeltaNet(snapshots: 2),
            [f32(8, 2, 6, 3), f32(8, 2, 6, 3), f32(8, 4, 6, 3), f32(2, 4, 6, 3), f32(1, 4, 6, 3), f32(8, 8, 4, 3)]),
        .gives(.dsv4HCComb(epsilon: 1e-6, iterations: 20), [f32(24, 7), f32(3), f32(24)], .f32, Shape(4, 4, 7)),
        .refuses(.dsv4HCComb(epsilon: 1e-6, iterations: 20), [f32(15, 7), f32(3), f32(15)]),
        .refuses(.dsv4HCComb(epsilon: 1e-6, iterations: 0), [f32(24, 7), f32(3), f32(24)]),
        .gives(.dsv4HCPre(scale: 1, gated: false), [f32(16, 4, 7), f32(4, 7)], .f32, Shape(16, 7)),
        .gives(.dsv4HCPre(scale: 1, gated: true), [f32(16, 4, 7), f32(16, 4, 7)], .f32, Shape(16, 7)),
        .refuses(.dsv4HCPre(scale: 1, gated: true), [f32(16, 4, 7), f32(4, 7)]),
        .gives(.dsv4HCPost, [f32(16, 7), f32(16, 4, 7), f32(4, 7), f32(4, 4, 7)], .f32, Shape(16, 4, 7)),
        .gives(.dsv4HCPost, [f32(16, 7), f32(16, 4, 7), f32(4, 7)], .f32, Shape(16, 4, 7)),
        .refuses(.dsv4HCPost, [f32(16, 7), f32(16, 4, 7), f32(4, 7), f32(4, 3, 7)]),
    ]

    static let training: [InferenceCase] = [
        .gives(.crossEntropyLoss, [f32(8, 3), f32(8, 3)], .f32, Shape(1)),
        .refuses(.crossEntropyLoss, [f32(8, 3), f32(8, 2)]),
        .gives(.crossEntropyLossBack, [f32(1), f32(8, 3), f32(8, 3)], .f32, Shape(8, 3)),
        .refuses(.crossEntropyLossBack, [f32(2), f32(8, 3), f32(8, 3)]),
        .gives(.optStepAdamW, [f32(8, 3), f32(8, 3), f32(8, 3), f32(8, 3), f32(7)], .f32, Shape(8, 3)),
        .refuses(.optStepAdamW, [f32(8, 3), f32(8, 3), f32(8, 3), f32(8, 3), f32(6)]),
        .gives(.optStepSGD, [f32(8, 3), f32(8, 3), f32(2)], .f32, Shape(8, 3)),
        .refuses(.optStepSGD, [f32(8, 3), f16(8, 3), f32(2)]),
    ]
}
