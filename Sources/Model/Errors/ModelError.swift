/// Why a model cannot be loaded or run.
public struct ModelError: Error, Hashable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The file is of an architecture, or uses a feature, that is not here yet.
        case unsupported
        /// Metadata is missing, of the wrong kind, or contradicts itself.
        case metadata
        /// A tensor is missing or has another shape than the metadata says.
        case tensor
        /// A batch asks for what the model or its cache cannot do: a token out of range, a position past the context.
        case batch
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
