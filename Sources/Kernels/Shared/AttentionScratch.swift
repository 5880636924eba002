internal import KernelTable

let keysPerBlock = 64

/// Keys in a group: hidden groups are not scored.
let keysPerGroup = 4

/// Queries of one call.
let attentionQueryLimit = 32

/// F16's negative infinity, which hides a key.
let hiddenBits: UInt16 = 0xfc00

@inline(__always)
func roundedUp(_ value: Int, to multiple: Int) -> Int { (value &+ multiple &- 1) / multiple &* multiple }

/// What one call of attention keeps in its scratch memory. Every part begins on a cache line.
struct AttentionScratch {
    /// Head sizes, padded to whole registers and whole tiles.
    let keySize: Int
    let valueSize: Int

    /// `[keySize, limit]`: the queries, padded with zeros.
    let queries: MutableFloats
    /// `[keySize, keysPerGroup]`: keys converted to F32.
    let keys: MutableFloats
    /// `[tileValues, keysPerBlock]`: a part of the head of a block's values, converted to F32.
    let values: MutableFloats
    /// `[keysPerBlock, limit + tileQueries]`: scores, then weights, a row per active query.
    let scores: MutableFloats
    /// `[valueSize, limit + 1]`: weighted sums; the last row takes what a tile has too many.
    let sums: MutableFloats
    /// Per query: largest score so far, denominator so far.
    let tops: MutableFloats
    let totals: MutableFloats
    /// Per active query: what to multiply its sums with in this block; which groups of keys it sees; which query it is.
    let factors: MutableFloats
    let groups: UnsafeMutablePointer<UInt32>
    let active: UnsafeMutablePointer<Int32>

    static func byteCount(_ keySize: Int, _ valueSize: Int) -> Int {
        let keySize = roundedUp(keySize, to: 16)
        let valueSize = roundedUp(valueSize, to: tileValues)
        let limit = attentionQueryLimit
        var floats = keySize &* (limit &+ keysPerGroup)
        floats &+= tileValues &* keysPerBlock
        floats &+= keysPerBlock &* (limit &+ tileQueries)
        floats &+= valueSize &* (limit &+ 1)
        floats &+= 5 &* (limit &+ 16)
        return 4 &* floats
    }

    @inline(__always)
    init(_ start: UnsafeMutableRawPointer, keySize: Int, valueSize: Int) {
        let limit = attentionQueryLimit
        let row = limit &+ 16
        self.keySize = roundedUp(keySize, to: laneCount)
        self.valueSize = roundedUp(valueSize, to: tileValues)
        // Rows of queries and keys take whole cache lines.
        let padded = roundedUp(keySize, to: 16)
        queries = start.assumingMemoryBound(to: Float.self)
        keys = queries + padded &* limit
        values = keys + padded &* keysPerGroup
        scores = values + tileValues &* keysPerBlock
        sums = scores + keysPerBlock &* (limit &+ tileQueries)
        tops = sums + self.valueSize &* (limit &+ 1)
        totals = tops + row
        factors = totals + row
        groups = UnsafeMutableRawPointer(factors + row).assumingMemoryBound(to: UInt32.self)
        active = UnsafeMutableRawPointer(groups + row).assumingMemoryBound(to: Int32.self)
    }
}
