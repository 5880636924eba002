internal import Base

/// The members of a request's JSON object, read by name and type. A member that is null counts as left out.
///
/// Every error names the member, so that a client sees what to change.
struct RequestFields {
    private let values: [String: JSONValue]
    /// What stands before a member's name in messages: `messages[2].`.
    private let prefix: String

    init(_ object: JSONObject, prefix: String = "") {
        var values: [String: JSONValue] = [:]
        for member in object.members where member.value != .null { values[member.name] = member.value }
        self.values = values
        self.prefix = prefix
    }

    /// The object that a whole body must be.
    init(body: JSONValue) throws(APIError) {
        guard case .object(let object) = body else {
            throw .invalid("The body must be a JSON object, not \(body.kind).")
        }
        self.init(object)
    }

    subscript(name: String) -> JSONValue? { values[name] }

    /// The member's full name.
    func path(_ name: String) -> String { prefix + name }

    private func wrongType(_ name: String, _ value: JSONValue, expected: String) -> APIError {
        .invalid("'\(path(name))' must be \(expected), not \(value.kind).", parameter: path(name), code: "invalid_type")
    }

    private func wrongValue(_ name: String, _ message: String) -> APIError {
        .invalid("'\(path(name))' \(message).", parameter: path(name), code: "invalid_value")
    }

    func missing(_ name: String) -> APIError {
        .invalid("'\(path(name))' is missing.", parameter: path(name), code: "missing_required_parameter")
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = values[name] else { return nil }
        guard case .string(let string) = value else { throw wrongType(name, value, expected: "a string") }
        return string
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = values[name] else { return nil }
        guard case .bool(let bool) = value else { throw wrongType(name, value, expected: "true or false") }
        return bool
    }

    func object(_ name: String) throws(APIError) -> JSONObject? {
        guard let value = values[name] else { return nil }
        guard case .object(let object) = value else { throw wrongType(name, value, expected: "an object") }
        return object
    }

    func array(_ name: String) throws(APIError) -> [JSONValue]? {
        guard let value = values[name] else { return nil }
        guard case .array(let array) = value else { throw wrongType(name, value, expected: "an array") }
        return array
    }

    /// A whole number in `range`; 16.0 is one.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let value = values[name] else { return nil }
        let integer: Int
        switch value {
        case .integer(let value): integer = value
        case .number(let number):
            guard let exact = Int(exactly: number) else {
                throw wrongValue(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            integer = exact
        default: throw wrongType(name, value, expected: "a whole number")
        }
        guard range.contains(integer) else {
            throw wrongValue(name, "must be from \(range.lowerBound) to \(range.upperBound), not \(integer)")
        }
        return integer
    }

    /// A finite number in `range`.
    func number(_ name: String, in range: ClosedRange<Float>) throws(APIError) -> Float? {
        guard let value = values[name] else { return nil }
        let number: Double
        switch value {
        case .integer(let value): number = Double(value)
        case .number(let value): number = value
        default: throw wrongType(name, value, expected: "a number")
        }
        guard number >= Double(range.lowerBound), number <= Double(range.upperBound) else {
            throw wrongValue(name, "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
        }
        return Float(number)
    }

    /// Refuses what other engines do and we do not (``RequestMember``), unless it is asked for in the way that asks for nothing.
    ///
    /// - Parameter names: members that are let through.
    func refuseForeign(in request: RequestMember.Request, except names: Set<String> = []) throws(APIError) {
        for member in RequestMember.all where member.requests.contains(request) && !names.contains(member.name) {
            guard case .refused(let neutral) = member.standing, let value = values[member.name] else { continue }
            if neutral.contains(where: { RequestFields.isSame($0, value) }) { continue }
            throw .invalid(
                "'\(path(member.name))' is not supported: \(member.note).", parameter: path(member.name), code: "unsupported_parameter")
        }
    }

    /// Refuses what cannot be done, unless it is asked for in the way that asks for nothing, for members that mean more than the list can say.
    func refuse(_ name: String, unless neutral: (JSONValue) -> Bool, because reason: String) throws(APIError) {
        guard let value = values[name], !neutral(value) else { return }
        throw .invalid("'\(path(name))' is not supported: \(reason).", parameter: path(name), code: "unsupported_parameter")
    }

    /// Equal, whichever way a number is written.
    private static func isSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
        if case .integer(let integer) = left, case .number(let number) = right { return Double(integer) == number }
        return left == right
    }
}
