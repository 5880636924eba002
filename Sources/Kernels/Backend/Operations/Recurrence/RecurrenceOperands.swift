internal import Tensor

/// A tensor of F32 values without gaps, as the recurrences take most of theirs: an address and nothing else.
typealias PackedFloats = UnsafeMutablePointer<Float>

extension Operand {
    var floats: PackedFloats { base.assumingMemoryBound(to: Float.self) }
}

extension PlanBuilder {
    /// Source `index`: F32, of `count` elements, without gaps.
    func packedFloats(_ id: TensorID, _ index: Int, count: Int) throws(BackendError) -> Operand {
        let operand = try source(id, index)
        guard operand.type == .f32, operand.shape.checkedElementCount == count, operand.isPacked else {
            throw invalid(id, "source \(index), \(operand.type.name) \(operand.shape), should be \(count) packed F32 values")
        }
        return operand
    }

    /// The result: F32, of `count` elements, without gaps.
    func packedOutput(_ id: TensorID, count: Int) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.type == .f32, result.shape.checkedElementCount == count, result.isPacked else {
            throw invalid(id, "its \(result.type.name) \(result.shape) should be \(count) packed F32 values")
        }
        return result
    }

    /// The product of extents, which may overflow where one of them is 0.
    func elementCount(_ id: TensorID, _ extents: Int...) throws(BackendError) -> Int {
        if extents.contains(0) { return 0 }
        var product = 1
        for extent in extents {
            let (next, overflow) = product.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow, next <= 1 << 44 else { throw invalid(id, "\(extents) has no size") }
            product = next
        }
        return product
    }
}
