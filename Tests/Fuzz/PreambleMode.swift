import Base
import PeerMessages

/// What strangers say first to a node's door: first messages of TLS, greetings and cards, true ones with damage and bytes of chance. What is
/// read keeps to its limits, and nothing grows. Whole handshakes with damage are among the unit tests: they take TLS itself.
struct PreambleMode {
    private let options: Options
    private let marker: CaseMarker
    private static let id = "0123456789abcdef0123456789abcdef"
    private static let host = "fedcba9876543210fedcba9876543210"
    private let hello: [UInt8]
    private let greetings: [[UInt8]]
    private var ends: [String: Int] = [:]

    private static let warmUp = 20_000
    private static let growth = 64 << 20

    init(_ options: Options, _ marker: CaseMarker) throws {
        self.options = options
        self.marker = marker
        hello = PreambleMode.clientHello(naming: PreambleMode.host)
        let card = NodeCard(id: PreambleMode.id, name: "nöde", role: .worker, version: "1.0", devices: ["cpu, 8 threads, 12000 MiB", "x"])
        greetings = [
            TunnelGreeting(number: 1, card: card, revoked: [PreambleMode.host, PreambleMode.id]).encoded,
            TunnelGreeting(number: 2, card: card, revoked: [], reason: "it is \u{1f600} \"revoked\"\n").encoded,
        ]
    }

