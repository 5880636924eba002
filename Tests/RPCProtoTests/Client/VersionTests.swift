import RPCProto
import Testing

/// Which servers are spoken with, by the version that they say: as stock clients decide.
@Suite struct VersionTests {
    @Test(
        arguments: [
            (WireVersion(8, 0, 0), WireVersion(8, 0, 0)), (.init(8, 0, 1), .init(8, 0, 0)), (.init(8, 0, 255), .init(8, 0, 0)),
            (.init(7, 0, 3), .init(7, 0, 0)), (.init(5, 1, 2), .init(5, 1, 0)), (.init(5, 0, 0), .init(5, 1, 0)),
            (.init(8, 1, 0), nil), (.init(7, 1, 0), nil), (.init(5, 2, 0), nil), (.init(6, 0, 0), nil), (.init(9, 0, 0), nil),
        ] as [(WireVersion, WireVersion?)])
    func spoken(said: WireVersion, spoken: WireVersion?) {
        #expect(Dialect.speaking(to: said)?.version == spoken)
    }

    /// A server of a later patch was refused.
    @Test func anotherPatchIsUsedAndNamedAsItIs() throws {
        let server = try LoopbackServer(rewriting: { command, answer in
            var answer = answer
            if command == .hello { answer[10] = 1 }
            return answer
        })
        let connection = try ServerConnection.connect(to: server.endpoint)
        #expect(connection.version == WireVersion(8, 0, 1))
        #expect(connection.dialect == .newest)
        #expect(try connection.devices[0].memory().total > 0)
    }
}
