package import Tensor

/// What a stage makes its masks of: for each kind of its layers a row beside the cache, written once.
///
/// Whether a query sees a key depends on nothing but how far behind the query the key is. So one long row holds every
/// query's mask, each as a stretch of it, and a step need not bring masks, only where each query's stretch begins
/// (``MaskInput``, ``RingMaskInput``): four bytes instead of two for every position of the context. Where a stage's graph takes its
/// rows from, they overlap.
struct MaskBands: Sendable {
    /// Of layers whose queries see all before them; nil where the stage has none.
    let all: MaskBand?
    /// Of layers with a sliding window.
    let ring: MaskBand?

    /// Takes memory, and leaves it to ``write()`` to fill it.
    init(
        _ h: Hyperparameters, layers: Range<Int>, _ shape: CacheShape, on backend: any Backend
    ) throws(BackendError) {
        let needs = LayerNeeds(h, layers)
        all = needs.hasFull ? try MaskBand("mask", contextLength: shape.contextLength, on: backend) : nil
        ring = needs.hasRing ? try MaskBand("sliding mask", ring: shape, on: backend) : nil
    }

    func write() throws(BackendError) {
        try all?.write()
        try ring?.write()
    }

    /// Bytes of the buffers together; nil where that is more than can be counted.
    static func byteCount(_ h: Hyperparameters, layers: Range<Int>, _ shape: CacheShape, alignment: Int) -> Int? {
        let needs = LayerNeeds(h, layers)
        let lengths = (needs.hasFull ? shape.contextLength : 0, needs.hasRing ? 2 * shape.ringLength : 0)
        let (length, tooLong) = lengths.0.addingReportingOverflow(lengths.1)
        let (bytes, overflow) = length.multipliedReportingOverflow(by: 4)
        let (sum, tooMany) = bytes.addingReportingOverflow(2 * max(64, alignment))
        return tooLong || overflow || tooMany ? nil : sum
    }
}

/// A row of F16 values, 0 where a key is seen and -infinity where not, of which every query's mask is a stretch.
///
/// Where all keys before a query are seen, element e is for a key that is `length - 1 - e` positions behind its query: the mask of a
/// query at position p, whose element k is for the key at position k, begins at element `length - 1 - p`; and at element
/// `length` begins one that hides every key.
///
/// Of a ring there are two such rows, one behind the other. While the window reaches back to the beginning, rows of the ring are
/// positions, and the first is as above. From then on a row is for the last position at or before the query that falls on it,
/// and the mask of a query begins by what of the ring's length its position leaves over.
package struct MaskBand: Sendable {
    private let name: String
    /// Rows of the cache that a slot has.
    private let length: Int
    /// Positions that a query sees, itself included; nil for all before it.
    private let window: Int?
    private let buffer: any Buffer

    package init(_ name: String, contextLength: Int, on backend: any Backend) throws(BackendError) {
        try self.init(name, length: contextLength, window: nil, on: backend)
    }

    /// Of layers with a sliding window.
    package init(_ name: String, ring shape: CacheShape, on backend: any Backend) throws(BackendError) {
        try self.init(name, length: shape.ringLength, window: shape.window ?? shape.contextLength, on: backend)
    }

    private init(_ name: String, length: Int, window: Int?, on backend: any Backend) throws(BackendError) {
        self.name = name
        self.length = length
        self.window = window
        let (byteCount, overflow) = length.multipliedReportingOverflow(by: window == nil ? 4 : 8)
        guard length > 0, !overflow else {
            throw BackendError(.invalidArgument, "there are no masks for a context of \(length) tokens")
        }
        buffer = try backend.allocate(byteCount: byteCount)
    }

    /// The bits of -infinity as F16.
    private static let hidden: UInt16 = 0xfc00

    package func write() throws(BackendError) {
        var values = [UInt16](repeating: MaskBand.hidden, count: length * (window == nil ? 2 : 4))
        for element in length - min(window ?? length, length)..<length { values[element] = 0 }
        if let window {
            for element in 0..<2 * length where (length - element % length) % length < window { values[2 * length + element] = 0 }
        }
        try values.withUnsafeBufferPointer { (values: UnsafeBufferPointer<UInt16>) throws(BackendError) in
            try buffer.backend.write(UnsafeRawBufferPointer(values), to: buffer, at: 0)
        }
    }

    /// Where the mask of a query at a position begins, and one that hides everything where there is no query.
    static func start(position: Int?, contextLength: Int) -> Int32 {
        Int32(position.map { contextLength - 1 - $0 } ?? contextLength)
    }

    /// The same for layers with a sliding window.
    static func ringStart(position: Int?, _ shape: CacheShape) -> Int32 {
        let length = shape.ringLength
        guard let position else { return Int32(length) }
        let isFirst = position < min(shape.window ?? length, length)
        return Int32(isFirst ? length - 1 - position : 3 * length - position % length)
    }

    /// Bytes of F32 that a mask is made through at once, beyond a block of ``leastQueries``: a mask of all keys for all
    /// tokens of a prompt is large enough without a copy of twice its size.
    private static let passingByteCount = 4 << 20
    private static let leastQueries = 64

    /// A group's mask, F16 `[keys, tokens per slot, 1, slots]`.
    ///
    /// - Parameter starts: I32 `[tokens per slot · slots]`: for each query, where its stretch begins.
    package func mask(from starts: TensorID, of group: BatchLayout.Group, _ g: GraphBuilder) -> TensorID {
        let (keys, queries) = (min(group.keyCount, length), group.tokensPerSlot * group.slotCount)
        // Each row begins one element after the one before it.
        let rows = (window == nil ? length : 3 * length) + 1
        let stretches = g.placed(
            "\(name) band", .f16, Shape(keys, rows), strides: Strides(2, 2, rows * 2, rows * 2), in: buffer, at: 0)
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
