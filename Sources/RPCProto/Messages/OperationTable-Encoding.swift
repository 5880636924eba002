package import Tensor

extension OperationTable {
    /// The slots that a peer of this version expects.
    package func parameters(of operation: Operation) throws(WireOperationError) -> Slots {
        var slots = SlotWriter(version, operation.kind)
        switch operation {
        case .acc(let part), .set(let part): try slots.put(part)
        case .concat(let dimension): try slots.put([dimension])
        case .norm(let epsilon), .rmsNorm(let epsilon), .rmsNormBack(let epsilon), .l2Norm(let epsilon):
            slots.put(floats: epsilon)
        case .groupNorm(let groups, let epsilon):
            try slots.put([groups])
            slots.put(floats: epsilon)
        case .matMul(let precision): slots.put(precision.rawValue)
        case .scale(let a, let b), .clamp(let a, let b), .softMax(let a, let b), .softMaxBack(let a, let b):
            slots.put(floats: a, b)
        case .view(let byteOffset): slots.put(wide: UInt64(bitPattern: Int64(byteOffset)))
        case .permute(let axes): slots.put(axes)
        case .diagMaskInf(let past), .diagMaskZero(let past): try slots.put([past])
        case .rope(let parameters), .ropeBack(let parameters): try put(parameters, &slots)
        case .argsort(let order): slots.put(order.rawValue)
        case .leakyRelu(let value), .fill(let value), .gatedLinearAttention(let value): slots.put(floats: value)
        case .tri(let kind): slots.put(kind.rawValue)
        case .flashAttention(let parameters): try put(parameters, &slots)
        case .flashAttentionBack(let masked): slots.put(masked ? 1 : 0)
        case .ssmScan(let count), .gatedDeltaNet(let count): slots.put(count)
        case .winPart(let columns, let rows, let window): slots.put(columns, rows, window)
        case .winUnpart(let window): slots.put(window)
        case .addRelPos(let inPlace): slots.put(inPlace ? 1 : 0)
        case .dsv4HCComb(let epsilon, let iterations):
            slots.put(floats: epsilon)
            slots.put(iterations)
        case .dsv4HCPre(let scale, let gated):
            slots.put(floats: scale)
            slots.put(gated ? 1 : 0)
        case .unary(let kind): try put(kind, &slots)
        case .xielu(let parameters):
            try put(UnaryKind.xielu, &slots)
            slots.put(floats: parameters.alphaNegative, parameters.alphaPositive, parameters.beta, parameters.epsilon)
        case .glu(let parameters): try put(parameters, &slots)

        // Convolutions, images, and what else is all 32-bit numbers.
        case .convTranspose1D(let stride): slots.put(stride, 0, 1)
        case .convTranspose2D(let stride): slots.put(stride)
        case .im2col(let parameters), .im2colBack(let parameters):
            slots.put(parameters.window)
            slots.put(parameters.is2D ? 1 : 0)
        case .im2col3D(let window, let channels):
            slots.put(window)
            slots.put(channels)
        case .col2im1D(let stride, let channels, let padding): slots.put(stride, channels, padding)
        case .conv2D(let window), .conv2DDepthwise(let window): slots.put(window)
        case .conv3D(let parameters):
            slots.put(parameters.window)
            slots.put(parameters.channels, parameters.batch, parameters.outputs)
        case .pool1D(let kind, let size, let stride, let padding): slots.put(kind.rawValue, size, stride, padding)
        case .pool2D(let parameters), .pool2DBack(let parameters):
            slots.put(parameters.kind.rawValue)
            for pair in [parameters.size, parameters.stride, parameters.padding] { slots.put(pair[0], pair[1]) }
        case .upscale(let parameters):
            let flags: Int32 = (parameters.alignsCorners ? 1 << 8 : 0) | (parameters.antialiases ? 1 << 9 : 0)
            slots.put(parameters.mode.rawValue | flags)
        case .pad(let parameters):
            for dimension in 0..<4 { slots.put(parameters.before[dimension], parameters.after[dimension]) }
            slots.put(parameters.circular ? 1 : 0)
        case .padReflect1D(let before, let after): slots.put(before, after)
        case .roll(let shifts): slots.put(shifts)
        case .arange(let start, let stop, let step): slots.put(floats: start, stop, step)
        case .timestepEmbedding(let dimension, let period): slots.put(dimension, period)

        // Without parameters. That of TOP_K is its result's shape.
        case .none, .dup, .add, .addID, .add1, .sub, .mul, .div, .sqr, .sqrt, .log, .sin, .cos, .sum, .sumRows,
            .cumsum, .mean, .argmax, .countEqual, .repeat, .repeatBack, .siluBack, .matMulID, .outProd, .cpy, .cont,
            .reshape, .transpose, .getRows, .getRowsBack, .setRows, .diag, .topK, .ssmConv, .getRelPos, .rwkvWKV6,
            .rwkvWKV7, .solveTri, .lightningIndexer, .dsv4HCPost, .mapCustom1, .mapCustom2, .mapCustom3, .custom,
            .crossEntropyLoss, .crossEntropyLossBack, .optStepAdamW, .optStepSGD:
            break
        }
        return slots.slots
    }

