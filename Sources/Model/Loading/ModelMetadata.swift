import GGUF

/// A file's metadata as its architecture's keys: `gemma3.block_count` is asked for as `block_count`.
struct ModelMetadata: Sendable {
    let architecture: String
    private let file: GGUFFile

    init(_ file: GGUFFile) throws(ModelError) {
        self.file = file
        guard let name = try ModelError.checked(file.stringIfPresent("general.architecture")) else {
            throw ModelError(.metadata, "\(file.path): the metadata names no \"general.architecture\", so this is no language model")
        }
        architecture = name
    }

    // MARK: Single values

    /// A whole number from 1 (or 0) to a limit that keeps later arithmetic far from overflow; nil if the file has none.
    func count(_ key: String, atMost limit: Int, allowingZero: Bool = false) throws(ModelError) -> Int? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard let count: Int = value.integer(), count >= (allowingZero ? 0 : 1), count <= limit else {
            throw wrong(key, "is \(value.summary), not a whole number from \(allowingZero ? 0 : 1) to \(limit)")
        }
        return count
    }

    func requiredCount(_ key: String, atMost limit: Int) throws(ModelError) -> Int {
        guard let count = try count(key, atMost: limit) else { throw wrong(key, "is missing") }
        return count
    }

    func float(_ key: String) throws(ModelError) -> Float? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard let number = value.double.map({ Float($0) }), number.isFinite else {
            throw wrong(key, "is \(value.summary), not a number")
        }
        return number
    }

    func requiredFloat(_ key: String) throws(ModelError) -> Float {
        guard let number = try float(key) else { throw wrong(key, "is missing") }
        return number
    }

    func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard let flag = value.bool else { throw wrong(key, "is \(value.summary), not a truth value") }
        return flag
    }

    func string(_ key: String) throws(ModelError) -> String? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard case .string(let text) = value else { throw wrong(key, "is \(value.summary), not a string") }
        return text.string
    }

    // MARK: Values that may differ by layer

    /// A figure that a file gives once, or as a list with one for each layer.
    func count(
        _ key: String, ofLayer layer: Int, atMost limit: Int, allowingZero: Bool = false
    ) throws(ModelError) -> Int? {
        guard let value = file.metadata[full(key)], case .array(let array) = value else {
            return try count(key, atMost: limit, allowingZero: allowingZero)
        }
        // Nobody has so many layers, and the list is read for each.
        guard array.count <= 1 << 16, let counts = array.integers(as: Int.self), counts.indices.contains(layer) else {
            throw wrong(key, "is \(value.summary) and has no whole number for layer \(layer)")
        }
        guard counts[layer] >= (allowingZero ? 0 : 1), counts[layer] <= limit else {
            throw wrong(key, "is \(counts[layer]) for layer \(layer), which is not a whole number from \(allowingZero ? 0 : 1) to \(limit)")
        }
        return counts[layer]
    }

    /// A truth value for each of so many layers, or one for all of them; nil if the file has none.
    func flags(_ key: String, count: Int) throws(ModelError) -> [Bool]? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard case .array(let array) = value else {
            if case .bool(let flag) = value { return [Bool](repeating: flag, count: count) }
            guard let number: Int = value.integer() else { throw wrong(key, "is \(value.summary), not a truth value") }
            return [Bool](repeating: number != 0, count: count)
        }
        guard array.count <= 1 << 16 else { throw wrong(key, "has more values than there are layers") }
        let flags = array.bools() ?? array.integers(as: Int.self)?.map { $0 != 0 }
        guard let flags, flags.count >= count else { throw wrong(key, "has not one truth value for each layer") }
        return Array(flags.prefix(count))
    }

    /// A short list of whole numbers; nil if the file has none.
    func integers(_ key: String) throws(ModelError) -> [Int]? {
        guard let value = file.metadata[full(key)] else { return nil }
        guard case .array(let array) = value, array.count <= 1 << 16, let integers = array.integers(as: Int.self) else {
            throw wrong(key, "is \(value.summary), not a list of whole numbers")
        }
        return integers
    }

    /// Which layers have a sliding window: all but every n-th, where n is the file's or the architecture's own pattern.
    func slidingLayers(count: Int, defaultPattern: Int) throws(ModelError) -> [Bool] {
        let key = "attention.sliding_window_pattern"
        if let value = file.metadata[full(key)], case .array = value, let flags = try flags(key, count: count) { return flags }
        let pattern = try self.count(key, atMost: 1 << 16, allowingZero: true) ?? defaultPattern
        return (0..<count).map { pattern == 0 || $0 % pattern < pattern - 1 }
    }

    /// The number of tokens: the length of the file's list, else its own figure. Where the figure is larger, and there are as many rows
    /// of embeddings, the model computes with tokens that have no text.
    func vocabularySize() throws(ModelError) -> Int {
        let figure = try count("vocab_size", atMost: 1 << 26)
        guard let tokens = try ModelError.checked(file.arrayIfPresent("tokenizer.ggml.tokens"))?.count, tokens > 0 else {
            if let figure { return figure }
            throw ModelError(.metadata, "\(file.path): neither \"\(full("vocab_size"))\" nor a list of tokens says how many there are")
        }
        guard let figure, figure > tokens, file.tensor("token_embd.weight")?.shape[1] == figure else { return tokens }
        return figure
    }

    /// What in the figures is odd but can be lived with, for the log.
    func warnings() throws(ModelError) -> [String] {
        let size = try vocabularySize()
        guard let figure = try count("vocab_size", atMost: 1 << 26), figure != size else { return [] }
        return ["\"\(full("vocab_size"))\" is \(figure), but the list of tokens has \(size): taking the list's"]
    }

    func missing(_ key: String) -> ModelError { wrong(key, "is missing") }

    func wrong(_ key: String, _ what: String) -> ModelError {
        ModelError(.metadata, "\(file.path): \"\(full(key))\" \(what)")
    }

    // MARK: Inside

    private func full(_ key: String) -> String { "\(architecture).\(key)" }
}
