import NodePeers
import Testing

/// Programs that were told a port find the same node there for as long as it can be, and are not told of what passes.
@Suite struct PortListTests {
    private static func seconds(_ number: Double) -> PortList.Time { .milliseconds(Int(number * 1000)) }

    /// Shows nodes, and gives those that are new the next ports.
    private func show(_ ids: [String], to list: inout PortList, at time: Double, port: inout Int) {
        for id in list.show(ids, at: Self.seconds(time)) {
            port += 1
            list.give(port, to: id, at: Self.seconds(time))
        }
    }

    @Test("a list is told once it has settled, and only if it is another")
    func settles() {
        var (list, port) = (PortList(), 100)
        #expect(list.news(at: Self.seconds(0)) == nil && list.nextTime == nil)
        show(["a"], to: &list, at: 1, port: &port)
        #expect(list.news(at: Self.seconds(1.9)) == nil)
        // Another one comes before it was told: both are waited for.
        show(["a", "b"], to: &list, at: 1.9, port: &port)
        #expect(list.news(at: Self.seconds(2.5)) == nil)
        #expect(list.nextTime == Self.seconds(2.9))
        #expect(list.news(at: Self.seconds(2.9)) == [101, 102])
        #expect(list.news(at: Self.seconds(9)) == nil && list.nextTime == nil)
        // What is gone and back within the time is nobody's business.
        show(["a"], to: &list, at: 10, port: &port)
        show(["a", "b"], to: &list, at: 10.5, port: &port)
        #expect(list.news(at: Self.seconds(20)) == nil)
        // The same nodes again are no change, and do not put it off.
        show(["a"], to: &list, at: 30, port: &port)
        show(["a"], to: &list, at: 30.9, port: &port)
        #expect(list.news(at: Self.seconds(31)) == [101])
    }

    @Test("a node that comes back has its port, and its place in the list")
    func comesBack() {
        var (list, port) = (PortList(), 100)
        show(["b", "a"], to: &list, at: 0, port: &port)
        #expect(list.news(at: Self.seconds(1)) == [101, 102])
        show([], to: &list, at: 2, port: &port)
        #expect(list.news(at: Self.seconds(3)) == [] && !list.isSaid("a"))
        show(["c"], to: &list, at: 4, port: &port)
        #expect(list.news(at: Self.seconds(5)) == [103])
        show(["a", "b", "c"], to: &list, at: 6, port: &port)
        #expect(list.news(at: Self.seconds(7)) == [101, 102, 103] && list.isSaid("a"))
        #expect(port == 103)
    }

    @Test("one to whom no tunnel can be made goes at once, and comes back more and more slowly while it is so")
    func missed() {
        var (list, port) = (PortList(), 100)
        show(["a", "b"], to: &list, at: 0, port: &port)
        #expect(list.news(at: Self.seconds(1)) == [101, 102])
        list.miss("a", at: Self.seconds(10))
        // More of the same at once are one.
        list.miss("a", at: Self.seconds(10.1))
        #expect(list.news(at: Self.seconds(11)) == [102] && list.isSaid("a"))
        #expect(list.news(at: Self.seconds(24)) == nil && list.news(at: Self.seconds(25)) == nil)
        #expect(list.news(at: Self.seconds(26)) == [101, 102])
        list.miss("a", at: Self.seconds(30))
        #expect(list.news(at: Self.seconds(31)) == [102] && list.news(at: Self.seconds(59)) == nil)
        // One of its tunnels is good again, before the time.
        list.reach("a", at: Self.seconds(59))
        #expect(list.news(at: Self.seconds(60)) == [101, 102])
        list.miss("a", at: Self.seconds(70))
        #expect(list.news(at: Self.seconds(71)) == [102] && list.news(at: Self.seconds(85)) == nil)
        #expect(list.news(at: Self.seconds(86)) == [101, 102])
    }

    @Test("an empty network is not told of before there was anybody")
    func nobody() {
        var (list, port) = (PortList(), 100)
        show([], to: &list, at: 0, port: &port)
        #expect(list.news(at: Self.seconds(10)) == nil)
    }
}

/// A head is started when there is something to start it with, and anew only when nobody is disturbed by it.
@Suite struct HeadScheduleTests {
    private let options = HeadSchedule.Options(count: 2, patience: .seconds(60), idle: .seconds(10))

    @Test("it waits for so many nodes, or so long, and gives up where there is none")
    func waits() {
        var schedule = HeadSchedule(options, at: .zero)
        schedule.show([1], at: .seconds(1))
        #expect(schedule.next(at: .seconds(2)) == nil)
        var patient = schedule
        patient.show([1, 2], at: .seconds(5))
        #expect(patient.next(at: .seconds(5)) == .start([1, 2]) && patient.next(at: .seconds(6)) == nil)
        #expect(schedule.next(at: .seconds(60)) == .start([1]))
        var lonely = HeadSchedule(options, at: .zero)
        #expect(lonely.next(at: .seconds(59)) == nil && lonely.next(at: .seconds(60)) == .giveUp)
    }

