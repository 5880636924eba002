import Node
import Testing

/// What a keeper decides, event by event: above all what went wrong once.
@Suite struct KeeperTests {
    /// A keeper whose model is in its places.
    private func running(waits: Bool = true) -> Keeper {
        var keeper = Keeper(waits: waits)
        for event: Keeper.Event in [.started, .done(.places), .done(.brought), .done(.ready), .done(.compared(.stay))] {
            _ = keeper.handle(event, at: .zero)
        }
        #expect(keeper.isRunning && keeper.workUnderWay == nil)
        return keeper
    }

    private func suspends(_ effects: [Keeper.Effect]) -> Bool {
        effects.contains { if case .suspend = $0 { true } else { false } }
    }

    @Test("a first load that finds no room leaves nothing behind, and is not tried again")
    func refused() {
        var keeper = Keeper(waits: false)
        let effects12 = keeper.handle(.started, at: .zero)
        #expect(effects12 == [.work(.place(includesIdle: true))])
        let effects13 = keeper.handle(.done(.noRoom("too large")), at: .zero)
        #expect(effects13 == [.work(.makeRoom)])
        let effects14 = keeper.handle(.done(.noRoom("too large")), at: .zero)
        #expect(effects14 == [.refused("too large", isShortage: true)])
        #expect(keeper.hasEnded)
        for event: Keeper.Event in [.changed, .tick(isBusy: false), .suspended("late"), .stop] {
            let effects15 = keeper.handle(event, at: .seconds(100))
            #expect(effects15.isEmpty)
        }
    }

    @Test("a first load whose worker is lost again and again ends when no worker is left")
    func firstLoadEnds() {
        var keeper = Keeper(waits: false)
        _ = keeper.handle(.started, at: .zero)
        _ = keeper.handle(.done(.places), at: .zero)
        let effects16 = keeper.handle(.done(.lost), at: .zero)
        #expect(effects16.isEmpty)
        let effects17 = keeper.handle(.tick(isBusy: false), at: Keeper.pause)
        #expect(effects17 == [.work(.place(includesIdle: true))])
        let effects18 = keeper.handle(.done(.noRoom("nobody is there")), at: Keeper.pause)
        #expect(effects18 == [.work(.makeRoom)])
        let effects19 = keeper.handle(.done(.noRoom("nobody is there")), at: Keeper.pause)
        #expect(effects19 == [.refused("nobody is there", isShortage: true)])
    }

    @Test("streams are not suspended for a move that turns out to be impossible while it is made ready")
    func impossibleMove() {
        var keeper = running()
        let effects20 = keeper.handle(.changed, at: .zero)
        #expect(effects20 == [.work(.compare)])
        let effects21 = keeper.handle(.done(.compared(.gain)), at: .zero)
        #expect(effects21 == [.work(.bringAhead)])
        let effects22 = keeper.handle(.done(.broughtPart), at: .seconds(60))
        #expect(effects22 == [.work(.bringAhead)])
        var effects = keeper.handle(.done(.doubted("it has less memory than it said")), at: .seconds(180))
        #expect(!suspends(effects) && effects.contains(.settle))
        // Nor when it is looked at again and nothing better is found, however long that goes on.
        for second in 181..<400 {
            effects = keeper.handle(.tick(isBusy: true), at: .seconds(second))
            if effects == [.work(.compare)] { effects = keeper.handle(.done(.compared(.stay)), at: .seconds(second)) }
            #expect(!suspends(effects))
        }
        #expect(keeper.isRunning)
    }

    @Test("a move for gain whose rest must wait for room waits until nobody is kept waiting by it; one that must be does not")
    func moveWithoutRoom() {
        for mustMove in [false, true] {
            var keeper = running()
            _ = keeper.handle(.changed, at: .zero)
            _ = keeper.handle(.done(.compared(mustMove ? .mustMove : .gain)), at: .zero)
            _ = keeper.handle(.done(.mustWaitForRoom), at: .zero)
            let busy = keeper.handle(.tick(isBusy: true), at: .seconds(100))
            #expect(suspends(busy) == mustMove)
            let quiet = keeper.handle(.tick(isBusy: false), at: .seconds(101))
            #expect(suspends(quiet) == !mustMove)
        }
    }

