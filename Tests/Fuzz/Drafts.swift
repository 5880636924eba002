import Tensor

// What each operation might be given: elements, rows, copies.
extension Drafter {
    mutating func draft(_ kind: OperationKind) -> Draft {
        let type = floatType()
        let shape = shape()
        let one = Draft.Source(type, shape)
        let f32 = Draft.Source(.f32, shape)
        switch kind {
        case .none: return Draft(.none, [])
        case .dup: return Draft(.dup, [Draft.Source(plainType(), shape)])
        case .sqr: return Draft(.sqr, [one])
        case .sqrt: return Draft(.sqrt, [one])
        case .log: return Draft(.log, [one])
        case .sin: return Draft(.sin, [one])
        case .cos: return Draft(.cos, [one])
        case .add, .sub, .mul, .div:
            let operation: Operation = kind == .add ? .add : kind == .sub ? .sub : kind == .mul ? .mul : .div
            let quantized = kind == .add && random.chance(20) ? weightType() : type
            return Draft(
                operation,
                [
                    Draft.Source(quantized, fitting(shape, quantized)),
                    Draft.Source(random.chance(70) ? .f32 : type, part(of: fitting(shape, quantized))),
                ])
        case .add1: return Draft(.add1, [one, Draft.Source(random.chance(70) ? .f32 : type, Shape(1))])
        case .addID:
            let (width, used, tokens, rows) = (extent(), small(6), small(9), small(10))
            return Draft(
                .addID,
                [
                    Draft.Source(.f32, Shape(width, used, tokens)), Draft.Source(.f32, Shape(width, rows)),
                    Draft.Source(.i32, Shape(used, tokens), below: rows),
                ])
        case .acc, .set: return partialWrite(kind)
        case .siluBack: return Draft(.siluBack, [one, one])
        case .norm: return Draft(.norm(epsilon: float(1e-5, 0)), [f32])
        case .rmsNorm: return Draft(.rmsNorm(epsilon: float(1e-5, 0)), [f32])
        case .rmsNormBack: return Draft(.rmsNormBack(epsilon: float(1e-5, 0)), [f32, f32])
        case .l2Norm: return Draft(.l2Norm(epsilon: float(1e-5, 0)), [f32])
        case .groupNorm: return Draft(.groupNorm(groups: Int(whole(1, 2, 3, 4, 9)), epsilon: float(1e-5)), [f32])
        case .scale: return Draft(.scale(factor: float(0.5, -2), bias: float(0, 1)), [one])
        case .clamp: return Draft(.clamp(minimum: float(-1, 0), maximum: float(1, 0)), [one])
        case .leakyRelu: return Draft(.leakyRelu(slope: float(0.1)), [one])
        case .unary: return Draft(unary(), [one])
        case .glu:
            let kinds = GLUParameters(random.pick(GLUKind.allCases), swapped: random.chance(50), alpha: float(1.7), limit: float(7))
            return Draft(.glu(kinds), random.chance(50) ? [one] : [one, one])
        case .tri:
            let size = extent(60)
            return Draft(.tri(random.pick(TriangleKind.allCases)), [Draft.Source(.f32, Shape(size, size, small(3)))])
        case .fill: return Draft(.fill(value: float(1)), [Draft.Source(random.chance(70) ? .f32 : .f16, shape)])
        case .sum: return Draft(.sum, [one])
        case .sumRows: return Draft(.sumRows, [f32])
        case .mean: return Draft(.mean, [f32])
        case .cumsum: return Draft(.cumsum, [f32])
        case .argmax: return Draft(.argmax, [Draft.Source(.f32, matrix())])
        case .countEqual: return Draft(.countEqual, [Draft.Source(.i32, shape, below: 3), Draft.Source(.i32, shape, below: 3)])
        case .argsort: return Draft(.argsort(random.pick(SortOrder.allCases)), [f32])
        case .topK: return Draft(.topK(count: max(1, random.below(shape[0] + 1))), [f32])
        case .crossEntropyLoss: return Draft(.crossEntropyLoss, [f32, f32])
        case .crossEntropyLossBack: return Draft(.crossEntropyLossBack, [Draft.Source(.f32, Shape(1)), f32, f32])
        case .optStepAdamW: return Draft(.optStepAdamW, [f32, f32, f32, f32, Draft.Source(.f32, Shape(7))])
        case .optStepSGD: return Draft(.optStepSGD, [f32, f32, Draft.Source(.f32, Shape(2))])
        default: return movement(kind)
        }
    }

    private mutating func unary() -> Operation {
        let kind = random.pick(UnaryKind.allCases)
        if kind != .xielu { return .unary(kind) }
        return .xielu(XIELUParameters(alphaNegative: float(0.8), alphaPositive: float(0.8), beta: float(0.5), epsilon: float(-1e-6)))
    }

