internal import Base
internal import HTTPTypes
internal import Hummingbird

/// Which pages in a browser may ask a server that asks for no key.
struct PageOrigins: Sendable {
    private let host: String
    private let origins: AllowedOrigins

    init(_ options: ServerOptions) {
        host = options.host.lowercased()
        origins = AllowedOrigins(options)
    }

    /// Lets programs and this machine's own pages pass, and those of origins that may use the server.
    func check(_ request: Request) throws(APIError) {
        let origin = request.headers[.origin]
        if !origins.allows(origin), isForeign(request) { throw APIError.foreignOrigin(origin) }
        guard let authority = request.head.authority, !isOwn(authority) else { return }
        throw APIError(
            .forbidden, .permission,
            "This server answers to 'localhost', not to '\(authority.prefix(100))'. With an API key (--api-key) it answers to any name.",
            code: "wrong_host")
    }

    /// Whether a page of another site may be asking, or one that reached this machine by another's name.
    func isForeign(_ request: Request) -> Bool {
        let isCrossSite = request.headers[.secFetchSite] == "cross-site"
        guard let origin = request.headers[.origin] else { return isCrossSite }
        // "null" and what is no address of a page count as foreign.
        return isCrossSite || !(origin.firstRange(of: "://").map { isOwn(String(origin[$0.upperBound...])) } ?? false)
    }

    private func isOwn(_ authority: String) -> Bool {
        HostName.ofAuthority(authority.lowercased()).map { $0 == host || HostName.isLoopback($0) } ?? false
    }
}

/// The origins whose pages may use the server.
struct AllowedOrigins: Sendable {
    private let names: Set<String>
    let includesAll: Bool
    /// Whether answers differ by origin.
    var isEmpty: Bool { names.isEmpty }

    init(_ options: ServerOptions) {
        names = Set(options.corsOrigins.map { AllowedOrigins.plain($0) })
        includesAll = names.contains("*")
    }

    /// - Parameter origin: as a browser sends it; nil where it sent none, which only those pass that let all in.
    func allows(_ origin: String?) -> Bool {
        includesAll || origin.map { names.contains(AllowedOrigins.plain($0)) } ?? false
    }

    /// Origins have neither a path nor capital letters; people write both.
    private static func plain(_ origin: String) -> String {
        var origin = origin.lowercased()
        if origin.hasSuffix("/") { origin.removeLast() }
        return origin
    }
}

extension APIError {
    /// What a page is told that may not use the server.
    static func foreignOrigin(_ origin: String?) -> APIError {
        let name = origin.map { "'\($0.prefix(200))'" } ?? "ORIGIN"
        return APIError(
            .forbidden, .permission,
            "Pages of other sites cannot use this server, unless it is started with --cors-origin \(name).", code: "cross_site")
    }
}

extension HTTPField.Name {
    /// Spelled right, so it is a name; the other never stands in its place.
    fileprivate static let secFetchSite = HTTPField.Name("Sec-Fetch-Site") ?? .connection
}
