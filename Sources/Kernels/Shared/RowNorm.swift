// Root-mean-square norm (Zhang & Sennrich, 2019) and softmax over one row. Plain loops: the optimizer does not inline
// the closures that these would give `mapRow`, since they capture registers.

func rmsNormRow(_ a: Floats, _ weight: Floats?, _ out: MutableFloats, _ count: Int, _ epsilon: Float) {
    let mean = sumOfSquares(a, count) / Float(count)
    let factor = 1 / (mean + epsilon).squareRoot()
    guard let weight else { return scaleRow(a, out, count, by: factor) }
    let f = lanes(factor)
    var i = 0
    while i < count {
        let left = count &- i
        storeUpTo(loadUpTo(a + i, left) * f * loadUpTo(weight + i, left), out + i, left)
        i &+= laneCount
    }
}

func scaleRow(_ a: Floats, _ out: MutableFloats, _ count: Int, by factor: Float) {
    let f = lanes(factor)
    var i = 0
    while i < count {
        storeUpTo(loadUpTo(a + i, count &- i) * f, out + i, count &- i)
        i &+= laneCount
    }
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
    var i = 0
    while i < count {
        storeUpTo(exp(loadUpTo(out + i, count &- i) - shift), out + i, count &- i)
        i &+= laneCount
    }
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
    var i = 0
    while i < count {
        let left = count &- i
        let bias = loadUpTo(mask + i, left)
        let x = fused(m, bias, loadUpTo(a + i, left) * s)
        storeUpTo(x.replacing(with: hidden, where: bias .== hidden), out + i, left)
        i &+= laneCount
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
