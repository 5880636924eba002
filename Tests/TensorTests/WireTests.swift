import Tensor
import Testing

@Suite struct WireTests {
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
        for (number, kind) in OperationKind.allCases.enumerated() { #expect(try table.kind(UInt32(number)) == kind) }
        for number in [101, 102, 1 << 31, .max] as [UInt32] {
            #expect(throws: WireOperationError.self) { try table.kind(number) }
        }
    }

    /// Every operation comes back from the wire as it went.
    @Test(arguments: versions) func roundTrip(version: WireVersion) throws {
        for row in InferenceCases.all where row.expected != nil {
            let (number, parameters) = try row.operation.wire(version: version)
            let shape = row.expected?.shape ?? Shape(1)
            let back = try Operation(number: number, parameters: parameters, version: version, shape: shape)
            #expect(back == row.operation)
        }
        for kind in UnaryKind.allCases where kind != .xielu {
            let (number, parameters) = try Operation.unary(kind).wire(version: version)
            #expect(try Operation(number: number, parameters: parameters, version: version, shape: Shape(1)) == .unary(kind))
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
        #expect(try slots(.set(InferenceCases.partInPlace)) == padded([16, 48, 48, 4, 1]))
        #expect(try slots(.groupNorm(groups: 32, epsilon: 1e-6)) == padded([32, bits(1e-6)]))
        #expect(try slots(.convTranspose1D(stride: 3)) == padded([3, 0, 1]))
        #expect(try slots(.pool2D(InferenceCases.pool)) == padded([1, 2, 3, 2, 1, 0, 1]))
        #expect(try slots(.pad(InferenceCases.around)) == padded([1, 2, 0, 3, 0, 0, 0, 0, 1]))
        #expect(try slots(.upscale(UpscaleParameters(.bilinear, alignsCorners: true))) == padded([0x101]))
        #expect(
            try slots(.conv3D(.init(InferenceCases.volume, channels: 2, batch: 3, outputs: 4)))
                == padded([2, 1, 1, 1, 0, 0, 1, 2, 1, 2, 3, 4]))
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
            let number = UInt32(OperationKind.allCases.firstIndex(of: kind) ?? 0)
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

    /// Any 64 bytes of parameters decode or are refused; what decodes is answered by inference without a trap.
    @Test(arguments: 0..<10) func hostileSlots(seed: UInt64) {
        var random = SplitMix64(seed)
        let interesting: [Int32] = [0, 1, 2, 3, -1, .min, .max, 16, 0x7f80_0000, 0x7fc0_0000]
        let table = OperationTable.newest
        var decoded = 0
        for row in InferenceCases.all {
            guard let number = try? table.number(of: row.operation), let valid = try? table.parameters(of: row.operation)
            else { continue }
            for _ in 0..<50 {
                var slots = valid
                for slot in 0..<16 where Int.random(in: 0..<4, using: &random) == 0 {
                    slots[slot] = interesting.randomElement(using: &random) ?? 0
                }
                let shape = row.expected?.shape ?? Shape(1)
                guard let operation = try? table.operation(number: number, parameters: slots, shape: shape) else { continue }
                decoded += 1
                guard let result = try? operation.inferred(from: row.sources, declared: row.declared) else { continue }
                #expect(Tensor(name: "", type: result.type, shape: result.shape).checkedByteExtent != nil)
            }
        }
        #expect(decoded > 1000)
    }
}
