// The functions of one variable, as ggml defines them, each over one row. Where ggml looks a function up in a table of
// F16 values, it is computed here.

@_transparent
private func sign(_ x: Lanes) -> Lanes {
    let zero = lanes(0)
    return zero.replacing(with: lanes(1), where: x .> zero).replacing(with: lanes(-1), where: x .< zero)
}

@_transparent
private func step(_ x: Lanes) -> Lanes { lanes(0).replacing(with: lanes(1), where: x .> lanes(0)) }

@_transparent
func relu(_ x: Lanes) -> Lanes { larger(x, lanes(0)) }

@_transparent
private func elu(_ x: Lanes) -> Lanes { expMinusOne(x).replacing(with: x, where: x .> lanes(0)) }

/// The approximation by tanh: `x · sigmoid(2 √(2/π) (x + 0.044715 x³))`, cut off at ±10 as ggml does.
@_transparent
func gelu(_ x: Lanes) -> Lanes {
    let inner = fused(x * x, lanes(0.044715), lanes(1)) * x
    let y = x / (lanes(1) + exp(inner * lanes(-1.5957691216057308)))
    return y.replacing(with: lanes(0), where: x .<= lanes(-10)).replacing(with: x, where: x .>= lanes(10))
}

@_transparent
func geluQuick(_ x: Lanes) -> Lanes { x / (lanes(1) + exp(x * lanes(-1.702))) }

/// `x · Φ(x)` with the exact distribution function.
@_transparent
func geluErf(_ x: Lanes) -> Lanes {
    let half = errorFunctionComplement(magnitude(x) * lanes(0.70710678118654752)) * lanes(0.5)
    return x * half.replacing(with: lanes(1) - half, where: x .> lanes(0))
}

@_transparent
func silu(_ x: Lanes) -> Lanes { x / (lanes(1) + exp(-x)) }

@_transparent
private func hardSigmoid(_ x: Lanes) -> Lanes {
    smaller(larger((x + lanes(3)) / lanes(6), lanes(0)), lanes(1))
}

/// Past 20 the function is its argument to F32's precision.
@_transparent
private func softplus(_ x: Lanes) -> Lanes {
    let y = larger(lanes(0), x) + logOnePlus(exp(-magnitude(x)))
    return y.replacing(with: x, where: x .> lanes(20))
}

func absRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { magnitude($0) } }
func signRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { sign($0) } }
func negRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { -$0 } }
func stepRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { step($0) } }
func tanhRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { tanh($0) } }
func eluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { elu($0) } }
func reluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { relu($0) } }
func sigmoidRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { sigmoid($0) } }
func geluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { gelu($0) } }
func geluQuickRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { geluQuick($0) } }
func siluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { silu($0) } }
func hardSwishRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { $0 * hardSigmoid($0) } }
func hardSigmoidRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { hardSigmoid($0) } }
func expRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { exp($0) } }
func expMinusOneRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { expMinusOne($0) } }
func softplusRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { softplus($0) } }
func geluErfRow(_ a: Floats, _ out: MutableFloats, _ count: Int) { mapRow(a, out, count) { geluErf($0) } }

// Rounding: plain loops, which the compiler makes vectors of.

func floorRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    for i in 0..<count { out[i] = a[i].rounded(.down) }
}

func ceilRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    for i in 0..<count { out[i] = a[i].rounded(.up) }
}

/// Halves away from zero. What is added is just under a half, so that the largest value below a half gives zero.
func roundRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    for i in 0..<count {
        let x = a[i]
        out[i] = (x + Float(signOf: x, magnitudeOf: 0x1.fffffep-2)).rounded(.towardZero)
    }
}

func truncRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    for i in 0..<count { out[i] = a[i].rounded(.towardZero) }
}
