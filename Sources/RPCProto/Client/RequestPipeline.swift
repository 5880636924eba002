internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The requests of an exchange, gathered until they leave in one piece, and the answers owed for them, in order.
///
/// Small heads are gathered in memory of its own; what is large goes by its address, which must stay valid until
/// ``flush()``. Used by whoever holds the connection's lock.
final class RequestPipeline: @unchecked Sendable {
    // Sendable: see above; `stream`, `endpoint` and `limits` are constant.

    let stream: ClientStream
    let endpoint: Endpoint
    let limits: ClientLimits
    /// What is spoken; the newest until the greeting was answered.
    var dialect = Dialect.newest
    /// The version that the server says it has; nil until it has said so.
    var saidVersion: WireVersion?
    /// Counts the times at which the server forgot its graphs.
    var graphEpoch: UInt64 = 0

    private enum Segment {
        case own(Range<Int>)
        case outside(UnsafeRawBufferPointer)
    }

    private var own: [UInt8] = []
    private var segments: [Segment] = []
    private var pieces: [iovec] = []
    /// Commands that are answered, or confirmed, and were not yet, from `nextAwaited` on; and the bytes of all work in front
    /// of each.
    private var awaited: [(command: Command, workByteCount: Int)] = []
    private var nextAwaited = 0
    /// The last graph or content that was sent: what the server may have closed over.
    private var lastWork: Command?
    /// Bytes of all work that the server was ever given, and how many of them it had gone through when it last answered.
    private var workByteCount = 0
    private var confirmedByteCount = 0
    /// What the greeting's answer has behind the version.
    private(set) var greetingMark: UInt8 = 0
    private(set) var greetingCapabilities: ConnectionCapabilities?
    /// Whether the last failure was that nothing came.
    private(set) var wasSilent = false

    init(_ stream: ClientStream, _ endpoint: Endpoint, _ limits: ClientLimits) {
        self.stream = stream
        self.endpoint = endpoint
        self.limits = limits
    }

    // MARK: An exchange

    /// - Parameter seconds: for all of it, and on top for what the server still owes from before.
    func begin(within seconds: Double) {
        allow(seconds)
        own.removeAll(keepingCapacity: true)
        segments.removeAll(keepingCapacity: true)
        awaited.removeAll(keepingCapacity: true)
        nextAwaited = 0
        if owedByteCount == 0 { lastWork = nil }
    }

    /// Bytes that the server was told to zero, or was sent and may have to hash, and that nothing has been answered behind
    /// yet. Other work counts as a byte.
    var owedByteCount: Int { workByteCount &- confirmedByteCount }

    /// Adds to what the server owes: bytes of work with which no request is encoded, as what was sent.
    func owe(_ byteCount: Int) { workByteCount &+= byteCount }

    /// Gives the exchange so many seconds from now on, and on top what the server owes.
    ///
    /// While a life line says that the server is well, it is waited for until the limit of any step.
    func allow(_ seconds: Double) {
        let limit = limits.extended(seconds, owing: owedByteCount)
        stream.begin(within: limit, whileVouchedFor: max(limit, limits.step))
    }

    /// Gives the exchange its time anew, after an answer that may have taken long.
    func renew(forTransferOf byteCount: Int = 0) { allow(limits.transfer(of: byteCount)) }

    /// Sends what is left and takes what is only to be confirmed.
    func finish() throws(BackendError) {
        try flush()
        try takeConfirmations()
        guard nextAwaited == awaited.count else {
            throw failure(awaited[nextAwaited].command, "nobody took its answer")
        }
        stream.setOwed(false)
    }

    // MARK: Requests

    /// Adds a request without data.
    ///
    /// - Parameter workByteCount: bytes of memory that the server has to go through for it.
    func ask(_ request: Request, workByteCount: Int = 0) {
        append(request.encoded(dialect))
        note(request.command, workByteCount: workByteCount)
    }

    /// Adds a request's head, behind which data of that size is to be added. Once they have left, the server owes them:
    /// ``owe(_:)``.
    func ask(_ request: Request, tailByteCount: Int) {
        append(request.encoded(tailByteCount: tailByteCount, dialect))
        note(request.command)
    }