    private mutating func partialWrite(_ kind: OperationKind) -> Draft {
        let type: ElementType = kind == .acc ? .f32 : random.pick([.f32, .i32, .f16])
        let whole = Shape(extent(64), extent(20), small(4), small(2))
        var part = whole
        for dimension in 0..<4 where part[dimension] > 1 && random.chance(60) { part[dimension] = 1 + random.below(part[dimension]) }
        let strides = Strides(contiguous: whole, type)
        var offset = 0
        for dimension in 0..<4 { offset += strides[dimension] * random.below(whole[dimension] - part[dimension] + 1) }
        let parameters = SetParameters(
            stride1: random.chance(5) ? 0 : strides[1], stride2: strides[2], stride3: strides[3], byteOffset: offset,
            inPlace: random.chance(50))
        return Draft(
            kind == .acc ? .acc(parameters) : .set(parameters), [Draft.Source(type, whole, loose: false), Draft.Source(type, part)])
    }

    private mutating func movement(_ kind: OperationKind) -> Draft {
        let type = plainType()
        let shape = shape()
        let one = Draft.Source(type, shape)
        switch kind {
        case .repeat:
            let source = fitting(part(of: shape), type)
            var target = source
            for dimension in 0..<4 { target[dimension] *= small(3) }
            return Draft(.repeat, [Draft.Source(type, source)], declared: .init(type, target))
        case .repeatBack: return Draft(.repeatBack, [Draft.Source(.f32, shape)], declared: .init(.f32, part(of: shape)))
        case .concat:
            let dimension = random.below(4)
            var other = shape
            other[dimension] = small(9)
            return Draft(.concat(dimension: dimension), [one, Draft.Source(type, other)])
        case .cpy:
            let (from, to) = (random.chance(60) ? plainType() : weightType(), random.chance(60) ? plainType() : weightType())
            let fit = fitting(fitting(shape, from), to)
            if random.chance(30) { return Draft(.cpy, [Draft.Source(from, fit)], declared: .init(to, fit)) }
            let flat = Shape(fit[0], fit.rowCount)
            return Draft(.cpy, [Draft.Source(from, fit), Draft.Source(to, random.chance(50) ? fit : flat)])
        case .cont:
            if random.chance(50) { return Draft(.cont, [one]) }
            return Draft(.cont, [one], declared: .init(type, Shape(shape.elementCount)))
        case .reshape: return Draft(.reshape, [Draft.Source(type, shape, loose: false)], declared: .init(type, Shape(shape.elementCount)))
        case .view: return Draft(.view(byteOffset: 0), [one], declared: .init(type, part(of: shape)))
        case .permute: return Draft(.permute(axes: random.pick([SIMD4(0, 2, 1, 3), SIMD4(1, 0, 2, 3), SIMD4(3, 2, 1, 0)])), [one])
        case .transpose: return Draft(.transpose, [one])
        case .getRows:
            let weights = weightType()
            let table = fitting(Shape(extent(), small(30), small(3), small(2)), weights)
            let ids = Shape(small(12), table[2], table[3])
            return Draft(.getRows, [Draft.Source(weights, table), Draft.Source(.i32, ids, below: table[1])])
        case .getRowsBack:
            let (width, rows, count) = (extent(), small(20), small(12))
            return Draft(
                .getRowsBack,
                [Draft.Source(random.chance(80) ? .f32 : .f16, Shape(width, count)), Draft.Source(.i32, Shape(count), below: rows)],
                declared: .init(.f32, Shape(width, rows)))
        case .setRows:
            let target = random.chance(60) ? floatType() : weightType()
            let table = fitting(Shape(extent(), small(30), small(3), small(2)), target)
            let count = small(12)
            let ids = Shape(count, divisor(of: table[2]), divisor(of: table[3]))
            return Draft(
                .setRows,
                [
                    Draft.Source(random.chance(80) ? .f32 : .f16, Shape(table[0], count, table[2], table[3])),
                    Draft.Source(random.chance(70) ? .i64 : .i32, ids, below: table[1]), Draft.Source(target, table),
                ])
        case .diag: return Draft(.diag, [Draft.Source(.f32, Shape(extent(64), 1, small(3), small(2)))])
        case .diagMaskInf: return Draft(.diagMaskInf(past: Int(whole(0, 1, 5, 40))), [Draft.Source(.f32, shape)])
        case .diagMaskZero: return Draft(.diagMaskZero(past: Int(whole(0, 1, 5, 40))), [Draft.Source(.f32, shape)])
        case .roll:
            let shifts = SIMD4<Int32>((0..<4).map { Int32(random.below(shape[$0])) - Int32(random.chance(30) ? 2 : 0) })
            return Draft(.roll(shifts: shifts), [Draft.Source(.f32, shape)])
        case .arange: return Draft(.arange(start: float(0, 3), stop: float(10, 100), step: float(1, 0.5, 3)), [])
        case .timestepEmbedding:
            return Draft(
                .timestepEmbedding(dimension: whole(1, 2, 8, 33, 128), maxPeriod: whole(10000, 1)), [Draft.Source(.f32, Shape(extent(30)))])
        case .mapCustom1: return Draft(.mapCustom1, [one])
        case .mapCustom2: return Draft(.mapCustom2, [one, one])
        case .mapCustom3: return Draft(.mapCustom3, [one, one, one])
        case .custom: return Draft(.custom, [one], declared: .init(type, shape))
        default: return attention(kind)
        }
    }
}
