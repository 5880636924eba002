internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The files that are mapped into memory, so that it can be told which one was cut short.
///
/// A mapped file that loses its pages, because somebody else shortened it or its disk fails, ends the process with SIGBUS wherever it is
/// touched next. No check can prevent that, and nothing can go on from there: kernels are in the middle of a computation. What can
/// be done is to say what happened.
package enum MappedFiles {
    /// One mapping. What the handler of a signal reads is plain memory that is never freed, and atomics.
    private struct Place: ~Copyable {
        /// Address of the first byte; 0 for a place that is free.
        let start = Atomic<UInt>(0)
        /// Address behind the last byte.
        let end = Atomic<UInt>(0)
        /// Zero-terminated; who takes the place owns it.
        let path = Atomic<UInt>(0)
    }

    /// More files than anybody maps at once; of those beyond it no name is told.
    private static let placeCount = 1024

    // Sendable: the memory is made once, holds atomics and is never moved or freed, since a signal can come at any moment.
    private nonisolated(unsafe) static let places: UnsafeMutablePointer<Place> = {
        let places = UnsafeMutablePointer<Place>.allocate(capacity: placeCount)
        for index in 0..<placeCount { (places + index).initialize(to: Place()) }
        return places
    }()

    /// Notes that a file is mapped.
    ///
    /// - Returns: what ``forget(_:)`` wants; nil if there is no place to note it.
    package static func note(_ bytes: UnsafeRawBufferPointer, path: String) -> Int? {
        guard let base = bytes.baseAddress, let name = strdup(path) else { return nil }
        let start = UInt(bitPattern: base)
        for index in 0..<placeCount {
            let place = places + index
            // Taken with an address that nothing is at, until all is written.
            guard place.pointee.start.compareExchange(expected: 0, desired: .max, ordering: .acquiringAndReleasing).exchanged else {
                continue
            }
            place.pointee.end.store(start &+ UInt(bitPattern: bytes.count), ordering: .relaxed)
            place.pointee.path.store(UInt(bitPattern: name), ordering: .relaxed)
            place.pointee.start.store(start, ordering: .releasing)
            return index
        }
        free(name)
        return nil
    }

    /// Before the file is unmapped.
    package static func forget(_ number: Int) {
        let place = places + number
        let name = place.pointee.path.load(ordering: .relaxed)
        place.pointee.start.store(.max, ordering: .releasing)
        free(UnsafeMutableRawPointer(bitPattern: name))
        place.pointee.path.store(0, ordering: .relaxed)
        place.pointee.start.store(0, ordering: .releasing)
    }

    /// What a process ends with whose file lost its pages: EX_IOERR of `sysexits.h`.
    package static let exitStatus: Int32 = 74

    /// Has a file that lost its pages end this process with one line on standard error and ``exitStatus``, instead of a signal's
    /// silence. For programs, not for libraries: the handler of a signal belongs to the whole process.
    package static func explainLosses() {
        // Made before a signal can come: the handler must not be the first to use them.
        _ = places
        _ = words
        _ = isTold.load(ordering: .relaxed)
        var action = sigaction()
        #if canImport(Darwin)
            action.__sigaction_u.__sa_sigaction = { MappedFiles.explain($1) }
        #else
            action.__sigaction_handler.sa_sigaction = { _, information, _ in MappedFiles.explain(information) }
        #endif
        action.sa_flags = Int32(truncatingIfNeeded: SA_SIGINFO)
        sigaction(SIGBUS, &action, nil)
    }

    private struct Words: @unchecked Sendable {
        // Sendable: constants that point to memory which is never written or freed.
        let opening = strdup("swiftlet: the file '")
        let closing = strdup("' was cut short, or its disk failed, while it was in use\n")
    }

    private static let words = Words()
    private static let isTold = Atomic(false)

    /// Runs in the middle of anything, so it reads atomics and constants, and calls what POSIX allows there.
    private static func explain(_ information: UnsafeMutablePointer<siginfo_t>?) {
        #if canImport(Darwin)
            let address = UInt(bitPattern: information?.pointee.si_addr)
        #else
            let address = UInt(bitPattern: information?.pointee._sifields._sigfault.si_addr)
        #endif
        for index in 0..<placeCount {
            let place = places + index
            let start = place.pointee.start.load(ordering: .acquiring)
            // Whoever touches a mapping keeps it from being forgotten.
            guard start != 0, start <= address, address < place.pointee.end.load(ordering: .relaxed) else { continue }
            // Threads that share a computation come here together; one speaks.
            if isTold.exchange(true, ordering: .acquiringAndReleasing) {
                while true { pause() }
            }
            say(words.opening)
            say(UnsafeMutablePointer(bitPattern: place.pointee.path.load(ordering: .relaxed)))
            say(words.closing)
            _exit(exitStatus)
        }
        // Nothing of ours: what would have happened without us happens when this returns.
        signal(SIGBUS, SIG_DFL)
    }

    private static func say(_ text: UnsafeMutablePointer<CChar>?) {
        guard let text else { return }
        _ = write(2, text, strlen(text))
    }
}
