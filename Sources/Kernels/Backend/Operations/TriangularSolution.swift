internal import Tensor

extension PlanBuilder {
    /// X in A·X = B by forward substitution; A `[n, n, b2, b3]` is lower triangular, B and X are `[columns, n, b2, b3]`.
    mutating func addTriangularSolution(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        guard a.n0 == a.n1, a.n1 == b.n1, a.n2 == b.n2, a.n3 == b.n3 else {
            throw invalid(id, "\(a.shape) · X = \(b.shape) cannot be solved")
        }
        let result = try floatOutput(id, b.shape)
        guard a.type == .f32, b.type == .f32, a.hasContiguousRows, b.hasContiguousRows else { throw unsupported(id) }
        if result.isEmpty { return }
        let width = 32
        let blocks = (b.n0 + width - 1) / width
        let cost = Double(a.n0) * Double(a.n0) * Double(min(width, b.n0)) * 0.15 + 20
        addPhase(
            over: blocks * b.n2 * b.n3, costPerUnit: cost, reads: a.ranges + b.ranges, writes: result.ranges
        ) { _, range in
            for index in range {
                let (matrix, block) = index.quotientAndRemainder(dividingBy: blocks)
                let (i3, i2) = matrix.quotientAndRemainder(dividingBy: b.n2)
                let first = block &* width
                let count = min(width, b.n0 &- first)
                for row in 0..<a.n1 {
                    let factors = a.row3(row, i2, i3).assumingMemoryBound(to: Float.self)
                    let target = result.row3(row, i2, i3).assumingMemoryBound(to: Float.self) + first
                    let right = b.row3(row, i2, i3).assumingMemoryBound(to: Float.self) + first
                    if count == width {
                        TriangularRow.solve(factors, row, result, i2, i3, first, right, target)
                        continue
                    }
                    for column in 0..<count {
                        var sum: Float = 0
                        for other in 0..<row {
                            let known = result.row3(other, i2, i3).assumingMemoryBound(to: Float.self)
                            sum += factors[other] * known[first &+ column]
                        }
                        target[column] = (right[column] - sum) / factors[row]
                    }
                }
            }
        }
    }
}

private enum TriangularRow {
    /// 32 columns of row `row`, from the rows above it.
    @inline(__always)
    static func solve(
        _ factors: UnsafePointer<Float>, _ row: Int, _ result: Operand, _ i2: Int, _ i3: Int, _ first: Int,
        _ right: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>
    ) {
        var (low, high) = (SIMD16<Float>.zero, SIMD16<Float>.zero)
        var known = result.row3(0, i2, i3) + first &* 4
        for other in 0..<row {
            let factor = SIMD16(repeating: factors[other])
            low += known.loadUnaligned(as: SIMD16<Float>.self) * factor
            high += known.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self) * factor
            known += result.s1
        }
        let values = UnsafeRawPointer(right)
        let divisor = SIMD16(repeating: factors[row])
        low = (values.loadUnaligned(as: SIMD16<Float>.self) - low) / divisor
        high = (values.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self) - high) / divisor
        let out = UnsafeMutableRawPointer(target)
        out.storeBytes(of: low, as: SIMD16<Float>.self)
        out.storeBytes(of: high, toByteOffset: 64, as: SIMD16<Float>.self)
    }
}
