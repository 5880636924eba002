package import Tensor

/// How one version of the wire numbers operations and packs their parameters.
///
/// Parameters travel in 16 slots of 32 bits (``Slots``), floats as their bits. Facts: ggml's `ggml.h` and `ggml.c`.
package struct OperationTable: Sendable {
    /// ggml's `op_params`.
    package typealias Slots = SIMD16<Int32>

    package let version: WireVersion
    /// Operations by their numbers.
    let kinds: [OperationKind]
    /// How many functions of one variable there are, and how many gated linear units.
    let unaryCount: Int32
    let gluCount: Int32
    /// Whether slot 15 of rotary embeddings is an offset.
    let hasRopeOffset: Bool
    /// Whether slot 4 of flash attention is a bound on the number of keys.
    let hasKeyCountHint: Bool

    /// The table of a version; nil for versions that nobody has looked at.
    package static func version(_ version: WireVersion) -> OperationTable? { known[version] }

    /// The versions there are tables for.
    package static var versions: [WireVersion] { known.keys.sorted() }

    /// The table of the newest version.
    package static let newest = OperationTable(
        version: WireVersion(8, 0, 0), kinds: OperationTable.kindsOf2026, unaryCount: 22, gluCount: 7, hasRopeOffset: true,
        hasKeyCountHint: true)

    /// The operation's number on the wire.
    package func number(of operation: Operation) throws(WireOperationError) -> UInt32 {
        guard let number = numbers[operation.kind] else {
            throw WireOperationError(
                .unknownOperation, version, operation: operation.kind.rawValue, "this version does not have it")
        }
        return number
    }

    /// The operation of that number.
    package func kind(_ number: UInt32) throws(WireOperationError) -> OperationKind {
        guard number < kinds.count else {
            throw WireOperationError(
                .unknownOperation, version, operation: "\(number)", "there are only \(kinds.count) operations")
        }
        return kinds[Int(number)]
    }

    private let numbers: [OperationKind: UInt32]

    private init(
        version: WireVersion, kinds: [OperationKind], unaryCount: Int32, gluCount: Int32, hasRopeOffset: Bool,
        hasKeyCountHint: Bool
    ) {
        self.version = version
        self.kinds = kinds
        self.unaryCount = unaryCount
        self.gluCount = gluCount
        self.hasRopeOffset = hasRopeOffset
        self.hasKeyCountHint = hasKeyCountHint
        var numbers = [OperationKind: UInt32]()
        for (number, kind) in kinds.enumerated() { numbers[kind] = UInt32(number) }
        self.numbers = numbers
    }

    private static let known: [WireVersion: OperationTable] = {
        let tables = [
            OperationTable(
                version: WireVersion(5, 1, 0), kinds: kindsOf2026, unaryCount: 22, gluCount: 6, hasRopeOffset: true,
                hasKeyCountHint: false),
            OperationTable(
                version: WireVersion(7, 0, 0), kinds: kindsOf2026, unaryCount: 22, gluCount: 7, hasRopeOffset: true,
                hasKeyCountHint: true),
            newest,
        ]
        return Dictionary(uniqueKeysWithValues: tables.map { ($0.version, $0) })
    }()

    /// The list of 5.1.0, 7.0.0 and 8.0.0, number by number. It stays as it is, whatever operations come later: those get a
    /// list of their own.
    private static let kindsOf2026: [OperationKind] = [
        .none, .dup, .add, .addID, .add1, .acc, .sub, .mul, .div, .sqr, .sqrt, .log, .sin, .cos, .sum, .sumRows,
        .cumsum, .mean, .argmax, .countEqual, .repeat, .repeatBack, .concat, .siluBack, .norm, .rmsNorm, .rmsNormBack,
        .groupNorm, .l2Norm, .matMul, .matMulID, .outProd, .scale, .set, .cpy, .cont, .reshape, .view, .permute,
        .transpose, .getRows, .getRowsBack, .setRows, .diag, .diagMaskInf, .diagMaskZero, .softMax, .softMaxBack, .rope,
        .ropeBack, .clamp, .convTranspose1D, .im2col, .im2colBack, .im2col3D, .col2im1D, .conv2D, .conv3D,
        .conv2DDepthwise, .convTranspose2D, .pool1D, .pool2D, .pool2DBack, .upscale, .pad, .padReflect1D, .roll,
        .arange, .timestepEmbedding, .argsort, .topK, .leakyRelu, .tri, .fill, .flashAttention, .flashAttentionBack,
        .ssmConv, .ssmScan, .winPart, .winUnpart, .getRelPos, .addRelPos, .rwkvWKV6, .gatedLinearAttention, .rwkvWKV7,
        .solveTri, .gatedDeltaNet, .lightningIndexer, .dsv4HCComb, .dsv4HCPre, .dsv4HCPost, .unary, .mapCustom1,
        .mapCustom2, .mapCustom3, .custom, .crossEntropyLoss, .crossEntropyLossBack, .optStepAdamW, .optStepSGD, .glu,
    ]
}

extension Operation {
    /// An operation as it arrived from the wire.
    ///
    /// - Parameters:
    ///   - number: of the operation in that version.
    ///   - shape: the tensor's, which some operations have a parameter in.
    package init(
        number: UInt32, parameters: OperationTable.Slots, version: WireVersion, shape: Shape
    ) throws(WireOperationError) {
        guard let table = OperationTable.version(version) else {
            throw WireOperationError(.unknownVersion, version, operation: "\(number)", "there is no table for this version")
        }
        self = try table.operation(number: number, parameters: parameters, shape: shape)
    }

    /// The number and the parameters as a peer of that version wants them.
    package func wire(version: WireVersion) throws(WireOperationError) -> (number: UInt32, parameters: OperationTable.Slots) {
        guard let table = OperationTable.version(version) else {
            throw WireOperationError(
                .unknownVersion, version, operation: kind.rawValue, "there is no table for this version")
        }
        return (try table.number(of: self), try table.parameters(of: self))
    }
}
