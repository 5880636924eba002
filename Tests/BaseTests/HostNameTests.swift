import Base
import Testing

/// Whether a name means this machine is decided by what it is, not by how it begins.
@Suite struct HostNameTests {
    @Test("Addresses and names of this machine, and such as look like them")
    func loopback() {
        for name in [
            "127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost", "localhost.", "a.localhost",
            "127.1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1",
        ] {
            #expect(HostName.isLoopback(name), "\(name)")
        }
        let others = [
            "127.evil.com", "127.0.0.1.evil.com", "127.1.evil", "::ffff:10.0.0.1", "127.0.0.256", "127.0.0.+1", "0.0.0.0",
            "128.0.0.1", "",
            "evil-localhost", "localhost.evil.com", "::", "::2",
        ]
        for name in others { #expect(!HostName.isLoopback(name), "\(name)") }
    }

    @Test("The host of an authority, with and without a port; nil for what is none")
    func authority() {
        let cases: [(String, String?)] = [
            ("localhost", "localhost"), ("localhost:8080", "localhost"), ("localhost:", "localhost"), ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("[::1", nil), ("[::1].evil.com", nil), ("a:b", nil), ("a:1:2", nil), ("", nil), (":80", nil), ("127.0.0.1:80/x", nil),
        ]
        for (text, host) in cases { #expect(HostName.ofAuthority(text) == host, "\(text)") }
    }
}
