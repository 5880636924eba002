import DHT
import Testing

/// Numbers, how far they are from each other, and that they follow from addresses.
@Suite struct NodeNumberTests {
    @Test("the numbers that BEP 42 gives as examples are right for their addresses, and wrong for others")
    func examples() {
        let examples: [([UInt8], UInt8, [UInt8])] = [
            ([124, 31, 75, 21], 1, [0x5f, 0xbf, 0xbf]), ([21, 75, 31, 124], 86, [0x5a, 0x3c, 0xe9]),
            ([65, 23, 51, 170], 22, [0xa5, 0xd4, 0x32]), ([84, 124, 73, 14], 65, [0x1b, 0x03, 0x21]),
            ([43, 213, 53, 83], 90, [0xe5, 0x6f, 0x6c]),
        ]
        for (host, draw, start) in examples {
            let number = NodeNumber(start + Array(repeating: 7, count: 16) + [draw])!
            #expect(number.isRight(for: NodeAddress(host: host, port: 1)!))
            #expect(!number.isRight(for: NodeAddress(host: [8, 8, 8, 8], port: 1)!))
            #expect(number.isRight(for: NodeAddress(host: [192, 168, 1, 1], port: 1)!))
        }
    }

    @Test("numbers that are made for an address are right for it, of both families")
    func made() {
        var random = Draws(1)
        for _ in 0..<1000 {
            for count in [4, 16] {
                let host = [UInt8(0x20)] + (1..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                #expect(NodeNumber(for: host, &random).isRight(for: NodeAddress(host: host, port: 1)!))
            }
        }
    }

    @Test("distance is what Kademlia says, and neighbours have as many bits in common as was asked for")
    func distance() {
        var random = Draws(2)
        for _ in 0..<1000 {
            let (one, two, three) = (NodeNumber(random: &random), NodeNumber(random: &random), NodeNumber(random: &random))
            #expect(NodeNumber(one.bytes) == one)
            #expect(one.distance(to: two) == two.distance(to: one) && one.distance(to: one) < one.distance(to: two))
            #expect(one.distance(to: two).distance(to: two.distance(to: three)) == one.distance(to: three))
            #expect((one < two) == one.bytes.lexicographicallyPrecedes(two.bytes))
            let bits = Int.random(in: 0..<160, using: &random)
            #expect(one.neighbour(commonBits: bits, &random).commonBits(with: one) == bits)
        }
        #expect(NodeNumber([1, 2]) == nil)
    }

    @Test("addresses: their forms, whose they are, and where nobody can be")
    func addresses() {
        func address(_ host: [UInt8]) -> NodeAddress { NodeAddress(host: host, port: 1)! }
        for host: [UInt8] in [[10, 1, 1, 1], [127, 0, 0, 1], [192, 168, 0, 1], [172, 31, 0, 1], [169, 254, 1, 1], [100, 64, 0, 1]] {
            #expect(address(host).isLocal)
        }
        for host: [UInt8] in [[11, 1, 1, 1], [172, 32, 0, 1], [100, 128, 0, 1], [8, 8, 8, 8]] { #expect(!address(host).isLocal) }
        #expect(address([0xfd] + Array(repeating: 1, count: 15)).isLocal && address(Array(repeating: 0, count: 15) + [1]).isLocal)
        for host: [UInt8] in [[0, 1, 1, 1], [224, 0, 0, 1], [255, 255, 255, 255], Array(repeating: 0, count: 16)] {
            #expect(!address(host).isUsable)
        }
        #expect(!address(Array(repeating: 0, count: 10) + [255, 255, 1, 2, 3, 4]).isUsable)
        #expect(NodeAddress(host: [1, 2, 3], port: 1) == nil && NodeAddress(host: [1, 2, 3, 4], port: 0) == nil)
        #expect(NodeAddress(compact: [1, 2, 3, 4, 0x1a, 0xe1])?.description == "1.2.3.4:6881")
        #expect(NodeAddress(compact: [1, 2, 3, 4, 5]) == nil)
    }
}
