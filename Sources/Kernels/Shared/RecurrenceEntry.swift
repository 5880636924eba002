public import KernelTable

/// Fills in this variant's kernels of recurrences.
public func fillRecurrenceTable(_ table: UnsafeMutablePointer<RecurrenceTable?>) {
    fillRecurrences(table, dot: dotRow, addScaled: addScaledRow, spread: spreadRow, carry: carryRow)
}
