import Kernels
import Tensor
import TestSupport
import Testing

/// Convolutions and what they are made of, against their definitions.
@Suite struct ConvolutionTests {
    static let window = Window2D(stride: SIMD2(2, 1), padding: SIMD2(2, 1), dilation: SIMD2(1, 2))

    /// The element at a place that may lie outside.
    private static func element(_ image: Dense, _ x: Int, _ y: Int, _ c: Int, _ n: Int) -> Float {
        x >= 0 && x < image.shape[0] && y >= 0 && y < image.shape[1] ? image[x, y, c, n] : 0
    }

    /// What lies under the kernel's element (kx, ky) at place (px, py).
    private static func element(
        _ image: Dense, _ w: Window2D, _ px: Int, _ py: Int, _ kx: Int, _ ky: Int, _ c: Int, _ n: Int
    ) -> Float {
        element(
            image, px * Int(w.stride.x) + kx * Int(w.dilation.x) - Int(w.padding.x),
            py * Int(w.stride.y) + ky * Int(w.dilation.y) - Int(w.padding.y), c, n)
    }

    private static func convolved(_ kernel: Dense, _ image: Dense, _ w: Window2D, _ shape: Shape) -> Dense {
        Dense(shape) { px, py, output, n in
            var sum = 0.0
            for c in 0..<kernel.shape[2] {
                for ky in 0..<kernel.shape[1] {
                    for kx in 0..<kernel.shape[0] {
                        sum += Double(kernel[kx, ky, c, output] * element(image, w, px, py, kx, ky, c, n))
                    }
                }
            }
            return Float(sum)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func convolvesImagesOfAnyStrides(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 31)
        for (width, outputs, isHalf) in [(9, 5, false), (40, 17, true), (1, 1, false)] {
            var kernel = Dense.random(Shape(3, 2, 4, outputs), &random)
            let channelsFirst = Dense.random(Shape(4, width, 11, 2), &random)
            let image = channelsFirst.permuted([2, 0, 1, 3])
            let test = GraphUnderTest()
            let weights = isHalf ? test.halves(&kernel) : test.floats(kernel)
            let source = test.builder.permute(test.floats(channelsFirst), (2, 0, 1, 3))
            let result = test.builder.node("", .conv2D(Self.window), [weights, source])
            let shape = test.builder[result].shape
            let expected = Self.convolved(kernel, image, Self.window, shape)
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    /// The kernel reaches over one element too many, with steps of two.
    @Test func findsAPlaceForAKernelThatIsALittleTooLarge() throws {
        var random = SeededRandom(seed: 32)
        let kernel = Dense.random(Shape(6, 1, 2, 3), &random)
        let image = Dense.random(Shape(5, 1, 2), &random)
        let window = Window2D(stride: SIMD2(2, 1))
        for given in BackendUnderTest.all {
            let test = GraphUnderTest()
            let result = test.builder.node("", .conv2D(window), [test.floats(kernel), test.floats(image)])
            let expected = Self.convolved(kernel, image, window, Shape(1, 1, 3))
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func convolvesVolumes(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 33)
        let window = Window3D(stride: SIMD3(1, 2, 1), padding: SIMD3(1, 0, 2), dilation: SIMD3(2, 1, 1))
        for depth in [3, 0] {
            let kernel = Dense.random(Shape(3, 2, depth, 2 * 5), &random)
            let volume = Dense.random(Shape(7, 6, 5, 2 * 3), &random)
            let test = GraphUnderTest()
            let parameters = Convolution3DParameters(window, channels: 2, batch: 3, outputs: 5)
            let result = test.builder.node("", .conv3D(parameters), [test.floats(kernel), test.floats(volume)])
            let expected = Dense(test.builder[result].shape) { px, py, pz, outer in
                var sum: Float = 0
                for c in 0..<2 {
                    for kz in 0..<depth {
                        for ky in 0..<2 {
                            for kx in 0..<3 {
                                let z = pz + kz - 2
                                if z < 0 || z >= 5 { continue }
                                let value = Self.element(volume, px + 2 * kx - 1, 2 * py + ky, z, outer / 5 * 2 + c)
                                sum += kernel[kx, ky, kz, outer % 5 * 2 + c] * value
                            }
                        }
                    }
                }
                return sum
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func convolvesEachChannelByItself(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 34)
        for channelsFirst in [false, true] {
            var kernel = Dense.random(Shape(3, 2, 1, 5), &random)
            let shape = channelsFirst ? Shape(5, 12, 9, 2) : Shape(12, 9, 5, 2)
            let stored = Dense.random(shape, &random)
            let image = channelsFirst ? stored.permuted([2, 0, 1, 3]) : stored
            let test = GraphUnderTest()
            let weights = test.halves(&kernel)
            let input = test.floats(stored)
            let source = channelsFirst ? test.builder.permute(input, (2, 0, 1, 3)) : input
            let result = test.builder.node("", .conv2DDepthwise(Self.window), [weights, source])
            let extents = test.builder[result].shape
            let expected = Dense(extents) { px, py, c, n in
                var sum: Float = 0
                for ky in 0..<2 {
                    for kx in 0..<3 { sum += kernel[kx, ky, 0, c] * Self.element(image, Self.window, px, py, kx, ky, c, n) }
                }
                return sum
            }
            // The result lies as the image does.
            let found = try test.values(of: result, on: given.backend)
            let inOrder =
                channelsFirst
                ? Dense(Shape(extents[2], extents[0], extents[1], extents[3]), found).permuted([2, 0, 1, 3]).values : found
            #expect(largestError(inOrder, expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func laysWeightedKernelsDown(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 35)
        for stride in [1, 3] {
            var kernel = Dense.random(Shape(4, 2, 5, 7), &random)
            let image = Dense.random(Shape(9, 6, 7, 2), &random)
            let test = GraphUnderTest()
            let weights = test.halves(&kernel)
            let result = test.builder.node("", .convTranspose2D(stride: Int32(stride)), [weights, test.floats(image)])
            let expected = Dense(test.builder[result].shape) { x, y, output, n in
                var sum: Float = 0
                for iy in 0..<6 where y - iy * stride >= 0 && y - iy * stride < 2 {
                    for ix in 0..<9 where x - ix * stride >= 0 && x - ix * stride < 4 {
                        for c in 0..<7 {
                            sum += kernel[x - ix * stride, y - iy * stride, output, c] * image[ix, iy, c, n]
                        }
                    }
                }
                return sum
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func takesColumnsFromImagesAndPutsThemBack(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 36)
        let parameters = Im2colParameters(Self.window, is2D: true)
        let image = Dense.random(Shape(9, 8, 3, 2), &random)
        let kernel = Shape(3, 2, 3, 1)
        let columns = Dense(Shape(18, 6, 8, 2)) { i, px, py, n in
            Self.element(image, Self.window, px, py, i % 3, i / 3 % 2, i / 6, n)
        }
        let test = GraphUnderTest()
        let shape = test.floats(Dense(kernel) { _, _, _, _ in 0 })
        let result = test.builder.node(
            "", .im2col(parameters), [shape, test.floats(image)], declared: .init(.f32, columns.shape))
        #expect(try test.values(of: result, on: given.backend) == columns.values)

        // Sums of products do not care which of the two is turned into the other.
        let gradient = Dense.random(columns.shape, &random)
        let back = GraphUnderTest()
        let other = back.builder.node(
            "", .im2colBack(parameters),
            [back.floats(gradient), back.floats(Dense(kernel) { _, _, _, _ in 0 })], declared: .init(.f32, image.shape))
        let found = try back.values(of: other, on: given.backend)
        let left = zip(found, image.values).reduce(0.0) { $0 + Double($1.0 * $1.1) }
        let right = zip(gradient.values, columns.values).reduce(0.0) { $0 + Double($1.0 * $1.1) }
        #expect(abs(left - right) < 1e-3)
    }

    @Test(arguments: BackendUnderTest.all)
    func addsColumnsUpToASignal(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 37)
        let columns = Dense.random(Shape(5 * 3, 7), &random)
        let test = GraphUnderTest()
        let result = test.builder.node("", .col2im1D(stride: 2, channels: 3, padding: 1), [test.floats(columns)])
        let expected = Dense(Shape(15, 3)) { t, c, _, _ in
            (0..<7).reduce(Float(0)) { sum, step in
                let k = t + 1 - 2 * step
                return k >= 0 && k < 5 ? sum + columns[c * 5 + k, step, 0, 0] : sum
            }
        }
        #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-6)
    }

    /// Shapes without elements may be as large as they like; only what is there may cost time.
    @Test func spendsNoTimeOnShapesWithoutElements() throws {
        let given = try #require(BackendUnderTest.all.first)
        let wide = Int(Int32.max)
        let window = Window2D(padding: SIMD2(.max, 1 << 29))
        let back = GraphUnderTest()
        let sources = [
            back.input(.f32, Shape(0, 2 * wide + 4, (1 << 30) + 4), []), back.input(.f32, Shape(0, 0, 1), []),
        ]
        let operation = GraphOperation.im2colBack(Im2colParameters(window, is2D: true))
        let graph = try back.node(operation, sources, .f32, Shape(3, 3))
        let found = try back.values(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend)
        #expect(found == [Float](repeating: 0, count: 9))
    }

    static let hostile: [Window2D] = [
        Window2D(stride: SIMD2(0, 1)), Window2D(stride: SIMD2(1, -1)), Window2D(stride: SIMD2(.min, 1)),
        Window2D(padding: SIMD2(-1, 0)), Window2D(padding: SIMD2(.min, 0)), Window2D(dilation: SIMD2(0, 1)),
        Window2D(dilation: SIMD2(.max, 1)), Window2D(padding: SIMD2(.max, .max)),
        Window2D(padding: SIMD2(.max, .max), dilation: SIMD2(.max, .max)),
    ]

    @Test(arguments: hostile)
    func refusesWindowsThatMakeNoSense(_ window: Window2D) throws {
        let given = try #require(BackendUnderTest.all.first)
        let image = Dense(Shape(9, 8, 3, 2)) { _, _, _, _ in 1 }
        let depthwise = Dense(Shape(3, 2, 1, 3)) { _, _, _, _ in 1 }
        let kernel = Dense(Shape(3, 2, 3, 1)) { _, _, _, _ in 1 }
        let operations: [(GraphOperation, Dense)] = [
            (.conv2D(window), kernel), (.conv2DDepthwise(window), depthwise),
            (.im2col(Im2colParameters(window, is2D: true)), kernel),
        ]
        for (operation, weights) in operations {
            let test = GraphUnderTest()
            let sources = [test.floats(weights), test.floats(image)]
            let graph = try test.node(operation, sources, .f32, Shape(6, 8, 3, 2))
            #expect(throws: BackendError.self) { try given.backend.prepare(graph) }
        }
    }
}
