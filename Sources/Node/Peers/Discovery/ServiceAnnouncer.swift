internal import Base

/// Announces an instance of ``type`` on all interfaces, for as long as it is not stopped.
///
/// When the daemon goes, and whatever else it says against it, the instance is registered again, ever more seldom, until it works.
package final class ServiceAnnouncer: Sendable {
    /// The service's type: a server of ggml's RPC wire.
    package static let type = "_ggml-rpc._tcp"

    package enum Condition: Hashable, Sendable {
        /// Announced by this name, which has a number behind it if another has the name already.
        case announced(name: String)
        /// Not announced now; it is tried again after a while.
        case interrupted(DiscoveryError)
    }

    private struct Wish {
        var text: [UInt8]
        var isStopped = false
        var hasEnded = false
    }

    private let library: DNSServiceLibrary
    private let name: String
    private let port: Int
    private let pipe: WakePipe
    private let wish: Monitor<Wish>
    private let onCondition: @Sendable (Condition) -> Void

    /// Begins to announce, until ``stop()`` or the end of the process.
    ///
    /// - Parameters:
    ///   - name: cut to 63 bytes.
    ///   - port: 1 to 65535.
    ///   - text: the TXT record's entries.
    ///   - onCondition: called on a thread of the announcer's own.
    /// - Throws: if the library is not there or the text is none. That the daemon is not there is told as a condition, since it may come.
    package init(
        name: String, port: Int, text: [String: String], onCondition: @escaping @Sendable (Condition) -> Void = { _ in }
    ) throws(DiscoveryError) {
        library = try DNSServiceLibrary()
        pipe = try WakePipe()
        self.name = ServiceAnnouncer.cut(name, to: ServiceKey.nameLimit)
        self.port = port
        self.onCondition = onCondition
        wish = Monitor(Wish(text: try ServiceAnnouncer.encode(text)))
        do throws(ThreadError) {
            try SystemThread.start(name: "announce", stackSize: 1 << 20) { [self] in run() }
        } catch {
            throw .noThread(error)
        }
    }

    /// Announces other entries from now on.
    package func update(text: [String: String]) throws(DiscoveryError) {
        let bytes = try ServiceAnnouncer.encode(text)
        wish.change { $0.text = bytes }
        pipe.wake()
    }

    /// Takes it back, and waits until the daemon has been told, but not for ever.
    package func stop() {
        wish.change { $0.isStopped = true }
        pipe.wake()
        _ = wish.wait(atMost: .seconds(2)) { $0.hasEnded ? true : nil }
    }

    /// As much of a text as fits into so many bytes.
    static func cut(_ text: String, to limit: Int) -> String {
        var text = text
        while text.utf8.count > limit { text.removeLast() }
        return text
    }

    private static func encode(_ text: [String: String]) throws(DiscoveryError) -> [UInt8] {
        do throws(ServiceTextError) {
            return try ServiceText.encode(text)
        } catch {
            throw .text(error)
        }
    }

    private func run() {
        var pause = Pause()
        while !wish.read({ $0.isStopped }) {
            do throws(DiscoveryError) {
                try announce(&pause)
            } catch {
                onCondition(.interrupted(error))
                pause.wait(pipe) { wish.read { $0.isStopped } }
            }
        }
        wish.change { $0.hasEnded = true }
    }

    /// What the daemon has said, for the thread.
    private final class Inbox {
        var replies: [ServiceReply] = []
    }

    /// Registers, and stays with it until it is stopped.
    private func announce(_ pause: inout Pause) throws(DiscoveryError) {
        let inbox = Inbox()
        var text = wish.read { $0.text }
        let operation = try ServiceOperation(.register(name: name, type: ServiceAnnouncer.type, port: port, text: text), library) {
            inbox.replies.append($0)
        }
        defer { operation.close() }
        while true {
            for reply in inbox.replies {
                switch reply {
                case .registered(let name):
                    // Somebody who takes each name in turn must not drive it to where it is not looked for.
                    guard ServiceKey.withoutNumber(name) == self.name || name == self.name else {
                        throw .refused(operation: "registering by its name", code: DiscoveryError.nameConflict)
                    }
                    pause.reset()
                    onCondition(.announced(name: name))
                case .failed(let code): throw DiscoveryError(operation: "registering", code: code)
                case .sighted, .unsighted, .resolved, .address: break
                }
            }
            inbox.replies = []
            let (wanted, isStopped) = wish.read { ($0.text, $0.isStopped) }
            if isStopped { return }
            if wanted != text {
                try operation.update(text: wanted)
                text = wanted
            }
            let ready = pipe.wait(for: [operation.descriptor], until: nil, at: 0)
            if !ready.isEmpty { try operation.process() }
        }
    }
}
