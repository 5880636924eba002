// Products and sums over rows of F32 values that recurrences, outer products and gradients are made of.
//
// A sum goes into two accumulators, register by register in turn, then into one fixed tree: a row's result depends on
// its values alone. A partial last register goes through the same arithmetic, filled up with zeros.

@inline(never)
func dotRow(_ a: Floats, _ b: Floats, _ count: Int) -> Float {
    var even = lanes(0)
    var odd = lanes(0)
    var i = 0
    while i &+ 2 &* laneCount <= count {
        even = fused(load(a + i), load(b + i), even)
        odd = fused(load(a + (i &+ laneCount)), load(b + (i &+ laneCount)), odd)
        i &+= 2 &* laneCount
    }
    if i &+ laneCount <= count {
        even = fused(load(a + i), load(b + i), even)
        i &+= laneCount
    }
    if i < count { odd = fused(load(a + i, first: count &- i), load(b + i, first: count &- i), odd) }
    return total(even + odd)
}

/// `out += a · factor`.
func addScaledRow(_ a: Floats, _ factor: Float, _ out: MutableFloats, _ count: Int) {
    let f = lanes(factor)
    var row = RowPairWalk(a, Floats(out), out, count)
    while row.goesOn { row.put(fused(row.first, f, row.second)) }
}

/// One row of a state whose key selects it: `state = previous · decay + value · key`, and what the query reads of it,
/// `out += previous · read + value · bonus`. `state` may be `previous`.
func spreadRow(
    _ previous: Floats, _ state: MutableFloats, _ value: Floats, _ out: MutableFloats, _ count: Int,
    _ factors: SIMD4<Float>
) {
    let (decay, key, read, bonus) = (lanes(factors[0]), lanes(factors[1]), lanes(factors[2]), lanes(factors[3]))
    var i = 0
    while i < count {
        let left = count &- i
        let p = loadUpTo(previous + i, left)
        let v = loadUpTo(value + i, left)
        storeUpTo(fused(v, bonus, fused(p, read, loadUpTo(Floats(out) + i, left))), out + i, left)
        storeUpTo(fused(p, decay, v * key), state + i, left)
        i &+= laneCount
    }
}

/// One row of a state along which keys and queries lie: `state = previous · decay + a · x + b · y`, all but `x` and `y`
/// rows, and its product with the query, which is returned. Without `b`, `y` does not count. `state` may be `previous`.
@inline(never)
func carryRow(
    _ previous: Floats, _ state: MutableFloats, _ decay: Floats, _ a: Floats, _ x: Float, _ b: Floats?, _ y: Float,
    _ query: Floats, _ count: Int
) -> Float {
    let (fx, fy) = (lanes(x), lanes(y))
    var sum = lanes(0)
    var i = 0
    while i < count {
        let left = count &- i
        var s = fused(loadUpTo(previous + i, left), loadUpTo(decay + i, left), loadUpTo(a + i, left) * fx)
        if let b { s = fused(loadUpTo(b + i, left), fy, s) }
        storeUpTo(s, state + i, left)
        sum = fused(s, loadUpTo(query + i, left), sum)
        i &+= laneCount
    }
    return total(sum)
}
