internal import Base
internal import Foundation
public import NodeEngine

/// Benchmark results in the forms of llama.cpp's `llama-bench`, so that scripts made for it read ours.
///
/// Text comes in parts: a head, a part for each result, a foot.
public struct BenchmarkTable: Sendable {
    public enum Format: String, CaseIterable, Hashable, Sendable {
        case md
        case json
        case jsonl
        case csv
    }

    private let format: Format
    private let fields: Fields
    private var isFirst = true

    public init(_ format: Format, modelPath: String, card: ModelCard, conditions: BenchmarkConditions) {
        self.format = format
        fields = Fields(modelPath: modelPath, card: card, conditions: conditions)
    }

    public var head: String {
        switch format {
        case .md: Self.row(Self.columns.map(\.title)) + Self.rule
        case .json: "[\n"
        case .jsonl: ""
        case .csv: Fields.names.joined(separator: ",") + "\n"
        }
    }

    public var foot: String {
        switch format {
        case .md: "\nbuild: swiftlet \(Version.current)\n"
        case .json: "\n]\n"
        case .jsonl, .csv: ""
        }
    }

    public mutating func part(_ result: BenchmarkResult) -> String {
        defer { isFirst = false }
        switch format {
        case .md: return Self.row(fields.cells(result))
        case .csv: return fields.values(result).map(Self.quoted).joined(separator: ",") + "\n"
        case .jsonl: return JSONValue.object(fields.object(result)).text + "\n"
        case .json:
            let lines = fields.object(result).members.map { "    \(JSONValue.string($0.name).text): \(Self.spaced($0.value))" }
            return (isFirst ? "" : ",\n") + "  {\n" + lines.joined(separator: ",\n") + "\n  }"
        }
    }

    /// Arrays with a space after each comma, on one line.
    private static func spaced(_ value: JSONValue) -> String {
        guard case .array(let elements) = value else { return value.text }
        return "[ " + elements.map(\.text).joined(separator: ", ") + " ]"
    }

    private static func quoted(_ value: JSONValue) -> String {
        let text: String
        switch value {
        case .string(let string): text = string
        case .bool(let bool): text = bool ? "1" : "0"
        default: text = value.text
        }
        return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }
}

// MARK: - Markdown

extension BenchmarkTable {
    private struct Column {
        let title: String
        let width: Int
        let isLeftAligned: Bool

        init(_ title: String, _ width: Int, left: Bool = false) {
            self.title = title
            self.width = width
            isLeftAligned = left
        }
    }

    private static let columns = [
        Column("model", 30, left: true), Column("size", 10), Column("params", 10), Column("backend", 10, left: true), Column("threads", 7),
        Column("test", 15), Column("t/s", 20),
    ]

    private static func row(_ cells: [String]) -> String {
        let padded = zip(columns, cells).map { column, cell in
            let padding = String(repeating: " ", count: max(0, column.width - cell.count))
            return column.isLeftAligned ? cell + padding : padding + cell
        }
        return "| " + padded.joined(separator: " | ") + " |\n"
    }

    private static var rule: String {
        let dashes = columns.map { String(repeating: "-", count: $0.width - 1) + ($0.isLeftAligned ? "-" : ":") }
        return "| " + dashes.joined(separator: " | ") + " |\n"
    }
}

// MARK: - Fields

/// llama-bench's fields, in its order.
private struct Fields: Sendable {
    let modelPath: String
    let card: ModelCard
    let conditions: BenchmarkConditions

    static let names = [
        "build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type", "model_size", "model_n_params",
        "n_batch", "n_ubatch", "n_threads", "cpu_mask", "cpu_strict", "poll", "type_k", "type_v", "n_gpu_layers", "n_cpu_moe", "split_mode",
        "main_gpu", "no_kv_offload", "flash_attn", "devices", "tensor_split", "tensor_buft_overrides", "load_mode", "lazy_mode",
        "embeddings",
        "no_op_offload", "no_host", "repack", "fit_target", "fit_min_ctx", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns",
        "stddev_ns",
        "avg_ts", "stddev_ts",
    ]

    /// In the order of ``names``.
    func values(_ result: BenchmarkResult) -> [JSONValue] {
        let samples = result.samples.map(Double.init)
        let work = result.work
        let identity: [JSONValue] = [
            .string(Version.current), 0, .string(conditions.cpu), "", "CPU", .string(modelPath), .string(card.typeDescription),
            .integer(card.byteCount), .integer(card.parameterCount),
        ]
        let settings: [JSONValue] = [
            .integer(work.batchSize), .integer(work.batchSize), .integer(work.threads), "0x0", false, 50, .string(conditions.cacheTypeK),
            .string(conditions.cacheTypeV), 0, 0, "layer", 0, false, .integer(conditions.flashAttention ? 1 : 0), "none", "0.00", "none",
            .string(conditions.memoryMapped ? "mmap" : "none"), "off", false, 0, false, false, 0, 0,
        ]
        let figures: [JSONValue] = [
            .integer(work.prompt), .integer(work.generate), .integer(work.depth), .string(result.time),
            .integer(Int(BenchmarkResult.mean(samples))), .integer(Int(BenchmarkResult.deviation(samples))),
            .number(BenchmarkResult.mean(result.rates)), .number(BenchmarkResult.deviation(result.rates)),
        ]
        return identity + settings + figures
    }

    func object(_ result: BenchmarkResult) -> JSONObject {
        var object = JSONObject()
        for (name, value) in zip(Fields.names, values(result)) { object[name] = value }
        object["samples_ns"] = .array(result.samples.map { .integer($0) })
        object["samples_ts"] = .array(result.rates.map { .number($0) })
        return object
    }

    func cells(_ result: BenchmarkResult) -> [String] {
        let mebibytes = Double(card.byteCount) / 1_048_576
        let millions = Double(card.parameterCount) / 1e6
        return [
            card.typeDescription,
            mebibytes < 1024 ? String(format: "%.2f MiB", mebibytes) : String(format: "%.2f GiB", mebibytes / 1024),
            millions < 1000 ? String(format: "%.2f M", millions) : String(format: "%.2f B", millions / 1000),
            "CPU", String(result.work.threads), result.name,
            String(format: "%.2f ± %.2f", BenchmarkResult.mean(result.rates), BenchmarkResult.deviation(result.rates)),
        ]
    }
}
