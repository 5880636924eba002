/// A file of the page at `/`, held in the program itself. `scripts/make-page` writes their texts into `PageFiles.swift`.
struct PageFile: Sendable {
    /// From the server's root.
    let path: String
    let type: String
    /// The beginning of the text's SHA-256, in hex: another text has another.
    let digest: String
    let text: String

    /// Where there are files, the page itself under both its names.
    static let paths = Set(all.map(\.path)).union(["/", "/index.html"])
}
