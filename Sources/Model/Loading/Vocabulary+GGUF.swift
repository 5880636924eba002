public import GGUF

extension Vocabulary {
    /// Takes the vocabulary out of a file's `tokenizer.ggml.*` keys. Texts are copied once, into one block.
    ///
    /// - Throws: ``ModelError`` where keys are missing or of the wrong kind, or the tokenizer is one that is not here yet.
    public init(_ file: GGUFFile) throws(ModelError) {
        func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
        func id(_ name: String) throws(ModelError) -> UInt32? {
            // Signed -1 stands for none in files of some converters.
            try ModelError.checked(file.integerIfPresent(key("\(name)_token_id"), as: Int128.self)).flatMap { UInt32(exactly: $0) }
        }
        func flag(_ name: String) throws(ModelError) -> Bool? { try ModelError.checked(file.boolIfPresent(key(name))) }
        func missing(_ name: String) -> ModelError {
            ModelError(.metadata, "\(file.path): \"\(key(name))\" is missing: the file has no tokenizer")
        }

        let kind = try Kind(file)
        guard let texts = try ModelError.checked(file.stringsIfPresent(key("tokens"))), let strings = texts.strings else {
            throw missing("tokens")
        }
        let scores = try ModelError.checked(file.floatsIfPresent(key("scores")))
        let types = try ModelError.checked(file.integersIfPresent(key("token_type"), as: Int32.self))
        var declared = Declaration(
            bos: try id("bos"), eos: try id("eos"), eot: try id("eot"), eom: try id("eom"), unknown: try id("unknown"),
            separator: try id("seperator"), padding: try id("padding"), mask: try id("mask"), addBOS: try flag("add_bos_token"),
            addEOS: try flag("add_eos_token"), addSpacePrefix: try flag("add_space_prefix"),
            modelName: try ModelError.checked(file.stringIfPresent("general.name")))
        if kind == .bytePair { declared.preTokenizer = try PreTokenizer(file) }
        declared.fimPrefix = try id("fim_pre")
        declared.fimSuffix = try id("fim_suf")
        declared.fimMiddle = try id("fim_mid")
        declared.fimPadding = try id("fim_pad")
        declared.fimRepository = try id("fim_rep")
        declared.fimSeparator = try id("fim_sep")

        do throws(VocabularyError) {
            var table = TokenTable(capacity: texts.count, byteCapacity: texts.region.bytes.count)
            for text in strings { try table.append(text.assumingMemoryBound(to: UInt8.self)) }
            try self.init(kind: kind, tokens: table, scores: scores, types: types, declared: declared)
        } catch {
            throw ModelError(.metadata, "\(file.path): the vocabulary is broken: \(error)")
        }
    }
}

extension Vocabulary.Kind {
    /// What a file says.
    ///
    /// - Throws: ``ModelError`` where it says nothing, or one that is not here yet.
    init(_ file: GGUFFile) throws(ModelError) {
        let key = "tokenizer.ggml.model"
        guard let name = try ModelError.checked(file.stringIfPresent(key)) else {
            throw ModelError(.metadata, "\(file.path): \"\(key)\" is missing: the file has no tokenizer")
        }
        guard let kind = Vocabulary.Kind(rawValue: name) else {
            let known = Vocabulary.Kind.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw ModelError(.unsupported, "\(file.path): tokenizer \"\(name)\" is not supported: \(known) are")
        }
        self = kind
    }
}

extension PreTokenizer {
    /// The one that a file's byte-pair vocabulary asks for.
    ///
    /// - Throws: ``ModelError`` for one that is not here yet.
    init(_ file: GGUFFile) throws(ModelError) {
        let key = "tokenizer.ggml.pre"
        let name = try ModelError.checked(file.stringIfPresent(key)) ?? PreTokenizer.unnamed
        guard let known = PreTokenizer.named(name) else {
            let names = PreTokenizer.names.joined(separator: ", ")
            throw ModelError(.unsupported, "\(file.path): \"\(key)\" \"\(name)\" is not supported: \(names) are")
        }
        self = known
    }
}

extension GGUFFile {
    /// The chat template that the model came with, if it did.
    ///
    /// - Throws: ``GGUFError`` where it is no text.
    public func chatTemplate() throws(GGUFError) -> String? { try stringIfPresent(GGUFFile.chatTemplateKey) }

    public static let chatTemplateKey = "tokenizer.chat_template"
}
