internal import Base
internal import Tensor

// Contents that a server may have in its cache.
extension RPCBackend {
    /// A tensor with its place on the server.
    struct PlacedUpload {
        var record: TensorRecord
        var upload: TensorUpload
    }

    /// Questions by hash that are open at once: the server works on each for as long as it reads its cache.
    private static let window = 32
    /// Bytes of the largest content that is hashed only to find out whether there is a cache, unless all are larger.
    private static let probeByteCount = 64 << 20
    /// Bytes hashed at a time.
    private static let portionByteCount = 1 << 30

    /// Asks for what the server may have in its cache: for all whose hashes are known, and, once it turned out to have something of
    /// the model, for the others, whose hashes are computed then.
    ///
    /// A server that has nothing so far is tried with a few contents of different sizes, so that one whose cache is not complete
    /// is recognised too.
    ///
    /// - Returns: what is to be sent, by index: first what was tried, so that a cache that is filled from now on has it soon.
    func missing(
        of tensors: [PlacedUpload], _ hashes: ContentHashes, _ report: inout ProgressReport
    ) throws(BackendError) -> [Int] {
        var known: [(index: Int, hash: UInt64)] = []
        var open: [Int] = []
        for (index, tensor) in tensors.enumerated() where connection.dialect.asksForContent(byteCount: tensor.upload.content.bytes.count) {
            switch tensor.upload.hash {
            case .none: break
            case .known(let hash): known.append((index, hash))
            case .onDemand: open.append(index)
            }
        }
        var found = try ask(known, of: tensors, hashes, &report)
        var probed: [Int] = []
        for index in RPCBackend.probes(open.map { ($0, tensors[$0].upload.content.bytes.count) }) {
            guard hashes.finding(connection) == .unknown else { break }
            probed.append(index)
            let probe = zip([index], hashes.hashes(of: [tensors[index].upload])).map { (index: $0, hash: $1) }
            found.formUnion(try ask(probe, of: tensors, hashes, &report))
        }
        if hashes.finding(connection) == .something {
            var rest = open.filter { !probed.contains($0) }[...]
            while let first = rest.popFirst() {
                var portion = [first]
                var size = tensors[first].upload.content.bytes.count
                while let next = rest.first, size + tensors[next].upload.content.bytes.count <= RPCBackend.portionByteCount {
                    size += tensors[next].upload.content.bytes.count
                    portion.append(rest.removeFirst())
                }
                try report.checkVanity()
                let computed = hashes.hashes(of: portion.map { tensors[$0].upload })
                found.formUnion(try ask(zip(portion, computed).map { (index: $0, hash: $1) }, of: tensors, hashes, &report))
            }
        }
        return probed.filter { !found.contains($0) } + tensors.indices.filter { !found.contains($0) && !probed.contains($0) }
    }

    /// Which contents tell best whether a server has any: the smallest, one of middling size, and the largest that is quickly hashed.
    ///
    /// - Parameter sizes: indices with bytes.
    static func probes(_ sizes: [(index: Int, byteCount: Int)]) -> [Int] {
        let sorted = sizes.sorted { ($0.byteCount, $0.index) < ($1.byteCount, $1.index) }
        let quick = sorted.filter { $0.byteCount <= probeByteCount }
        guard let smallest = sorted.first, let largest = quick.last else { return sorted.prefix(1).map(\.index) }
        var probes = [smallest.index]
        for index in [quick[quick.count / 2].index, largest.index] where !probes.contains(index) { probes.append(index) }
        return probes
    }

    /// - Returns: the indices of those that the server has, and has put in place.
    private func ask(
        _ questions: [(index: Int, hash: UInt64)], of tensors: [PlacedUpload], _ hashes: ContentHashes, _ report: inout ProgressReport
    ) throws(BackendError) -> Set<Int> {
        var there = Set<Int>()
        for start in stride(from: 0, to: questions.count, by: RPCBackend.window) {
            try report.checkVanity()
            let part = questions[start..<min(questions.count, start + RPCBackend.window)]
            var seen = report
            let largest = part.map { tensors[$0.index].upload.content.bytes.count }.max() ?? 0
            let found: [Int] = try connection.exchange(within: connection.limits.transfer(of: largest)) { pipeline throws(BackendError) in
                for (index, hash) in part { pipeline.ask(.setTensorHash(tensors[index].record, offset: 0, hash: hash)) }
                try pipeline.flush()
                var found: [Int] = []
                for (index, _) in part {
                    guard case .success(let isThere) = try pipeline.answer(to: .setTensorHash) else {
                        throw pipeline.failure(.setTensorHash, "the answer is neither yes nor no")
                    }
                    // Each may have taken the server as long as it takes to read it.
                    pipeline.renew(forTransferOf: largest)
                    if !isThere { continue }
                    found.append(index)
                    seen.add(done: tensors[index].upload.content.bytes.count, sent: 0)
                }
                return found
            }
            report = seen
            there.formUnion(found)
        }
        hashes.note(connection, asked: questions.count, found: there.count)
        return there
    }
}

extension Dialect {
    /// Whether a server that keeps contents is asked for one of this size before it is sent. Where requests have no flag,
    /// the server keeps only what is larger than a limit of its own.
    func asksForContent(byteCount: Int) -> Bool {
        hasCacheFlag ? byteCount >= Dialect.askedByteCount : UInt64(byteCount) > Dialect.hashedByteCount
    }
}
