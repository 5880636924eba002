#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A value that threads change by turns, and whose changes others wait for.
package final class Monitor<Value>: @unchecked Sendable {
    // Sendable: `value` is used under `mutex` alone.

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var value: Value

    package init(_ value: sending Value) {
        self.value = value
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition.initialize(to: pthread_cond_t())
        #if canImport(Darwin)
            pthread_cond_init(condition, nil)
        #else
            // Deadlines are moments of the clock that nobody sets.
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(condition, &attributes)
            pthread_condattr_destroy(&attributes)
        #endif
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Looks at the value.
    package func read<Result>(_ body: (Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(value)
    }

    /// Changes the value, and wakes whoever waits.
    package func change<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return body(&value)
    }

    /// Waits until `body` gives something; it is asked after every change.
    package func wait<Result>(_ body: (inout Value) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// As ``wait(_:)``, but no longer than until a moment of ``MonotonicClock``; nil then.
    package func wait<Result>(until deadline: UInt64, _ body: (inout Value) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            let now = MonotonicClock.nanoseconds()
            if now >= deadline { return nil }
            #if canImport(Darwin)
                var time = Monitor.time(deadline - now)
                pthread_cond_timedwait_relative_np(condition, mutex, &time)
            #else
                var time = Monitor.time(deadline)
                pthread_cond_timedwait(condition, mutex, &time)
            #endif
        }
    }

    /// As ``wait(_:)``, but no longer than a while; nil then. Without a limit it waits for ever.
    package func wait<Result>(atMost patience: Duration?, _ body: (inout Value) -> Result?) -> Result? {
        guard let patience else { return wait(body) }
        return wait(until: MonotonicClock.moment(in: patience / .seconds(1)), body)
    }

    private static func time(_ nanoseconds: UInt64) -> timespec {
        timespec(tv_sec: numericCast(nanoseconds / 1_000_000_000), tv_nsec: numericCast(nanoseconds % 1_000_000_000))
    }
}
