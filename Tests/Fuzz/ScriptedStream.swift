import Foundation
import RPCProto

/// What a peer says, piece by piece, knowing what it was answered.
protocol Speaker: AnyObject {
    /// Appends what comes next; false if the peer closes.
    ///
    /// - Parameter answers: what came back for the piece before.
    func speak(into bytes: inout [UInt8], after answers: Answers) -> Bool
}

/// The beginning of what a session sent, answer by answer.
struct Answers {
    fileprivate(set) var bytes: [UInt8] = []

    /// The first number of each answer's content.
    var numbers: [UInt64] {
        var list: [UInt64] = []
        var position = 0
        while position + 16 <= bytes.count {
            list.append(number(at: position + 8))
            let (next, overflow) = position.addingReportingOverflow(8 + Int(truncatingIfNeeded: number(at: position) & 0xff_ffff))
            if overflow { break }
            position = next
        }
        return list
    }

    private func number(at offset: Int) -> UInt64 {
        bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }
}

/// A connection to a ``Speaker``, in memory, that measures how long each message takes.
final class ScriptedStream: ByteStream {
    private let speaker: any Speaker
    private var pending: [UInt8] = []
    private var position = 0
    private var answers = Answers()
    private static let answersKept = 1 << 12

    /// Messages begun, by the number of their command.
    private(set) var messageCounts = [Int](repeating: 0, count: 256)
    private(set) var messageCount = 0
    /// Graphs to compute, the first time or again.
    var graphCount: Int {
        messageCounts[Int(Command.computeGraph.rawValue)] + messageCounts[Int(Command.recomputeGraph.rawValue)]
    }
    private(set) var slowestNanoseconds: UInt64 = 0
    private var begun: UInt64 = 0
    /// Where everything said is written before it is heard.
    private let copy: FileHandle?

    init(_ speaker: any Speaker, copiedTo copy: FileHandle? = nil) {
        self.speaker = speaker
        self.copy = copy
    }

    func receiveByte() throws(StreamError) -> UInt8? {
        endMessage()
        if position == pending.count {
            pending.removeAll(keepingCapacity: true)
            position = 0
            let goesOn = speaker.speak(into: &pending, after: answers)
            answers.bytes.removeAll(keepingCapacity: true)
            guard goesOn, !pending.isEmpty else { return nil }
            try? copy?.write(contentsOf: pending)
        }
        begun = Clock.now()
        let byte = pending[position]
        position += 1
        messageCounts[Int(byte)] += 1
        messageCount += 1
        return byte
    }

    func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError) {
        guard target.count <= pending.count - position else {
            position = pending.count
            throw StreamError(.endedEarly, "the peer has no more to say")
        }
        pending.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<(position + target.count)])) }
        position += target.count
    }

    func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
        // Every byte is read, as a socket would.
        var sum: UInt8 = 0
        for byte in second { sum &+= byte }
        withExtendedLifetime(sum) {}
        if answers.bytes.count + first.count <= ScriptedStream.answersKept { answers.bytes += first }
    }

    /// For after the session's end.
    func endMessage() {
        if begun != 0 { slowestNanoseconds = max(slowestNanoseconds, Clock.now() - begun) }
        begun = 0
    }
}

enum Clock {
    /// Nanoseconds since some moment.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
