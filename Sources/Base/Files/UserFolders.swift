#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Where programs of this user keep things: what they can make anew (a cache), and what they must remember (state). A variable that is empty, or holds no whole path, counts as not set.
public struct UserFolders {
    private let environment: [String: String]
    private let accountHome: () -> String?

    /// - Parameter environment: the process's.
    public init(_ environment: [String: String]) {
        self.init(environment, accountHome: UserFolders.homeOfAccount)
    }

    /// - Parameter accountHome: the home folder that the system has in its list of users.
    package init(_ environment: [String: String], accountHome: @escaping () -> String?) {
        self.environment = environment
        self.accountHome = accountHome
    }

    /// The user's home folder; nil if there is none, as for services.
    public var home: String? {
        [path("HOME"), accountHome()].lazy.compactMap { $0 }.first { UserFolders.isHome($0) }
    }

    /// A folder in the cache, for things of one kind: `$XDG_CACHE_HOME/swiftlet/KIND`, `KIND` in the `$CACHE_DIRECTORY` or the
    /// `$STATE_DIRECTORY` that systemd gives to a service, or `~/.cache/swiftlet/KIND`.
    ///
    /// - Throws: if there is no such place.
    public func cache(_ kind: String) throws(NoHomeError) -> String {
        if let folder = path("XDG_CACHE_HOME") { return folder + "/swiftlet/" + kind }
        for name in ["CACHE_DIRECTORY", "STATE_DIRECTORY"] {
            // Of several, separated by colons, the first.
            if let folder = path(name)?.split(separator: ":").first { return folder + "/" + kind }
        }
        guard let home else { throw NoHomeError() }
        return home + "/.cache/swiftlet/" + kind
    }

    /// A folder for things of one kind that must not be lost: `$XDG_STATE_HOME/swiftlet/KIND`, `KIND` in the `$STATE_DIRECTORY` that systemd
    /// gives to a service, or `~/.local/state/swiftlet/KIND`.
    ///
    /// - Throws: if there is no such place.
    public func state(_ kind: String) throws(NoHomeError) -> String {
        if let folder = path("XDG_STATE_HOME") { return folder + "/swiftlet/" + kind }
        if let folder = path("STATE_DIRECTORY")?.split(separator: ":").first { return folder + "/" + kind }
        guard let home else { throw NoHomeError(isForState: true) }
        return home + "/.local/state/swiftlet/" + kind
    }

    private func path(_ name: String) -> String? {
        guard let value = environment[name], value.hasPrefix("/") else { return nil }
        return value
    }

    /// Accounts of services have `/` or `/nonexistent`, where nothing is to be kept.
    private static func isHome(_ path: String) -> Bool {
        path.hasPrefix("/") && path.contains { $0 != "/" } && !path.hasPrefix("/nonexistent")
    }

    private static func homeOfAccount() -> String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(getuid(), &entry, &buffer, buffer.count, &found) == 0, let home = found?.pointee.pw_dir else { return nil }
        return String(cString: home)
    }
}

/// There is nowhere to keep things for this user.
public struct NoHomeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Whether it was a place for what must be remembered, not for a cache.
    public var isForState = false

    public var description: String {
        isForState
            ? "this user has no home folder to remember things in: set HOME, XDG_STATE_HOME or STATE_DIRECTORY"
            : "this user has no home folder to keep a cache in: name a folder (--cache-dir), or set HOME, XDG_CACHE_HOME or CACHE_DIRECTORY"
    }
}
