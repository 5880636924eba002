internal import Foundation

/// Which other machines help to run a model, and how.
public struct HeadOptions: Hashable, Sendable {
    /// `host:port` of each; none keeps the model on this machine.
    public var workers: [String]
    /// Whether layers may be put on this machine as well.
    public var usesLocal: Bool
    /// Shares of the model by device, the workers' in their order, then this machine's in theirs; nil goes by free memory.
    public var split: [Double]?
    /// Seconds without an answer, or without any progress of a transfer, after which a worker is given up.
    public var timeout: Int
    /// Have all logits sent for every token, also where the likeliest would do.
    public var sendsAllLogits: Bool
    /// Whether hidden states travel between machines as F16: half the bytes, and answers that differ a little.
    public var halvesHiddenStates: Bool
    /// The devices of this machine that layers may be put on, as `LocalDevices` names them; empty for those that are used unless others
    /// are named.
    public var devices: [String]

    public init(
        workers: [String] = [], usesLocal: Bool = true, devices: [String] = [], split: [Double]? = nil,
        timeout: Int = HeadOptions.defaultTimeout, sendsAllLogits: Bool = false, halvesHiddenStates: Bool = false
    ) {
        self.halvesHiddenStates = halvesHiddenStates
        self.workers = workers
        self.usesLocal = usesLocal
        self.devices = devices
        self.split = split
        self.timeout = timeout
        self.sendsAllLogits = sendsAllLogits
    }

    public static let defaultTimeout = 120

    /// Where users of other programs have their lists, the first that is set: llama.cpp's variable, then LocalAI's.
    public static let environmentVariables = ["LLAMA_ARG_RPC", "LLAMACPP_GRPC_SERVERS"]

    /// The endpoints of a list separated by commas: `a:50052,b:50052`.
    public static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
