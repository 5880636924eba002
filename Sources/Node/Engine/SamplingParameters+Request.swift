import Model

extension SamplingParameters {
    /// What a request asks for, in the sampler's terms.
    init(_ request: GenerationRequest, _ vocabulary: Vocabulary) {
        let settings = request.sampling
        self.init()
        temperature = settings.temperature
        topK = settings.topK
        topP = settings.topP
        minP = settings.minP
        repeatPenalty = settings.repeatPenalty
        frequencyPenalty = settings.frequencyPenalty
        presencePenalty = settings.presencePenalty
        penaltyWindow = settings.penaltyWindow
        seed = settings.seed.map(UInt64.init)
        logitBias = settings.logitBias
        if request.ignoreEnd {
            for end in vocabulary.endOfGeneration { logitBias[end] = -.infinity }
        }
    }
}
