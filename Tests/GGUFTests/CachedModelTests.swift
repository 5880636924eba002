import Foundation
import GGUF
import Testing

/// Real models and vocabularies, where the cache folder has them.
@Suite struct CachedModelTests {
    static var cache: URL {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["SWIFTLET_CACHE"], !folder.isEmpty { return URL(filePath: folder) }
        return URL(filePath: NSHomeDirectory()).appending(path: ".cache/swiftlet")
    }

    static func files() -> [URL] {
        ["models", "models/tiny", "vocab"].flatMap { folder in
            let content = try? FileManager.default.contentsOfDirectory(
                at: cache.appending(path: folder), includingPropertiesForKeys: nil)
            return (content ?? []).filter { $0.pathExtension == "gguf" }
        }
    }

    /// Each opens, has an architecture, and a vocabulary whose strings can all be reached.
    @Test func open() throws {
        let files = Self.files()
        if files.isEmpty { print("no models in \(Self.cache.path): nothing was opened") }
        for url in files {
            let file = try GGUFFile(path: url.path)
            #expect(try !file.string("general.architecture").isEmpty)
            guard let tokens = try file.arrayIfPresent("tokenizer.ggml.tokens"), let strings = tokens.strings else { continue }
            #expect(strings.reduce(0) { count, _ in count + 1 } == tokens.count)
        }
    }
}
