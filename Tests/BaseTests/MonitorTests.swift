import Base
import Foundation
import Synchronization
import Testing

/// What threads wait with: woken by changes, and by nothing else.
@Suite(.timeLimit(.minutes(1))) struct MonitorTests {
    /// Nobody looks again and again, and the deadline holds.
    @Test func nobodyLooksUntilSomethingChanges() {
        let monitor = Monitor<Int?>(nil)
        var looks = 0
        let start = MonotonicClock.nanoseconds()
        let found: Int? = monitor.wait(until: start + 200_000_000) { value in
            looks += 1
            return value
        }
        #expect(found == nil)
        #expect(MonotonicClock.nanoseconds() - start >= 200_000_000)
        // Twice: at the beginning and at the end. A system may wake for nothing, but not often.
        #expect(looks < 10)
    }

    @Test func aChangeWakesAllThatWait() {
        let monitor = Monitor(0)
        let sum = Mutex(0)
        let group = DispatchGroup()
        for number in 1...4 {
            group.enter()
            Thread.detachNewThread {
                let found = number % 2 == 0 ? monitor.wait { $0 > 0 ? $0 : nil } : monitor.wait(until: .max) { $0 > 0 ? $0 : nil }
                sum.withLock { $0 += found ?? 0 }
                group.leave()
            }
        }
        Thread.sleep(forTimeInterval: 0.05)
        monitor.change { $0 = 3 }
        group.wait()
        #expect(sum.withLock { $0 } == 12)
        #expect(monitor.read { $0 } == 3)
    }

    /// A moment that has passed is no reason not to look once.
    @Test func whatIsThereIsFoundAlsoTooLate() {
        #expect(Monitor(5).wait(until: 0) { $0 } == 5)
    }
}
