/// A placement's figures as plain values, encoded under names with underscores.
public struct PlacementReport: Encodable, Hashable, Sendable {
    public struct Stage: Encodable, Hashable, Sendable {
        public var device: String
        public var isLocal: Bool
        /// The first layer, and how many; a stage with the output head alone has none.
        public var firstLayer: Int
        public var layerCount: Int
        public var hasOutput: Bool
        public var weightByteCount: Int
        public var cacheByteCount: Int
        public var computeByteCount: Int
        public var neededByteCount: Int
        public var freeByteCount: Int
        public var totalByteCount: Int
        public var reserveByteCount: Int
        /// Needed bytes of the free ones; nil where it is not known how many are free.
        public var filled: Double?
        public var roundTripMilliseconds: Double?

        enum CodingKeys: String, CodingKey {
            case device, filled
            case isLocal = "local"
            case firstLayer = "first_layer"
            case layerCount = "layer_count"
            case hasOutput = "output"
            case weightByteCount = "weight_bytes"
            case cacheByteCount = "cache_bytes"
            case computeByteCount = "compute_bytes"
            case neededByteCount = "needed_bytes"
            case freeByteCount = "free_bytes"
            case totalByteCount = "total_bytes"
            case reserveByteCount = "reserve_bytes"
            case roundTripMilliseconds = "round_trip_ms"
        }
    }

    public struct Absent: Encodable, Hashable, Sendable {
        public var device: String
        /// `unknown_memory`, `no_share`, `too_small`, `no_room_for_output` or `not_worth_it`.
        public var reason: String
        public var freeByteCount: Int
        /// The least part that would have had to fit.
        public var neededByteCount: Int?

        enum CodingKeys: String, CodingKey {
            case device, reason
            case freeByteCount = "free_bytes"
            case neededByteCount = "needed_bytes"
        }
    }

    public struct Wire: Encodable, Hashable, Sendable {
        public var roundTripCount: Int
        public var roundTripsMilliseconds: Double?
        public var hiddenCount: Int
        public var hiddenByteCount: Int
        public var inputByteCount: Int
        public var logitsByteCount: Int
        public var candidatesByteCount: Int
        /// With all logits, and with the best candidates.
        public var bytesPerToken: Int
        public var leastBytesPerToken: Int
        public var gigabitMilliseconds: Double
        public var leastGigabitMilliseconds: Double

        enum CodingKeys: String, CodingKey {
            case roundTripCount = "round_trips"
            case roundTripsMilliseconds = "round_trips_ms"
            case hiddenCount = "hidden_states"
            case hiddenByteCount = "hidden_bytes"
            case inputByteCount = "input_bytes"
            case logitsByteCount = "logits_bytes"
            case candidatesByteCount = "candidates_bytes"
            case bytesPerToken = "bytes_per_token"
            case leastBytesPerToken = "least_bytes_per_token"
            case gigabitMilliseconds = "gigabit_ms"
            case leastGigabitMilliseconds = "least_gigabit_ms"
        }
    }

    public struct Stock: Encodable, Hashable, Sendable {
        public var device: String
        public var firstLayer: Int
        public var layerCount: Int
        public var hasOutput: Bool

        enum CodingKeys: String, CodingKey {
            case device
            case firstLayer = "first_layer"
            case layerCount = "layer_count"
            case hasOutput = "output"
        }
    }

    public var model: String
    public var contextSize: Int
    public var slotCount: Int
    public var layerCount: Int
    public var outputByteCount: Int
    /// `free_memory` or `split`.
    public var basis: String
    public var split: [Double]?
    public var stages: [Stage]
    public var leftOut: [Absent]
    public var wire: Wire
    /// Where a stock head would put the layers, if that was asked.
    public var stock: [Stock]?

    enum CodingKeys: String, CodingKey {
        case model, basis, split, stages, wire, stock
        case contextSize = "context"
        case slotCount = "slots"
        case layerCount = "layer_count"
        case outputByteCount = "output_bytes"
        case leftOut = "left_out"
    }

    public init(_ placement: Placement, comparing: Bool = false) {
        let devices = placement.devices
        model = placement.demand.name
        contextSize = placement.demand.contextSize
        slotCount = placement.demand.slotCount
        layerCount = placement.demand.layers.count
        outputByteCount = placement.demand.outputByteCount
        basis = placement.split == nil ? "free_memory" : "split"
        split = placement.split
        stages = placement.stages.map { stage in
            let device = devices[stage.device]
            return Stage(
                device: device.name, isLocal: device.isLocal, firstLayer: stage.layers.lowerBound, layerCount: stage.layers.count,
                hasOutput: stage.hasOutput, weightByteCount: stage.weightByteCount, cacheByteCount: stage.cacheByteCount,
                computeByteCount: stage.computeByteCount, neededByteCount: stage.neededByteCount, freeByteCount: stage.freeByteCount,
                totalByteCount: device.totalByteCount, reserveByteCount: stage.reserveByteCount, filled: stage.filled,
                roundTripMilliseconds: device.roundTrip?.milliseconds)
        }
        leftOut = placement.absent.map { absent in
            let (reason, needed): (String, Int?) =
                switch absent.reason {
                case .unknownMemory: ("unknown_memory", nil)
                case .noShare: ("no_share", nil)
                case .tooSmall(let needed): ("too_small", needed)
                case .noRoomForOutput(let needed): ("no_room_for_output", needed)
                case .smallBuffers(let needed): ("small_buffers", needed)
                case .notWorthIt: ("not_worth_it", nil)
                }
            let device = devices[absent.device]
            return Absent(device: device.name, reason: reason, freeByteCount: device.believedFreeByteCount, neededByteCount: needed)
        }
        let price = WirePrice(placement)
        wire = Wire(
            roundTripCount: price.roundTripCount, roundTripsMilliseconds: price.roundTripTime?.milliseconds, hiddenCount: price.hiddenCount,
            hiddenByteCount: price.hiddenByteCount, inputByteCount: price.inputByteCount,
            logitsByteCount: price.logitsByteCount, candidatesByteCount: price.candidatesByteCount,
            bytesPerToken: price.byteCount, leastBytesPerToken: price.leastByteCount,
            gigabitMilliseconds: WirePrice.gigabitMilliseconds(price.byteCount),
            leastGigabitMilliseconds: WirePrice.gigabitMilliseconds(price.leastByteCount))
        if comparing {
            let placed = StockPlacement(placement)
            stock = zip(placed.devices, placed.layers).enumerated().map { index, part in
                Stock(
                    device: devices[part.0].name, firstLayer: part.1.lowerBound, layerCount: part.1.count,
                    hasOutput: index == placed.outputDevice)
            }
        }
    }
}
