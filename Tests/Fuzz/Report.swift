import Foundation
import Tensor

/// Figures for people.
enum Report {
    static func fixed(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

    static func duration(_ nanoseconds: UInt64) -> String { fixed(Double(nanoseconds) / 1e6, 1) + " ms" }

    static func share(_ part: Int, _ whole: Int) -> String {
        whole == 0 ? "none" : fixed(100 * Double(part) / Double(whole), 1) + " %"
    }

    /// Every operation: nodes drawn, how many were accepted, how many computed.
    static func table(_ counts: [OperationKind: WatchedBackend.Counts], drawn: [OperationKind: Int]) -> String {
        func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        var lines = [padded("operation", 26) + padded("drawn", 10) + padded("prepared", 10) + padded("accepted", 20) + "computed"]
        for kind in OperationKind.allCases {
            let count = counts[kind] ?? WatchedBackend.Counts()
            let share = share(count.accepted, max(drawn[kind] ?? 0, count.asked))
            lines.append(
                padded(kind.rawValue, 26) + padded("\(drawn[kind] ?? 0)", 10) + padded("\(count.asked)", 10)
                    + padded("\(count.accepted) (\(share))", 20) + "\(count.computed)")
        }
        return lines.joined(separator: "\n")
    }
}

enum ProcessMemory {
    /// Bytes of this process that are in memory; 0 where the system does not say.
    static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}
