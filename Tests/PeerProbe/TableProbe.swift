import Foundation
import Logging
import NodePeers
import RPCProto

/// A node of the distributed hash table that does what its input says, a line each: `announce KEY PORT`, `withdraw`, `look KEY`, `status`,
/// `stop`. What it finds is printed as it comes.
enum TableProbe {
    static func run(host: String, bootstrap: [String]) {
        do {
            var options = TableService.Options(bootstrap: try bootstrap.map { try Endpoint(parsing: $0) })
            options.host = host
            options.sharesNeighbourhoods = true
            let service = TableService(options, logger: Logger(label: "table")) { key, place in
                Output.write(["found": ["\(place)"], "key": text(key)])
            } ended: { key in
                Output.write(["ended": text(key)])
            }
            try service.start()
            Output.write(["port": service.port])
            while let line = readLine() {
                let words = line.split(separator: " ").map(String.init)
                switch (words.first, words.count) {
                case ("announce", 3):
                    service.announce([key(words[1])], port: Int(words[2]) ?? 0)
                    Output.write(["announcing": true])
                case ("withdraw", 1): service.announce([], port: 1)
                case ("look", 2): service.look(for: [key(words[1])])
                case ("status", 1):
                    let status = service.status
                    Output.write(["good": status.nodes, "stored": status.storedPeers, "external": status.ownHosts])
                case ("stop", 1):
                    service.stop()
                    Output.write(["stopped": true])
                    return
                default: Output.write(["error": "what is '\(line)'?"])
                }
            }
            service.stop()
        } catch {
            Output.write(["error": "\(error)"])
            exit(1)
        }
    }

    private static func text(_ key: [UInt8]) -> String { key.map { String(format: "%02x", $0) }.joined() }

    private static func key(_ text: String) -> [UInt8] {
        let digits = Array(text)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
    }
}
