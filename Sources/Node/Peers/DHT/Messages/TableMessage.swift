/// A message between nodes of the table (KRPC; BEP 5, with BEP 32, 42 and 43).
package struct TableMessage: Hashable, Sendable {
    /// A node as others tell of it.
    package struct Contact: Hashable, Sendable {
        package var number: NodeNumber
        package var address: NodeAddress

        package init(number: NodeNumber, address: NodeAddress) {
            self.number = number
            self.address = address
        }
    }

    package enum Query: Hashable, Sendable {
        case ping
        case findNode(target: NodeNumber)
        case getPeers(key: NodeNumber)
        /// - Parameter port: nil for the one that the message comes from.
        case announcePeer(key: NodeNumber, port: Int?, token: [UInt8])
    }

    package struct Reply: Hashable, Sendable {
        package var number: NodeNumber
        package var contacts: [Contact] = []
        package var peers: [NodeAddress] = []
        package var token: [UInt8]?

        package init(number: NodeNumber) { self.number = number }
    }

    package enum Content: Hashable, Sendable {
        /// - Parameter isReadOnly: whether who asks is no node that others should know (BEP 43).
        case query(Query, from: NodeNumber, isReadOnly: Bool)
        case reply(Reply)
        case error(code: Int)
    }

    /// What tells the answers to one query from those to another: the asker's own.
    package var transaction: [UInt8]
    package var content: Content
    /// With a reply: where the asker is, as who answers sees it.
    package var seenAddress: NodeAddress?

    package init(transaction: [UInt8], _ content: Content, seenAddress: NodeAddress? = nil) {
        self.transaction = transaction
        self.content = content
        self.seenAddress = seenAddress
    }

    package static let genericError = 201
    package static let serverError = 202
    package static let protocolError = 203
    package static let unknownMethod = 204

    /// Bytes of a transaction's name that are taken; programs have two to eight.
    package static let transactionLimit = 16
    package static let tokenLimit = 64
    /// Nodes, and peers, of one reply that are taken.
    package static let contactLimit = 16
    package static let peerLimit = 128

    // MARK: Writing

    package var encoded: [UInt8] {
        var members: [String: Bencode] = ["t": .bytes(transaction), "v": .bytes(Array("SL01".utf8))]
        switch content {
        case .query(let query, let number, let isReadOnly):
            members["y"] = .text("q")
            members["q"] = .text(TableMessage.name(of: query))
            var arguments: [String: Bencode] = ["id": .bytes(number.bytes)]
            switch query {
            case .ping: break
            case .findNode(let target): arguments["target"] = .bytes(target.bytes)
            case .getPeers(let key): arguments["info_hash"] = .bytes(key.bytes)
            case .announcePeer(let key, let port, let token):
                arguments["info_hash"] = .bytes(key.bytes)
                arguments["port"] = .integer(port ?? 0)
                if port == nil { arguments["implied_port"] = .integer(1) }
                arguments["token"] = .bytes(token)
            }
            members["a"] = TableMessage.dictionary(arguments)
            if isReadOnly { members["ro"] = .integer(1) }
        case .reply(let reply):
            members["y"] = .text("r")
            var values: [String: Bencode] = ["id": .bytes(reply.number.bytes)]
            for (name, isIPv6) in [("nodes", false), ("nodes6", true)] {
                let contacts = reply.contacts.filter { $0.address.isIPv6 == isIPv6 }
                if !contacts.isEmpty { values[name] = .bytes(contacts.flatMap { $0.number.bytes + $0.address.compact }) }
            }
            if !reply.peers.isEmpty { values["values"] = .list(reply.peers.map { .bytes($0.compact) }) }
            if let token = reply.token { values["token"] = .bytes(token) }
            members["r"] = TableMessage.dictionary(values)
            if let seenAddress { members["ip"] = .bytes(seenAddress.compact) }
        case .error(let code):
            members["y"] = .text("e")
            members["e"] = .list([.integer(code), .text(TableMessage.words(for: code))])
        }
        return TableMessage.dictionary(members).encoded
    }

    private static func dictionary(_ members: [String: Bencode]) -> Bencode {
        .dictionary(Dictionary(uniqueKeysWithValues: members.map { (Array($0.key.utf8), $0.value) }))
    }

    private static func name(of query: Query) -> String {
        switch query {
        case .ping: "ping"
        case .findNode: "find_node"
        case .getPeers: "get_peers"
        case .announcePeer: "announce_peer"
        }
    }

    private static func words(for code: Int) -> String {
        switch code {
        case serverError: "Server Error"
        case protocolError: "Protocol Error"
        case unknownMethod: "Method Unknown"
        default: "Error"
        }
    }

    // MARK: Reading

    /// What came of reading a datagram of anybody's.
    package enum Outcome: Hashable, Sendable {
        case message(TableMessage)
        /// A query that is wrong in itself, to which an error can be answered.
        case wrong(transaction: [UInt8], code: Int)
        case nothing
    }

    package static func read(_ bytes: [UInt8]) -> Outcome {
        guard let value = Bencode(bytes), let transaction = value["t"]?.bytes, transaction.count <= transactionLimit else {
            return .nothing
        }
        switch value["y"]?.bytes {
        case Array("q".utf8):
            guard let arguments = value["a"], let number = arguments["id"]?.bytes.flatMap({ NodeNumber($0) }) else {
                return .wrong(transaction: transaction, code: protocolError)
            }
            guard let name = value["q"]?.bytes else { return .wrong(transaction: transaction, code: protocolError) }
            let query: Query?
            switch String(decoding: name, as: UTF8.self) {
            case "ping": query = .ping
            case "find_node": query = arguments["target"]?.bytes.flatMap { NodeNumber($0) }.map { .findNode(target: $0) }
            case "get_peers": query = arguments["info_hash"]?.bytes.flatMap { NodeNumber($0) }.map { .getPeers(key: $0) }
            case "announce_peer": query = announcement(arguments)
            default: return .wrong(transaction: transaction, code: unknownMethod)
            }
            guard let query else { return .wrong(transaction: transaction, code: protocolError) }
            let isReadOnly = value["ro"]?.integer == 1
            return .message(TableMessage(transaction: transaction, .query(query, from: number, isReadOnly: isReadOnly)))
        case Array("r".utf8):
            guard let values = value["r"], let number = values["id"]?.bytes.flatMap({ NodeNumber($0) }) else { return .nothing }
            var reply = Reply(number: number)
            for (name, size) in [("nodes", 26), ("nodes6", 38)] {
                guard let nodes = values[name]?.bytes, nodes.count % size == 0 else { continue }
                for start in stride(from: 0, to: min(nodes.count, size * contactLimit), by: size) {
                    if let number = NodeNumber(nodes[start..<(start + 20)]),
                        let address = NodeAddress(compact: nodes[(start + 20)..<(start + size)])
                    {
                        reply.contacts.append(Contact(number: number, address: address))
                    }
                }
            }
            reply.peers = (values["values"]?.list ?? []).prefix(peerLimit).compactMap { $0.bytes.flatMap { NodeAddress(compact: $0) } }
            if let token = values["token"]?.bytes, token.count <= tokenLimit { reply.token = token }
            let seen = value["ip"]?.bytes.flatMap { NodeAddress(compact: $0) }
            return .message(TableMessage(transaction: transaction, .reply(reply), seenAddress: seen))
        case Array("e".utf8):
            return .message(TableMessage(transaction: transaction, .error(code: value["e"]?.list?.first?.integer ?? genericError)))
        default: return .nothing
        }
    }

    private static func announcement(_ arguments: Bencode) -> Query? {
        guard let key = arguments["info_hash"]?.bytes.flatMap({ NodeNumber($0) }), let token = arguments["token"]?.bytes,
            token.count <= tokenLimit
        else { return nil }
        if let implied = arguments["implied_port"]?.integer, implied != 0 { return .announcePeer(key: key, port: nil, token: token) }
        guard let port = arguments["port"]?.integer, (1...65535).contains(port) else { return nil }
        return .announcePeer(key: key, port: port, token: token)
    }
}
