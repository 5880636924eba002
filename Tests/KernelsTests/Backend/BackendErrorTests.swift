import Kernels
import Tensor
import Testing

/// What comes from outside must end in a typed error that names the tensor, never in a trap or a stray write.
@Suite struct BackendErrorTests {
    let backend: CPUBackend

    init() throws { backend = try CPUBackend(threads: 2) }

    private func code(_ work: () throws -> Void) -> BackendError.Code? {
        do {
            try work()
            return nil
        } catch {
            return (error as? BackendError)?.code
        }
    }

    @Test func reportsIndicesOutOfRange() throws {
        for bad in [-1, 10, Int32.max, Int32.min] as [Int32] {
            let test = GraphUnderTest()
            let table = test.floats(Dense(Shape(8, 10)) { _, _, _, _ in 1 })
            let rows = test.builder.getRows(table, test.integers(Shape(3), [0, bad, 2]))
            #expect(code { _ = try test.values(of: rows, on: backend) } == .indexOutOfRange)
        }
        for bad in [-1, 10, Int64.max, Int64.min] as [Int64] {
            let test = GraphUnderTest()
            let table = test.floats(Dense(Shape(8, 10)) { _, _, _, _ in 1 })
            let row = test.floats(Dense(Shape(8, 2)) { _, _, _, _ in 2 })
            let set = test.builder.setRows(row, at: test.wideIntegers(Shape(2), [1, bad]), of: table)
            let sum = test.builder.scale(set, by: 1)
            #expect(code { _ = try test.values(of: sum, on: backend) } == .indexOutOfRange)
        }
        for bad in [-1, 4, Int32.max] as [Int32] {
            let test = GraphUnderTest()
            let experts = test.floats(Dense(Shape(16, 8, 4)) { _, _, _, _ in 1 })
            let x = test.floats(Dense(Shape(16, 1, 2)) { _, _, _, _ in 1 })
            let result = test.builder.matMulID(experts, x, ids: test.integers(Shape(2, 2), [0, 1, bad, 3]))
            #expect(code { _ = try test.values(of: result, on: backend) } == .indexOutOfRange)
        }
        // The backend serves on.
        let test = GraphUnderTest()
        let result = test.builder.scale(test.floats(Dense(Shape(4)) { i, _, _, _ in Float(i) }), by: 2)
        let values = try test.values(of: result, on: backend)
        #expect(values == [0, 2, 4, 6])
    }

    @Test func refusesTensorsOutsideOfTheirBuffers() throws {
        let buffer = try backend.allocate(byteCount: 4096)
        for (offset, shape) in [(4096 - 60, Shape(16)), (-64, Shape(16)), (Int.max - 8, Shape(16)), (0, Shape(1025))] {
            let builder = GraphBuilder()
            let x = builder.placed("x", .f32, shape, in: buffer, at: offset)
            _ = builder.scale(x, by: 1)
            let graph = try builder.finish()
            #expect(code { _ = try backend.prepare(graph) } == .invalidGraph)
        }
        let other = try CPUBackend(threads: 1)
        let builder = GraphBuilder()
        _ = builder.scale(builder.placed("x", .f32, Shape(4), in: try other.allocate(byteCount: 64), at: 0), by: 1)
        let graph = try builder.finish()
        #expect(code { _ = try backend.prepare(graph) } == .invalidArgument)
        let plan = try other.prepare(graph)
        #expect(code { try backend.run(Step(plan: plan)) } == .invalidArgument)
    }

    @Test func refusesGraphsThatContradictThemselves() throws {
        func leaf(_ shape: Shape = Shape(8)) -> Tensor { Tensor(name: "leaf", type: .f32, shape: shape, flags: .input) }
        func node(_ operation: GraphOperation, _ sources: [TensorID?], _ shape: Shape = Shape(8)) -> Tensor {
            Tensor(name: "node", type: .f32, shape: shape, operation: operation, sources: sources, flags: .compute)
        }
        let (zero, one, two) = (TensorID(0), TensorID(1), TensorID(2))
        let graphs: [Graph] = [
            // Sources after their user, unknown, missing.
            Graph(tensors: [node(.sqr, [one]), leaf()], nodes: [zero]),
            Graph(tensors: [leaf(), node(.sqr, [TensorID(9)])], nodes: [one]),
            Graph(tensors: [leaf(), node(.sqr, [TensorID(-1)])], nodes: [one]),
            Graph(tensors: [leaf(), node(.sqr, [])], nodes: [one]),
            Graph(tensors: [leaf(), node(.add, [zero])], nodes: [one]),
            // A node unknown, twice, or needed before it is computed.
            Graph(tensors: [leaf()], nodes: [TensorID(4)]),
            Graph(tensors: [leaf(), node(.sqr, [zero])], nodes: [one, one]),
            Graph(tensors: [leaf(), node(.sqr, [zero]), node(.sqr, [one])], nodes: [two]),
            // Shapes and parameters that do not fit.
            Graph(tensors: [leaf(), node(.sqr, [zero], Shape(9))], nodes: [one]),
            Graph(tensors: [leaf(), leaf(Shape(3)), node(.add, [zero, one])], nodes: [two]),
            Graph(tensors: [leaf(), leaf(Shape(9)), node(.matMul(precision: .standard), [zero, one])], nodes: [two]),
            Graph(tensors: [leaf(), node(.sumRows, [zero], Shape(2))], nodes: [one]),
            Graph(tensors: [leaf(Shape(8, 0, 3)), node(.matMul(precision: .standard), [zero, zero])], nodes: [one]),
        ]
        for (index, graph) in graphs.enumerated() {
            #expect(code { _ = try backend.prepare(graph) } == .invalidGraph, "graph \(index)")
        }
        var view = node(.view(byteOffset: 0), [zero], Shape(8))
        view.view = Tensor.View(root: zero, byteOffset: 4)
        let beyond = Graph(tensors: [leaf(), view], nodes: [one])
        #expect(code { _ = try backend.prepare(beyond) } == .invalidGraph)
    }

