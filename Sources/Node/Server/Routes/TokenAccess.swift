internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Who may have the token of a network, which lets whoever has it in: those who bring an admin key; where there is none, programs on
/// this machine, and the server's own page in a browser on it.
struct TokenAccess: Sendable {
    private let keys: AccessKeys
    private let origins: PageOrigins

    init(_ options: ServerOptions) {
        keys = AccessKeys(options.adminKeys)
        origins = PageOrigins(options)
    }

    /// - Throws: why not. API keys have been looked at before.
    func check(_ request: Request, _ context: ServerContext) throws(APIError) {
        if keys.isEmpty { return try checkPlace(request, context) }
        switch keys.offer(of: request) {
        case .right: return
        case .none: throw APIError.missingKey("the admin key for this", code: "missing_admin_key")
        case .wrong:
            throw APIError.wrongKey("The network's token is given for the admin key, and this is another.", code: "invalid_admin_key")
        }
    }

    private func checkPlace(_ request: Request, _ context: ServerContext) throws(APIError) {
        // A proxy here speaks for clients anywhere, and a page of another site for whoever wrote it.
        let isRelayed = TokenAccess.marksOfProxies.contains { request.headers.contains($0) }
        let isHere = context.channel.remoteAddress?.ipAddress.map(HostName.isLoopback) ?? false
        if isHere, !isRelayed, !origins.isForeign(request, strictly: true) { return }
        throw APIError(
            .forbidden, .permission,
            "Without an admin key (--admin-key) the network's token is told to programs on this machine only, asking at localhost.",
            code: "token_not_local")
    }

    private static let marksOfProxies = ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"].compactMap { HTTPField.Name($0) }
}
