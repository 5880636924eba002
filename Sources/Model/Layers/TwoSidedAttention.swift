import Tensor

/// Attention of all tokens of a text over all of them, those that come later too (Devlin et al., 2019). Nothing is kept of it.
struct TwoSidedAttention: Sendable {
    var query: Linear
    var key: Linear
    var value: Linear
    var output: Linear
    var heads: HeadFigures

    init(_ source: LayerSource) throws(ModelError) {
        heads = try HeadFigures(source)
        let width = source.width
        query = try source.linear("attn_q", from: width, to: heads.keyLength * heads.headCount)
        key = try source.linear("attn_k", from: width, to: heads.keyLength * heads.keyValueHeadCount)
        value = try source.linear("attn_v", from: width, to: heads.valueLength * heads.keyValueHeadCount)
        output = try source.linear("attn_output", from: heads.valueLength * heads.headCount, to: width)
    }

    /// `[width, positions]` to `[width, positions]`. All products of queries and keys are held at once, in F32: 4 bytes for each head
    /// and pair of positions. Texts of such models are short, and their vectors are compared closely.
    func callAsFunction(_ x: TensorID, _ text: EncoderContext) -> TensorID {
        let g = text.g
        func split(_ projected: TensorID, _ length: Int, _ count: Int, _ axes: (Int, Int, Int, Int)) -> TensorID {
            g.permute(g.reshape(projected, Shape(length, count, text.positionCount)), axes)
        }
        let q = split(query(x, g), heads.keyLength, heads.headCount, (0, 2, 1, 3))
        let k = split(key(x, g), heads.keyLength, heads.keyValueHeadCount, (0, 2, 1, 3))
        let v = g.contiguous(split(value(x, g), heads.valueLength, heads.keyValueHeadCount, (1, 2, 0, 3)))
        let scale = 1 / Float(heads.keyLength).squareRoot()
        let weights = g.node("", .softMax(scale: scale, maxBias: 0), [g.matMul(k, q), text.mask])
        let attended = g.contiguous(g.permute(g.matMul(v, weights), (0, 2, 1, 3)))
        return output(g.reshape(attended, Shape(heads.valueLength * heads.headCount, text.positionCount)), g)
    }
}
