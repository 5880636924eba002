import Foundation
import Tensor

/// Attention over keys and values that are kept compressed together, one short row a position for all heads (DeepSeek-V2, 2024):
/// queries are taken to the compressed space, and what is attended to is taken out of it.
struct LatentAttention: TokenMixer {
    /// Queries by way of a narrow space, or, in small models, at once.
    private enum Queries: Sendable {
        case direct(Linear)
        case narrow(down: Linear, norm: RMSNorm, up: Linear)
    }

    private let queries: Queries
    private let compression: Linear
    private let compressionNorm: RMSNorm
    /// `[key length without rope, compressed, heads]` and `[compressed, value length, heads]`.
    private let keyExpansion: Weight
    private let valueExpansion: Weight
    private let output: Linear
    private let rope: RopeParameters
    private let scale: Float

    private let headCount: Int
    private let keyLength: Int
    private let valueLength: Int
    private let compressed: Int

    /// - Parameter logFactor: of YaRN's stretch, in the scale of the products.
    init(_ source: LayerSource, rope: RopeParameters, logFactor: Float) throws(ModelError) {
        headCount = try source.requiredCount("attention.head_count", atMost: 1 << 16)
        keyLength = try source.requiredCount("attention.key_length_mla", atMost: 1 << 16)
        valueLength = try source.requiredCount("attention.value_length_mla", atMost: 1 << 16)
        compressed = try source.requiredCount("attention.kv_lora_rank", atMost: 1 << 16)
        guard keyLength > rope.dimensions else {
            throw ModelError(.metadata, "\(rope.dimensions) rotated dimensions leave nothing of keys of \(keyLength)")
        }
        let plain = keyLength - rope.dimensions
        let width = source.width
        if let narrow = try source.count("attention.q_lora_rank", allowingZero: true), narrow > 0, source.has("attn_q_a.weight") {
            queries = .narrow(
                down: try source.linear("attn_q_a", from: width, to: narrow), norm: try source.norm("attn_q_a_norm", narrow),
                up: try source.linear("attn_q_b", from: narrow, to: headCount * keyLength))
        } else {
            queries = .direct(try source.linear("attn_q", from: width, to: headCount * keyLength))
        }
        compression = try source.linear("attn_kv_a_mqa", from: width, to: compressed + rope.dimensions)
        compressionNorm = try source.norm("attn_kv_a_norm", compressed)
        keyExpansion = try source.required("attn_k_b.weight", Shape(plain, compressed, headCount))
        valueExpansion = try source.required("attn_v_b.weight", Shape(compressed, valueLength, headCount))
        output = try source.linear("attn_output", from: headCount * valueLength, to: width)
        // YaRN's factor, which the rotation applies to the rotated part alone, is taken back there as far as the file says, and
        // applied to the products as a whole.
        let stretch = 0.1 * log(1 / rope.frequencyScale)
        var rope = rope
        if rope.extrapolationFactor != 0 { rope.attentionFactor /= 1 + logFactor * stretch }
        self.rope = rope
        let factor = rope.attentionFactor * (1 + stretch) * (1 + logFactor * stretch)
        scale = factor * factor / Float(keyLength).squareRoot()
    }

    private var rowLength: Int { compressed + rope.dimensions }

    var state: LayerState { LayerState(planes: [LayerState.Plane("k", .f16, rowLength: rowLength, .perPosition)]) }

    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let (pass, g) = (layer.pass, layer.g)
        let tokens = pass.layout.tokenCount
        let plain = keyLength - rope.dimensions
        let q = g.reshape(self.queries(of: x, g), Shape(keyLength, headCount, tokens))
        let row = g[q].strides
        let unrotated = g.view(of: q, shape: Shape(plain, headCount, tokens), strides: row)
        let rotated = g.rope(
            g.view(of: q, shape: Shape(rope.dimensions, headCount, tokens), strides: row, byteOffset: plain * 4),
            positions: pass.positions, rope)

        let both = compression(x, g)
        let wide = g[both].strides[1]
        let narrow = compressionNorm(
            g.view(of: both, shape: Shape(compressed, tokens), strides: Strides(4, wide, wide * tokens, wide * tokens)), g)
        let key = g.rope(
            g.view(
                of: both, shape: Shape(rope.dimensions, 1, tokens), strides: Strides(4, wide, wide, wide * tokens),
                byteOffset: compressed * 4),
            positions: pass.positions, rope)
        let rows = g.node("", .concat(dimension: 0), [g.reshape(narrow, Shape(compressed, 1, tokens)), key])
        let cache = g.setRows(g.reshape(rows, Shape(rowLength, tokens)), at: pass.cacheRows, of: layer.plane(0))

        let taken = g.matMul(g.weight(keyExpansion), g.permute(unrotated, (0, 2, 1, 3)))
        let full = g.node("", .concat(dimension: 0), [g.permute(taken, (0, 2, 1, 3)), rotated])
        let attention = CachedAttention(
            headCount: headCount, keyValueHeadCount: 1, keyLength: rowLength, valueLength: compressed, scale: scale)
        guard let attended = attention(g.reshape(full, Shape(rowLength * headCount, tokens)), keys: cache, values: cache, layer) else {
            return x
        }
        let heads = g.permute(g.reshape(attended, Shape(compressed, headCount, tokens)), (0, 2, 1, 3))
        let values = g.contiguous(g.permute(g.matMul(g.weight(valueExpansion), heads), (0, 2, 1, 3)))
        return output(g.reshape(values, Shape(valueLength * headCount, tokens)), g)
    }

    private func queries(of x: TensorID, _ g: GraphBuilder) -> TensorID {
        switch queries {
        case .direct(let linear): linear(x, g)
        case .narrow(let down, let norm, let up): up(norm(down(x, g), g), g)
        }
    }
}
