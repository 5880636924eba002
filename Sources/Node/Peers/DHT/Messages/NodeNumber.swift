/// A node's number in the table, or a key in it: 160 bits. Two of them are the nearer to each other the smaller their exclusive or is, as a
/// number (Maymounkov and Mazières, Kademlia, 2002).
package struct NodeNumber: Hashable, Sendable, Comparable, CustomStringConvertible {
    private var high: UInt64
    private var middle: UInt64
    private var low: UInt32

    package static let byteCount = 20

    /// - Returns: nil for another count of bytes than 20.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == NodeNumber.byteCount else { return nil }
        let bytes = Array(bytes)
        func word(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        high = word(0..<8)
        middle = word(8..<16)
        low = UInt32(word(16..<20))
    }

    package init(random: inout some RandomNumberGenerator) {
        high = random.next()
        middle = random.next()
        low = UInt32(truncatingIfNeeded: random.next())
    }

    private init(_ high: UInt64, _ middle: UInt64, _ low: UInt32) {
        self.high = high
        self.middle = middle
        self.low = low
    }

    package var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: middle >> (56 - 8 * $0)) }
            + (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
    }

    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// How far it is from another one.
    package func distance(to other: NodeNumber) -> NodeNumber { NodeNumber(high ^ other.high, middle ^ other.middle, low ^ other.low) }

    package static func < (one: NodeNumber, other: NodeNumber) -> Bool {
        (one.high, one.middle, one.low) < (other.high, other.middle, other.low)
    }

    /// Bits from the front that two have in common; 160 for one and the same.
    package func commonBits(with other: NodeNumber) -> Int {
        let distance = distance(to: other)
        if distance.high != 0 { return distance.high.leadingZeroBitCount }
        if distance.middle != 0 { return 64 + distance.middle.leadingZeroBitCount }
        return 128 + distance.low.leadingZeroBitCount
    }

    /// Another one that has just so many bits from the front in common with this one.
    package func neighbour(commonBits: Int, _ random: inout some RandomNumberGenerator) -> NodeNumber {
        var bytes = self.bytes
        let noise = NodeNumber(random: &random).bytes
        for bit in commonBits..<(8 * NodeNumber.byteCount) {
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            let isSet = bit == commonBits ? bytes[bit / 8] & mask == 0 : noise[bit / 8] & mask != 0
            bytes[bit / 8] = isSet ? bytes[bit / 8] | mask : bytes[bit / 8] & ~mask
        }
        return NodeNumber(bytes) ?? self
    }
}

/// Numbers that follow from addresses, so that nobody can choose where in the table it is (BEP 42).
extension NodeNumber {
    /// A number for a node with this address.
    package init(for host: [UInt8], _ random: inout some RandomNumberGenerator) {
        var bytes = NodeNumber(random: &random).bytes
        let draw = bytes[19]
        let code = NodeNumber.code(host, draw)
        bytes[0] = UInt8(truncatingIfNeeded: code >> 24)
        bytes[1] = UInt8(truncatingIfNeeded: code >> 16)
        bytes[2] = UInt8(truncatingIfNeeded: code >> 8) & 0xf8 | bytes[2] & 0x07
        self = NodeNumber(bytes) ?? NodeNumber(random: &random)
    }

    /// Whether a node with this address can have it. In networks of somebody's own every number is right.
    package func isRight(for address: NodeAddress) -> Bool {
        if address.isLocal { return true }
        let bytes = self.bytes
        let code = NodeNumber.code(address.host, bytes[19])
        return bytes[0] == UInt8(truncatingIfNeeded: code >> 24) && bytes[1] == UInt8(truncatingIfNeeded: code >> 16)
            && bytes[2] & 0xf8 == UInt8(truncatingIfNeeded: code >> 8) & 0xf8
    }

    /// CRC-32C of the address's leading bits, with three bits of the number's last byte before them.
    private static func code(_ host: [UInt8], _ draw: UInt8) -> UInt32 {
        let masks: [UInt8] = host.count == 4 ? [0x03, 0x0f, 0x3f, 0xff] : [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff]
        var bytes = zip(host, masks).map { $0 & $1 }
        bytes[0] |= (draw & 0x07) << 5
        return checksum(bytes)
    }

    /// CRC-32C (Castagnoli; RFC 3720, appendix B.4), a bit at a time.
    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var code = ~UInt32(0)
        for byte in bytes {
            code ^= UInt32(byte)
            for _ in 0..<8 { code = code & 1 != 0 ? code >> 1 ^ 0x82f6_3b78 : code >> 1 }
        }
        return ~code
    }
}
