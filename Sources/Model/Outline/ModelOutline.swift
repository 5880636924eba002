public import GGUF
public import Tensor

/// What a model needs where, found without loading it: the tensors of each part and the memory of its graphs.
///
/// The architecture itself is asked, with weights that lie nowhere; so what it says is what loading will find.
public struct ModelOutline: Sendable {
    public let file: GGUFFile
    public let hyperparameters: Hyperparameters
    private let architecture: any Architecture
    private let names: [ModelPart: [String]]

    /// - Throws: ``ModelError`` for files that are no model of a known architecture.
    public init(_ file: GGUFFile) throws(ModelError) {
        self.file = file
        let weights = NotedWeights(file)
        architecture = try Architectures.make(ModelMetadata(file), weights)
        hyperparameters = architecture.hyperparameters
        names = weights.record.names
    }

    /// All parts, in order.
    public var parts: [ModelPart] { StageExtent(embeds: true, layers: 0..<hyperparameters.layerCount, hasOutput: true).parts }

    /// The tensors that a part needs, in the order of the file.
    public func tensors(of part: ModelPart) -> [GGUFTensor] {
        (names[part] ?? []).compactMap { file.tensor($0) }.sorted { ($0.part, $0.byteOffset) < ($1.part, $1.byteOffset) }
    }

    /// The same as what a backend is to load.
    public func uploads(of part: ModelPart) -> [TensorUpload] { tensors(of: part).map { TensorUpload($0, of: file) } }

    /// Bytes of a part's weights, as the file has them.
    public func weightByteCount(of part: ModelPart) -> Int { tensors(of: part).reduce(0) { $0 + $1.byteCount } }

    /// Bytes that a layer remembers for all slots; as many as can be counted where there is no such size.
    ///
    /// - Parameter alignment: of tensors in the buffers of the backend that is to have them.
    public func cacheByteCount(ofLayer layer: Int, slotCount: Int, contextLength: Int, alignment: Int = 64) -> Int {
        let state = hyperparameters.layerStates[layer]
        let size = LayerCache.Size(
            state, CacheShape(hyperparameters, slotCount: slotCount, contextLength: contextLength), alignment: alignment)
        return size?.byteCount ?? .max
    }

    /// The same for some layers together.
    public func cacheByteCount(ofLayers layers: Range<Int>, slotCount: Int, contextLength: Int, alignment: Int = 64) -> Int {
        layers.reduce(0) { sum, layer in
            let own = cacheByteCount(ofLayer: layer, slotCount: slotCount, contextLength: contextLength, alignment: alignment)
            let (total, overflow) = sum.addingReportingOverflow(own)
            return overflow ? .max : total
        }
    }

    /// Bytes that a stage is sent with each token beside the hidden state, if it has layers of every kind: the position, and for each
    /// kind of cache where keys and values go and where the mask begins.
    public var inputByteCountPerToken: Int {
        let needs = LayerNeeds(hyperparameters, 0..<hyperparameters.layerCount)
        let positions = (needs.hasSinglePositions ? 4 : 0) + (needs.hasSections ? 16 : 0)
        return positions + (needs.hasFull ? 8 + 4 : 0) + (needs.hasRing ? 8 + 4 : 0)
    }

    /// Bytes that a stage keeps beside its cache to make masks of.
    public func maskByteCount(_ extent: StageExtent, contextLength: Int, alignment: Int = 64) -> Int {
        let shape = CacheShape(hyperparameters, slotCount: 1, contextLength: contextLength)
        return MaskBands.byteCount(hyperparameters, layers: extent.layers, shape, alignment: alignment) ?? .max
    }

    /// What steps can be, as far as their memory goes.
    public struct StepBounds: Hashable, Sendable {
        /// Tokens in a step.
        public var batchSize: Int
        public var slotCount: Int
        public var contextLength: Int
        /// Whether a result is wanted of every token, not only of the last of each slot.
        public var wantsAllResults: Bool
        /// What hidden states are between stages.
        public var hiddenType: ElementType

        public init(
            batchSize: Int, slotCount: Int, contextLength: Int, wantsAllResults: Bool = false, hiddenType: ElementType = .f32
        ) {
            self.hiddenType = hiddenType
            self.batchSize = batchSize
            self.slotCount = slotCount
            self.contextLength = contextLength
            self.wantsAllResults = wantsAllResults
        }
    }

    /// Bytes that the largest steps' own tensors take on a stage, at the end of the context: a whole batch of one prompt
    /// or of several, beside single tokens or alone.
    ///
    /// - Parameters:
    ///   - alignment: of every tensor.
    ///   - rest: as for `MemoryPlan`.
    /// - Throws: ``ModelError`` where such a step has no size.
    public func computeByteCount(
        _ extent: StageExtent, _ bounds: StepBounds, alignment: Int, rest: Int = 0
    ) throws(ModelError) -> Int {
        var largest = 0
        let shape = CacheShape(hyperparameters, slotCount: bounds.slotCount, contextLength: bounds.contextLength)
        for layout in bounds.largestLayouts(pieceLimit: shape.pieceLimit) {
            largest = max(largest, try byteCount(extent, layout, bounds, alignment, rest))
        }
        return largest
    }

