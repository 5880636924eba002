/// Which device gets which layers.
///
/// Layers stay in order, each device gets one run of them, in the order of the devices; the output head is where the last
/// run is. Devices of this process come after the others, whatever their place in the list: what makes the logits had
/// better be where they are sampled, since a row of them can be a mebibyte.
///
/// All figures may come from outside: absurd ones are refused, and none makes a sum overflow.
public struct Placement: Hashable, Sendable {
    /// A device with its part of the model.
    public struct Stage: Hashable, Sendable {
        /// The device, as an index into ``Placement/devices``.
        public var device: Int
        /// Empty where the device has the output head alone.
        public var layers: Range<Int>
        public var hasOutput: Bool
        /// Bytes of weights, those of the output head included.
        public var weightByteCount: Int
        public var cacheByteCount: Int
        public var computeByteCount: Int
        public var freeByteCount: Int
        /// Bytes of the free ones that are left alone.
        public var reserveByteCount: Int

        public var neededByteCount: Int { weightByteCount + cacheByteCount + computeByteCount }
        /// Needed bytes of the free ones; nil where it is not known how many are free.
        public var filled: Double? { freeByteCount > 0 ? Double(neededByteCount) / Double(freeByteCount) : nil }
    }

    /// Why a device got nothing.
    public enum Absence: Hashable, Sendable {
        /// It does not say how much memory it has.
        case unknownMemory
        /// Its share of the split is 0.
        case noShare
        /// Not even the least that it could get fits beside the compute buffer and the reserve.
        case tooSmall(neededByteCount: Int)
        /// It is in this process, where only the last stage may be, and the output head does not fit there.
        case noRoomForOutput(neededByteCount: Int)
        /// Its buffers are too small for a piece of the model that cannot be cut.
        case smallBuffers(neededByteCount: Int)
        /// The least it could get (a layer, or the output head) is further from its part than nothing.
        case notWorthIt
    }

    /// What the sizes of the parts follow.
    public enum Basis: Hashable, Sendable {
        case freeMemory
        case split
    }

    public let demand: ModelDemand
    /// As they were given.
    public let devices: [DeviceSupply]
    /// Shares as they were given, in the order of ``order(of:)``; nil for none.
    public let split: [Double]?
    /// In the order in which a token passes them.
    public let stages: [Stage]
    /// The devices that got nothing, as indices into ``devices``.
    public let absent: [Absent]

    public struct Absent: Hashable, Sendable {
        public var device: Int
        public var reason: Absence
    }

    public var basis: Basis { split == nil ? .freeMemory : .split }

    /// The devices' indices in the order in which they are used, and in which a split names them: those of this process last.
    public static func order(of devices: [DeviceSupply]) -> [Int] {
        devices.indices.filter { !devices[$0].isLocal } + devices.indices.filter { devices[$0].isLocal }
    }

    /// Places a model.
    ///
    /// Without a split, devices get bytes in proportion to what they have left after a reserve and their compute buffer,
    /// as nearly as whole layers allow (``LayerCuts``), and never more than that. A device of this process gets the output
    /// head if that fits there at all.
    ///
    /// With a split, they get bytes in proportion to their shares, whatever is free, but what does not fit is refused. A
    /// device with a share gets at least one layer, if there are enough.
    ///
    /// - Parameter split: a share per device, in the order of ``order(of:)``; 0 leaves a device out.
    public init(_ demand: ModelDemand, on devices: [DeviceSupply], split: [Double]? = nil) throws(PlacementError) {
        self.demand = demand
        self.devices = devices
        self.split = split
        let sums = try CheckedDemand(demand)
        if devices.isEmpty { throw .noDevices([]) }
        if let split {
            (stages, absent) = try Self.divide(demand, sums, devices, split)
        } else {
            (stages, absent) = try Self.fill(demand, sums, devices)
        }
    }

    // MARK: By free memory

    private static func fill(
        _ demand: ModelDemand, _ sums: CheckedDemand, _ devices: [DeviceSupply]
    ) throws(PlacementError) -> ([Stage], [Absent]) {
        let output = demand.outputByteCount
        let leastLayer = demand.layers.map { $0.weightByteCount + $0.cacheByteCount }.min() ?? 0
        var absent: [Absent] = []
        var places: [Place] = []
        for index in order(of: devices) {
            let device = devices[index]
            let seat = seat(device, demand)
            if !device.saysMemory {
                absent.append(Absent(device: index, reason: .unknownMemory))
            } else if let needed = demand.pieceTooLarge(for: device) {
                absent.append(Absent(device: index, reason: .smallBuffers(neededByteCount: needed)))
            } else if device.isLocal, seat.outputLimit < 0 {
                // Were it a stage at all, it would be the last.
                let needed = output + demand.outputComputeByteCount
                absent.append(Absent(device: index, reason: .noRoomForOutput(neededByteCount: needed)))
            } else if seat.outputLimit < 0, seat.limit < leastLayer {
                let needed = min(leastLayer + demand.computeByteCount, output + demand.outputComputeByteCount)
                absent.append(Absent(device: index, reason: .tooSmall(neededByteCount: needed)))
            } else {
                places.append(Place(device: index, seat: seat))
            }
        }
        if places.isEmpty, absent.allSatisfy({ $0.reason == .unknownMemory }) { throw .noDevices(devices.map(\.name)) }
        // Where the head fits beside the sampler, nothing is gained by having it elsewhere: whatever else could be here
        // would have to be the last stage too.
        let hasLocal = places.contains { devices[$0.device].isLocal }
        if hasLocal {
            for index in places.indices { places[index].seat.mayHaveOutput = devices[places[index].device].isLocal }
        }
        guard let cuts = LayerCuts(starts: sums.layerStarts, output: output, seats: places.map(\.seat)) else {
            throw .doesNotFit(Shortage(demand, sums, devices, places, absent))
        }
        var stages: [Stage] = []
        for (index, place) in places.enumerated() {
            let run = index < cuts.runs.count ? cuts.runs[index] : 0..<0
            let hasOutput = index == cuts.runs.count - 1
            if run.isEmpty, !hasOutput {
                absent.append(Absent(device: place.device, reason: .notWorthIt))
            } else {
                stages.append(stage(place.device, run, hasOutput, demand, devices))
            }
        }
        return (stages, absent.sorted { $0.device < $1.device })
    }

