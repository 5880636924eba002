internal import Base

/// Why a model cannot be placed.
public enum PlacementError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no device, or none that says how much memory it has (their names).
    case noDevices([String])
    /// A figure of the model that cannot be.
    case unbelievable(String)
    /// A split with a share too few or too many; the devices in the order in which it names them.
    case splitCount(given: Int, devices: [String])
    /// Shares below 0, not finite, or all 0.
    case splitShares([Double])
    /// What a device would get by its share is more than it has.
    case shareDoesNotFit(device: String, Placement.Stage)
    /// A device with a share whose buffers are too small for a piece of the model that cannot be cut.
    case bufferTooSmall(device: String, needed: Int, largest: Int)
    case doesNotFit(Shortage)

    public var description: String {
        switch self {
        case .noDevices(let names):
            if names.isEmpty { return "there is no device to put the model on" }
            return "no device says how much memory it has: \(PlacementError.list(names)) (a split can give them shares)"
        case .unbelievable(let what): return "the model cannot be placed: \(what)"
        case .splitCount(let given, let devices):
            return "the split has \(given) \(given == 1 ? "share" : "shares"), but there are \(devices.count) devices, in this order: "
                + devices.joined(separator: ", ")
        case .splitShares(let shares):
            let text = shares.map { "\($0)" }.joined(separator: ",")
            return "a split is made of shares of at least 0, not all of them 0, not of \(text)"
        case .shareDoesNotFit(let device, let stage):
            let layers =
                stage.layers.isEmpty
                ? "the output head" : "layers \(stage.layerText)" + (stage.hasOutput ? " and the output head" : "")
            let excess = stage.neededByteCount - (stage.freeByteCount - stage.reserveByteCount)
            return "the split gives \(device) \(layers), which take \(stage.neededByteCount.binarySize) (\(stage.partsText)), but it has "
                + "\(stage.freeByteCount.binarySize) free, of which \(stage.reserveByteCount.binarySize) are left alone: "
                + "\(excess.binarySize) too much"
        case .bufferTooSmall(let device, let needed, let largest):
            return "the split gives \(device) something that takes \(needed.binarySize) in one piece, but its buffers are of at most "
                + "\(largest.binarySize): give it no share, or take a smaller context or fewer slots"
        case .doesNotFit(let shortage): return shortage.description
        }
    }

    /// Whether it could be placed if there were more memory.
    var isShortage: Bool {
        switch self {
        case .noDevices, .shareDoesNotFit, .doesNotFit: true
        case .unbelievable, .splitCount, .splitShares, .bufferTooSmall: false
        }
    }

    static func list(_ names: [String]) -> String {
        let shown = names.prefix(8).joined(separator: ", ")
        return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
    }
}
