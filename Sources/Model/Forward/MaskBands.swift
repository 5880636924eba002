package import Tensor

/// What a stage makes its masks of: for each kind of its layers a row beside the cache, written once.
///
/// Whether a query sees a key depends on nothing but how far behind the query the key is. So one long row holds every
/// query's mask, each as a stretch of it, and a step need not bring masks, only where each query's stretch begins
/// (``MaskInput``): four bytes instead of two for every position of the context. Where a stage's graph takes its
/// rows from, they overlap.
struct MaskBands: Sendable {
    /// One for each window that layers have; nil is that of layers whose queries see all before them.
    private let bands: [(window: Int?, band: MaskBand)]

    /// Takes memory, and leaves it to ``write()`` to fill it.
    init(
        _ h: Hyperparameters, layers: Range<Int>, contextLength: Int, on backend: any Backend
    ) throws(BackendError) {
        var bands: [(window: Int?, band: MaskBand)] = []
        for window in MaskBands.windows(h, layers) {
            let name = window == nil ? "mask" : "sliding mask"
            bands.append((window, try MaskBand(name, contextLength: contextLength, window: window, on: backend)))
        }
        self.bands = bands
    }

    func write() throws(BackendError) {
        for (_, band) in bands { try band.write() }
    }

    /// A group's masks, by window.
    func masks(from starts: TensorID, of group: BatchLayout.Group, _ g: GraphBuilder) -> [Int?: TensorID] {
        var masks: [Int?: TensorID] = [:]
        for (window, band) in bands { masks[window] = band.mask(from: starts, of: group, g) }
        return masks
    }

    /// Those there are, no window first.
    private static func windows(_ h: Hyperparameters, _ layers: Range<Int>) -> [Int?] {
        let all = Set(h.layerStates[layers].filter(\.hasPositions).map(\.window))
        return all.sorted { $0 ?? 0 < $1 ?? 0 }
    }

    /// Bytes of the buffers together; nil where that is more than can be counted.
    static func byteCount(_ h: Hyperparameters, layers: Range<Int>, contextLength: Int, alignment: Int) -> Int? {
        let count = windows(h, layers).count
        let (bytes, overflow) = contextLength.multipliedReportingOverflow(by: 4 * count)
        let (sum, tooMany) = bytes.addingReportingOverflow(count * max(64, alignment))
        return overflow || tooMany ? nil : sum
    }
}

/// A row of twice as many F16 values as the context has positions, 0 where a key is seen and -infinity where not.
///
/// Element e is for a key that is `contextLength - 1 - e` positions behind its query. The mask of a query at position p,
/// whose element k is for the key at position k, therefore begins at element `contextLength - 1 - p`; and at element
/// `contextLength` begins one that hides every key.
package struct MaskBand: Sendable {
    private let name: String
    private let contextLength: Int
    /// Positions that a query sees, itself included; nil for all before it.
    private let window: Int?
    private let buffer: any Buffer

    package init(_ name: String, contextLength: Int, window: Int?, on backend: any Backend) throws(BackendError) {
        self.name = name
        self.contextLength = contextLength
        self.window = window
        let (byteCount, overflow) = contextLength.multipliedReportingOverflow(by: 4)
        guard contextLength > 0, !overflow else {
            throw BackendError(.invalidArgument, "there are no masks for a context of \(contextLength) tokens")
        }
        buffer = try backend.allocate(byteCount: byteCount)
    }

    /// The bits of -infinity as F16.
    private static let hidden: UInt16 = 0xfc00

    package func write() throws(BackendError) {
        var values = [UInt16](repeating: MaskBand.hidden, count: 2 * contextLength)
        for element in contextLength - min(window ?? contextLength, contextLength)..<contextLength { values[element] = 0 }
        try values.withUnsafeBufferPointer { (values: UnsafeBufferPointer<UInt16>) throws(BackendError) in
            try buffer.backend.write(UnsafeRawBufferPointer(values), to: buffer, at: 0)
        }
    }

    /// Where the mask of a query at a position begins, and one that hides everything where there is no query.
    static func start(position: Int?, contextLength: Int) -> Int32 {
        Int32(position.map { contextLength - 1 - $0 } ?? contextLength)
    }

    /// Bytes of F32 that a mask is made through at once, beyond a block of ``leastQueries``: a mask of all keys for all
    /// tokens of a prompt is large enough without a copy of twice its size.
    private static let passingByteCount = 4 << 20
    private static let leastQueries = 64

    /// A group's mask, F16 `[keys, tokens per slot, 1, slots]`.
    ///
    /// - Parameter starts: I32 `[tokens per slot · slots]`: for each query, where its stretch begins.
    package func mask(from starts: TensorID, of group: BatchLayout.Group, _ g: GraphBuilder) -> TensorID {
        let (keys, queries) = (group.keyCount, group.tokensPerSlot * group.slotCount)
        // Each row begins one element after the one before it.
        let row = (contextLength + 1) * 2
        let stretches = g.placed(
            "\(name) band", .f16, Shape(keys, contextLength + 1), strides: Strides(2, 2, row, row), in: buffer, at: 0)
        // An input for its memory's sake: what is written to it is what follows.
        let mask = g.input(name, .f16, Shape(keys, queries))
        let leastByteCount = keys * 4 * MaskBand.leastQueries
        let block = MaskBand.leastQueries * max(1, MaskBand.passingByteCount / max(1, leastByteCount))
        for first in stride(from: 0, to: queries, by: block) {
            let count = min(block, queries - first)
            let own = g.view(of: starts, shape: Shape(count), strides: Strides(4, count * 4, count * 4, count * 4), byteOffset: first * 4)
            let plane = keys * count * 2
            let target = g.view(
                of: mask, shape: Shape(keys, count), strides: Strides(2, keys * 2, plane, plane), byteOffset: first * keys * 2)
            _ = g.copy(g.getRows(stretches, own), into: target)
        }
        return g.reshape(mask, Shape(keys, group.tokensPerSlot, 1, group.slotCount))
    }
}