    /// - Returns: whether all was well.
    mutating func perform() -> Bool {
        let started = Clock.now()
        var index = options.only ?? 0
        var count = 0
        var fault: String?
        var residentAtStart = ProcessMemory.residentBytes()
        while fault == nil, count < options.count, Double(Clock.now() - started) / 1e9 < options.seconds {
            // Marking costs more than a case; one is found again among its thousand.
            if index % 1000 <= 1 || options.only != nil { marker.begin(index) }
            var random = Random(seed: options.seed, index: index)
            fault = judge(index, &random).map { "case \(index): \($0)" }
            index += 1
            count += 1
            if count == PreambleMode.warmUp { residentAtStart = ProcessMemory.residentBytes() }
            if options.only != nil { break }
        }
        marker.end()
        let seconds = Double(Clock.now() - started) / 1e9
        let resident = ProcessMemory.residentBytes()
        if fault == nil, count > PreambleMode.warmUp, resident - residentAtStart > PreambleMode.growth {
            fault = "memory grew from \(residentAtStart >> 20) to \(resident >> 20) MiB"
        }
        print("\(count) preambles, \(Report.fixed(seconds, 1)) s, seed \(options.seed)")
        print("  " + ends.sorted { $0.value > $1.value }.prefix(40).map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        print("  resident: \(residentAtStart >> 20) MiB, \(resident >> 20) MiB at the end")
        if let fault { print("FAULT  \(fault)") }
        print(fault == nil ? "ok" : "failed")
        return fault == nil
    }

    private mutating func judge(_ index: Int, _ random: inout Random) -> String? {
        switch random.below(3) {
        case 0: return judgeHello(&random)
        case 1: return judgeGreeting(&random)
        default: return judgeCard(&random)
        }
    }

    /// A client's first message, with one suite, as RFC 8446 has it.
    private static func clientHello(naming host: String) -> [UInt8] {
        func sized(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
        }
        let name = [UInt8]([0, 0]) + sized(sized([0] + sized(Array(host.utf8), 2), 2), 2)
        let versions: [UInt8] = [0, 43] + sized(sized([3, 4], 1), 2)
        let protocols = [UInt8]([0, 16]) + sized(sized(sized(Array("swiftlet/1".utf8), 1), 2), 2)
        let random = (0..<32).map { UInt8($0 * 7) }
        let body = [3, 3] + random + sized([], 1) + sized([0x13, 0x01], 2) + sized([0], 1) + sized(versions + name + protocols, 2)
        return [22, 3, 1] + sized([1] + sized(body, 3), 2)
    }

    private mutating func note(_ end: String) { ends[end, default: 0] += 1 }

    // MARK: First messages

    private mutating func judgeHello(_ random: inout Random) -> String? {
        var bytes = random.chance(15) ? PreambleMode.chance(random.below(600), &random) : hello
        if random.chance(50), bytes.count > 5 { bytes.replaceSubrange(0..<3, with: [22, 3, 1]) }
        if !bytes.isEmpty, random.chance(95) { Damage.bytes(&bytes, bytes.indices, &random) }
        if random.chance(10) { bytes += PreambleMode.chance(random.below(9000), &random) }
        switch bytes.withUnsafeBytes({ ClientHello.look(at: $0) }) {
        case .incomplete:
            note("hello incomplete")
            return bytes.count > ClientHello.limit ? "\(bytes.count) bytes are incomplete" : nil
        case .isNotTLS: note("hello is not TLS")
        case .names(let name):
            note(name == PreambleMode.host ? "hello names the host" : name == nil ? "hello names none" : "hello names another")
            if let name, name.utf8.count > 3 * bytes.count { return "a name of \(name.utf8.count) bytes" }
        }
        return nil
    }

    // MARK: Greetings

    private mutating func judgeGreeting(_ random: inout Random) -> String? {
        var bytes = random.pick(greetings)
        if random.chance(10) { bytes.replaceSubrange(12..., with: PreambleMode.chance(random.below(300), &random)) }
        if random.chance(95) {
            // Mostly behind the first words, or hardly any is read further.
            let first = random.chance(80) ? TunnelGreeting.headByteCount : 0
            if first < bytes.count { Damage.bytes(&bytes, first..<bytes.count, &random) }
        }
        guard bytes.count >= TunnelGreeting.headByteCount else { return nil }
        var head = Array(bytes[..<TunnelGreeting.headByteCount])
        let body = Array(bytes[TunnelGreeting.headByteCount...])
        if random.chance(70) { for place in 0..<4 { head[8 + place] = UInt8(truncatingIfNeeded: body.count >> (8 * place)) } }
        do throws(TunnelError) {
            let size = try TunnelGreeting.bodySize(head: head)
            if !(0...TunnelGreeting.largestBody).contains(size) { return "a greeting of \(size) bytes" }
            let greeting = try TunnelGreeting(head: head, body: body)
            note("greeting read")
            if let fault = PreambleMode.fault(of: greeting.card) { return fault }
            if greeting.revoked.count > TunnelGreeting.mostRevoked || !greeting.revoked.allSatisfy(NodeCard.isID) {
                return "ids that are none"
            }
            // What was read can be said again, and means the same.
            let again = greeting.encoded
            let reread = try TunnelGreeting(
                head: Array(again[..<TunnelGreeting.headByteCount]), body: Array(again[TunnelGreeting.headByteCount...]))
            return reread == greeting ? nil : "\(greeting) became \(reread)"
        } catch {
            note("greeting: " + error.description.prefix { $0 != ":" && !$0.isNumber })
            return nil
        }
    }

    // MARK: Cards

    private mutating func judgeCard(_ random: inout Random) -> String? {
        let json = PreambleMode.value(&random, depth: 0, id: PreambleMode.id)
        guard let card = NodeCard(json: json) else {
            note("no card")
            return nil
        }
        note("card read")
        if let fault = PreambleMode.fault(of: card) { return fault }
        return NodeCard(json: card.json) == card ? nil : "\(card) reads otherwise when it is written"
    }

    private static func fault(of card: NodeCard) -> String? {
        guard NodeCard.isID(card.id) else { return "an id that is none" }
        let texts = [card.name, card.version] + card.devices
        if card.devices.count > NodeCard.mostDevices || texts.contains(where: { $0.unicodeScalars.count > NodeCard.longestText }) {
            return "a card beyond its limits"
        }
        let isClean = texts.allSatisfy { text in text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } }
        return isClean ? nil : "control characters in a card"
    }

    private static func value(_ random: inout Random, depth: Int, id: String) -> JSONValue {
        func text(_ random: inout Random) -> String {
            String(decoding: chance(random.below(random.chance(3) ? 2000 : 20), &random), as: UTF8.self)
        }
        if depth == 0, random.chance(95) {
            var object: JSONObject = [:]
            for key in ["id", "name", "role", "version", "devices"] where random.chance(97) {
                object[key] = value(&random, depth: 1, id: id)
            }
            if random.chance(80) { object["id"] = .string(random.chance(90) ? id : String(id.dropLast()) + "G") }
            if random.chance(80) { object["role"] = .string(random.pick(["worker", "head", "tunnel", "visitor", "Worker", ""])) }
            return .object(object)
        }
        switch random.below(depth > 4 ? 4 : 6) {
        case 0: return .null
        case 1: return .bool(random.chance(50))
        case 2, 3: return .string(text(&random))
        default:
            let count = random.below(random.chance(3) ? 200 : 4)
            return .array((0..<count).map { _ in value(&random, depth: depth + 1, id: id) })
        }
    }

    private static func chance(_ count: Int, _ random: inout Random) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
    }
}
