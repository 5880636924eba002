#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What becomes of a program whose reader leaves. For programs, not for libraries: signals belong to the whole process.
package enum BrokenPipes {
    /// Has writing to a pipe or a connection that nobody reads any more fail, instead of ending the process.
    package static func ignore() { signal(SIGPIPE, SIG_IGN) }

    /// Ends the process as one that never ignored the signal: without a word, and so that a shell sees 141. For a program whose
    /// output nobody wants any more.
    package static func end() -> Never {
        signal(SIGPIPE, SIG_DFL)
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(SIGPIPE)
        // Where a parent blocked it for good.
        _exit(141)
    }
}
