package import Foundation

/// Data that tests use if the machine has it: `scripts/fetch-test-data` puts it there.
package enum ExternalData {
    package static let cache: URL = {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["SWIFTLET_CACHE"] { return URL(fileURLWithPath: folder) }
        let base = environment["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) }
        let home = URL(fileURLWithPath: environment["HOME"] ?? "/")
        return (base ?? home.appending(path: ".cache")).appending(path: "swiftlet")
    }()

    /// A file or folder of the cache, nil if it is not there, which is said loudly.
    package static func find(_ path: String) -> URL? {
        let found = cache.appending(path: path)
        if FileManager.default.fileExists(atPath: found.path) { return found }
        print("MISSING TEST DATA: \(found.path); run scripts/fetch-test-data. A test is skipped without it.")
        return nil
    }

    /// A file of the repository.
    package static func fixture(_ path: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures").appending(path: path)
    }
}
