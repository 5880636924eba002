/// What is told of the ports that a router is asked for.
package enum MappingChange: Hashable, Sendable {
    /// A router lets in what comes to it for these ports. Told again when address or port are others.
    case mapped(PortMapping, by: MappingMethod)
    /// Nothing comes in, or no longer; it is tried again. Told when the reason is another than before.
    case failed(MappingError)
}

/// What to ask a router for, and when: a value, without clock, thread or network. Moments are nanoseconds of a clock that only goes forward.
///
/// Every method is tried in turn, first that which did last; when none does, there is a pause, twice as long each time. What was granted is
/// renewed when half of its time is over, and looked at in between, since a router that was off has forgotten it.
package struct MappingSchedule: Sendable {
    package struct Settings: Hashable, Sendable {
        /// Seconds that ports are asked for.
        package var lifetime: UInt32 = 3600
        /// Seconds between looks.
        package var lookInterval: Double = 60
        /// Seconds of the pauses between attempts: the first, and the longest.
        package var pauses: ClosedRange<Double> = 2...300
        package var methods: [MappingMethod] = MappingMethod.allCases

        package init() {}
    }

    package enum Step: Hashable, Sendable {
        /// Ask for the ports by a method.
        case map(MappingMethod, [MappedPort])
        /// See whether the router still has them.
        case look(MappingMethod, PortMapping)
    }

    private enum State: Hashable {
        /// Methods that are still to be tried in this round, and what came of the others.
        case seeking([MappingMethod], [MappingError])
        case pausing(until: UInt64)
        case holding(MappingMethod, PortMapping, renewal: UInt64, look: UInt64)
    }

    private let settings: Settings
    private let wished: [MappedPort]
    private var state: State
    /// Rounds in a row that came to nothing.
    private var failures = 0
    /// What was granted last, and may still be there although the router does not say so.
    package private(set) var last: (method: MappingMethod, mapping: PortMapping)?
    private var told: MappingChange?

    package init(_ ports: [MappedPort], _ settings: Settings = Settings()) {
        self.settings = settings
        wished = ports
        state = .seeking(settings.methods, [])
    }

    /// What the router has now, as far as is known.
    package var held: (method: MappingMethod, mapping: PortMapping)? {
        if case .holding(let method, let mapping, _, _) = state { (method, mapping) } else { nil }
    }

    /// When there is something to do; in the past if it is now.
    package var due: UInt64 {
        switch state {
        case .seeking: 0
        case .pausing(let end): end
        case .holding(_, _, let renewal, let look): min(renewal, look)
        }
    }

    /// What is to be done at a moment, or nil before ``due``. Its outcome is told by one of the functions below.
    package mutating func step(at now: UInt64) -> Step? {
        guard now >= due else { return nil }
        switch state {
        case .pausing:
            state = .seeking(order, [])
            return step(at: now)
        case .seeking(let methods, _):
            guard let method = methods.first else { return nil }
            return .map(method, ports)
        case .holding(let method, let mapping, let renewal, _):
            return now >= renewal ? .map(method, mapping.ports) : .look(method, mapping)
        }
    }

    /// A router granted what was asked for.
    package mutating func granted(_ mapping: PortMapping, by method: MappingMethod, at now: UInt64) -> MappingChange? {
        failures = 0
        last = (method, mapping)
        // A router that grants next to nothing is not asked all the time; what it forgets meanwhile a look tells.
        let lifetime = Double(min(mapping.lifetime ?? settings.lifetime, settings.lifetime))
        state = .holding(
            method, mapping, renewal: now &+ MappingSchedule.nanoseconds(max(lifetime / 2, 1)),
            look: now &+ MappingSchedule.nanoseconds(settings.lookInterval))
        guard !mapping.isBehindAnotherRouter else {
            return tell(.failed(.behindAnotherRouter(method, address: mapping.address.description)))
        }
        if case .mapped(let before, let by) = told, by == method, before.address == mapping.address, before.ports == mapping.ports {
            return nil
        }
        return tell(.mapped(mapping, by: method))
    }

    /// The method that was to be tried came to nothing.
    package mutating func failed(_ error: MappingError, at now: UInt64) -> MappingChange? {
        switch state {
        case .holding(let method, _, _, _):
            // What was held is lost or about to be: all methods get their turn, at once.
            state = .seeking(order.filter { $0 != method }, [error])
        case .seeking(let methods, let errors): state = .seeking(Array(methods.dropFirst()), errors + [error])
        case .pausing: return nil
        }
        guard case .seeking(let methods, let errors) = state, methods.isEmpty else { return nil }
        let (first, longest) = (settings.pauses.lowerBound, settings.pauses.upperBound)
        var pause = first
        for _ in 0..<failures where pause < longest { pause *= 2 }
        failures += 1
        state = .pausing(until: now &+ MappingSchedule.nanoseconds(min(pause, longest)))
        return tell(.failed(errors.count == 1 ? errors[0] : .all(errors)))
    }

    /// The router was looked at. Where it has forgotten what it granted, it is asked again at once; so it is where it did not answer.
    package mutating func looked(stands: Bool, at now: UInt64) {
        guard case .holding(let method, let mapping, let renewal, _) = state else { return }
        if stands {
            state = .holding(method, mapping, renewal: renewal, look: now &+ MappingSchedule.nanoseconds(settings.lookInterval))
        } else {
            state = .seeking(order, [])
        }
    }

    /// What was granted before is wished for again: others may have been told of it.
    private var ports: [MappedPort] { last?.mapping.ports ?? wished }

    private var order: [MappingMethod] {
        settings.methods.filter { $0 == last?.method } + settings.methods.filter { $0 != last?.method }
    }

    private mutating func tell(_ change: MappingChange) -> MappingChange? {
        guard change != told else { return nil }
        told = change
        return change
    }

    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min(max(seconds, 0), 1e9) * 1e9) }
}
