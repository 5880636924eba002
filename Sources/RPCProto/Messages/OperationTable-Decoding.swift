package import Tensor

extension OperationTable {
    /// The operation that a tensor's record describes.
    ///
    /// What a record says beyond what an operation uses is ignored: hints, and, for products, how far activations may
    /// be rounded (as stock's own CPU backend does).
    ///
    /// - Parameter shape: the tensor's, which holds the parameter of TOP_K.
    package func operation(
        number: UInt32, parameters: Slots, shape: Shape
    ) throws(WireOperationError) -> Operation {
        let kind = try kind(number)
        let slots = SlotReader(parameters, version, kind)
        switch kind {
        case .acc: return .acc(slots.part)
        case .set: return .set(slots.part)
        case .concat: return .concat(dimension: slots.integer(0))
        case .norm: return .norm(epsilon: slots.float(0))
        case .rmsNorm: return .rmsNorm(epsilon: slots.float(0))
        case .rmsNormBack: return .rmsNormBack(epsilon: slots.float(0))
        case .groupNorm: return .groupNorm(groups: slots.integer(0), epsilon: slots.float(1))
        case .l2Norm: return .l2Norm(epsilon: slots.float(0))
        case .matMul: return .matMul(precision: try slots.kind(0))
        case .scale: return .scale(factor: slots.float(0), bias: slots.float(1))
        case .view: return .view(byteOffset: try slots.offset())
        case .permute: return .permute(axes: slots.quadruple(0))
        case .diagMaskInf: return .diagMaskInf(past: slots.integer(0))
        case .diagMaskZero: return .diagMaskZero(past: slots.integer(0))
        case .softMax: return .softMax(scale: slots.float(0), maxBias: slots.float(1))
        case .softMaxBack: return .softMaxBack(scale: slots.float(0), maxBias: slots.float(1))
        case .rope: return .rope(try rope(slots))
        case .ropeBack: return .ropeBack(try rope(slots))
        case .clamp: return .clamp(minimum: slots.float(0), maximum: slots.float(1))
        case .argsort: return .argsort(try slots.kind(0))
        case .topK: return .topK(count: shape[0])
        case .leakyRelu: return .leakyRelu(slope: slots.float(0))
        case .tri: return .tri(try slots.kind(0))
        case .fill: return .fill(value: slots.float(0))
        case .flashAttention: return .flashAttention(try flashAttention(slots))
        case .flashAttentionBack: return .flashAttentionBack(masked: try slots.flag(0))
        case .ssmScan: return .ssmScan(snapshots: slots[0])
        case .winPart: return .winPart(columnCount: slots[0], rowCount: slots[1], window: slots[2])
        case .winUnpart: return .winUnpart(window: slots[0])
        case .addRelPos: return .addRelPos(inPlace: try slots.flag(0))
        case .gatedLinearAttention: return .gatedLinearAttention(scale: slots.float(0))
        case .gatedDeltaNet: return .gatedDeltaNet(snapshots: slots[0])
        case .dsv4HCComb: return .dsv4HCComb(epsilon: slots.float(0), iterations: slots[1])
        case .dsv4HCPre: return .dsv4HCPre(scale: slots.float(0), gated: try slots.flag(1))
        case .unary: return try unary(slots)
        case .glu: return .glu(try glu(slots))

        // Convolutions and images.
        case .convTranspose1D:
            guard slots[1] == 0, slots[2] == 1 else {
                throw slots.fail(.parameter, "padding \(slots[1]) and dilation \(slots[2]) instead of 0 and 1")
            }
            return .convTranspose1D(stride: slots[0])
        case .convTranspose2D: return .convTranspose2D(stride: slots[0])
        case .im2col: return .im2col(Im2colParameters(slots.window2D(), is2D: try slots.flag(6)))
        case .im2colBack: return .im2colBack(Im2colParameters(slots.window2D(), is2D: try slots.flag(6)))
        case .im2col3D: return .im2col3D(slots.window3D(), channels: slots[9])
        case .col2im1D: return .col2im1D(stride: slots[0], channels: slots[1], padding: slots[2])
        case .conv2D: return .conv2D(slots.window2D())
        case .conv2DDepthwise: return .conv2DDepthwise(slots.window2D())
        case .conv3D:
            let window = slots.window3D()
            return .conv3D(Convolution3DParameters(window, channels: slots[9], batch: slots[10], outputs: slots[11]))
        case .pool1D: return .pool1D(try slots.kind(0), size: slots[1], stride: slots[2], padding: slots[3])
        case .pool2D: return .pool2D(try pool2D(slots))
        case .pool2DBack: return .pool2DBack(try pool2D(slots))
        case .upscale: return .upscale(try upscale(slots))
        case .pad:
            let before = SIMD4(slots[0], slots[2], slots[4], slots[6])
            let after = SIMD4(slots[1], slots[3], slots[5], slots[7])
            return .pad(PadParameters(before: before, after: after, circular: try slots.flag(8)))
        case .padReflect1D: return .padReflect1D(before: slots[0], after: slots[1])
        case .roll: return .roll(shifts: slots.quadruple(0))
        case .arange: return .arange(start: slots.float(0), stop: slots.float(1), step: slots.float(2))
        case .timestepEmbedding: return .timestepEmbedding(dimension: slots[0], maxPeriod: slots[1])

        // Without parameters.
        case .none: return .none
        case .dup: return .dup
        case .add: return .add
        case .addID: return .addID
        case .add1: return .add1
        case .sub: return .sub
        case .mul: return .mul
        case .div: return .div
        case .sqr: return .sqr
        case .sqrt: return .sqrt
        case .log: return .log
        case .sin: return .sin
        case .cos: return .cos
        case .sum: return .sum
        case .sumRows: return .sumRows
        case .cumsum: return .cumsum
        case .mean: return .mean
        case .argmax: return .argmax
        case .countEqual: return .countEqual
        case .repeat: return .repeat
        case .repeatBack: return .repeatBack
        case .siluBack: return .siluBack
        case .matMulID: return .matMulID
        case .outProd: return .outProd
        case .cpy: return .cpy
        case .cont: return .cont
        case .reshape: return .reshape
        case .transpose: return .transpose
        case .getRows: return .getRows
        case .getRowsBack: return .getRowsBack
        case .setRows: return .setRows
        case .diag: return .diag
        case .ssmConv: return .ssmConv
        case .getRelPos: return .getRelPos
        case .rwkvWKV6: return .rwkvWKV6
        case .rwkvWKV7: return .rwkvWKV7
        case .solveTri: return .solveTri
        case .lightningIndexer: return .lightningIndexer
        case .dsv4HCPost: return .dsv4HCPost
        case .mapCustom1: return .mapCustom1
        case .mapCustom2: return .mapCustom2
        case .mapCustom3: return .mapCustom3
        case .custom: return .custom
        case .crossEntropyLoss: return .crossEntropyLoss
        case .crossEntropyLossBack: return .crossEntropyLossBack
        case .optStepAdamW: return .optStepAdamW
        case .optStepSGD: return .optStepSGD
        }
    }

