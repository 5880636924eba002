import ArgumentParser
import Base
import Foundation
import Node

@main
struct Swiftlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftlet",
        abstract: "Runs language models in GGUF files.",
        discussion: """
            To talk to a model:        swiftlet run --model model.gguf
            To serve it over HTTP:     swiftlet serve --model model.gguf
            To see what is in a file:  swiftlet inspect model.gguf
            To lend this machine:      swiftlet worker --host ADDRESS
            To use others' machines:   swiftlet serve --model model.gguf --workers ADDRESS:50052,…
            To make a network of them: swiftlet token new
            """,
        version: "swiftlet \(Version.current)",
        subcommands: [
            Serve.self, WorkerCommand.self, Plan.self, Run.self, Embed.self, Tokenize.self, Inspect.self, Devices.self,
            Bench.self, PerplexityCommand.self, Eval.self, DoctorCommand.self, TokenCommand.self,
            NodesCommand.self, TunnelCommand.self, BootstrapCommand.self,
        ])

    static func main() async {
        let arguments = Spellings.rewritten(
            Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
        SecretArguments.hide()
        DNSServiceLibrary.silence()
        StandardDescriptors.fill()
        // Every command may map files, and have its readers leave.
        MappedFiles.explainLosses()
        BrokenPipes.ignore()
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let error as OutputError where error.isUnread {
            BrokenPipes.end()
        } catch {
            exit(withError: error)
        }
    }
}
