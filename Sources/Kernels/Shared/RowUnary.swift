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

@_transparent
private func hardSwish(_ x: Lanes) -> Lanes { x * hardSigmoid(x) }

/// Past 20 the function is its argument to F32's precision.
@_transparent
private func softplus(_ x: Lanes) -> Lanes {
    let y = larger(lanes(0), x) + logOnePlus(exp(-magnitude(x)))
    return y.replacing(with: x, where: x .> lanes(20))
}

func absRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(magnitude(row.value)) }
}

func signRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(sign(row.value)) }
}

func negRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(-row.value) }
}

func stepRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(step(row.value)) }
}

func tanhRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(tanh(row.value)) }
}

func eluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(elu(row.value)) }
}

func reluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(relu(row.value)) }
}

func sigmoidRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(sigmoid(row.value)) }
}

func geluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(gelu(row.value)) }
}

func geluQuickRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(geluQuick(row.value)) }
}

func siluRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(silu(row.value)) }
}

func hardSwishRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(hardSwish(row.value)) }
}

func hardSigmoidRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(hardSigmoid(row.value)) }
}

func expRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(exp(row.value)) }
}

func expMinusOneRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(expMinusOne(row.value)) }
}

func softplusRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(softplus(row.value)) }
}

func geluErfRow(_ a: Floats, _ out: MutableFloats, _ count: Int) {
    var row = RowWalk(a, out, count)
    while row.goesOn { row.put(geluErf(row.value)) }
}

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
