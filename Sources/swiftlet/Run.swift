import ArgumentParser
import Node

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Continues a prompt, or talks with you.",
        discussion: """
            With --prompt: prints the model's answer to it, or with --raw its continuation, on standard output, and all else on \
            standard error. Without: a conversation on the terminal (/help lists what can be typed).
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var threads: ThreadOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Option(name: [.customShort("p"), .long], help: ArgumentHelp("What to answer or continue.", valueName: "text"))
    var prompt: String?

    @Option(name: [.customShort("f"), .long], help: ArgumentHelp("A file that holds the prompt; - is standard input.", valueName: "file"))
    var file: String?

    @Flag(help: "Continue the prompt as it stands, without a chat template, and print nothing but the continuation.")
    var raw = false

    @Option(help: ArgumentHelp("Instructions that stand before a conversation.", valueName: "text"))
    var system: String?

    @OptionGroup var chat: ChatOptions

    @Option(
        name: [.customShort("n"), .customLong("n-predict")],
        help: ArgumentHelp("Tokens to generate at most; -1 for no limit.", valueName: "n"))
    var count = -1

    @Option(
        name: [.customShort("c"), .customLong("ctx-size")],
        help: ArgumentHelp("Tokens of prompt and answers together. Default: the model's own, 4096 at most.", valueName: "n"))
    var contextSize: Int?

    @Option(name: .customLong("batch-size"), help: ArgumentHelp("Tokens computed in one step at most.", valueName: "n"))
    var batchSize = 512

    @OptionGroup(title: "Choosing tokens") var sampling: SamplingOptions

    @Option(help: ArgumentHelp("End the answer before this text; may be given more than once.", valueName: "text"))
    var stop: [String] = []

    @Flag(name: .customLong("ignore-eos"), help: "Go on where the model would end its text.")
    var ignoreEnd = false

    func validate() throws {
        try workers.check()
        if prompt != nil, file != nil { throw ValidationError("Give either --prompt or --file.") }
        if raw, prompt == nil, file == nil { throw ValidationError("--raw needs a --prompt or a --file.") }
        if count < -1 { throw ValidationError("-n must be -1 or more.") }
        if ignoreEnd, count < 0 { throw ValidationError("--ignore-eos needs a limit: give -n.") }
        if stop.contains(where: \.isEmpty) { throw ValidationError("--stop must not be empty.") }
        try checkPositive(contextSize, "--ctx-size")
        try checkPositive(batchSize, "--batch-size", atMost: 65536)
    }

    func run() async throws {
        var options = EngineOptions(
            modelPath: model.model, contextSize: contextSize, slotCount: 1, threads: threads.threads, batchSize: batchSize,
            variant: model.variant, chatTemplate: try chat.template(), head: workers.options)
        options.parsesSpecialInChats = chat.parsesSpecial
        let engine = try await model.loading(
            { [options] in try await Engines.text(options, progress: $0) },
            summary: { "\($0.card.id) (\($0.card.typeDescription), \($0.card.contextSize) tokens)" })
        try model.tell(engine.card.warnings)
        if engine.card.makesVectors {
            await engine.shutdown()
            throw ValidationError("\(engine.card.id) makes vectors of texts and cannot go on with them: 'swiftlet embed' is for it.")
        }
        let request = GenerationRequest(
            prompt: .text(""), sampling: try sampling.settings(), maxTokens: count < 0 ? nil : count, ignoreEnd: ignoreEnd)
        let continuation = Continuation(engine: engine, request: request, stops: stop)
        let text = try promptText()
        let talk = Talk(continuation: continuation, text: text, system: system, isRaw: raw, isQuiet: model.noProgress)
        let status: Int32?
        do {
            status = try await Termination.orderly(endsAtInterrupt: text != nil) { try await talk.run() }
        } catch {
            await engine.shutdown()
            throw error
        }
        await engine.shutdown()
        if let status { throw ExitCode(status) }
    }

    /// One answer, or a conversation.
    private struct Talk: Sendable {
        let continuation: Continuation
        /// Nil for a conversation on the terminal.
        let text: String?
        let system: String?
        let isRaw: Bool
        let isQuiet: Bool

        func run() async throws {
            guard let text else { return try await TerminalChat(continuation, system: system).runUntilInterrupted() }
            let account: Continuation.Account
            if isRaw || !continuation.engine.card.hasChatTemplate {
                account = try await continuation.write(.text(text))
                if !isRaw || Output.standard.isTerminal { try Output.standard.write("\n") }
            } else {
                var messages = [Conversation.Message(role: "user", content: text)]
                if let system { messages.insert(.init(role: "system", content: system), at: 0) }
                let rendered = try await continuation.engine.render(Conversation(messages: messages))
                account = try await continuation.write(.rendered(rendered))
                try Output.standard.write("\n")
            }
            if !isQuiet { try? Output.error.write(account.summary + "\n") }
        }
    }

    private func promptText() throws -> String? {
        if let prompt { return prompt }
        guard let file else { return nil }
        return String(decoding: try Input.bytes(ofFile: file, limit: 1 << 28), as: UTF8.self)
    }
}

/// How tokens are chosen.
struct SamplingOptions: ParsableArguments {
    @Option(
        name: [.customLong("temperature"), .customLong("temp")], help: ArgumentHelp("0 always takes the most likely token.", valueName: "x")
    )
    var temperature: Float = SamplingSettings().temperature

    @Option(name: .customLong("top-k"), help: ArgumentHelp("Choose among so many of the most likely tokens; 0 among all.", valueName: "n"))
    var topK: Int = SamplingSettings().topK

    @Option(name: .customLong("top-p"), help: ArgumentHelp("Choose among the most likely tokens of this share together.", valueName: "x"))
    var topP: Float = SamplingSettings().topP

    @Option(name: .customLong("min-p"), help: ArgumentHelp("Leave out tokens less likely than this times the most likely.", valueName: "x"))
    var minP: Float = SamplingSettings().minP

    @Option(name: .customLong("repeat-penalty"), help: ArgumentHelp("Make recent tokens less likely; 1 does not.", valueName: "x"))
    var repeatPenalty: Float = SamplingSettings().repeatPenalty

    @Option(name: .customLong("frequency-penalty"), help: ArgumentHelp("Taken off for each time that a token occurred.", valueName: "x"))
    var frequencyPenalty: Float = 0

    @Option(name: .customLong("presence-penalty"), help: ArgumentHelp("Taken off for a token that occurred at all.", valueName: "x"))
    var presencePenalty: Float = 0

    @Option(name: .customLong("repeat-last-n"), help: ArgumentHelp("Tokens that count as recent; -1 all.", valueName: "n"))
    var penaltyWindow: Int = SamplingSettings().penaltyWindow

    @Option(name: [.customShort("s"), .long], help: ArgumentHelp("Start of the random numbers; -1 draws one.", valueName: "n"))
    var seed: Int = -1

    func settings() throws -> SamplingSettings {
        func check(_ value: Float, _ name: String, _ range: ClosedRange<Float>) throws {
            if !range.contains(value) { throw ValidationError("\(name) must be from \(range.lowerBound) to \(range.upperBound).") }
        }
        try check(temperature, "--temperature", 0...100)
        try check(topP, "--top-p", 0...1)
        try check(minP, "--min-p", 0...1)
        try check(repeatPenalty, "--repeat-penalty", 0.01...100)
        try check(frequencyPenalty, "--frequency-penalty", -100...100)
        try check(presencePenalty, "--presence-penalty", -100...100)
        if topK < 0 { throw ValidationError("--top-k must be 0 or more.") }
        if penaltyWindow < -1 { throw ValidationError("--repeat-last-n must be -1 or more.") }
        return SamplingSettings(
            temperature: temperature, topK: topK, topP: topP, minP: minP, repeatPenalty: repeatPenalty, frequencyPenalty: frequencyPenalty,
            presencePenalty: presencePenalty, penaltyWindow: penaltyWindow, seed: seed < 0 ? nil : UInt32(truncatingIfNeeded: seed))
    }
}
