public import ArgumentParser
public import Base

/// Sizes as options.
extension ByteSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    public var defaultValueDescription: String { description }
}

/// - Parameter least: bytes below which nothing sensible can be done.
/// - Throws: `ValidationError` for a size below it.
func checkSize(_ size: ByteSize?, _ name: String, atLeast least: Int) throws {
    if let complaint = size?.complaint(below: least) { throw ValidationError("\(name): \(complaint)") }
}
