// Element by element over rows, and their sum.

func addRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(row.first + row.second) }
}

func subRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(row.first - row.second) }
}

func mulRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(row.first * row.second) }
}

func divRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(row.first / row.second) }
}

func scaleRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ factor: Float, _ bias: Float) {
    let f = lanes(factor)
    let b = lanes(bias)
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(fused(row.value, f, b)) }
}

func scaleRow(_ a: Floats, _ out: MutableFloats, _ count: Int, by factor: Float) {
    let f = lanes(factor)
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(row.value * f) }
}

/// NaN stays.
func clampRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ low: Float, _ high: Float) {
    let l = lanes(low)
    let h = lanes(high)
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(smaller(h, larger(l, row.value))) }
}

func sumRow(_ a: Floats, _ count: Int) -> Float { sumRow(a, count, squared: false) }

func sumOfSquares(_ a: Floats, _ count: Int) -> Float { sumRow(a, count, squared: true) }

@_transparent
private func added(_ sum: Lanes, _ value: Lanes, squared: Bool) -> Lanes {
    squared ? fused(value, value, sum) : sum + value
}

/// Adds up a row in four registers' worth of partial sums, then in one fixed tree.
@_transparent
private func sumRow(_ a: Floats, _ count: Int, squared: Bool) -> Float {
    var s0 = lanes(0)
    var s1 = lanes(0)
    var s2 = lanes(0)
    var s3 = lanes(0)
    var i = 0
    while i &+ 4 &* laneCount <= count {
        s0 = added(s0, load(a + i), squared: squared)
        s1 = added(s1, load(a + (i &+ laneCount)), squared: squared)
        s2 = added(s2, load(a + (i &+ 2 &* laneCount)), squared: squared)
        s3 = added(s3, load(a + (i &+ 3 &* laneCount)), squared: squared)
        i &+= 4 &* laneCount
    }
    while i < count {
        s0 = added(s0, loadUpTo(a + i, count &- i), squared: squared)
        i &+= laneCount
    }
    return total((s0 + s1) + (s2 + s3))
}

// Gated linear units: gate, value.

func regluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(relu(row.first) * row.second) }
}

func gegluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(gelu(row.first) * row.second) }
}

func swigluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(silu(row.first) * row.second) }
}

func gegluErfRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(geluErf(row.first) * row.second) }
}

func gegluQuickRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowPairWalk(a, b, out, count)
    while row.goesOn { row.put(geluQuick(row.first) * row.second) }
}
