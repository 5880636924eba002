public import GGUF

extension Vocabulary {
    /// Takes the vocabulary out of a file's `tokenizer.ggml.*` keys. Texts are copied once, into one block.
    ///
    /// - Throws: ``ModelError`` where keys are missing or of the wrong kind, or the tokenizer is one that is not here yet.
    public init(_ file: GGUFFile) throws(ModelError) {
        func value(_ key: String) -> GGUFValue? { file.metadata["tokenizer.ggml.\(key)"] }
        func wrong(_ key: String, _ what: String) -> ModelError {
            ModelError(.metadata, "\(file.path): \"tokenizer.ggml.\(key)\" \(what)")
        }
        func array(_ key: String) throws(ModelError) -> GGUFArray? {
            guard let found = value(key) else { return nil }
            guard case .array(let array) = found else { throw wrong(key, "is not an array") }
            return array
        }
        func id(_ key: String) -> UInt32? {
            // Signed -1 stands for none in files of some converters.
            value("\(key)_token_id").flatMap { $0.integer(as: UInt32.self) }
        }
        func flag(_ key: String) -> Bool? {
            if case .bool(let flag) = value(key) { flag } else { nil }
        }

        guard case .string(let model) = value("model") else { throw wrong("model", "is missing: the file has no tokenizer") }
        guard let kind = Kind(rawValue: model.string) else {
            let known = Kind.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw ModelError(.unsupported, "\(file.path): tokenizer \"\(model.string)\" is not supported: \(known) are")
        }
        let preTokenizer = kind == .bytePair ? try PreTokenizer(file) : nil
        guard let texts = try array("tokens"), let strings = texts.strings else {
            throw wrong("tokens", "is no array of strings")
        }
        let scores = try array("scores").map { $0.floats() } ?? nil
        let types = try array("token_type").map { $0.integers(as: Int32.self) } ?? nil
        var name: String?
        if case .string(let text) = file.metadata["general.name"] { name = text.string }

        do throws(VocabularyError) {
            var table = TokenTable(capacity: texts.count, byteCapacity: texts.region.bytes.count)
            for text in strings { try table.append(text.assumingMemoryBound(to: UInt8.self)) }
            var declared = Declaration(
                bos: id("bos"), eos: id("eos"), eot: id("eot"), eom: id("eom"), unknown: id("unknown"),
                separator: id("seperator"), padding: id("padding"), mask: id("mask"), addBOS: flag("add_bos_token"),
                addEOS: flag("add_eos_token"), addSpacePrefix: flag("add_space_prefix"), modelName: name)
            declared.preTokenizer = preTokenizer
            declared.fimPrefix = id("fim_pre")
            declared.fimSuffix = id("fim_suf")
            declared.fimMiddle = id("fim_mid")
            declared.fimPadding = id("fim_pad")
            declared.fimRepository = id("fim_rep")
            declared.fimSeparator = id("fim_sep")
            try self.init(kind: kind, tokens: table, scores: scores, types: types, declared: declared)
        } catch {
            throw ModelError(.metadata, "\(file.path): the vocabulary is broken: \(error)")
        }
    }
}

extension PreTokenizer {
    /// The one that a file's byte-pair vocabulary asks for.
    ///
    /// - Throws: ``ModelError`` for one that is not here yet.
    init(_ file: GGUFFile) throws(ModelError) {
        let key = "tokenizer.ggml.pre"
        var name = PreTokenizer.unnamed
        if case .string(let text) = file.metadata[key] { name = text.string }
        guard let known = PreTokenizer.named(name) else {
            let names = PreTokenizer.names.joined(separator: ", ")
            throw ModelError(.unsupported, "\(file.path): \"\(key)\" \"\(name)\" is not supported: \(names) are")
        }
        self = known
    }
}

extension GGUFFile {
    /// The chat template that the model came with, if it did.
    public var chatTemplate: String? {
        if case .string(let text) = metadata["tokenizer.chat_template"] { text.string } else { nil }
    }
}
