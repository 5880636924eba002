import Base
import Dispatch
import Testing

@Suite struct BlockingWorkTests {
    private struct Failure: Error {}

    @Test("Short work begins at once while long work has threads of its own, however much of that there is")
    func besideLongWork() async throws {
        let gate = DispatchSemaphore(value: 0)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    // Long enough to fail, should the short work wait for it.
                    try await BlockingWork.alone(name: "long") { gate.wait(timeout: .now() + 20) == .success }
                }
            }
            var short = 0
            for _ in 0..<20 { short += try await BlockingWork.run { 1 } }
            #expect(short == 20)
            for _ in 0..<8 { gate.signal() }
            for try await isOpened in group { #expect(isOpened) }
        }
    }

    @Test("What is thrown on the other thread is thrown here")
    func errors() async {
        await #expect(throws: Failure.self) { try await BlockingWork.run { throw Failure() } }
        await #expect(throws: Failure.self) { try await BlockingWork.alone(name: "failing") { throw Failure() } }
    }

    @Test("Work is done although the task that waits for it is cancelled: an engine is shut down in such a one")
    func cancelled() async throws {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await BlockingWork.run { 1 } + BlockingWork.alone(name: "cancelled") { 2 }
        }
        task.cancel()
        #expect(try await task.value == 3)
    }
}
