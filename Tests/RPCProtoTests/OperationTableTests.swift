import RPCProto
import Tensor
import Testing

/// ggml's numbers and slots, version by version.
@Suite struct OperationTableTests {
    static let versions = [WireVersion(5, 1, 0), WireVersion(7, 0, 0), WireVersion(8, 0, 0)]

    /// ggml's numbers, some of them, as its header's order gives them.
    @Test(arguments: versions) func numbers(version: WireVersion) throws {
        let table = try #require(OperationTable.version(version))
        let known: [UInt32: OperationKind] = [
            0: .none, 1: .dup, 2: .add, 7: .mul, 25: .rmsNorm, 29: .matMul, 30: .matMulID, 34: .cpy, 36: .reshape,
            40: .getRows, 42: .setRows, 46: .softMax, 48: .rope, 59: .convTranspose2D, 69: .argsort,
            74: .flashAttention, 91: .unary, 100: .glu,
        ]
        for (number, kind) in known { #expect(try table.kind(number) == kind) }
        // The order of this program's own list, which later operations may change, says nothing.
        for (number, name) in OperationTableTests.names.enumerated() { #expect(try table.kind(UInt32(number)).rawValue == name) }
        #expect(OperationTableTests.names.count == 101)
        for number in [101, 102, 1 << 31, .max] as [UInt32] {
            #expect(throws: WireOperationError.self) { try table.kind(number) }
        }
    }

    /// One of every operation, each parameter another, comes back from the wire as it went; as does each function of one
    /// variable and each gated unit.
    @Test(arguments: versions) func roundTrip(version: WireVersion) throws {
        let table = try #require(OperationTable.version(version))
        var seen: Set<OperationKind> = []
        let more = UnaryKind.allCases.filter { $0 != .xielu }.map(Operation.unary) + [OperationSamples.xielu]
        for operation in OperationKind.allCases.map(OperationSamples.operation) + more {
            guard let number = try? table.number(of: operation) else { continue }
            seen.insert(operation.kind)
            // What a version does not have, it does not carry.
            let expected = version.major < 7 ? OperationSamples.withoutKeyCountHint(operation) : operation
            let parameters = try table.parameters(of: operation)
            #expect(try table.kind(number) == operation.kind)
            #expect(try table.operation(number: number, parameters: parameters, shape: OperationSamples.shape) == expected)
            #expect(try table.parameters(of: expected) == parameters)
        }
        // All that there is in 2026: an operation of a later version is missing here until it has a table.
        #expect(seen.count == 101)
        for kind in GLUKind.allCases where kind != .swigluClamp || version.major >= 7 {
            let operation = Operation.glu(GLUParameters(kind, swapped: true, alpha: 1.5, limit: 7))
            let parameters = try table.parameters(of: operation)
            let number = try table.number(of: operation)
            #expect(try table.operation(number: number, parameters: parameters, shape: Shape(1)) == operation)
        }
    }

    /// Slots as ggml fills them.
    @Test func slots() throws {
        let version = WireVersion(8, 0, 0)
        func slots(_ operation: Operation) throws -> [Int32] {
            let parameters = try operation.wire(version: version).parameters
            return (0..<16).map { parameters[$0] }
        }
        func bits(_ value: Float) -> Int32 { Int32(bitPattern: value.bitPattern) }
        func padded(_ values: [Int32]) -> [Int32] { values + [Int32](repeating: 0, count: 16 - values.count) }

        let rope = RopeParameters(
            dimensions: 64, mode: .neox, originalContext: 4096, frequencyBase: 1e6, frequencyScale: 0.5,
            extrapolationFactor: 1, attentionFactor: 2, betaFast: 32, betaSlow: 1, sections: SIMD4(1, 2, 3, 4), offset: 8)
        #expect(
            try slots(.rope(rope)) == [
                0, 64, 2, 0, 4096, bits(1e6), bits(0.5), bits(1), bits(2), bits(32), bits(1), 1, 2, 3, 4, 8,
            ])
        let flash = FlashAttentionParameters(scale: 0.125, maxBias: 8, softcap: 50, precision: .f32, keyCountHint: 256)
        #expect(try slots(.flashAttention(flash)) == padded([bits(0.125), bits(8), bits(50), 10, 256]))
        #expect(try slots(.glu(GLUParameters(.swigluOAI, swapped: true, alpha: 1.5, limit: 7))) == padded([3, 1, bits(1.5), bits(7)]))
        #expect(try slots(.view(byteOffset: 0x1_2345_6789)) == padded([0x2345_6789, 1]))
        #expect(try slots(.permute(axes: SIMD4(0, 2, 1, 3))) == [0, 2, 1, 3] + [Int32](repeating: 0, count: 12))
        #expect(try slots(.set(OperationSamples.part)) == padded([16, 48, 96, 4, 1]))
        #expect(try slots(.groupNorm(groups: 32, epsilon: 1e-6)) == padded([32, bits(1e-6)]))
        #expect(try slots(.convTranspose1D(stride: 3)) == padded([3, 0, 1]))
        #expect(try slots(.pool2D(OperationSamples.pool)) == padded([1, 2, 3, 4, 1, 0, 5]))
        #expect(try slots(.pad(OperationSamples.around)) == padded([1, 2, 4, 3, 5, 7, 6, 8, 1]))
        #expect(try slots(.upscale(UpscaleParameters(.bilinear, alignsCorners: true))) == padded([0x101]))
        #expect(
            try slots(.conv3D(.init(OperationSamples.volume, channels: 2, batch: 3, outputs: 4)))
                == padded([2, 1, 3, 1, 0, 2, 4, 5, 6, 2, 3, 4]))
    }

