internal import Foundation
internal import NodeEngine
internal import Synchronization

/// What the server has done since it began, added up over all answers, those that were given up included.
package final class TokenTotals: Sendable {
    private struct State {
        var usage = AnswerUsage()
        var longest = 0
    }

    private let state = Mutex(State())
    /// Seconds since 1970.
    let startTime = Int(Date().timeIntervalSince1970)

    init() {}

    func add(_ usage: AnswerUsage) {
        state.withLock { state in
            state.usage = state.usage + usage
            state.longest = max(state.longest, usage.promptTokens + usage.completionTokens)
        }
    }

    var usage: AnswerUsage { state.withLock { $0.usage } }
    /// Tokens of prompt and answer together that a request held at most.
    var longest: Int { state.withLock { $0.longest } }
}