    /// Adds bytes of a request that was encoded before, or data, by their address.
    func add(_ bytes: UnsafeRawBufferPointer) {
        if !bytes.isEmpty { segments.append(.outside(bytes)) }
    }

    /// Says what has been added by its bytes.
    func note(_ command: Command, workByteCount byteCount: Int = 0) {
        switch command {
        case .setTensor, .setTensorHash, .setTensor2D, .clearBuffer, .initTensor, .fillTensor, .copyTensor, .computeGraph, .recomputeGraph,
            .reduceCollective:
            lastWork = command
            owe(max(1, byteCount))
        case .hello, .deviceCount, .allocateBuffer, .getAlignment, .getMaxSize, .getBase, .freeBuffer, .getDeviceMemory, .getAllocationSize,
            .getTensor, .getTensor2D, .joinCollective, .leaveCollective:
            break
        }
        if dialect.answers(command) { awaited.append((command, workByteCount)) }
        if command == .freeBuffer { graphEpoch &+= 1 }
    }

    private func append(_ bytes: [UInt8]) {
        let start = own.count
        own.append(contentsOf: bytes)
        if case .own(let range)? = segments.last, range.upperBound == start {
            segments[segments.count - 1] = .own(range.lowerBound..<own.count)
        } else {
            segments.append(.own(start..<own.count))
        }
    }

