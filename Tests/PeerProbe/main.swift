import Foundation
import NodePeers

// Announces, browses, has a router's port mapped, or is a node of the distributed hash table, for the checks of Tests/Interop: a line of JSON
// for each thing that happens.

let arguments = Array(CommandLine.arguments.dropFirst())

do {
    switch arguments.first {
    case "announce" where arguments.count >= 3:
        guard let port = Int(arguments[2]), (1...65535).contains(port) else { usage() }
        let announcer = try ServiceAnnouncer(name: arguments[1], port: port, text: entries(arguments.dropFirst(3))) { Output.say($0) }
        // Each line of the input replaces the TXT record; "stop" takes the announcement back.
        while let line = readLine() {
            if line == "stop" {
                announcer.stop()
                Output.write(["stopped": true])
                continue
            }
            try announcer.update(text: entries(line.split(separator: " ").map(String.init)[...]))
        }
        while true { sleep(1000) }
    case "browse" where arguments.count == 3 || arguments.count == 4:
        guard let seconds = Double(arguments[2]) else { usage() }
        let filter = ServiceFilter(tag: arguments[1], prefix: arguments.count == 4 ? arguments[3] : "")
        let browser = try ServiceBrowser(filter, onCondition: { Output.say($0) }, onChange: { Output.say($0) })
        Thread.sleep(forTimeInterval: seconds)
        browser.stop()
    case "map" where arguments.count >= 2: try map(arguments[1], entries(arguments.dropFirst(2)))
    case "dht" where arguments.count >= 2: TableProbe.run(host: arguments[1], bootstrap: Array(arguments.dropFirst(2)))
    default: usage()
    }
} catch {
    Output.write(["error": "\(error)"])
    exit(1)
}

func usage() -> Never {
    FileHandle.standardError.write(
        Data(
            """
            peer-probe announce NAME PORT key=value… | browse TAG SECONDS [PREFIX] | map PORT [option=value…] | dht HOST [HOST:PORT…]

            """.utf8))
    exit(2)
}

func entries(_ words: ArraySlice<String>) -> [String: String] {
    var entries: [String: String] = [:]
    for word in words {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        entries[parts[0]] = parts.count > 1 ? parts[1] : ""
    }
    return entries
}
