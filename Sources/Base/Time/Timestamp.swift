package import Foundation

extension Date {
    /// As JSON has moments, in UTC: `2026-11-28T03:13:39.123Z`.
    package var timestamp: String { formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
}
