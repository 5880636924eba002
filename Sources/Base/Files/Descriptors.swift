#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How many files and connections this process may have open.
public enum Descriptors {
    /// More than any server here uses; systems without a limit name numbers for which some keep tables.
    private static let most = 1 << 20

    #if canImport(Glibc)
        private static let kind = __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue))
    #else
        private static let kind = RLIMIT_NOFILE
    #endif

    /// What holds, and up to where the process may raise it by itself; nil if the system does not say.
    public static var limits: (soft: Int, hard: Int)? {
        var limits = rlimit()
        guard getrlimit(kind, &limits) == 0 else { return nil }
        return (Int(clamping: limits.rlim_cur), Int(clamping: limits.rlim_max))
    }

    /// Raises the limit as far as the process may, for servers: shells and services start them with few, for the sake of programs
    /// that cannot deal with more. For programs, not for libraries.
    public static func raiseLimit() {
        var limits = rlimit()
        guard getrlimit(kind, &limits) == 0 else { return }
        let wanted = min(limits.rlim_max, rlim_t(most))
        guard limits.rlim_cur < wanted else { return }
        limits.rlim_cur = wanted
        setrlimit(kind, &limits)
    }
}
