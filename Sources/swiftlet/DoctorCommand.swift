import ArgumentParser
import Base
import Foundation
import Node

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Looks at this machine and at workers, and says what is in the way.",
        discussion: """
            A line for each thing: 'ok', '-' for what could be had and is not there, '!!' for what is wrong, with what to do. Put it into \
            reports of faults. Exit status: 0 where nothing is wrong, 1 otherwise.
            """)

    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws { try workers.check() }

    func run() async throws {
        let (options, json) = (workers.options, json)
        let (text, isWell) = try await BlockingWork.alone(name: "doctor") {
            Doctor.text(options, ProcessInfo.processInfo.environment, json: json)
        }
        try Output.standard.write(text)
        if !isWell { throw ExitCode.failure }
    }
}
