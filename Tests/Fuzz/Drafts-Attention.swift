import Tensor

// Products, attention, positions, recurrences.
extension Drafter {
    mutating func attention(_ kind: OperationKind) -> Draft {
        let shape = shape()
        switch kind {
        case .matMul:
            let type = weightType()
            let weights = fitting(Shape(extent(512), extent(60), small(2), small(2)), type)
            let columns = random.chance(40) ? 1 : extent(70)
            let activations = Shape(weights[0], columns, weights[2] * small(3), weights[3] * small(2))
            return Draft(
                .matMul(precision: random.pick(Precision.allCases)),
                [Draft.Source(type, weights), Draft.Source(random.chance(85) ? .f32 : floatType(), activations)])
        case .matMulID:
            let type = weightType()
            let experts = small(6)
            let weights = fitting(Shape(extent(512), extent(40), experts), type)
            let (used, tokens) = (small(4), extent(33))
            return Draft(
                .matMulID,
                [
                    Draft.Source(type, weights), Draft.Source(.f32, Shape(weights[0], random.chance(50) ? 1 : used, tokens)),
                    Draft.Source(.i32, Shape(used, tokens), below: experts),
                ])
        case .outProd:
            let (inner, outer2, outer3) = (extent(40), small(2), small(2))
            let type = random.chance(80) ? .f32 : weightType()
            let a = fitting(Shape(extent(70), inner, outer2, outer3), type)
            return Draft(.outProd, [Draft.Source(type, a), Draft.Source(.f32, Shape(extent(40), inner, outer2 * small(2), outer3))])
        case .softMax:
            let mask = Shape(shape[0], shape[1] + random.below(3), divisor(of: shape[2]), divisor(of: shape[3]))
            let sources: [Draft.Source?] = [
                Draft.Source(.f32, shape), random.chance(70) ? Draft.Source(random.chance(60) ? .f16 : .f32, mask) : nil,
                random.chance(20) ? Draft.Source(.f32, Shape(shape[2])) : nil,
            ]
            return Draft(.softMax(scale: float(0.3, 1), maxBias: float(0, 0, 8)), sources)
        case .softMaxBack:
            return Draft(.softMaxBack(scale: float(0.3, 1), maxBias: float(0)), [Draft.Source(.f32, shape), Draft.Source(.f32, shape)])
        case .rope, .ropeBack: return rope(isBackward: kind == .ropeBack)
        case .flashAttention: return flash()
        case .flashAttentionBack:
            let (size, queries, keys, heads, streams) = (extent(64), extent(20), extent(40), small(3), small(2))
            let q = Draft.Source(.f32, Shape(size, queries, heads * small(2), streams))
            return Draft(
                .flashAttentionBack(masked: random.chance(50)),
                [q, Draft.Source(.f32, Shape(size, keys, heads, streams)), Draft.Source(.f32, Shape(keys, size, heads, streams)), q])
        case .lightningIndexer:
            let (size, heads, tokens, keys, streams) = (extent(128), small(6), small(9), extent(70), small(2))
            let type = random.chance(50) ? floatType() : weightType()
            let q = fitting(Shape(size, heads, tokens, streams), type)
            return Draft(
                .lightningIndexer,
                [
                    Draft.Source(.f32, q), Draft.Source(type, Shape(q[0], 1, keys, streams)),
                    Draft.Source(.f32, Shape(heads, tokens, 1, streams)), Draft.Source(.f16, Shape(keys, tokens, 1, divisor(of: streams))),
                ])
        case .solveTri:
            let (size, outer) = (extent(40), small(3))
            return Draft(.solveTri, [Draft.Source(.f32, Shape(size, size, outer)), Draft.Source(.f32, Shape(extent(20), size, outer))])
        case .winPart:
            let (width, height, window) = (extent(20), extent(20), Int(whole(1, 3, 7, 14)))
            let count = { (extent: Int) in window > 0 ? Int32(truncatingIfNeeded: (extent + window - 1) / window) : 1 }
            return Draft(
                .winPart(columnCount: count(width), rowCount: count(height), window: Int32(truncatingIfNeeded: window)),
                [Draft.Source(.f32, Shape(extent(33), width, height), loose: false)])
        case .winUnpart:
            let (width, height, window, size) = (extent(20), extent(20), 1 + random.below(9), extent(33))
            let count = { (extent: Int) in (extent + window - 1) / window }
            return Draft(
                .winUnpart(window: Int32(window)),
                [Draft.Source(.f32, Shape(size, window, window, count(width) * count(height)), loose: false)],
                declared: .init(.f32, Shape(size, width, height)))
        case .getRelPos: return Draft(.getRelPos, [Draft.Source(.f16, Shape(extent(80), 2 * (1 + random.below(14)) - 1))])
        case .addRelPos:
            let (keys, rows, columns, heads) = (small(7), small(7), small(7), small(4))
            let relative = Draft.Source(.f32, Shape(keys, rows, columns, heads), loose: false)
            return Draft(
                .addRelPos(inPlace: random.chance(50)),
                [Draft.Source(.f32, Shape(keys * keys, rows * columns, heads), loose: false), relative, relative])
        default: return recurrence(kind)
        }
    }

