import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Attention through the graph against its definition in F64: groups of heads, streams, masks, sinks, slopes, softcap.
@Suite struct FlashAttentionTests {
    struct Setting: Sendable {
        var heads: Int
        var keyHeads: Int
        var tokens: Int
        var keys: Int
        var streams = 1
        var keySize = 64
        var valueSize = 64
        var maxBias: Float = 0
        var softcap: Float = 0
        var hasSinks = false
        var hasMask = true
    }

    static let settings = [
        Setting(heads: 4, keyHeads: 1, tokens: 1, keys: 70), Setting(heads: 6, keyHeads: 2, tokens: 19, keys: 200),
        Setting(heads: 4, keyHeads: 4, tokens: 5, keys: 64, streams: 3),
        Setting(heads: 8, keyHeads: 2, tokens: 33, keys: 129, streams: 2, keySize: 80, valueSize: 96, maxBias: 8),
        Setting(heads: 4, keyHeads: 2, tokens: 7, keys: 90, softcap: 20, hasSinks: true),
        Setting(heads: 2, keyHeads: 1, tokens: 3, keys: 65, hasMask: false),
    ]

    @Test(arguments: BackendUnderTest.all)
    func attends(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 41)
        for s in FlashAttentionTests.settings {
            // Stored [size, heads, tokens] and permuted, as models do.
            let q = Dense.random(Shape(s.keySize, s.heads, s.tokens, s.streams), &random)
            var k = Dense.random(Shape(s.keySize, s.keyHeads, s.keys, s.streams), &random)
            var v = Dense.random(Shape(s.valueSize, s.keyHeads, s.keys, s.streams), &random)
            var mask = Dense(Shape(s.keys, s.tokens, 1, s.streams)) { key, token, _, _ in
                key > token + s.keys / 2 ? -.infinity : Float(key - token) / 16
            }
            if s.maxBias == 0 { mask.values = mask.values.map { $0.isFinite ? 0 : $0 } }
            let sinks = Dense.random(Shape(s.heads), &random)
            let test = GraphUnderTest()
            let builder = test.builder
            let turned = (0, 2, 1, 3)
            let result = builder.node(
                "",
                .flashAttention(FlashAttentionParameters(scale: 0.125, maxBias: s.maxBias, softcap: s.softcap)),
                [
                    builder.permute(test.floats(q), turned), builder.permute(test.halves(&k), turned),
                    builder.permute(test.halves(&v), turned), s.hasMask ? test.halves(&mask) : nil,
                    s.hasSinks ? test.floats(sinks) : nil,
                ])
            let found = try test.values(of: result, on: given.backend)
            let error = largestError(found, attention(s, q, k, v, mask, sinks))
            #expect(error < 2e-3, "\(s)")
        }
    }

    private func attention(_ s: Setting, _ q: Dense, _ k: Dense, _ v: Dense, _ mask: Dense, _ sinks: Dense) -> [Float] {
        var result: [Float] = []
        let power = 1 << Int(log2(Double(s.heads)))
        for stream in 0..<s.streams {
            for token in 0..<s.tokens {
                for head in 0..<s.heads {
                    let keyHead = head / (s.heads / s.keyHeads)
                    var slope = 1.0
                    if s.maxBias > 0 {
                        slope =
                            head < power
                            ? pow(2, -Double(s.maxBias) / Double(power) * Double(head + 1))
                            : pow(2, -Double(s.maxBias) / 2 / Double(power) * Double(2 * (head - power) + 1))
                    }
                    let scores = (0..<s.keys).map { key -> Double in
                        var sum = 0.0
                        for i in 0..<s.keySize { sum += Double(q[i, head, token, stream]) * Double(k[i, keyHead, key, stream]) }
                        sum *= 0.125
                        if s.softcap > 0 { sum = Double(s.softcap) * tanh(sum / Double(s.softcap)) }
                        return sum + (s.hasMask ? slope * Double(mask[key, token, 0, stream]) : 0)
                    }
                    let sink = s.hasSinks ? exp(Double(sinks.values[head])) : 0
                    let weights = scores.map { exp($0) }
                    let total = weights.reduce(sink, +)
                    for i in 0..<s.valueSize {
                        var sum = 0.0
                        for key in 0..<s.keys { sum += weights[key] * Double(v[i, keyHead, key, stream]) }
                        result.append(Float(sum / total))
                    }
                }
            }
        }
        return result
    }
}
