internal import Base
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A program that this one has started, with its own input and output.
package final class ChildProcess: Sendable {
    private let number: pid_t
    /// Nil while it runs.
    private let status = Mutex<Int32?>(nil)

    /// - Parameter words: the program, looked for as a shell looks for it, and its arguments.
    /// - Throws: why it cannot be started.
    package init(_ words: [String]) throws(ChildProcessError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What this program does about signals is no business of its children.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGPIPE, SIGTERM, SIGINT] + (SignalDisposition.ignoresHangup ? [] : [SIGHUP]) { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var mask = sigset_t()
        sigemptyset(&mask)
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let code = posix_spawnp(&child, arguments[0] ?? strdup(""), nil, &attributes, arguments, environ)
        guard code == 0 else {
            throw ChildProcessError(
                description: "'\(words.first ?? "")' cannot be started: \(String(cString: strerror(code)).lowercased())")
        }
        number = child
    }

    /// Waits for its end, on a thread for it alone.
    ///
    /// - Returns: its status as a shell has it: above 128 for a signal.
    package func wait() -> Int32 {
        var raw: Int32 = 0
        while waitpid(number, &raw, 0) < 0 {
            if errno != EINTR { break }
        }
        let signal = raw & 0x7f
        let result = signal == 0 ? (raw >> 8) & 0xff : 128 + signal
        status.withLock { $0 = result }
        return result
    }

    /// Sends it a signal, if it still runs.
    package func send(_ signal: Int32) { status.withLock { if $0 == nil { _ = kill(number, signal) } } }

    /// Whether a signal from the terminal reaches it without being passed on.
    package static func sharesTerminal(_ signal: Int32) -> Bool { signal == SIGINT && isatty(0) == 1 && tcgetpgrp(0) == getpgrp() }
}

/// A program cannot be started.
package struct ChildProcessError: Error, Hashable, CustomStringConvertible {
    package var description: String
}
