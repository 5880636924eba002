// Element by element over rows, and their sum.

func addRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) { mapRows(a, b, out, count) { $0 + $1 } }
func subRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) { mapRows(a, b, out, count) { $0 - $1 } }
func mulRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) { mapRows(a, b, out, count) { $0 * $1 } }
func divRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) { mapRows(a, b, out, count) { $0 / $1 } }

func scaleRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ factor: Float, _ bias: Float) {
    let f = lanes(factor)
    let b = lanes(bias)
    mapRow(a, out, count) { fused($0, f, b) }
}

/// NaN stays.
func clampRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ low: Float, _ high: Float) {
    let l = lanes(low)
    let h = lanes(high)
    mapRow(a, out, count) { smaller(h, larger(l, $0)) }
}

func sumRow(_ a: Floats, _ count: Int) -> Float {
    reduceRow(a, count) { $0 + $1 }
}

func sumOfSquares(_ a: Floats, _ count: Int) -> Float {
    reduceRow(a, count) { fused($1, $1, $0) }
}

/// Adds up a row in four registers' worth of partial sums, then in one fixed tree.
@inline(__always)
func reduceRow(_ a: Floats, _ count: Int, _ add: (_ sum: Lanes, _ value: Lanes) -> Lanes) -> Float {
    var s0 = lanes(0)
    var s1 = lanes(0)
    var s2 = lanes(0)
    var s3 = lanes(0)
    var i = 0
    while i &+ 4 &* laneCount <= count {
        s0 = add(s0, load(a + i))
        s1 = add(s1, load(a + (i &+ laneCount)))
        s2 = add(s2, load(a + (i &+ 2 &* laneCount)))
        s3 = add(s3, load(a + (i &+ 3 &* laneCount)))
        i &+= 4 &* laneCount
    }
    while i &+ laneCount <= count {
        s0 = add(s0, load(a + i))
        i &+= laneCount
    }
    if i < count { s1 = add(s1, load(a + i, first: count &- i)) }
    return total((s0 + s1) + (s2 + s3))
}

// Gated linear units: gate, value.

func regluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    mapRows(a, b, out, count) { relu($0) * $1 }
}

func gegluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    mapRows(a, b, out, count) { gelu($0) * $1 }
}

func swigluRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    mapRows(a, b, out, count) { silu($0) * $1 }
}

func gegluErfRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    mapRows(a, b, out, count) { geluErf($0) * $1 }
}

func gegluQuickRow(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
    mapRows(a, b, out, count) { geluQuick($0) * $1 }
}
