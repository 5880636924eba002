package import Tensor

/// What a device's steps take, by how much there is to compute in them, so that one which will never come back can be told
/// from one which is merely large: a frozen server still acknowledges what it is sent.
///
/// Work is counted in multiplications of matrix products. Used by whoever holds the connection's lock.
package struct StepForecast: Sendable {
    /// The most seconds that a unit of work has taken lately, by the power of two of the work.
    private var rates: [Int: Double] = [:]

    package init() {}

    /// Seconds for a unit of work on a device of which nothing is known: a slow core's.
    private static let slowestRate = 1e-9
    /// Seconds that any step may take on top: pauses of the system, a lost packet, neighbours on the processor.
    package static let allowance = 3.0
    /// How much longer than foreseen a step may take.
    package static let tolerance = 4.0
    /// With every step, what was slow before counts a little less.
    private static let decay = 0.98

    /// Seconds within which a step of so much work must have been answered.
    package func limit(work: Double) -> Double { StepForecast.allowance + StepForecast.tolerance * work * rate(work) }

    package mutating func note(work: Double, seconds: Double) {
        guard work > 0 else { return }
        let bin = StepForecast.bin(work)
        rates[bin] = max(seconds / work, (rates[bin] ?? 0) * StepForecast.decay)
    }

    /// What is known of steps of this size; else of the next smaller ones, whose work never goes faster; else of nothing.
    private func rate(_ work: Double) -> Double {
        guard work > 0 else { return 0 }
        let bin = StepForecast.bin(work)
        if let known = rates[bin] { return known }
        if let smaller = rates.keys.filter({ $0 < bin }).max(), let known = rates[smaller] { return known }
        return StepForecast.slowestRate
    }

    private static func bin(_ work: Double) -> Int { Int(work.exponent) }
}

extension Graph {
    /// Multiplications in the graph's matrix products, attention's included.
    package var work: Double {
        nodes.reduce(0) { sum, id in
            let node = self[id]
            switch node.operation.kind {
            case .matMul, .matMulID:
                guard let matrix = node.sources.first ?? nil else { return sum }
                return sum + Double(node.shape.elementCount) * Double(self[matrix].shape[0])
            case .flashAttention:
                guard node.sources.count > 1, let keys = node.sources[1] else { return sum }
                return sum + 2 * Double(node.shape.elementCount) * Double(self[keys].shape[1])
            default: return sum
            }
        }
    }
}
