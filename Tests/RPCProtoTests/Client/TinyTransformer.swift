import RPCProto
import Tensor
import Testing

/// Two layers of a small transformer on any backend: weights in buffers, a cache that is written by row indices, inputs of
/// several types, one result.
struct TinyTransformer {
    static let width = 64
    static let heads = 4
    static let headSize = 16
    static let hidden = 96
    static let cacheRows = 64
    static let layerCount = 2

    let backend: any Backend
    private var weights: [String: (type: ElementType, shape: Shape, buffer: any Buffer, offset: Int)] = [:]
    private var cache: [any Buffer] = []

    /// - Parameter hashed: whether the weights' hashes are given to servers that ask.
    init(on backend: any Backend, hashed: Bool = false) throws {
        self.backend = backend
        let uploads = TinyTransformer.uploads(hashed: hashed)
        for (upload, place) in zip(uploads, try backend.load(uploads)) {
            weights[upload.name] = (upload.type, upload.shape, place.buffer, place.byteOffset)
        }
        for _ in 0..<TinyTransformer.layerCount {
            cache.append(try backend.allocate(byteCount: 2 * TinyTransformer.cacheRows * TinyTransformer.width * 2))
        }
    }

    static func uploads(hashed: Bool = false) -> [TensorUpload] {
        var random = SeededFloats(7)
        var list: [TensorUpload] = []
        func add(_ name: String, _ type: ElementType, _ shape: Shape, _ content: [UInt8]) {
            let hash = content.withUnsafeBytes { FNVHash.of($0) }
            list.append(
                TensorUpload(name: name, type: type, shape: shape, content: OwnedBytes.region(content), hash: hashed ? .known(hash) : .none)
            )
        }
        func floats(_ name: String, _ shape: Shape) {
            add(name, .f32, shape, bytes(random.floats(shape.elementCount, scale: 0.2)))
        }
        /// Blocks of 32 numbers of 8 bits behind a scale in half precision.
        func quantized(_ name: String, _ shape: Shape) {
            var content: [UInt8] = []
            for _ in 0..<(shape.elementCount / 32) {
                content += [0x00, 0x14]
                content += (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
            }
            add(name, .q8_0, shape, content)
        }
        for layer in 0..<layerCount {
            floats("\(layer).norm", Shape(width))
            quantized("\(layer).q", Shape(width, width))
            quantized("\(layer).k", Shape(width, width))
            floats("\(layer).v", Shape(width, width))
            quantized("\(layer).out", Shape(width, width))
            floats("\(layer).ffn_norm", Shape(width))
            quantized("\(layer).gate", Shape(width, hidden))
            quantized("\(layer).up", Shape(width, hidden))
            quantized("\(layer).down", Shape(hidden, width))
        }
        return list
    }

    /// A graph for so many tokens, with its plan.
    struct Stage {
        let plan: any Plan
        let tokens: Int
        let x: TensorID
        let positions: TensorID
        let rows: TensorID
        let mask: TensorID
        let result: TensorID
    }

    func stage(tokens: Int) throws -> Stage {
        let (width, heads, headSize) = (TinyTransformer.width, TinyTransformer.heads, TinyTransformer.headSize)
        let g = GraphBuilder()
        func weight(_ name: String) throws -> TensorID {
            let (type, shape, buffer, offset) = try #require(weights[name])
            return g.placed(name, type, shape, in: buffer, at: offset)
        }
        let x = g.input("x", .f32, Shape(width, tokens))
        let positions = g.input("positions", .i32, Shape(tokens))
        let rows = g.input("rows", .i64, Shape(tokens))
        let mask = g.input("mask", .f16, Shape(TinyTransformer.cacheRows, tokens))
        var hidden = x
        for layer in 0..<TinyTransformer.layerCount {
            let normed = g.mul(g.rmsNorm(hidden, epsilon: 1e-6), try weight("\(layer).norm"))
            let rope = RopeParameters(dimensions: headSize, mode: .neox)
            let split = Shape(headSize, heads, tokens)
            let q = g.rope(g.reshape(g.matMul(try weight("\(layer).q"), normed), split), positions: positions, rope)
            let k = g.rope(g.reshape(g.matMul(try weight("\(layer).k"), normed), split), positions: positions, rope)
            let v = g.matMul(try weight("\(layer).v"), normed)
            let shape = Shape(width, TinyTransformer.cacheRows)
            let keys = g.placed("\(layer).keys", .f16, shape, in: cache[layer], at: 0)
            let values = g.placed("\(layer).values", .f16, shape, in: cache[layer], at: TinyTransformer.cacheRows * width * 2)
            let newKeys = g.setRows(g.reshape(k, Shape(width, tokens)), at: rows, of: keys)
            let newValues = g.setRows(v, at: rows, of: values)
            let view = Shape(headSize, TinyTransformer.cacheRows, heads)
            let strides = Strides(2, width * 2, headSize * 2, width * 2 * TinyTransformer.cacheRows)
            let attended = g.flashAttention(
                q: g.permute(q, (0, 2, 1, 3)), k: g.view(of: newKeys, shape: view, strides: strides),
                v: g.view(of: newValues, shape: view, strides: strides), mask: mask, FlashAttentionParameters(scale: 0.25))
            hidden = g.add(hidden, g.matMul(try weight("\(layer).out"), g.reshape(attended, Shape(width, tokens))))
            let next = g.mul(g.rmsNorm(hidden, epsilon: 1e-6), try weight("\(layer).ffn_norm"))
            let gated = g.glu(.swiglu, gate: g.matMul(try weight("\(layer).gate"), next), value: g.matMul(try weight("\(layer).up"), next))
            hidden = g.add(hidden, g.matMul(try weight("\(layer).down"), gated))
        }
        g.markOutput(hidden)
        let plan = try backend.prepare(try g.finish())
        return Stage(plan: plan, tokens: tokens, x: x, positions: positions, rows: rows, mask: mask, result: hidden)
    }

    /// Takes tokens in from position `first` on: the hidden states that come out.
    func run(_ stage: Stage, first: Int, seed: UInt64) throws -> [UInt8] {
        var random = SeededFloats(seed)
        let x = random.floats(TinyTransformer.width * stage.tokens)
        let positions = (0..<stage.tokens).map { Int32(first + $0) }
        let rows = (0..<stage.tokens).map { Int64(first + $0) }
        var mask = [UInt16](repeating: 0, count: TinyTransformer.cacheRows * stage.tokens)
        for token in 0..<stage.tokens {
            for key in (first + token + 1)..<TinyTransformer.cacheRows { mask[token * TinyTransformer.cacheRows + key] = 0xfc00 }
        }
        var result = [UInt8](repeating: 0, count: TinyTransformer.width * stage.tokens * 4)
        try x.withUnsafeBytes { x in
            try positions.withUnsafeBytes { positions in
                try rows.withUnsafeBytes { rows in
                    try mask.withUnsafeBytes { mask in
                        try result.withUnsafeMutableBytes { result in
                            let writes = [(stage.x, x), (stage.positions, positions), (stage.rows, rows), (stage.mask, mask)]
                            try backend.run(
                                Step(
                                    writes: writes.map { Step.Write(tensor: $0.0, bytes: $0.1) }, plan: stage.plan,
                                    reads: [Step.Read(tensor: stage.result, into: result)]))
                        }
                    }
                }
            }
        }
        return result
    }
}
