import Tensor
import Testing

@Suite struct ShapeTests {
    /// Extent, contiguity and order of strides against a walk over every block of small random tensors.
    @Test(arguments: 0..<8) func againstWalk(seed: UInt64) {
        var random = SplitMix64(seed)
        for _ in 0..<500 {
            let type = [ElementType.f32, .f16, .i64, .q8_0, .q4_K].randomElement(using: &random) ?? .f32
            var shape = Shape(1)
            for dimension in 0..<Shape.rank { shape[dimension] = Int.random(in: 0...3, using: &random) }
            shape[0] *= type.elementsPerBlock
            var subject = Tensor(name: "", type: type, shape: shape)
            for dimension in 0..<Shape.rank where Int.random(in: 0..<4, using: &random) == 0 {
                subject.strides[dimension] = type.bytesPerBlock * Int.random(in: 0...9, using: &random)
            }
            if Bool.random(using: &random) { subject = subject.swapped(1, Int.random(in: 1...3, using: &random)) }
            let offsets = Self.offsets(subject)
            #expect(subject.checkedByteExtent == (offsets.max().map { $0 + type.bytesPerBlock } ?? 0), "\(subject)")
            let inOrder = (0..<offsets.count).map { $0 * type.bytesPerBlock }
            #expect(subject.isContiguous == (offsets == inOrder), "\(subject)")
            #expect(subject.shape.elementCount == offsets.count * type.elementsPerBlock)
            #expect(subject.shape.checkedElementCount == subject.shape.elementCount)
        }
    }

    /// Where each block of a tensor begins, in ggml's order.
    static func offsets(_ tensor: Tensor) -> [Int] {
        var result = [Int]()
        for i3 in 0..<tensor.shape[3] {
            for i2 in 0..<tensor.shape[2] {
                for i1 in 0..<tensor.shape[1] {
                    for i0 in 0..<(tensor.shape[0] / tensor.type.elementsPerBlock) {
                        let outer = i3 * tensor.strides[3] + i2 * tensor.strides[2]
                        result.append(outer + i1 * tensor.strides[1] + i0 * tensor.strides[0])
                    }
                }
            }
        }
        return result
    }

    /// Nothing that is too large traps, and nothing negative gets through.
    @Test func overflow() {
        #expect(Shape(1 << 32, 1 << 32).checkedElementCount == nil)
        #expect(Shape(-1).checkedElementCount == nil)
        #expect(Shape([1, 2, -3]) == nil)
        #expect(Shape([1, 2, 3, 4, 5]) == nil)
        #expect(Shape([Int]()) == Shape(1, 1, 1, 1))
        #expect(f32(1 << 61).checkedByteExtent == nil)
        #expect(f32(1 << 60).checkedByteExtent == 1 << 62)
        var wide = f32(2, 2)
        wide.strides[1] = Int.max
        #expect(wide.checkedByteExtent == nil)
        wide.strides[1] = -4
        #expect(wide.checkedByteExtent == nil)
        wide.shape[1] = 1
        #expect(wide.checkedByteExtent == 8)
        #expect(tensor(.q8_0, 33).checkedByteExtent == nil)
    }

    /// `repeats(into:)` against counting.
    @Test func repetition() {
        for a in 0...4 {
            for b in 0...9 {
                let wanted = a == 0 ? b == 0 : (0...9).contains { $0 * a == b }
                #expect(Shape(a, 2).repeats(into: Shape(b, 4)) == wanted)
            }
        }
    }

    /// Strides of dimensions of one element say nothing about order.
    @Test func permutation() {
        #expect(!f32(4, 3, 2).isPermuted)
        #expect(f32(4, 3, 2).swapped(0, 1).isPermuted)
        #expect(f32(4, 3, 2).swapped(1, 2).isPermuted)
        var row = f32(4)
        row.strides[1] = 0
        #expect(!row.isPermuted)
        #expect(f32(4, 3, 2).swapped(1, 2).isContiguous(fromDimension: 2))
        #expect(!f32(4, 3, 2).swapped(1, 2).isContiguous(fromDimension: 1))
    }
}
