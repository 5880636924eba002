/// What one version of the protocol has and how it packs it: the only place that knows how versions differ.
///
/// A client names no version of its own and gives up on a server of another major, so a session speaks one dialect from
/// its first byte. Facts: ggml's `ggml-rpc.cpp` at 8.0.0, 7.0.0 and 5.1.0.
public struct Dialect: Hashable, Sendable, CustomStringConvertible {
    /// How this version numbers operations.
    package let table: OperationTable

    /// What HELLO answers.
    public var version: WireVersion { table.version }

    /// The newest version, which stock llama.cpp has spoken since October 2026.
    public static let newest = Dialect(.newest)

    /// All that can be spoken, newest first.
    public static let all = OperationTable.versions.reversed().compactMap { OperationTable.version($0) }.map(Dialect.init)

    /// The dialect of exactly this version; nil if there is none.
    public static func version(_ version: WireVersion) -> Dialect? { OperationTable.version(version).map(Dialect.init) }

    /// What to speak with a server that says it has this version; nil if nothing that is known fits it.
    ///
    /// As stock clients decide: another patch of the same major and minor, or a lower minor of the same major than one that is known.
    /// Operations are numbered anew by patches, too, so the whole version counts where it is known.
    public static func speaking(to version: WireVersion) -> Dialect? {
        if let exact = Dialect.version(version) { return exact }
        let fitting = all.filter { $0.version.major == version.major && $0.version.minor >= version.minor }
        // Of what is newer the nearest.
        return fitting.min { $0.version < $1.version }
    }

    /// The newest dialect whose version begins with what a person wrote: "8", "7.0", "5.1.0". Nil if there is none.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count <= 3 else { return nil }
        let found = Dialect.all.first { dialect in
            let version = dialect.version
            return zip(parts, [version.major, version.minor, version.patch]).allSatisfy { $0 == $1 }
        }
        guard let found else { return nil }
        self = found
    }

    private init(_ table: OperationTable) {
        self.table = table
    }

    /// Major and minor, as people name a version.
    public var description: String { "\(version.major).\(version.minor)" }

    public static func == (a: Dialect, b: Dialect) -> Bool { a.version == b.version }

    public func hash(into hasher: inout Hasher) { hasher.combine(version) }

    // MARK: Commands

    /// The command of that number; nil where this version has none.
    public func command(_ number: UInt8) -> Command? {
        guard let command = Command(rawValue: number), has(command) else { return nil }
        return command
    }

    /// Whether this version has the command.
    public func has(_ command: Command) -> Bool {
        switch command {
        case .setTensor2D, .getTensor2D, .joinCollective, .reduceCollective, .leaveCollective: version.major >= 8
        default: true
        }
    }

    /// Bytes that every request of this command has in this version: all of it, or what comes before the data.
    public func headByteCount(of command: Command) -> Int {
        switch command {
        case .setTensor where !hasCacheFlag: command.headByteCount - 1
        case .computeGraph where !hasGraphNumbers, .recomputeGraph where !hasGraphNumbers: command.headByteCount - 8
        default: command.headByteCount
        }
    }

    /// Whether the command is answered with a response of no bytes, where later versions answer nothing at all.
    public func confirms(_ command: Command) -> Bool {
        switch command {
        case .freeBuffer, .clearBuffer, .initTensor, .fillTensor: version.major < 6
        default: false
        }
    }

    // MARK: Contents

    /// Whether graphs have numbers (`uid`) by which they are computed again. Where they have none, it is always the
    /// device's last one, which reads as ``Request/lastGraph``.
    public var hasGraphNumbers: Bool { version.major >= 8 }

    /// Whether SET_TENSOR says if a cache is to keep the content. Where it does not, size tells: ``isCacheable(_:byteCount:)``.
    public var hasCacheFlag: Bool { version.major >= 7 }

    /// Whether a cache is to keep the content of a SET_TENSOR.
    ///
    /// - Parameter flag: as the request was read.
    public func isCacheable(_ flag: Bool, byteCount: UInt64) -> Bool {
        hasCacheFlag ? flag : byteCount > Dialect.hashedByteCount
    }

    /// Contents larger than this are asked for by SET_TENSOR_HASH before they are sent; in bytes.
    public static let hashedByteCount: UInt64 = 10 << 20
    /// Our heads ask for contents of at least so many bytes before they send them, and our caches keep no smaller ones.
    static let askedByteCount = 64 << 10

    /// Bytes of one SET_TENSOR at most that is no weight: servers take a message into memory whole, and those that decide by size
    /// would keep larger ones on their disks.
    var messageByteCount: Int { hasCacheFlag ? 1 << 30 : Int(Dialect.hashedByteCount) }

    /// Whether records in graphs may name buffers of other servers.
    public var hasForeignHandles: Bool { version.major < 7 }
}
