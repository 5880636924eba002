extension Graph {
    /// Checks what a backend must know before it computes with unsafe pointers.
    ///
    /// Every tensor has a size, lies whole in its buffer or in the tensor it is a view of, and is aligned for its type;
    /// sources come before their users; every node's type, shape and strides are those that its operation gives. What
    /// stays open is what is in the tensors: indices, above all. O(tensors).
    ///
    /// ``GraphBuilder`` makes graphs that pass; this is for those that came from somewhere else.
    public func checked() throws(GraphError) {
        for index in tensors.indices { try checkTensor(TensorID(index)) }
        let positions = try nodePositions()
        var isDefined = tensors.map { tensor in
            switch tensor.storage {
            case .placed: true
            case .planned: tensor.flags.contains(.input)
            }
        }
        for (position, id) in nodes.enumerated() {
            try checkNode(id, at: position, positions, isDefined)
            isDefined[root(of: id).index] = true
        }
    }

    // MARK: Tensors

    private func checkTensor(_ id: TensorID) throws(GraphError) {
        let tensor = self[id]
        guard let extent = tensor.checkedByteExtent, tensor.hasCountableRows else {
            throw GraphError(
                .extent, tensor: tensor.name,
                "shape \(tensor.shape) with strides \(tensor.strides) of \(tensor.type.name) has no size")
        }
        for case let source? in tensor.sources {
            guard tensors.indices.contains(source.index) else {
                throw GraphError(.structure, tensor: tensor.name, "reads tensor \(source.index) of \(tensors.count)")
            }
            guard source < id else {
                throw GraphError(.structure, tensor: tensor.name, "reads tensor \(source.index), which comes after it")
            }
        }
        if let view = tensor.view {
            try checkView(id, view, extent)
        } else if case .placed(let buffer, let offset) = tensor.storage {
            let size = buffer.byteCount
            guard offset >= 0, offset <= size, extent <= size - offset else {
                throw GraphError(.extent, tensor: tensor.name, "\(extent) bytes at \(offset) leave its buffer of \(size) bytes")
            }
            try checkAlignment(tensor, offset, extent)
        } else {
            try checkAlignment(tensor, 0, extent)
        }
    }

    private func checkView(_ id: TensorID, _ view: Tensor.View, _ extent: Int) throws(GraphError) {
        let tensor = self[id]
        guard tensors.indices.contains(view.root.index), view.root < id, self[view.root].view == nil else {
            throw GraphError(.structure, tensor: tensor.name, "is a view of tensor \(view.root.index), which is no root before it")
        }
        if case .placed = tensor.storage {
            throw GraphError(.structure, tensor: tensor.name, "is a view and has a place of its own")
        }
        let available = self[view.root].byteExtent
        guard view.byteOffset >= 0,
            extent == 0 || (view.byteOffset <= available && extent <= available - view.byteOffset)
        else {
            let message = "\(extent) bytes at \(view.byteOffset) leave \"\(self[view.root].name)\" of \(available) bytes"
            throw GraphError(.extent, tensor: tensor.name, message)
        }
        try checkAlignment(tensor, view.byteOffset, extent)
    }

    private func checkAlignment(_ tensor: Tensor, _ offset: Int, _ extent: Int) throws(GraphError) {
        if extent == 0 { return }
        var lowBits = offset
        for dimension in 0..<Shape.rank where tensor.shape[dimension] > 1 { lowBits |= tensor.strides[dimension] }
        guard lowBits & (tensor.type.alignment - 1) == 0 else {
            let message = "at byte \(offset) with strides \(tensor.strides) is not aligned for \(tensor.type.name)"
            throw GraphError(.extent, tensor: tensor.name, message)
        }
    }

    // MARK: Nodes

    /// Where in the list of nodes a tensor is; nil if it is none.
    private func nodePositions() throws(GraphError) -> [Int?] {
        var positions = [Int?](repeating: nil, count: tensors.count)
        for (position, id) in nodes.enumerated() {
            guard tensors.indices.contains(id.index) else {
                throw GraphError(.structure, tensor: "", "node \(position) is tensor \(id.index) of \(tensors.count)")
            }
            guard positions[id.index] == nil else {
                throw GraphError(.structure, tensor: self[id].name, "is listed as a node twice")
            }
            positions[id.index] = position
        }
        return positions
    }

    private func checkNode(
        _ id: TensorID, at position: Int, _ positions: [Int?], _ isDefined: [Bool]
    ) throws(GraphError) {
        let tensor = self[id]
        if case .none = tensor.operation { return }
        for case let source? in tensor.sources {
            if let other = positions[source.index], other > position {
                throw GraphError(.structure, tensor: tensor.name, "reads \"\(self[source].name)\", which is computed after it")
            }
        }
        if tensor.operation.isPureView { return try checkPureView(id) }

        let result = try inferredResult(of: id)
        for (index, source) in tensor.sources.enumerated() {
            guard let source, index != result.viewOfSource else { continue }
            guard isDefined[root(of: source).index] else {
                throw GraphError(.structure, tensor: tensor.name, "reads \"\(self[source].name)\", which nothing has written")
            }
        }
        try checkLayout(id, result)
    }

    /// What a node's operation makes of its sources, which must be tensors of this graph.
    ///
    /// - Throws: if the operation is not defined for them, or the node's type and shape are others.
    package func inferredResult(of id: TensorID) throws(GraphError) -> Operation.Result {
        let tensor = self[id]
        let sources = tensor.sources.map { $0.map { self[$0] } }
        let declared = Operation.Declaration(tensor.type, tensor.shape)
        let result = try tensor.operation.inferred(from: sources, declared: declared, name: tensor.name)
        guard result.type == tensor.type, result.shape == tensor.shape else {
            let message =
                "is \(tensor.type.name) \(tensor.shape), but \(tensor.operation.kind.rawValue) gives \(result.type.name) \(result.shape)"
            throw GraphError(.shape, tensor: tensor.name, message)
        }
        return result
    }

    /// The result's strides: as inferred, or those of the source that it is written over.
    private func checkLayout(_ id: TensorID, _ result: Operation.Result) throws(GraphError) {
        let tensor = self[id]
        let targetIndex = result.viewOfSource ?? 0
        let target = targetIndex < tensor.sources.count ? tensor.sources[targetIndex] : nil
        if let view = tensor.view {
            guard let target, root(of: target) == view.root, (self[target].view?.byteOffset ?? 0) == view.byteOffset,
                tensor.hasLayout(self[target].strides), tensor.shape == self[target].shape, tensor.type == self[target].type
            else {
                throw GraphError(.structure, tensor: tensor.name, "is a view of something else than the source it is written over")
            }
            return
        }
        if case .planned = tensor.storage, result.viewOfSource != nil {
            throw GraphError(.structure, tensor: tensor.name, "is written in place, but is no view of its source")
        }
        if tensor.hasLayout(result.strides) { return }
        if let target, self[target].shape == tensor.shape, self[target].type == tensor.type,
            tensor.hasLayout(self[target].strides)
        {
            return
        }
        let message = "has the strides \(tensor.strides), but \(tensor.operation.kind.rawValue) gives \(result.strides)"
        throw GraphError(.shape, tensor: tensor.name, message)
    }

    /// Nothing is computed, so with a place of its own a tensor may be anything that fits there. As a view it must be
    /// the one that the operation describes.
    private func checkPureView(_ id: TensorID) throws(GraphError) {
        let tensor = self[id]
        guard let view = tensor.view else {
            if case .placed = tensor.storage { return }
            throw GraphError(.structure, tensor: tensor.name, "shows another tensor's memory, but is no view of it")
        }
        guard let first = tensor.sources.first, let source = first else {
            throw GraphError(.structure, tensor: tensor.name, "\(tensor.operation.kind.rawValue): needs source 0")
        }
        let original = self[source]
        let declared = Operation.Declaration(tensor.type, tensor.shape)
        let result = try tensor.operation.inferred(from: [original], declared: declared, name: tensor.name)
        var offset = original.view?.byteOffset ?? 0
        var hasLayout = tensor.hasLayout(result.strides)
        if case .view(let byteOffset) = tensor.operation {
            offset = offset &+ byteOffset
            hasLayout = true
        }
        guard view.root == root(of: source), view.byteOffset == offset, tensor.type == result.type,
            tensor.shape == result.shape, hasLayout
        else {
            let message = "is not what \(tensor.operation.kind.rawValue) makes of \"\(original.name)\" \(original.shape)"
            throw GraphError(.structure, tensor: tensor.name, message)
        }
    }
}

extension Tensor {
    /// Whether the strides are these, wherever they matter.
    fileprivate func hasLayout(_ other: Strides) -> Bool {
        if shape.isEmpty { return true }
        for dimension in 0..<Shape.rank {
            let steps = dimension == 0 ? shape[0] / type.elementsPerBlock : shape[dimension]
            if steps > 1, strides[dimension] != other[dimension] { return false }
        }
        return true
    }

    /// Whether products of extents can be formed even where one extent is 0, so that loops over rows can be counted.
    fileprivate var hasCountableRows: Bool {
        var product = 1
        for dimension in 0..<Shape.rank {
            let (next, overflow) = product.multipliedReportingOverflow(by: max(shape[dimension], 1))
            if overflow { return false }
            product = next
        }
        return true
    }
}