    @Test("a loss while something is brought ahead ends that, and the way back begins with what is at hand")
    func lossDuringMove() {
        var keeper = running()
        _ = keeper.handle(.changed, at: .zero)
        _ = keeper.handle(.done(.compared(.gain)), at: .zero)
        let effects = keeper.handle(.suspended("a step failed"), at: .zero)
        #expect(effects == [.abandon, .tell(.recovering, "a step failed")])
        let effects23 = keeper.handle(.done(.abandoned), at: .zero)
        #expect(effects23 == [.work(.place(includesIdle: false))])
        // Twice told is once abandoned.
        _ = keeper.handle(.stop, at: .zero)
        let effects24 = keeper.handle(.stop, at: .zero)
        #expect(effects24.isEmpty)
        let effects25 = keeper.handle(.done(.places), at: .zero)
        #expect(effects25 == [.end])
    }

    @Test("stopping ends whatever is under way, and nothing begins after it")
    func stopping() {
        let ways: [[Keeper.Event]] = [
            [], [.started], [.started, .done(.places)], [.started, .done(.places), .done(.brought)],
            [.started, .done(.noRoom("full"))], [.started, .done(.noRoom("full")), .done(.noRoom("full"))],
        ]
        for way in ways {
            var keeper = Keeper(waits: true)
            for event in way { _ = keeper.handle(event, at: .zero) }
            let effects = keeper.handle(.stop, at: .zero)
            if keeper.workUnderWay == nil {
                #expect(effects == [.end])
            } else {
                #expect(effects == [.abandon])
                let effects26 = keeper.handle(.done(.ready), at: .zero)
                #expect(effects26 == [.end])
            }
        }
    }

    @Test("those who wait are told, after a moment, that there is no place, all of them after a minute; listeners once for each reason")
    func noPlace() {
        var keeper = running()
        _ = keeper.handle(.suspended("gone"), at: .zero)
        _ = keeper.handle(.done(.noRoom("full")), at: .zero)
        _ = keeper.handle(.done(.noRoom("full")), at: .zero)
        // A worker may be back at once.
        var effects = keeper.handle(.done(.noRoom("full")), at: .zero)
        #expect(effects == [.settleOnWeights, .tell(.unavailable, "full")])
        // A worker that came is worth an attempt at once.
        let effects27 = keeper.handle(.changed, at: .milliseconds(1))
        #expect(effects27 == [.work(.place(includesIdle: true))])
        _ = keeper.handle(.done(.noRoom("full")), at: .seconds(4))
        effects = keeper.handle(.done(.noRoom("full")), at: .seconds(4))
        #expect(effects == [.settleOnWeights])
        #expect(keeper.nextTick(now: .seconds(4)) == Keeper.grace)
        effects = keeper.handle(.tick(isBusy: true), at: Keeper.grace)
        #expect(effects == [.work(.place(includesIdle: true))])
        _ = keeper.handle(.done(.noRoom("full")), at: Keeper.grace)
        effects = keeper.handle(.done(.noRoom("full")), at: Keeper.grace)
        #expect(effects == [.turnAway("full", endsAll: false), .settleOnWeights])
        _ = keeper.handle(.tick(isBusy: true), at: .seconds(60))
        _ = keeper.handle(.done(.noRoom("full")), at: .seconds(60))
        effects = keeper.handle(.done(.noRoom("full")), at: .seconds(61))
        #expect(effects == [.turnAway("full", endsAll: true), .settleOnWeights])
    }

    @Test("a worker that is to be emptied and cannot be is tried again in time, and listeners are told once")
    func emptyingLater() {
        var keeper = running()
        _ = keeper.handle(.changed, at: .zero)
        var effects = keeper.handle(.done(.compared(.cannotMove("full"))), at: .zero)
        #expect(effects == [.settle, .tell(.unavailable, "cannot leave a worker that is to be emptied: full")])
        // Nothing is told of another model's being unloaded.
        for round in 1..<4 {
            let now = Keeper.emptyingTime * round
            #expect(keeper.nextTick(now: now - .seconds(1)) == now)
            effects = keeper.handle(.tick(isBusy: true), at: now)
            #expect(effects == [.work(.compare)])
            effects = keeper.handle(.done(.compared(round == 3 ? .mustMove : .cannotMove("full"))), at: now)
            #expect(effects == (round == 3 ? [.work(.bringAhead)] : [.settle]))
        }
    }

