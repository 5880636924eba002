/// Each accessor comes in two forms: one throws ``GGUFError/Code/missingKey`` where the key is missing, the other, with
/// `IfPresent`, gives nil. Both throw ``GGUFError/Code/wrongType`` where the value is there and cannot be had as what
/// was asked for: numbers are converted where nothing is lost, and nothing else is.
extension GGUFFile {
    public var metadata: GGUFMetadata { parts[0].metadata }

    public func contains(_ key: String) -> Bool { metadata[key] != nil }

    // MARK: Strings

    public func string(_ key: String) throws(GGUFError) -> String {
        try required(try stringIfPresent(key), key)
    }

    public func stringIfPresent(_ key: String) throws(GGUFError) -> String? {
        try converted(key, to: "string") { value in
            if case .string(let string) = value { string.string } else { nil }
        }
    }

    // MARK: Whole numbers

    /// A whole number that `T` can hold, of whichever type of numbers.
    public func integer<T: FixedWidthInteger>(_ key: String, as type: T.Type = T.self) throws(GGUFError) -> T {
        try required(try integerIfPresent(key, as: type), key)
    }

    /// A whole number that `T` can hold, of whichever type of numbers.
    public func integerIfPresent<T: FixedWidthInteger>(
        _ key: String, as type: T.Type = T.self
    ) throws(GGUFError) -> T? {
        try converted(key, to: "\(T.self)") { $0.integer(as: T.self) }
    }

    public func int(_ key: String) throws(GGUFError) -> Int { try integer(key) }
    public func intIfPresent(_ key: String) throws(GGUFError) -> Int? { try integerIfPresent(key) }
    public func uint32(_ key: String) throws(GGUFError) -> UInt32 { try integer(key) }
    public func uint32IfPresent(_ key: String) throws(GGUFError) -> UInt32? { try integerIfPresent(key) }

    // MARK: Floating point

    /// A float; doubles are rounded.
    public func float(_ key: String) throws(GGUFError) -> Float { try required(try floatIfPresent(key), key) }

    /// A float; doubles are rounded.
    public func floatIfPresent(_ key: String) throws(GGUFError) -> Float? {
        try converted(key, to: "float32") { value in value.double.map { Float($0) } }
    }

    public func double(_ key: String) throws(GGUFError) -> Double { try required(try doubleIfPresent(key), key) }

    public func doubleIfPresent(_ key: String) throws(GGUFError) -> Double? {
        try converted(key, to: "float64") { $0.double }
    }

    // MARK: Booleans

    public func bool(_ key: String) throws(GGUFError) -> Bool { try required(try boolIfPresent(key), key) }

    public func boolIfPresent(_ key: String) throws(GGUFError) -> Bool? { try converted(key, to: "bool") { $0.bool } }

    // MARK: Arrays

    public func array(_ key: String) throws(GGUFError) -> GGUFArray { try required(try arrayIfPresent(key), key) }

    public func arrayIfPresent(_ key: String) throws(GGUFError) -> GGUFArray? {
        try converted(key, to: "array") { value in
            if case .array(let array) = value { array } else { nil }
        }
    }

    /// The strings of an array, where it has no others; see ``GGUFArray/strings``.
    public func stringsIfPresent(_ key: String) throws(GGUFError) -> GGUFArray? {
        try converted(key, to: "array of strings") { value in
            if case .array(let array) = value, array.elementType == .string { array } else { nil }
        }
    }

    /// An array of numbers that are `Float`s; doubles are rounded.
    public func floatsIfPresent(_ key: String) throws(GGUFError) -> [Float]? {
        try converted(key, to: "array of float32") { value in
            if case .array(let array) = value { array.floats() } else { nil }
        }
    }

    /// An array of whole numbers that `T` can hold.
    public func integersIfPresent<T: FixedWidthInteger>(_ key: String, as type: T.Type = T.self) throws(GGUFError) -> [T]? {
        try converted(key, to: "array of \(T.self)") { value in
            if case .array(let array) = value { array.integers(as: T.self) } else { nil }
        }
    }

    /// An array of whole numbers; or, where a file has one number for all, that number `count` times.
    ///
    /// Architectures whose layers differ store arrays under keys that others use for one number.
    public func integers<T: FixedWidthInteger>(
        _ key: String, count: Int, as type: T.Type = T.self
    ) throws(GGUFError) -> [T] {
        guard let entry = metadata.entry(key) else { throw missing(key) }
        guard case .array(let array) = entry.value else {
            return [T](repeating: try integer(key), count: count)
        }
        guard let numbers = array.integers(as: T.self) else { throw mismatch(entry, "array of \(T.self)") }
        guard numbers.count >= count else {
            throw GGUFError(
                .wrongType, file: path, at: entry.byteOffset, "\"\(key)\" has \(numbers.count) elements where \(count) are needed")
        }
        return Array(numbers.prefix(count))
    }

    // MARK: Inside

    private func required<T>(_ value: T?, _ key: String) throws(GGUFError) -> T {
        guard let value else { throw missing(key) }
        return value
    }

    private func converted<T>(
        _ key: String, to wanted: String, _ convert: (GGUFValue) -> T?
    ) throws(GGUFError) -> T? {
        guard let entry = metadata.entry(key) else { return nil }
        guard let result = convert(entry.value) else { throw mismatch(entry, wanted) }
        return result
    }

    private func missing(_ key: String) -> GGUFError {
        GGUFError(.missingKey, file: path, "the metadata lack \"\(key)\"")
    }

    private func mismatch(_ entry: GGUFMetadata.Entry, _ wanted: String) -> GGUFError {
        let article = "aeiou".contains(wanted.first?.lowercased() ?? "") ? "an" : "a"
        let message = "\"\(entry.key)\" is \(entry.value.summary), not \(article) \(wanted)"
        return GGUFError(.wrongType, file: path, at: entry.byteOffset, message)
    }
}
