internal import KernelTable

// One block of keys and values against the queries that see it. A few queries read the cache's F16 values directly;
// for more, keys and values are converted once.

func scoreBlock(_ a: AttentionArguments, _ s: AttentionScratch, _ active: Int, _ first: Int, _ count: Int) {
    var seen: UInt32 = 0
    for row in 0..<active { seen |= s.groups[row] }
    let direct = active <= tileQueries && a.keySize == s.keySize

    var group = 0
    while group &* keysPerGroup < count {
        if seen &>> UInt32(truncatingIfNeeded: group) & 1 != 0 {
            let key = first &+ group &* keysPerGroup
            let rows = keyRows(a, key)
            let scores = s.scores + group &* keysPerGroup
            if direct {
                prefetchGroup(a, key)
                scoreGroup(s, active, rows, true, group, scores)
            } else {
                convertKeys(a, s, rows)
                scoreGroup(s, active, convertedRows(s), false, group, scores)
            }
        }
        group &+= 1
    }
}

/// Four keys from `key` on; past the last key, the last one again, whose scores are not used.
@_transparent
private func keyRows(_ a: AttentionArguments, _ key: Int) -> KeyRows {
    let left = a.keyCount &- key
    let row = a.keys + a.keyStride &* key
    return KeyRows(
        a: row, b: row + (left > 1 ? a.keyStride : 0),
        c: row + a.keyStride &* (left > 2 ? 2 : left &- 1), d: row + a.keyStride &* (left > 3 ? 3 : left &- 1))
}

/// Asks for the group's values, which come next, and for keys some way ahead: the rows of one head lie apart, which
/// the processor does not foresee.
@_transparent
private func prefetchGroup(_ a: AttentionArguments, _ key: Int) {
    let ahead = key &+ 8 &* keysPerGroup
    for i in 0..<keysPerGroup {
        if key &+ i < a.keyCount { prefetchRow(a.values + a.valueStride &* (key &+ i), 2 &* a.valueSize) }
        if ahead &+ i < a.keyCount { prefetchRow(a.keys + a.keyStride &* (ahead &+ i), 2 &* a.keySize) }
    }
}

@_transparent
private func prefetchRow(_ row: UnsafeRawPointer, _ byteCount: Int) {
    var offset = 0
    while offset < byteCount {
        prefetchLine(row + offset)
        offset &+= 64
    }
}

@_transparent
private func convertedRows(_ s: AttentionScratch) -> KeyRows {
    KeyRows(
        a: UnsafeRawPointer(s.keys), b: UnsafeRawPointer(s.keys + s.keySize),
        c: UnsafeRawPointer(s.keys + 2 &* s.keySize), d: UnsafeRawPointer(s.keys + 3 &* s.keySize))
}

@inline(never)
private func convertKeys(_ a: AttentionArguments, _ s: AttentionScratch, _ rows: KeyRows) {
    convert(rows.a, a.keySize, s.keys, s.keySize)
    convert(rows.b, a.keySize, s.keys + s.keySize, s.keySize)
    convert(rows.c, a.keySize, s.keys + 2 &* s.keySize, s.keySize)
    convert(rows.d, a.keySize, s.keys + 3 &* s.keySize, s.keySize)
}

/// Widens `count` F16 values to `padded` F32 values, a whole number of registers, with zeros at the end.
@_transparent
private func convert(_ source: UnsafeRawPointer, _ count: Int, _ target: MutableFloats, _ padded: Int) {
    var i = 0
    while i &+ laneCount <= count {
        store(loadHalves(source + 2 &* i), target + i)
        i &+= laneCount
    }
    if i < count {
        store(loadHalves(source + 2 &* i, first: count &- i), target + i)
        i &+= laneCount
    }
    while i < padded {
        store(lanes(0), target + i)
        i &+= laneCount
    }
}

/// Scores four keys with every active query, tile by tile, passing over tiles that do not see them.
@_transparent
private func scoreGroup(
    _ s: AttentionScratch, _ active: Int, _ rows: KeyRows, _ half: Bool, _ group: Int, _ scores: MutableFloats
) {
    let bit = UInt32(1) &<< UInt32(truncatingIfNeeded: group)
    if active == 1 {
        scoreRow(query(s, 0, 1), rows, half, s.keySize, scores)
        return
    }
    var row = 0
    while row < active {
        if tileGroups(s, row) & bit != 0 {
            #if KERNELS_AVX512
            let queries = TileRows(
                r0: query(s, row, active), r1: query(s, row &+ 1, active), r2: query(s, row &+ 2, active),
                r3: query(s, row &+ 3, active))
            #else
            let queries = TileRows(r0: query(s, row, active), r1: query(s, row &+ 1, active))
            #endif
            scoreTile(queries, rows, half, s.keySize, scores + keysPerBlock &* row)
        }
        row &+= tileQueries
    }
}