    private func put(_ parameters: RopeParameters, _ slots: inout SlotWriter) throws(WireOperationError) {
        guard hasRopeOffset || parameters.offset == 0 else {
            throw slots.fail(.unknownKind, "this version rotates from the beginning of rows only")
        }
        try slots.put([0, parameters.dimensions, Int(parameters.mode.rawValue), 0, parameters.originalContext])
        slots.put(
            floats: parameters.frequencyBase, parameters.frequencyScale, parameters.extrapolationFactor, parameters.attentionFactor,
            parameters.betaFast, parameters.betaSlow)
        slots.put(parameters.sections)
        try slots.put([parameters.offset])
    }

    private func put(_ parameters: FlashAttentionParameters, _ slots: inout SlotWriter) throws(WireOperationError) {
        slots.put(floats: parameters.scale, parameters.maxBias, parameters.softcap)
        slots.put(parameters.precision.rawValue)
        // The bound is a hint, so a version without it loses nothing.
        if hasKeyCountHint { try slots.put([parameters.keyCountHint]) }
    }

    private func put(_ kind: UnaryKind, _ slots: inout SlotWriter) throws(WireOperationError) {
        guard kind.rawValue < unaryCount else { throw slots.fail(.unknownKind, "this version has no \(kind)") }
        slots.put(kind.rawValue)
    }

    private func put(_ parameters: GLUParameters, _ slots: inout SlotWriter) throws(WireOperationError) {
        guard parameters.kind.rawValue < gluCount else {
            throw slots.fail(.unknownKind, "this version has no \(parameters.kind)")
        }
        slots.put(parameters.kind.rawValue, parameters.swapped ? 1 : 0)
        slots.put(floats: parameters.alpha, parameters.limit)
    }
}

/// Slots being filled, from the first on.
private struct SlotWriter {
    private(set) var slots = OperationTable.Slots.zero
    private var next = 0
    private let version: WireVersion
    private let kind: OperationKind

    init(_ version: WireVersion, _ kind: OperationKind) {
        self.version = version
        self.kind = kind
    }

    func fail(_ code: WireOperationError.Code, _ message: String) -> WireOperationError {
        WireOperationError(code, version, operation: kind.rawValue, message)
    }

    mutating func put(_ values: Int32...) {
        for value in values {
            slots[next] = value
            next += 1
        }
    }

    mutating func put(floats values: Float...) {
        for value in values {
            slots[next] = Int32(bitPattern: value.bitPattern)
            next += 1
        }
    }

    /// Numbers of this program's own width, which must fit their slots.
    mutating func put(_ values: [Int]) throws(WireOperationError) {
        for value in values {
            guard let slot = Int32(exactly: value) else { throw fail(.parameter, "\(value) does not fit 32 bits") }
            put(slot)
        }
    }

    mutating func put(wide value: UInt64) {
        put(Int32(truncatingIfNeeded: value), Int32(truncatingIfNeeded: value >> 32))
    }

    mutating func put(_ values: SIMD4<Int32>) { put(values[0], values[1], values[2], values[3]) }

    mutating func put(_ window: Window2D) {
        put(window.stride[0], window.stride[1], window.padding[0], window.padding[1])
        put(window.dilation[0], window.dilation[1])
    }

    mutating func put(_ window: Window3D) {
        for triple in [window.stride, window.padding, window.dilation] { put(triple[0], triple[1], triple[2]) }
    }

    mutating func put(_ part: SetParameters) throws(WireOperationError) {
        try put([part.stride1, part.stride2, part.stride3, part.byteOffset])
        put(part.inPlace ? 1 : 0)
    }
}