    @Test("a loss that is seen while the model is nowhere, or is being placed, is a change of workers like another")
    func lossSeenElsewhere() {
        var keeper = running()
        var effects = keeper.handle(.lossSeen("gone"), at: .zero)
        #expect(effects == [.suspend("gone")])
        // Once is enough.
        effects = keeper.handle(.lossSeen("gone"), at: .zero)
        #expect(effects.isEmpty)
        effects = keeper.handle(.suspended("gone"), at: .zero)
        #expect(effects == [.tell(.recovering, "gone"), .work(.place(includesIdle: false))])
        _ = keeper.handle(.done(.noRoom("full")), at: .zero)
        _ = keeper.handle(.done(.noRoom("full")), at: .zero)
        _ = keeper.handle(.done(.noRoom("full")), at: .zero)
        // While it waits for room: worth an attempt at once.
        effects = keeper.handle(.lossSeen("gone"), at: .milliseconds(1))
        #expect(effects == [.work(.place(includesIdle: true))])
        _ = keeper.handle(.done(.places), at: .milliseconds(1))
        // While weights are brought: the places that come of it are compared with what there is then.
        _ = keeper.handle(.lossSeen("gone"), at: .milliseconds(2))
        _ = keeper.handle(.done(.brought), at: .milliseconds(2))
        effects = keeper.handle(.done(.ready), at: .milliseconds(2))
        #expect(effects.last == .work(.compare))
    }

    @Test("workers that came or are to be emptied while weights are brought are looked at as soon as the model runs")
    func changesMeanwhile() {
        for step in 0..<3 {
            var keeper = Keeper(waits: true)
            for (index, event) in [Keeper.Event.started, .done(.places), .done(.brought)].enumerated() {
                _ = keeper.handle(event, at: .zero)
                if index == step { _ = keeper.handle(.changed, at: .zero) }
            }
            let effects = keeper.handle(.done(.ready), at: .zero)
            #expect(effects.last == .work(.compare))
        }
    }

    @Test("a model that is ready goes on there, holds nothing of other workers, and its load has ended")
    func firstPlaces() {
        var keeper = Keeper(waits: false)
        for event: Keeper.Event in [.started, .done(.places), .done(.brought)] { _ = keeper.handle(event, at: .zero) }
        let effects = keeper.handle(.done(.ready), at: .seconds(2))
        #expect(effects == [.resume, .settle, .tell(.placed, "after 2.0 s"), .begun])
    }

    @Test("a loss that is seen while something is brought ahead ends that before the engine lets go")
    func lossSeenDuringMove() {
        var keeper = running()
        for event: Keeper.Event in [.changed, .done(.compared(.gain))] { _ = keeper.handle(event, at: .zero) }
        let effects = keeper.handle(.lossSeen("gone"), at: .zero)
        #expect(effects == [.abandon, .suspend("gone")])
    }

    @Test("a move whose weights are there waits a little for requests to end, and no longer")
    func preparedMove() {
        var keeper = running()
        for event: Keeper.Event in [.changed, .done(.compared(.gain)), .done(.brought)] { _ = keeper.handle(event, at: .zero) }
        let early = keeper.handle(.tick(isBusy: true), at: Keeper.quietTime - .milliseconds(1))
        #expect(early.isEmpty)
        let late = keeper.handle(.tick(isBusy: true), at: Keeper.quietTime)
        #expect(suspends(late))
    }

    @Test("a move that was prepared before a loss is forgotten with it")
    func moveBeforeLoss() {
        var keeper = running()
        let events: [Keeper.Event] = [
            .changed, .done(.compared(.gain)), .done(.brought), .suspended("gone"), .done(.noRoom("few at hand")), .done(.places),
            .done(.brought), .done(.ready),
        ]
        for event in events { _ = keeper.handle(event, at: .zero) }
        #expect(keeper.isRunning)
        let effects = keeper.handle(.tick(isBusy: false), at: .seconds(100))
        #expect(!suspends(effects))
    }

    @Test("a worker lost while something is brought ahead ends the move, and places are compared anew")
    func lossOfTarget() {
        var keeper = running()
        for event: Keeper.Event in [.changed, .done(.compared(.gain)), .done(.lost)] { _ = keeper.handle(event, at: .zero) }
        let early = keeper.handle(.tick(isBusy: false), at: .milliseconds(1))
        #expect(early.isEmpty)
        let late = keeper.handle(.tick(isBusy: false), at: Keeper.pause)
        #expect(late == [.work(.compare)])
    }

    @Test("after an attempt among the workers at hand that came to nothing, the next is among all")
    func allAfterFailure() {
        var keeper = running()
        for event: Keeper.Event in [.suspended("gone"), .done(.places), .done(.failed("broken"))] { _ = keeper.handle(event, at: .zero) }
        let effects = keeper.handle(.tick(isBusy: false), at: Keeper.retryTime)
        #expect(effects == [.work(.place(includesIdle: true))])
    }
}
