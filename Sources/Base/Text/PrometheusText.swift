/// Figures in Prometheus's text format, version 0.0.4.
package struct PrometheusText {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let prefix: String
    private var lines: [String] = []

    package init(prefix: String) { self.prefix = prefix }

    package var text: String { lines.joined(separator: "\n") + "\n" }

    package mutating func add(_ name: String, _ kind: String, _ help: String, _ value: some CustomStringConvertible) {
        addHead(name, kind, help)
        lines.append("\(prefix)\(name) \(value)")
    }

    /// One figure under several labels; those without a value are left out.
    package mutating func add(
        _ name: String, _ kind: String, _ help: String, rows: [(labels: KeyValuePairs<String, String>, value: String?)]
    ) {
        addHead(name, kind, help)
        for (labels, value) in rows {
            guard let value else { continue }
            let shown = labels.map { "\($0.key)=\"\(PrometheusText.escaped($0.value))\"" }.joined(separator: ",")
            lines.append("\(prefix)\(name){\(shown)} \(value)")
        }
    }

    private mutating func addHead(_ name: String, _ kind: String, _ help: String) {
        lines.append("# HELP \(prefix)\(name) \(help)")
        lines.append("# TYPE \(prefix)\(name) \(kind)")
    }

    private static func escaped(_ text: String) -> String {
        String(text.flatMap { $0 == "\\" || $0 == "\"" ? ["\\", $0] : $0 == "\n" ? ["\\", "n"] : [$0] })
    }
}
