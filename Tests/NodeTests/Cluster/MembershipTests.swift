import Node
import RPCProto
import Tensor
import Testing

/// What a pool decides about its workers, event by event: above all what went wrong once.
@Suite struct MembershipTests {
    private let id = NodeID.endpoint(Endpoint(host: "w"))
    private let gibibyte = [DeviceMemory(free: 1 << 30, total: 1 << 30)]

    /// A membership of one worker.
    private func membership() -> Membership {
        var membership = Membership()
        _ = membership.list(id, at: .zero)
        return membership
    }

    /// Has a user hold the worker over a connection.
    private func hold(_ membership: inout Membership, _ user: Membership.User, link: Membership.Link, at now: Duration) throws {
        if case .absent = membership[id]?.presence {
            guard case .connect(_, let attempt)? = membership.nextDueLook(at: now) else { throw Unexpected() }
            _ = membership.connected(id, attempt: attempt, link: -link, gibibyte, at: now)
        }
        guard case .connect(_, let attempt) = membership.gather(for: user, includesIdle: true).first else { throw Unexpected() }
        _ = membership.connected(id, attempt: attempt, link: link, gibibyte, at: now)
        #expect(membership[id]?.link == link)
    }

    private struct Unexpected: Error {}

    @Test("a look and a user never connect to one worker at once, and what came of the one is there for the other")
    func oneWhoConnects() throws {
        var membership = membership()
        let user = membership.join()
        guard case .connect(_, let first)? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
        let other = membership.nextDueLook(at: .seconds(9))
        #expect(other == nil)
        _ = membership.connected(id, attempt: first, link: 1, gibibyte, at: .zero)
        // It is idle now. Ten seconds later a look is under way when a user comes.
        guard case .connect(_, let second)? = membership.nextDueLook(at: .seconds(20)) else { throw Unexpected() }
        let outcome1 = membership.gather(for: user, includesIdle: true)
        #expect(outcome1 == [.wait(id)])
        let outcome2 = membership.connected(id, attempt: second, link: 2, gibibyte, at: .seconds(20))
        #expect(outcome2.isEmpty)
        #expect(membership[id]?.presence == .held(2))
        // An attempt that nobody waits for any more changes nothing, whatever comes of it.
        let outcome3 = membership.failed(id, attempt: first, "late", at: .seconds(21))
        #expect(outcome3.isEmpty)
        let outcome4 = membership.connected(id, attempt: first, link: 3, gibibyte, at: .seconds(21))
        #expect(outcome4 == [.close(3)])
        #expect(membership[id]?.presence == .held(2))
    }

    /// A worker that another head had filled when it was first seen was never used, however much that head gave back.
    @Test("memory that another head gives back on a worker that nobody uses is news, once")
    func memoryThatOthersGiveBack() throws {
        var membership = membership()
        let total = 1 << 30
        func look(free: Int, at seconds: Int) throws -> [Membership.Effect] {
            guard case .connect(_, let attempt)? = membership.nextDueLook(at: .seconds(seconds)) else { throw Unexpected() }
            let memory = [DeviceMemory(free: free, total: total)]
            return membership.connected(id, attempt: attempt, link: seconds, memory, at: .seconds(seconds)).filter { $0 != .close(seconds) }
        }
        #expect(try look(free: total / 2, at: 1) == [.tell(.joined, id, "is there"), .changed])
        // It fills up: nothing becomes possible by that.
        #expect(try look(free: total / 100, at: 20).isEmpty)
        #expect(try look(free: total / 20, at: 40).isEmpty)
        // Little by little counts as well.
        #expect(try look(free: total / 8, at: 60) == [.changed])
        #expect(try look(free: total / 8, at: 80).isEmpty)
        #expect(try look(free: total, at: 100) == [.changed])
        #expect(try look(free: total, at: 120).isEmpty)
    }

    @Test("the connection is given up with the last user, whichever way that goes")
    func lastUser() throws {
        var membership = membership()
        let (first, second) = (membership.join(), membership.join())
        try hold(&membership, first, link: 1, at: .zero)
        let outcome5 = membership.gather(for: second, includesIdle: false)
        #expect(outcome5 == [.held(id, 1)])
        #expect(membership.linksOnlyOf(first).isEmpty)
        let outcome6 = membership.leave(first, at: .zero)
        #expect(outcome6.isEmpty)
        #expect(membership.linksOnlyOf(second) == [1])
        let outcome7 = membership.leave(second, at: .zero)
        #expect(outcome7 == [.close(1)])
        #expect(membership[id]?.users == [])
        // Who has left counts no more, even if it asks once more.
        let outcome8 = membership.gather(for: second, includesIdle: true)
        #expect(outcome8.isEmpty)
    }

