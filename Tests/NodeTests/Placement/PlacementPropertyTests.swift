import Node
import TestSupport
import Testing

/// Placement against all ways there are, for small models on few devices.
@Suite struct PlacementPropertyTests {
    private struct Case {
        var demand: ModelDemand
        var devices: [DeviceSupply]

        init(_ generator: inout SeededRandom) {
            let unit = 1 << 20
            let layers = (0..<Int.random(in: 1...7, using: &generator)).map { _ in Int.random(in: 0...9, using: &generator) * unit }
            demand = Demands.model(
                layers, output: Int.random(in: 0...30, using: &generator) * unit, cache: Int.random(in: 0...3, using: &generator) * unit,
                compute: Int.random(in: 0...4, using: &generator) * unit, outputCompute: Int.random(in: 0...8, using: &generator) * unit)
            devices = (0..<Int.random(in: 1...4, using: &generator)).map { index in
                // About as much as is needed, so that both answers come up; the reserve of small devices is 16 MiB.
                Demands.worker(index, (16 + Int.random(in: 0...40, using: &generator)) * unit)
            }
            if Bool.random(using: &generator) { devices[Int.random(in: devices.indices, using: &generator)].isLocal = true }
        }

        func room(_ device: Int, hasOutput: Bool) -> Int {
            let free = devices[device].freeByteCount
            return free - max(16 << 20, free / 50) - (hasOutput ? demand.outputComputeByteCount : demand.computeByteCount)
        }

        /// What a way costs, or nil if it is none: a run of layers per device in their order, the head with the last.
        func cost(_ runs: [(device: Int, layers: Range<Int>)]) -> Double? {
            var cost = 0.0
            for (index, run) in runs.enumerated() {
                let hasOutput = index == runs.count - 1
                let layers = demand.layers[run.layers].reduce(0) { $0 + $1.weightByteCount + $1.cacheByteCount }
                let bytes = layers + (hasOutput ? demand.outputByteCount : 0)
                let room = room(run.device, hasOutput: hasOutput)
                if bytes > room { return nil }
                if bytes > 0 { cost += Double(bytes) * Double(bytes) / Double(room) }
            }
            return cost
        }

        /// The least cost of all ways whose last device is one of `last`; nil if there is no way.
        func best(last: [Int]) -> Double? {
            let order = Placement.order(of: devices)
            var best: Double?
            func extend(_ runs: [(device: Int, layers: Range<Int>)], _ place: Int, _ layer: Int) {
                if place == order.count { return }
                extend(runs, place + 1, layer)
                if last.contains(order[place]), let cost = cost(runs + [(order[place], layer..<demand.layers.count)]) {
                    best = min(best ?? .infinity, cost)
                }
                if layer < demand.layers.count {
                    for end in layer + 1...demand.layers.count { extend(runs + [(order[place], layer..<end)], place + 1, end) }
                }
            }
            extend([], 0, 0)
            return best
        }

        var expected: Double? {
            let locals = devices.indices.filter { devices[$0].isLocal }
            if let cost = best(last: locals) { return cost }
            return best(last: devices.indices.filter { !devices[$0].isLocal })
        }
    }

    @Test("Every layer once and in order, nothing past what fits, no way better, and refused only where there is none")
    func againstAllWays() throws {
        var generator = SeededRandom(seed: 1)
        var placedCount = 0
        for number in 0..<3000 {
            let example = Case(&generator)
            do {
                let placement = try Placement(example.demand, on: example.devices)
                placedCount += 1
                var layer = 0
                for (index, stage) in placement.stages.enumerated() {
                    #expect(stage.layers.lowerBound == layer)
                    layer = stage.layers.upperBound
                    #expect(stage.hasOutput == (index == placement.stages.count - 1))
                    #expect(stage.neededByteCount <= stage.freeByteCount - stage.reserveByteCount)
                }
                #expect(layer == example.demand.layers.count)
                let order = Placement.order(of: example.devices)
                let places = placement.stages.compactMap { order.firstIndex(of: $0.device) }
                #expect(places == places.sorted())
                #expect(Set(placement.stages.map(\.device) + placement.absent.map(\.device)) == Set(example.devices.indices))
                let cost = try #require(example.cost(placement.stages.map { ($0.device, $0.layers) }))
                let expected = try #require(example.expected)
                #expect(abs(cost - expected) <= 1e-9 * expected, "case \(number)")
            } catch let error as PlacementError {
                #expect(example.expected == nil, "case \(number): \(error)")
                try checkAdvice(error, example)
            }
        }
        #expect(placedCount > 500 && placedCount < 2500)
    }

    /// What a refusal says would help does help, and a byte less does not.
    private func checkAdvice(_ error: PlacementError, _ example: Case) throws {
        guard case .doesNotFit(let shortage) = error else {
            Issue.record("\(error)")
            return
        }
        func fits(_ devices: [DeviceSupply]) -> Bool { (try? Placement(example.demand, on: devices)) != nil }
        if let missing = shortage.missingByteCount {
            let index = try #require(example.devices.firstIndex { $0.name == shortage.missingDevice })
            for excess in [0, -1] {
                var devices = example.devices
                devices[index].freeByteCount += missing + excess
                devices[index].totalByteCount += missing + excess
                #expect(fits(devices) == (excess == 0))
            }
        }
        for excess in [0, -1] {
            #expect(fits(example.devices + [Demands.worker(9, shortage.furtherWorkerByteCount + excess)]) == (excess == 0))
        }
    }

    @Test("Equal devices get bytes that differ by no more than a layer")
    func equalDevices() throws {
        var generator = SeededRandom(seed: 2)
        for _ in 0..<200 {
            let deviceCount = Int.random(in: 1...8, using: &generator)
            let layer = Int.random(in: 1...200, using: &generator) << 20
            let layerCount = Int.random(in: deviceCount * 2...100, using: &generator)
            let output = Int.random(in: 0...layer, using: &generator)
            let demand = Demands.model(Array(repeating: layer, count: layerCount), output: output, compute: 1 << 20, outputCompute: 1 << 20)
            let placement = try Placement(demand, on: (0..<deviceCount).map { Demands.worker($0, 1 << 36) })
            #expect(placement.stages.count == deviceCount)
            let bytes = placement.stages.map(\.weightByteCount)
            #expect((bytes.max() ?? 0) - (bytes.min() ?? 0) <= layer)
        }
    }
}