/// The groups that any query of the tile sees.
@_transparent
private func tileGroups(_ s: AttentionScratch, _ row: Int) -> UInt32 {
    #if KERNELS_AVX512
    return s.groups[row] | s.groups[row &+ 1] | s.groups[row &+ 2] | s.groups[row &+ 3]
    #else
    return s.groups[row] | s.groups[row &+ 1]
    #endif
}

/// The query of an active row; past the last row, the last one's again.
@_transparent
private func query(_ s: AttentionScratch, _ row: Int, _ active: Int) -> Floats {
    let index = Int(s.active[row < active ? row : active &- 1])
    return UnsafePointer(s.queries + s.keySize &* index)
}

/// Adds the block's values, weighted, to the active queries' sums.
func addValues(_ a: AttentionArguments, _ s: AttentionScratch, _ active: Int, _ first: Int, _ count: Int) {
    var seen: UInt32 = 0
    for row in 0..<active { seen |= s.groups[row] }
    let keys = keyRange(seen, count)
    var offset = 0
    while offset < a.valueSize {
        let values = a.values + (a.valueStride &* first &+ 2 &* offset)
        let left = a.valueSize &- offset
        if active <= tileQueries && left >= tileValues {
            addPart(s, active, offset, values, a.valueStride, true, count)
        } else {
            let part = left < tileValues ? left : tileValues
            for j in keys {
                convert(values + a.valueStride &* j, part, s.values + tileValues &* j, tileValues)
            }
            addPart(s, active, offset, UnsafeRawPointer(s.values), 4 &* tileValues, false, count)
        }
        offset &+= tileValues
    }
}

@_transparent
private func addPart(
    _ s: AttentionScratch, _ active: Int, _ offset: Int, _ values: UnsafeRawPointer, _ stride: Int, _ half: Bool,
    _ count: Int
) {
    if active == 1 {
        let keys = keyRange(s.groups[0], count)
        valueRow(sum(s, 0, 1) + offset, s.scores, s.factors[0], values, stride, half, keys, nil)
        return
    }
    var row = 0
    while row < active {
        #if KERNELS_AVX512
        let sums = TileRows(
            r0: sum(s, row, active) + offset, r1: sum(s, row &+ 1, active) + offset,
            r2: sum(s, row &+ 2, active) + offset, r3: sum(s, row &+ 3, active) + offset)
        #else
        let sums = TileRows(r0: sum(s, row, active) + offset, r1: sum(s, row &+ 1, active) + offset)
        #endif
        let keys = keyRange(tileGroups(s, row), count)
        valueTile(sums, s.scores + keysPerBlock &* row, s.factors + row, values, stride, half, keys)
        row &+= tileQueries
    }
}

/// The weighted sum of an active row's query; past the last row, the spare one.
@_transparent
private func sum(_ s: AttentionScratch, _ row: Int, _ active: Int) -> MutableFloats {
    s.sums + s.valueSize &* (row < active ? Int(s.active[row]) : attentionQueryLimit)
}

/// From the first to the last key of the groups seen.
@_transparent
private func keyRange(_ groups: UInt32, _ count: Int) -> Range<Int> {
    let low = groups.trailingZeroBitCount &* keysPerGroup
    let high = (32 &- groups.leadingZeroBitCount) &* keysPerGroup
    return low..<(high < count ? high : count)
}

/// As ``addValues``, of one query, leaving hidden keys out altogether.
func addValuesExactly(_ a: AttentionArguments, _ s: AttentionScratch, _ first: Int, _ count: Int) {
    let keys = keyRange(s.groups[0], count)
    let mask = a.masks[Int(s.active[0])].map { $0 + 2 &* first }
    var offset = 0
    while offset < a.valueSize {
        let values = a.values + (a.valueStride &* first &+ 2 &* offset)
        let left = a.valueSize &- offset
        for j in keys {
            convert(values + a.valueStride &* j, left < tileValues ? left : tileValues, s.values + tileValues &* j, tileValues)
        }
        valueRow(
            sum(s, 0, 1) + offset, s.scores, s.factors[0], UnsafeRawPointer(s.values), 4 &* tileValues, false, keys, mask)
        offset &+= tileValues
    }
}
