public import Foundation

/// What a server tells of a peers' network that it is part of. Who has a network hands one in.
///
/// Asked on any thread, and often: what it says is held in memory.
public protocol NetworkView: Sendable {
    /// What lets a machine in. Told to those only who may have it.
    var token: String { get }
    /// Which of a token's networks it is; nil for the one without a name.
    var networkID: String? { get }
    /// This machine's own id.
    var nodeID: String { get }
    /// All that are known, those that are gone and those that are not used included, without this machine.
    var nodes: [NetworkNode] { get }
    /// What is run on another machine to add it, without the token: `swiftlet worker --p2p`.
    var workerCommand: String { get }
    /// When this machine became part of it.
    var startTime: Date { get }
}

/// A machine of a peers' network, as another one knows it.
public struct NetworkNode: Hashable, Sendable {
    public enum Role: String, Hashable, Sendable {
        /// It uses workers.
        case head
        case worker
        /// It brings others' bytes from one place to another.
        case tunnel
    }

    public var id: String
    /// What people call it.
    public var name: String
    public var role: Role
    /// The program's; empty where it did not say.
    public var version: String
    /// Where it was seen, as `10.0.0.7:50052`; the one that is used comes first.
    public var addresses: [String]
    /// What it computes with, in few words; empty where it did not say.
    public var devices: String
    public var isOnline: Bool
    public var lastSeen: Date
    /// Why it is not used; nil where it is, or could be.
    public var reason: String?

    public init(
        id: String, name: String, role: Role, version: String = "", addresses: [String] = [], devices: String = "", isOnline: Bool,
        lastSeen: Date, reason: String? = nil
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.version = version
        self.addresses = addresses
        self.devices = devices
        self.isOnline = isOnline
        self.lastSeen = lastSeen
        self.reason = reason
    }
}
