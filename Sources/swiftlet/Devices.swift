import ArgumentParser
import Base
import Node

struct Devices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what this machine computes with, and which kernels fit it.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let text = try await BlockingWork.alone(name: "devices") { DeviceListing.text(json: json) }
        try Output.standard.write(text)
    }
}
