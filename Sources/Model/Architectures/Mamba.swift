import Tensor

/// Mamba 2 (Dao and Gu, 2024): state spaces alone, each behind a norm and added to what went in.
enum Mamba2 {
    static let entry = ArchitectureEntry("mamba2") { (source) throws(ModelError) in
        try DecoderOnly(source) { (layer) throws(ModelError) in try MixerBlock(layer, try StateSpace(layer)) }
    }
}

/// Falcon-H1 (TII, 2025): attention and a state space side by side in every layer.
enum FalconH1 {
    static let entry = ArchitectureEntry("falcon-h1") { (source) throws(ModelError) in
        try DecoderOnly(source) { (layer) throws(ModelError) in
            let heads = try HeadFigures(layer)
            let rope = try RopeParameters(layer, mode: .neox, keyLength: heads.keyLength)
            var attention = try SelfAttention(layer, heads, rope: rope)
            attention.output.bias = nil
            if let scale = try layer.metadata.float("attention.scale"), scale != 0 { attention.productScale = scale }
            let feedForward = try FeedForward(layer, hidden: try layer.feedForwardLength(), .swiglu)
            return try TransformerBlock(
                layer, ParallelMixers([attention, try StateSpace(layer)]), feedForward.without(scales: true, biases: false))
        }
    }
}
