internal import GGUF

/// What `swiftlet inspect` prints.
public enum FileListing {
    /// - Throws: `GGUFError` for files that are no GGUF files.
    public static func text(ofFile path: String, json: Bool, fullArrays: Bool) throws -> String {
        let inspection = Inspection(try GGUFFile(path: path))
        return json ? inspection.json(fullArrays: fullArrays) : inspection.text
    }
}
