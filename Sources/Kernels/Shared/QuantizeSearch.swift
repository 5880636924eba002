// The searches for the scales of the K types, with the arithmetic of ggml's reference in its order, so that the same bytes
// come of it: each tries some scales around the obvious one and keeps that of the least weighted error.

/// The integers of a block on their way, and room for those of a try.
struct SearchRoom {
    /// 256 integers of a block.
    let levels: UnsafeMutablePointer<Int32>
    /// 32 integers of a try.
    let tried: UnsafeMutablePointer<Int32>
    /// 32 weights.
    let weights: UnsafeMutablePointer<Float>
    /// The scales and minima of sub-blocks, 16 each.
    let scales: UnsafeMutablePointer<Float>
    let minima: UnsafeMutablePointer<Float>

    static let byteCount = 256 * 4 + 32 * 4 + 32 * 4 + 16 * 4 + 16 * 4

    @inline(__always)
    init(_ place: UnsafeMutableRawPointer) {
        levels = place.assumingMemoryBound(to: Int32.self)
        tried = levels + 256
        weights = (place + 1152).assumingMemoryBound(to: Float.self)
        scales = weights + 32
        minima = scales + 16
    }
}

/// What of scale and minimum fits `values` best, value ≈ scale · q - minimum with q from 0 to `top`; q goes to `levels`.
///
/// Errors are squared, or plain if `isPlain`; tried are the ranges of `top + first`, `top + first + step`, … integers.
@inline(never)
func searchWithMinimum(
    _ values: UnsafePointer<Float>, _ count: Int, _ top: Int32, _ room: SearchRoom, _ levels: UnsafeMutablePointer<Int32>,
    _ first: Float, _ step: Float, _ tries: Int32, _ isPlain: Bool
) -> (scale: Float, minimum: Float) {
    let weights = room.weights
    let tried = room.tried
    var low = values[0]
    var high = values[0]
    var weightSum = weights[0]
    var valueSum = weightSum * values[0]
    for i in 1..<count {
        low = values[i] < low ? values[i] : low
        high = values[i] > high ? values[i] : high
        weightSum += weights[i]
        valueSum += weights[i] * values[i]
    }
    if low > 0 { low = 0 }
    if high == low {
        for i in 0..<count { levels[i] = 0 }
        return (0, 0 - low)
    }
    @inline(__always) func error(_ integers: UnsafeMutablePointer<Int32>, _ scale: Float, _ minimum: Float) -> Float {
        var sum: Float = 0
        for i in 0..<count {
            let off = scale * Float(integers[i]) + minimum - values[i]
            sum += weights[i] * (isPlain ? off.magnitude : off * off)
        }
        return sum
    }
    var inverse = Float(top) / (high - low)
    var scale = 1 / inverse
    for i in 0..<count { levels[i] = clamped(nearestInteger(inverse * (values[i] - low)), 0, top) }
    var least = error(levels, scale, low)
    var number: Int32 = 0
    while number <= tries {
        // The range reaches down to the minimum kept last.
        inverse = (first + step * Float(number) + Float(top)) / (high - low)
        number = number &+ 1
        var levelSum: Float = 0
        var squareSum: Float = 0
        var productSum: Float = 0
        for i in 0..<count {
            let level = clamped(nearestInteger(inverse * (values[i] - low)), 0, top)
            tried[i] = level
            let q = Float(level)
            let weight = weights[i]
            levelSum += weight * q
            squareSum += weight * q * q
            productSum += weight * q * values[i]
        }
        let determinant = weightSum * squareSum - levelSum * levelSum
        guard determinant > 0 else { continue }
        var newScale = (weightSum * productSum - valueSum * levelSum) / determinant
        var newLow = (squareSum * valueSum - levelSum * productSum) / determinant
        if newLow > 0 {
            newLow = 0
            newScale = productSum / squareSum
        }
        let off = error(tried, newScale, newLow)
        if off < least {
            for i in 0..<count { levels[i] = tried[i] }
            least = off
            scale = newScale
            low = newLow
        }
    }
    return (scale, 0 - low)
}

/// What scale fits 16 values best, value ≈ scale · q with q from -32 to 31; q + 32 goes to `levels`.
@inline(never)
func searchSymmetric(_ values: UnsafePointer<Float>, _ levels: UnsafeMutablePointer<Int32>) -> Float {
    let largest = largestOf(values, 16)
    if largest.magnitude < 1e-15 {
        for i in 0..<16 { levels[i] = 0 }
        return 0
    }
    @inline(__always) func fit(_ inverse: Float) -> (products: Float, squares: Float) {
        var products: Float = 0
        var squares: Float = 0
        for i in 0..<16 {
            let q = Float(clamped(nearestInteger(inverse * values[i]), -32, 31))
            let weight = values[i] * values[i]
            products += weight * values[i] * q
            squares += weight * q * q
        }
        return (products, squares)
    }
    @inline(__always) func keep(_ inverse: Float) {
        for i in 0..<16 { levels[i] = 32 &+ clamped(nearestInteger(inverse * values[i]), -32, 31) }
    }
    let first = -32 / largest
    var (products, squares) = fit(first)
    keep(first)
    var scale = squares != 0 ? products / squares : 0
    var best = scale * products
    for number in -9...9 where number != 0 {
        let inverse = -(32 + 0.1 * Float(Int32(truncatingIfNeeded: number))) / largest
        (products, squares) = fit(inverse)
        if squares > 0, products * products > best * squares {
            keep(inverse)
            scale = products / squares
            best = scale * products
        }
    }
    return scale
}

/// What scale fits 16 values best, value ≈ scale · q with q from -4 to 3, changing one integer at a time; q + 4 goes to
/// `levels`.
@inline(never)
func searchStepwise(_ values: UnsafePointer<Float>, _ levels: UnsafeMutablePointer<Int32>) -> Float {
    let largest = largestOf(values, 16)
    if largest.magnitude < 1e-15 {
        for i in 0..<16 { levels[i] = 0 }
        return 0
    }
    let inverse = -4 / largest
    var products: Float = 0
    var squares: Float = 0
    for i in 0..<16 {
        levels[i] = clamped(nearestInteger(inverse * values[i]), -4, 3)
        let q = Float(levels[i])
        let weight = values[i] * values[i]
        products += weight * values[i] * q
        squares += weight * q * q
    }
    for _ in 0..<5 {
        var isChanged = false
        for i in 0..<16 {
            let weight = values[i] * values[i]
            let q = Float(levels[i])
            var newProducts = products - weight * values[i] * q
            guard newProducts > 0 else { continue }
            var newSquares = squares - weight * q * q
            let level = clamped(nearestInteger(values[i] * newSquares / newProducts), -4, 3)
            if level == levels[i] { continue }
            let newQ = Float(level)
            newProducts += weight * values[i] * newQ
            newSquares += weight * newQ * newQ
            if newSquares > 0, newProducts * newProducts * squares > products * products * newSquares {
                levels[i] = level
                products = newProducts
                squares = newSquares
                isChanged = true
            }
        }
        if !isChanged { break }
    }
    for i in 0..<16 { levels[i] = levels[i] &+ 4 }
    return squares > 0 ? products / squares : 0
}
