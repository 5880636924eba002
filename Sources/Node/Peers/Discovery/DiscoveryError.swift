package import Base

/// Why nodes cannot find each other on the local network.
package enum DiscoveryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The library that speaks to the daemon is not there, or cannot be loaded; the loader's words.
    case libraryMissing(String)
    /// The library lacks a function.
    case functionMissing(String)
    /// The library is there, and no daemon answers it.
    case daemonSilent
    /// The daemon refused, or an operation of it broke off. `operation` says what was asked for, `code` is a `DNSServiceErrorType`.
    case refused(operation: String, code: Int32)
    /// The system has no thread, or no pipe to wake one with.
    case noThread(ThreadError)
    case noPipe(code: Int32)
    /// What is to be announced is no TXT record or name that the wire has room for.
    case text(ServiceTextError)

    /// The code by which the library says that no daemon answers.
    static let serviceNotRunning: Int32 = -65563
    /// The one by which Avahi's says so, which stands for any failure.
    static let unknown: Int32 = -65537
    /// Others have the name, and it with a number too.
    static let nameConflict: Int32 = -65548

    init(operation: String, code: Int32) {
        switch code {
        case DiscoveryError.unknown, DiscoveryError.serviceNotRunning: self = .daemonSilent
        default: self = .refused(operation: operation, code: code)
        }
    }

    package var description: String {
        switch self {
        case .libraryMissing(let words):
            "mDNS needs Avahi's libdns_sd.so.1, which cannot be loaded (\(words)): apt install libavahi-compat-libdnssd1 avahi-daemon"
        case .functionMissing(let name): "the mDNS library libdns_sd has no function \(name): it is not Avahi's, or too old"
        case .daemonSilent:
            "mDNS: the daemon does not answer; it is 'avahi-daemon' (apt install avahi-daemon), and it needs a running D-Bus system bus"
        case .refused(let operation, let code): "mDNS: \(operation) failed with error \(code)"
        case .noThread(let error): "mDNS: \(error)"
        case .noPipe(let code): "mDNS: the system has no pipe (error \(code))"
        case .text(let error): "mDNS: \(error)"
        }
    }
}