    // MARK: Groups of parameters

    private func rope(_ slots: SlotReader) throws(WireOperationError) -> RopeParameters {
        RopeParameters(
            dimensions: slots.integer(1), mode: try slots.kind(2), originalContext: slots.integer(4),
            frequencyBase: slots.float(5), frequencyScale: slots.float(6), extrapolationFactor: slots.float(7),
            attentionFactor: slots.float(8), betaFast: slots.float(9), betaSlow: slots.float(10),
            sections: slots.quadruple(11), offset: hasRopeOffset ? slots.integer(15) : 0)
    }

    private func flashAttention(_ slots: SlotReader) throws(WireOperationError) -> FlashAttentionParameters {
        FlashAttentionParameters(
            scale: slots.float(0), maxBias: slots.float(1), softcap: slots.float(2), precision: try slots.kind(3),
            keyCountHint: hasKeyCountHint ? slots.integer(4) : 0)
    }

    private func unary(_ slots: SlotReader) throws(WireOperationError) -> Operation {
        guard slots[0] < unaryCount else { throw slots.fail(.unknownKind, "\(slots[0]) is no function of this version") }
        let kind: UnaryKind = try slots.kind(0)
        guard kind == .xielu else { return .unary(kind) }
        return .xielu(
            XIELUParameters(
                alphaNegative: slots.float(1), alphaPositive: slots.float(2), beta: slots.float(3), epsilon: slots.float(4)))
    }

