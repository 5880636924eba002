import RPCProto

/// Recordings replayed with changes: to bytes, to whole messages, and with parts of other recordings.
///
/// Handles and addresses that a session gives do not depend on chance, so that what a head said to one session means the
/// same to another.
struct SessionMode: Mode {
    let recordings: [SessionRecording]

    init(_ recordings: [SessionRecording]) {
        self.recordings = recordings
    }

    func count(of stream: ScriptedStream) -> Int { 1 }

    mutating func speaker(for index: Int, _ random: Random) -> any Speaker {
        // First every recording as it is.
        if index < recordings.count { return Recitation(Array(recordings[index].messages.joined())) }
        var random = random
        var chosen = random.pick(recordings)
        // Whole models take long to upload.
        if chosen.byteCount > 1_000_000, random.chance(80) { chosen = random.pick(recordings) }
        var messages = chosen.messages
        for _ in 0..<(1 + random.below(3)) { change(&messages, &random) }
        return Recitation(Array(messages.joined()))
    }

    private func change(_ messages: inout [[UInt8]], _ random: inout Random) {
        guard messages.count > 1 else { return }
        // A change near the beginning hides all that comes after it.
        var place = random.chance(15) ? random.below(messages.count) : max(1, random.below(messages.count))
        if random.chance(35) {
            let graphs = messages.indices.filter { messages[$0].first == Command.computeGraph.rawValue }
            if !graphs.isEmpty {
                place = random.pick(graphs)
                if random.chance(80) { return spoilGraph(&messages[place], &random) }
            }
        }
        switch random.below(10) {
        case 0: messages.remove(at: place)
        case 1: messages.insert(messages[place], at: place + random.below(messages.count - place))
        case 2: messages.swapAt(place, random.below(messages.count))
        case 3: messages[place].removeLast(random.below(min(messages[place].count, 400)))
        case 4: messages.removeSubrange(place...)
        case 5:
            let other = random.pick(recordings).messages
            let start = random.below(other.count)
            messages.insert(contentsOf: other[start..<min(other.count, start + 1 + random.below(6))], at: place)
        case 6:
            // The head of one message before the data of another.
            let other = random.pick(random.pick(recordings).messages)
            let cut = random.below(min(other.count, messages[place].count))
            messages[place] = Array(other[..<cut]) + messages[place][cut...]
        default:
            // Mostly what a message says of its data, rather than the data.
            let end = random.chance(70) ? min(messages[place].count, 700) : messages[place].count
            let start = random.chance(90) ? min(9, end - 1) : 0
            Damage.bytes(&messages[place], start..<end, &random)
        }
    }

    /// A change to one of a graph's tensors, rather than to some byte of its message.
    private func spoilGraph(_ message: inout [UInt8], _ random: inout Random) {
        let prefix = 9 + Command.computeGraph.headByteCount
        guard message.count >= prefix else { return }
        let nodeCount = message.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: prefix - 4, as: UInt32.self)) }
        let graph = message.withUnsafeBytes { bytes in
            GraphMessage(nodeCount: nodeCount, UnsafeRawBufferPointer(rebasing: bytes[prefix...]))
        }
        guard var graph, !graph.tensors.isEmpty else { return }
        let bases = graph.tensors.map(\.data)
        for _ in 0..<(1 + random.below(2)) { Spoiling.spoil(&graph, bases, &random) }
        let body = graph.encoded
        guard body.count == message.count - prefix else { return }
        message.replaceSubrange(prefix..., with: body)
    }
}
