import RPCProto
import Tensor

/// Sessions of requests that are mostly right, so that they go on, with numbers and bytes here and there that are not.
struct MessageMode: Mode {
    mutating func speaker(for index: Int, _ random: Random) -> any Speaker { MessageSpeaker(random) }
    func count(of stream: ScriptedStream) -> Int { stream.messageCount }
}

final class MessageSpeaker: Speaker {
    private struct Room {
        var handle: UInt64
        var base: UInt64
        var byteCount: Int
    }

    private var random: Random
    private var rooms: [Room] = []
    /// Sizes asked for, of answers still to come.
    private var asked: [Int] = []
    private var isAskingForBases = false
    private var remaining: Int
    private var step = 0
    /// Uids of graphs that the session should know.
    private var uids: [UInt64] = []

    init(_ random: Random) {
        self.random = random
        remaining = 8 + self.random.below(60)
    }

    func speak(into bytes: inout [UInt8], after answers: Answers) -> Bool {
        step += 1
        switch step {
        case 1:
            if !random.chance(1) { bytes += Request.hello(.none).encoded() }
            for _ in 0..<(1 + random.below(2)) { ask(into: &bytes) }
        case 2:
            for (handle, size) in zip(answers.numbers.suffix(asked.count), asked) where handle != 0 {
                rooms.append(Room(handle: handle, base: 0, byteCount: size))
                bytes += Request.getBase(buffer: handle).encoded()
            }
            if rooms.isEmpty { bytes += Request.deviceCount.encoded() }
        default:
            if step == 3 {
                for (index, base) in answers.numbers.enumerated() where index < rooms.count { rooms[index].base = base }
            }
            if remaining == 0 { return false }
            remaining -= 1
            let start = bytes.count
            append(to: &bytes)
            if random.chance(4) { damage(&bytes, from: start) }
        }
        return true
    }

    private func ask(into bytes: inout [UInt8]) {
        let size = random.pick([0, 64, 1000, 4032, 4096, 8128])
        asked.append(size)
        bytes += Request.allocateBuffer(device: 0, byteCount: UInt64(size)).encoded()
    }

    // MARK: Values

    private var device: UInt32 { random.chance(3) ? UInt32(truncatingIfNeeded: random.hostile()) : 0 }

    private func number(_ plausible: Int) -> UInt64 {
        random.chance(3) ? random.hostile() : UInt64(max(0, plausible))
    }

    private var room: Room { rooms.isEmpty ? Room(handle: 1, base: 1 << 40, byteCount: 64) : random.pick(rooms) }

    private func handle() -> UInt64 { random.chance(3) ? random.hostile() : room.handle }

    /// A tensor that is mostly inside of a buffer.
    private func tensor() -> TensorRecord {
        var record = TensorRecord()
        let room = room
        record.id = UInt64(1 + random.below(9))
        record.buffer = room.handle
        record.type = random.pick([0, 0, 0, 1, 8, 12, 24, 26])
        let type = ElementType(rawValue: record.type) ?? .f32
        var left = max(1, room.byteCount / 2 / type.bytesPerBlock)
        for dimension in 0..<4 {
            let extent = 1 + random.below(min(left, dimension == 0 ? 64 : 6))
            record.extents[dimension] = UInt32(dimension == 0 ? extent * type.elementsPerBlock : extent)
            left /= extent
        }
        var stride = UInt32(type.bytesPerBlock)
        for dimension in 0..<4 {
            record.strides[dimension] = stride
            stride = stride &* (dimension == 0 ? record.extents[0] / UInt32(type.elementsPerBlock) : record.extents[dimension])
        }
        record.data = room.base &+ UInt64(random.below(max(1, room.byteCount - Int(stride))) & ~63)
        if random.chance(10) { record.name = random.pick(["k", "ünï", String(repeating: "x", count: 80)]) }
        if random.chance(4) { spoil(&record) }
        return record
    }

    private func spoil(_ record: inout TensorRecord) {
        let value = random.hostile()
        let short = UInt32(truncatingIfNeeded: value)
        switch random.below(9) {
        case 0: record.extents[random.below(4)] = short
        case 1: record.strides[random.below(4)] = short
        case 2: record.type = random.chance(50) ? UInt32(random.below(45)) : short
        case 3: record.buffer = value
        case 4: record.data = random.chance(50) ? value : record.data &+ UInt64(random.below(9000))
        case 5: record.viewSource = value
        case 6: record.operation = short
        case 7: for dimension in 0..<4 { record.extents[dimension] = UInt32(truncatingIfNeeded: random.hostile()) }
        default: for dimension in 0..<4 { record.strides[dimension] = UInt32(truncatingIfNeeded: random.hostile()) }
        }
    }

    private func byteCount(_ record: TensorRecord) -> Int {
        var count = 1.0
        for dimension in 0..<4 { count *= Double(record.extents[dimension]) }
        guard count < 1_000_000, let type = ElementType(rawValue: record.type) else { return 4 }
        return Int(count) / type.elementsPerBlock * type.bytesPerBlock
    }

    private func region(_ record: TensorRecord) -> Request.Region2D {
        let size = byteCount(record)
        let copies = 1 + random.below(4)
        let stretch = max(1, random.below(size / copies))
        return Request.Region2D(
            offset: number(0), byteCount: number(stretch), copies: number(copies), stride: number(size / copies))
    }

    // MARK: Requests