    private func byteCount(
        _ extent: StageExtent, _ layout: BatchLayout, _ bounds: StepBounds, _ alignment: Int, _ rest: Int
    ) throws(ModelError) -> Int {
        let (slotCount, contextLength) = (bounds.slotCount, bounds.contextLength)
        do {
            let shape = CacheShape(hyperparameters, slotCount: slotCount, contextLength: contextLength)
            let cache = try StageCache(hyperparameters, layers: extent.layers, shape, on: Nowhere.shared)
            let masks = try MaskBands(hyperparameters, layers: extent.layers, shape, on: Nowhere.shared)
            let essence = extent.essence(of: layout, layerCount: hyperparameters.layerCount)
            let graph = try architecture.drawing(essence, extent, cache, masks, bounds.hiddenType).context.g.finish()
            return try MemoryPlan(graph, alignment: alignment, rest: rest).byteCount
        } catch {
            throw ModelError(.batch, "a step of \(layout.tokenCount) tokens over \(contextLength) has no size: \(error)")
        }
    }
}

extension ModelOutline.StepBounds {
    /// Layouts of steps that need as much memory as any.
    ///
    /// - Parameter pieceLimit: tokens of one slot at most.
    func largestLayouts(pieceLimit: Int) -> [BatchLayout] {
        let (slots, context) = (slotCount, contextLength)
        let results = wantsAllResults ? ForwardStage.outputsAtOnce : slots
        /// Single tokens of the first slots, then pieces of prompts of equal length.
        func layout(single: Int, pieces: Int, of length: Int) -> BatchLayout {
            var groups: [BatchLayout.Group] = []
            if single > 0 {
                groups.append(
                    BatchLayout.Group(firstToken: 0, tokenCount: single, firstSlot: 0, slotCount: single, keyCount: context))
            }
            for piece in 0..<pieces {
                groups.append(
                    BatchLayout.Group(
                        firstToken: single + piece * length, tokenCount: length, firstSlot: 0, slotCount: 1, keyCount: context))
            }
            let columns = single + pieces * length
            return BatchLayout(
                tokenCount: columns, groups: groups, outputCount: min(results, columns, ForwardStage.outputsAtOnce), produces: .logits)
        }
        let columns = max(1, min(Batch.columnLimit(batchSize: batchSize), context))
        let longest = min(columns, pieceLimit)
        // Where one slot cannot take as much at once, several together do.
        let fullPieces = min(slots, (columns + longest - 1) / longest)
        var layouts = [layout(single: 0, pieces: fullPieces, of: longest), layout(single: slots, pieces: 0, of: 0)]
        if slots > 1 {
            layouts.append(layout(single: slots - 1, pieces: 1, of: longest))
            let pieces = min(slots, 8)
            layouts.append(layout(single: 0, pieces: pieces, of: max(2, min(longest, (columns + pieces - 1) / pieces))))
        }
        return layouts
    }
}

/// The weights of a file, lying nowhere; notes who asks for which.
private struct NotedWeights: ModelWeights {
    /// Filled while an architecture is made, by one thread.
    final class Record {
        var names: [ModelPart: [String]] = [:]
    }

    struct Part: WeightSource {
        let file: GGUFFile
        let part: ModelPart
        let record: Record

        func weight(named name: String) -> Weight? {
            guard let tensor = file.tensor(name) else { return nil }
            if record.names[part]?.contains(name) != true { record.names[part, default: []].append(name) }
            return Weight(
                name: name, type: tensor.type, shape: tensor.shape, buffer: Nowhere.Memory(byteCount: tensor.byteCount), byteOffset: 0)
        }
    }

    let file: GGUFFile
    let record = Record()

    init(_ file: GGUFFile) { self.file = file }

    func weights(of part: ModelPart) -> any WeightSource { Part(file: file, part: part, record: record) }
}

extension TensorUpload {
    /// - Parameter hash: by which a server's cache may know it.
    public init(_ tensor: GGUFTensor, of file: GGUFFile, hash: Hash = .none) {
        self.init(name: tensor.name, type: tensor.type, shape: tensor.shape, content: file.region(of: tensor), hash: hash)
    }
}

/// A backend without memory or kernels, for graphs that are only measured.
private final class Nowhere: Backend {
    static let shared = Nowhere()

    /// Has a size and nothing else.
    final class Memory: Buffer {
        let byteCount: Int
        var backend: any Backend { Nowhere.shared }

        init(byteCount: Int) { self.byteCount = byteCount }
    }

    var name: String { "nowhere" }
    var alignment: Int { 64 }

    private var refusal: BackendError { BackendError(.unsupported, "nothing can be computed nowhere") }

    func memory() throws(BackendError) -> DeviceMemory { DeviceMemory(free: 0, total: 0) }
    func allocate(byteCount: Int) throws(BackendError) -> any Buffer { Memory(byteCount: byteCount) }
    func supports(_ id: TensorID, of graph: Graph) -> Bool { false }
    func prepare(_ graph: Graph) throws(BackendError) -> any Plan { throw refusal }
    func run(_ step: Step) throws(BackendError) { throw refusal }
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) { throw refusal }
    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        throw refusal
    }
}
