import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// What moves elements: padding, rolling, windows, positions of windows; against the definitions, index by index.
@Suite struct PaddingTests {
    @Test(arguments: BackendUnderTest.all)
    func padsAllSides(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 81)
        let x = Dense.random(Shape(6, 5, 4, 3), &random)
        let pads: [(SIMD4<Int32>, SIMD4<Int32>)] = [
            (SIMD4(1, 3, 0, 2), SIMD4(2, 4, 1, 1)), (.zero, SIMD4(7, 0, 0, 0)), (SIMD4(6, 5, 4, 3), .zero),
            (.zero, SIMD4(20, 11, 1, 0)),
        ]
        for (before, after) in pads {
            for circular in [false, true] {
                for permuted in [false, true] {
                    let source = permuted ? x.permuted([1, 0, 3, 2]) : x
                    let parameters = PadParameters(before: before, after: after, circular: circular)
                    let test = GraphUnderTest()
                    var input = test.floats(x)
                    if permuted { input = test.builder.permute(input, (1, 0, 3, 2)) }
                    let result = test.builder.node("", .pad(parameters), [input])
                    var shape = source.shape
                    for dimension in 0..<4 { shape[dimension] += Int(before[dimension]) + Int(after[dimension]) }
                    let expected = Dense(shape) { i0, i1, i2, i3 in
                        var index = [i0, i1, i2, i3]
                        for dimension in 0..<4 {
                            let extent = source.shape[dimension]
                            index[dimension] -= Int(before[dimension])
                            if circular { index[dimension] = (index[dimension] + 100 * extent) % extent }
                            guard (0..<extent).contains(index[dimension]) else { return 0 }
                        }
                        return source[index[0], index[1], index[2], index[3]]
                    }
                    let found = try test.values(of: result, on: given.backend)
                    #expect(found == expected.values, "\(parameters), permuted \(permuted)")
                }
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func rollsAndReflects(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 82)
        let x = Dense.random(Shape(6, 5, 4, 3), &random)
        for shifts in [SIMD4<Int32>(3, -2, 1, -1), .zero, SIMD4(-5, 4, 0, 2)] {
            let test = GraphUnderTest()
            let result = test.builder.node("", .roll(shifts: shifts), [test.floats(x)])
            let expected = Dense(x.shape) { i0, i1, i2, i3 in
                let index = [i0, i1, i2, i3].enumerated().map { ($1 - Int(shifts[$0]) + 60) % x.shape[$0] }
                return x[index[0], index[1], index[2], index[3]]
            }
            #expect(try test.values(of: result, on: given.backend) == expected.values)
        }
        for (before, after) in [(2, 3), (0, 5), (5, 0)] {
            let test = GraphUnderTest()
            let operation = GraphOperation.padReflect1D(before: Int32(before), after: Int32(after))
            let result = test.builder.node("", operation, [test.floats(x)])
            let expected = Dense(Shape(6 + before + after, 5, 4, 3)) { i0, i1, i2, i3 in
                let i = abs(i0 - before)
                return x[i > 5 ? 10 - i : i, i1, i2, i3]
            }
            #expect(try test.values(of: result, on: given.backend) == expected.values)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func cutsWindowsAndJoinsThem(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 83)
        for (columns, rows, window) in [(9, 7, 4), (8, 4, 4), (3, 2, 5)] {
            let x = Dense.random(Shape(5, columns, rows), &random)
            let (across, down) = ((columns + window - 1) / window, (rows + window - 1) / window)
            let operation = GraphOperation.winPart(
                columnCount: Int32(across), rowCount: Int32(down), window: Int32(window))
            let test = GraphUnderTest()
            let parts = test.builder.node("", operation, [test.floats(x)])
            let expected = Dense(Shape(5, window, window, across * down)) { i0, i1, i2, i3 in
                let (column, row) = (i3 % across * window + i1, i3 / across * window + i2)
                return column < columns && row < rows ? x[i0, column, row, 0] : 0
            }
            #expect(try test.values(of: parts, on: given.backend) == expected.values)
            let other = GraphUnderTest()
            let cut = other.builder.node("", operation, [other.floats(x)])
            let declared = GraphOperation.Declaration(.f32, x.shape)
            let joined = other.builder.node("", .winUnpart(window: Int32(window)), [cut], declared: declared)
            #expect(try other.values(of: joined, on: given.backend) == x.values)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func findsAndAddsRelativePositions(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 84)
        var table = Dense.random(Shape(6, 9), &random)
        let test = GraphUnderTest()
        let found = try test.bytes(of: test.builder.node("", .getRelPos, [test.halves(&table)]), on: given.backend)
        let expected = Dense(Shape(6, 5, 5)) { i0, i1, i2, _ in table[i0, 4 - i1 + i2, 0, 0] }
        #expect(found.withUnsafeBytes { $0.bindMemory(to: Float16.self).map { Float($0) } } == expected.values)

        let x = Dense.random(Shape(16, 6, 2), &random)
        let columns = Dense.random(Shape(4, 3, 2, 2), &random)
        let rows = Dense.random(Shape(4, 3, 2, 2), &random)
        for inPlace in [false, true] {
            let adding = GraphUnderTest()
            let sources = [adding.floats(x), adding.floats(columns), adding.floats(rows)]
            let result = adding.builder.node("", .addRelPos(inPlace: inPlace), sources)
            let sums = Dense(x.shape) { i0, i1, i2, _ in
                x[i0, i1, i2, 0] + rows[i0 / 4, i1 % 3, i1 / 3, i2] + columns[i0 % 4, i1 % 3, i1 / 3, i2]
            }
            #expect(largestError(try adding.values(of: result, on: given.backend), sums.values) < 1e-6)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func embedsTimesteps(_ given: BackendUnderTest) throws {
        for dimension in [1, 2, 7, 320] {
            let steps: [Float] = [0, 1, 37.5, 999]
            let test = GraphUnderTest()
            let operation = GraphOperation.timestepEmbedding(dimension: Int32(dimension), maxPeriod: 10_000)
            let result = test.builder.node("", operation, [test.floats(Dense(Shape(4), steps))])
            let half = dimension / 2
            let expected = Dense(Shape(dimension, 4)) { i0, i1, _, _ in
                if i0 >= 2 * half { return 0 }
                let angle = Double(steps[i1]) * pow(10_000, -Double(i0 % half) / Double(half))
                return Float(i0 < half ? Foundation.cos(angle) : Foundation.sin(angle))
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 2e-4)
        }
    }

    /// Parameters are any 32 bits: what makes no sense is refused, never computed with.
    @Test func refusesParametersWithoutSense() throws {
        let backend = try CPUBackend(threads: 1)
        let extremes: [Int32] = [-1, .min, .max]
        var operations: [GraphOperation] = [.groupNorm(groups: 0, epsilon: 0), .winUnpart(window: 0)]
        for extreme in extremes {
            operations.append(.padReflect1D(before: extreme, after: 1))
            operations.append(.padReflect1D(before: 0, after: extreme))
            operations.append(.roll(shifts: SIMD4(0, extreme == -1 ? 4 : extreme, 0, 0)))
            operations.append(.winPart(columnCount: extreme, rowCount: extreme, window: 4))
            operations.append(.winPart(columnCount: 1, rowCount: 1, window: extreme == .max ? 0 : extreme))
            operations.append(.winUnpart(window: extreme == .max ? -7 : extreme))
            operations.append(.groupNorm(groups: extreme == .max ? -9 : Int(extreme), epsilon: 0))
            operations.append(.timestepEmbedding(dimension: extreme, maxPeriod: 0))
            for circular in [false, true] {
                operations.append(.pad(PadParameters(before: SIMD4(extreme, 0, 0, 0), after: .zero, circular: circular)))
                operations.append(.pad(PadParameters(after: SIMD4(0, extreme, extreme, extreme), circular: circular)))
            }
        }
        for operation in operations {
            for shape in [Shape(16, 4, 4), Shape(8)] {
                let test = GraphUnderTest()
                let x = test.floats(Dense(Shape(16, 4, 4)) { _, _, _, _ in 1 })
                let graph = try test.node(operation, [x], .f32, shape)
                #expect(throws: (any Error).self, "\(operation)") { _ = try backend.prepare(graph) }
                #expect(!backend.supports(TensorID(graph.tensors.count - 1), of: graph))
            }
        }
    }
}