    private mutating func rope(isBackward: Bool) -> Draft {
        let size = 2 * (1 + random.below(80))
        let mode = random.pick(RopeParameters.Mode.allCases)
        let width = mode == .vision ? (size + 3) / 4 * 4 : size
        let (heads, tokens) = (small(5), small(12))
        let dimensions = mode == .vision ? width / 2 : random.chance(60) ? width : 2 * (1 + random.below(width / 2))
        let hasSections = mode != .normal && mode != .neox
        let sections: [Int32] = [whole(8, 1, 16), whole(8, 0, 16), whole(8, 0, 16), whole(8, 0)]
        let parameters = RopeParameters(
            dimensions: dimensions, mode: mode, originalContext: Int(whole(0, 4096)), frequencyBase: float(10000, 1e6),
            frequencyScale: float(1, 0.25), extrapolationFactor: float(0, 0, 1), attentionFactor: float(1), betaFast: float(32),
            betaSlow: float(1), sections: SIMD4(sections), offset: random.chance(80) ? 0 : random.below(width - dimensions + 1))
        let source = Draft.Source(random.chance(70) ? .f32 : .f16, Shape(width, heads, tokens, small(2)))
        let positions = Draft.Source(.i32, Shape(tokens * (hasSections ? 4 : 1)), below: 5000)
        let factors = random.chance(30) ? Draft.Source(.f32, Shape((dimensions + 1) / 2)) : nil
        return Draft(isBackward ? .ropeBack(parameters) : .rope(parameters), [source, positions, factors])
    }

    private mutating func flash() -> Draft {
        let type = random.chance(70) ? floatType() : weightType()
        let other = random.chance(85) ? type : weightType()
        let k = fitting(
            Shape(random.pick([64, 128, 40, 80, 96, 256, extent()]), random.pick([1, 32, 64, 100, 256, extent()]), small(3), small(2)), type
        )
        let width = random.chance(80) ? k[0] : random.pick([64, 128])
        let v = fitting(Shape(width, k[1], k[2], k[3]), other)
        let q = Shape(k[0], random.pick([1, 1, 3, 17, 40]), k[2] * small(3), k[3] * (random.chance(80) ? 1 : 2))
        let mask = Shape(k[1], q[1] + random.below(3), divisor(of: q[2]), divisor(of: q[3]))
        let sources: [Draft.Source?] = [
            Draft.Source(.f32, q), Draft.Source(type, k), Draft.Source(other, v),
            random.chance(70) ? Draft.Source(random.chance(90) ? .f16 : .f32, mask) : nil,
            random.chance(20) ? Draft.Source(.f32, Shape(q[2])) : nil,
        ]
        let parameters = FlashAttentionParameters(
            scale: float(0.1, 0.3), maxBias: float(0, 0, 8), softcap: float(0, 0, 10), precision: random.pick(Precision.allCases),
            keyCountHint: Int(whole(0, 0, 32)))
        return Draft(.flashAttention(parameters), sources)
    }

