/// Where a stock llama.cpp head puts layers by default, for comparison.
///
/// It counts layers, whatever they take: of n layers, the output head counts as one more, after them. A device's part ends
/// where the sum of the free memory of the devices up to it, of that of all, ends; layer i is put on the first device whose
/// part ends past i / (n + 1). All in single precision. (llama.cpp, `llama_model_base::load_tensors`, October 2026, with all
/// layers offloaded; its `--fit`, which is on by default, may give devices other parts.)
public struct StockPlacement: Hashable, Sendable {
    /// Indices of the devices, in order. Those of this process do not count: stock asks no processor's memory unless a
    /// device does not say its own.
    public let devices: [Int]
    /// A run of layers per device, maybe empty.
    public let layers: [Range<Int>]
    /// Which of ``devices`` has the output head; nil if nothing is free.
    public let outputDevice: Int?

    public init(_ placement: Placement) {
        let devices = placement.devices.indices.filter { !placement.devices[$0].isLocal }
        let host = placement.devices.filter(\.isLocal).map(\.believedFreeByteCount).max() ?? 0
        let free = devices.map { placement.devices[$0].saysMemory ? placement.devices[$0].freeByteCount : host }
        let units = StockPlacement.units(freeByteCounts: free, layerCount: placement.demand.layers.count)
        self.devices = Array(devices)
        layers = StockPlacement.runs(units.dropLast(), deviceCount: devices.count)
        outputDevice = units.last
    }

    /// A run of layers per device.
    ///
    /// - Parameter freeByteCounts: free bytes of the devices in the order of the list.
    public static func layers(freeByteCounts: [Int], layerCount: Int) -> [Range<Int>] {
        runs(units(freeByteCounts: freeByteCounts, layerCount: layerCount).dropLast(), deviceCount: freeByteCounts.count)
    }

    /// The device of each layer and of the output head; empty where nothing is free.
    static func units(freeByteCounts: [Int], layerCount: Int) -> [Int] {
        var sum: Float = 0
        var ends: [Float] = []
        for bytes in freeByteCounts {
            sum += Float(max(0, bytes))
            ends.append(sum)
        }
        if !(sum > 0) || layerCount < 0 { return [] }
        for index in ends.indices { ends[index] /= sum }
        var device = 0
        return (0...layerCount).map { layer in
            // Ends and layers both go up, so that the device does too; the last end is 1, past every layer's part.
            while device < ends.count - 1, ends[device] <= Float(layer) / Float(layerCount + 1) { device += 1 }
            return device
        }
    }

    private static func runs(_ units: ArraySlice<Int>, deviceCount: Int) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = 0
        for device in 0..<deviceCount {
            var end = start
            while end < units.count, units[end] == device { end += 1 }
            runs.append(start..<end)
            start = end
        }
        return runs
    }
}
