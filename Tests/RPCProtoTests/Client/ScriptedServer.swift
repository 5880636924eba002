import Foundation
import RPCProto
import Synchronization

/// A server that has written down beforehand what it answers, whatever it is asked.
final class ScriptedServer: Sendable {
    enum End: Sendable {
        /// Closes, once everything is said.
        case closes
        /// Says nothing more, but takes what comes.
        case isSilent
        /// Closes hard once so many bytes were taken, with whatever lies unread.
        case breaksOff(after: Int)
    }

    let endpoint: Endpoint
    private let listener: SocketListener

    /// - Parameters:
    ///   - answers: sent at once, before anything is asked.
    ///   - quick: how many of them are sent in one piece, before the rest trickles; nil for all.
    init(_ answers: [UInt8], _ end: End, quick: Int? = nil) throws {
        listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        endpoint = Endpoint(host: "127.0.0.1", port: listener.port)
        Thread.detachNewThread { [listener] in
            while let stream = try? listener.accept() {
                Thread.detachNewThread { ScriptedServer.serve(stream, answers, end, quick ?? answers.count) }
            }
        }
    }

    deinit { listener.stop() }

    private static func serve(_ stream: SocketStream, _ answers: [UInt8], _ end: End, _ quick: Int) {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        guard answers[..<quick].withUnsafeBytes({ (try? stream.send($0, nothing)) != nil }) else { return }
        for byte in answers[quick...] {
            usleep(20_000)
            guard [byte].withUnsafeBytes({ (try? stream.send($0, nothing)) != nil }) else { return }
        }
        switch end {
        case .closes:
            // Only its own direction: what comes is still taken, so that nothing of what was said is lost.
            stream.stopSending()
            drain(stream)
        case .isSilent: drain(stream)
        case .breaksOff(let count):
            for _ in 0..<count {
                guard let byte = try? stream.receiveByte() else { break }
                _ = byte
            }
        }
    }

    private static func drain(_ stream: SocketStream) {
        while let byte = try? stream.receiveByte() { _ = byte }
    }
}

extension [UInt8] {
    /// Answers one behind the other, each with its size.
    var separateAnswers: [[UInt8]] {
        var rest = self[...]
        var list: [[UInt8]] = []
        while rest.count >= 8 {
            let size = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            list.append(Array(rest.prefix(8 + Int(size))))
            rest = rest.dropFirst(8 + Int(size))
        }
        return list
    }
}
