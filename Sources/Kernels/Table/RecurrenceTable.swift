/// Products and sums over rows of F32 values, of one instruction-set variant: what recurrences, outer products and
/// gradients are made of. See `Shared/RowRecurrence.swift`.
public struct RecurrenceTable: Sendable {
    public typealias Floats = UnsafePointer<Float>
    public typealias MutableFloats = UnsafeMutablePointer<Float>

    /// The sum of the products of two rows.
    public var dot: @Sendable (_ a: Floats, _ b: Floats, _ count: Int) -> Float
    /// `out += a · factor`.
    public var addScaled: @Sendable (_ a: Floats, _ factor: Float, _ out: MutableFloats, _ count: Int) -> Void
    /// `state = previous · decay + value · key`, `out += previous · read + value · bonus`; the factors in that order.
    public var spread:
        @Sendable (
            _ previous: Floats, _ state: MutableFloats, _ value: Floats, _ out: MutableFloats, _ count: Int,
            _ factors: SIMD4<Float>
        ) -> Void
    /// `state = previous · decay + a · x + b · y`; returns the product of the new state and the query.
    public var carry:
        @Sendable (
            _ previous: Floats, _ state: MutableFloats, _ decay: Floats, _ a: Floats, _ x: Float, _ b: Floats?,
            _ y: Float, _ query: Floats, _ count: Int
        ) -> Float

    init(
        dot: @escaping @Sendable (Floats, Floats, Int) -> Float,
        addScaled: @escaping @Sendable (Floats, Float, MutableFloats, Int) -> Void,
        spread: @escaping @Sendable (Floats, MutableFloats, Floats, MutableFloats, Int, SIMD4<Float>) -> Void,
        carry: @escaping @Sendable (Floats, MutableFloats, Floats, Floats, Float, Floats?, Float, Floats, Int) -> Float
    ) {
        self.dot = dot
        self.addScaled = addScaled
        self.spread = spread
        self.carry = carry
    }
}

/// Sets the whole table; VectorTable's file of this kind says why variants do not build it themselves. A function of no
/// type: the type would be an argument that nothing uses, and leaving it out makes a copy for the variant.
@inline(never)
public func fillRecurrences(
    _ table: UnsafeMutablePointer<RecurrenceTable?>,
    dot: @escaping @Sendable (UnsafePointer<Float>, UnsafePointer<Float>, Int) -> Float,
    addScaled: @escaping @Sendable (UnsafePointer<Float>, Float, UnsafeMutablePointer<Float>, Int) -> Void,
    spread:
        @escaping @Sendable (
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int,
            SIMD4<Float>
        ) -> Void,
    carry:
        @escaping @Sendable (
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Float,
            UnsafePointer<Float>?, Float, UnsafePointer<Float>, Int
        ) -> Float
) {
    table.pointee = RecurrenceTable(dot: dot, addScaled: addScaled, spread: spread, carry: carry)
}