    private func glu(_ slots: SlotReader) throws(WireOperationError) -> GLUParameters {
        guard slots[0] < gluCount else { throw slots.fail(.unknownKind, "\(slots[0]) is no gated unit of this version") }
        return GLUParameters(
            try slots.kind(0), swapped: try slots.flag(1), alpha: slots.float(2), limit: slots.float(3))
    }

    private func pool2D(_ slots: SlotReader) throws(WireOperationError) -> Pool2DParameters {
        Pool2DParameters(
            try slots.kind(0), size: SIMD2(slots[1], slots[2]), stride: SIMD2(slots[3], slots[4]),
            padding: SIMD2(slots[5], slots[6]))
    }

    private func upscale(_ slots: SlotReader) throws(WireOperationError) -> UpscaleParameters {
        let flags = slots[0] & ~0xff
        guard let mode = UpscaleParameters.Mode(rawValue: slots[0] & 0xff), flags & ~0x300 == 0 else {
            throw slots.fail(.unknownKind, "\(slots[0]) is no way of scaling")
        }
        return UpscaleParameters(mode, alignsCorners: flags & 0x100 != 0, antialiases: flags & 0x200 != 0)
    }
}

/// A record's slots being read.
private struct SlotReader {
    private let slots: OperationTable.Slots
    private let version: WireVersion
    private let operation: OperationKind

    init(_ slots: OperationTable.Slots, _ version: WireVersion, _ operation: OperationKind) {
        self.slots = slots
        self.version = version
        self.operation = operation
    }

    func fail(_ code: WireOperationError.Code, _ message: String) -> WireOperationError {
        WireOperationError(code, version, operation: operation.rawValue, message)
    }

    subscript(slot: Int) -> Int32 { slots[slot] }

    func integer(_ slot: Int) -> Int { Int(slots[slot]) }

    func float(_ slot: Int) -> Float { Float(bitPattern: UInt32(bitPattern: slots[slot])) }

    func flag(_ slot: Int) throws(WireOperationError) -> Bool {
        guard slots[slot] == 0 || slots[slot] == 1 else {
            throw fail(.parameter, "slot \(slot) is \(slots[slot]), neither 0 nor 1")
        }
        return slots[slot] == 1
    }

    func kind<Kind: RawRepresentable<Int32>>(_ slot: Int) throws(WireOperationError) -> Kind {
        guard let kind = Kind(rawValue: slots[slot]) else {
            throw fail(.unknownKind, "slot \(slot) is \(slots[slot]), which is no \(Kind.self)")
        }
        return kind
    }

    func quadruple(_ slot: Int) -> SIMD4<Int32> {
        SIMD4(slots[slot], slots[slot + 1], slots[slot + 2], slots[slot + 3])
    }

    /// The first two slots as one number.
    func offset() throws(WireOperationError) -> Int {
        let low = UInt64(UInt32(bitPattern: slots[0]))
        let value = UInt64(UInt32(bitPattern: slots[1])) << 32 | low
        guard let offset = Int(exactly: value) else { throw fail(.parameter, "an offset of \(value) bytes") }
        return offset
    }

    func window2D() -> Window2D {
        Window2D(
            stride: SIMD2(slots[0], slots[1]), padding: SIMD2(slots[2], slots[3]), dilation: SIMD2(slots[4], slots[5]))
    }

    func window3D() -> Window3D {
        Window3D(
            stride: SIMD3(slots[0], slots[1], slots[2]), padding: SIMD3(slots[3], slots[4], slots[5]),
            dilation: SIMD3(slots[6], slots[7], slots[8]))
    }

    var part: SetParameters {
        SetParameters(
            stride1: integer(0), stride2: integer(1), stride3: integer(2), byteOffset: integer(3), inPlace: slots[4] != 0)
    }
}
