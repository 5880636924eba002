// The operations that model code writes, by the names it writes them with. Everything else goes through ``node(_:_:_:)``.
extension GraphBuilder {
    // MARK: Products

    /// Weights `[k, m]` times activations `[k, n]`: `[m, n]`.
    public func matMul(_ weights: TensorID, _ activations: TensorID, precision: Precision = .standard) -> TensorID {
        node("", .matMul(precision: precision), [weights, activations])
    }

    /// Experts `[k, m, experts]` picked per token by ids `[used, tokens]`: `[m, used, tokens]`.
    public func matMulID(_ experts: TensorID, _ activations: TensorID, ids: TensorID) -> TensorID {
        node("", .matMulID, [experts, activations, ids])
    }

    // MARK: Element by element

    public func add(_ a: TensorID, _ b: TensorID) -> TensorID { node("", .add, [a, b]) }
    public func mul(_ a: TensorID, _ b: TensorID) -> TensorID { node("", .mul, [a, b]) }
    public func div(_ a: TensorID, _ b: TensorID) -> TensorID { node("", .div, [a, b]) }
    public func scale(_ a: TensorID, by factor: Float) -> TensorID { node("", .scale(factor: factor, bias: 0), [a]) }
    public func clamp(_ a: TensorID, _ low: Float, _ high: Float) -> TensorID {
        node("", .clamp(minimum: low, maximum: high), [a])
    }
    public func unary(_ kind: UnaryKind, _ a: TensorID) -> TensorID { node("", .unary(kind), [a]) }

    /// The gate's activation times the value, element by element.
    public func glu(_ kind: GLUKind, gate: TensorID, value: TensorID) -> TensorID {
        node("", .glu(GLUParameters(kind)), [gate, value])
    }

    // MARK: Rows

    public func rmsNorm(_ a: TensorID, epsilon: Float) -> TensorID { node("", .rmsNorm(epsilon: epsilon), [a]) }
    public func sumRows(_ a: TensorID) -> TensorID { node("", .sumRows, [a]) }
    public func softMax(_ a: TensorID, scale: Float = 1) -> TensorID {
        node("", .softMax(scale: scale, maxBias: 0), [a])
    }
    /// The rows of `a` at `indices`, in F32.
    public func getRows(_ a: TensorID, _ indices: TensorID) -> TensorID { node("", .getRows, [a, indices]) }
    /// Writes `rows` into `target` at `indices`; the result is a view of `target`.
    public func setRows(_ rows: TensorID, at indices: TensorID, of target: TensorID) -> TensorID {
        node("", .setRows, [rows, indices, target])
    }
    /// The indices of the `count` largest of each row, largest first.
    public func topKSorted(_ a: TensorID, count: Int) -> TensorID {
        let sorted = node("", .argsort(.descending), [a])
        let tensor = self[sorted]
        var shape = tensor.shape
        shape[0] = count
        return view(of: sorted, shape: shape, strides: tensor.strides)
    }

    // MARK: Attention

    public func rope(
        _ a: TensorID, positions: TensorID, factors: TensorID? = nil, _ parameters: RopeParameters
    ) -> TensorID {
        node("", .rope(parameters), [a, positions, factors])
    }

    public func flashAttention(
        q: TensorID, k: TensorID, v: TensorID, mask: TensorID?, _ parameters: FlashAttentionParameters
    ) -> TensorID {
        node("", .flashAttention(parameters), [q, k, v, mask, nil])
    }

    // MARK: Other views of the same elements

    public func reshape(_ a: TensorID, _ shape: Shape) -> TensorID {
        let source = self[a]
        guard source.isContiguous, source.shape.checkedElementCount == shape.checkedElementCount else {
            report(GraphError(.shape, tensor: source.name, "\(source.shape) cannot be reshaped to \(shape)"))
            return a
        }
        return shapedView(a, .reshape, shape, Strides(contiguous: shape, source.type))
    }

    /// Dimension i of `a` becomes dimension `axes[i]` of the result.
    public func permute(_ a: TensorID, _ axes: (Int, Int, Int, Int)) -> TensorID {
        let source = self[a]
        let order = [axes.0, axes.1, axes.2, axes.3]
        guard Set(order) == [0, 1, 2, 3] else {
            report(GraphError(.parameter, tensor: source.name, "\(order) is no permutation of 0, 1, 2, 3"))
            return a
        }
        var shape = source.shape
        var strides = source.strides
        for dimension in 0..<Shape.rank {
            shape[order[dimension]] = source.shape[dimension]
            strides[order[dimension]] = source.strides[dimension]
        }
        let packed = SIMD4(Int32(order[0]), Int32(order[1]), Int32(order[2]), Int32(order[3]))
        return shapedView(a, .permute(axes: packed), shape, strides)
    }

    /// The first two dimensions exchanged.
    public func transpose(_ a: TensorID) -> TensorID {
        let source = self[a]
        let shape = Shape(source.shape[1], source.shape[0], source.shape[2], source.shape[3])
        let strides = Strides(source.strides[1], source.strides[0], source.strides[2], source.strides[3])
        return shapedView(a, .transpose, shape, strides)
    }

    // MARK: Copies

    /// A copy of `a` in another type.
    public func cast(_ a: TensorID, to type: ElementType) -> TensorID {
        node("", .cpy, [a], declared: Operation.Declaration(type, self[a].shape))
    }

    /// Writes `a` into `target`, converting it; the result is a view of `target`.
    public func copy(_ a: TensorID, into target: TensorID) -> TensorID { node("", .cpy, [a, target]) }

    /// `a` as often as it takes to fill `shape`.
    public func repeated(_ a: TensorID, to shape: Shape) -> TensorID {
        node("", .repeat, [a], declared: Operation.Declaration(self[a].type, shape))
    }

    /// A contiguous copy.
    public func contiguous(_ a: TensorID) -> TensorID { node("", .cont, [a]) }
}
