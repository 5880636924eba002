/// The version of ggml's RPC protocol that a peer speaks. Tables of operations belong to full triples: a change of the
/// list of operations shows in the patch alone.
public struct WireVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var major: UInt8
    public var minor: UInt8
    public var patch: UInt8

    public init(_ major: UInt8, _ minor: UInt8, _ patch: UInt8) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    public static func < (a: WireVersion, b: WireVersion) -> Bool {
        (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
    }

    public var description: String { "\(major).\(minor).\(patch)" }
}

/// Why an operation could not be read from or written to the wire.
package struct WireOperationError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// There is no table for this version.
        case unknownVersion
        /// A number that names no operation of this version.
        case unknownOperation
        /// A kind, a mode or a flag that this version does not have.
        case unknownKind
        /// A parameter that the operation cannot have, or that its slot cannot hold.
        case parameter
    }

    package var code: Code
    package var version: WireVersion
    /// ggml's name of the operation, or its number where it has no name.
    package var operation: String
    package var message: String

    package init(_ code: Code, _ version: WireVersion, operation: String, _ message: String) {
        self.code = code
        self.version = version
        self.operation = operation
        self.message = message
    }

    package var description: String { "operation \(operation), protocol \(version): \(message)" }
}
