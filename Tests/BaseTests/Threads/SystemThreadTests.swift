import Base
import Synchronization
import Testing

@Suite struct SystemThreadTests {
    @Test("Whoever joins a thread goes on when its work is done, however often it is asked")
    func join() throws {
        let isDone = Atomic(false)
        let thread = try SystemThread.start(name: "a name of more than fifteen bytes: äöü") {
            SystemThread.sleep(for: .milliseconds(20))
            isDone.store(true, ordering: .releasing)
        }
        thread.join()
        let wasDone = isDone.load(ordering: .acquiring)
        #expect(wasDone)
        thread.join()
    }

    @Test("A thread that cannot start is an error that names it, and its body is let go of")
    func failure() {
        final class Witness: Sendable {}
        weak var witness: Witness?
        let error = #expect(throws: ThreadError.self) {
            let held = Witness()
            witness = held
            // More memory than there are addresses.
            try SystemThread.start(name: "giant", stackSize: 1 << 60) { withExtendedLifetime(held) {} }
        }
        #expect(error?.name == "giant")
        #expect(witness == nil)
    }
}