    private func append(to bytes: inout [UInt8]) {
        let command = Command(rawValue: UInt8(random.below(Command.allCases.count))) ?? .deviceCount
        switch command {
        case .hello: bytes += (random.chance(3) ? Request.hello(.none) : .deviceCount).encoded()
        case .deviceCount: bytes += Request.deviceCount.encoded()
        case .allocateBuffer:
            let size = random.chance(70) ? UInt64(random.below(5000)) : random.hostile()
            bytes += Request.allocateBuffer(device: device, byteCount: size).encoded()
        case .getAlignment: bytes += Request.getAlignment(device: device).encoded()
        case .getMaxSize: bytes += Request.getMaxSize(device: device).encoded()
        case .getBase: bytes += Request.getBase(buffer: handle()).encoded()
        case .freeBuffer:
            // Without its buffers a session has little to say.
            if random.chance(80) {
                bytes += Request.getBase(buffer: handle()).encoded()
                return
            }
            let handle = handle()
            rooms.removeAll { $0.handle == handle }
            bytes += Request.freeBuffer(buffer: handle).encoded()
        case .clearBuffer: bytes += Request.clearBuffer(buffer: handle(), value: UInt8(random.below(256))).encoded()
        case .getDeviceMemory: bytes += Request.getDeviceMemory(device: device).encoded()
        case .getAllocationSize:
            let sources = (0..<random.below(4)).map { _ in tensor() }
            bytes += Request.getAllocationSize(device: device, tensor(), sources: sources).encoded()
        case .initTensor: bytes += Request.initTensor(tensor()).encoded()
        case .recomputeGraph:
            let uid = uids.isEmpty || random.chance(3) ? random.hostile() : random.pick(uids)
            if uids.isEmpty, random.chance(90) { return graph(&bytes) }
            bytes += Request.recomputeGraph(device: device, uid: uid).encoded()
        case .computeGraph: graph(&bytes)
        case .joinCollective:
            bytes += Request.joinCollective(
                device: device, rank: UInt32(random.below(3)), world: UInt32(random.below(4)), port: UInt32(random.below(70000)),
                host: "127.0.0.1"
            ).encoded()
        case .reduceCollective: bytes += (random.chance(5) ? Request.reduceCollective(device: device, tensor()) : .deviceCount).encoded()
        case .leaveCollective: bytes += Request.leaveCollective(device: device).encoded()
        default: contents(command, &bytes)
        }
    }

    private func contents(_ command: Command, _ bytes: inout [UInt8]) {
        let tensor = tensor()
        let size = byteCount(tensor)
        let offset = number(random.below(size))
        let length = number(random.below(size - Int(min(UInt64(size), offset)) + 1))
        switch command {
        case .setTensor:
            let tailCount = Int(min(length, 5000))
            bytes += Request.setTensor(tensor, isCacheable: random.chance(20), offset: offset).encoded(tailByteCount: tailCount)
            append(tailCount, &bytes)
        case .setTensorHash: bytes += Request.setTensorHash(tensor, offset: offset, hash: random.next()).encoded()
        case .getTensor: bytes += Request.getTensor(tensor, offset: offset, byteCount: length).encoded()
        case .getTensor2D: bytes += Request.getTensor2D(tensor, region(tensor)).encoded()
        case .setTensor2D:
            let region = region(tensor)
            let (total, overflow) = region.byteCount.multipliedReportingOverflow(by: region.copies)
            let tailCount = overflow || total > 8000 ? random.below(100) : Int(total)
            bytes += Request.setTensor2D(tensor, region).encoded(tailByteCount: tailCount)
            append(tailCount, &bytes)
        case .copyTensor: bytes += Request.copyTensor(from: tensor, to: random.chance(70) ? tensor : self.tensor()).encoded()
        default: bytes += Request.fillTensor(tensor, offset: offset, byteCount: length, value: 7).encoded()
        }
    }

    private func append(_ count: Int, _ bytes: inout [UInt8]) {
        bytes.append(contentsOf: repeatElement(UInt8(truncatingIfNeeded: random.next()), count: count))
    }

    /// Up to three additions or products of floats; the generator of graphs does better.
    private func graph(_ bytes: inout [UInt8]) {
        let a = tensor()
        var message = GraphMessage(nodes: [], tensors: [a])
        for index in 0..<(1 + random.below(3)) {
            var node = random.chance(90) ? a : tensor()
            node.id = UInt64(20 + index)
            node.operation = random.pick([2, 2, 6, 7, 9, 33, 72, UInt32(random.below(103))])
            node.sources = [a.id, random.chance(90) ? a.id : UInt64(random.below(25))]
            if [9, 33, 72].contains(node.operation) { node.sources.removeLast() }
            node.flags = random.chance(95) ? 16 : Int32(truncatingIfNeeded: random.next())
            message.nodes.append(node.id)
            message.tensors.append(node)
        }
        if random.chance(3) { message.nodes.append(random.hostile()) }
        let uid = random.chance(20) ? 0 : UInt64(1 + random.below(random.chance(5) ? 2000 : 8))
        if uid != 0 { uids.append(uid) }
        let body = message.encoded
        let count = random.chance(2) ? UInt32(truncatingIfNeeded: random.hostile()) : UInt32(message.nodes.count)
        bytes += Request.computeGraph(device: device, uid: uid, nodeCount: count).encoded(tailByteCount: body.count)
        bytes += body
    }

    private func damage(_ bytes: inout [UInt8], from start: Int) {
        Damage.bytes(&bytes, start..<bytes.count, &random)
    }
}
