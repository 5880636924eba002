/// The parts of a cache's folder:
///
///     blobs/<digest>          contents, named by their SHA-256; the time of change is that of the last use
///     names/<scope>/<name>    a digest and a size: what a scope calls by ggml's hash
///     parts/                  what is being written; a file here is locked by whoever writes it
///
/// They are opened for every use, so that a folder emptied by hand in between works on.
struct CacheFolders: Sendable {
    let path: String

    func blobs() throws(CacheError) -> CacheDirectory { try part("blobs") }
    func names() throws(CacheError) -> CacheDirectory { try part("names") }
    func parts() throws(CacheError) -> CacheDirectory { try part("parts") }

    private func part(_ name: String) throws(CacheError) -> CacheDirectory {
        try CacheDirectory.named(path, makes: true).folder(name, makes: true)
    }

    /// Removes what writers that are gone left behind. Whoever still writes holds the lock.
    func clearParts() throws(CacheError) {
        let folder = try parts()
        for entry in try folder.entries() {
            if entry.isFile, let file = folder.file(entry.name), !file.lock() { continue }
            folder.remove(entry.name)
        }
    }
}
