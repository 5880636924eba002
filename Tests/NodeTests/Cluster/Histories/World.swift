import Node
import RPCProto
import Tensor
import TestSupport

/// Heads, workers and models in virtual time, in an order of events that a seed draws: everything around ``Membership`` and ``Keeper`` that
/// the program does with threads and sockets is played here, with delays and faults that threads and sockets rarely have.
///
/// Memory is counted in units, a unit being a part of a model.
final class World {
    /// A machine that lends memory.
    struct Worker {
        enum State { case up, frozen, down, leaving }

        let id: NodeID
        /// Whether it serves one connection at a time.
        var isStock: Bool
        var capacity: Int
        var state = State.up
        /// Units that it says it has and has not.
        var lie = 0
        /// Whether whatever is tried on it fails when it is to run.
        var isCursed = false
    }

    /// A connection, and what is on the worker by it.
    struct Link {
        var head: Int
        var worker: Int
        var isBroken = false
        /// By user.
        var used: [Membership.User: Int] = [:]
    }

    var now = Duration.zero
    var random: SeededRandom
    var workers: [Worker] = []
    var heads: [HeadUnderTest] = []
    var links: [Membership.Link: Link] = [:]
    private var linkCount = 0
    /// What went against the rules.
    var complaints: [String] = []
    private var queue: [(time: Duration, body: () -> Void)] = []
    private(set) var eventCount = 0
    /// What heads told of their workers.
    var told: [NodeEvent.Kind] = []
    /// Whether there is one model, so that room comes about by nothing that nobody is told of.
    var isLone = false
    /// Told of what happens, to understand a seed.
    var log: ((String) -> Void)?

    init(seed: UInt64, workers workerCount: Int = 5, heads headCount: Int = 3) {
        random = SeededRandom(seed: seed)
        for index in 0..<workerCount {
            workers.append(
                Worker(id: .endpoint(Endpoint(host: "w\(index)")), isStock: draw(3) == 0, capacity: 4 + draw(12)))
        }
        for index in 0..<headCount { heads.append(HeadUnderTest(index, self, localCapacity: draw(2) * draw(8))) }
    }

    // MARK: Time

