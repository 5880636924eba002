internal import Base
internal import Foundation

/// A placement as people read it: a table of the stages, and why they are so.
public struct PlacementTable: Sendable {
    private let placement: Placement
    private let stock: StockPlacement?

    /// The most columns of text that a line of the table has.
    static let width = 110

    /// - Parameter comparing: whether to say where a stock head would put the layers.
    public init(_ placement: Placement, comparing: Bool = false) {
        self.placement = placement
        stock = comparing ? StockPlacement(placement) : nil
    }

    public var text: String {
        ([heading, ""] + table + [""] + reasons.map { "- " + $0 }).joined(separator: "\n") + "\n"
    }

    private var heading: String {
        let demand = placement.demand
        let weights = demand.layers.map(\.weightByteCount)
        let least = weights.min() ?? 0
        let most = weights.max() ?? 0
        let size = least == most ? most.binarySize : "\(least.binarySize) to \(most.binarySize)"
        return
            "\(demand.name): \(count(demand.layers.count, "layer")) of \(size), output head \(demand.outputByteCount.binarySize), context "
            + "\(demand.contextSize), \(count(demand.slotCount, "slot"))"
    }

    private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    private func name(_ device: Int) -> String { placement.devices[device].name }

    // MARK: The table

    private var table: [String] {
        var titles = ["device", "layers", "head", "weights", "cache", "compute", "needed", "free", "full"]
        var rows = placement.stages.map { stage in
            [
                name(stage.device), stage.layerText, stage.hasOutput ? "yes" : "–", stage.weightByteCount.binarySize,
                stage.cacheByteCount.binarySize, stage.computeByteCount.binarySize, stage.neededByteCount.binarySize,
                stage.freeByteCount > 0 ? stage.freeByteCount.binarySize : "?",
                stage.filled.map { String(format: "%.0f%%", $0 * 100) } ?? "?",
            ]
        }
        let trips = placement.stages.map { placement.devices[$0.device].roundTrip }
        if trips.contains(where: { $0 != nil }) {
            titles.append("trip")
            for (index, trip) in trips.enumerated() { rows[index].append(trip.map(\.milliseconds.millisecondText) ?? "–") }
        }
        var widths = titles.indices.map { column in ([titles] + rows).map { $0[column].count }.max() ?? 0 }
        let others = widths.dropFirst().reduce(0) { $0 + $1 + 2 }
        widths[0] = min(widths[0], max(12, PlacementTable.width - 1 - others))
        return ([titles] + rows).map { cells in
            var line = ""
            for (column, cell) in cells.enumerated() {
                let cell = column == 0 ? shortened(cell, widths[0]) : cell
                let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
                line += column == 0 ? cell + padding : "  " + padding + cell
            }
            return line
        }
    }

    /// Names of devices are told apart by their ends rather than by how they begin.
    private func shortened(_ name: String, _ width: Int) -> String {
        if name.count <= width { return name }
        return "\(name.prefix(width / 4))…\(name.suffix(width - width / 4 - 1))"
    }

    // MARK: Why

    private var reasons: [String] {
        [basis, output, wire] + placement.absent.map(absence) + silence + (stock.map { [comparison($0)] } ?? [])
    }

    private var basis: String {
        if let split = placement.split {
            let shares = split.map { String(format: "%g", $0) }.joined(separator: ",")
            return "Bytes of weights and cache follow the split \(shares), as nearly as whole layers allow."
        }
        if placement.stages.count == 1 { return "One device takes all of it." }
        return "Bytes of weights and cache are in proportion to free memory, less a reserve (2 %, at least 16 MiB) and the compute buffer, "
            + "as nearly as whole layers allow."
    }

    private var output: String {
        guard let last = placement.stages.last else { return "" }
        let demand = placement.demand
        let logits = "\(demand.logitsByteCount.binarySize), \(milliseconds(demand.logitsByteCount)) at 1 Gbit/s"
        if placement.devices[last.device].isLocal {
            return "\(name(last.device)) makes the logits, so that they cross no wire (\(logits) per token)."
        }
        return
            "\(name(last.device)) makes the logits: \(logits) per token over the wire, or \(demand.candidatesByteCount.binarySize) where "
            + "the sampler is content with the best candidates."
    }

    private var wire: String {
        let price = WirePrice(placement)
        if price.roundTripCount == 0 { return "Nothing crosses a wire." }
        var text = "Per token \(count(price.roundTripCount, "round trip"))"
        if let time = price.roundTripTime { text += " (\(time.milliseconds.millisecondText))" }
        text += " and \(count(price.hiddenCount, "hidden state")) of \(placement.demand.hiddenByteCount.binarySize)"
        if price.inputByteCount > 0 { text += ", \(price.inputByteCount) bytes of positions" }
        if price.logitsByteCount > 0 {
            text += " beside what the logits take: \(price.leastByteCount) to \(price.byteCount) bytes, "
            text += "\(milliseconds(price.leastByteCount)) to \(milliseconds(price.byteCount)) at 1 Gbit/s."
        } else {
            text += ": \(price.byteCount) bytes, \(milliseconds(price.byteCount)) at 1 Gbit/s."
        }
        return text
    }

    private func milliseconds(_ byteCount: Int) -> String { WirePrice.gigabitMilliseconds(byteCount).millisecondText }

    private func absence(_ absent: Placement.Absent) -> String {
        let free = placement.devices[absent.device].believedFreeByteCount.binarySize
        let reason =
            switch absent.reason {
            case .unknownMemory: "it does not say how much memory it has (a split can give it a share)."
            case .noShare: "its share is 0."
            case .tooSmall(let needed): "\(free) are free, and the least part takes \(needed.binarySize) beside the reserve."
            case .noRoomForOutput(let needed):
                "\(free) are free, and the output head, which would have to be here, takes \(needed.binarySize) beside the reserve."
            case .smallBuffers(let needed):
                "its buffers are of at most \(placement.devices[absent.device].largestBufferByteCount.binarySize), and the model needs "
                    + "\(needed.binarySize) in one piece."
            case .notWorthIt where placement.split != nil: "there are fewer layers than devices with a share."
            case .notWorthIt: "the least that it could get would fill it much more than the others."
            }
        return "\(name(absent.device)) is left out: \(reason)"
    }

    private var silence: [String] {
        let silent = placement.stages.filter { !placement.devices[$0.device].saysMemory }.map { name($0.device) }
        if silent.isEmpty { return [] }
        return ["No memory is reported, so that nobody knows whether it fits, by " + silent.joined(separator: ", ") + "."]
    }

    private func comparison(_ stock: StockPlacement) -> String {
        if stock.devices.isEmpty { return "A stock head would have no worker to use." }
        let parts = zip(stock.devices, stock.layers).enumerated().map { index, part in
            let layers = part.1.isEmpty ? "no layers" : Placement.layerText(part.1)
            return "\(name(part.0)) \(layers)\(index == stock.outputDevice ? " and the output head" : "")"
        }
        return "A stock head with the same workers, all layers on them: \(parts.joined(separator: "; "))."
    }
}

extension Placement {
    static func layerText(_ layers: Range<Int>) -> String {
        switch layers.count {
        case 0: "–"
        case 1: "\(layers.lowerBound)"
        default: "\(layers.lowerBound)–\(layers.upperBound - 1)"
        }
    }
}

extension Placement.Stage {
    /// The first and the last layer: `0–8`.
    var layerText: String { Placement.layerText(layers) }

    var partsText: String {
        "weights \(weightByteCount.binarySize), cache \(cacheByteCount.binarySize), compute buffer \(computeByteCount.binarySize)"
    }
}
