import Node
import TestSupport
import Testing

@Suite struct PlacementTests {
    private static let gib = 1 << 30

    private func runs(_ placement: Placement) -> [Range<Int>] { placement.stages.map(\.layers) }

    // MARK: By free memory

    @Test("A head that outweighs all layers has a worker to itself, and the layers are shared by the others")
    func gemma() throws {
        let two = try Placement(Demands.gemma, on: (1...2).map { Demands.worker($0, 4 * Self.gib) })
        #expect(runs(two) == [0..<18, 18..<18])
        #expect(two.stages.map(\.weightByteCount) == [99_000_000, 178_000_000])
        #expect(two.stages.map(\.hasOutput) == [false, true])
        #expect(two.stages.map(\.computeByteCount) == [20 << 20, 60 << 20])
        let three = try Placement(Demands.gemma, on: (1...3).map { Demands.worker($0, 4 * Self.gib) })
        #expect(runs(three) == [0..<9, 9..<18, 18..<18])
        let four = try Placement(Demands.gemma, on: (1...4).map { Demands.worker($0, 4 * Self.gib) })
        #expect(runs(four) == [0..<6, 6..<12, 12..<18, 18..<18])
        let one = try Placement(Demands.gemma, on: [Demands.worker(1, 4 * Self.gib)])
        #expect(runs(one) == [0..<18])
        #expect(one.stages[0].neededByteCount == 277_000_000 + (60 << 20))
    }

    @Test("Layers are in proportion to free memory, the head counted")
    func proportion() throws {
        // 32 layers of 100 and a head of 400: 3600 in all, of which three quarters are 2700.
        let plain = Demands.model(Array(repeating: 100 << 20, count: 32), output: 400 << 20)
        let placement = try Placement(plain, on: [Demands.worker(1, 30 * Self.gib), Demands.worker(2, 10 * Self.gib)])
        #expect(runs(placement) == [0..<27, 27..<32])
        #expect(placement.absent.isEmpty)
        let turned = try Placement(plain, on: [Demands.worker(1, 10 * Self.gib), Demands.worker(2, 30 * Self.gib)])
        #expect(runs(turned) == [0..<9, 9..<32])
        let uneven = try Placement(
            Demands.model(Array(repeating: 100 << 20, count: 10), output: 0), on: (1...3).map { Demands.worker($0, Self.gib) })
        #expect(runs(uneven) == [0..<4, 4..<7, 7..<10])
    }

    @Test("Proportion gives way to what fits: the reserve and the compute buffer are never used")
    func limits() throws {
        // 1 GiB free, 2 % of it left alone, 100 MiB of compute: 903 MiB, so nine layers of 100 MiB and no tenth.
        let model = Demands.model(Array(repeating: 100 << 20, count: 18), output: 0, compute: 100 << 20, outputCompute: 100 << 20)
        let placement = try Placement(model, on: [Demands.worker(1, Self.gib), Demands.worker(2, Self.gib)])
        #expect(runs(placement) == [0..<9, 9..<18])
        let nineteen = Demands.model(Array(repeating: 100 << 20, count: 19), output: 0, compute: 100 << 20, outputCompute: 100 << 20)
        #expect(throws: PlacementError.self) { try Placement(nineteen, on: [Demands.worker(1, Self.gib), Demands.worker(2, Self.gib)]) }
    }

    @Test("The local device comes last and makes the logits if the head fits there, whatever the rest")
    func local() throws {
        let placement = try Placement(Demands.gemma, on: [Demands.local(Self.gib), Demands.worker(1, 8 * Self.gib)])
        #expect(placement.stages.map(\.device) == [1, 0])
        #expect(runs(placement) == [0..<18, 18..<18])
        #expect(placement.stages[1].hasOutput)

        let small = try Placement(Demands.gemma, on: [Demands.local(200 << 20), Demands.worker(1, 8 * Self.gib)])
        #expect(small.stages.map(\.device) == [1])
        #expect(small.absent.map(\.device) == [0])
        #expect(small.absent[0].reason == .noRoomForOutput(neededByteCount: 178_000_000 + (60 << 20)))

        let alone = try Placement(Demands.gemma, on: [Demands.local(Self.gib)])
        #expect(runs(alone) == [0..<18])
    }

    @Test("Devices that say nothing, have nothing, or would get too little are left out, with the reason")
    func absence() throws {
        let placement = try Placement(
            Demands.gemma,
            on: [
                Demands.silent, Demands.worker(1, 20 << 20), Demands.worker(2, 4 * Self.gib), Demands.worker(3, 40 << 20),
                Demands.worker(4, 400 << 20),
            ])
        #expect(placement.stages.map(\.device) == [2])
        #expect(placement.absent.map(\.device) == [0, 1, 3, 4])
        #expect(placement.absent[0].reason == .unknownMemory)
        #expect(placement.absent[1].reason == .tooSmall(neededByteCount: 5_500_000 + (20 << 20)))
        #expect(placement.absent[3].reason == .notWorthIt)
        #expect(throws: PlacementError.noDevices(["silent"])) { try Placement(Demands.gemma, on: [Demands.silent]) }
        #expect(throws: PlacementError.noDevices([])) { try Placement(Demands.gemma, on: []) }
    }

