import Node

/// Models and devices for tests of placement, without a compute buffer unless they say so.
enum Demands {
    static let mebibyte = 1 << 20

    static func model(
        _ layers: [Int], output: Int, cache: Int = 0, compute: Int = 0, outputCompute: Int = 0, name: String = "model"
    ) -> ModelDemand {
        ModelDemand(
            name: name, contextSize: 4096, slotCount: 4,
            layers: layers.map { LayerDemand(weightByteCount: $0, cacheByteCount: cache) }, outputByteCount: output,
            computeByteCount: compute, outputComputeByteCount: outputCompute, hiddenByteCount: 2560, logitsByteCount: 1 << 20,
            candidatesByteCount: 512)
    }

    /// Gemma 3 270M, Q8_0: 18 layers of 5.5 MB, an output head of 178 MB.
    static let gemma = model(
        Array(repeating: 5_500_000, count: 18), output: 178_000_000, compute: 20 * mebibyte, outputCompute: 60 * mebibyte,
        name: "gemma-3-270m")

    static func worker(_ index: Int, _ free: Int, roundTrip: Duration? = nil) -> DeviceSupply {
        DeviceSupply(name: "10.0.0.\(index):50052 device 0", freeByteCount: free, totalByteCount: max(free, 1), roundTrip: roundTrip)
    }

    static func local(_ free: Int) -> DeviceSupply {
        DeviceSupply(name: "local", isLocal: true, freeByteCount: free, totalByteCount: max(free, 1))
    }

    static let silent = DeviceSupply(name: "silent", freeByteCount: 0, totalByteCount: 0)
}
