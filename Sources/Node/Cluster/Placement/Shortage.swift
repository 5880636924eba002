internal import Base

/// A model that does not fit, in figures.
public struct Shortage: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public let contextSize: Int
    public let slotCount: Int

    /// Bytes of all weights with the output head, of the cache, and of a compute buffer per device.
    public let weightByteCount: Int
    public let cacheByteCount: Int
    public let computeByteCount: Int
    /// Bytes of the largest layer with its cache, and of the output head: what cannot be cut.
    public let largestLayerByteCount: Int
    public let outputByteCount: Int

    /// The devices that can take a part, and the bytes that may be used on all of them.
    public let devices: [String]
    public let usableByteCount: Int
    /// The devices that do not say how much memory they have.
    public let silentDevices: [String]

    /// The fewest bytes that would have to be free in addition on one device, and on which; nil if none can take a part.
    public let missingByteCount: Int?
    public let missingDevice: String?
    /// Free bytes that one more worker would have to have.
    public let furtherWorkerByteCount: Int

    /// The longest context that would fit as things are; nil if that was not looked for, 0 if none would.
    public internal(set) var longestContextSize: Int?

    public var neededByteCount: Int { weightByteCount + cacheByteCount + computeByteCount }

    /// - Parameter places: the devices that can take a part, those of this process last.
    init(
        _ demand: ModelDemand, _ sums: CheckedDemand, _ devices: [DeviceSupply], _ places: [Placement.Place],
        _ absent: [Placement.Absent]
    ) {
        name = demand.name
        contextSize = demand.contextSize
        slotCount = demand.slotCount
        weightByteCount = sums.weightByteCount + demand.outputByteCount
        cacheByteCount = sums.cacheByteCount
        outputByteCount = demand.outputByteCount
        largestLayerByteCount = demand.layers.map { $0.weightByteCount + $0.cacheByteCount }.max() ?? 0
        let others = max(0, places.count - 1).multipliedReportingOverflow(by: demand.computeByteCount)
        computeByteCount =
            demand.outputComputeByteCount + (others.overflow ? CheckedDemand.limit : min(others.partialValue, CheckedDemand.limit))
        self.devices = places.map { devices[$0.device].name }
        silentDevices = absent.filter { $0.reason == .unknownMemory }.map { devices[$0.device].name }

        usableByteCount = places.reduce(0) { min($0 + max(0, devices[$1.device].usableByteCount), CheckedDemand.limit) }

        let starts = sums.layerStarts
        let fronts = Shortage.fronts(starts, places)
        let backs = Shortage.backs(starts, places)
        var missing: (byteCount: Int, device: Int)?
        for (index, place) in places.enumerated() {
            // With all others as full as they can be, this one would have to take what is left in the middle, or the rest.
            var short = Int.max
            if let back = backs[index + 1] { short = starts[back] - starts[fronts[index]] - place.seat.limit }
            if place.seat.mayHaveOutput {
                short = min(short, starts[starts.count - 1] - starts[fronts[index]] - place.seat.outputLimit)
            }
            if short == .max { continue }
            let device = devices[place.device]
            let more = DeviceSupply.free(usable: device.usableByteCount + short) - device.believedFreeByteCount
            if more < missing?.byteCount ?? .max { missing = (more, place.device) }
        }
        missingByteCount = missing?.byteCount
        missingDevice = missing.map { devices[$0.device].name }

        // It would come after the other workers, and before this process, where the output head stays if it can.
        let workerCount = places.prefix { !devices[$0.device].isLocal }.count
        let front = starts[fronts[workerCount]]
        let further =
            if let back = backs[workerCount] {
                max(0, starts[back] - front) + demand.computeByteCount
            } else {
                starts[starts.count - 1] - front + demand.outputByteCount + demand.outputComputeByteCount
            }
        furtherWorkerByteCount = DeviceSupply.free(usable: further)
    }

    /// For each place, and for the end, the first layer that the places before it cannot hold.
    private static func fronts(_ starts: [Int], _ places: [Placement.Place]) -> [Int] {
        var fronts = [0]
        for place in places {
            let start = fronts[fronts.count - 1]
            var end = start
            while end + 1 < starts.count, starts[end + 1] - starts[start] <= place.seat.limit { end += 1 }
            fronts.append(end)
        }
        return fronts
    }

    /// For each place, and for the end, the first of the layers that it and those after it can hold with the output head;
    /// nil if not even that.
    private static func backs(_ starts: [Int], _ places: [Placement.Place]) -> [Int?] {
        var backs: [Int?] = [nil]
        for place in places.reversed() {
            var back = backs[backs.count - 1]
            if let end = back, place.seat.limit >= 0 { back = begin(of: starts, to: end, limit: place.seat.limit) }
            if place.seat.mayHaveOutput, place.seat.outputLimit >= 0 {
                back = min(back ?? .max, begin(of: starts, to: starts.count - 1, limit: place.seat.outputLimit))
            }
            backs.append(back)
        }
        return backs.reversed()
    }

    private static func begin(of starts: [Int], to end: Int, limit: Int) -> Int {
        var begin = end
        while begin > 0, starts[end] - starts[begin - 1] <= limit { begin -= 1 }
        return begin
    }

    /// Looks for the longest context that would fit.
    ///
    /// - Parameter fits: whether a context of that size does; where one does, all shorter ones do.
    package mutating func findLongestContext(_ fits: (Int) throws -> Bool) rethrows {
        // In steps that people would choose.
        let step = Shortage.contextStep
        var (least, most) = (0, (contextSize - 1) / step)
        while least < most {
            let middle = (least + most + 1) / 2
            if try fits(middle * step) { least = middle } else { most = middle - 1 }
        }
        longestContextSize = least * step
    }

    /// Tokens by which contexts are told apart in ``longestContextSize``.
    package static let contextStep = 256

    public var description: String {
        var text = "\(name) with a context of \(contextSize) and \(slotCount) \(slotCount == 1 ? "slot" : "slots") does not fit: it needs "
        text += "\(neededByteCount.binarySize) (weights \(weightByteCount.binarySize), cache \(cacheByteCount.binarySize), compute "
        text += "buffers \(computeByteCount.binarySize)), and "
        if devices.isEmpty {
            text += "no device has room for even the least part of it"
        } else {
            text += "\(usableByteCount.binarySize) may be used on \(PlacementError.list(devices))"
        }
        if neededByteCount > usableByteCount {
            text += "; \((neededByteCount - usableByteCount).binarySize) are missing"
        } else {
            text += "; that would be enough, but a layer (up to \(largestLayerByteCount.binarySize)) and the output head "
            text += "(\(outputByteCount.binarySize)) cannot be cut"
        }
        text += ". What would help: another worker with \(furtherWorkerByteCount.binarySize) free"
        if let missingByteCount, let missingDevice { text += ", \(missingByteCount.binarySize) more on \(missingDevice)" }
        if let longestContextSize, longestContextSize > 0 {
            text += ", or a context of at most \(longestContextSize) tokens (--ctx-size \(longestContextSize))"
        } else if cacheByteCount > 0 {
            text += ", or a smaller context or fewer slots (the cache takes \(cacheByteCount.binarySize)"
            let isTooLittle = longestContextSize == 0 || neededByteCount - usableByteCount >= cacheByteCount
            text += isTooLittle ? ", so that alone would not do)" : ")"
        }
        text += "."
        if !silentDevices.isEmpty {
            text += " Not counted, since no memory is reported: \(PlacementError.list(silentDevices)) (a split can give a share)."
        }
        return text
    }
}
