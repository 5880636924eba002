internal import Base
internal import Foundation
internal import NodeEngine
internal import Synchronization
internal import UnixSignals

/// A conversation with a model on a terminal.
///
/// Reads lines, puts the conversation so far into the model's chat template, streams the answer and keeps it. A line that
/// ends in a backslash goes on with the next.
public struct TerminalChat: Sendable {
    private let continuation: Continuation
    private let system: String?
    /// The next line without its end; nil when there are no more.
    private let readLine: @Sendable (_ prompt: String) -> String?
    private let interruption = Interruption()

    public init(
        _ continuation: Continuation, system: String? = nil,
        readLine: @escaping @Sendable (_ prompt: String) -> String? = Self.readTerminalLine
    ) {
        self.continuation = continuation
        self.system = system
        self.readLine = readLine
    }

    /// What Ctrl-C stops.
    private final class Interruption: Sendable {
        private let answer = Mutex<Task<Continuation.Account, any Error>?>(nil)

        func set(_ task: Task<Continuation.Account, any Error>?) {
            answer.withLock { $0 = task }
        }

        /// - Returns: whether there was an answer to stop.
        func stop() -> Bool {
            answer.withLock { task in
                task?.cancel()
                return task != nil
            }
        }
    }

    /// As ``run()``; Ctrl-C stops the answer under way, and without one ends the process.
    public func runUntilInterrupted() async throws {
        let interruption = interruption
        let watch = Task {
            for await _ in await UnixSignalsSequence(trapping: .sigint) where !interruption.stop() {
                try? Output.error.write("\n")
                exit(130)
            }
        }
        defer { watch.cancel() }
        try await run()
    }

    /// Shows `prompt` on standard error where people are looking, and reads a line of standard input.
    @Sendable public static func readTerminalLine(prompt: String) -> String? {
        if Output.error.isTerminal { try? Output.error.write(prompt) }
        return Swift.readLine(strippingNewline: true)
    }

    private static let help = """
        /clear  forget the conversation
        /exit   end (so does Ctrl-D)
        Ctrl-C  stop an answer
        A line that ends in \\ goes on in the next.

        """

    /// Goes on until `/exit` or the end of input.
    public func run() async throws {
        var messages = opening
        while let line = try await nextLine() {
            switch line {
            case "": continue
            case "/exit", "/quit": return
            case "/help": try Output.error.write(Self.help)
            case "/clear":
                messages = opening
                try Output.error.write("The conversation is forgotten.\n")
            case let line where line.hasPrefix("/"):
                try Output.error.write("There is no command '\(line)'; /help lists them.\n")
            default:
                messages.append(.init(role: "user", content: line))
                if let text = try await answer(messages) {
                    messages.append(.init(role: "assistant", content: text))
                } else {
                    messages.removeLast()
                }
            }
        }
    }

    private var opening: [Conversation.Message] {
        system.map { [.init(role: "system", content: $0)] } ?? []
    }

    private func nextLine() async throws -> String? {
        let readLine = readLine
        return try await BlockingWork.alone(name: "terminal") {
            guard var line = readLine("> ") else { return nil }
            while line.hasSuffix("\\"), let more = readLine("… ") {
                line = line.dropLast() + "\n" + more
            }
            return line
        }
    }

    /// - Returns: nil if the question could not be asked.
    private func answer(_ messages: [Conversation.Message]) async throws -> String? {
        let continuation = continuation
        do {
            let prompt = try await continuation.engine.render(Conversation(messages: messages))
            let task = Task { try await continuation.write(.rendered(prompt)) }
            interruption.set(task)
            defer { interruption.set(nil) }
            // Whoever ends the conversation ends the answer with it.
            let account = try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
            try continuation.output.write("\n")
            if Output.error.isTerminal { try Output.error.write("\u{1b}[2m\(account.summary)\u{1b}[0m\n") }
            return account.text
        } catch EngineError.promptTooLong(let tokens, let limit) {
            try Output.error.write("The conversation has \(tokens) tokens, and only \(limit) fit. /clear starts a new one.\n")
        } catch EngineError.template(let message) {
            try Output.error.write("The model's template refuses that: \(message)\n")
        }
        return nil
    }
}
