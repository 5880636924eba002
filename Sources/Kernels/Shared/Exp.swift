// The exponential and what is made of it, lane by lane. None traps; NaN stays NaN.

/// `x = steps · ln 2 + rest`, with |rest| at most about ln 2 / 2; `steps` as whole numbers. |x| must be below 2²⁰.
@_transparent
private func reduced(_ x: Lanes) -> (steps: BitLanes, rest: Lanes) {
    // Adding 1.5 · 2²³ rounds to whole numbers and leaves them in the low bits.
    let shifter = lanes(0x1.8p23)
    let shifted = fused(x, lanes(0x1.715476p0), shifter)
    let whole = shifted - shifter
    // ln 2 in two parts, the first with few enough bits that its product with `whole` is exact.
    let high = fused(whole, lanes(-0x1.62e4p-1), x)
    let rest = fused(whole, lanes(-0x1.7f7d1cp-20), high)
    return (bits(shifted) &- bits(shifter), rest)
}

/// `(e^r − 1 − r) / r²` for |r| up to ln 2 / 2, to 3e-9.
@_transparent
private func expTail(_ r: Lanes) -> Lanes {
    var p = fused(lanes(0.0013950610300526023), r, lanes(0.0083689633756876))
    p = fused(p, r, lanes(0.04166620224714279))
    p = fused(p, r, lanes(0.166665181517601))
    return fused(p, r, lanes(0.5))
}

/// `2^n` for n in −126 ... 127.
@_transparent
private func power(_ n: BitLanes) -> Lanes {
    floats((n &+ BitLanes(repeating: 127)) &<< BitLanes(repeating: 23))
}

/// `e^x`, to about one unit in the last place; infinity past the range, denormals and then 0 below it.
@_transparent
func exp(_ x: Lanes) -> Lanes {
    // The bounds come first so that NaN, which compares false, passes through them.
    let bounded = smaller(lanes(90), larger(lanes(-105), x))
    let (steps, rest) = reduced(bounded)
    let p = fused(expTail(rest), rest * rest, rest) + lanes(1)
    // In two steps, since 2^steps alone may leave the range where the product does not.
    let half = steps &>> BitLanes(repeating: 1)
    return p * power(half) * power(steps &- half)
}

/// `e^x − 1` without loss near 0.
@_transparent
func expMinusOne(_ x: Lanes) -> Lanes {
    let bounded = smaller(lanes(90), larger(lanes(-30), x))
    let (steps, rest) = reduced(bounded)
    let p = fused(expTail(rest), rest * rest, rest)
    let half = steps &>> BitLanes(repeating: 1)
    let scale = power(half)
    let other = power(steps &- half)
    // 2^steps · p + (2^steps − 1), scaled down by `other` while that matters.
    return fused(p, scale, scale - lanes(1) / other) * other
}

@_transparent
func tanh(_ x: Lanes) -> Lanes {
    let e = expMinusOne(smaller(lanes(40), larger(lanes(-40), x + x)))
    return e / (e + lanes(2))
}

@_transparent
func sigmoid(_ x: Lanes) -> Lanes { lanes(1) / (lanes(1) + exp(-x)) }

/// `log(1 + y)` for y in 0 ... 1, through the series of the inverse hyperbolic tangent.
@_transparent
func logOnePlus(_ y: Lanes) -> Lanes {
    let s = y / (y + lanes(2))
    let s2 = s * s
    var p = lanes(2.0 / 17)
    p = fused(p, s2, lanes(2.0 / 15))
    p = fused(p, s2, lanes(2.0 / 13))
    p = fused(p, s2, lanes(2.0 / 11))
    p = fused(p, s2, lanes(2.0 / 9))
    p = fused(p, s2, lanes(2.0 / 7))
    p = fused(p, s2, lanes(2.0 / 5))
    p = fused(p, s2, lanes(2.0 / 3))
    return fused(p * s2, s, s + s)
}

/// The complementary error function of z ≥ 0: `e^(−z²) · t · P(t)` with `t = 1 / (1 + z/2)`, P fitted to 2e-8.
@_transparent
func errorFunctionComplement(_ z: Lanes) -> Lanes {
    let t = lanes(1) / fused(z, lanes(0.5), lanes(1))
    var p = lanes(0.012284587137401104)
    p = fused(p, t, lanes(-0.12325827032327652))
    p = fused(p, t, lanes(0.4289361536502838))
    p = fused(p, t, lanes(-0.6700319051742554))
    p = fused(p, t, lanes(0.4212813377380371))
    p = fused(p, t, lanes(-0.09832100570201874))
    p = fused(p, t, lanes(0.22554287314414978))
    p = fused(p, t, lanes(0.23864462971687317))
    p = fused(p, t, lanes(0.2828570604324341))
    p = fused(p, t, lanes(0.2820644974708557))
    return p * t * exp(-(z * z))
}
