// Root-mean-square norm (Zhang & Sennrich, 2019) and softmax over one row.

func rmsNormRow(_ a: Floats, _ weight: Floats?, _ out: MutableFloats, _ count: Int, _ epsilon: Float) {
    let mean = sumOfSquares(a, count) / Float(count)
    let factor = 1 / (mean + epsilon).squareRoot()
    guard let weight else { return scaleRow(a, out, count, by: factor) }
    let f = lanes(factor)
    var row = RowPairWalk(a, weight, out, count)
    while row.goesOn { row.put(row.first * f * row.second) }
}

/// Between the passes, `out` holds the masked scores, then their exponentials.
func softMaxRow(
    _ a: Floats, _ mask: Floats?, _ slope: Float, _ sink: Float, _ out: MutableFloats, _ count: Int, _ scale: Float
) {
    if let mask {
        maskRow(a, mask, slope, out, count, scale)
    } else {
        scaleRow(a, out, count, by: scale)
    }
    var top = largestOfRow(out, count)
    top = sink > top ? sink : top
    // With nothing finite there is nothing to shift by, and infinity minus itself would be NaN.
    let shift = lanes(top == -.infinity ? 0 : top)
    var row = RowWalk(out, out, count)
    while row.goesOn { row.put(exp(row.value - shift)) }
    var sum = sumRow(out, count)
    if sink > -.infinity { sum += exp(lanes(sink) - shift)[0] }
    scaleRow(out, out, count, by: sum == 0 ? 0 : 1 / sum)
}

/// `a · scale + mask · slope`; what the mask hides is hidden whatever its value, NaN included.
private func maskRow(
    _ a: Floats, _ mask: Floats, _ slope: Float, _ out: MutableFloats, _ count: Int, _ scale: Float
) {
    let hidden = lanes(-Float.infinity)
    let s = lanes(scale)
    let m = lanes(slope)
    var row = RowPairWalk(a, mask, out, count)
    while row.goesOn {
        let bias = row.second
        let x = fused(m, bias, row.first * s)
        row.put(x.replacing(with: hidden, where: bias .== hidden))
    }
}

private func largestOfRow(_ a: Floats, _ count: Int) -> Float {
    var best = lanes(-Float.infinity)
    var i = 0
    while i &+ laneCount <= count {
        best = larger(load(a + i), best)
        i &+= laneCount
    }
    var top = largest(best)
    while i < count {
        top = a[i] > top ? a[i] : top
        i &+= 1
    }
    return top
}
