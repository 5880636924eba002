/// The small files that say which content a scope means by ggml's hash.
struct CacheNames {
    struct Meaning: Hashable {
        var digest: ContentDigest
        var byteCount: Int

        init(digest: ContentDigest, byteCount: Int) {
            self.digest = digest
            self.byteCount = byteCount
        }

        /// From a file's text: the digest, a space, the size, a line's end.
        init?(_ text: String) {
            guard text.hasSuffix("\n") else { return nil }
            let words = text.dropLast().split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 2, let digest = ContentDigest(digits: words[0]), let size = Int(words[1]), size >= 0 else { return nil }
            self.init(digest: digest, byteCount: size)
        }

        var text: String { "\(digest.digits) \(byteCount)\n" }
    }

    static func fileName(_ hash: UInt64) -> String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Nil if there is no such name, or none that makes sense.
    static func meaning(of name: String, in folder: CacheDirectory) -> Meaning? {
        guard let file = folder.file(name), (1...128).contains(file.byteCount) else { return nil }
        var text = [UInt8](repeating: 0, count: file.byteCount)
        guard text.withUnsafeMutableBytes({ file.read(into: $0) }) else { return nil }
        return Meaning(String(decoding: text, as: UTF8.self))
    }

    /// Removes names whose content is gone, and of the rest the ones not used for the longest time, down to a number.
    static func prune(_ folders: CacheFolders, keeping limit: Int) throws(CacheError) {
        let names = try folders.names()
        let blobs = try folders.blobs()
        var kept: [(scope: String, entry: CacheEntry)] = []
        for scope in try names.entries() where !scope.isFile {
            guard let folder = try? names.folder(scope.name, makes: false), let entries = try? folder.entries() else { continue }
            for entry in entries {
                if let meaning = meaning(of: entry.name, in: folder), blobs.entry(meaning.digest.digits) != nil {
                    kept.append((scope.name, entry))
                } else {
                    folder.remove(entry.name)
                }
            }
        }
        if kept.count > limit {
            kept.sort { $0.entry.modified < $1.entry.modified }
            for (scope, entry) in kept.prefix(kept.count - limit) {
                _ = try? names.folder(scope, makes: false).remove(entry.name)
            }
        }
        // Only folders with nothing in them go.
        for scope in try names.entries() where !scope.isFile { names.removeFolder(scope.name) }
    }
}
