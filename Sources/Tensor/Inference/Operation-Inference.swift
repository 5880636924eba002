extension Operation {
    /// What an operation makes of its sources.
    public struct Result: Hashable, Sendable {
        public var type: ElementType
        public var shape: Shape
        public var strides: Strides
        /// The source whose memory the result is written into, for operations that write in place.
        public var viewOfSource: Int?

        public init(_ type: ElementType, _ shape: Shape, strides: Strides? = nil, viewOfSource: Int? = nil) {
            self.type = type
            self.shape = shape
            self.strides = strides ?? Strides(contiguous: shape, type)
            self.viewOfSource = viewOfSource
        }
    }

    /// What a tensor says of itself, for operations whose sources and parameters leave it open.
    public struct Declaration: Hashable, Sendable {
        public var type: ElementType
        public var shape: Shape

        public init(_ type: ElementType, _ shape: Shape) {
            self.type = type
            self.shape = shape
        }
    }

    /// The type and shape that this operation gives, or why it is not defined for these sources.
    ///
    /// - Parameters:
    ///   - sources: in ggml's order; absent optional ones are nil or left off at the end.
    ///   - declared: what the result is to be, needed by the operations that say so, otherwise ignored.
    ///   - name: of the tensor to be, for the error.
    public func inferred(
        from sources: [Tensor?], declared: Declaration? = nil, name: String = ""
    ) throws(GraphError) -> Result {
        let inference = Inference(operation: self, sources: sources, declared: declared, name: name)
        try inference.checkSourceCount()
        let result = try inference.result()
        try inference.checkSize(of: result)
        return result
    }
}

/// One question to ``Operation/inferred(from:declared:name:)``. The answers lie in files by family.
struct Inference {
    let operation: Operation
    let sources: [Tensor?]
    let declared: Operation.Declaration?
    let name: String

    func result() throws(GraphError) -> Operation.Result {
        switch operation {
        case .none:
            throw fail(.structure, "a leaf computes nothing")
        case .dup, .add, .addID, .add1, .acc, .sub, .mul, .div, .sqr, .sqrt, .log, .sin, .cos, .scale, .set, .clamp,
            .leakyRelu, .tri, .fill, .unary, .xielu, .glu, .siluBack, .norm, .rmsNorm, .rmsNormBack, .groupNorm, .l2Norm:
            return try elementwise()
        case .sum, .sumRows, .cumsum, .mean, .argmax, .countEqual, .argsort, .topK, .crossEntropyLoss,
            .crossEntropyLossBack, .optStepAdamW, .optStepSGD:
            return try reduction()
        case .repeat, .repeatBack, .concat, .cpy, .cont, .reshape, .view, .permute, .transpose, .getRows, .getRowsBack,
            .setRows, .diag, .diagMaskInf, .diagMaskZero, .roll, .arange, .timestepEmbedding, .mapCustom1, .mapCustom2,
            .mapCustom3, .custom:
            return try movement()
        case .matMul, .matMulID, .outProd, .solveTri:
            return try product()
        case .softMax, .softMaxBack, .rope, .ropeBack, .flashAttention, .flashAttentionBack, .lightningIndexer, .getRelPos,
            .addRelPos, .winPart, .winUnpart:
            return try attention()
        case .convTranspose1D, .im2col, .im2colBack, .im2col3D, .col2im1D, .conv2D, .conv3D, .conv2DDepthwise,
            .convTranspose2D:
            return try convolution()
        case .pool1D, .pool2D, .pool2DBack, .upscale, .pad, .padReflect1D:
            return try image()
        case .ssmConv, .ssmScan, .rwkvWKV6, .gatedLinearAttention, .rwkvWKV7, .gatedDeltaNet, .dsv4HCComb, .dsv4HCPre,
            .dsv4HCPost:
            return try recurrence()
        }
    }

    // MARK: Sources

    func source(_ index: Int) throws(GraphError) -> Tensor {
        guard index < sources.count, let tensor = sources[index] else {
            throw fail(.structure, "needs source \(index)")
        }
        return tensor
    }

    func optional(_ index: Int) -> Tensor? { index < sources.count ? sources[index] : nil }

    func checkSourceCount() throws(GraphError) {
        let allowed = operation.kind.sourceCounts
        var given = sources.count
        while given > 0, sources[given - 1] == nil { given -= 1 }
        guard given <= allowed.upperBound else {
            throw fail(.structure, "has \(given) sources; at most \(allowed.upperBound) are allowed")
        }
        for index in 0..<allowed.lowerBound { _ = try source(index) }
    }

    // MARK: Checks

    func fail(_ code: GraphError.Code, _ message: String) -> GraphError {
        GraphError(code, tensor: name, "\(operation.kind.rawValue): \(message)")
    }

    func require(
        _ condition: Bool, _ code: GraphError.Code, _ message: @autoclosure () -> String
    ) throws(GraphError) {
        if !condition { throw fail(code, message()) }
    }

    func requireType(_ tensor: Tensor, _ types: ElementType...) throws(GraphError) {
        guard types.contains(tensor.type) else {
            let wanted = types.map(\.name).joined(separator: " or ")
            throw fail(.type, "\"\(tensor.name)\" is \(tensor.type.name), not \(wanted)")
        }
    }

    func requireShape(_ tensor: Tensor, _ shape: Shape) throws(GraphError) {
        guard tensor.shape == shape else { throw fail(.shape, "\"\(tensor.name)\" has the shape \(tensor.shape), not \(shape)") }
    }

    func requireContiguous(_ tensor: Tensor) throws(GraphError) {
        guard tensor.isContiguous else { throw fail(.shape, "\"\(tensor.name)\" \(tensor.shape) is not contiguous") }
    }

    func requireContiguousRows(_ tensor: Tensor) throws(GraphError) {
        guard tensor.hasContiguousRows else { throw fail(.shape, "the rows of \"\(tensor.name)\" are not contiguous") }
    }

    /// What the result says it is to be.
    func declaration() throws(GraphError) -> Operation.Declaration {
        guard let declared else { throw fail(.structure, "needs its result's type and shape declared") }
        guard declared.shape.checkedElementCount != nil else {
            throw fail(.extent, "the declared shape \(declared.shape) has no size")
        }
        return declared
    }

    func elementCount(_ tensor: Tensor) throws(GraphError) -> Int {
        guard let count = tensor.shape.checkedElementCount else {
            throw fail(.extent, "\"\(tensor.name)\" \(tensor.shape) has more elements than can be counted")
        }
        return count
    }

    /// That a tensor of this type and shape has a size in bytes.
    func checkSize(of result: Operation.Result) throws(GraphError) {
        guard let count = result.shape.checkedElementCount, result.shape[0] % result.type.elementsPerBlock == 0,
            result.type.byteCount(elements: count) != nil
        else { throw fail(.extent, "a result of shape \(result.shape) and type \(result.type.name) has no size") }
    }

    // MARK: Arithmetic on extents, which may be anything up to the largest number

    func product(_ factors: Int...) throws(GraphError) -> Int {
        var result = 1
        for factor in factors {
            let (next, overflow) = result.multipliedReportingOverflow(by: factor)
            if overflow { throw fail(.extent, "the product of \(factors) overflows") }
            result = next
        }
        return result
    }

    func sum(_ terms: Int...) throws(GraphError) -> Int {
        var result = 0
        for term in terms {
            let (next, overflow) = result.addingReportingOverflow(term)
            if overflow { throw fail(.extent, "the sum of \(terms) overflows") }
            result = next
        }
        return result
    }
}
