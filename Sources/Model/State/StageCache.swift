public import Tensor

/// What a stage's layers remember for a number of slots: see ``CacheShape`` for what the rows mean.
///
/// A row of a plane with positions is one position's keys (or values) of all heads. Rows are written by index and read from the first
/// of a slot on, so what a query sums over, and in which order, is the same in every slot.
public struct StageCache: Sendable {
    public let shape: CacheShape
    /// Bytes of all its layers, gaps for alignment included.
    public let byteCount: Int
    private let layers: [LayerCache]
    /// The model's number of the first.
    private let firstLayer: Int

    /// Takes its memory from `backend`; pages that are never written cost nothing there, where the system can do so.
    public init(
        _ h: Hyperparameters, layers range: Range<Int>, _ shape: CacheShape, on backend: any Backend
    ) throws(BackendError) {
        let (slotCount, contextLength) = (shape.slotCount, shape.contextLength)
        // Positions are 32-bit numbers in graphs.
        guard slotCount > 0, (1...Int(Int32.max)).contains(contextLength) else {
            throw BackendError(.invalidArgument, "there is no cache of \(slotCount) slots of \(contextLength) tokens")
        }
        self.shape = shape
        firstLayer = range.lowerBound
        var sizes: [LayerCache.Size] = []
        var total = 0
        for state in h.layerStates[range] {
            let size = LayerCache.Size(state, shape, alignment: backend.alignment)
            guard let size, case (let sum, let overflow) = total.addingReportingOverflow(size.byteCount), !overflow else {
                throw BackendError(.outOfMemory, "a cache of \(slotCount) slots of \(contextLength) tokens has no size")
            }
            sizes.append(size)
            total = sum
        }
        byteCount = total
        layers = try StageCache.allocate(sizes, Array(h.layerStates[range]), first: range.lowerBound, on: backend)
    }

    /// As many layers together as fit one of the backend's buffers.
    private static func allocate(
        _ sizes: [LayerCache.Size], _ states: [LayerState], first: Int, on backend: any Backend
    ) throws(BackendError) -> [LayerCache] {
        var layers: [LayerCache] = []
        var next = 0
        while next < sizes.count {
            var end = next
            var bytes = 0
            while end < sizes.count, end == next || sizes[end].byteCount <= backend.largestBuffer - bytes {
                bytes += sizes[end].byteCount
                end += 1
            }
            let buffer = bytes > 0 ? try backend.allocate(byteCount: bytes) : nil
            var start = 0
            for index in next..<end {
                layers.append(LayerCache(name: "cache.\(first + index)", states[index], sizes[index], buffer, at: start))
                start += sizes[index].byteCount
            }
            next = end
        }
        return layers
    }

    /// A layer by its number in the model.
    subscript(layer: Int) -> LayerCache { layers[layer - firstLayer] }
}

/// Where a layer's state is.
struct LayerCache: Sendable {
    private struct Place {
        var plane: LayerState.Plane
        var rowCount: Int
        var byteOffset: Int
    }

    private let name: String
    private let places: [Place]
    private let buffer: (any Buffer)?

    init(name: String, _ state: LayerState, _ size: Size, _ buffer: (any Buffer)?, at start: Int) {
        self.name = name
        self.buffer = buffer
        var offset = start
        places = zip(state.planes, size.planes).map { plane, own in
            defer { offset += own.byteCount }
            return Place(plane: plane, rowCount: own.rowCount, byteOffset: offset)
        }
    }

    /// A plane as a leaf, `[row length, rows]`.
    func plane(_ index: Int, _ g: GraphBuilder) -> TensorID {
        let place = places[index]
        let shape = Shape(place.plane.rowLength, place.rowCount)
        guard let buffer else { return g.input(name, place.plane.type, shape) }
        return g.placed("\(name).\(place.plane.name)", place.plane.type, shape, in: buffer, at: place.byteOffset)
    }

    /// What a layer's planes take, each from a place on where the backend's tensors may begin.
    struct Size {
        let planes: [(rowCount: Int, byteCount: Int)]
        let byteCount: Int

        /// Nil where that is more than can be counted.
        init?(_ state: LayerState, _ shape: CacheShape, alignment: Int) {
            let unit = max(64, alignment)
            let positions = shape.positionsPerSlot(isRing: state.window != nil)
            var planes: [(rowCount: Int, byteCount: Int)] = []
            var total = 0
            for plane in state.planes {
                let (rows, tooManyRows) =
                    switch plane.rows {
                    case .perPosition: shape.slotCount.multipliedReportingOverflow(by: positions)
                    case .perSlot: (shape.stateRowCount, false)
                    }
                let (bytes, tooManyBytes) = rows.multipliedReportingOverflow(by: plane.rowByteCount)
                let (end, tooLong) = bytes.addingReportingOverflow(unit - 1)
                let (sum, tooMany) = total.addingReportingOverflow(end & ~(unit - 1))
                guard !tooManyRows, !tooManyBytes, !tooLong, !tooMany else { return nil }
                planes.append((rows, end & ~(unit - 1)))
                total = sum
            }
            self.planes = planes
            byteCount = total
        }
    }
}