    func draw(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
    func chance(_ oneOf: Int) -> Bool { draw(oneOf) == 0 }

    func after(_ seconds: Double, _ body: @escaping () -> Void) { queue.append((now + .seconds(seconds), body)) }

    /// After a while that is mostly short and sometimes long, so that nothing can count on an order.
    func soon(_ body: @escaping () -> Void) {
        let most = chance(20) ? 3000 : chance(4) ? 200 : 10
        after(Double(1 + draw(most)) / 1000, body)
    }

    /// Lets things happen until a moment; of those that are due together any may be the next.
    func run(until end: Duration, atMost limit: Int = 200_000) {
        while let next = queue.indices.min(by: { queue[$0].time < queue[$1].time }), queue[next].time <= end {
            let event = queue[next]
            queue.swapAt(next, queue.count - 1)
            queue.removeLast()
            now = max(now, event.time)
            eventCount += 1
            if eventCount > limit {
                complaints.append("it never comes to rest")
                return
            }
            event.body()
        }
        now = max(now, end)
    }

    func complain(_ message: String) { complaints.append("\(now): \(message)") }

    // MARK: Workers

    func number(of id: NodeID) -> Int? { workers.firstIndex { $0.id == id } }

    func used(on worker: Int) -> Int {
        links.values.reduce(0) { $1.worker == worker && !$1.isBroken ? $0 + $1.used.values.reduce(0, +) : $0 }
    }

    /// What it says of its memory.
    func report(_ worker: Int) -> [DeviceMemory] {
        if workers[worker].state == .leaving { return [DeviceMemory(free: 0, total: 0)] }
        let capacity = workers[worker].capacity
        return [DeviceMemory(free: max(0, capacity - used(on: worker)), total: capacity)]
    }

    func setState(_ worker: Int, _ state: Worker.State) {
        log?("\(now) w\(worker) is \(state)")
        workers[worker].state = state
        guard state == .down else { return }
        for (number, link) in links where link.worker == worker {
            links[number]?.isBroken = true
            links[number]?.used = [:]
        }
    }

    /// A new connection; nil where none comes about.
    func connect(_ worker: Int, from head: Int) -> Membership.Link? {
        guard workers[worker].state == .up || workers[worker].state == .leaving else { return nil }
        if workers[worker].isStock, links.values.contains(where: { $0.worker == worker && !$0.isBroken }) { return nil }
        linkCount += 1
        links[linkCount] = Link(head: head, worker: worker)
        return linkCount
    }

    func close(_ link: Membership.Link) { links[link] = nil }

    func isBroken(_ link: Membership.Link) -> Bool { links[link]?.isBroken ?? true }

    // MARK: Faults

    /// Something that happens to machines and models.
    func disturb() {
        let worker = draw(workers.count)
        let head = heads[draw(heads.count)]
        switch draw(18) {
        case 0, 1: setState(worker, .down)
        case 2: setState(worker, .frozen)
        case 3, 4, 5: setState(worker, .up)
        case 6: setState(worker, .leaving)
        case 7: workers[worker].lie = draw(6)
        case 8: workers[worker].isCursed = chance(2)
        case 9: head.apply(head.membership.setDrained(workers[worker].id, chance(2)))
        case 10:
            let id = workers[worker].id
            head.apply(chance(2) ? head.membership.unlist(id) : head.membership.list(id, at: now))
        case 11: head.models[draw(head.models.count)]?.unload()
        case 12: head.replaceList()
        case 13:
            // Two in one moment.
            let state: Worker.State = chance(2) ? .down : .frozen
            setState(worker, state)
            setState((worker + 1) % workers.count, state)
        case 14:
            head.stop()
            if heads.count < 6 { heads.append(HeadUnderTest(heads.count, self, localCapacity: draw(2) * draw(8))) }
        case 15: for model in head.models { model?.setAsked(chance(2)) }
        default: head.load(draw(head.models.count))
        }
    }

    /// Nothing is wrong with any machine any more.
    func heal() {
        for index in workers.indices {
            workers[index].lie = 0
            workers[index].isCursed = false
            setState(index, .up)
            for head in heads {
                head.apply(head.membership.list(workers[index].id, at: now))
                head.apply(head.membership.setDrained(workers[index].id, false))
            }
        }
    }

    /// What heads have to say, where it is so for good and not in passing.
    func check() {
        let before = complaints.count
        for head in heads { head.check() }
        if complaints.count == before { return }
        complaints.removeSubrange(before...)
        run(until: now + .seconds(35))
        for head in heads { head.check() }
    }

    /// One model and nobody else, and one change at a time with quiet around it: whatever follows from it follows from that change alone.
    func live() {
        let worker = draw(workers.count)
        let models = heads.flatMap(\.models).compactMap { $0 }.filter { !$0.hasEnded }
        guard !models.isEmpty else { return }
        let model = models[draw(models.count)]
        model.setAsked(chance(2))
        let head = model.head
        // Emptied before there is room for what is on it.
        let isEmptied = chance(2)
        if isEmptied { head.apply(head.membership.setDrained(workers[worker].id, true)) }
        run(until: now + .seconds(20))
        for other in models where other !== model { other.unload() }
        run(until: now + .seconds(150))
        check()
        isLone = true
        if isEmptied { head.apply(head.membership.setDrained(workers[worker].id, false)) }
        for index in 0..<(1 + draw(2)) {
            let worker = (worker + index) % workers.count
            let id = workers[worker].id
            let kind = draw(5)
            switch kind {
            case 0: setState(worker, .down)
            case 1: setState(worker, .frozen)
            case 2: setState(worker, .leaving)
            case 3: head.apply(head.membership.setDrained(id, true))
            default: head.apply(head.membership.unlist(id))
            }
            run(until: now + .seconds(100))
            check()
            switch kind {
            case 0, 1, 2: setState(worker, .up)
            case 3: head.apply(head.membership.setDrained(id, false))
            default: head.apply(head.membership.list(id, at: now))
            }
            run(until: now + .seconds(150))
            check()
        }
    }
}
