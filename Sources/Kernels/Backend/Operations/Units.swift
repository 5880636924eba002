internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Copies of a type's units: its elements or, for a quantized type, its blocks, which stay as they are.
enum Units {
    /// `count` units of `size` bytes, `stride` bytes apart in the source and `targetStride` in the target.
    @inline(__always)
    static func copy(
        from source: UnsafeRawPointer, stride: Int, to target: UnsafeMutableRawPointer, targetStride: Int, size: Int,
        count: Int
    ) {
        if count <= 0 { return }
        if count == 1 || (stride == size && targetStride == size) {
            memmove(target, source, count &* size)
            return
        }
        switch size {
        case 1: copy(UInt8.self, source, stride, target, targetStride, count)
        case 2: copy(UInt16.self, source, stride, target, targetStride, count)
        case 4: copy(UInt32.self, source, stride, target, targetStride, count)
        case 8: copy(UInt64.self, source, stride, target, targetStride, count)
        default: for i in 0..<count { memmove(target + i &* targetStride, source + i &* stride, size) }
        }
    }

    @inline(__always)
    private static func copy<Unit: BitwiseCopyable>(
        _ type: Unit.Type, _ source: UnsafeRawPointer, _ stride: Int, _ target: UnsafeMutableRawPointer,
        _ targetStride: Int, _ count: Int
    ) {
        let size = MemoryLayout<Unit>.size
        if targetStride == size {
            for i in 0..<count {
                let value = source.loadUnaligned(fromByteOffset: i &* stride, as: type)
                target.storeBytes(of: value, toByteOffset: i &* size, as: type)
            }
        } else {
            for i in 0..<count {
                let value = source.loadUnaligned(fromByteOffset: i &* stride, as: type)
                target.storeBytes(of: value, toByteOffset: i &* targetStride, as: type)
            }
        }
    }
}

/// A place in a tensor that moves on in ggml's order, in steps of whole units.
struct UnitCursor {
    private let operand: Operand
    private let unit: Int
    private var i1: Int
    private var i2: Int
    private var i3: Int
    private var row: UnsafeMutableRawPointer
    /// Elements of the row before the cursor.
    private var i0: Int

    /// At element `index`, the first of a unit.
    init(_ operand: Operand, at index: Int) {
        self.operand = operand
        unit = operand.type.elementsPerBlock
        let (rows, first) = index.quotientAndRemainder(dividingBy: operand.n0)
        let (rest, second) = rows.quotientAndRemainder(dividingBy: operand.n1)
        let (fourth, third) = rest.quotientAndRemainder(dividingBy: operand.n2)
        (i0, i1, i2, i3) = (first, second, third, fourth)
        row = operand.row3(i1, i2, i3)
    }

    var place: UnsafeMutableRawPointer { row + (unit == 1 ? i0 : i0 / unit) &* operand.s0 }
    /// Elements up to the end of the row, at least one unit.
    var remaining: Int { operand.n0 &- i0 }

    /// Over `count` elements, at most those that remain of the row.
    @inline(__always)
    mutating func advance(_ count: Int) {
        i0 &+= count
        if i0 < operand.n0 { return }
        i0 = 0
        i1 &+= 1
        if i1 < operand.n1 {
            row += operand.s1
            return
        }
        i1 = 0
        i2 &+= 1
        if i2 == operand.n2 {
            i2 = 0
            i3 &+= 1
            // Behind the last element there is no place; the first one is as good as any.
            if i3 == operand.n3 { i3 = 0 }
        }
        row = operand.row3(i1, i2, i3)
    }
}
