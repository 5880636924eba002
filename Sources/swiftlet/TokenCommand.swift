import ArgumentParser
import Base
import Foundation
import Node

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Makes and reads the tokens by which machines make a network, and puts nodes out of it.",
        discussion: """
            Whoever has a token can join its network. To make one, and use it:
              swiftlet token new --output network.token
              swiftlet worker --p2p --p2p-token-file network.token
              swiftlet serve --model model.gguf --p2p --p2p-token-file network.token

            docs/PEERS.md says more.
            """,
        subcommands: [New.self, Show.self, Revoke.self, Unrevoke.self, Revoked.self])

    struct New: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes a token and prints it, on one line.")

        @Option(
            name: [.customShort("o"), .long], help: ArgumentHelp("Write it into a new file that only you can read.", valueName: "file"))
        var output: String?

        func run() throws {
            let token = NetworkToken.make()
            guard let output else { return try Output.standard.write(token.text + "\n") }
            try TokenFile.write(token, to: output)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows what can be told of a token, without its secrets.")

        @OptionGroup var token: TokenOptions

        @Flag(help: "Print JSON.")
        var json = false

        func run() throws {
            let (token, networkID) = try token.found()
            try Output.standard.write(TokenListing.text(token, networkID: networkID, json: json))
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Puts a node out of a network, by its id.",
            discussion: """
                It is written into this machine's list, and told to the nodes that are found, which keep it and tell it on: whoever meets one \
                that knows of it does too. Tunnels that are open with the node end within seconds. Whoever still has the token can come back \
                with another id: only a new token keeps them out.
                """)

        @Argument(help: ArgumentHelp("The node's id: 32 hexadecimal digits.", valueName: "node"))
        var node: String

        @OptionGroup var token: TokenOptions

        @Flag(help: "Only write it into this machine's list.")
        var local = false

        @OptionGroup var search: SearchOptions

        func run() async throws {
            let isNew = try token.revocations().add(node)
            if !isNew { try Output.error.write("it was revoked before\n") }
            if local { return }
            let (token, networkID) = try token.found()
            let told = try await PeerVisits.run(try search.settings(token, networkID), time: search.time).entries
            let names = told.map { "\($0.card.name) (\($0.card.role.rawValue))" }.joined(separator: ", ")
            try Output.error.write(
                told.isEmpty
                    ? "nobody was found who could be told: those learn of it who meet this machine's nodes later\n"
                    : "told \(told.count == 1 ? "1 node" : "\(told.count) nodes"): \(names)\n")
        }
    }

    struct Unrevoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets a node that was put out into the network again, as far as this machine is concerned.",
            discussion: """
                The lists of other machines stay as they are, and nodes there tell this one's of it again: so it is to be done on all of \
                them, while their nodes do not run. Often it is easier to give the node a new id: delete its key.
                """)

        @Argument(help: ArgumentHelp("The node's id: 32 hexadecimal digits.", valueName: "node"))
        var node: String

        @OptionGroup var token: TokenOptions

        func run() throws {
            let wasThere = try token.revocations().remove(node)
            if !wasThere { try Output.error.write("it was not revoked\n") }
        }
    }

    struct Revoked: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the ids of the nodes that were put out of a network.")

        @OptionGroup var token: TokenOptions

        func run() throws {
            try Output.standard.write(try token.revocations().ids.sorted().map { $0 + "\n" }.joined())
        }
    }
}

extension TokenOptions {
    /// The list of the network that is meant.
    fileprivate func revocations() throws -> RevocationList {
        let environment = ProcessInfo.processInfo.environment
        let (token, networkID) = try found(environment)
        let path = try RevocationList.path(tag: token.tag(networkID: networkID), environment: environment)
        return RevocationList(path: path) { try? Output.error.write("warning: \($0)\n") }
    }
}
