internal import RPCProto

/// The command lines of LocalAI's workers, put into ours before they are parsed, so that what people have in scripts and units works.
///
/// LocalAI's `worker` (of late `p2p-worker`) starts llama.cpp's rpc-server beside itself, with arguments of its own for it
/// (`--llama-cpp-args`); here the worker is the same program, so those become options of `worker`. What is not LocalAI's stays as it is.
public enum Spellings {
    /// - Parameter arguments: without the program's name.
    public static func rewritten(_ arguments: [String], environment: [String: String]) -> [String] {
        guard arguments.count >= 2, ["worker", "p2p-worker"].contains(arguments[0]), let kind = Kind(rawValue: arguments[1]) else {
            return arguments
        }
        var line = Line()
        line.read(arguments.dropFirst(2))
        switch kind {
        case .alone:
            // Only this one's address can be given as two words.
            let place = zip(["--host", "--port"], line.words).flatMap { [$0, $1] } + line.words.dropFirst(2)
            return ["worker"] + place + line.kept + line.server(environment)
        case .inNetwork:
            let isWithoutRunner = line.hasNoRunner ?? isTrue(value(["LOCALAI_NO_RUNNER", "NO_RUNNER"], environment))
            guard isWithoutRunner else { return ["worker", "--p2p"] + line.kept + line.words + line.server(environment) }
            let host = line.runnerAddress ?? value(["LOCALAI_RUNNER_ADDRESS", "RUNNER_ADDRESS"], environment) ?? "127.0.0.1"
            let port = line.runnerPort ?? value(["LOCALAI_RUNNER_PORT", "RUNNER_PORT"], environment) ?? "\(Endpoint.defaultPort)"
            let isBare = host.contains(":") && !host.hasPrefix("[")
            return ["tunnel", "--expose", (isBare ? "[\(host)]" : host) + ":" + port] + line.kept + line.words
        }
    }

    private enum Kind: String {
        case inNetwork = "p2p-llama-cpp-rpc"
        case alone = "llama-cpp-rpc"
    }

    /// What is found behind LocalAI's words.
    private struct Line {
        /// What is ours, in its order.
        var kept: [String] = []
        /// What is no option.
        var words: [String] = []
        var hasNoRunner: Bool?
        var runnerAddress: String?
        var runnerPort: String?
        /// Arguments for llama.cpp's server, in one text or several.
        var serverArguments: [String]?

        mutating func read(_ arguments: ArraySlice<String>) {
            var rest = arguments
            while let argument = rest.popFirst() {
                if argument == "--" {
                    serverArguments = (serverArguments ?? []) + rest
                    return
                }
                guard argument.hasPrefix("-"), argument.utf8.count > 1 else {
                    words.append(argument)
                    continue
                }
                let equals = argument.hasPrefix("--") ? argument.firstIndex(of: "=") : nil
                let name = String(argument[..<(equals ?? argument.endIndex)])
                let inline = equals.map { String(argument[argument.index(after: $0)...]) }
                switch name {
                case "--no-runner": hasNoRunner = inline.map(Spellings.isTrue) ?? true
                case "--require-backend-integrity", "--log-dedup-logs", "--no-log-dedup-logs": break
                case "--debug": if inline.map(Spellings.isTrue) ?? true { kept += ["--log-level", "debug"] }
                default:
                    guard let option = Spellings.options[name], let value = inline ?? rest.popFirst() else {
                        kept.append(argument)
                        if inline == nil, !Spellings.flags.contains(name), let value = rest.popFirst() { kept.append(value) }
                        continue
                    }
                    switch option {
                    case .dropped: break
                    case .runnerAddress: runnerAddress = value
                    case .runnerPort: runnerPort = value
                    case .serverArguments: serverArguments = value.split(separator: " ").map(String.init)
                    case .renamed(let ours): kept += [ours, Spellings.value(value, of: ours)]
                    }
                }
            }
        }

        /// The arguments for llama.cpp's server, as ours.
        func server(_ environment: [String: String]) -> [String] {
            let given =
                serverArguments ?? Spellings.value(["LOCALAI_EXTRA_LLAMA_CPP_ARGS", "EXTRA_LLAMA_CPP_ARGS"], environment)
                .map { $0.split(separator: " ").map(String.init) } ?? []
            var line = Line()
            // A mark that ends options would only begin them here.
            line.read(given.filter { $0 != "--" }[...])
            return line.kept + line.words
        }
    }

    private enum Option {
        /// LocalAI's own, of which there is nothing here.
        case dropped
        case runnerAddress, runnerPort, serverArguments
        case renamed(String)
    }

    /// Options with a value, LocalAI's and those of llama.cpp's server.
    private static let options: [String: Option] = [
        "--token": .renamed("--p2p-token"), "--p2ptoken": .renamed("--p2p-token"), "--p2p-token": .renamed("--p2p-token"),
        "--peer-2-peer-network-id": .renamed("--p2p-network-id"), "--peer2-peer-network-id": .renamed("--p2p-network-id"),
        "--peer2peer-network-id": .renamed("--p2p-network-id"), "--p2p-network-id": .renamed("--p2p-network-id"),
        "--runner-address": .runnerAddress, "--runner-port": .runnerPort, "--llama-cpp-args": .serverArguments,
        "--backends-path": .dropped, "--backend-galleries": .dropped, "--backends-system-path": .dropped,
        "--log-level": .renamed("--log-level"), "--log-format": .renamed("--log-format"),
        "-m": .renamed("--memory"), "--mem": .renamed("--memory"), "--memory": .renamed("--memory"),
        "-H": .renamed("--host"), "--host": .renamed("--host"), "-p": .renamed("--port"), "--port": .renamed("--port"),
        "-t": .renamed("--threads"), "--threads": .renamed("--threads"),
        "-d": .renamed("--device"), "--device": .renamed("--device"),
    ]

    /// What of ours comes without a value; all else that is not known here takes the next word along.
    private static let flags: Set<String> = ["-c", "--cache", "--collectives", "--p2p", "--no-mdns", "-h", "--help", "--version"]

    /// A value as ours is written. Memory without a unit is llama.cpp's, in MiB.
    private static func value(_ value: String, of option: String) -> String {
        switch (option, value) {
        case ("--memory", _) where !value.isEmpty && value.utf8.allSatisfy { (0x30...0x39).contains($0) }: value + "M"
        case ("--log-level", "warn"): "warning"
        case ("--log-format", "default"): "text"
        default: value
        }
    }

    private static func value(_ names: [String], _ environment: [String: String]) -> String? {
        names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
    }

    private static func isTrue(_ value: String?) -> Bool { value.map { ["1", "true", "yes"].contains($0.lowercased()) } ?? false }
}
