internal import Tensor

/// The graphs of one device that a head may ask for again by uid.
///
/// Both sides keep up to 1024 and forget all before they add one more, so a head never asks for one that is gone. The
/// most recently used are kept ready to run; of the rest, only the message. O(1) per use, but for evictions.
struct GraphCache {
    static let limit = 1024

    private struct Entry {
        var nodeCount: UInt32
        var message: [UInt8]
        var handles: Set<UInt64>
        var plan: (any Plan)?
        var lastUse: UInt64
    }

    private var entries: [UInt64: Entry] = [:]
    private var clock: UInt64 = 0
    private var preparedCount = 0
    private let preparedLimit: Int
    /// Bytes of the messages of prepared graphs: plans take some times as much.
    private var preparedByteCount = 0
    private let preparedByteLimit: Int
    /// Bytes of all messages.
    private(set) var byteCount = 0
    private let byteLimit: Int
    private let allowance: ByteAllowance?

    init(_ options: SessionOptions) {
        preparedLimit = max(1, options.preparedGraphCount)
        preparedByteLimit = options.preparedGraphByteCount
        byteLimit = options.keptGraphByteCount
        allowance = options.keptGraphAllowance
    }

    var count: Int { entries.count }

    /// Keeps a graph under a uid that is not 0.
    ///
    /// - Returns: false if the messages would be larger than may be kept. None of them can be dropped for it: the head
    ///   remembers them all.
    mutating func add(
        _ uid: UInt64, nodeCount: UInt32, _ message: [UInt8], _ handles: Set<UInt64>, _ plan: any Plan
    ) -> Bool {
        if entries.count >= GraphCache.limit { removeAll() }
        remove(uid)
        guard message.count <= byteLimit - byteCount, allowance?.take(message.count) ?? true else { return false }
        byteCount += message.count
        clock += 1
        entries[uid] = Entry(nodeCount: nodeCount, message: message, handles: handles, plan: plan, lastUse: clock)
        countPrepared(message)
        evict()
        return true
    }

    private mutating func countPrepared(_ message: [UInt8]) {
        preparedCount += 1
        preparedByteCount += message.count
    }

    private mutating func remove(_ uid: UInt64) {
        guard let entry = entries.removeValue(forKey: uid) else { return }
        byteCount -= entry.message.count
        allowance?.giveBack(entry.message.count)
        if entry.plan == nil { return }
        preparedCount -= 1
        preparedByteCount -= entry.message.count
    }

    mutating func removeAll() {
        allowance?.giveBack(byteCount)
        entries.removeAll(keepingCapacity: true)
        preparedCount = 0
        preparedByteCount = 0
        byteCount = 0
    }

    enum Found {
        case ready(any Plan)
        case message([UInt8], nodeCount: UInt32)
    }

    mutating func find(_ uid: UInt64) -> Found? {
        guard let entry = entries[uid] else { return nil }
        clock += 1
        entries[uid]?.lastUse = clock
        if let plan = entry.plan { return .ready(plan) }
        return .message(entry.message, nodeCount: entry.nodeCount)
    }

    /// Puts the plan of a graph back that had only its message.
    mutating func restore(_ uid: UInt64, _ plan: any Plan) {
        guard let entry = entries[uid], entry.plan == nil else { return }
        entries[uid]?.plan = plan
        countPrepared(entry.message)
        evict()
    }

    /// Forgets the graphs that touch a buffer.
    mutating func forget(buffer handle: UInt64) {
        for (uid, entry) in entries where entry.handles.contains(handle) { remove(uid) }
    }

    /// Leaves the one used last ready, however large it is.
    private mutating func evict() {
        while preparedCount > preparedLimit || (preparedByteCount > preparedByteLimit && preparedCount > 1) {
            guard let oldest = entries.filter({ $0.value.plan != nil }).min(by: { $0.value.lastUse < $1.value.lastUse }) else {
                return
            }
            entries[oldest.key]?.plan = nil
            preparedCount -= 1
            preparedByteCount -= oldest.value.message.count
        }
    }
}
