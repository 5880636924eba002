import Node
import Tensor

/// A model's keeper with its thread, its engine, and the work that it does.
final class KeeperUnderTest {
    unowned let head: HeadUnderTest
    var world: World { head.world }
    let number: Int
    /// Units that the model takes.
    let need: Int
    let user: Membership.User
    private var keeper: Keeper
    private var effects: [Keeper.Effect] = []
    private var isInVain = false
    private var isWorking = false
    private var isPumping = false
    private var nextTick: Duration?

    /// Where units are to be, and are while the engine runs; `nil` for this machine.
    private typealias Places = [NodeID?: Int]
    private var current: Places = [:]
    private var wanted: Places = [:]
    private var wantedLinks: [NodeID: Membership.Link] = [:]
    /// The connections that the engine's steps go over.
    private var roster: [NodeID: Membership.Link] = [:]
    private(set) var isEngineRunning = false
    /// Whether requests come, so that steps are taken.
    private var isAsked = true
    private(set) var suspensionCount = 0
    private var shortage = ""
    private(set) var lastRefusal: String?
    private(set) var hasEnded = false
    private var wasBusy = true

    init(_ head: HeadUnderTest, _ number: Int, need: Int, waits: Bool) {
        self.head = head
        self.number = number
        self.need = need
        user = head.membership.join()
        keeper = Keeper(waits: waits)
    }

    var localUnits: Int { isEngineRunning ? current[nil] ?? 0 : 0 }
    var isAtRest: Bool { !isWorking && effects.isEmpty }

    func begin() { deliver(.started) }
    func unload() { deliver(.stop) }

    private var isLost: Bool { roster.values.contains { world.isBroken($0) } }

    /// Whether requests come from here on.
    func setAsked(_ isAsked: Bool) { self.isAsked = isAsked }

    func workersChanged() {
        deliver(isLost ? .lossSeen("lost while idle") : .changed)
    }

    private func deliver(_ event: Keeper.Event) {
        if hasEnded { return }
        for effect in keeper.handle(event, at: world.now) {
            switch effect {
            case .abandon: isInVain = true
            case .work:
                if isWorking || effects.contains(where: { if case .work = $0 { true } else { false } }) {
                    world.complain("two pieces of work at once")
                }
                isInVain = false
                effects.append(effect)
            default: effects.append(effect)
            }
        }
        pump()
        tick()
    }

    private func tick() {
        guard let next = keeper.nextTick(now: world.now), nextTick.map({ next < $0 }) ?? true else { return }
        nextTick = next
        world.after(max(0.001, (next - world.now) / .seconds(1))) { [self] in
            if nextTick == next { nextTick = nil }
            if isWorking || !effects.isEmpty || hasEnded { return }
            wasBusy = isAsked && !world.chance(3)
            deliver(.tick(isBusy: wasBusy))
        }
    }

    private func pump() {
        if isPumping || isWorking || effects.isEmpty { return }
        isPumping = true
        world.soon { [self] in
            isPumping = false
            if !isWorking, !effects.isEmpty, !hasEnded { perform(effects.removeFirst()) }
            pump()
            tick()
        }
    }

    private func perform(_ effect: Keeper.Effect) {
        switch effect {
        case .work(let work):
            isWorking = true
            world.soon { [self] in begin(work) }
        case .abandon, .begun: break
        case .resume:
            current = wanted
            roster = wantedLinks
            isEngineRunning = true
            step()
            // One that was lost in the moment before was in no roster when that was told.
            if isLost { workersChanged() }
        case .suspend(let reason):
            let isForGain = reason.hasPrefix("layers")
            if isForGain, wasBusy, missing().contains(where: { $0.value > 0 }) {
                world.complain("streams are suspended for a move that was not made ready")
            }
            world.soon { [self] in if isEngineRunning { letGo(reason) } }
        case .turnAway(let reason, _): lastRefusal = reason
        case .settle: settle(on: Set(current.keys.compactMap { $0 }), isInPlace: isEngineRunning)
        case .settleOnWeights:
            head.membership.reserve([:], for: user)
            let kept = world.links.filter { $0.value.head == head.index && ($0.value.used[user] ?? 0) > 0 }.map(\.key)
            settle(on: Set(head.membership.entries.filter { entry in kept.contains { $0 == entry.link } }.map(\.id)), isInPlace: false)
        case .tell(let kind, let message): world.log?("\(world.now) h\(head.index) m\(number) \(kind): \(message)")
        case .refused, .end: end()
        }
    }

    private func end() {
        isEngineRunning = false
        for number in world.links.keys { world.links[number]?.used[user] = nil }
        head.turns.removeAll { $0 == user }
        head.apply(head.membership.leave(user, at: world.now))
        hasEnded = true
        if head.models[number] === self { head.models[number] = nil }
    }

    private func settle(on ids: Set<NodeID>, isInPlace: Bool) {
        if isInPlace { keepOnly(current) }
        head.apply(head.membership.settle(user, on: ids, isInPlace: isInPlace, at: world.now))
    }

