import Node
import Tensor

/// A head: a membership with its watchers, and the keepers of its models.
final class HeadUnderTest {
    let index: Int
    unowned let world: World
    var membership = Membership()
    /// By number; nil where it is not loaded.
    var models: [KeeperUnderTest?] = [nil, nil]
    /// All there ever were.
    private(set) var everyModel: [KeeperUnderTest] = []
    /// Whose turn it is to find places.
    var turns: [Membership.User] = []
    let localCapacity: Int
    private(set) var isStopping = false
    /// Attempts to connect that are under way.
    private var attempts: [NodeID: Int] = [:]
    private var nextWatch: Duration?

    init(_ index: Int, _ world: World, localCapacity: Int) {
        self.index = index
        self.world = world
        self.localCapacity = localCapacity
        for worker in world.workers { _ = membership.list(worker.id, at: .zero) }
        watch()
    }

    func load(_ number: Int) {
        let need = 3 + world.draw(16)
        load(number, need: need, waits: world.chance(2))
    }

    func load(_ number: Int, need: Int, waits: Bool) {
        if models[number] != nil || isStopping { return }
        let keeper = KeeperUnderTest(self, number, need: need, waits: waits)
        models[number] = keeper
        everyModel.append(keeper)
        keeper.begin()
    }

    /// Ends the head as a whole: its models, then its connections, or in a hurry the other way round.
    func stop() {
        if isStopping { return }
        isStopping = true
        world.log?("\(world.now) h\(index) ends")
        if world.chance(2) { apply(membership.stop()) }
        world.soon { [self] in
            for model in models { model?.unload() }
            stopWhenEnded()
        }
    }

    private func stopWhenEnded() {
        if everyModel.allSatisfy(\.hasEnded) { return apply(membership.stop()) }
        world.after(0.05) { [self] in stopWhenEnded() }
    }

    /// Another list of workers in the place of the one that there was.
    func replaceList() {
        for worker in world.workers {
            // Some leave and come back in the same moment, as when a list is written in two steps.
            if world.chance(2) { apply(membership.unlist(worker.id)) }
            if world.chance(2) { apply(membership.list(worker.id, at: world.now)) }
        }
    }

    /// Units of this machine's that models have.
    func localUsed(but user: Membership.User) -> Int {
        models.reduce(0) { sum, model in sum + (model.map { $0.user == user ? 0 : $0.localUnits } ?? 0) }
    }

    func apply(_ effects: [Membership.Effect]) {
        for effect in effects {
            switch effect {
            case .close(let link): world.close(link)
            case .tell(let kind, let id, let message):
                world.told.append(kind)
                world.log?("\(world.now) h\(index) \(kind) \(id): \(message)")
            case .changed:
                for model in models { if let model { world.soon { model.workersChanged() } } }
            }
        }
        watch()
    }

    // MARK: Looks

    private func watch() {
        guard let next = membership.nextLook, nextWatch.map({ next < $0 }) ?? true else { return }
        nextWatch = next
        let pause = max(0.001, (next - world.now) / .seconds(1))
        world.after(pause) { [self] in
            if nextWatch == next { nextWatch = nil }
            while let look = membership.nextDueLook(at: world.now) {
                switch look {
                case .connect(let id, let attempt): connect(id, attempt) { _ in }
                case .ask(let id, let link):
                    if world.chance(4), membership.wasBusy(id, link: link, at: world.now) { continue }
                    ask(id, link) { _ in }
                }
            }
            watch()
        }
    }

    /// Tries to connect; then `body` is called with the connection that is held.
    func connect(_ id: NodeID, _ attempt: Int, _ body: @escaping (Membership.Link?) -> Void) {
        if attempts[id] != nil { world.complain("h\(index): two connect to \(id) at once") }
        attempts[id] = attempt
        world.soon { [self] in
            guard let worker = world.number(of: id), let link = world.connect(worker, from: index) else {
                // Refused at once, or nobody answers for a while.
                let isRefused = world.number(of: id).map { world.workers[$0].state == .down } ?? true
                return world.after(isRefused ? 0.001 : 3) { [self] in
                    attempts[id] = nil
                    apply(membership.failed(id, attempt: attempt, "no answer", at: world.now))
                    body(nil)
                }
            }
            world.soon { [self] in
                attempts[id] = nil
                if world.isBroken(link) {
                    world.close(link)
                    apply(membership.failed(id, attempt: attempt, "broke", at: world.now))
                    return body(nil)
                }
                apply(membership.connected(id, attempt: attempt, link: link, world.report(worker), at: world.now))
                body(membership[id]?.link == link ? link : nil)
            }
        }
    }

    /// Asks for memory; then `body` is called with what was said.
    func ask(_ id: NodeID, _ link: Membership.Link, _ body: @escaping ([DeviceMemory]?) -> Void) {
        world.soon { [self] in
            guard let worker = world.number(of: id), !world.isBroken(link), world.workers[worker].state != .frozen else {
                return world.after(world.isBroken(link) ? 0.001 : 5) { [self] in
                    lose(id, link, .connection("no answer"))
                    body(nil)
                }
            }
            let report = world.report(worker)
            apply(membership.answered(id, link: link, report, at: world.now))
            body(report)
        }
    }

    func lose(_ id: NodeID, _ link: Membership.Link, _ loss: Membership.Loss) {
        world.links[link]?.isBroken = true
        world.links[link]?.used = [:]
        apply(membership.lost(id, link: link, loss, at: world.now))
    }

    // MARK: What must be so when all is quiet

    func check() {
        if isStopping, everyModel.contains(where: { !$0.hasEnded }) { world.complain("h\(index) does not end") }
        if membership.isStopped {
            if world.links.values.contains(where: { $0.head == index }) {
                world.complain("h\(index) has ended, and still has a connection")
            }
            return
        }
        let live = models.compactMap { $0 }.filter { !$0.hasEnded }
        let users = Set(live.map(\.user))
        for entry in membership.entries {
            if !entry.users.isSubset(of: users) { world.complain("h\(index) \(entry.id): a user that is gone is still there") }
            switch entry.presence {
            case .absent(let reason):
                if reason.isEmpty { world.complain("h\(index) \(entry.id): given up without a reason") }
            case .idle:
                if !entry.users.isEmpty { world.complain("h\(index) \(entry.id): idle, and somebody counts on it") }
            case .held(let link):
                if entry.users.isEmpty { world.complain("h\(index) \(entry.id): a connection is held by nobody") }
                if world.links[link] == nil { world.complain("h\(index) \(entry.id): a connection is held that is closed") }
            case .connecting: break
            }
            if membership.reservedByteCount(of: entry.id) > 0, live.allSatisfy(\.isAtRest) {
                world.complain("h\(index) \(entry.id): memory is reserved that nobody is about to take")
            }
        }
        for (number, link) in world.links where link.head == index {
            let holder = membership.entries.first { $0.link == number }
            if holder == nil, !membership.entries.contains(where: \.isConnecting) {
                world.complain("h\(index): connection \(number) to w\(link.worker) is nobody's")
            }
            for user in link.used.keys where !users.contains(user) && link.used[user] != 0 {
                world.complain("h\(index): a model that is gone still has memory on w\(link.worker)")
            }
        }
        for model in live { model.check() }
        for model in everyModel where !live.contains(where: { $0 === model }) && !model.hasEnded {
            world.complain("h\(index): a model was let go of and did not end")
        }
    }
}
