import NodePeers
import RPCProto

/// The same numbers for the same seed.
struct Draws: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

/// A table with a daemon and a network made up around it, in a time of its own: lookups that it opens are answered by what is announced.
struct NetworkUnderTest {
    static let tag = "0011223344556677"

    struct Announcement {
        var port = 1
        var text: [String: String] = ["net": tag]
        var addresses: [[UInt8]]
        /// Lookups have no answer.
        var isMute = false

        init(tag: String = NetworkUnderTest.tag, port: Int = 1, addresses: [[UInt8]], isMute: Bool = false) {
            self.port = port
            self.addresses = addresses
            self.isMute = isMute
            text["net"] = tag
        }
    }

    private(set) var table: ServiceTable
    private var now: UInt64 = 1_000_000_000_000
    private var announced: [ServiceKey: Announcement] = [:]
    /// Sightings that the browser has not read yet.
    private var unread: [ServiceTable.Event] = []
    private var operations: [UInt64: ServiceTable.Operation] = [:]
    /// Answers on their way.
    private var answers: [ServiceTable.Event] = []
    private let limits: ServiceTable.Limits
    /// Answers come late, a few at a time.
    var isSlow = false

    private(set) var told: [ServiceKey: ServiceRecord] = [:]
    private(set) var faults: [String] = []
    private(set) var openedCount = 0
    private(set) var mostInstances = 0
    private(set) var mostOpen = 0

    init(operations: Int = 64, instances: Int = 512, filter: ServiceFilter = ServiceFilter(tag: NetworkUnderTest.tag)) {
        var limits = ServiceTable.Limits()
        limits.operations = operations
        limits.instances = instances
        limits.waiting = max(2, instances / 2)
        self.limits = limits
        table = ServiceTable(filter, limits: limits) { "eth\($0)" }
        table.apply(.browsing, at: now)
    }

    // MARK: The network

    @discardableResult
    mutating func announce(_ name: String, _ announcement: Announcement) -> ServiceKey {
        let key = ServiceKey(name: name, interface: 2)
        announced[key] = announcement
        unread.append(.sighted(key))
        return key
    }

    mutating func withdraw(_ key: ServiceKey) {
        announced[key] = nil
        unread.append(.unsighted(key))
    }

    /// Changes what is announced; lookups that are open hear of it.
    mutating func change(_ key: ServiceKey, _ body: (inout Announcement) -> Void) {
        guard let old = announced[key] else { return }
        var new = old
        body(&new)
        announced[key] = new
        for operation in operations.values where operation.key == key { answer(operation, before: old.addresses) }
    }

    mutating func feed(_ event: ServiceTable.Event) { unread.append(event) }

    mutating func lose() {
        table.apply(.lost, at: now)
        unread = []
        perform()
    }

    /// All that is there is told anew.
    mutating func browse() {
        table.apply(.browsing, at: now)
        unread = announced.keys.shuffled().map { .sighted($0) }
    }

    /// What has to be told once all is quiet.
    var truth: [ServiceKey: ServiceRecord] {
        var truth: [ServiceKey: ServiceRecord] = [:]
        for (key, announcement) in announced where announcement.text["net"] == NetworkUnderTest.tag && !announcement.addresses.isEmpty {
            let addresses = announcement.addresses.sorted { ($0.count, $0.description) < ($1.count, $1.description) }
            truth[key] = ServiceRecord(
                key: key, interface: "eth2", hostName: NetworkUnderTest.hostName(key), port: announcement.port, text: announcement.text,
                endpoints: addresses.compactMap { bytes in
                    NetworkAddress(bytes: bytes).map { Endpoint(host: $0.description, port: announcement.port) }
                })
        }
        return truth
    }

    private static func hostName(_ key: ServiceKey) -> String { "host of \(key.name)" }

    private mutating func answer(_ operation: ServiceTable.Operation, before: [[UInt8]] = []) {
        guard let announcement = announced[operation.key], !announcement.isMute else { return }
        let length: Int
        switch operation.lookup {
        case .resolve:
            answers.append(
                .resolved(
                    operation.number, hostName: NetworkUnderTest.hostName(operation.key), port: announcement.port,
                    text: try? ServiceText.encode(announcement.text)))
            return
        case .ipv4: length = 4
        case .ipv6: length = 16
        }
        for bytes in before where bytes.count == length && !announcement.addresses.contains(bytes) {
            answers.append(.address(operation.number, bytes, isThere: false))
        }
        for bytes in announcement.addresses where bytes.count == length && !before.contains(bytes) {
            answers.append(.address(operation.number, bytes, isThere: true))
        }
    }

