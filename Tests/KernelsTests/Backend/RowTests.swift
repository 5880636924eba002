import Kernels
import Tensor
import TestSupport
import Testing

/// Rows picked and set by index, sorted, copied, repeated and joined.
@Suite struct RowTests {
    @Test(arguments: BackendUnderTest.all)
    func picksRowsOfEveryType(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 21)
        for type in StoredType.all {
            let element = try #require(ElementType(rawValue: type.number))
            let convert = try #require(given.backend.conversions[type.number]?.toF32)
            let bytes = type.randomBytes(512 * 20 * 2, &random)
            var values = [Float](repeating: 0, count: 512 * 40)
            bytes.withUnsafeBytes { raw in convert(raw.baseAddress!, &values, 512 * 40) }
            let table = Dense(Shape(512, 20, 2), values)
            let ids = (0..<30).map { _ in Int32.random(in: 0..<20, using: &random) }
            let test = GraphUnderTest()
            let result = test.builder.getRows(
                test.input(element, Shape(512, 20, 2), bytes), test.integers(Shape(15, 2), ids))
            let expected = Dense(Shape(512, 15, 2)) { i0, i1, i2, _ in table[i0, Int(ids[i2 * 15 + i1]), i2, 0] }
            #expect(try test.values(of: result, on: given.backend) == expected.values, "\(type.name)")
        }
        let test = GraphUnderTest()
        let result = test.builder.getRows(
            test.integers(Shape(2, 3), [1, 2, 3, 4, 5, 6]), test.integers(Shape(2), [2, 0]))
        let bytes = try test.bytes(of: result, on: given.backend)
        #expect(bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) } == [5, 6, 1, 2])
    }

    @Test(arguments: BackendUnderTest.all)
    func setsRowsByBothKindsOfIndex(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 22)
        for isWide in [false, true] {
            let rows = Dense.random(Shape(64, 9, 2), &random)
            let target = Dense.random(Shape(64, 30, 2), &random)
            let places = (0..<30).map { $0 }.shuffled(using: &random).prefix(9).map { $0 }
            let test = GraphUnderTest()
            var halves = target
            let cache = test.halves(&halves)
            let ids =
                isWide
                ? test.wideIntegers(Shape(9), places.map(Int64.init)) : test.integers(Shape(9), places.map(Int32.init))
            let result = test.builder.setRows(test.floats(rows), at: ids, of: cache)
            let whole = test.builder.node("", .scale(factor: 1, bias: 0), [try floatCopy(test, result)])
            let expected = Dense(target.shape) { i0, i1, i2, _ in
                places.firstIndex(of: i1).map { Float(Float16(rows[i0, $0, i2, 0])) } ?? halves[i0, i1, i2, 0]
            }
            #expect(try test.values(of: whole, on: given.backend) == expected.values)
        }
    }

    /// F32 rows of an F16 tensor, by picking them all.
    private func floatCopy(_ test: GraphUnderTest, _ id: TensorID) throws -> TensorID {
        let shape = test.builder[id].shape
        let all = (0..<shape[2]).flatMap { _ in (0..<shape[1]).map(Int32.init) }
        return test.builder.getRows(id, test.integers(Shape(shape[1], shape[2]), all))
    }

    @Test(arguments: BackendUnderTest.all)
    func sortsAndPicksTheLargest(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 23)
        let x = Dense(Shape(57, 11), (0..<(57 * 11)).map { _ in Float(Int.random(in: -20...20, using: &random)) })
        for order in [SortOrder.ascending, .descending] {
            let test = GraphUnderTest()
            let result = test.builder.node("", .argsort(order), [test.floats(x)])
            let bytes = try test.bytes(of: result, on: given.backend)
            let indices = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
            for row in 0..<11 {
                let values = x.row(row, 0, 0)
                let expected = (0..<57).sorted {
                    values[$0] == values[$1] ? $0 < $1 : (order == .ascending) == (values[$0] < values[$1])
                }
                #expect(Array(indices[(row * 57)..<(row * 57 + 57)]) == expected.map(Int32.init))
            }
        }
        let test = GraphUnderTest()
        let source = test.floats(x)
        let graph = try test.node(.topK(count: 5), [source], .i32, Shape(5, 11))
        let bytes = try test.bytes(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend)
        let indices = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
        for row in 0..<11 {
            let values = x.row(row, 0, 0)
            let best = values.sorted(by: >).prefix(5)
            #expect(indices[(row * 5)..<(row * 5 + 5)].map { values[Int($0)] } == Array(best))
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func copiesViewsConvertsAndReshapes(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 24)
        let x = Dense.random(Shape(16, 6, 5, 2), &random)
        for axes in [(0, 1, 2, 3), (0, 2, 1, 3), (1, 0, 2, 3), (3, 1, 0, 2)] {
            let test = GraphUnderTest()
            let result = test.builder.contiguous(test.builder.permute(test.floats(x), axes))
            let expected = x.permuted([axes.0, axes.1, axes.2, axes.3])
            #expect(try test.values(of: result, on: given.backend) == expected.values)
        }
        for type in [ElementType.f16, .bf16, .q8_0, .f32] {
            let dense = Dense.random(Shape(96, 7), &random)
            let test = GraphUnderTest()
            let graph = try test.node(.cpy, [test.floats(dense)], type, Shape(96, 7))
            let bytes = try test.bytes(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend)
            var back = [Float](repeating: 0, count: 96 * 7)
            let convert = try #require(given.backend.conversions[type.rawValue]?.toF32)
            bytes.withUnsafeBytes { convert($0.baseAddress!, &back, 96 * 7) }
            #expect(largestError(back, dense.values) <= (type == .f32 ? 0 : 0.01), "\(type)")
        }
        let test = GraphUnderTest()
        let turned = test.builder.permute(test.floats(x), (1, 0, 2, 3))
        let target = test.input(.f16, Shape(40, 24), [UInt8](repeating: 0, count: 40 * 24 * 2))
        let bytes = try test.bytes(of: test.builder.copy(turned, into: target), on: given.backend)
        let halves = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float16.self)) }
        #expect(halves == x.permuted([1, 0, 2, 3]).values.map { Float16($0) })
    }

    @Test(arguments: BackendUnderTest.all)
    func repeatsAndJoins(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 25)
        let x = Dense.random(Shape(5, 3, 2), &random)
        let test = GraphUnderTest()
        let graph = try test.node(.repeat, [test.floats(x)], .f32, Shape(10, 3, 4, 3))
        let expected = Dense(Shape(10, 3, 4, 3)) { i0, i1, i2, _ in x[i0 % 5, i1 % 3, i2 % 2, 0] }
        #expect(try test.values(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend) == expected.values)
        for dimension in 0..<4 {
            let a = Dense.random(Shape(6, 5, 4, 3), &random)
            var shape = a.shape
            shape[dimension] = 2
            let b = Dense.random(shape, &random)
            var whole = a.shape
            whole[dimension] += 2
            let join = GraphUnderTest()
            let sources = [join.floats(a), join.floats(b)]
            let graph = try join.node(.concat(dimension: dimension), sources, .f32, whole)
            let expected = Dense(whole) { i0, i1, i2, i3 in
                var index = [i0, i1, i2, i3]
                let limit = a.shape[dimension]
                if index[dimension] < limit { return a[i0, i1, i2, i3] }
                index[dimension] -= limit
                return b[index[0], index[1], index[2], index[3]]
            }
            let found = try join.values(of: TensorID(graph.tensors.count - 1), in: graph, on: given.backend)
            #expect(found == expected.values, "dimension \(dimension)")
        }
    }
}
