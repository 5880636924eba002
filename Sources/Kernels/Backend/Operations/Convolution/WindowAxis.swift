internal import Tensor

/// One dimension of a convolution: the places at which its kernel lies over what it reads.
struct WindowAxis {
    /// Elements of what is read.
    let extent: Int
    /// Elements of the kernel.
    let kernel: Int
    let stride: Int
    let padding: Int
    let dilation: Int
    /// How many places there are.
    let places: Int

    /// A dimension that is not there.
    static let single = WindowAxis(extent: 1)

    private init(extent: Int) {
        self.extent = extent
        (kernel, stride, padding, dilation, places) = (1, 1, 0, 1, extent)
    }

    /// Nil if the parameters make no sense or the kernel finds no place.
    init?(extent: Int, kernel: Int, stride: Int32, padding: Int32, dilation: Int32) {
        guard extent >= 0, kernel >= 0, stride > 0, padding >= 0, dilation > 0 else { return nil }
        let (distance, overflow) = Int(dilation).multipliedReportingOverflow(by: kernel - 1)
        guard !overflow, distance <= 1 << 60, extent <= 1 << 60 else { return nil }
        self.extent = extent
        self.kernel = kernel
        self.stride = Int(stride)
        self.padding = Int(padding)
        self.dilation = Int(dilation)
        // As in ggml, division rounds towards zero: a kernel that reaches over less than a stride too far has a place.
        places = (extent + 2 * Int(padding) - distance - 1) / Int(stride) + 1
        guard places > 0 else { return nil }
    }

    /// Of a kernel at one place, what lies over elements.
    struct Overlap {
        /// The kernel's first element that does.
        var first: Int
        var count: Int
        /// The element under it.
        var source: Int
    }

    @inline(__always)
    func overlap(at place: Int) -> Overlap {
        let start = place &* stride &- padding
        let last = start &+ (kernel &- 1) &* dilation
        if start >= 0, last < extent { return Overlap(first: 0, count: kernel, source: start) }
        let first = start >= 0 ? 0 : (dilation &- 1 &- start) / dilation
        let end = start >= extent ? 0 : min(kernel, (extent &- 1 &- start) / dilation &+ 1)
        return Overlap(first: first, count: max(0, end &- first), source: start &+ first &* dilation)
    }
}

extension Operand {
    /// The same bytes under another shape; the caller knows that they are all there.
    func reshaped(_ shape: Shape, strides: Strides? = nil) -> Operand {
        Operand(id, Tensor(name: "", type: type, shape: shape, strides: strides), at: base, writable: isWritable)
    }
}

extension PlanBuilder {
    /// `operand` in F32 without any gaps: itself, or a copy made by a phase.
    mutating func packedFloats(_ id: TensorID, _ operand: Operand) throws(BackendError) -> Operand {
        if operand.type == .f32, operand.isPacked { return operand }
        let (bytes, overflow) = operand.elementCount.multipliedReportingOverflow(by: 4)
        guard !overflow, operand.shape.checkedElementCount != nil else { throw invalid(id, "its source is too large") }
        // Of a tensor without elements nothing is read, however many rows of none it has.
        if operand.isEmpty { return operand }
        // Short rows one behind the other are read as a few long ones.
        var rows = operand
        if operand.isPacked {
            var length = operand.elementCount
            var count = 1
            while length > 4096, length % 2 == 0, length / 2 % operand.type.elementsPerBlock == 0 {
                length /= 2
                count *= 2
            }
            rows = operand.reshaped(Shape(length, count))
        }
        let reader = try reader(id, rows)
        let place = try temporary(bytes)
        guard let base = place.baseAddress else { return operand }
        let copy = Operand(operand.id, Tensor(name: "", type: .f32, shape: operand.shape), at: base, writable: true)
        let target = base.assumingMemoryBound(to: Float.self)
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: rows.rowCount, costPerUnit: Double(rows.n0) * 0.5 + 5, reads: operand.ranges, writes: [place.addresses]
        ) { worker, range in
            for row in range {
                (target + row &* rows.n0).update(from: reader.row(row, worker.floats()), count: rows.n0)
            }
        }
        return copy
    }
}
