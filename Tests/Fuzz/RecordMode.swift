import PeerMessages

/// TXT records of services: well-formed ones, damaged ones, and bytes of chance. What is read keeps to its limits, and reads the same when
/// it is written again.
struct RecordMode {
    private let options: Options
    private let marker: CaseMarker
    private var read = 0
    private var ends: [String: Int] = [:]

    init(_ options: Options, _ marker: CaseMarker) {
        self.options = options
        self.marker = marker
    }

    /// - Returns: whether all was well.
    mutating func perform() -> Bool {
        let started = Clock.now()
        var index = options.only ?? 0
        var count = 0
        var fault: String?
        while fault == nil, count < options.count, Double(Clock.now() - started) / 1e9 < options.seconds {
            // Marking costs more than a record; a case is found again among its thousand.
            if index % 1000 == 0 || options.only != nil { marker.begin(index) }
            var random = Random(seed: options.seed, index: index)
            fault = judge(RecordMode.bytes(&random)).map { "record \(index): \($0)" }
            index += 1
            count += 1
            if options.only != nil { break }
        }
        marker.end()
        let seconds = Double(Clock.now() - started) / 1e9
        print("\(count) records, \(Report.fixed(seconds, 1)) s, seed \(options.seed); read: \(Report.share(read, count))")
        print("  refused: " + ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        if let fault { print("FAULT  \(fault)") }
        print(fault == nil ? "ok" : "failed")
        return fault == nil
    }

    private mutating func judge(_ bytes: [UInt8]) -> String? {
        let entries: [String: String]
        do {
            entries = try ServiceText.parse(bytes)
        } catch {
            ends["\(error)", default: 0] += 1
            return nil
        }
        read += 1
        guard bytes.count <= ServiceText.byteLimit, entries.count <= ServiceText.entryLimit else { return "more than its limits was read" }
        do {
            let again = try ServiceText.parse(ServiceText.encode(entries))
            return again == entries ? nil : "\(entries) became \(again)"
        } catch .tooLong {
            // A key without '=' gets one.
            return nil
        } catch {
            return "\(entries) was read and cannot be written: \(error)"
        }
    }

    private static func bytes(_ random: inout Random) -> [UInt8] {
        if random.chance(10) { return (0..<random.below(1400)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        var bytes: [UInt8] = []
        for _ in 0..<random.below(random.chance(5) ? 30 : 10) {
            var entry = Array(
                random.pick(random.chance(97) ? ["v", "net", "ID", "role", "dev", "a b", "flag"] : ["", "ü", "\u{7f}"]).utf8)
            if random.chance(95) { entry.append(UInt8(ascii: "=")) }
            let length = random.below(random.chance(10) ? 240 : 30)
            let isClean = random.chance(95)
            for _ in 0..<length {
                entry.append(isClean || random.chance(90) ? UInt8(0x20 + random.below(0x5f)) : UInt8(truncatingIfNeeded: random.next()))
            }
            bytes.append(UInt8(entry.count))
            bytes += entry
        }
        if random.chance(30), !bytes.isEmpty { Damage.bytes(&bytes, bytes.indices, &random) }
        return bytes
    }
}
