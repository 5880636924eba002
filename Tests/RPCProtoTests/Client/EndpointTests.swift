import RPCProto
import Testing

/// Endpoints as people write them.
struct EndpointTests {
    @Test func whatPeopleWrite() throws {
        let cases: [(String, host: String, port: Int, String)] = [
            ("10.0.0.7:50053", "10.0.0.7", 50053, "10.0.0.7:50053"), ("node-b", "node-b", 50052, "node-b:50052"),
            ("node_b.example.org:1", "node_b.example.org", 1, "node_b.example.org:1"), ("[::1]:65535", "::1", 65535, "[::1]:65535"),
            ("[fe80::1%eth0]", "fe80::1%eth0", 50052, "[fe80::1%eth0]:50052"), ("::1", "::1", 50052, "[::1]:50052"),
            ("bücher.example:00080", "bücher.example", 80, "bücher.example:80"),
        ]
        for (text, host, port, description) in cases {
            let endpoint = try Endpoint(parsing: text)
            #expect(endpoint == Endpoint(host: host, port: port))
            #expect(endpoint.description == description)
            #expect(try Endpoint(parsing: description) == endpoint)
        }
    }

    @Test func whatIsNoEndpointIsExplained() {
        let cases: [(String, String)] = [
            ("", "there is no host"), (":50052", "there is no host"), ("a:", "the port is a number from 1 to 65535"),
            ("a:0", "the port is a number from 1 to 65535"), ("a:65536", "the port is a number from 1 to 65535"),
            ("a:+5", "the port is a number from 1 to 65535"), ("a:99999999999999999999", "the port is a number from 1 to 65535"),
            ("http://a:80", "it has several colons; an IPv6 address with a port is written [address]:port"),
            ("http://a", "the port is a number from 1 to 65535"), ("a/b", "a host cannot have '/'"), ("a b:1", "a host cannot have ' '"),
            ("a\n", "a host cannot have '\\n'"), ("[::1", "the bracket is not closed"),
            ("[::1]50052", "only ':' and a port can follow the bracket"),
            ("[node]:1", "brackets are for IPv6 addresses"),
            ("::1:zz", "it has several colons; an IPv6 address with a port is written [address]:port"),
        ]
        for (text, why) in cases {
            #expect(throws: EndpointError(text: text, message: why)) { try Endpoint(parsing: text) }
        }
    }
}
