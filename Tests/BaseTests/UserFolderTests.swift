import Base
import Testing

/// Where a cache is kept: once it was in the working directory, or at `/.cache`.
@Suite struct UserFolderTests {
    @Test(arguments: [
        (["XDG_CACHE_HOME": "/x", "HOME": "/home/me", "CACHE_DIRECTORY": "/var/cache/s"], "/x/swiftlet/tensors"),
        (["XDG_CACHE_HOME": "", "HOME": "/home/me"], "/home/me/.cache/swiftlet/tensors"),
        (["XDG_CACHE_HOME": "relative", "HOME": "/home/me"], "/home/me/.cache/swiftlet/tensors"),
        (["CACHE_DIRECTORY": "/var/cache/s:/var/cache/t", "HOME": "/home/me"], "/var/cache/s/tensors"),
        (["STATE_DIRECTORY": "/var/lib/s", "CACHE_DIRECTORY": ""], "/var/lib/s/tensors"),
        (["HOME": ""], "/home/account/.cache/swiftlet/tensors"), ([:], "/home/account/.cache/swiftlet/tensors"),
        (["HOME": "/"], "/home/account/.cache/swiftlet/tensors"), (["HOME": "me"], "/home/account/.cache/swiftlet/tensors"),
    ])
    func found(environment: [String: String], folder: String) throws {
        #expect(try UserFolders(environment) { "/home/account" }.cache("tensors") == folder)
    }

    @Test(arguments: [nil, "/", "/nonexistent", ""] as [String?]) func none(account: String?) {
        #expect(throws: NoHomeError.self) { try UserFolders(["HOME": "", "XDG_CACHE_HOME": ""]) { account }.cache("tensors") }
        #expect(UserFolders([:]) { account }.home == nil)
    }

    /// What must not be lost is not put where caches are emptied.
    @Test(arguments: [
        (["XDG_STATE_HOME": "/x", "HOME": "/home/me", "STATE_DIRECTORY": "/var/lib/s"], "/x/swiftlet/peers"),
        (["STATE_DIRECTORY": "/var/lib/s:/var/lib/t", "CACHE_DIRECTORY": "/var/cache/s"], "/var/lib/s/peers"),
        (["XDG_STATE_HOME": "relative", "XDG_CACHE_HOME": "/c", "HOME": "/home/me"], "/home/me/.local/state/swiftlet/peers"),
    ])
    func state(environment: [String: String], folder: String) throws {
        #expect(try UserFolders(environment) { "/home/account" }.state("peers") == folder)
        let error = #expect(throws: NoHomeError.self) { try UserFolders([:]) { nil }.state("peers") }
        #expect(error?.description.contains("XDG_STATE_HOME") == true)
    }
}
