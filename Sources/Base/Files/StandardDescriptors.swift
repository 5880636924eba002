#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Standard input, output and error as a process finds them when it starts.
package enum StandardDescriptors {
    /// Puts something in the place of those that are closed, which the next file or socket would take otherwise: what is meant for the log
    /// would go into it. Reading there finds nothing, and writing fails, as it should where nobody can read.
    package static func fill() {
        for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
            // The lowest that is free, which is this one.
            let opened = open("/dev/null", O_RDONLY)
            if opened > descriptor { close(opened) }
        }
    }
}
