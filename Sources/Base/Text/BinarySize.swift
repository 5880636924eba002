internal import Foundation

extension Int {
    /// Bytes as people read them, to three figures: `18 B`, `5.25 MiB`, `170 MiB`, `1.46 GiB`.
    package var binarySize: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(self)
        var unit = 0
        // What three figures would round to 1000 or more reads better in the next unit.
        while abs(value) >= 999.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(self) B" }
        let decimals = abs(value) < 9.995 ? 2 : abs(value) < 99.95 ? 1 : 0
        return String(format: "%.\(decimals)f %@", value, units[unit])
    }
}

extension Double {
    /// Milliseconds as people read them: `0.084 ms`, `8.39 ms`, `134 ms`.
    package var millisecondText: String {
        let decimals = self < 0.0995 ? 3 : self < 9.995 ? 2 : self < 99.95 ? 1 : 0
        return String(format: "%.\(decimals)f ms", self)
    }
}
