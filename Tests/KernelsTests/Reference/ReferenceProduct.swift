import KernelTable

/// A product by its definition, in F64.
struct ReferenceProduct {
    /// [column][row], of the activations as given.
    var exact: [[Double]]
    /// How far off the quantization of the activations may put each result.
    var quantizationBound: [[Double]]
    /// As `exact`, of the activations quantized by definition.
    var quantized: [[Double]]
    /// How far off that one the F32 sums may be.
    var roundingBound: [[Double]]

    init(_ type: StoredType, k: Int, rows: [UInt8], columns: [[Float]]) {
        let size = type.byteCount(k)
        let rowCount = rows.count / size
        var weights = [Double](repeating: 0, count: rowCount * k)
        // K types and those with minima subtract one sum from another: what they sum is larger than its result.
        var sizes = weights
        rows.withUnsafeBytes { bytes in
            for row in 0..<rowCount {
                for i in 0..<k {
                    weights[row * k + i] = type.element(bytes.baseAddress! + row * size, i)
                    sizes[row * k + i] = type.summedSize(bytes.baseAddress! + row * size, i)
                }
            }
        }
        let rounded = columns.map { type.activations($0) }
        let shape = [[Double]](repeating: [Double](repeating: 0, count: rowCount), count: columns.count)
        exact = shape
        quantizationBound = shape
        quantized = shape
        roundingBound = shape
        for column in columns.indices {
            let values = columns[column].map(Double.init)
            let (near, errors) = rounded[column]
            for row in 0..<rowCount {
                var sums = SIMD4<Double>()
                for i in 0..<k {
                    let weight = weights[row * k + i]
                    let magnitude = sizes[row * k + i] * abs(near[i])
                    sums += SIMD4(weight * values[i], abs(weight) * errors[i], weight * near[i], magnitude)
                }
                exact[column][row] = sums[0]
                quantizationBound[column][row] = sums[1]
                quantized[column][row] = sums[2]
                // A handful of roundings for every block, 2^-24 of what is summed each; all of one sign at worst.
                let steps = Double(k / min(k, type.runElements == nil ? max(type.blockElements, 8) : 16) + 12)
                roundingBound[column][row] = sums[3] * steps * 0x1p-24
            }
        }
    }
}

extension StoredType {
    /// What products with this type make of a column: the values that its signed bytes and scales stand for, and how
    /// far each may lie from the value it came from.
    func activations(_ column: [Float]) -> (values: [Double], errors: [Double]) {
        guard blockElements > 1 else { return (column.map(Double.init), column.map { _ in 0 }) }
        var values: [Double] = []
        var errors: [Double] = []
        let sharing = runElements ?? blockElements
        for start in stride(from: 0, to: column.count, by: sharing) {
            let block = column[start..<(start + sharing)]
            let largest = block.map(\.magnitude).max() ?? 0
            let scale = largest / 127
            let inverse = largest == 0 ? 0 : 127 / largest
            for value in block {
                let byte = (value * inverse).rounded(.toNearestOrEven)
                values.append(Double(byte) * Double(scale))
                errors.append(Double(scale) * 0.50001)
            }
        }
        return (values, errors)
    }

    /// How large what is summed for an element may be where a minimum is taken off later.
    func summedSize(_ row: UnsafeRawPointer, _ index: Int) -> Double {
        let value = abs(element(row, index))
        let block = row + index / blockElements * blockBytes
        func half(_ offset: Int) -> Double {
            abs(Double(Float16(bitPattern: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self))))
        }
        switch number {
        case TypeNumber.q4_1, TypeNumber.q5_1: return value + 2 * half(2)
        case TypeNumber.q4_K, TypeNumber.q5_K: return value + 2 * 63 * half(2)
        case TypeNumber.q2_K: return value + 2 * 15 * half(82)
        default: return value
        }
    }
}
