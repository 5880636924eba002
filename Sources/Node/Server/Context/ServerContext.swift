package import Hummingbird
internal import NIOCore
internal import NodeEngine
internal import Synchronization

/// What goes with a request through middleware and routes.
package struct ServerContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let channel: any Channel
    let record = RequestRecord()

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// What the log says of a request beyond its line and status.
final class RequestRecord: Sendable {
    private let state = Mutex<(usage: AnswerUsage?, outcome: String?)>((nil, nil))

    var usage: AnswerUsage? {
        get { state.withLock { $0.usage } }
        set { state.withLock { $0.usage = newValue } }
    }

    /// How an answer ended, where its status does not say it.
    var outcome: String? {
        get { state.withLock { $0.outcome } }
        set { state.withLock { $0.outcome = newValue } }
    }
}
