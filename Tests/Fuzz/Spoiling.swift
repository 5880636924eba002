import RPCProto
import Tensor

/// Changes to a graph that was plausible.
enum Spoiling {
    static func spoil(_ message: inout GraphMessage, _ bases: [UInt64], _ random: inout Random) {
        guard !message.tensors.isEmpty else { return }
        let index = random.below(message.tensors.count)
        var record = message.tensors[index]
        let dimension = random.below(4)
        switch random.below(18) {
        case 0, 1, 2, 3: parameter(&record, &random)
        case 4, 5:
            let old = record.extents[dimension]
            record.extents[dimension] = random.pick([
                0, 1, 2, old &+ 1, old &- 1, old &* 2, old / 2, UInt32(random.below(300)), .max, 1 << 31,
            ])
        case 6:
            // The same in every tensor, so that they may still fit each other.
            let value = random.pick([0, 1, 2, 7] as [UInt32])
            for other in message.tensors.indices { message.tensors[other].extents[dimension] = value }
            return
        case 7, 8, 9:
            let old = record.strides[dimension]
            record.strides[dimension] = random.pick([
                0, 0, 1, 2, 4, old &+ 4, old &- 4, old &* 2, old / 2, UInt32(random.below(5000)), .max,
            ])
        case 10: record.strides = SIMD4(record.strides[0], 0, 0, 0)
        case 11: record.type = UInt32(random.below(44))
        case 12:
            // Onto another tensor's place, whole or in part.
            let other = random.pick(message.tensors)
            record.buffer = other.buffer
            record.data = other.data &+ UInt64(random.pick([0, 0, 4, 32, 64, random.below(4096)]))
        case 13: record.data = random.chance(30) ? random.hostile() : random.pick(bases) &+ UInt64(random.below(5000))
        case 14:
            if random.chance(50), !record.sources.isEmpty {
                record.sources[random.below(record.sources.count)] = UInt64(random.below(message.tensors.count + 2))
            } else {
                record.sources.append(UInt64(1 + random.below(message.tensors.count)))
                if record.sources.count > 10 { record.sources.removeLast() }
            }
        case 16, 17:
            // As many elements as one likes, all of them the same few bytes.
            let (old, value) = (record.extents[dimension], random.pick([3000, 70_000, 1 << 20, 1 << 22, 1 << 24, 1 << 31] as [UInt32]))
            for other in message.tensors.indices where message.tensors[other].extents[dimension] == old {
                if message.tensors[other].operation != 0, random.chance(80) { continue }
                message.tensors[other].extents[dimension] = value
                for above in dimension..<4 where above > 0 || random.chance(50) { message.tensors[other].strides[above] = 0 }
            }
            return
        default:
            if random.chance(40) {
                record.operation = UInt32(random.below(103))
            } else {
                record.flags = random.chance(50) ? 0 : Int32(truncatingIfNeeded: random.next())
            }
        }
        message.tensors[index] = record
    }

    private static func parameter(_ record: inout TensorRecord, _ random: inout Random) {
        let old = record.parameters[random.below(16)]
        let slot = random.below(random.chance(70) ? 5 : 16)
        let whole: [Int32] = [0, 1, 2, 3, -1, 5, 16, 100, 1 << 20, .max, .min, old &+ 1, Int32(truncatingIfNeeded: random.next())]
        record.parameters[slot] = random.chance(60) ? random.pick(whole) : Int32(bitPattern: random.hostileFloat().bitPattern)
    }
}
