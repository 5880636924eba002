import Base
import Synchronization
import Testing

@Suite struct ParallelTests {
    @Test("Every item has its result, in the items' order, whatever the number of threads", arguments: [0, 1, 2, 16, 1000])
    func order(threads: Int) {
        for count in [0, 1, 2, 15, 500] {
            let squares = Parallel.map(Array(0..<count), atMost: threads) { $0 * $0 }
            #expect(squares == (0..<count).map { $0 * $0 })
        }
    }

    @Test("A result that is nil is a result")
    func nothing() {
        #expect(Parallel.map(Array(0..<100)) { $0 % 3 == 0 ? nil : $0 }.count == 100)
    }

    @Test("Five hundred items are worked on by sixteen threads at a time, not by five hundred")
    func bounded() {
        let busy = Mutex((now: 0, most: 0))
        _ = Parallel.map(Array(0..<500)) { _ in
            busy.withLock { busy in
                busy.now += 1
                busy.most = max(busy.most, busy.now)
            }
            SystemThread.sleep(for: .milliseconds(1))
            busy.withLock { $0.now -= 1 }
        }
        let most = busy.withLock { $0.most }
        #expect((2...16).contains(most))
    }

    @Test("Where threads do not start, the caller does their items, and waits for none of them", arguments: [0, 1, 3])
    func failingStart(started: Int) {
        var count = 0
        let doubles = Parallel.map(
            Array(0..<500),
            start: { (name, body) throws(ThreadError) in
                guard count < started else { throw ThreadError(name: name, code: 11) }
                count += 1
                return try SystemThread.start(name: name, body)
            }
        ) { 2 * $0 }
        #expect(doubles == (0..<500).map { 2 * $0 })
        #expect(count == started)
    }
}
