import ArgumentParser
import Foundation
import Node

/// Which machines run a model, of every command that does.
struct WorkersOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Workers that take layers of the model, as host:port (port 50052 if left out), separated by commas: ones of swiftlet and \
            stock rpc-servers alike. Default: what \(HeadOptions.environmentVariables.joined(separator: " or ")) says.
            """, valueName: "list"))
    var workers: String?

    @Flag(name: .customLong("no-local"), help: "Put no layers on this machine; it still looks up embeddings and chooses tokens.")
    var noLocal = false

    @Option(
        help: ArgumentHelp(
            "Shares of the model by device, in the workers' order, this machine's last: 3,1. Default: by free memory.", valueName: "list"))
    var split: Shares?

    @Option(
        name: .customLong("device"),
        help: ArgumentHelp(
            "The devices of this machine to put layers on, separated by commas: \(DeviceListing.names). Default: \(DeviceListing.usualNames).",
            valueName: "names"))
    var devices: String?

    @Option(
        name: .customLong("worker-timeout"),
        help: ArgumentHelp("Seconds without an answer after which a worker is given up; serve decides sooner.", valueName: "s"))
    var timeout = HeadOptions.defaultTimeout

    @Flag(
        name: .customLong("full-logits"),
        help: "Have all logits sent for every token, for workers that cannot pick the likeliest ones themselves.")
    var fullLogits = false

    @Option(
        name: .customLong("hidden-type"),
        help: ArgumentHelp(
            "What hidden states travel as between machines: f32, or f16, half the bytes, for links that are slow; answers differ a little then.",
            valueName: "type"))
    var hiddenType = HiddenType.f32

    func validate() throws {
        try checkPositive(timeout, "--worker-timeout", atMost: 86400)
        if let workers, HeadOptions.list(workers).isEmpty { throw ValidationError("--workers names no machine.") }
        if noLocal, devices != nil { throw ValidationError("--device names devices of this machine, and --no-local puts nothing on it.") }
    }

    /// For each command's own validation: only it knows whether workers come from a network as well.
    func check(hasNetwork: Bool = false) throws {
        if !options.workers.isEmpty || hasNetwork { return }
        if noLocal { throw ValidationError("--no-local needs --workers: there would be no machine left.") }
        if split != nil, options.devices.count < 2 {
            throw ValidationError("--split needs --workers, or several devices (--device): there is nothing to split between.")
        }
    }

    var options: HeadOptions {
        let environment = ProcessInfo.processInfo.environment
        let list = workers ?? HeadOptions.environmentVariables.lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        return HeadOptions(
            workers: HeadOptions.list(list), usesLocal: !noLocal, devices: HeadOptions.list(devices ?? ""), split: split?.values,
            timeout: timeout, sendsAllLogits: fullLogits, halvesHiddenStates: hiddenType == .f16)
    }
}

/// What hidden states travel as.
enum HiddenType: String, ExpressibleByArgument, CaseIterable { case f32, f16 }

/// Numbers of 0 or more, separated by commas: `3,1`.
struct Shares: ExpressibleByArgument {
    var values: [Double] = []

    init?(argument: String) {
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = Double(word), value.isFinite, value >= 0, value <= 1e9 else { return nil }
            values.append(value)
        }
        if !values.contains(where: { $0 > 0 }) { return nil }
    }
}
