import Foundation
import NodePeers

/// Lines of JSON, each with the moment of the system's monotonic clock, in seconds: what Python's `time.monotonic()` gives.
enum Output {
    static func write(_ fields: [String: Any]) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        var fields = fields
        fields["at"] = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        guard let data = try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys]) else { return }
        FileHandle.standardOutput.write(data + Data("\n".utf8))
    }

    static func say(_ change: ServiceChange) {
        switch change {
        case .found(let record):
            write([
                "found": record.key.name, "interface": record.interface, "host": record.hostName, "port": record.port,
                "text": record.text, "endpoints": record.endpoints.map(\.description),
            ])
        case .gone(let key): write(["gone": key.name])
        }
    }

    static func say(_ condition: ServiceBrowser.Condition) {
        switch condition {
        case .browsing: write(["browsing": true])
        case .interrupted(let error): write(["interrupted": "\(error)"])
        }
    }

    static func say(_ condition: ServiceAnnouncer.Condition) {
        switch condition {
        case .announced(let name): write(["announced": name])
        case .interrupted(let error): write(["interrupted": "\(error)"])
        }
    }

    static func say(_ change: MappingChange) {
        switch change {
        case .mapped(let mapping, let method):
            var fields: [String: Any] = ["mapped": mapping.external(.tcp)?.description ?? "", "by": method.rawValue]
            if let datagrams = mapping.external(.udp) { fields["udp"] = datagrams.description }
            if let lifetime = mapping.lifetime { fields["lifetime"] = Int(lifetime) }
            write(fields)
        case .failed(let error): write(["failed": error.description])
        }
    }
}
