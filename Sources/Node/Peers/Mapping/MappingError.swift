package import Base

/// Why no port of the router leads here.
package enum MappingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A library is not there, or cannot be loaded; the loader's words.
    case libraryMissing(MappingMethod, String)
    /// A library lacks a function.
    case functionMissing(MappingMethod, String)
    /// There is no gateway, or it does not answer to this method.
    case noRouter(MappingMethod)
    /// The router answers that it will not; its code.
    case refused(MappingMethod, operation: String, code: Int32)
    /// All ports that were tried are somebody else's.
    case portsTaken(MappingMethod, tried: Int)
    /// The router says that it has no address outside, or one that is none; its words.
    case noAddress(MappingMethod, String)
    /// The router's own address is a private one: another router is before it, and nothing comes in from there. It is asked to
    /// let them in all the same, for what the other one may do.
    case behindAnotherRouter(MappingMethod, address: String)
    /// What came of every method, in their order.
    case all([MappingError])
    case noThread(ThreadError)

    package var description: String {
        switch self {
        case .libraryMissing(.natPMP, let words): "NAT-PMP needs libnatpmp.so.1, which cannot be loaded (\(words)): apt install libnatpmp1"
        case .libraryMissing(.upnp, let words):
            "UPnP needs miniupnpc's library, which cannot be loaded (\(words)): apt install libminiupnpc17 "
                + "(libminiupnpc18 on Debian 13, libminiupnpc21 on later ones)"
        case .functionMissing(let method, let name): "\(method): the library has no function \(name): it is another one, or too old"
        case .noRouter(let method): "\(method): no router answers (many have it turned off)"
        case .refused(let method, let operation, let code):
            "\(method): the router refuses \(operation): \(MappingError.meaning(method, code).map { "\($0) (\(code))" } ?? "error \(code)")"
        case .portsTaken(let method, let tried): "\(method): \(tried) ports of the router that were tried are taken, or not allowed"
        case .noAddress(let method, let words):
            "\(method): the router has no address outside: " + (words.isEmpty ? "it names none" : "it names '\(words)'")
                + " (it has no connection, or is behind another router)"
        case .behindAnotherRouter(let method, let address):
            "\(method): the router's address outside is \(address), which is a private one: another router is before it, and has to let "
                + "connections in as well"
        case .all(let errors): errors.map(\.description).joined(separator: "; ")
        case .noThread(let error): "port mapping: \(error)"
        }
    }

    /// What a code says, where that is of use to who reads it.
    private static func meaning(_ method: MappingMethod, _ code: Int32) -> String? {
        switch (method, code) {
        case (.natPMP, -51), (.upnp, 606): "it does not allow it"
        case (.natPMP, -52): "it has no connection, or is behind another router"
        case (.natPMP, -53), (.upnp, 728): "it has no room for more"
        case (.natPMP, -14), (.natPMP, -15), (.upnp, 401): "it does not know that request"
        case (.upnp, 402): "it does not understand the request"
        case (.upnp, 501): "it failed"
        case (.upnp, 718), (.upnp, 729): "the port is taken"
        case (.upnp, -1): "no answer"
        default: nil
        }
    }
}
