import DHT
import Testing

/// What nodes say comes back as it was, and nothing else is taken for it.
@Suite struct TableMessageTests {
    private static func address(_ text: [UInt8], _ port: Int) -> NodeAddress { NodeAddress(host: text, port: port)! }

    @Test("messages of all kinds come back as they were")
    func roundTrips() {
        var random = Draws(1)
        let (one, two) = (NodeNumber(random: &random), NodeNumber(random: &random))
        var reply = TableMessage.Reply(number: one)
        reply.contacts = [
            .init(number: two, address: TableMessageTests.address([1, 2, 3, 4], 5)),
            .init(number: one, address: TableMessageTests.address(Array(1...16), 65535)),
        ]
        reply.peers = [TableMessageTests.address([9, 8, 7, 6], 1), TableMessageTests.address(Array(21...36), 2)]
        reply.token = [1, 2, 3]
        let all: [TableMessage] = [
            TableMessage(transaction: [1, 2], .query(.ping, from: one, isReadOnly: false)),
            TableMessage(transaction: [], .query(.findNode(target: two), from: one, isReadOnly: true)),
            TableMessage(transaction: [0], .query(.getPeers(key: two), from: one, isReadOnly: false)),
            TableMessage(transaction: [0], .query(.announcePeer(key: two, port: 7, token: [5]), from: one, isReadOnly: false)),
            TableMessage(transaction: [0], .query(.announcePeer(key: two, port: nil, token: []), from: one, isReadOnly: false)),
            TableMessage(transaction: [255, 0, 1], .reply(reply), seenAddress: TableMessageTests.address([4, 4, 4, 4], 4)),
            TableMessage(transaction: [255, 0, 1], .reply(TableMessage.Reply(number: two))),
            TableMessage(transaction: [7], .error(code: 203)),
        ]
        for message in all { #expect(TableMessage.read(message.encoded) == .message(message)) }
    }

    @Test("the example messages of BEP 5 are read as what they are")
    func examples() {
        let (asker, other) = (NodeNumber(Array("abcdefghij0123456789".utf8))!, NodeNumber(Array("mnopqrstuvwxyz123456".utf8))!)
        func read(_ text: String) -> TableMessage.Outcome { TableMessage.read(Array(text.utf8)) }
        #expect(
            read("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")
                == .message(TableMessage(transaction: Array("aa".utf8), .query(.ping, from: asker, isReadOnly: false))))
        #expect(
            read("d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe")
                == .message(TableMessage(transaction: Array("aa".utf8), .query(.getPeers(key: other), from: asker, isReadOnly: false))))
        #expect(
            read(
                "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe"
            )
                == .message(
                    TableMessage(
                        transaction: Array("aa".utf8),
                        .query(.announcePeer(key: other, port: nil, token: Array("aoeusnth".utf8)), from: asker, isReadOnly: false))))
        var reply = TableMessage.Reply(number: asker)
        reply.peers = [TableMessageTests.address(Array("axje".utf8), 0x2e75), TableMessageTests.address(Array("idht".utf8), 0x6e6d)]
        reply.token = Array("aoeusnth".utf8)
        #expect(
            read("d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re")
                == .message(TableMessage(transaction: Array("aa".utf8), .reply(reply))))
        #expect(
            read("d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee")
                == .message(TableMessage(transaction: Array("aa".utf8), .error(code: 201))))
    }

    @Test("queries that are wrong in themselves are told so, and what is none is nothing")
    func wrong() {
        func read(_ text: String) -> TableMessage.Outcome { TableMessage.read(Array(text.utf8)) }
        #expect(read("d1:ad2:id20:abcdefghij0123456789e1:q4:pong1:t2:aa1:y1:qe") == .wrong(transaction: Array("aa".utf8), code: 204))
        #expect(read("d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe") == .wrong(transaction: Array("aa".utf8), code: 203))
        #expect(
            read("d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe") == .wrong(transaction: Array("aa".utf8), code: 203))
        for text in [
            "", "d", "de", "i1e", "le", "d1:t2:aae", "d1:y1:qe", "d1:rd2:id3:abce1:t2:aa1:y1:re", "d1:t17:aaaaaaaaaaaaaaaaa1:y1:qe",
            "d1:t2:aa1:y1:qe1:x",
        ] { #expect(read(text) == .nothing || text.contains("1:y1:q"), "\(text)") }
    }

    @Test("of BitTorrent's encoding only what is well formed is read, within bounds")
    func bencode() {
        func read(_ text: String) -> Bencode? { Bencode(Array(text.utf8)) }
        #expect(read("i-42e") == .integer(-42) && read("i0e") == .integer(0) && read("4:spam") == .text("spam") && read("0:") == .bytes([]))
        #expect(read("l4:spami7ee") == .list([.text("spam"), .integer(7)]))
        #expect(read("d3:bar4:spam3:fooi42ee")?["foo"] == .integer(42))
        for text in [
            "i-0e", "i03e", "ie", "i1", "i 1e", "i9223372036854775808e", "01:a", "2:a", "-1:a", "99999999999999999999:a", "l", "d1:ae",
            "di1ei2ee", "d1:ai1e1:ai2ee", "4:spam ", "x", "d1:a", "li1e",
        ] { #expect(read(text) == nil, "\(text)") }
        func nested(_ depth: Int) -> Bencode? {
            Bencode(Array(repeating: UInt8(ascii: "l"), count: depth) + Array(repeating: UInt8(ascii: "e"), count: depth))
        }
        #expect(nested(Bencode.depthLimit + 1) != nil && nested(Bencode.depthLimit + 2) == nil && nested(100_000) == nil)
        #expect(Bencode(Array("l".utf8) + Array(repeating: Array("le".utf8), count: 2000).flatMap(\.self) + Array("e".utf8)) == nil)
    }

    @Test("damaged messages are read as something or as nothing, and what is read says the same again")
    func damaged() {
        var random = Draws(7)
        var reply = TableMessage.Reply(number: NodeNumber(random: &random))
        reply.contacts = (0..<8).map { _ in
            .init(number: NodeNumber(random: &random), address: TableMessageTests.address([1, 2, 3, 4], 5))
        }
        reply.token = [1]
        let whole = TableMessage(transaction: [1, 2, 3], .reply(reply)).encoded
        for _ in 0..<50_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(place...)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
                if bytes.isEmpty { break }
            }
            if case .message(let message) = TableMessage.read(bytes) { #expect(TableMessage.read(message.encoded) == .message(message)) }
        }
    }
}