    /// A device that may be used, and what it may be given.
    struct Place {
        var device: Int
        var seat: LayerCuts.Seat
    }

    private static func seat(_ device: DeviceSupply, _ demand: ModelDemand) -> LayerCuts.Seat {
        // What has to be in one buffer cannot be put where buffers are smaller.
        let hasLayers = device.largestBufferByteCount >= max(demand.largestPieceByteCount, demand.computeByteCount)
        let hasOutput = device.largestBufferByteCount >= max(demand.largestOutputPieceByteCount, demand.outputComputeByteCount)
        let room = device.usableByteCount - demand.computeByteCount
        let outputRoom = device.usableByteCount - demand.outputComputeByteCount
        let outputLimit = hasOutput ? outputRoom - demand.outputByteCount : -1
        return LayerCuts.Seat(
            limit: hasLayers ? room : -1, room: Double(room), outputLimit: hasLayers ? outputLimit : min(outputLimit, 0),
            outputRoom: Double(max(1, outputRoom)), mayHaveOutput: hasOutput)
    }

    // MARK: By shares

    private static func divide(
        _ demand: ModelDemand, _ sums: CheckedDemand, _ devices: [DeviceSupply], _ split: [Double]
    ) throws(PlacementError) -> ([Stage], [Absent]) {
        let order = order(of: devices)
        guard split.count == devices.count else {
            throw .splitCount(given: split.count, devices: order.map { devices[$0].name })
        }
        guard let largest = split.max(), split.allSatisfy({ $0.isFinite && $0 >= 0 }), largest > 0 else { throw .splitShares(split) }
        var absent: [Absent] = []
        var places: [Place] = []
        for (index, share) in zip(order, split) {
            if share == 0 {
                absent.append(Absent(device: index, reason: .noShare))
                continue
            }
            // Shares too unequal to compare are taken as a billionth.
            let room = max(share / largest, 1e-9)
            let seat = LayerCuts.Seat(
                limit: CheckedDemand.limit, room: room, outputLimit: CheckedDemand.limit, outputRoom: room, mayHaveOutput: false)
            places.append(Place(device: index, seat: seat))
        }
        places[places.count - 1].seat.mayHaveOutput = true
        let isEnough = demand.layers.count >= places.count - 1
        guard
            let cuts = LayerCuts(
                starts: sums.layerStarts, output: demand.outputByteCount, seats: places.map(\.seat), needsLayers: isEnough)
        else { throw .splitShares(split) }
        var stages: [Stage] = []
        for (index, place) in places.enumerated() {
            let hasOutput = index == places.count - 1
            if cuts.runs[index].isEmpty, !hasOutput {
                absent.append(Absent(device: place.device, reason: .notWorthIt))
                continue
            }
            let stage = stage(place.device, cuts.runs[index], hasOutput, demand, devices)
            let device = devices[place.device]
            let piece = max(
                run(cuts.runs[index], demand.largestPieceByteCount), hasOutput ? demand.largestOutputPieceByteCount : 0,
                stage.computeByteCount)
            if piece > device.largestBufferByteCount { throw .bufferTooSmall(device: device.name, needed: piece, largest: device.largestBufferByteCount) }
            if device.saysMemory, stage.neededByteCount > device.usableByteCount {
                throw .shareDoesNotFit(device: device.name, stage)
            }
            stages.append(stage)
        }
        return (stages, absent.sorted { $0.device < $1.device })
    }

    /// What layers need in one piece, where there are any.
    private static func run(_ layers: Range<Int>, _ byteCount: Int) -> Int { layers.isEmpty ? 0 : byteCount }

    private static func stage(
        _ device: Int, _ layers: Range<Int>, _ hasOutput: Bool, _ demand: ModelDemand, _ devices: [DeviceSupply]
    ) -> Stage {
        var weights = hasOutput ? demand.outputByteCount : 0
        var cache = 0
        for layer in demand.layers[layers] {
            weights += layer.weightByteCount
            cache += layer.cacheByteCount
        }
        return Stage(
            device: device, layers: layers, hasOutput: hasOutput, weightByteCount: weights, cacheByteCount: cache,
            computeByteCount: demand.computeByteCount(hasOutput: hasOutput), freeByteCount: devices[device].believedFreeByteCount,
            reserveByteCount: devices[device].saysMemory ? devices[device].reserveByteCount : 0)
    }
}
