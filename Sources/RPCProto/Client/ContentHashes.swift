internal import Synchronization
public import Tensor

/// How hashes of one model's contents are found that nobody has computed yet, and which servers turned out to have any of that
/// model in a cache: only for those is it worth computing them.
public final class ContentHashes: Sendable {
    private let compute: @Sendable ([TensorUpload]) -> [UInt64]
    private let signs = Mutex<[Sign]>([])

    /// What the answers over a connection say.
    private struct Sign {
        weak var connection: ServerConnection?
        var missedCount = 0
        var hasSome = false
    }

    /// What is known of a server's cache.
    enum Finding {
        case unknown
        /// It has something of the model.
        case something
        /// It has nothing of the model, or no cache at all.
        case nothing
    }

    /// Contents that a server must not have, none that it has among them, before it is taken for one without a cache.
    static let probeCount = 3

    /// - Parameter compute: the contents' ``FNVHash``es, in their order. It is called on threads that may be kept waiting, on
    ///   several at a time.
    public init(_ compute: @escaping @Sendable ([TensorUpload]) -> [UInt64]) {
        self.compute = compute
    }

    /// Computes one by one, and remembers nothing.
    public convenience init() {
        self.init { $0.map { FNVHash.of($0.content.bytes) } }
    }

    func hashes(of tensors: [TensorUpload]) -> [UInt64] { compute(tensors) }

    func finding(_ connection: ServerConnection) -> Finding {
        signs.withLock { signs in
            guard let sign = signs.first(where: { $0.connection === connection }) else { return .unknown }
            return sign.hasSome ? .something : sign.missedCount >= ContentHashes.probeCount ? .nothing : .unknown
        }
    }

    /// Notes what a server answered to questions by hash.
    func note(_ connection: ServerConnection, asked: Int, found: Int) {
        if asked == 0 { return }
        signs.withLock { signs in
            signs.removeAll { $0.connection == nil }
            let index = signs.firstIndex { $0.connection === connection } ?? signs.endIndex
            if index == signs.endIndex { signs.append(Sign(connection: connection)) }
            signs[index].missedCount += asked - found
            if found > 0 { signs[index].hasSome = true }
        }
    }
}
