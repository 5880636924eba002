internal import KernelTable
internal import Tensor

// Linear attention with decay: each head of each sequence carries a square state from token to token.
//
// Inputs are `[size, heads, tokens]`, the tokens of a sequence one after the other; states `[size · size · heads,
// sequences]`. The result is `[size · heads, tokens]`, then the states after the last token.

/// How tokens, heads and sequences lie in memory.
private struct HeadLayout {
    let size: Int
    let heads: Int
    let tokensPerSequence: Int
    let sequences: Int

    var width: Int { size &* heads }
    var tokens: Int { tokensPerSequence &* sequences }
    /// Values of one head's state.
    var stateCount: Int { size &* size }
    /// Heads of all sequences: what can be computed apart.
    var unitCount: Int { heads &* sequences }
    /// Nanoseconds for a head's tokens.
    var costPerUnit: Double { Double(tokensPerSequence) * Double(stateCount) * 0.15 + 50 }

    /// The first value of head `unit` at its sequence's token `t`.
    @inline(__always)
    func place(_ unit: Int, _ t: Int) -> Int {
        let (sequence, head) = unit.quotientAndRemainder(dividingBy: heads)
        return (sequence &* tokensPerSequence &+ t) &* width &+ head &* size
    }
}

extension PlanBuilder {
    /// RWKV-6 (Peng et al., "Eagle and Finch", 2024): `out = r · (S + first · k vᵀ)`, `S = decay · S + k vᵀ`.
    mutating func addRWKV6(_ id: TensorID) throws(BackendError) {
        let layout = try headLayout(id, state: 5)
        let count = layout.width * layout.tokens
        let k = try packedFloats(id, 0, count: count)
        let v = try packedFloats(id, 1, count: count)
        let r = try packedFloats(id, 2, count: count)
        let first = try packedFloats(id, 3, count: layout.width)
        let decay = try packedFloats(id, 4, count: count)
        try addSpread(id, layout, value: v, state: 5, inputs: [k, r, first, decay]) { place, head, i in
            let (key, read) = (k.floats[place &+ i], r.floats[place &+ i])
            let bonus = first.floats[head &* layout.size &+ i]
            return SIMD4(decay.floats[place &+ i], key, read, read * bonus * key)
        }
    }

    /// Gated linear attention (Yang et al., 2023): `S = gate · S + k vᵀ`, `out = scale · q · S`.
    mutating func addGatedLinearAttention(_ id: TensorID, scale: Float) throws(BackendError) {
        let layout = try headLayout(id, state: 4)
        let count = layout.width * layout.tokens
        let k = try packedFloats(id, 0, count: count)
        let v = try packedFloats(id, 1, count: count)
        let q = try packedFloats(id, 2, count: count)
        let gate = try packedFloats(id, 3, count: count)
        try addSpread(id, layout, value: v, state: 4, inputs: [k, q, gate]) { place, _, i in
            let (key, read, decay) = (k.floats[place &+ i], q.floats[place &+ i] * scale, gate.floats[place &+ i])
            return SIMD4(decay, key, read * decay, read * key)
        }
    }

    /// RWKV-7 (Peng et al., "Goose", 2025): row by row, `S = w · S + v kᵀ + (S · a) bᵀ`, `out = S · r`.
    mutating func addRWKV7(_ id: TensorID) throws(BackendError) {
        let layout = try headLayout(id, state: 6)
        var inputs: [Operand] = []
        for index in 0..<6 { inputs.append(try packedFloats(id, index, count: layout.width * layout.tokens)) }
        let (r, w, k) = (inputs[0].floats, inputs[1].floats, inputs[2].floats)
        let (v, a, b) = (inputs[3].floats, inputs[4].floats, inputs[5].floats)
        let (dot, carry) = (recurrence.dot, recurrence.carry)
        let size = layout.size
        try addHeads(id, layout, state: 6, inputs: inputs) { unit, given, state, out in
            var previous = given
            for t in 0..<layout.tokensPerSequence {
                let place = layout.place(unit, t)
                for i in 0..<size {
                    let row = previous + i &* size
                    let correction = dot(a + place, row, size)
                    out[place &+ i] = carry(
                        row, state + i &* size, w + place, k + place, v[place &+ i], b + place, correction, r + place,
                        size)
                }
                previous = UnsafePointer(state)
            }
        }
    }

    /// What sources 0, 1 and the states say, once they fit.
    private func headLayout(_ id: TensorID, state: Int) throws(BackendError) -> HeadLayout {
        let shape = try source(id, 0).shape
        let sequences = try source(id, state).n1
        guard shape[3] == 1, shape[0] > 0, shape[1] > 0, sequences > 0, shape[2] > 0, shape[2] % sequences == 0 else {
            throw invalid(id, "\(shape[2]) tokens of \(sequences) sequences")
        }
        _ = try elementCount(id, shape[0], shape[1], shape[2])
        _ = try elementCount(id, shape[0], shape[0], shape[1], sequences)
        return HeadLayout(
            size: shape[0], heads: shape[1], tokensPerSequence: shape[2] / sequences, sequences: sequences)
    }

    /// A phase over heads. `body` gets the head, its state before and its place for the state, and the outputs' base.
    private mutating func addHeads(
        _ id: TensorID, _ layout: HeadLayout, state index: Int, inputs: [Operand],
        _ body: @escaping (Int, UnsafePointer<Float>, PackedFloats, PackedFloats) -> Void
    ) throws(BackendError) {
        let states = layout.stateCount * layout.unitCount
        let given = try packedFloats(id, index, count: states)
        let outputs = layout.width * layout.tokens
        let result = try packedOutput(id, count: outputs + states)
        addPhase(
            over: layout.unitCount, costPerUnit: layout.costPerUnit, reads: (inputs + [given]).flatMap(\.ranges),
            writes: result.ranges
        ) { _, range in
            for unit in range {
                let offset = unit &* layout.stateCount
                body(unit, UnsafePointer(given.floats + offset), result.floats + (outputs &+ offset), result.floats)
            }
        }
    }

    /// A recurrence whose keys select rows of the state. `factors`, of place, head and row: decay, key, read, bonus.
    private mutating func addSpread(
        _ id: TensorID, _ layout: HeadLayout, value: Operand, state: Int, inputs: [Operand],
        _ factors: @escaping (Int, Int, Int) -> SIMD4<Float>
    ) throws(BackendError) {
        let spread = recurrence.spread
        let size = layout.size
        try addHeads(id, layout, state: state, inputs: inputs + [value]) { unit, given, state, outputs in
            var previous = given
            for t in 0..<layout.tokensPerSequence {
                let place = layout.place(unit, t)
                let out = outputs + place
                out.update(repeating: 0, count: size)
                for i in 0..<size {
                    spread(
                        previous + i &* size, state + i &* size, value.floats + place, out, size,
                        factors(place, unit % layout.heads, i))
                }
                previous = UnsafePointer(state)
            }
        }
    }
}
