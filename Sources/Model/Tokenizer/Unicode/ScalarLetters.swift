/// What becomes of Unicode scalars where a vocabulary wants plain letters: lower case, and no accents. Of Unicode 15.1, as
/// ``ScalarClass`` is.
///
/// The tables are of runs, ascending: the first scalar in the upper bits (from 43), how many more there are (22…42), whether
/// every second one (21), and what the first becomes (0…20).
enum ScalarLetters {
    /// The first scalar of its lower case. O(log n) in the table.
    static func lowered(_ scalar: UInt32) -> UInt32 {
        guard let (run, steps) = find(scalar, in: lowered) else { return scalar }
        return target(of: run) + steps
    }

    /// The first scalar of its canonical decomposition: a letter without its accents, and all that readers of these
    /// vocabularies keep of it.
    static func decomposed(_ scalar: UInt32) -> UInt32 {
        if scalar < 0x80 { return scalar }
        return find(scalar, in: decomposed).map { target(of: $0.run) } ?? scalar
    }

    /// Whether it is a control, a format, a surrogate or of private use. Unassigned scalars are none of these.
    static func isControl(_ scalar: UInt32) -> Bool { find(scalar, in: controls) != nil }

    private static func target(of run: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: run) & 0x1F_FFFF }

    /// The run that has the scalar, and how far it is from the run's first.
    private static func find(_ scalar: UInt32, in runs: [UInt64]) -> (run: UInt64, distance: UInt32)? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle] >> 43 <= UInt64(scalar) { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let run = runs[low - 1]
        let stride: UInt32 = run >> 21 & 1 == 1 ? 2 : 1
        let distance = scalar - UInt32(run >> 43)
        let count = UInt32(truncatingIfNeeded: run >> 22 & 0x1F_FFFF) + 1
        return distance % stride == 0 && distance / stride < count ? (run, distance) : nil
    }
}
