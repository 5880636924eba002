import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Recurrences against their definitions, element by element in F64.
@Suite struct RecurrenceTests {
    // MARK: The delta rule

    @Test(arguments: BackendUnderTest.all)
    func followsTheGatedDeltaRule(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 61)
        for (gateSize, keyHeads, snapshots, tokens) in [(1, 4, 1, 1), (1, 2, 3, 5), (20, 2, 1, 7), (20, 4, 4, 3)] {
            let (size, heads, sequences) = (20, 4, 2)
            let q = Dense.random(Shape(size, keyHeads, tokens, sequences), &random, -0.3...0.3)
            let k = Dense.random(Shape(size, keyHeads, tokens, sequences), &random, -0.3...0.3)
            let v = Dense.random(Shape(size, heads, tokens, sequences), &random)
            let gate = Dense.random(Shape(gateSize, heads, tokens, sequences), &random, -1...0)
            let beta = Dense.random(Shape(1, heads, tokens, sequences), &random, 0...1)
            let state = Dense.random(Shape(size, size, heads, sequences), &random)
            let test = GraphUnderTest()
            let sources = [q, k, v, gate, beta, state].map(test.floats)
            let result = test.builder.node("", .gatedDeltaNet(snapshots: Int32(snapshots)), sources)
            let found = try test.values(of: result, on: given.backend)

            let outputs = size * heads * tokens * sequences
            let states = size * size * heads * sequences
            var expected = [Float](repeating: 0, count: outputs + states * snapshots)
            for sequence in 0..<sequences {
                for head in 0..<heads {
                    let key = head % keyHeads
                    // By value, then key.
                    var s = (0..<size).map { j in (0..<size).map { Double(state[$0, j, head, sequence]) } }
                    for t in 0..<tokens {
                        for j in 0..<size {
                            var sum = 0.0
                            for i in 0..<size {
                                s[j][i] *= exp(Double(gate[gateSize == 1 ? 0 : i, head, t, sequence]))
                                sum += s[j][i] * Double(k[i, key, t, sequence])
                            }
                            let change = (Double(v[j, head, t, sequence]) - sum) * Double(beta[0, head, t, sequence])
                            var out = 0.0
                            for i in 0..<size {
                                s[j][i] += change * Double(k[i, key, t, sequence])
                                out += s[j][i] * Double(q[i, key, t, sequence])
                            }
                            expected[((sequence * tokens + t) * heads + head) * size + j] = Float(out / Double(size).squareRoot())
                        }
                        let age = tokens - 1 - t
                        if age >= snapshots { continue }
                        for (place, value) in s.joined().enumerated() {
                            let head = (sequence * heads + head) * size * size
                            expected[outputs + age * states + head + place] = Float(value)
                        }
                    }
                }
            }
            let written = outputs + states * min(snapshots, tokens)
            let error = largestError(Array(found[..<written]), Array(expected[..<written]))
            #expect(error < 1e-5, "gates of \(gateSize), \(keyHeads) key heads, \(snapshots) snapshots")
        }
    }

    // MARK: Linear attention

    /// Five inputs and the weights of a head's first token, for all of the family.
    private struct Inputs {
        static let (size, heads, tokens, sequences) = (12, 3, 8, 2)
        var rows: [Dense] = []
        var first: Dense
        var state: Dense

        init(_ random: inout SeededRandom) {
            for _ in 0..<6 { rows.append(.random(Shape(Inputs.size, Inputs.heads, Inputs.tokens), &random, -0.5...0.5)) }
            first = .random(Shape(Inputs.size, Inputs.heads), &random)
            state = .random(Shape(Inputs.size * Inputs.size * Inputs.heads, Inputs.sequences), &random)
        }

        /// Carries each head's state, `[row][column]`, through `step`, which also computes the outputs of a token.
        func expected(_ step: (inout [[Double]], _ head: Int, _ t: Int) -> [Double]) -> [Float] {
            let (size, heads, tokens) = (Inputs.size, Inputs.heads, Inputs.tokens)
            var values = [Float](repeating: 0, count: size * heads * tokens) + state.values
            for sequence in 0..<Inputs.sequences {
                for head in 0..<heads {
                    let start = size * heads * tokens + (sequence * heads + head) * size * size
                    var s = (0..<size).map { i in (0..<size).map { Double(values[start + i * size + $0]) } }
                    let count = tokens / Inputs.sequences
                    for t in (sequence * count)..<((sequence + 1) * count) {
                        for (j, out) in step(&s, head, t).enumerated() { values[(t * heads + head) * size + j] = Float(out) }
                    }
                    for (place, value) in s.joined().enumerated() { values[start + place] = Float(value) }
                }
            }
            return values
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func followsLinearAttentionWithDecay(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 62)
        let inputs = Inputs(&random)
        let all = 0..<Inputs.size
        func at(_ source: Int, _ i: Int, _ head: Int, _ t: Int) -> Double { Double(inputs.rows[source][i, head, t, 0]) }

        var test = GraphUnderTest()
        var sources = inputs.rows[..<3].map(test.floats) + [test.floats(inputs.first), test.floats(inputs.rows[3])]
        let six = test.builder.node("", .rwkvWKV6, sources + [test.floats(inputs.state)])
        let expectedSix = inputs.expected { s, head, t in
            var out = [Double](repeating: 0, count: Inputs.size)
            for i in all {
                for j in all {
                    let product = at(0, i, head, t) * at(1, j, head, t)
                    out[j] += at(2, i, head, t) * (s[i][j] + Double(inputs.first[i, head, 0, 0]) * product)
                    s[i][j] = s[i][j] * at(3, i, head, t) + product
                }
            }
            return out
        }
        let foundSix = try test.values(of: six, on: given.backend)
        #expect(largestError(foundSix, expectedSix) < 1e-5)

        test = GraphUnderTest()
        sources = inputs.rows[..<4].map(test.floats)
        let gated = test.builder.node("", .gatedLinearAttention(scale: 0.7), sources + [test.floats(inputs.state)])
        let expectedGated = inputs.expected { s, head, t in
            var out = [Double](repeating: 0, count: Inputs.size)
            for i in all {
                for j in all {
                    s[i][j] = s[i][j] * at(3, i, head, t) + at(0, i, head, t) * at(1, j, head, t)
                    out[j] += s[i][j] * at(2, i, head, t) * Double(Float(0.7))
                }
            }
            return out
        }
        let foundGated = try test.values(of: gated, on: given.backend)
        #expect(largestError(foundGated, expectedGated) < 1e-5)

        test = GraphUnderTest()
        sources = inputs.rows.map(test.floats)
        let seven = test.builder.node("", .rwkvWKV7, sources + [test.floats(inputs.state)])
        let expectedSeven = inputs.expected { s, head, t in
            all.map { i in
                let correction = all.reduce(0.0) { $0 + at(4, $1, head, t) * s[i][$1] }
                var out = 0.0
                for j in all {
                    s[i][j] = s[i][j] * at(1, j, head, t) + at(3, i, head, t) * at(2, j, head, t)
                    s[i][j] += correction * at(5, j, head, t)
                    out += s[i][j] * at(0, j, head, t)
                }
                return out
            }
        }
        let foundSeven = try test.values(of: seven, on: given.backend)
        #expect(largestError(foundSeven, expectedSeven) < 1e-5)
    }

    // MARK: State spaces

    @Test(arguments: BackendUnderTest.all)
    func convolvesStates(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 63)
        for (size, tokens, channels) in [(4, 1, 3), (3, 9, 37), (1, 2, 16)] {
            let x = Dense.random(Shape(size - 1 + tokens, channels, 2), &random)
            let kernel = Dense.random(Shape(size, channels), &random)
            let test = GraphUnderTest()
            let result = test.builder.node("", .ssmConv, [test.floats(x), test.floats(kernel)])
            let expected = Dense(Shape(channels, tokens, 2)) { channel, t, sequence, _ in
                (0..<size).reduce(0) { $0 + x[t + $1, channel, sequence, 0] * kernel[$1, channel, 0, 0] }
            }
            let found = try test.values(of: result, on: given.backend)
            #expect(largestError(found, expected.values) < 1e-6)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func scansStates(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 64)
        // Per head (Mamba-2) and per state value (Mamba).
        for (perState, snapshots, groups) in [(false, 1, 1), (false, 3, 2), (true, 1, 2)] {
            let (stateSize, headSize, heads, tokens, sequences) = (18, 3, 4, 5, 2)
            let states = Dense.random(Shape(stateSize, headSize, heads, 3), &random)
            let x = Dense.random(Shape(headSize, heads, tokens, sequences), &random)
            let dt = Dense.random(Shape(heads, tokens, sequences), &random)
            let a = Dense.random(Shape(perState ? stateSize : 1, heads), &random, -2...0)
            let b = Dense.random(Shape(stateSize, groups, tokens, sequences), &random)
            let c = Dense.random(Shape(stateSize, groups, tokens, sequences), &random)
            let slots: [Int32] = [2, 0]
            let test = GraphUnderTest()
            let sources = [states, x, dt, a, b, c].map(test.floats) + [test.integers(Shape(2), slots)]
            let result = test.builder.node("", .ssmScan(snapshots: Int32(snapshots)), sources)
            let found = try test.values(of: result, on: given.backend)

            let outputs = x.values.count
            let perSequence = stateSize * headSize * heads
            var expected = [Float](repeating: 0, count: outputs + snapshots * sequences * perSequence)
            for sequence in 0..<sequences {
                for head in 0..<heads {
                    let group = head / (heads / groups)
                    for i in 0..<headSize {
                        var s = (0..<stateSize).map { Double(states[$0, i, head, Int(slots[sequence])]) }
                        for t in 0..<tokens {
                            let step = log1p(exp(Double(dt[head, t, sequence, 0])))
                            var y = 0.0
                            for n in 0..<stateSize {
                                s[n] *= exp(step * Double(a[perState ? n : 0, head, 0, 0]))
                                s[n] += step * Double(x[i, head, t, sequence]) * Double(b[n, group, t, sequence])
                                y += s[n] * Double(c[n, group, t, sequence])
                            }
                            expected[((sequence * tokens + t) * heads + head) * headSize + i] = Float(y)
                            let age = tokens - 1 - t
                            if age >= snapshots { continue }
                            let place = (age * sequences + sequence) * perSequence + (head * headSize + i) * stateSize
                            for n in 0..<stateSize { expected[outputs + place + n] = Float(s[n]) }
                        }
                    }
                }
            }
            #expect(largestError(found, expected) < 1e-5, "per state \(perState), \(snapshots) snapshots")
        }
    }

    @Test func refusesWhatMakesNoSense() throws {
        let backend = try CPUBackend(threads: 2)
        func scan(snapshots: Int32, slot: Int32) throws {
            let test = GraphUnderTest()
            func ones(_ shape: Shape) -> TensorID { test.floats(Dense(shape) { _, _, _, _ in 1 }) }
            let sources = [
                ones(Shape(4, 2, 3, 2)), ones(Shape(2, 3, 1, 1)), ones(Shape(3, 1, 1)), ones(Shape(1, 3)),
                ones(Shape(4, 1, 1, 1)), ones(Shape(4, 1, 1, 1)), test.integers(Shape(1), [slot]),
            ]
            _ = try test.values(of: test.builder.node("", .ssmScan(snapshots: snapshots), sources), on: backend)
        }
        try scan(snapshots: 1, slot: 1)
        for slot in [-1, 2, Int32.max, Int32.min] as [Int32] {
            #expect(throws: BackendError.self) { try scan(snapshots: 1, slot: slot) }
        }
        for snapshots in [0, -1, Int32.min, Int32.max] as [Int32] {
            #expect(throws: (any Error).self) { try scan(snapshots: snapshots, slot: 0) }
        }
    }
}