    @Test("another list starts it anew once nothing has gone through for a while")
    func startsAnew() {
        var schedule = HeadSchedule(options, at: .zero)
        schedule.show([1, 2], at: .zero)
        #expect(schedule.next(at: .zero) == .start([1, 2]))
        schedule.show([1, 2, 3], at: .seconds(100))
        #expect(schedule.next(at: .seconds(109)) == nil)
        schedule.noteTraffic(at: .seconds(109))
        #expect(schedule.next(at: .seconds(110)) == nil && schedule.next(at: .seconds(118)) == nil)
        // As it was: there is no reason left.
        var same = schedule
        same.show([1, 2], at: .seconds(118))
        #expect(same.next(at: .seconds(500)) == nil)
        // Nobody: there is nothing to start it with.
        same.show([], at: .seconds(600))
        #expect(same.next(at: .seconds(900)) == nil)
        #expect(schedule.next(at: .seconds(119)) == .stop && schedule.next(at: .seconds(120)) == nil)
        // How it ends at a wish is not looked at; fewer than were waited for at first will do.
        schedule.show([3], at: .seconds(121))
        schedule.ended(status: 143, isWanted: false, at: .seconds(122))
        #expect(schedule.next(at: .seconds(122)) == .start([3]))
    }

    @Test("its own good end is the end, and so is any that somebody asked for")
    func ends() {
        for (status, isWanted) in [(Int32(0), false), (143, true), (1, true)] {
            var schedule = HeadSchedule(options, at: .zero)
            schedule.show([1, 2], at: .zero)
            #expect(schedule.next(at: .zero) == .start([1, 2]))
            schedule.ended(status: status, isWanted: isWanted, at: .seconds(1))
            #expect(schedule.next(at: .seconds(1)) == .end(status: status))
        }
    }

    @Test("one that dies is started again, later each time, but not for ever; a node that went has time to go from the list")
    func dies() {
        var schedule = HeadSchedule(options, at: .zero)
        schedule.show([1, 2], at: .zero)
        var now = HeadSchedule.Time.zero
        var pauses: [Int] = []
        #expect(schedule.next(at: now) == .start([1, 2]))
        loop: while true {
            schedule.ended(status: 134, isWanted: false, at: now)
            let failed = now
            while true {
                switch schedule.next(at: now) {
                case .end(let status):
                    #expect(status == 134)
                    break loop
                case .start: pauses.append(Int((now - failed) / .seconds(1)))
                case .stop, .giveUp: Issue.record("of what?")
                case nil:
                    now += .seconds(1)
                    continue
                }
                break
            }
        }
        #expect(pauses == [1, 2, 4, 8, 16])
        #expect(now >= PeerTable.memory)
        // One that worked for long, or another list, makes it begin anew.
        schedule = HeadSchedule(options, at: .zero)
        schedule.show([1, 2], at: .zero)
        for round in 0..<20 {
            let start = HeadSchedule.Time.seconds(1000 * round)
            guard case .start = schedule.next(at: start) else {
                Issue.record("it was given up")
                return
            }
            if round % 2 == 0 { schedule.show([1, round], at: start) }
            schedule.ended(status: 1, isWanted: false, at: start + (round % 2 == 0 ? .seconds(1) : .seconds(20)))
        }
    }
}

/// A command line means what it would mean to a shell, as far as words go.
@Suite struct CommandWordsTests {
    @Test func words() throws {
        let cases: [(String, [String])] = [
            ("a b  c", ["a", "b", "c"]),
            (" llama-server -m 'my model.gguf' --rpc {} ", ["llama-server", "-m", "my model.gguf", "--rpc", "{}"]),
            (#"x "a \"b\" c" ''"#, ["x", #"a "b" c"#, ""]), (#"x a\ b 'c\d' "e\f""#, ["x", "a b", #"c\d"#, #"e\f"#]),
            (#"x a"b"'c'd"#, ["x", "abcd"]),
            ("x\ty\nz", ["x", "y", "z"]),
        ]
        for (text, words) in cases { #expect(try CommandWords.split(text) == words, "\(text)") }
        for wrong in ["", "  ", "x 'y", "x \"y", "x \\", "'' y"] {
            #expect(throws: CommandWordsError.self) { try CommandWords.split(wrong) }
        }
        #expect(CommandWords.fill(["a", "--rpc={}", "{},{}", "{"], with: "h:1,h:2") == ["a", "--rpc=h:1,h:2", "h:1,h:2,h:1,h:2", "{"])
    }
}
