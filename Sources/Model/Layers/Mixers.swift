import Tensor

/// A layer that is a mixer alone, behind a norm and added to what went in.
struct MixerBlock: Block {
    private let norm: RMSNorm
    private let mixer: any TokenMixer

    init(_ source: LayerSource, _ mixer: any TokenMixer) throws(ModelError) {
        self.mixer = mixer
        norm = try source.norm("attn_norm", source.width)
    }

    var state: LayerState { mixer.state }

    func mix(_ x: TensorID, _ layer: LayerContext) -> [TensorID] { [layer.g.add(mixer(norm(x, layer.g), layer), x)] }

    func transform(_ mixed: [TensorID], _ layer: LayerContext) -> TensorID { mixed[0] }
}

/// Mixers that see the same and whose results are added up.
struct ParallelMixers: TokenMixer {
    private let mixers: [any TokenMixer]

    init(_ mixers: [any TokenMixer]) { self.mixers = mixers }

    var state: LayerState {
        LayerState(
            planes: mixers.flatMap(\.state.planes), window: mixers.lazy.compactMap(\.state.window).first,
            hasSections: mixers.contains(where: \.state.hasSections))
    }

    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        var sum: TensorID?
        var own = layer
        for mixer in mixers {
            let mixed = mixer(x, own)
            sum = sum.map { layer.g.add($0, mixed) } ?? mixed
            own.firstPlane += mixer.state.planes.count
        }
        return sum ?? x
    }
}