    // MARK: Time

    /// Lets time go by, in steps of a twentieth of a second.
    mutating func run(seconds: Int, until isOver: (NetworkUnderTest) -> Bool = { _ in false }) {
        for _ in 0..<(seconds * 20) {
            step()
            if isOver(self) { return }
        }
    }

    private mutating func step() {
        now += 50_000_000
        for event in answers { table.apply(event, at: now) }
        answers = []
        // As the browser does: what is not read waits.
        var count = 0
        while count < unread.count, !table.isCrowded {
            table.apply(unread[count], at: now)
            count += 1
        }
        unread.removeFirst(count)
        perform()
    }

    private mutating func perform() {
        for effect in table.advance(at: now) {
            switch effect {
            case .open(let operation):
                if operations.values.contains(where: { $0.key == operation.key && $0.lookup == operation.lookup }) {
                    faults.append("\(operation.lookup) of \(operation.key.name) is open twice")
                }
                operations[operation.number] = operation
                openedCount += 1
                answer(operation)
            case .close(let number):
                if operations.removeValue(forKey: number) == nil { faults.append("\(number) is closed, and was not open") }
            case .tell(.found(let record)):
                if told[record.key] == record { faults.append("\(record.key.name) is told twice") }
                if !(1...limits.addresses).contains(record.endpoints.count) { faults.append("\(record.endpoints.count) addresses") }
                told[record.key] = record
            case .tell(.gone(let key)):
                if told.removeValue(forKey: key) == nil { faults.append("\(key.name) is gone, and was not there") }
            case .browseAgain: browse()
            }
        }
        mostInstances = max(mostInstances, table.instanceCount)
        mostOpen = max(mostOpen, operations.count)
        if table.instanceCount > limits.instances { faults.append("\(table.instanceCount) instances") }
        if operations.count > limits.operations || table.openCount != operations.count {
            faults.append("\(operations.count) lookups are open")
        }
        if table.waitingCount > 3 * limits.instances { faults.append("\(table.waitingCount) lookups wait") }
    }

    // MARK: Disorder

    /// Something happens that may or may not make sense.
    mutating func disturb(_ random: inout Draws) {
        let key = ServiceKey(name: "n\(random.below(40))", interface: 2)
        let number = UInt64(random.below(Int(openedCount) + 2))
        let bytes = (0..<[4, 16, 3][random.below(3)]).map { _ in UInt8(random.below(256)) }
        switch random.below(16) {
        case 0, 1, 2: announce(key.name, .init(port: 1 + random.below(9), addresses: [[10, 0, 0, UInt8(random.below(9))]]))
        case 3: announce(key.name, .init(tag: "other", addresses: [], isMute: random.below(2) == 0))
        case 4: withdraw(key)
        case 5: feed(.unsighted(key))
        case 6: feed(.sighted(key))
        case 7: change(key) { $0.port = 1 + random.below(9) }
        case 8: change(key) { $0.addresses = (0..<random.below(3)).map { [10, 0, 1, UInt8($0)] } }
        case 9: change(key) { $0.text["net"] = random.below(2) == 0 ? "other" : NetworkUnderTest.tag }
        case 10: answers.append(.failed(number))
        case 11: answers.append(.address(number, bytes, isThere: random.below(2) == 0))
        case 12:
            answers.append(.resolved(number, hostName: "h\(number)", port: random.below(70000), text: random.below(3) == 0 ? nil : bytes))
        case 13: if random.below(10) == 0 { lose() }
        case 14: if random.below(5) == 0 { browse() }
        default: run(seconds: random.below(4))
        }
        if !isSlow { step() }
    }

    /// The lies end: of what is there as many remain as there is room for, and all is told again.
    mutating func calm(_ random: inout Draws) {
        for key in announced.keys.sorted(by: { $0.name < $1.name }).dropFirst(limits.instances) { announced[key] = nil }
        for key in announced.keys {
            announced[key]?.isMute = false
            if announced[key]?.addresses.isEmpty == true { announced[key]?.addresses = [[10, 0, 2, 1]] }
        }
        // Lookups that are open were lied to; a daemon would have told them so.
        for (number, _) in operations { answers.append(.failed(number)) }
        browse()
    }
}