    // MARK: The engine

    private func letGo(_ reason: String) {
        isEngineRunning = false
        suspensionCount += 1
        roster = [:]
        deliver(.suspended(reason))
    }

    private func step() {
        world.after(Double(1 + world.draw(4000)) / 1000) { [self] in
            guard isEngineRunning else { return }
            if !isAsked { return step() }
            let bad = roster.sorted(by: { $0.key.description < $1.key.description }).first { id, link in
                world.isBroken(link) || world.number(of: id).map { world.workers[$0].state == .frozen } ?? true
            }
            guard let bad else { return step() }
            world.after(world.isBroken(bad.value) ? 0.001 : 4) { [self] in
                guard isEngineRunning else { return }
                world.links[bad.value]?.isBroken = true
                letGo("a step failed")
            }
        }
    }

    // MARK: Work

    private func done(_ outcome: Keeper.Outcome) {
        isWorking = false
        deliver(.done(outcome))
    }

    private func begin(_ work: Keeper.Work) {
        switch work {
        case .place(let includesIdle):
            current = [:]
            inTurn(includesIdle: includesIdle, isComparing: false)
        case .compare: inTurn(includesIdle: true, isComparing: true)
        case .bring:
            keepOnly(wanted)
            bringNext(isAhead: false)
        case .bringAhead: bringNext(isAhead: true)
        case .makeReady: makeReady()
        case .makeRoom: makeRoom()
        }
    }

    private func inTurn(includesIdle: Bool, isComparing: Bool) {
        if !head.turns.contains(user) { head.turns.append(user) }
        if isInVain {
            head.turns.removeAll { $0 == user }
            return done(.abandoned)
        }
        guard head.turns.first == user else {
            return world.after(0.1) { [self] in inTurn(includesIdle: includesIdle, isComparing: isComparing) }
        }
        gather(includesIdle) { [self] memory in
            let outcome = isComparing ? compare(memory) : place(memory)
            head.turns.removeAll { $0 == user }
            done(outcome)
        }
    }

    private func gather(_ includesIdle: Bool, _ body: @escaping ([NodeID: (Membership.Link, Int)]) -> Void) {
        let candidates = head.membership.gather(for: user, includesIdle: includesIdle)
        var found: [NodeID: (Membership.Link, Int)] = [:]
        var open = candidates.count
        func close(_ id: NodeID, _ link: Membership.Link?, _ memory: [DeviceMemory]?) {
            if let link, let memory { found[id] = (link, head.membership.available(memory, of: id, for: user)[0].free) }
            open -= 1
            if open == 0 { body(found) }
        }
        func wait(_ id: NodeID) {
            if head.membership[id]?.isConnecting == true { return world.after(0.05) { wait(id) } }
            let link = head.membership[id]?.link
            close(id, link, link == nil ? nil : head.membership[id]?.memory)
        }
        if candidates.isEmpty { return world.soon { body([:]) } }
        for candidate in candidates {
            switch candidate {
            case .held(let id, let link): head.ask(id, link) { close(id, link, $0) }
            case .connect(let id, let attempt):
                head.connect(id, attempt) { link in close(id, link, link == nil ? nil : self.head.membership[id]?.memory) }
            case .wait(let id): wait(id)
            }
        }
    }

    private func own(on link: Membership.Link) -> Int { world.links[link]?.used[user] ?? 0 }

    private func findPlaces(_ memory: [NodeID: (Membership.Link, Int)]) -> Places? {
        guard let places = spread(memory.filter { !world.isBroken($0.value.0) }) else { return nil }
        wantedLinks = memory.mapValues(\.0).filter { places[$0.key] != nil }
        return places
    }

    /// As even as can be, this machine last; nil where there is too little room.
    private func spread(_ memory: [NodeID: (Membership.Link, Int)]) -> Places? {
        var left: Places = [:]
        for (id, (link, free)) in memory {
            let all = free + own(on: link)
            left[id] = head.membership.doubts(of: id)[0]?.limited(all) ?? all
        }
        var places: Places = [:]
        for _ in 0..<need {
            // The fullest last, ties by name.
            let best = left.filter { $0.value > 0 }.max { ($0.value, $0.key?.description ?? "") < ($1.value, $1.key?.description ?? "") }
            if let best {
                left[best.key] = best.value - 1
                places[best.key, default: 0] += 1
            } else if head.localCapacity - head.localUsed(but: user) > places[nil, default: 0] {
                places[nil, default: 0] += 1
            } else {
                return nil
            }
        }
        return places
    }

    private func place(_ memory: [NodeID: (Membership.Link, Int)]) -> Keeper.Outcome {
        guard let places = findPlaces(memory) else {
            shortage = "\(need) units do not fit"
            return .noRoom(shortage)
        }
        wanted = places
        reserve()
        return .places
    }

    private func reserve() {
        let bytes = missing().map { (DeviceID.remote($0.key, 0), $0.value) }
        head.membership.reserve(Dictionary(uniqueKeysWithValues: bytes), for: user)
    }

