internal import Base

/// What `swiftlet token show` prints: nothing by which a network could be joined, nor anything that is EdgeVPN's secret.
public enum TokenListing {
    public static func text(_ token: NetworkToken, networkID: String, json: Bool) -> String {
        let tag = token.tag(networkID: networkID)
        if json {
            let value: JSONValue = [
                "network": .string(tag), "network_id": .string(networkID), "version": .integer(token.version),
                "mdns": .bool(token.hasMulticastName), "dht_interval": .integer(token.discovery.interval),
                "crypto_interval": .integer(token.sealing.interval), "max_message_size": .integer(token.maximumMessageSize),
                "bootstrap": .array(token.bootstrap.map { .string($0) }), "relay": .array(token.relays.map { .string($0) }),
            ]
            return value.indented + "\n"
        }
        func list(_ texts: [String]) -> String { texts.isEmpty ? "none" : texts.joined(separator: ", ") }
        let lines = [
            ("network", tag), ("network id", networkID.isEmpty ? "none" : networkID), ("version", "\(token.version)"),
            ("mdns name", token.hasMulticastName ? "yes" : "no"),
            ("intervals", "\(token.discovery.interval) s (dht), \(token.sealing.interval) s (crypto)"),
            ("messages", "up to \(token.maximumMessageSize) bytes"), ("bootstrap", list(token.bootstrap)), ("relays", list(token.relays)),
        ]
        // Texts of a token come from whoever made it, and a terminal obeys some of them.
        return lines.map { name, value in
            let shown = String(
                String.UnicodeScalarView(
                    value.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f || (0x80...0x9f).contains($0.value) ? "\u{fffd}" : $0 }))
            return "\(name)\(String(repeating: " ", count: 12 - name.count))\(shown)\n"
        }.joined()
    }
}