    @Test func namesWhatItCannotCompute() throws {
        let test = GraphUnderTest()
        let x = test.input(.i8, Shape(32), [UInt8](repeating: 0, count: 32))
        let graph = try test.node(.sqr, [x], .i8, Shape(32))
        let id = TensorID(graph.tensors.count - 1)
        #expect(!backend.supports(id, of: graph))
        do {
            _ = try backend.prepare(graph)
            Issue.record("prepared")
        } catch {
            #expect(error.code == .unsupported && error.message.contains("sqr") && error.message.contains("i8"))
        }
        let other = GraphUnderTest()
        let y = other.input(.f32, Shape(32), [UInt8](repeating: 0, count: 128))
        let fine = try other.node(.sqr, [y], .f32, Shape(32))
        #expect(backend.supports(TensorID(fine.tensors.count - 1), of: fine))
        let strange = try other.node(.ssmConv, [y], .f32, Shape(32))
        #expect(!backend.supports(TensorID(strange.tensors.count - 1), of: strange))
    }

    /// Rows that repeat through a stride of 0 are found where the strides say, not behind the memory.
    @Test func readsRepeatedRowsInPlace() throws {
        let buffer = try backend.allocate(byteCount: 4096)
        let values = (0..<24).map { Float($0) }
        try values.withUnsafeBytes { try backend.write($0, to: buffer, at: 4096 - 96) }
        let test = GraphUnderTest()
        let rows = test.builder.placed(
            "rows", .f32, Shape(8, 4, 3), strides: Strides(4, 0, 32, 96), in: buffer, at: 4096 - 96)
        let result = test.builder.scale(rows, by: 1)
        let expected = Dense(Shape(8, 4, 3)) { i0, _, i2, _ in Float(i2 * 8 + i0) }
        #expect(try test.values(of: result, on: backend) == expected.values)
    }

    /// Elements over each other make a result of any size out of few bytes.
    @Test func refusesResultsThatOverlapThemselves() throws {
        let buffer = try backend.allocate(byteCount: 4096)
        let wide = Tensor(
            name: "wide", type: .f32, shape: Shape(8, 1 << 40), strides: Strides(4, 0, 0, 0),
            storage: .placed(buffer, byteOffset: 0))
        var result = wide
        result.operation = .sqr
        result.sources = [TensorID(0)]
        result.flags = .compute
        let graph = Graph(tensors: [wide, result], nodes: [TensorID(1)])
        #expect(code { _ = try backend.prepare(graph) } == .invalidGraph)
    }

    /// Batches without tokens, and rows without elements however many, take no time and touch nothing.
    @Test func computesNothingForEmptyTensors() throws {
        for shape in [Shape(0, 1 << 40), Shape(16, 0), Shape(16, 4, 0)] {
            let test = GraphUnderTest()
            let b = test.builder
            let x = test.input(.f32, shape, [])
            var results = [b.scale(x, by: 2), b.unary(.silu, x), b.add(x, x), b.contiguous(x), b.glu(.swiglu, gate: x, value: x)]
            results.append(b.mul(b.rmsNorm(x, epsilon: 1e-6), x))
            results.append(b.softMax(x))
            // The second expert's part of no tokens begins behind nothing.
            results.append(b.scale(b.view(of: x, shape: shape, strides: Strides(contiguous: shape, .f32), byteOffset: 1024), by: 2))
            if shape == Shape(16, 0) {
                let weights = test.floats(Dense(Shape(16, 8)) { _, _, _, _ in 1 })
                let none = test.integers(Shape(0), [])
                results.append(b.matMul(weights, x))
                results.append(b.getRows(weights, none))
                results.append(b.setRows(x, at: none, of: weights))
                let heads = b.reshape(x, Shape(16, 2, 0))
                let turned = b.rope(heads, positions: none, RopeParameters(dimensions: 16, mode: .neox))
                let queries = b.permute(turned, (0, 2, 1, 3))
                let keys = test.floats(Dense(Shape(16, 8, 1)) { _, _, _, _ in 1 })
                let attention = FlashAttentionParameters(scale: 1)
                results.append(b.flashAttention(q: queries, k: keys, v: keys, mask: nil, attention))
                let experts = test.floats(Dense(Shape(16, 8, 4)) { _, _, _, _ in 1 })
                results.append(b.matMulID(experts, b.reshape(x, Shape(16, 1, 0)), ids: test.integers(Shape(2, 0), [])))
            }
            for result in results.dropLast() { b.markOutput(result) }
            let last = try #require(results.last)
            _ = try test.bytes(of: last, on: backend)
        }
    }

