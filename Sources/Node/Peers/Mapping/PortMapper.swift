package import Base

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Keeps ports of this machine open at the router for as long as it is wanted, by whatever method the router knows.
///
/// A thread of its own does it; what the router grants is taken back when it ends.
package final class PortMapper: Sendable {
    /// Makes what asks a router by a method; called on the mapper's thread, at each attempt until it gives something.
    package typealias Opening = @Sendable (MappingMethod) throws(MappingError) -> any MappingAccess

    private let isStopped = Monitor(false)
    private let hasEnded = Monitor(false)

    /// Begins, until ``stop()``.
    ///
    /// - Parameters:
    ///   - ports: which, and the ports of the router that are wished for.
    ///   - opening: what routers are asked with; this machine's libraries.
    ///   - onChange: called on the mapper's thread; what it waits for, leases wait for.
    /// - Throws: ``MappingError/noThread(_:)`` only. That a library or a router is not there is told as a change.
    package init(
        _ ports: [MappedPort], _ settings: MappingSchedule.Settings = MappingSchedule.Settings(),
        opening: @escaping Opening = PortMapper.library, onChange: @escaping @Sendable (MappingChange) -> Void
    ) throws(MappingError) {
        do throws(ThreadError) {
            try SystemThread.start(name: "port mapping", stackSize: 1 << 20) { [isStopped, hasEnded] in
                var work = MappingWork(MappingSchedule(ports, settings), settings.lifetime, opening, onChange)
                work.run(isStopped)
                hasEnded.change { $0 = true }
            }
        } catch {
            throw .noThread(error)
        }
    }

    /// Has it end: what the router granted is taken back, and nothing is told any more. Returns at once.
    package func stop() { isStopped.change { $0 = true } }

    /// Waits until it has ended, some seconds after ``stop()``. Whoever answers in the router's place, a little at a time, can keep a library
    /// for longer: hence a limit.
    ///
    /// - Returns: whether it has.
    @discardableResult
    package func join(atMost patience: Duration = .seconds(10)) -> Bool {
        hasEnded.wait(atMost: patience) { $0 ? true : nil } ?? false
    }

    /// This machine's libraries.
    package static let library: Opening = { method throws(MappingError) in
        switch method {
        case .natPMP: NATPMPAccess(try NATPMPLibrary())
        case .upnp: UPnPAccess(try UPnPLibrary())
        }
    }
}

/// What the mapper's thread does.
private struct MappingWork {
    private var schedule: MappingSchedule
    private let lifetime: UInt32
    private let opening: PortMapper.Opening
    private let onChange: @Sendable (MappingChange) -> Void
    private var accesses: [MappingMethod: any MappingAccess] = [:]

    init(
        _ schedule: MappingSchedule, _ lifetime: UInt32, _ opening: @escaping PortMapper.Opening,
        _ onChange: @escaping @Sendable (MappingChange) -> Void
    ) {
        self.schedule = schedule
        self.lifetime = lifetime
        self.opening = opening
        self.onChange = onChange
    }

    mutating func run(_ isStopped: Monitor<Bool>) {
        // A router that closes a connection while a library writes to it must not end a program that knows nothing of that.
        var brokenPipe = sigset_t()
        sigemptyset(&brokenPipe)
        sigaddset(&brokenPipe, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &brokenPipe, nil)
        while isStopped.wait(until: schedule.due, { $0 ? true : nil }) == nil {
            guard let step = schedule.step(at: MonotonicClock.nanoseconds()) else { continue }
            let change = take(step)
            if let change, !isStopped.read({ $0 }) { onChange(change) }
        }
        if let (method, mapping) = schedule.last { accesses[method]?.release(mapping) }
    }

    private mutating func take(_ step: MappingSchedule.Step) -> MappingChange? {
        switch step {
        case .map(let method, let ports):
            let lifetime = lifetime
            do throws(MappingError) {
                let mapping = try with(method) { (access) throws(MappingError) in try access.map(ports, lifetime: lifetime) }
                return schedule.granted(mapping, by: method, at: MonotonicClock.nanoseconds())
            } catch {
                return schedule.failed(error, at: MonotonicClock.nanoseconds())
            }
        case .look(let method, let mapping):
            let stands = try? with(method) { (access) throws(MappingError) in try access.stands(mapping) }
            schedule.looked(stands: stands ?? false, at: MonotonicClock.nanoseconds())
            return nil
        }
    }

    private mutating func with<Result>(
        _ method: MappingMethod, _ body: (inout any MappingAccess) throws(MappingError) -> Result
    ) throws(MappingError) -> Result {
        var access: any MappingAccess
        if let known = accesses[method] { access = known } else { access = try opening(method) }
        defer { accesses[method] = access }
        return try body(&access)
    }
}
