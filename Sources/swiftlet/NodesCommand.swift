import ArgumentParser
import Base
import Foundation
import Node

struct NodesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes",
        abstract: "Lists who is in a network of machines with the same token.",
        discussion: """
            From any machine that has the token:
              swiftlet nodes --p2p-token-file network.token
            """)

    @OptionGroup var token: TokenOptions

    @OptionGroup var search: SearchOptions

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "Also tell what was looked for in vain, and why.")
    var verbose = false

    func run() async throws {
        let (token, networkID) = try token.found()
        let listing = try await PeerVisits.run(
            try search.settings(token, networkID), time: search.time, logLevel: verbose ? "warning" : "error")
        try Output.standard.write(json ? listing.json : listing.text(tellsMisses: verbose))
    }
}