    @Test("a worker that comes and goes is let back in later each time; one that served well comes back at once")
    func flapping() throws {
        var membership = membership()
        let user = membership.join()
        var now = Duration.zero
        for (link, penalty) in [1, 2, 4, 8, 16, 32, 60, 60].enumerated() {
            try hold(&membership, user, link: link + 1, at: now)
            let effects = membership.lost(id, link: link + 1, .connection("gone"), at: now + .seconds(9))
            #expect(
                effects.contains { if case .tell(.lost, _, let text) = $0 { text.contains("not tried for \(penalty) s") } else { false } })
            now = try #require(membership.nextLook)
            #expect(membership[id]?.penalty == .seconds(penalty))
        }
        try hold(&membership, user, link: 100, at: now)
        _ = membership.settle(user, on: [id], isInPlace: true, at: now)
        _ = membership.lost(id, link: 100, .connection("gone"), at: now + .seconds(30))
        #expect(membership[id]?.penalty == .zero)
        #expect(membership.nextLook == now + .seconds(30) + Membership.returnTime)
    }

    @Test("a worker that moves is no flapping one: it is tried at its new place at once, also when that was said before it was missed")
    func moving() throws {
        var membership = membership()
        let user = membership.join()
        var now = Duration.zero
        for link in 1...6 {
            try hold(&membership, user, link: link, at: now)
            now += .seconds(3)
            if link % 2 == 0 { membership.moved(id, at: now) }
            _ = membership.lost(id, link: link, .connection("silent"), at: now)
            if link % 2 == 1 {
                #expect(membership.nextLook.map { $0 > now + Membership.returnTime } ?? false)
                membership.moved(id, at: now + .seconds(1))
                #expect(membership.nextLook == now + .seconds(1))
            }
            #expect(membership.nextLook.map { $0 <= now + .seconds(1) } ?? false)
            now += .seconds(1)
        }
        // What it could not do it can do nowhere else.
        try hold(&membership, user, link: 7, at: now)
        _ = membership.lost(id, link: 7, .unusable("full"), at: now)
        membership.moved(id, at: now)
        #expect(membership.nextLook.map { $0 > now + Membership.returnTime } ?? false)
    }

    @Test("a worker that cannot do what is asked of it is let back in later each time, however long that takes to show")
    func uselessness() throws {
        var membership = membership()
        let user = membership.join()
        var now = Duration.zero
        for (link, penalty) in [1, 2, 4, 8].enumerated() {
            try hold(&membership, user, link: link + 1, at: now)
            // Minutes of upload, every time.
            now += .seconds(300)
            _ = membership.lost(id, link: link + 1, .unusable("aborts"), at: now)
            #expect(membership[id]?.penalty == .seconds(penalty))
            now += .seconds(penalty)
        }
        // A connection that breaks before the model ever ran there says the same.
        try hold(&membership, user, link: 9, at: now)
        _ = membership.lost(id, link: 9, .connection("closed"), at: now + .seconds(300))
        #expect(membership[id]?.penalty == .seconds(16))
    }

    @Test("a device that had less than it said counts with less, until it says that it has more or was away")
    func doubt() throws {
        var membership = membership()
        let user = membership.join()
        try hold(&membership, user, link: 1, at: .zero)
        func free(_ said: Int) -> Int { membership.doubts(of: id)[0]?.limited(said) ?? said }
        #expect(free(1 << 30) == 1 << 30)
        membership.doubt(id, device: 0, needed: 800 << 20, own: 0, at: .zero)
        #expect(free(1 << 30) == 600 << 20)
        #expect(free(100 << 20) == 100 << 20)
        membership.doubt(id, device: 0, needed: 700 << 20, own: 0, at: .zero)
        #expect(free(1 << 30) == 450 << 20)
        // What the model has there is part of what it may count on.
        membership.doubt(id, device: 0, needed: 700 << 20, own: 50 << 20, at: .zero)
        #expect(free(1 << 30) == 350 << 20)
        // Whoever had the rest may be gone after a while.
        let early = membership.answered(id, link: 1, gibibyte, at: Membership.doubtTime - .seconds(1))
        #expect(early.isEmpty && free(1 << 30) == 350 << 20)
        let late = membership.answered(id, link: 1, gibibyte, at: Membership.doubtTime)
        #expect(late == [.changed] && free(1 << 30) == 1 << 30)
        membership.doubt(id, device: 0, needed: 700 << 20, own: 0, at: Membership.doubtTime)
        #expect(free(2 << 30) == 2 << 30)
        _ = membership.lost(id, link: 1, .connection("gone"), at: .zero)
        #expect(free(1 << 30) == 1 << 30)
    }

    @Test("what one user is about to take is not there for others, until it has taken it or thinks better of it")
    func reservations() throws {
        var membership = membership()
        let (first, second) = (membership.join(), membership.join())
        try hold(&membership, first, link: 1, at: .zero)
        func free(for user: Membership.User) -> Int { membership.available(gibibyte, of: id, for: user)[0].free >> 20 }
        membership.reserve([.remote(id, 0): 600 << 20], for: first)
        #expect(free(for: first) == 1024)
        #expect(free(for: second) == 424)
        // Most of it is there, and counted by the worker itself.
        membership.reserve([.remote(id, 0): 100 << 20], for: first)
        #expect(free(for: second) == 924)
        membership.reserve([:], for: first)
        #expect(free(for: second) == 1024)
        membership.reserve([.remote(id, 0): 600 << 20], for: first)
        _ = membership.leave(first, at: .zero)
        #expect(free(for: second) == 1024)
    }

    @Test("what one model is about to take of this machine's memory is not there for others, until it is in place or gone")
    func localReservations() throws {
        var membership = membership()
        let (first, second) = (membership.join(), membership.join())
        let said = [DeviceMemory(free: 1000, total: 2000), DeviceMemory(free: 500, total: 500)]
        func free(for user: Membership.User) -> [Int] { membership.available(said, for: user).map(\.free) }
        membership.reserve([.local(0): 300, .local(1): 600], for: first)
        #expect(free(for: first) == [1000, 500])
        #expect(free(for: second) == [700, 0])
        _ = membership.settle(first, on: [], at: .zero)
        #expect(free(for: second) == [700, 0])
        // From here on the devices count it themselves.
        _ = membership.settle(first, on: [], isInPlace: true, at: .zero)
        #expect(free(for: second) == [1000, 500])
        membership.reserve([.local(0): 300], for: first)
        _ = membership.leave(first, at: .zero)
        #expect(free(for: second) == [1000, 500])
    }

    @Test("entries come and go at run time: one that is listed no more is emptied first, and forgotten then")
    func listing() throws {
        var membership = membership()
        let user = membership.join()
        try hold(&membership, user, link: 1, at: .zero)
        let effects = membership.unlist(id)
        #expect(effects.contains(.changed))
        #expect(membership[id]?.isWelcome == false)
        let outcome9 = membership.gather(for: user, includesIdle: true)
        #expect(outcome9.isEmpty)
        // Listed again before it is empty, it may keep what it has.
        let outcome12 = membership.list(id, at: .zero)
        #expect(outcome12 == [.changed])
        #expect(membership[id]?.isWelcome == true)
        _ = membership.unlist(id)
        let outcome10 = membership.settle(user, on: [], at: .zero)
        #expect(outcome10 == [.close(1)])
        #expect(membership[id] == nil)
        // An unused one goes at once; an attempt to reach it that comes through later is closed.
        _ = membership.list(id, at: .zero)
        guard case .connect(_, let attempt)? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
        _ = membership.unlist(id)
        let outcome11 = membership.connected(id, attempt: attempt, link: 2, gibibyte, at: .zero)
        #expect(outcome11 == [.close(2)])
        #expect(membership.entries.isEmpty)
    }

    @Test("a worker that is listed no more and again while somebody connects to it is not connected to twice")
    func listedAgain() throws {
        for comesThrough in [true, false] {
            var membership = membership()
            guard case .connect(_, let attempt)? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
            _ = membership.unlist(id)
            _ = membership.list(id, at: .zero)
            let other = membership.nextDueLook(at: .seconds(100))
            #expect(other == nil)
            if comesThrough {
                _ = membership.connected(id, attempt: attempt, link: 1, gibibyte, at: .zero)
                #expect(membership[id]?.presence == .idle)
            } else {
                _ = membership.failed(id, attempt: attempt, "nobody is there", at: .zero)
                #expect(membership[id]?.presence == .absent("nobody is there"))
            }
            #expect(membership.nextLook != nil)
        }
    }

    @Test("a worker is asked again after it answered, after it was busy, and after it came back")
    func lookedAtAgain() throws {
        var membership = membership()
        let user = membership.join()
        try hold(&membership, user, link: 1, at: .zero)
        for second in 1..<10 {
            let now = Duration.seconds(second)
            let look = membership.nextDueLook(at: now)
            #expect(look == .ask(id, 1))
            // Not by two at once.
            let other = membership.nextDueLook(at: .seconds(100))
            #expect(other == nil)
            if second % 2 == 0 {
                let isLeft = membership.wasBusy(id, link: 1, at: now)
                #expect(isLeft)
            } else {
                _ = membership.answered(id, link: 1, gibibyte, at: now)
            }
        }
        // One that is busy each time is asked all the same: it may be about to stop.
        for second in 10...12 {
            let now = Duration.seconds(second)
            let look = membership.nextDueLook(at: now)
            #expect(look == .ask(id, 1))
            let isLeft = membership.wasBusy(id, link: 1, at: now)
            #expect(isLeft == (second < 12))
        }
        _ = membership.answered(id, link: 1, gibibyte, at: .seconds(12))
        _ = membership.nextDueLook(at: .seconds(20))
        // Lost while it was asked.
        _ = membership.lost(id, link: 1, .connection("gone"), at: .seconds(20))
        try hold(&membership, user, link: 2, at: .seconds(90))
        let look = membership.nextDueLook(at: .seconds(200))
        #expect(look == .ask(id, 2))
    }

    @Test("who waits for a connection that fails has nothing on the worker, and holds it no more when it comes back")
    func failedForUser() throws {
        var membership = membership()
        let user = membership.join()
        guard case .connect(_, let first)? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
        _ = membership.connected(id, attempt: first, link: 1, gibibyte, at: .zero)
        guard case .connect(_, let attempt) = membership.gather(for: user, includesIdle: true).first else { throw Unexpected() }
        let effects = membership.failed(id, attempt: attempt, "refused", at: .zero)
        // Whoever has places there is to look for others.
        #expect(effects.contains(.changed))
        #expect(membership[id]?.users == [])
        guard case .connect(_, let second)? = membership.nextDueLook(at: .seconds(90)) else { throw Unexpected() }
        let outcome = membership.connected(id, attempt: second, link: 2, gibibyte, at: .seconds(90))
        #expect(outcome.contains(.close(2)))
        #expect(membership[id]?.presence == .idle)
    }

    @Test("what was reserved is forgotten when the model is in its places, and when its user settles elsewhere")
    func reservationsEnd() throws {
        for isInPlace in [true, false] {
            var membership = membership()
            let user = membership.join()
            try hold(&membership, user, link: 1, at: .zero)
            membership.reserve([.remote(id, 0): 600 << 20], for: user)
            _ = membership.settle(user, on: isInPlace ? [id] : [], isInPlace: isInPlace, at: .zero)
            #expect(membership.reservedByteCount(of: id) == 0)
        }
    }

    @Test("a late word of a connection that was lost says nothing of the one that took its place")
    func lateLoss() throws {
        var membership = membership()
        let user = membership.join()
        try hold(&membership, user, link: 1, at: .zero)
        _ = membership.lost(id, link: 1, .connection("gone"), at: .zero)
        try hold(&membership, user, link: 2, at: .seconds(90))
        let effects = membership.lost(id, link: 1, .unusable("a step failed"), at: .seconds(91))
        #expect(effects.isEmpty)
        let answer = membership.answered(id, link: 1, [], at: .seconds(91))
        #expect(answer.isEmpty)
        #expect(membership[id]?.presence == .held(2))
        #expect(membership[id]?.users == [user])
    }

    @Test("once it is stopped, nobody waits for who still connects, and what comes through is closed")
    func stopping() throws {
        var membership = membership()
        let user = membership.join()
        guard case .connect(_, let first)? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
        _ = membership.connected(id, attempt: first, link: 1, gibibyte, at: .zero)
        guard case .connect(_, let attempt) = membership.gather(for: user, includesIdle: true).first else { throw Unexpected() }
        _ = membership.stop()
        #expect(membership[id]?.isConnecting == false)
        let effects = membership.connected(id, attempt: attempt, link: 2, gibibyte, at: .zero)
        #expect(effects == [.close(2)])
        #expect(membership.nextLook == nil)
        let candidates = membership.gather(for: user, includesIdle: true)
        #expect(candidates.isEmpty)
    }

    @Test("nobody waits for a worker that was not there when it began to be looked at; whether it is can take seconds")
    func absentOnes() throws {
        var membership = membership()
        let user = membership.join()
        guard case .connect? = membership.nextDueLook(at: .zero) else { throw Unexpected() }
        let candidates = membership.gather(for: user, includesIdle: true)
        #expect(candidates.isEmpty)
        #expect(membership[id]?.users == [])
    }
}
