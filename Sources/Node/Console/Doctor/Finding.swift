internal import Base

/// One thing that was looked at, for people who wonder why something does not work.
package struct Finding: Hashable, Sendable {
    package enum State: String, Hashable, Sendable {
        case good
        /// Something that could be had and is not there; all works without it.
        case missing
        /// Something that keeps things from working, or from working well.
        case wrong
    }

    package var subject: String
    package var state: State
    package var text: String
    /// What to do; nil where nothing is to be done.
    package var advice: String?

    package init(_ subject: String, _ text: String, _ state: State = .good, advice: String? = nil) {
        self.subject = subject
        self.state = state
        self.text = text
        self.advice = advice
    }

    var json: JSONValue {
        [
            "subject": .string(subject), "state": .string(state.rawValue), "text": .string(text),
            "advice": advice.map(JSONValue.string) ?? .null,
        ]
    }
}
