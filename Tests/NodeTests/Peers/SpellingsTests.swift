import NodePeers
import Testing

/// Command lines of LocalAI's workers, as its documentation and people's units have them, mean here what they mean there.
@Suite struct SpellingsTests {
    private static func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }

    @Test(
        arguments: [
            ("worker p2p-llama-cpp-rpc", [:], "worker --p2p"), ("p2p-worker p2p-llama-cpp-rpc", [:], "worker --p2p"),
            ("worker p2p-llama-cpp-rpc --token T", [:], "worker --p2p --p2p-token T"),
            ("worker p2p-llama-cpp-rpc --token=T= --peer-2-peer-network-id n", [:], "worker --p2p --p2p-token T= --p2p-network-id n"),
            ("p2p-worker p2p-llama-cpp-rpc --backends-path /b --require-backend-integrity --debug", [:], "worker --p2p --log-level debug"),
            ("worker p2p-llama-cpp-rpc --log-level warn --log-format=default", [:], "worker --p2p --log-level warning --log-format text"),
            ("worker p2p-llama-cpp-rpc", ["EXTRA_LLAMA_CPP_ARGS": "-m 4096 -t 3"], "worker --p2p --memory 4096M --threads 3"),
            ("worker p2p-llama-cpp-rpc --llama-cpp-args=-c", ["EXTRA_LLAMA_CPP_ARGS": "-m 4096"], "worker --p2p -c"),
            ("worker p2p-llama-cpp-rpc -- -m 4096 -d CPU", [:], "worker --p2p --memory 4096M --device CPU"),
            (
                "worker p2p-llama-cpp-rpc --memory 6G --collectives --metrics 9095", [:],
                "worker --p2p --memory 6G --collectives --metrics 9095"
            ),
            ("worker p2p-llama-cpp-rpc --token", [:], "worker --p2p --token"),

            ("worker p2p-llama-cpp-rpc --no-runner --token T", [:], "tunnel --expose 127.0.0.1:50052 --p2p-token T"),
            ("worker p2p-llama-cpp-rpc --no-runner --runner-address 10.0.0.7 --runner-port=6000", [:], "tunnel --expose 10.0.0.7:6000"),
            ("worker p2p-llama-cpp-rpc --no-runner --runner-address ::1", [:], "tunnel --expose [::1]:50052"),
            (
                "p2p-worker p2p-llama-cpp-rpc",
                ["NO_RUNNER": "true", "RUNNER_ADDRESS": "h", "LOCALAI_RUNNER_PORT": "7", "RUNNER_PORT": "8"],
                "tunnel --expose h:7"
            ),
            ("worker p2p-llama-cpp-rpc --no-runner=false", ["LOCALAI_NO_RUNNER": "1"], "worker --p2p"),
            ("worker p2p-llama-cpp-rpc", ["NO_RUNNER": "0"], "worker --p2p"),
            ("worker p2p-llama-cpp-rpc --no-runner", ["EXTRA_LLAMA_CPP_ARGS": "-m 1"], "tunnel --expose 127.0.0.1:50052"),

            ("worker llama-cpp-rpc 10.0.0.5 50052", [:], "worker --host 10.0.0.5 --port 50052"),
            ("p2p-worker llama-cpp-rpc 10.0.0.5", [:], "worker --host 10.0.0.5"), ("worker llama-cpp-rpc", [:], "worker"),
            ("worker llama-cpp-rpc -c 10.0.0.5 50052 --cache-dir /c", [:], "worker --host 10.0.0.5 --port 50052 -c --cache-dir /c"),
            ("worker llama-cpp-rpc -- -H 0.0.0.0 -p 50052 -m 8192", [:], "worker --host 0.0.0.0 --port 50052 --memory 8192M"),
            (
                "worker llama-cpp-rpc", ["LOCALAI_EXTRA_LLAMA_CPP_ARGS": "--host 0.0.0.0 --port 50052", "EXTRA_LLAMA_CPP_ARGS": "-c"],
                "worker --host 0.0.0.0 --port 50052"
            ),

            // Ours, and others'.
            ("worker 10.0.0.5 50052", ["NO_RUNNER": "1", "EXTRA_LLAMA_CPP_ARGS": "-c"], "worker 10.0.0.5 50052"),
            ("worker --p2p --p2p-token T", [:], "worker --p2p --p2p-token T"), ("worker -m 8192", [:], "worker -m 8192"),
            ("serve --p2ptoken T", [:], "serve --p2ptoken T"), ("p2p-worker p2p-mlx", [:], "p2p-worker p2p-mlx"),
            ("run p2p-llama-cpp-rpc", [:], "run p2p-llama-cpp-rpc"), ("worker", [:], "worker"), ("", [:], ""),
        ] as [(String, [String: String], String)])
    func table(given: String, environment: [String: String], ours: String) {
        #expect(Spellings.rewritten(Self.words(given), environment: environment) == Self.words(ours))
    }

    /// As a shell gives it, in one argument.
    @Test func quotedArguments() {
        let given = ["worker", "llama-cpp-rpc", "--llama-cpp-args=-H 0.0.0.0  -p 6000 -m 512"]
        #expect(Spellings.rewritten(given, environment: [:]) == Self.words("worker --host 0.0.0.0 --port 6000 --memory 512M"))
        let apart = ["worker", "p2p-llama-cpp-rpc", "--llama-cpp-args", "-m 512"]
        #expect(Spellings.rewritten(apart, environment: [:]) == Self.words("worker --p2p --memory 512M"))
    }

    /// Every token on a command line is found, in all spellings, so that it can be hidden.
    @Test(
        arguments: [
            ("swiftlet worker --p2p-token T --x", [3: 0]), ("swiftlet worker --p2p-token=T --token T", [2: 12, 4: 0]),
            ("swiftlet serve --p2ptoken=T", [2: 11]), ("swiftlet token show --token=", [3: 8]), ("swiftlet --p2p-token", [:]),
            ("swiftlet serve --p2p-token-file F --tokens T", [:]),
        ] as [(String, [Int: Int])])
    func secrets(line: String, places: [Int: Int]) {
        let found = SecretArguments.places(in: Self.words(line))
        #expect(Dictionary(found.map { ($0.index, $0.offset) }) { first, _ in first } == places)
    }
}
