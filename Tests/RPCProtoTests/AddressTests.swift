import RPCProto
import Testing

/// Whoever is not named must not get in, in whatever clothes.
@Suite struct AddressTests {
    private func contains(_ range: String, _ address: String) -> Bool? {
        guard let range = AddressRange(range), let address = NetworkAddress(address) else { return nil }
        return range.contains(address)
    }

    @Test func comparesTheBitsThatCount() {
        #expect(contains("10.0.0.0/8", "10.255.1.2") == true)
        #expect(contains("10.0.0.0/8", "11.0.0.1") == false)
        #expect(contains("192.168.4.0/22", "192.168.7.255") == true)
        #expect(contains("192.168.4.0/22", "192.168.8.0") == false)
        #expect(contains("192.168.1.7", "192.168.1.7") == true)
        #expect(contains("192.168.1.7", "192.168.1.6") == false)
        #expect(contains("0.0.0.0/0", "8.8.8.8") == true)
        #expect(contains("fd00::/8", "fd12:3456::1") == true)
        #expect(contains("fd00::/8", "fe80::1") == false)
        #expect(contains("::1", "::1") == true)
    }

    @Test func keepsTheFamiliesApart() {
        #expect(contains("::/0", "10.0.0.1") == false)
        #expect(contains("0.0.0.0/0", "::1") == false)
        // An IPv4 client of a socket that takes both.
        #expect(contains("10.0.0.0/8", "::ffff:10.1.2.3") == true)
        #expect(contains("::/0", "::ffff:10.1.2.3") == false)
    }

    @Test func takesNothingElseForAnAddress() {
        for text in ["", "/", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::1/129", "localhost", "10.0.0.0/8/8", "fe80::1%lo"] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }

    @Test func saysWhatItIs() {
        #expect(AddressRange("10.0.0.0/8")?.description == "10.0.0.0/8")
        #expect(AddressRange("::1")?.description == "::1")
    }
}
