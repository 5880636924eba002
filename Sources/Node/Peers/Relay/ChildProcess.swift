internal import Base
internal import Foundation
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

    /// - Parameters:
    ///   - words: the program, looked for as a shell looks for it, and its arguments.
    ///   - hidden: variables of this program's environment that it is not given.
    /// - Throws: why it cannot be started.
    package init(_ words: [String], hiding hidden: Set<String> = []) throws(ChildProcessError) {
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
        var flags = Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK)
        #if canImport(Darwin)
            flags |= Int16(POSIX_SPAWN_CLOEXEC_DEFAULT)
        #endif
        posix_spawnattr_setflags(&attributes, flags)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        ChildProcess.inheritNothing(&actions)
        let arguments = ChildProcess.list(words)
        let variables = ChildProcess.list(
            ProcessInfo.processInfo.environment.filter { !hidden.contains($0.key) }.map { "\($0.key)=\($0.value)" })
        defer { for text in arguments + variables { free(text) } }
        var child = pid_t()
        let code = posix_spawnp(&child, words.first ?? "", &actions, &attributes, arguments, variables)
        guard code == 0 else {
            throw ChildProcessError(
                description: "'\(words.first ?? "")' cannot be started: \(String(cString: strerror(code)).lowercased())")
        }
        number = child
    }

    private static func list(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] { texts.map { strdup($0) } + [nil] }

    /// Has all descriptors but the standard ones closed in it. They say so themselves, but some only a moment after they were opened.
    private static func inheritNothing(_ actions: inout posix_spawn_file_actions_t) {
        #if canImport(Glibc)
            var limits = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
            let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.compactMap { Int32($0) }.max() ?? 1024
            // New ones have the lowest numbers that are free. One that is not open is passed over, unless it is beyond what may be.
            let end = min(open + 64, Int32(clamping: limits.rlim_cur))
            for descriptor in stride(from: 3, to: end, by: 1) { posix_spawn_file_actions_addclose(&actions, descriptor) }
        #endif
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
