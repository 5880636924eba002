import Tensor

extension RopeParameters {
    /// Frequency base, linear and YaRN scaling as the file's metadata gives them.
    ///
    /// YaRN (Peng et al., 2023) also scales the attention by a factor of the stretch, `0.1 · ln(s) + 1`. The rotation
    /// kernel applies that factor itself whenever it extrapolates; only what the file adds to it is put here. Keys for
    /// YaRN's other figures exist, but are other architectures': the reference does not read them for these.
    init(_ source: LayerSource, mode: Mode, keyLength: Int) throws(ModelError) {
        let metadata = source.metadata
        let dimensions = try metadata.count("rope.dimension_count", atMost: keyLength) ?? keyLength
        guard dimensions % 2 == 0 else {
            throw ModelError(.metadata, "an odd number of \(dimensions) dimensions cannot be rotated in pairs")
        }
        let scaling = try metadata.string("rope.scaling.type") ?? "linear"
        guard ["none", "linear", "yarn"].contains(scaling) else {
            throw ModelError(.unsupported, "rope scaling \"\(scaling)\" is not supported: none, linear and yarn are")
        }
        // The second key is that of old files.
        let older = try metadata.float("rope.scale_linear")
        let factor = try metadata.float("rope.scaling.factor") ?? older ?? 0
        guard factor >= 0, factor.isFinite else { throw ModelError(.metadata, "a rope scaling factor of \(factor)") }
        let stretches = factor > 0 && scaling != "none"
        let trained = source.model.hyperparameters.trainedContext
        self.init(
            dimensions: dimensions, mode: mode,
            originalContext: try metadata.count("rope.scaling.original_context_length", atMost: 1 << 31) ?? trained,
            frequencyBase: try metadata.float("rope.freq_base") ?? 10000,
            frequencyScale: stretches ? 1 / factor : 1,
            extrapolationFactor: scaling == "yarn" ? 1 : 0,
            attentionFactor: try metadata.float("rope.scaling.attn_factor") ?? 1)
    }

    /// Whether a token has four positions, one for each section of the pairs.
    var hasSections: Bool {
        switch mode {
        case .normal, .neox: false
        case .multi, .vision, .interleavedMulti: true
        }
    }
}

extension ModelMetadata {
    /// How many pairs belong to each of a token's positions: time, height, width, and one that is kept free.
    func ropeSections() throws(ModelError) -> SIMD4<Int32> {
        let key = "rope.dimension_sections"
        guard let counts = try integers(key) else { throw missing(key) }
        guard counts.count == 4, counts.allSatisfy({ (0...1 << 16).contains($0) }), counts.contains(where: { $0 > 0 }) else {
            throw wrong(key, "is \(counts.prefix(8)), which are no four sections")
        }
        return SIMD4(Int32(counts[0]), Int32(counts[1]), Int32(counts[2]), Int32(counts[3]))
    }
}