    // MARK: By shares

    @Test("A split is of bytes, in the order of the devices with the local one last, and 0 leaves one out")
    func split() throws {
        let plain = Demands.model(Array(repeating: 10 << 20, count: 31), output: 10 << 20)
        let devices = [Demands.local(4 * Self.gib), Demands.worker(1, 4 * Self.gib), Demands.worker(2, 4 * Self.gib)]
        let placement = try Placement(plain, on: devices, split: [1, 1, 2])
        #expect(placement.stages.map(\.device) == [1, 2, 0])
        #expect(runs(placement) == [0..<8, 8..<16, 16..<31])
        let without = try Placement(plain, on: devices, split: [3, 1, 0])
        #expect(without.stages.map(\.device) == [1, 2])
        #expect(runs(without) == [0..<24, 24..<31])
        #expect(without.absent.map(\.device) == [0] && without.absent.map(\.reason) == [.noShare])
        let gemma = try Placement(Demands.gemma, on: Array(devices[1...]), split: [3, 1])
        #expect(runs(gemma) == [0..<18, 18..<18])
        let silent = try Placement(plain, on: [Demands.silent, devices[1]], split: [1, 1])
        #expect(runs(silent) == [0..<16, 16..<31])
        let few = try Placement(
            Demands.model([1, 1], output: 1), on: (1...5).map { Demands.worker($0, Self.gib) }, split: [1, 1, 1, 1, 1])
        #expect(few.stages.reduce(0) { $0 + $1.layers.count } == 2)
        #expect(few.stages.last?.device == 4)
    }

