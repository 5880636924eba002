import NodePeers
import Testing

/// TXT records come from anybody on the network.
@Suite struct ServiceTextTests {
    @Test("what is written is read again")
    func roundTrip() throws {
        let entries = [
            "v": "1", "net": "0011223344556677", "id": String(repeating: "a", count: 32), "role": "worker", "dev": "Früh = spät", "x": "",
        ]
        #expect(try ServiceText.parse(ServiceText.encode(entries)) == entries)
        #expect(try ServiceText.parse(ServiceText.encode([:])) == [:])
        #expect(try ServiceText.encode([:]) == [0])
    }

    @Test("keys are read in lower case, the first of several counts, and one without a value has an empty one")
    func forms() throws {
        let bytes = record(["Net=a", "net=b", "flag", "x=", "y=="])
        #expect(try ServiceText.parse(bytes) == ["net": "a", "flag": "", "x": "", "y": "="])
    }

    @Test("a record that is not wholly as it should be is refused")
    func refusals() {
        #expect(throws: ServiceTextError.cutShort) { try ServiceText.parse([5, 0x61, 0x3d]) }
        #expect(throws: ServiceTextError.wrongKey) { try ServiceText.parse(record(["=value"])) }
        #expect(throws: ServiceTextError.wrongKey) { try ServiceText.parse(record(["ü=value"])) }
        #expect(throws: ServiceTextError.wrongValue) { try ServiceText.parse(record(["a=b\u{1b}[2J"])) }
        #expect(throws: ServiceTextError.wrongValue) { try ServiceText.parse([4, 0x61, 0x3d, 0xff, 0xfe]) }
        #expect(throws: ServiceTextError.tooManyEntries) { try ServiceText.parse(record((0..<17).map { "k\($0)=" })) }
        #expect(throws: ServiceTextError.tooLong) { try ServiceText.parse([UInt8](repeating: 0, count: 1301)) }
    }

    @Test("what could not be read again is not written")
    func unwritable() {
        #expect(throws: ServiceTextError.wrongKey) { try ServiceText.encode(["A": "b"]) }
        #expect(throws: ServiceTextError.wrongKey) { try ServiceText.encode(["": "b"]) }
        #expect(throws: ServiceTextError.wrongValue) { try ServiceText.encode(["a": "\n"]) }
        #expect(throws: ServiceTextError.tooLong) { try ServiceText.encode(["a": String(repeating: "b", count: 254)]) }
        #expect(throws: ServiceTextError.tooLong) {
            try ServiceText.encode(Dictionary(uniqueKeysWithValues: (0..<6).map { ("k\($0)", String(repeating: "b", count: 250)) }))
        }
        #expect(throws: ServiceTextError.tooManyEntries) {
            try ServiceText.encode(Dictionary(uniqueKeysWithValues: (0..<17).map { ("k\($0)", "") }))
        }
    }

    private func record(_ entries: [String]) -> [UInt8] { entries.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } }
}

/// The library that speaks to the daemon.
@Suite struct DNSServiceLibraryTests {
    @Test("a library that is not there is named, with the packages that bring it")
    func missing() {
        #expect {
            _ = try DNSServiceLibrary(fileName: "libnosuchthing.so.1")
        } throws: { error in
            guard case DiscoveryError.libraryMissing = error else { return false }
            return "\(error)".contains("apt install libavahi-compat-libdnssd1 avahi-daemon")
        }
    }

    #if os(Linux)
        @Test("a library of another kind is refused")
        func wrong() {
            #expect(throws: DiscoveryError.functionMissing("DNSServiceRegister")) { _ = try DNSServiceLibrary(fileName: "libc.so.6") }
        }
    #endif
}
