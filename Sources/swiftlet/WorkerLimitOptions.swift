import ArgumentParser
import Base
import Node

/// How much clients of a worker may take.
struct WorkerLimitOptions: ParsableArguments {
    private static let defaults = WorkerOptions.Limits()

    @Option(name: .customLong("max-connections"), help: ArgumentHelp("Connections at a time.", valueName: "n"))
    var connections = defaults.connections

    @Option(name: .customLong("max-per-client"), help: ArgumentHelp("Connections at a time from one address.", valueName: "n"))
    var connectionsPerClient = defaults.connectionsPerClient

    @Option(name: .customLong("max-buffers"), help: ArgumentHelp("Buffers of one connection.", valueName: "n"))
    var buffers = defaults.buffers

    @Option(name: .customLong("max-graph"), help: ArgumentHelp("Size of one graph's message, such as 32M.", valueName: "size"))
    var graph = ByteSize(defaults.graphByteCount)

    @Option(
        name: .customLong("max-kept-graphs"),
        help: ArgumentHelp("Size of the graphs that one connection has kept for it, such as 1G; all have twice that.", valueName: "size"))
    var keptGraphs = ByteSize(defaults.keptGraphByteCount)

    @Option(name: .customLong("graph-timeout"), help: ArgumentHelp("Seconds that one graph may compute.", valueName: "s"))
    var graphSeconds = defaults.graphSeconds

    @Option(
        name: .customLong("idle-timeout"),
        help: ArgumentHelp(
            "Seconds between messages after which a connection is closed; 0 for any. Heads at rest are silent.", valueName: "s"))
    var idleSeconds = defaults.idleSeconds

    @Option(name: .customLong("greeting-timeout"), help: ArgumentHelp("Seconds within which a new connection must greet.", valueName: "s"))
    var greetingSeconds = defaults.greetingSeconds

    @Option(
        name: .customLong("stall-timeout"),
        help: ArgumentHelp("Seconds within which a message that has begun must come along.", valueName: "s"))
    var stallSeconds = defaults.stallSeconds

    @Option(
        name: .customLong("keep-alive"),
        help: ArgumentHelp("Seconds after which a client that vanished without a word is given up.", valueName: "s"))
    var keepAliveSeconds = defaults.keepAliveSeconds

    @Option(help: ArgumentHelp("Seconds that requests under way may take once the worker is told to stop.", valueName: "s"))
    var grace = WorkerOptions().graceSeconds

    func validate() throws {
        try checkPositive(connections, "--max-connections", atMost: 65536)
        try checkPositive(connectionsPerClient, "--max-per-client", atMost: 65536)
        try checkPositive(buffers, "--max-buffers", atMost: 1 << 20)
        // The least that a step of a small model takes.
        for (size, name) in [(graph, "--max-graph"), (keptGraphs, "--max-kept-graphs")] { try checkSize(size, name, atLeast: 64 << 10) }
        try checkPositive(graph.count, "--max-graph", atMost: 1 << 40)
        try checkPositive(keptGraphs.count, "--max-kept-graphs", atMost: 1 << 44)
        try checkPositive(keepAliveSeconds, "--keep-alive", atMost: 86400)
        for (value, name) in [
            (graphSeconds, "--graph-timeout"), (greetingSeconds, "--greeting-timeout"), (stallSeconds, "--stall-timeout"),
        ]
        where !(value > 0 && value <= 1e8) {
            throw ValidationError("\(name) must be more than 0.")
        }
        for (value, name) in [(idleSeconds, "--idle-timeout"), (grace, "--grace")] where !(value >= 0 && value <= 1e8) {
            throw ValidationError("\(name) must not be negative.")
        }
    }

    var limits: WorkerOptions.Limits {
        var limits = WorkerOptions.Limits()
        limits.connections = connections
        limits.connectionsPerClient = connectionsPerClient
        limits.buffers = buffers
        limits.graphByteCount = graph.count
        limits.keptGraphByteCount = keptGraphs.count
        limits.graphSeconds = graphSeconds
        limits.idleSeconds = idleSeconds
        limits.greetingSeconds = greetingSeconds
        limits.stallSeconds = stallSeconds
        limits.keepAliveSeconds = keepAliveSeconds
        return limits
    }
}
