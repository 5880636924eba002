internal import Hummingbird

/// Who may have the token of a network, which lets whoever has it in: those who bring an admin key. Where there is none, nobody: a server
/// cannot tell its owner from other users of the machine, nor from what a proxy passes on.
struct TokenAccess: Sendable {
    private let keys: AccessKeys

    init(_ options: ServerOptions) { keys = AccessKeys(options.adminKeys) }

    /// - Throws: why not. API keys have been looked at before.
    func check(_ request: Request) throws(APIError) {
        guard !keys.isEmpty else {
            throw APIError(
                .forbidden, .permission,
                "The network's token is told for an admin key only: start the server with one (--admin-key), or read the token where it is kept.",
                code: "no_admin_key")
        }
        switch keys.offer(of: request) {
        case .right: return
        case .none: throw APIError.missingKey("the admin key for this", code: "missing_admin_key")
        case .wrong:
            throw APIError.wrongKey("The network's token is given for the admin key, and this is another.", code: "invalid_admin_key")
        }
    }
}