    @Test("A split that names other devices than there are, or gives what does not fit, is refused with figures")
    func badSplit() throws {
        let devices = [Demands.local(4 * Self.gib), Demands.worker(1, 256 << 20)]
        let plain = Demands.model(Array(repeating: 10 << 20, count: 31), output: 10 << 20)
        #expect(throws: PlacementError.splitCount(given: 3, devices: ["10.0.0.1:50052 device 0", "local"])) {
            try Placement(plain, on: devices, split: [1, 1, 1])
        }
        for shares in [[0, 0], [-1, 1], [.nan, 1], [.infinity, 1]] as [[Double]] {
            #expect(throws: PlacementError.self) { try Placement(plain, on: devices, split: shares) }
        }
        let error = #expect(throws: PlacementError.self) { try Placement(plain, on: devices, split: [15, 1]) }
        #expect(
            error?.description
                == "the split gives 10.0.0.1:50052 device 0 layers 0–29, which take 300 MiB (weights 300 MiB, cache 0 B, compute buffer "
                + "0 B), but it has 256 MiB free, of which 16.0 MiB are left alone: 60.0 MiB too much")
    }

    // MARK: What does not fit

    @Test("The longest context that would fit is named, and does fit")
    func longestContext() throws {
        func model(_ context: Int) -> ModelDemand {
            var demand = Demands.model(Array(repeating: 10 << 20, count: 10), output: 10 << 20, cache: context << 12)
            demand.contextSize = context
            return demand
        }
        let devices = [Demands.worker(1, 512 << 20)]
        let error = #expect(throws: PlacementError.self) { try Placement(model(131_072), on: devices) }
        guard case .doesNotFit(var shortage) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        shortage.findLongestContext { (try? Placement(model($0), on: devices)) != nil }
        let longest = try #require(shortage.longestContextSize)
        #expect(longest > 0)
        #expect(shortage.description.contains("or a context of at most \(longest) tokens (--ctx-size \(longest))"))
        _ = try Placement(model(longest), on: devices)
        #expect(throws: PlacementError.self) { try Placement(model(longest + Shortage.contextStep), on: devices) }
        // Where the weights alone are too much, none is named.
        shortage.findLongestContext { _ in false }
        #expect(shortage.longestContextSize == 0)
        #expect(!shortage.description.contains("at most 0"))
    }

    @Test("What does not fit is refused with what is needed, there and missing, and what would help is true")
    func shortage() throws {
        let model = Demands.model(
            Array(repeating: 150 << 20, count: 18), output: 200 << 20, cache: 50 << 20, compute: 10 << 20, outputCompute: 20 << 20)
        let devices = [Demands.worker(1, Self.gib), Demands.worker(2, Self.gib)]
        let error = #expect(throws: PlacementError.self) { try Placement(model, on: devices) }
        guard case .doesNotFit(let shortage) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(shortage.neededByteCount == (18 * 200 + 200 + 10 + 20) << 20)
        #expect(shortage.usableByteCount == 2 * (Self.gib - Self.gib / 50))
        #expect(shortage.missingDevice == "10.0.0.1:50052 device 0")
        #expect(
            shortage.description
                == "model with a context of 4096 and 4 slots does not fit: it needs 3.74 GiB (weights 2.83 GiB, cache 900 MiB, compute "
                + "buffers 30.0 MiB), and 1.96 GiB may be used on 10.0.0.1:50052 device 0, 10.0.0.2:50052 device 0; 1.78 GiB are missing. "
                + "What would help: another worker with 2.21 GiB free, 2.00 GiB more on 10.0.0.1:50052 device 0, or a smaller context or "
                + "fewer slots (the cache takes 900 MiB, so that alone would not do).")
        let missing = try #require(shortage.missingByteCount)
        _ = try Placement(model, on: [Demands.worker(1, Self.gib + missing), devices[1]])
        #expect(throws: PlacementError.self) { try Placement(model, on: [Demands.worker(1, Self.gib + missing - 1), devices[1]]) }
        let further = shortage.furtherWorkerByteCount
        _ = try Placement(model, on: devices + [Demands.worker(3, further)])
        #expect(throws: PlacementError.self) { try Placement(model, on: devices + [Demands.worker(3, further - 1)]) }
    }

    @Test("Absurd figures are refused or bounded, and nothing overflows")
    func absurd() throws {
        let huge = Demands.worker(1, .max)
        _ = try Placement(Demands.gemma, on: Array(repeating: huge, count: 64))
        let negative = DeviceSupply(name: "x", freeByteCount: .min, totalByteCount: .min)
        #expect(throws: PlacementError.self) { try Placement(Demands.gemma, on: [negative, negative]) }
        for bytes in [Int.max, .min, -1, 1 << 60] {
            #expect(throws: PlacementError.self) { try Placement(Demands.model([bytes, bytes], output: 1), on: [huge]) }
            #expect(throws: PlacementError.self) { try Placement(Demands.model([1], output: 1, cache: bytes, compute: bytes), on: [huge]) }
        }
        #expect(throws: PlacementError.self) { try Placement(Demands.model([], output: 1), on: [huge]) }
        // As large as anything that is believed, on many devices that are too small for it.
        let large = Demands.model([1 << 59], output: 1, compute: 1 << 58, outputCompute: 1 << 58)
        let error = #expect(throws: PlacementError.self) {
            try Placement(large, on: Array(repeating: Demands.worker(1, 1 << 59), count: 64))
        }
        #expect(error?.description.isEmpty == false)
        // Nothing weighs anything.
        let nothing = try Placement(Demands.model(Array(repeating: 0, count: 4), output: 0), on: [Demands.worker(1, Self.gib), huge])
        #expect(nothing.stages.reduce(0) { $0 + $1.layers.count } == 4)
        // More free than there is.
        let boast = DeviceSupply(name: "x", freeByteCount: 1 << 40, totalByteCount: 1 << 30)
        #expect(try Placement(Demands.gemma, on: [boast]).stages[0].freeByteCount == 1 << 30)
    }

    @Test("4096 layers on 64 devices")
    func large() throws {
        var generator = SeededRandom(seed: 4)
        let layers = (0..<4096).map { _ in Int.random(in: 1 << 20...10 << 20, using: &generator) }
        let devices = (0..<64).map { Demands.worker($0, Int.random(in: Self.gib...4 * Self.gib, using: &generator)) }
        let placement = try Placement(Demands.model(layers, output: 100 << 20), on: devices)
        #expect(placement.stages.last?.layers.upperBound == 4096)
        #expect(placement.stages.count == 64)
        let filled = placement.stages.compactMap(\.filled)
        #expect((filled.max() ?? 1) - (filled.min() ?? 0) < 0.02)
    }

    @Test("nothing is put where it would have to be in a buffer larger than the device has")
    func smallBuffers() throws {
        let mebibyte = Demands.mebibyte
        var demand = Demands.model([Int](repeating: 100 * mebibyte, count: 8), output: 50 * mebibyte, cache: 300 * mebibyte)
        demand.largestPieceByteCount = 300 * mebibyte
        demand.largestOutputPieceByteCount = 50 * mebibyte
        var small = Demands.worker(0, 8192 * mebibyte)
        let large = Demands.worker(1, 8192 * mebibyte)
        // Enough for the output head, not for a layer's keys and values.
        small.largestBufferByteCount = 256 * mebibyte
        for devices in [[small, large], [large, small]] {
            let placement = try Placement(demand, on: devices)
            for stage in placement.stages where devices[stage.device] == small { #expect(stage.layers.isEmpty) }
            #expect(placement.stages.reduce(0) { $0 + $1.layers.count } == 8)
        }
        small.largestBufferByteCount = 40 * mebibyte
        let placement = try Placement(demand, on: [small, large])
        #expect(placement.absent.map(\.device) == [0])
        #expect(placement.absent.map(\.reason) == [.smallBuffers(neededByteCount: 50 * mebibyte)])
        #expect(throws: PlacementError.bufferTooSmall(device: small.name, needed: 300 * mebibyte, largest: 40 * mebibyte)) {
            try Placement(demand, on: [small, large], split: [1, 1])
        }
        small.largestBufferByteCount = 300 * mebibyte
        #expect(try Placement(demand, on: [small, large]).stages.count == 2)
    }
}
