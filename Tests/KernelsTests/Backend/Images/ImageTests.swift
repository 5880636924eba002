import Kernels
import Tensor
import TestSupport
import Testing

/// Pooling and scaling against their definitions.
@Suite struct ImageTests {
    @Test(arguments: BackendUnderTest.all)
    func poolsWhatLiesInWindows(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 41)
        let image = Dense.random(Shape(11, 8, 3, 2), &random)
        for kind in PoolKind.allCases {
            let parameters = Pool2DParameters(kind, size: SIMD2(3, 2), stride: SIMD2(2, 1), padding: SIMD2(1, 1))
            let test = GraphUnderTest()
            let result = test.builder.node("", .pool2D(parameters), [test.floats(image)])
            let expected = Dense(Shape(6, 9, 3, 2)) { px, py, c, n in
                var values: [Float] = []
                for y in max(0, py - 1)..<min(8, py + 1) {
                    for x in max(0, 2 * px - 1)..<min(11, 2 * px + 2) { values.append(image[x, y, c, n]) }
                }
                return kind == .maximum ? values.max() ?? 0 : values.reduce(0, +) / 6
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-6)
        }
    }

    /// Along one dimension padding does not count.
    @Test(arguments: BackendUnderTest.all)
    func poolsRows(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 42)
        let row = Dense.random(Shape(7, 3), &random)
        let test = GraphUnderTest()
        let result = test.builder.node("", .pool1D(.average, size: 3, stride: 3, padding: 1), [test.floats(row)])
        let expected = Dense(Shape(3, 3)) { place, i1, _, _ in
            let elements = max(0, 3 * place - 1)..<min(7, 3 * place + 2)
            return elements.reduce(Float(0)) { $0 + row[$1, i1, 0, 0] } / Float(elements.count)
        }
        #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-6)
    }

    @Test(arguments: BackendUnderTest.all)
    func givesGradientsBackToTheirWindows(_ given: BackendUnderTest) throws {
        let image = Dense(Shape(4, 2), [1, 5, 2, 2, 0, 3, 7, 1])
        let gradient = Dense(Shape(2, 1), [10, 20])
        let size = SIMD2<Int32>(2, 2)
        for (kind, expected) in [
            (PoolKind.maximum, [0, 10, 0, 0, 0, 0, 20, 0] as [Float]), (.average, [2.5, 2.5, 5, 5, 2.5, 2.5, 5, 5]),
        ] {
            let test = GraphUnderTest()
            let operation = GraphOperation.pool2DBack(Pool2DParameters(kind, size: size, stride: size))
            let result = test.builder.node("", operation, [test.floats(gradient), test.floats(image)])
            #expect(try test.values(of: result, on: given.backend) == expected)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func scalesRows(_ given: BackendUnderTest) throws {
        let row = Dense(Shape(4, 1), [0, 4, 8, 16])
        // Averaged elements have weights 3/4, 3/4 and 1/4: a triangle of half-width 2 around the first two's edge.
        let cases: [(UpscaleParameters, Int, [Float])] = [
            (.init(.nearest), 8, [0, 0, 4, 4, 8, 8, 16, 16]),
            (.init(.nearest), 2, [0, 8]),
            (.init(.bilinear), 8, [0, 1, 3, 5, 7, 10, 14, 16]),
            (.init(.bilinear, alignsCorners: true), 7, [0, 2, 4, 6, 8, 12, 16]),
            (.init(.bicubic, alignsCorners: true), 4, [0, 4, 8, 16]),
            (.init(.bilinear, antialiases: true), 2, [5 / 1.75, 19 / 1.75]),
        ]
        for (parameters, width, expected) in cases {
            let test = GraphUnderTest()
            let result = test.builder.node(
                "", .upscale(parameters), [test.floats(row)], declared: .init(.f32, Shape(width, 1)))
            let found = try test.values(of: result, on: given.backend)
            #expect(largestError(found, expected) < 1e-6, "\(parameters)")
        }
    }

    /// Rows are mixed as elements are: scaling the transposed image gives the transposed result.
    @Test(arguments: BackendUnderTest.all)
    func scalesTransposedImages(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 43)
        let image = Dense.random(Shape(5, 7, 2, 3), &random)
        for mode in UpscaleParameters.Mode.allCases {
            let straight = GraphUnderTest()
            let first = straight.builder.node(
                "", .upscale(.init(mode)), [straight.floats(image)], declared: .init(.f32, Shape(9, 4, 3, 3)))
            let turned = GraphUnderTest()
            let source = turned.builder.permute(turned.floats(image), (1, 0, 2, 3))
            let second = turned.builder.node(
                "", .upscale(.init(mode)), [source], declared: .init(.f32, Shape(4, 9, 3, 3)))
            let a = Dense(Shape(9, 4, 3, 3), try straight.values(of: first, on: given.backend))
            let b = try turned.values(of: second, on: given.backend)
            #expect(largestError(b, a.permuted([1, 0, 2, 3]).values) < 1e-5, "\(mode)")
        }
    }
}
