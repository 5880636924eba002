internal import GGUF

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

extension ModelError {
    /// What is read of a file's metadata; a value of another type is said with its key.
    static func checked<Value>(_ value: @autoclosure () throws(GGUFError) -> Value) throws(ModelError) -> Value {
        do throws(GGUFError) {
            return try value()
        } catch {
            throw ModelError(.metadata, error.description)
        }
    }
}
