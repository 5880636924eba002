// Plain numbers, and the types of bytes that ggml's own products quantize activations to.

@Sendable
func convertI8(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(Int32(source.loadUnaligned(fromByteOffset: i, as: Int8.self))) }
}

@Sendable
func convertI16(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(Int32(source.loadUnaligned(fromByteOffset: 2 &* i, as: Int16.self))) }
}

@Sendable
func convertI32(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(source.loadUnaligned(fromByteOffset: 4 &* i, as: Int32.self)) }
}

/// Towards zero; what fits no 32 bits, or is no number, becomes the least integer.
@Sendable
func convertToI32(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<count {
        let value = source[i]
        let fits = value.magnitude < 0x1p31
        let whole = Int32(fits ? value : 0)
        target.storeBytes(of: fits ? whole : Int32.min, toByteOffset: 4 &* i, as: Int32.self)
    }
}

@Sendable
func convertI64(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(source.loadUnaligned(fromByteOffset: 8 &* i, as: Int64.self)) }
}

@Sendable
func convertF64(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(source.loadUnaligned(fromByteOffset: 8 &* i, as: Double.self)) }
}

/// d, the bytes' sum times d, 32 signed bytes: 36 bytes. Element: d · q.
@Sendable
func dequantizeQ8_1(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count {
        let block = source + i / 32 &* 36
        target[i] = loadHalf(block) * Float(Int32(block.loadUnaligned(fromByteOffset: 4 &+ i % 32, as: Int8.self)))
    }
}

/// d as F32, 256 signed bytes, the sums of each 16: 292 bytes. Element: d · q.
@Sendable
func dequantizeQ8_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count {
        let block = source + i / 256 &* 292
        let q = block.loadUnaligned(fromByteOffset: 4 &+ i % 256, as: Int8.self)
        target[i] = block.loadUnaligned(as: Float.self) * Float(Int32(q))
    }
}
