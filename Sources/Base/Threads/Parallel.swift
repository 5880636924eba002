internal import Synchronization

/// Work that mostly waits, a few pieces at a time.
package enum Parallel {
    /// Starts a thread of this name, as ``SystemThread/start(name:stackSize:_:)`` does.
    package typealias Starter = (_ name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) -> SystemThread

    /// What became of each item, in the items' order. Returns when all are done.
    ///
    /// The calling thread takes its share, so that all is done even where no other thread starts.
    ///
    /// - Parameters:
    ///   - threadCount: items that are worked on at a time, at most.
    ///   - start: what starts the other threads.
    package static func map<Item: Sendable, Value: Sendable>(
        _ items: [Item], atMost threadCount: Int = 16,
        start: Starter = { (name, body) throws(ThreadError) in try SystemThread.start(name: name, body) },
        _ body: @escaping @Sendable (Item) -> Value
    ) -> [Value] {
        let round = Round(items, body)
        var others: [SystemThread] = []
        while others.count + 1 < min(threadCount, items.count) {
            do throws(ThreadError) {
                others.append(try start("parallel") { round.work() })
            } catch {
                // Where the system has no more threads, those that there are do the rest.
                break
            }
        }
        round.work()
        for thread in others { thread.join() }
        return round.values
    }

    /// The items of one call, for whoever has time.
    private final class Round<Item: Sendable, Value: Sendable>: Sendable {
        private let items: [Item]
        private let body: @Sendable (Item) -> Value
        private let next = Atomic(0)
        private let results = Mutex<[(index: Int, value: Value)]>([])

        init(_ items: [Item], _ body: @escaping @Sendable (Item) -> Value) {
            self.items = items
            self.body = body
        }

        /// Takes one item after the other until none is left.
        func work() {
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < items.count else { return }
                let value = body(items[index])
                results.withLock { $0.append((index, value)) }
            }
        }

        /// When all are done: one for each item, in order.
        var values: [Value] { results.withLock { $0.sorted { $0.index < $1.index }.map(\.value) } }
    }
}