    private mutating func recurrence(_ kind: OperationKind) -> Draft {
        let (size, heads, sequences, each) = (random.pick([1, 3, 8, 16, 32, 64]), small(3), small(3), small(5))
        let tokens = each * sequences
        let input = Draft.Source(.f32, Shape(size, heads, tokens), loose: false)
        let state = Draft.Source(.f32, Shape(size * size * heads, sequences), loose: false)
        switch kind {
        case .ssmConv:
            let (width, inner) = (1 + random.below(5), extent(70))
            return Draft(
                .ssmConv,
                [Draft.Source(.f32, Shape(width - 1 + each, inner, sequences)), Draft.Source(.f32, Shape(width, inner), loose: false)])
        case .ssmScan:
            let (state, head, groups, rows) = (extent(33), extent(33), small(2), small(4))
            let heads = groups * small(3)
            let isPerState = random.chance(50)
            let b = Draft.Source(.f32, Shape(state, groups, each, sequences))
            return Draft(
                .ssmScan(snapshots: isPerState ? 1 : whole(1, 1, 2, 4)),
                [
                    Draft.Source(.f32, Shape(state, head, heads, rows), loose: false),
                    Draft.Source(.f32, Shape(head, heads, each, sequences)),
                    Draft.Source(.f32, Shape(heads, each, sequences), loose: false),
                    Draft.Source(.f32, Shape(isPerState ? state : 1, heads), loose: false),
                    b, b, Draft.Source(.i32, Shape(sequences), below: rows, loose: false),
                ])
        case .rwkvWKV6: return Draft(.rwkvWKV6, [input, input, input, Draft.Source(.f32, Shape(size, heads), loose: false), input, state])
        case .gatedLinearAttention: return Draft(.gatedLinearAttention(scale: float(0.5)), [input, input, input, input, state])
        case .rwkvWKV7: return Draft(.rwkvWKV7, [input, input, input, input, input, input, state])
        case .gatedDeltaNet:
            let all = heads * small(3)
            let q = Draft.Source(.f32, Shape(size, heads, each, random.chance(70) ? sequences : 1))
            let gates = Shape(random.chance(60) ? 1 : size, all, each, sequences)
            return Draft(
                .gatedDeltaNet(snapshots: whole(1, 1, 2, 3)),
                [
                    q, q, Draft.Source(.f32, Shape(size, all, each, sequences)), Draft.Source(.f32, gates, loose: false),
                    Draft.Source(.f32, Shape(1, all, each, sequences), loose: false),
                    Draft.Source(.f32, Shape(size, size, all, sequences), loose: false),
                ])
        case .dsv4HCComb:
            return Draft(
                .dsv4HCComb(epsilon: float(1e-6, 0), iterations: whole(1, 4, 20)),
                [Draft.Source(.f32, Shape(24, tokens)), Draft.Source(.f32, Shape(3)), Draft.Source(.f32, Shape(24))])
        case .dsv4HCPre:
            let streams = Shape(extent(), small(5), tokens)
            let isGated = random.chance(40)
            return Draft(
                .dsv4HCPre(scale: float(1), gated: isGated),
                [Draft.Source(.f32, streams), Draft.Source(.f32, isGated ? streams : Shape(streams[1], tokens))])
        case .dsv4HCPost:
            let (width, streams) = (extent(), small(5))
            let comb = Draft.Source(.f32, Shape(streams, streams, tokens))
            return Draft(
                .dsv4HCPost,
                [
                    Draft.Source(.f32, Shape(width, tokens)), Draft.Source(.f32, Shape(width, streams, tokens)),
                    Draft.Source(.f32, Shape(streams, tokens)), random.chance(60) ? comb : nil,
                ])
        default: return image(kind)
        }
    }
}