    /// What a version does not have is refused, both ways; what does not fit a slot too.
    @Test func refusals() throws {
        let old = WireVersion(5, 1, 0)
        let new = WireVersion(8, 0, 0)
        func code(_ body: () throws(WireOperationError) -> Void) -> WireOperationError.Code? {
            do throws(WireOperationError) { try body() } catch { return error.code }
            return nil
        }
        let clamped = Operation.glu(GLUParameters(.swigluClamp))
        #expect(code { () throws(WireOperationError) in _ = try clamped.wire(version: old) } == .unknownKind)
        #expect(code { () throws(WireOperationError) in _ = try clamped.wire(version: new) } == nil)
        let unknown = WireVersion(8, 0, 1)
        #expect(code { () throws(WireOperationError) in _ = try clamped.wire(version: unknown) } == .unknownVersion)
        func decoded(_ kind: OperationKind, _ values: [Int: Int32], _ version: WireVersion) -> WireOperationError.Code? {
            var slots = OperationTable.Slots.zero
            for (slot, value) in values { slots[slot] = value }
            let number = UInt32(OperationTableTests.names.firstIndex(of: kind.rawValue) ?? 0)
            return code { () throws(WireOperationError) in
                _ = try Operation(number: number, parameters: slots, version: version, shape: Shape(1))
            }
        }
        #expect(decoded(.glu, [0: 6], old) == .unknownKind)
        #expect(decoded(.glu, [0: 6], new) == nil)
        #expect(decoded(.glu, [0: -1], new) == .unknownKind)
        #expect(decoded(.unary, [0: 22], new) == .unknownKind)
        #expect(decoded(.unary, [0: .min], new) == .unknownKind)
        #expect(decoded(.rope, [2: 1], new) == .unknownKind)
        #expect(decoded(.matMul, [0: 7], new) == .unknownKind)
        #expect(decoded(.view, [1: .min], new) == .parameter)
        #expect(decoded(.upscale, [0: 3], new) == .unknownKind)
        #expect(decoded(.upscale, [0: 0x400], new) == .unknownKind)
        #expect(decoded(.convTranspose1D, [0: 1, 1: 1, 2: 1], new) == .parameter)
        let large = Operation.set(
            SetParameters(stride1: 1 << 31, stride2: 0, stride3: 0, byteOffset: 0, inPlace: false))
        #expect(code { () throws(WireOperationError) in _ = try large.wire(version: new) } == .parameter)
    }

    /// The list of ggml.h in the order of its numbers, since the spring of 2026.
    private static let names = """
        NONE DUP ADD ADD_ID ADD1 ACC SUB MUL DIV SQR SQRT LOG SIN COS SUM SUM_ROWS CUMSUM MEAN ARGMAX COUNT_EQUAL
        REPEAT REPEAT_BACK CONCAT SILU_BACK NORM RMS_NORM RMS_NORM_BACK GROUP_NORM L2_NORM MUL_MAT MUL_MAT_ID OUT_PROD
        SCALE SET CPY CONT RESHAPE VIEW PERMUTE TRANSPOSE GET_ROWS GET_ROWS_BACK SET_ROWS DIAG DIAG_MASK_INF
        DIAG_MASK_ZERO SOFT_MAX SOFT_MAX_BACK ROPE ROPE_BACK CLAMP CONV_TRANSPOSE_1D IM2COL IM2COL_BACK IM2COL_3D
        COL2IM_1D CONV_2D CONV_3D CONV_2D_DW CONV_TRANSPOSE_2D POOL_1D POOL_2D POOL_2D_BACK UPSCALE PAD PAD_REFLECT_1D
        ROLL ARANGE TIMESTEP_EMBEDDING ARGSORT TOP_K LEAKY_RELU TRI FILL FLASH_ATTN_EXT FLASH_ATTN_BACK SSM_CONV
        SSM_SCAN WIN_PART WIN_UNPART GET_REL_POS ADD_REL_POS RWKV_WKV6 GATED_LINEAR_ATTN RWKV_WKV7 SOLVE_TRI
        GATED_DELTA_NET LIGHTNING_INDEXER DSV4_HC_COMB DSV4_HC_PRE DSV4_HC_POST UNARY MAP_CUSTOM1 MAP_CUSTOM2
        MAP_CUSTOM3 CUSTOM CROSS_ENTROPY_LOSS CROSS_ENTROPY_LOSS_BACK OPT_STEP_ADAMW OPT_STEP_SGD GLU
        """.split(whereSeparator: \.isWhitespace).map(String.init)
}
