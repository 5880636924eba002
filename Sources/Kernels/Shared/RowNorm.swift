// Root-mean-square norm (Zhang & Sennrich, 2019) and softmax over one row.

func rmsNormRow(_ a: Floats, _ weight: Floats?, _ out: MutableFloats, _ count: Int, _ epsilon: Float) {
    let mean = sumOfSquares(a, count) / Float(count)
    let factor = lanes(1 / (mean + epsilon).squareRoot())
    if let weight {
        mapRows(a, weight, out, count) { $0 * factor * $1 }
    } else {
        mapRow(a, out, count) { $0 * factor }
    }
}

/// The row of sums is kept in `out` between the passes.
func softMaxRow(
    _ a: Floats, _ mask: Floats?, _ slope: Float, _ sink: Float, _ out: MutableFloats, _ count: Int, _ scale: Float
) {
    let infinity = lanes(-Float.infinity)
    let s = lanes(scale)
    if let mask {
        let m = lanes(slope)
        // A hidden element is hidden whatever its value, NaN included.
        mapRows(a, mask, out, count) { value, bias in
            fused(m, bias, value * s).replacing(with: infinity, where: bias .== infinity)
        }
    } else {
        mapRow(a, out, count) { $0 * s }
    }

    var best = infinity
    var i = 0
    while i &+ laneCount <= count {
        best = larger(load(out + i), best)
        i &+= laneCount
    }
    var top = largest(best)
    while i < count {
        top = out[i] > top ? out[i] : top
        i &+= 1
    }
    top = sink > top ? sink : top
    let shift = lanes(top == -.infinity ? 0 : top)

    mapRow(out, out, count) { exp($0 - shift) }
    var sum = sumRow(out, count)
    if sink > -.infinity { sum += exp(lanes(sink) - shift)[0] }
    let factor = lanes(sum == 0 ? 0 : 1 / sum)
    mapRow(out, out, count) { $0 * factor }
}
