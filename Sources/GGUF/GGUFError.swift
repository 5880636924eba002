/// Why a GGUF file could not be opened, read or written, with where in which file.
public struct GGUFError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What a caller can act on.
    public enum Code: Hashable, Sendable {
        /// The system would not open, map or write the file.
        case system
        /// Something else than a GGUF file.
        case notGGUF
        /// A file for machines of the other byte order.
        case bigEndian
        /// A version other than 2 and 3.
        case unsupportedVersion
        /// The file ends before what its own counts promise.
        case truncated
        /// A count, a length, a type number or a value that no valid file has.
        case malformed
        /// Valid by the letter, but beyond a stated limit of this reader.
        case limit
        /// Two keys or two tensors of one name.
        case duplicate
        /// A tensor whose element type this version does not know.
        case unknownElementType
        /// A tensor in a format that ggml has withdrawn.
        case withdrawnElementType
        /// A tensor's data overlap another's or leave the file.
        case extent
        /// The parts of a split model do not belong together, or some are missing.
        case split
        /// The file lacks a key that was asked for.
        case missingKey
        /// A key's value has another type than was asked for, or does not fit it.
        case wrongType
    }

    public var code: Code
    /// The path of the file, as it was given or derived from the first part's.
    public var file: String
    /// Where in the file the thing that is wrong begins; nil if it is at no one place.
    public var byteOffset: Int?
    /// What is wrong, with the figures.
    public var message: String

    public init(_ code: Code, file: String, at byteOffset: Int? = nil, _ message: String) {
        self.code = code
        self.file = file
        self.byteOffset = byteOffset
        self.message = message
    }

    public var description: String {
        guard let byteOffset else { return "\(file): \(message)" }
        return "\(file): at byte \(byteOffset): \(message)"
    }
}
