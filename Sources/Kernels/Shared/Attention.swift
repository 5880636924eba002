internal import KernelTable

// Attention in one pass over keys and values (Dao et al., "FlashAttention", 2022; Milakov & Gimelshein, "Online
// normalizer calculation for softmax", 2018): block by block of keys, with the largest score, the denominator and the
// weighted sum of the values carried along.

func attention(_ arguments: UnsafePointer<AttentionArguments>) {
    let a = arguments.pointee
    let scratch = AttentionScratch(a.scratch, keySize: a.keySize, valueSize: a.valueSize)
    attend(a, scratch, 0..<a.queryCount, exact: false)
    for q in 0..<a.queryCount where hasNaN(a.outputs[q], a.valueSize) {
        // Perhaps a value that is not finite sits at a hidden key, and another query of the tile brought it in.
        attend(a, scratch, q..<(q &+ 1), exact: true)
    }
}

/// With `exact`, of a single query, hidden keys' values are left out instead of multiplied by zero. For finite values
/// the two give the same bytes.
private func attend(_ a: AttentionArguments, _ s: AttentionScratch, _ queries: Range<Int>, exact: Bool) {
    begin(a, s, queries)
    var first = 0
    while first < a.keyCount {
        let count = a.keyCount &- first < keysPerBlock ? a.keyCount &- first : keysPerBlock
        let active = findActive(a, s, queries, first, count)
        if active > 0 {
            scoreBlock(a, s, active, first, count)
            for row in 0..<active { weigh(a, s, row, first, count) }
            if exact {
                addValuesExactly(a, s, first, count)
            } else {
                addValues(a, s, active, first, count)
            }
        }
        first &+= keysPerBlock
    }
    for q in queries { finish(a, s, q) }
}

/// Copies the queries, padded, and clears the sums.
private func begin(_ a: AttentionArguments, _ s: AttentionScratch, _ queries: Range<Int>) {
    for q in queries {
        let source = a.queries[q]
        let target = s.queries + s.keySize &* q
        var i = 0
        while i &+ laneCount <= a.keySize {
            store(load(source + i), target + i)
            i &+= laneCount
        }
        if i < a.keySize { store(load(source + i, first: a.keySize &- i), target + i) }
        clear(s.sums + s.valueSize &* q, s.valueSize)
        s.tops[q] = -.infinity
        s.totals[q] = 0
    }
    clear(s.sums + s.valueSize &* attentionQueryLimit, s.valueSize)
}

private func clear(_ row: MutableFloats, _ count: Int) {
    var i = 0
    while i < count {
        store(lanes(0), row + i)
        i &+= laneCount
    }
}

/// Lists the queries that see any key of the block, with the groups of keys that each sees.
private func findActive(
    _ a: AttentionArguments, _ s: AttentionScratch, _ queries: Range<Int>, _ first: Int, _ count: Int
) -> Int {
    let all = UInt32(truncatingIfNeeded: (1 &<< ((count &+ keysPerGroup &- 1) / keysPerGroup)) &- 1)
    var active = 0
    for q in queries {
        var groups = all
        if let mask = a.masks[q] { groups = visibleGroups(mask + 2 &* first, count) }
        guard groups != 0 else { continue }
        s.active[active] = Int32(truncatingIfNeeded: q)
        s.groups[active] = groups
        active &+= 1
    }
    // Rows that fill up the last tile see nothing.
    for row in active..<(active &+ tileQueries) { s.groups[row] = 0 }
    return active
}

/// Bit g is set where any of keys 4g ... 4g + 3 is not hidden.
private func visibleGroups(_ mask: UnsafeRawPointer, _ count: Int) -> UInt32 {
    let hidden: UInt64 = 0xfc00_fc00_fc00_fc00
    var groups: UInt32 = 0
    let whole = count / keysPerGroup
    for g in 0..<whole {
        let visible: UInt32 = mask.loadUnaligned(fromByteOffset: 8 &* g, as: UInt64.self) == hidden ? 0 : 1
        groups |= visible &<< UInt32(truncatingIfNeeded: g)
    }
    for key in (whole &* keysPerGroup)..<count {
        let visible: UInt32 = mask.loadUnaligned(fromByteOffset: 2 &* key, as: UInt16.self) == hiddenBits ? 0 : 1
        groups |= visible &<< UInt32(truncatingIfNeeded: whole)
    }
    return groups
}

/// Scales and masks one row of scores and turns it into weights, carrying the largest score and the denominator on.
private func weigh(_ a: AttentionArguments, _ s: AttentionScratch, _ row: Int, _ first: Int, _ count: Int) {
    let q = Int(s.active[row])
    let scores = s.scores + keysPerBlock &* row
    let mask = a.masks[q].map { $0 + 2 &* first }
    let scale = lanes(a.scale)
    let slope = lanes(a.slopes[q])
    let hidden = lanes(-Float.infinity)
    let capped = a.softcap != 0
    let cap = lanes(a.softcap)

    var best = hidden
    var i = 0
    while i < keysPerBlock {
        let left = count &- i
        guard left > 0 else {
            store(hidden, scores + i)
            i &+= laneCount
            continue
        }
        var x = load(scores + i) * scale
        if capped { x = cap * tanh(x / cap) }
        if let mask {
            let bias = left >= laneCount ? loadHalves(mask + 2 &* i) : loadHalves(mask + 2 &* i, first: left)
            x = fused(slope, bias, x).replacing(with: hidden, where: bias .== hidden)
        }
        if left < laneCount {
            let end = BitLanes(repeating: Int32(truncatingIfNeeded: left))
            x = x.replacing(with: hidden, where: laneNumbers() .>= end)
        }
        store(x, scores + i)
        best = larger(x, best)
        i &+= laneCount
    }

    let blockTop = largest(best)
    let top = blockTop > s.tops[q] ? blockTop : s.tops[q]
    // With nothing finite so far there is nothing to shift by, and infinity minus itself would be NaN.
    let shift = top == -.infinity ? 0 : top
    let factor = exp(lanes(s.tops[q] - shift))[0]
    var sum = lanes(0)
    i = 0
    while i < keysPerBlock {
        let weight = exp(load(scores + i) - lanes(shift))
        store(weight, scores + i)
        sum += weight
        i &+= laneCount
    }
    s.tops[q] = top
    s.totals[q] = s.totals[q] * factor + total(sum)
    s.factors[row] = factor
}

/// Lets the sink join the denominator and writes the result; zeros where the mask hid every key.
private func finish(_ a: AttentionArguments, _ s: AttentionScratch, _ q: Int) {
    var total = s.totals[q]
    var factor: Float = 1
    let sink = a.sinks[q]
    if sink > -.infinity {
        let top = sink > s.tops[q] ? sink : s.tops[q]
        factor = exp(lanes(s.tops[q] - top))[0]
        total = total * factor + exp(lanes(sink - top))[0]
    }
    scaleRow(s.sums + s.valueSize &* q, a.outputs[q], a.valueSize, by: total == 0 ? 0 : factor / total)
}

private func hasNaN(_ row: MutableFloats, _ count: Int) -> Bool {
    var sum = lanes(0)
    var i = 0
    while i &+ laneCount <= count {
        // Zero times a number is zero, times infinity or NaN it is NaN.
        sum = fused(load(row + i), lanes(0), sum)
        i &+= laneCount
    }
    var rest: Float = 0
    while i < count {
        rest += row[i] * 0
        i &+= 1
    }
    return total(sum) + rest != 0
}