    /// Sends all that was added.
    func flush() throws(BackendError) {
        if segments.isEmpty { return }
        // Until all of them are taken: see ``finish()``.
        if nextAwaited < awaited.count { stream.setOwed(true) }
        let outcome: Result<Void, StreamFailure> = own.withUnsafeBytes { bytes in
            pieces.removeAll(keepingCapacity: true)
            for segment in segments {
                let part =
                    switch segment {
                    case .own(let range): UnsafeRawBufferPointer(rebasing: bytes[range])
                    case .outside(let part): part
                    }
                pieces.append(
                    iovec(iov_base: part.baseAddress.map { UnsafeMutableRawPointer(mutating: $0) }, iov_len: numericCast(part.count)))
            }
            do throws(StreamFailure) {
                try stream.send(&pieces)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        own.removeAll(keepingCapacity: true)
        segments.removeAll(keepingCapacity: true)
        if case .failure(let failure) = outcome {
            throw self.failure(lastWork ?? awaited.last?.command ?? .freeBuffer, failure, while: "taking the request")
        }
    }

    // MARK: Answers

    /// The next answer, which must be to `command`.
    func answer(to command: Command) throws(BackendError) -> Response {
        guard let size = Response.byteCount(answering: command) else {
            throw failure(command, "it has no answer of a known size")
        }
        try beginAnswer(to: command, byteCount: size)
        var content = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        let outcome: Result<Response?, StreamFailure> = withUnsafeMutableBytes(of: &content) { bytes in
            let target = UnsafeMutableRawBufferPointer(rebasing: bytes[..<size])
            do throws(StreamFailure) {
                try stream.receive(into: target)
                return .success(Response(answering: command, content: UnsafeRawBufferPointer(target)))
            } catch {
                return .failure(error)
            }
        }
        switch outcome {
        case .success(let response?): return response
        case .success(nil): throw failure(command, "the answer cannot be read")
        case .failure(let error): throw failure(command, error, while: "answering")
        }
    }

    /// The version that a greeting is answered with.
    func greetingVersion() throws(BackendError) -> WireVersion {
        nextAwaited += 1
        var size: UInt64 = 0
        try take(&size, of: .hello)
        // Version 3 answers without capabilities; its number is worth knowing.
        guard let whole = Response.byteCount(answering: .hello), [3, 4, whole].contains(Int(clamping: UInt64(littleEndian: size)))
        else { throw failure(.hello, "answers with \(UInt64(littleEndian: size)) bytes, which is no greeting") }
        let count = Int(clamping: UInt64(littleEndian: size))
        let content = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { content.deallocate() }
        try take(into: content, of: .hello)
        if count > Greeting.markPosition { greetingMark = content[Greeting.markPosition] }
        if count == whole { greetingCapabilities = ConnectionCapabilities(bytes: Array(content[(Greeting.markPosition + 1)...])) }
        return WireVersion(content[0], content[1], content[2])
    }

    /// A size, an address, an alignment.
    func number(answering command: Command) throws(BackendError) -> UInt64 {
        guard case .number(let number) = try answer(to: command) else { throw failure(command, "the answer is no number") }
        return number
    }

    /// Takes the size of the next answer, which must be this one; its content is to be taken with ``take(into:of:)``.
    func beginAnswer(to command: Command, byteCount: Int) throws(BackendError) {
        try takeConfirmations()
        guard nextAwaited < awaited.count, awaited[nextAwaited].command == command else {
            throw failure(command, "its answer is not the next")
        }
        try takeNextSize(byteCount)
    }

    private func takeConfirmations() throws(BackendError) {
        while nextAwaited < awaited.count, dialect.confirms(awaited[nextAwaited].command) { try takeNextSize(0) }
    }

    /// Takes the size of the next answer, which says that what was asked for in front of it is done.
    private func takeNextSize(_ byteCount: Int) throws(BackendError) {
        let next = awaited[nextAwaited]
        nextAwaited += 1
        try takeSize(next.command, byteCount)
        confirmedByteCount = next.workByteCount
    }

    private func takeSize(_ command: Command, _ byteCount: Int) throws(BackendError) {
        var size: UInt64 = 0
        try take(&size, of: command)
        size = UInt64(littleEndian: size)
        guard size == UInt64(byteCount) else {
            throw failure(command, "answers with \(size) bytes instead of \(byteCount)")
        }
    }

    private func take(_ number: inout UInt64, of command: Command) throws(BackendError) {
        let outcome: StreamFailure? = withUnsafeMutableBytes(of: &number) { bytes in
            do throws(StreamFailure) {
                try stream.receive(into: bytes)
                return nil
            } catch {
                return error
            }
        }
        if let outcome { throw failure(command, outcome, while: "answering") }
    }

    /// Bytes of the answer's content, in order.
    func take(into target: UnsafeMutableRawBufferPointer, of command: Command) throws(BackendError) {
        if target.isEmpty { return }
        do throws(StreamFailure) {
            try stream.receive(into: target)
        } catch {
            throw failure(command, error, while: "answering")
        }
    }

    /// Leaves bytes of the answer's content out.
    func skip(_ count: Int, of command: Command) throws(BackendError) {
        let nowhere = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 64 << 10), alignment: 8)
        defer { nowhere.deallocate() }
        var left = count
        while left > 0 {
            let part = min(left, nowhere.count)
            try take(into: UnsafeMutableRawBufferPointer(rebasing: nowhere[..<part]), of: command)
            left -= part
        }
    }

    // MARK: Failures

    /// What is wrong, with where and at which command.
    func failure(_ command: Command, _ message: String) -> BackendError {
        BackendError(.connection, "\(endpoint): \(command.name): \(message)")
    }

    private func failure(_ command: Command, _ failure: StreamFailure, while what: String) -> BackendError {
        let behind = lastWork.flatMap { $0 == command ? nil : " (behind \($0.name))" } ?? ""
        switch failure {
        case .closed: return self.failure(command, "the server closed the connection instead of \(what)\(behind)")
        case .silent(let seconds):
            wasSilent = true
            return self.failure(command, "the server made no progress in \((seconds * 10).rounded() / 10) s of \(what)\(behind)")
        case .failed(let message): return self.failure(command, "the connection broke: \(message)\(behind)")
        }
    }
}

extension Dialect {
    /// Whether a request of this command is answered at all, if only to confirm it.
    func answers(_ command: Command) -> Bool {
        switch command {
        case .getTensor, .getTensor2D: true
        default: Response.byteCount(answering: command) != nil || confirms(command)
        }
    }
}
