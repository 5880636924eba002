internal import Foundation

/// Where a token comes from: options first, then variables of the environment, of which an empty one counts as not set.
public struct TokenSource: Sendable {
    /// A token as it was given to the command.
    public var text: String?
    /// A file that holds one; `-` is standard input.
    public var file: String?
    /// The process's.
    public var environment: [String: String]

    /// Variables that hold a token, from the one that counts first: ours and LocalAI's.
    public static let variables = ["P2P_TOKEN", "LOCALAI_P2P_TOKEN", "LOCALAI_TOKEN", "TOKEN"]
    /// The variable that names a file.
    public static let fileVariable = "SWIFTLET_P2P_TOKEN_FILE"
    /// Variables that name a network of the token.
    public static let networkVariables = ["P2P_NETWORK_ID", "LOCALAI_P2P_NETWORK_ID"]

    public init(text: String? = nil, file: String? = nil, environment: [String: String]) {
        self.text = text
        self.file = file
        self.environment = environment
    }

    /// Where one token was found.
    public enum Place: Hashable, Sendable, CustomStringConvertible {
        case option
        case variable(String)
        case file(String)

        public var description: String {
            switch self {
            case .option: "--p2p-token"
            case .variable(let name): "the variable \(name)"
            case .file("-"): "standard input"
            case .file(let path): "'\(path)'"
            }
        }
    }

    public struct Found: Sendable {
        public var token: NetworkToken
        public var place: Place
        /// What whoever started the program should know.
        public var warnings: [String] = []
    }

    /// Whether a token is given at all, whatever it is.
    public var hasOne: Bool {
        text != nil || file != nil || (TokenSource.variables + [TokenSource.fileVariable]).contains { value($0) != nil }
    }

    /// - Throws: if there is none, or if two are given of which neither comes before the other.
    public func place() throws(TokenSourceError) -> Place {
        if text != nil, file != nil { throw .twice("--p2p-token", "--p2p-token-file") }
        if text != nil { return .option }
        if let file { return .file(file) }
        let variable = TokenSource.variables.first { value($0) != nil }
        let named = value(TokenSource.fileVariable)
        if let variable, named != nil { throw .twice(variable, TokenSource.fileVariable) }
        if let variable { return .variable(variable) }
        if let named { return .file(named) }
        throw .none
    }

    /// - Parameter read: reads a file.
    public func found(reading read: (String) throws(TokenFileError) -> TokenFile = TokenFile.read) throws(TokenSourceError) -> Found {
        let place = try place()
        var given: String
        var warnings: [String] = []
        switch place {
        case .option: given = text ?? ""
        case .variable(let name): given = value(name) ?? ""
        case .file(let path):
            do throws(TokenFileError) {
                let file = try read(path)
                given = file.text
                if let permissions = file.permissions, permissions & 0o044 != 0, !isCredential(path) {
                    let mode = String(permissions, radix: 8)
                    warnings.append("others can read the token in '\(path)' (its mode is \(mode)): chmod 600 '\(path)'")
                }
            } catch { throw .file(error) }
        }
        do throws(TokenError) {
            return Found(token: try NetworkToken(parsing: given), place: place, warnings: warnings)
        } catch { throw .token(place, error) }
    }

    /// Whether a service manager keeps the file for this service alone; who may read it is not in its mode then (systemd.exec(5)).
    private func isCredential(_ path: String) -> Bool {
        value("CREDENTIALS_DIRECTORY").map { path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") } ?? false
    }

    /// Which network of the token is meant.
    ///
    /// - Parameter option: what the command was given.
    public func networkID(_ option: String?) throws(TokenSourceError) -> String {
        let id = option ?? TokenSource.networkVariables.lazy.compactMap { value($0) }.first ?? ""
        if id.utf8.count > 256 { throw .networkID }
        return id
    }

    /// The variables that hold a network's token; other programs have variables of their own by these names.
    public static func tokenVariables(of environment: [String: String]) -> Set<String> {
        Set(variables.filter { name in environment[name].map { (try? NetworkToken(parsing: $0)) != nil } ?? false })
    }

    private func value(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        return value
    }
}

/// There is no token, or none that can be used.
public enum TokenSourceError: Error, Hashable, Sendable, CustomStringConvertible {
    case none
    case twice(String, String)
    case file(TokenFileError)
    case token(TokenSource.Place, TokenError)
    case networkID

    public var description: String {
        switch self {
        case .none:
            """
            a network needs a token: make one with 'swiftlet token new --output FILE', bring it to every machine, and name it there with \
            --p2p-token-file FILE or \(TokenSource.fileVariable)
            """
        case .twice(let one, let other): "there are two tokens, by \(one) and by \(other): leave out one"
        case .file(let error): "no token: \(error)"
        case .token(let place, let error): "\(place): \(error)"
        case .networkID: "the network id is longer than 256 bytes"
        }
    }
}
