#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Time that only goes forward, as a number that fits an atomic.
package enum MonotonicClock {
    /// Nanoseconds since some moment in the past.
    package static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }

    /// The moment so many seconds from now; at once, if that is no number.
    package static func moment(in seconds: Double) -> UInt64 {
        nanoseconds() &+ (seconds > 0 ? UInt64(min(seconds, 1e9) * 1e9) : 0)
    }

    /// The seconds that are left until a moment; 0 once it is over.
    package static func seconds(until moment: UInt64) -> Double {
        let now = nanoseconds()
        return moment > now ? Double(moment - now) / 1e9 : 0
    }
}
