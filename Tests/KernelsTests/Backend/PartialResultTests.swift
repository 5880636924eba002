import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Results of which a part comes from elsewhere, or from nothing at all.
@Suite struct PartialResultTests {
    @Test(arguments: BackendUnderTest.all)
    func addsAndSetsParts(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 81)
        let a = Dense.random(Shape(6, 5, 4, 3), &random)
        let b = Dense.random(Shape(4, 3, 2, 2), &random)
        for inPlace in [false, true] {
            let part = SetParameters(
                stride1: 24, stride2: 6 * 5 * 4, stride3: 6 * 5 * 4 * 4, byteOffset: 4 * (1 + 6 * 2 + 30), inPlace: inPlace)
            for adds in [false, true] {
                let test = GraphUnderTest()
                let result = test.builder.node("", adds ? .acc(part) : .set(part), [test.floats(a), test.floats(b)])
                let expected = Dense(a.shape) { i0, i1, i2, i3 in
                    guard (1..<5).contains(i0), (2..<5).contains(i1), (1..<3).contains(i2), i3 < 2 else {
                        return a[i0, i1, i2, i3]
                    }
                    let value = b[i0 - 1, i1 - 2, i2 - 1, i3]
                    return adds ? a[i0, i1, i2, i3] + value : value
                }
                #expect(try test.values(of: result, on: given.backend) == expected.values)
            }
        }
    }

    @Test func refusesPartsThatLeaveTheWhole() throws {
        let backend = try CPUBackend(threads: 1)
        let hostile = [
            (24, 120, 480, 1440), (24, 120, 480, -4), (-24, 120, 480, 0), (25, 120, 480, 0), (24, 120, 480, 2),
            (Int(Int32.max), 120, 480, 0), (24, .max, .max, 4), (24, 120, 480, .max),
        ]
        for (stride1, stride2, stride3, offset) in hostile {
            let part = SetParameters(
                stride1: stride1, stride2: stride2, stride3: stride3, byteOffset: offset, inPlace: false)
            for operation in [GraphOperation.acc(part), .set(part)] {
                let test = GraphUnderTest()
                let a = test.input(.f32, Shape(6, 5, 4, 3), [UInt8](repeating: 0, count: 1440))
                let b = test.input(.f32, Shape(6, 5, 2, 2), [UInt8](repeating: 0, count: 480))
                let graph = try test.node(operation, [a, b], .f32, Shape(6, 5, 4, 3))
                #expect(throws: (any Error).self, "\(operation)") { _ = try backend.prepare(graph) }
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func fillsAndCounts(_ given: BackendUnderTest) throws {
        let test = GraphUnderTest()
        let filled = test.builder.node("", .fill(value: -3.5), [test.floats(Dense(Shape(9000, 3)) { _, _, _, _ in 1 })])
        #expect(try test.values(of: filled, on: given.backend) == [Float](repeating: -3.5, count: 27000))
        let count = GraphUnderTest()
        let numbers = count.builder.node("", .arange(start: 2, stop: 50_001.5, step: 0.5), [])
        #expect(try count.values(of: numbers, on: given.backend) == (0..<99_999).map { 2 + 0.5 * Float($0) })
        let matrix = GraphUnderTest()
        let rows = Dense(Shape(7, 1, 3, 2)) { i0, _, i2, i3 in Float(1 + i0 + 10 * i2 + 100 * i3) }
        let diagonal = matrix.builder.node("", .diag, [matrix.floats(rows)])
        let expected = Dense(Shape(7, 7, 3, 2)) { i0, i1, i2, i3 in i0 == i1 ? rows[i0, 0, i2, i3] : 0 }
        #expect(try matrix.values(of: diagonal, on: given.backend) == expected.values)
    }

    @Test(arguments: BackendUnderTest.all)
    func keepsTrianglesAndWhatIsPast(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 82)
        let x = Dense.random(Shape(11, 11, 3, 2), &random)
        let triangles: [(TriangleKind, (Int, Int) -> Bool)] = [
            (.upperWithDiagonal, { $0 >= $1 }), (.upper, { $0 > $1 }), (.lowerWithDiagonal, { $0 <= $1 }),
            (.lower, { $0 < $1 }),
        ]
        for (kind, keeps) in triangles {
            let test = GraphUnderTest()
            let result = test.builder.node("", .tri(kind), [test.floats(x)])
            let expected = Dense(x.shape) { i0, i1, i2, i3 in keeps(i0, i1) ? x[i0, i1, i2, i3] : 0 }
            #expect(try test.values(of: result, on: given.backend) == expected.values, "\(kind)")
        }
        for past in [0, 4, Int(Int32.max)] {
            for (operation, value) in [
                (GraphOperation.diagMaskInf(past: past), -Float.infinity), (.diagMaskZero(past: past), 0),
            ] {
                let test = GraphUnderTest()
                let result = test.builder.node("", operation, [test.floats(x)])
                let expected = Dense(x.shape) { i0, i1, i2, i3 in i0 > past + i1 ? value : x[i0, i1, i2, i3] }
                #expect(try test.values(of: result, on: given.backend) == expected.values, "\(operation)")
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func sumsRowsByIndex(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 83)
        var rows = Dense.random(Shape(600, 9), &random)
        let places: [Int32] = [3, 0, 3, 1, 1, 3, 0, 0, 3]
        for isHalf in [true, false] {
            let test = GraphUnderTest()
            let gradient = isHalf ? test.halves(&rows) : test.floats(rows)
            let graph = try test.node(
                .getRowsBack, [gradient, test.integers(Shape(9), places)], .f32, Shape(600, 5))
            let expected = Dense(Shape(600, 5)) { i0, i1, _, _ in
                (0..<9).filter { places[$0] == i1 }.reduce(Float(0)) { $0 + rows[i0, $1, 0, 0] }
            }
            let found = try test.values(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend)
            #expect(found == expected.values)
        }
        let a = Dense.random(Shape(33, 2, 7), &random)
        let biases = Dense.random(Shape(33, 4), &random)
        let ids = (0..<14).map { _ in Int32.random(in: 0..<4, using: &random) }
        let test = GraphUnderTest()
        let sum = test.builder.node(
            "", .addID, [test.floats(a), test.floats(biases), test.integers(Shape(2, 7), ids)])
        let expected = Dense(a.shape) { i0, i1, i2, _ in a[i0, i1, i2, 0] + biases[i0, Int(ids[i2 * 2 + i1]), 0, 0] }
        #expect(try test.values(of: sum, on: given.backend) == expected.values)
    }

    @Test(arguments: [Int32(-1), 4, .min, .max])
    func reportsIndicesOutOfRange(_ index: Int32) throws {
        let backend = try CPUBackend(threads: 2)
        let zeros = Dense(Shape(8, 4)) { _, _, _, _ in 0 }
        let sum = GraphUnderTest()
        let back = try sum.node(
            .getRowsBack, [sum.floats(zeros), sum.integers(Shape(4), [0, 1, index, 2])], .f32, Shape(8, 4))
        #expect(throws: BackendError.self) {
            _ = try sum.values(of: TensorID(back.tensors.count - 1), in: back, on: backend)
        }
        let test = GraphUnderTest()
        let added = test.builder.node(
            "", .addID, [test.floats(zeros), test.floats(zeros), test.integers(Shape(4), [0, 1, index, 2])])
        #expect(throws: BackendError.self) { _ = try test.values(of: added, on: backend) }
    }

    @Test(arguments: BackendUnderTest.all)
    func addsOneValueAndDifferentiatesSiLU(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 84)
        let x = Dense.random(Shape(67, 5), &random, -6...6)
        let dy = Dense.random(Shape(67, 5), &random)
        let one = Dense(Shape(1), [2.25])
        let test = GraphUnderTest()
        let sum = test.builder.node("", .add1, [test.floats(x), test.floats(one)])
        #expect(try test.values(of: sum, on: given.backend) == x.values.map { $0 + 2.25 })
        let back = GraphUnderTest()
        let gradient = back.builder.node("", .siluBack, [back.floats(dy), back.floats(x)])
        let expected = zip(dy.values, x.values).map { dy, x in
            let s = 1 / (1 + exp(-Double(x)))
            return Float(Double(dy) * s * (1 + Double(x) * (1 - s)))
        }
        #expect(largestError(try back.values(of: gradient, on: given.backend), expected) < 1e-5)
    }
}
