// Rotation of pairs of one head's values (Su et al., "RoFormer", 2021).

func ropeRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ pairs: Int, _ neox: Bool, _ cosSin: Floats) {
    if neox {
        rotateHalves(a, out, pairs, cosSin)
    } else {
        rotateNeighbours(a, out, pairs, cosSin)
    }
    guard UnsafePointer(out) != a else { return }
    var i = 2 &* pairs
    while i < count {
        out[i] = a[i]
        i &+= 1
    }
}

/// Value i with value i + pairs.
@_transparent
private func rotateHalves(_ a: Floats, _ out: MutableFloats, _ pairs: Int, _ cosSin: Floats) {
    let b = a + pairs
    let outB = out + pairs
    var i = 0
    while i < pairs {
        // The last register may be partial; all four rows then have that many left.
        let n = pairs &- i < laneCount ? pairs &- i : laneCount
        let whole = n == laneCount
        let cs = cosSin + 2 &* i
        let first = cosSinLanes(cs, 2 &* n, 0)
        let second = cosSinLanes(cs, 2 &* n, laneCount)
        let (cosine, sine) = separated(first, second)
        let x = whole ? load(a + i) : load(a + i, first: n)
        let y = whole ? load(b + i) : load(b + i, first: n)
        let rotatedX = fused(x, cosine, -(y * sine))
        let rotatedY = fused(x, sine, y * cosine)
        if whole {
            store(rotatedX, out + i)
            store(rotatedY, outB + i)
        } else {
            store(rotatedX, out + i, first: n)
            store(rotatedY, outB + i, first: n)
        }
        i &+= laneCount
    }
}

/// Value 2i with value 2i + 1.
@_transparent
private func rotateNeighbours(_ a: Floats, _ out: MutableFloats, _ pairs: Int, _ cosSin: Floats) {
    let count = 2 &* pairs
    var i = 0
    while i < count {
        let n = count &- i < laneCount ? count &- i : laneCount
        let whole = n == laneCount
        let values = whole ? load(a + i) : load(a + i, first: n)
        let cs = whole ? load(cosSin + i) : load(cosSin + i, first: n)
        let x = values.evenHalf
        let y = values.oddHalf
        let cosine = cs.evenHalf
        let sine = cs.oddHalf
        var rotated = Lanes(repeating: 0)
        rotated.evenHalf = x * cosine - y * sine
        rotated.oddHalf = x * sine + y * cosine
        if whole { store(rotated, out + i) } else { store(rotated, out + i, first: n) }
        i &+= laneCount
    }
}

/// Register's worth of `row` from `offset` on, zeros past its `count` values.
@_transparent
private func cosSinLanes(_ row: Floats, _ count: Int, _ offset: Int) -> Lanes {
    let left = count &- offset
    if left >= laneCount { return load(row + offset) }
    return left > 0 ? load(row + offset, first: left) : lanes(0)
}

/// The even and the odd values of two registers.
@_transparent
private func separated(_ first: Lanes, _ second: Lanes) -> (Lanes, Lanes) {
    var even = Lanes(repeating: 0)
    var odd = Lanes(repeating: 0)
    even.lowHalf = first.evenHalf
    even.highHalf = second.evenHalf
    odd.lowHalf = first.oddHalf
    odd.highHalf = second.oddHalf
    return (even, odd)
}