    private func compare(_ memory: [NodeID: (Membership.Link, Int)]) -> Keeper.Outcome {
        let before = wanted
        let beforeLinks = wantedLinks
        let welcome = Set(head.membership.entries.filter(\.isWelcome).map(\.id))
        let mustMove = !Set(current.keys.compactMap { $0 }).isSubset(of: welcome)
        guard let places = findPlaces(memory) else { return .compared(mustMove ? .cannotMove("no room") : .stay) }
        let isGain = places.count > current.count
        guard mustMove || isGain else {
            (wanted, wantedLinks) = (before, beforeLinks)
            return .compared(.stay)
        }
        wanted = places
        return .compared(mustMove ? .mustMove : .gain)
    }

    /// Units that are wanted on each worker and are not there.
    private func missing() -> [NodeID: Int] {
        var missing: [NodeID: Int] = [:]
        for (id, units) in wanted {
            if let id { missing[id] = max(0, units - (wantedLinks[id].map { own(on: $0) } ?? 0)) }
        }
        return missing
    }

    private func keepOnly(_ places: Places) {
        for (number, link) in world.links where link.head == head.index {
            let most = places[world.workers[link.worker].id] ?? 0
            if let used = link.used[user], used > most { world.links[number]?.used[user] = most }
        }
    }

    private func bringNext(isAhead: Bool) {
        if isInVain { return done(.abandoned) }
        guard let (id, count) = missing().filter({ $0.value > 0 }).min(by: { $0.key.description < $1.key.description }),
            let link = wantedLinks[id]
        else {
            reserve()
            return done(.brought)
        }
        guard let worker = world.number(of: id), !world.isBroken(link) else {
            head.lose(id, link, .connection("broke"))
            return done(.lost)
        }
        if world.workers[worker].state == .frozen {
            return world.after(6) { [self] in
                head.lose(id, link, .connection("silent"))
                done(.lost)
            }
        }
        let free = world.workers[worker].capacity - world.used(on: worker)
        if isAhead, free <= 0 { return done(.mustWaitForRoom) }
        if free - world.workers[worker].lie <= 0 {
            head.membership.doubt(id, device: 0, needed: count, own: own(on: link), at: world.now)
            return done(.doubted("had less"))
        }
        world.links[link]?.used[user, default: 0] += 1
        if isAhead { return done(.broughtPart) }
        world.soon { [self] in bringNext(isAhead: false) }
    }

    private func makeReady() {
        world.soon { [self] in
            for (id, link) in wantedLinks.sorted(by: { $0.key.description < $1.key.description }) where wanted[id] != nil {
                guard let worker = world.number(of: id) else { continue }
                if world.isBroken(link) {
                    head.lose(id, link, .connection("broke"))
                    return done(.lost)
                }
                if world.workers[worker].isCursed {
                    head.lose(id, link, .unusable("aborts"))
                    return done(.lost)
                }
            }
            current = wanted
            done(.ready)
        }
    }

    private func makeRoom() {
        guard let other = head.models.first(where: { $0 != nil && $0 !== self }) ?? nil, other.isEngineRunning, world.chance(2) else {
            return done(.noRoom(shortage))
        }
        other.unload()
        func wait() {
            if other.hasEnded { return done(.roomMade) }
            world.after(0.05) { wait() }
        }
        wait()
    }

    // MARK: What must be so when all is quiet

    /// What any worker could give this model that this head can reach.
    private var reachable: [NodeID: (Membership.Link, Int)] {
        var reachable: [NodeID: (Membership.Link, Int)] = [:]
        for entry in head.membership.entries {
            guard let worker = world.number(of: entry.id), entry.isWelcome, world.workers[worker].state == .up else { continue }
            let isTaken = world.workers[worker].isStock && world.links.values.contains { $0.worker == worker && $0.head != head.index }
            if isTaken { continue }
            if case .absent = entry.presence { continue }
            // Where none is held yet, a number that is no connection's.
            let link = entry.link ?? -1
            reachable[entry.id] = (link, head.membership.available(world.report(worker), of: entry.id, for: user)[0].free)
        }
        return reachable
    }

    func check() {
        if !isAtRest { return }
        let reachable = reachable
        if isEngineRunning {
            for (id, link) in roster where world.isBroken(link) {
                world.complain("h\(head.index) m\(number) runs over a lost connection to \(id)")
            }
            let mustMove = current.keys.contains { id in id.map { head.membership[$0]?.isWelcome != true } ?? false }
            let places = spread(reachable)
            if mustMove, places != nil { world.complain("h\(head.index) m\(number) stays on a worker that is to be emptied") }
            if let places, places.count > current.count, world.isLone {
                world.complain("h\(head.index) m\(number) stays on \(current.count) machines where \(places.count) would have it")
            }
            return
        }
        if spread(reachable) != nil { world.complain("h\(head.index) m\(number) waits for room that there is") }
        if lastRefusal == nil { world.complain("h\(head.index) m\(number) has no place, and nobody was told why") }
    }
}
