internal import Tensor

// From records to tensors: the one place where numbers from the wire become sizes.
extension TensorRecord {
    /// Type, shape and strides, and the bytes from the first element to the last's end.
    struct Layout {
        var type: ElementType
        var shape: Shape
        var strides: Strides
        var extent: Int
    }

    func layout() throws(SessionError) -> Layout {
        guard let elementType = ElementType(rawValue: type) else {
            let why = ElementType.isWithdrawn(type) ? "a type that ggml withdrew" : "no type"
            throw SessionError(.malformed, nil, "tensor \"\(name)\": type \(type) is \(why)")
        }
        let shape = Shape(Int(extents[0]), Int(extents[1]), Int(extents[2]), Int(extents[3]))
        var tensor = Tensor(name: name, type: elementType, shape: Shape(0), strides: fullStrides(elementType, shape))
        tensor.shape = shape
        guard let extent = tensor.checkedByteExtent else {
            throw SessionError(
                .bounds, nil, "tensor \"\(name)\": shape \(shape) with strides \(tensor.strides) of \(elementType.name) has no size")
        }
        return Layout(type: elementType, shape: shape, strides: tensor.strides, extent: extent)
    }

    /// The strides with the bits that 32 could not hold: where one is what the dimensions below it fill, but for its
    /// upper half, it is that whole.
    private func fullStrides(_ type: ElementType, _ shape: Shape) -> Strides {
        var full = Strides(Int(strides[0]), Int(strides[1]), Int(strides[2]), Int(strides[3]))
        for dimension in 1..<Shape.rank {
            let below = dimension == 1 ? shape[0] / type.elementsPerBlock : shape[dimension - 1]
            let (filled, overflow) = full[dimension - 1].multipliedReportingOverflow(by: below)
            if !overflow, filled > Int(UInt32.max), UInt32(truncatingIfNeeded: filled) == strides[dimension] {
                full[dimension] = filled
            }
        }
        return full
    }
}

extension BufferTable {
    /// A tensor's place: a buffer, and the first byte and the extent in it.
    struct Place {
        var entry: Entry
        var offset: Int
        var extent: Int
    }

    /// The place of a tensor that must have one.
    func place(of record: TensorRecord) throws(SessionError) -> Place {
        guard let place = try placeIfAny(of: record, try record.layout()) else {
            throw SessionError(.unknown, nil, "tensor \"\(record.name)\" lies in buffer \(record.buffer), which is none of this session's")
        }
        return place
    }

    /// Nil if the record names no buffer of this session.
    func placeIfAny(of record: TensorRecord, _ layout: TensorRecord.Layout) throws(SessionError) -> Place? {
        guard let entry = self[record.buffer] else { return nil }
        // Tensors without elements may say anything of where they are.
        if layout.extent == 0 { return Place(entry: entry, offset: 0, extent: 0) }
        let size = entry.byteCount
        let (offset, isBefore) = record.data.subtractingReportingOverflow(entry.base)
        guard !isBefore, offset <= size, UInt64(layout.extent) <= size - offset else {
            throw SessionError(
                .bounds, nil,
                "tensor \"\(record.name)\" of \(layout.extent) bytes leaves buffer \(entry.handle) of \(size) bytes")
        }
        return Place(entry: entry, offset: Int(offset), extent: layout.extent)
    }
}

extension BufferTable.Place {
    /// The bytes `offset ..< offset + byteCount` of the tensor, as an offset in its buffer.
    func range(_ offset: UInt64, _ byteCount: UInt64) throws(SessionError) -> Range<Int> {
        guard offset <= UInt64(extent), byteCount <= UInt64(extent) - offset else {
            throw SessionError(.bounds, nil, "\(byteCount) bytes at \(offset) leave a tensor of \(extent) bytes")
        }
        let start = self.offset + Int(offset)
        return start..<(start + Int(byteCount))
    }
}