    /// What is said to be supported can be prepared: types and shapes are the operation's own.
    @Test func supportsOnlyWhatItPrepares() throws {
        let test = GraphUnderTest()
        let x = test.floats(Dense(Shape(8, 2)) { _, _, _, _ in 1 })
        for (type, shape) in [(ElementType.f32, Shape(8, 2)), (.f16, Shape(8, 2)), (.f32, Shape(8, 3))] {
            let graph = try test.node(.sqr, [x], type, shape)
            let isPrepared = code { _ = try backend.prepare(graph) } == nil
            #expect(backend.supports(TensorID(graph.tensors.count - 1), of: graph) == isPrepared)
        }
    }

    /// Shapes whose strides are 0 span few bytes and say of themselves that they are huge.
    @Test func survivesHugeShapesOverFewBytes() throws {
        let buffer = try backend.allocate(byteCount: 4096)
        for huge in [1 << 40, 1 << 62] {
            let operations: [GraphOperation] = [
                .matMul(precision: .standard), .softMax(scale: 1, maxBias: 8),
                .flashAttention(FlashAttentionParameters(scale: 1)), .argsort(.ascending), .cont,
                .rope(RopeParameters(dimensions: 8, mode: .neox)),
            ]
            for operation in operations {
                for shape in [Shape(8, huge), Shape(8, 1, huge), Shape(8, 4, 1, huge), Shape(huge)] {
                    let wide = Tensor(
                        name: "wide", type: .f32, shape: shape, strides: Strides(shape[0] == huge ? 0 : 4, 0, 0, 0),
                        storage: .placed(buffer, byteOffset: 0))
                    var result = wide
                    result.name = "result"
                    result.operation = operation
                    result.sources = [TensorID(0), TensorID(0), TensorID(0)]
                    let graph = Graph(tensors: [wide, result], nodes: [TensorID(1)])
                    _ = code { _ = try backend.prepare(graph) }
                }
            }
        }
    }

    @Test func guardsWritesAndReads() throws {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 64)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        let test = GraphUnderTest()
        let x = test.builder.input("x", .f32, Shape(16))
        let middle = test.builder.scale(x, by: 1)
        let end = test.builder.scale(middle, by: 1)
        test.builder.markOutput(end)
        let plan = try backend.prepare(try test.builder.finish())
        let all = UnsafeRawBufferPointer(bytes)
        func write(_ id: TensorID, _ offset: Int, _ count: Int) -> BackendError.Code? {
            let part = UnsafeRawBufferPointer(rebasing: all[0..<count])
            return code { try backend.run(Step(writes: [.init(tensor: id, byteOffset: offset, bytes: part)], plan: plan)) }
        }
        #expect(write(x, 0, 64) == nil)
        #expect(write(x, 4, 64) == .invalidArgument)
        #expect(write(x, -4, 8) == .invalidArgument)
        #expect(write(x, Int.max, 8) == .invalidArgument)
        #expect(write(TensorID(77), 0, 8) == .invalidArgument)
        #expect(write(middle, 0, 8) == .invalidArgument)
        func read(_ id: TensorID, _ count: Int) -> BackendError.Code? {
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[0..<count])
            return code { try backend.run(Step(plan: plan, reads: [.init(tensor: id, into: part)])) }
        }
        #expect(read(end, 64) == nil)
        #expect(read(end, 68) == .invalidArgument)
        #expect(read(middle, 64) == .invalidArgument)

        final class Owner: Sendable {}
        let region = try backend.load(
            TensorUpload(name: "fixed", type: .i8, shape: Shape(all.count), content: MemoryRegion(bytes: all, owner: Owner())))
        #expect(code { try backend.write(all, to: region, at: 0) } == .invalidArgument)
        let builder = GraphBuilder()
        let target = builder.placed("target", .f32, Shape(8, 4), in: region, at: 0)
        let rows = builder.input("rows", .f32, Shape(8, 1))
        _ = builder.setRows(rows, at: builder.input("ids", .i32, Shape(1)), of: target)
        let graph = try builder.finish()
        #expect(code { _ = try backend.prepare(graph) } == .invalidGraph)
    }
}
