internal import HTTPTypes
internal import Hummingbird

/// Keys, one of which a request must bring.
struct AccessKeys: Sendable {
    /// What a request brings beside what is wanted.
    enum Offer: Hashable, Sendable {
        case none, wrong, right
    }

    private let keys: [[UInt8]]

    init(_ keys: [String]) {
        self.keys = keys.map { Array($0.utf8) }
    }

    var isEmpty: Bool { keys.isEmpty }

    /// Looks at `Authorization: Bearer KEY` and `X-Api-Key: KEY`; one that is right is enough.
    func offer(of request: Request) -> Offer {
        var offers: [[UInt8]] = []
        if let field = request.headers[.authorization] {
            let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            offers.append(parts.count == 2 && parts[0].lowercased() == "bearer" ? Array(parts[1].utf8) : [])
        }
        if let field = request.headers[.apiKey] { offers.append(Array(field.utf8)) }
        if offers.isEmpty { return .none }
        // Every key is looked at in full, so that the time taken tells nothing.
        var matches: UInt8 = 0
        for offered in offers {
            for key in keys { matches |= AccessKeys.areEqual(offered, key) ? 1 : 0 }
        }
        return matches != 0 ? .right : .wrong
    }

    /// Compares in a time that depends on the length of `offered` alone.
    private static func areEqual(_ offered: [UInt8], _ key: [UInt8]) -> Bool {
        guard !key.isEmpty else { return false }
        var difference = offered.count ^ key.count
        for index in offered.indices {
            difference |= Int(offered[index] ^ key[index % key.count])
        }
        return difference == 0
    }
}

extension HTTPField.Name {
    /// As Anthropic's clients send a key. Spelled right, so it is a name; the other never stands in its place.
    fileprivate static let apiKey = HTTPField.Name("X-Api-Key") ?? .connection
}
