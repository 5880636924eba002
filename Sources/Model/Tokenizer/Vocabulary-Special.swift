// Which tokens are special. Files declare some by id; others have to be known by their text, because many files were
// written by converters that declared none of them or gave them the wrong type.

extension Vocabulary {
    /// The declared ids that exist, on top of the kind's defaults that exist.
    static func resolve(_ declared: Declaration, kind: Kind, count: Int, warnings: inout [String]) -> SpecialTokens {
        var special = SpecialTokens()
        switch kind {
        case .sentencePiece:
            special.unknown = 0
            special.bos = count > 1 ? 1 : nil
            special.eos = count > 2 ? 2 : nil
        case .bytePair:
            // What the first files of this kind meant.
            special.bos = count > 11 ? 11 : nil
            special.eos = special.bos
        case .wordPiece:
            func existing(_ id: Int32) -> Int32? { Int(id) < count ? id : nil }
            special.padding = 0
            special.unknown = existing(100)
            special.bos = existing(101)
            special.separator = existing(102)
            special.mask = existing(103)
        }
        let fields: [(String, UInt32?, WritableKeyPath<SpecialTokens, Int32?>)] = [
            ("bos", declared.bos, \.bos), ("eos", declared.eos, \.eos), ("eot", declared.eot, \.eot),
            ("eom", declared.eom, \.eom), ("unknown", declared.unknown, \.unknown),
            ("separator", declared.separator, \.separator), ("padding", declared.padding, \.padding),
            ("mask", declared.mask, \.mask), ("fim_pre", declared.fimPrefix, \.fimPrefix),
            ("fim_suf", declared.fimSuffix, \.fimSuffix), ("fim_mid", declared.fimMiddle, \.fimMiddle),
            ("fim_pad", declared.fimPadding, \.fimPadding), ("fim_rep", declared.fimRepository, \.fimRepository),
            ("fim_sep", declared.fimSeparator, \.fimSeparator),
        ]
        for (name, id, field) in fields {
            guard let id else { continue }
            if Int(id) < count {
                special[keyPath: field] = Int32(id)
            } else {
                let instead = special[keyPath: field].map(String.init) ?? "none"
                warnings.append("the declared \(name) token \(id) is outside the vocabulary; taking \(instead)")
            }
        }
        return special
    }

    /// Finds special tokens by their texts, corrects their types, and collects the end-of-generation set.
    mutating func recogniseByText() {
        let families: [(WritableKeyPath<SpecialTokens, Int32?>, [String])] = [
            (\.eot, Self.endOfTurnTexts), (\.eom, ["<|eom_id|>"]),
            (\.fimPrefix, Self.fimPrefixTexts), (\.fimSuffix, Self.fimSuffixTexts), (\.fimMiddle, Self.fimMiddleTexts),
            (\.fimPadding, Self.fimPaddingTexts), (\.fimRepository, Self.fimRepositoryTexts),
            (\.fimSeparator, Self.fimSeparatorTexts),
        ]
        for (field, texts) in families where special[keyPath: field] == nil {
            guard let found = texts.compactMap({ tokens.find($0) }).first else { continue }
            special[keyPath: field] = found
            attributes[Int(found)].insert(.control)
        }

        var ends = Set([special.fimPadding, special.fimRepository, special.fimSeparator].compactMap { $0 })
        for text in Self.endTexts {
            guard let found = tokens.find(text) else { continue }
            ends.insert(found)
            attributes[Int(found)].insert(.control)
        }
        // These carry the structure of a reply in one family's format, and a reader needs to see them.
        for text in ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"] {
            if let found = tokens.find(text) { attributes[Int(found)] = [.userDefined, .visibleStructure] }
        }
        ends.formUnion([special.eos, special.eot, special.eom].compactMap { $0 })
        withdrawFalseEnds(&ends)
        endOfGeneration = ends.sorted()
    }

    /// Takes back ends that are something else in vocabularies which have certain other ends.
    private mutating func withdrawFalseEnds(_ ends: inout Set<Int32>) {
        func ending(_ text: String) -> Int32? { tokens.find(text).flatMap { ends.contains($0) ? $0 : nil } }
        let calls = ending("<|call|>") != nil || ending("<|calls|>") != nil
        let returns = ending("<|return|>") != nil || ending("<|flush|>") != nil
        // There `<|end|>` closes one message of several in a reply.
        if calls, returns, let end = ending("<|end|>") {
            ends.remove(end)
            attributes[Int(end)] = [.userDefined, .visibleStructure]
        }
        let plainStrikeThrough = ending("<|tool_response>") != nil || ending("<|plamo:eos|>") != nil
        // There `</s>` is an HTML tag.
        if plainStrikeThrough, let end = ending("</s>") {
            ends.remove(end)
            attributes[Int(end)] = .normal
        }
    }

    /// Families whose special tokens swallow white space around them; the files do not say so.
    mutating func applyStripping(modelName: String) {
        let name = modelName.lowercased()
        guard name.contains("phi-3") || name.contains("phi3") else { return }
        let keeping = Set(["<unk>", "<s>", "<|endoftext|>"].compactMap { tokens.find($0) })
        for id in attributes.indices where !attributes[id].isDisjoint(with: .partitioning) && !keeping.contains(Int32(id)) {
            attributes[id].insert(.stripsRight)
        }
        if let end = tokens.find("</s>") { attributes[Int(end)].insert(.stripsRight) }
    }

    // MARK: Texts by which special tokens are known

    private static let endOfTurnTexts = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
        "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>",
    ]
    private static let endTexts = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
        "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
        "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[", "<|ifm|im_end|>",
    ]
    private static let fimPrefixTexts = [
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
        "<|prefix|>", "<|plamo:fim_prefix|>",
    ]
    private static let fimSuffixTexts = [
        "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
        "<|suffix|>", "<|plamo:fim_suffix|>",
    ]
    private static let fimMiddleTexts = [
        "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
        "<|middle|>", "<|plamo:fim_middle|>",
    ]
    private static let fimPaddingTexts = ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]
    private static let fimRepositoryTexts = ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"]
    private static let fimSeparatorTexts = ["<|file_sep|>", "<|plamo:file_separator|>"]
}
