internal import Tensor

// Metadata values. Arrays are walked once when a file is opened, to find and check their ends; nothing is kept of it.
extension ByteCursor {
    mutating func valueType(_ what: @autoclosure () -> String) throws(GGUFError) -> GGUFValueType {
        let start = offset
        let number = try integer(UInt32.self, "the type of \(what())")
        guard let type = GGUFValueType(rawValue: number) else {
            throw GGUFError(.malformed, file: file, at: start, "\(what()) has the unknown value type \(number)")
        }
        return type
    }

    /// One value.
    ///
    /// - Parameters:
    ///   - owner: keeps the bytes mapped for values that point into them.
    ///   - depth: of arrays that this value is inside of.
    mutating func value(
        _ type: GGUFValueType, owner: any AnyObject & Sendable, depth: Int = 0, _ what: @autoclosure () -> String
    ) throws(GGUFError) -> GGUFValue {
        switch type {
        case .uint8: return .uint8(try integer(UInt8.self, what()))
        case .int8: return .int8(try integer(Int8.self, what()))
        case .uint16: return .uint16(try integer(UInt16.self, what()))
        case .int16: return .int16(try integer(Int16.self, what()))
        case .uint32: return .uint32(try integer(UInt32.self, what()))
        case .int32: return .int32(try integer(Int32.self, what()))
        case .uint64: return .uint64(try integer(UInt64.self, what()))
        case .int64: return .int64(try integer(Int64.self, what()))
        case .float32: return .float32(Float(bitPattern: try integer(UInt32.self, what())))
        case .float64: return .float64(Double(bitPattern: try integer(UInt64.self, what())))
        case .bool:
            let start = offset
            let byte = try integer(UInt8.self, what())
            guard byte <= 1 else { throw notABool(byte, at: start, what()) }
            return .bool(byte == 1)
        case .string:
            return .string(GGUFString(MemoryRegion(bytes: try string(what()), owner: owner)))
        case .array:
            return .array(try array(owner: owner, depth: depth + 1, what()))
        }
    }

    private mutating func array(
        owner: any AnyObject & Sendable, depth: Int, _ what: @autoclosure () -> String
    ) throws(GGUFError) -> GGUFArray {
        let begin = offset
        guard depth <= GGUFArray.nestingLimit else {
            let limit = GGUFArray.nestingLimit
            throw GGUFError(.limit, file: file, at: begin, "\(what()) is nested more than \(limit) arrays deep")
        }
        let type = try valueType("the elements of \(what())")
        let countOffset = offset
        let elements = try count("the element count of \(what())")
        let (least, overflow) = elements.multipliedReportingOverflow(by: type.leastByteCount)
        guard !overflow, least <= remaining else {
            let message = "\(what()) has \(elements) elements of type \(type.name), but only \(remaining) bytes are left in the file"
            throw GGUFError(.truncated, file: file, at: countOffset, message)
        }
        let start = offset
        switch type {
        case .string:
            for _ in 0..<elements { _ = try string("a string of \(what())") }
        case .array:
            for _ in 0..<elements { _ = try array(owner: owner, depth: depth + 1, what()) }
        case .bool:
            let content = try slice(elements, what())
            if let index = content.firstIndex(where: { $0 > 1 }) {
                throw notABool(content[index], at: start + index, what())
            }
        default:
            _ = try slice(least, what())
        }
        let content = UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
        return GGUFArray(type, count: elements, MemoryRegion(bytes: content, owner: owner))
    }

    private func notABool(_ byte: UInt8, at offset: Int, _ what: String) -> GGUFError {
        GGUFError(.malformed, file: file, at: offset, "\(what) has a boolean of value \(byte); only 0 and 1 are allowed")
    }
}
