/// How much is answered: to one address, and in all, so that this node neither is kept busy by anybody, nor sends much to an address in
/// whose name somebody asks.
package struct AnswerLimits: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    private struct Allowance: Sendable {
        var left: Double
        var time: Time

        mutating func take(rate: Double, burst: Double, at now: Time) -> Bool {
            left = min(burst, left + rate * ((now - time) / .seconds(1)))
            time = now
            if left < 1 { return false }
            left -= 1
            return true
        }
    }

    private var all: Allowance
    private var hosts: [[UInt8]: Allowance] = [:]

    /// Answers a second, and at once after a pause: to one neighbourhood of addresses, and in all.
    package static let hostRate = 20.0
    package static let hostBurst = 60.0
    package static let rate = 400.0
    package static let burst = 800.0
    package static let hostLimit = 2048

    package init() { all = Allowance(left: AnswerLimits.burst, time: .zero) }

    package var hostCount: Int { hosts.count }

    package mutating func take(_ address: NodeAddress, at now: Time) -> Bool {
        // In a network of somebody's own, addresses side by side are different machines, or different programs.
        let key = address.isLocal ? address.compact : address.neighbourhood
        var own = hosts[key] ?? Allowance(left: AnswerLimits.hostBurst, time: now)
        if hosts[key] == nil, hosts.count >= AnswerLimits.hostLimit {
            // Those that have all of it again are as good as forgotten.
            hosts = hosts.filter { $0.value.left + AnswerLimits.hostRate * ((now - $0.value.time) / .seconds(1)) < AnswerLimits.hostBurst }
            if hosts.count >= AnswerLimits.hostLimit { return false }
        }
        let isWithin = own.take(rate: AnswerLimits.hostRate, burst: AnswerLimits.hostBurst, at: now)
        hosts[key] = own
        return isWithin && all.take(rate: AnswerLimits.rate, burst: AnswerLimits.burst, at: now)
    }
}
