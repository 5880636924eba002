#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Split models: files named like `model-00001-of-00003.gguf`, each a GGUF file with `split.no` (from 0) and
// `split.count`; the first has the model's metadata, all have tensors. `split.tensors.count` is of all parts together.
extension GGUFFile {
    /// The parts after the first, opened; none if the model is not split.
    static func otherParts(of first: GGUFPart) throws(GGUFError) -> [GGUFPart] {
        let count = try first.splitNumber("split.count") ?? 1
        guard count > 1 else { return [] }
        guard count <= Limits.parts else {
            throw GGUFError(.limit, file: first.path, "\"split.count\" is \(count); at most \(Limits.parts) are allowed")
        }
        let number = try first.splitNumber("split.no") ?? 0
        guard number == 0 else {
            let name = SplitName(first.path).map { $0.path(part: 1) }
            let hint = name.map { "open \($0) instead" } ?? "open the first instead"
            throw GGUFError(.split, file: first.path, "this is part \(number + 1) of \(count) of a split model; \(hint)")
        }
        guard let name = SplitName(first.path), name.part == 1, name.count == count else {
            let wanted = "<name>" + SplitName.suffix(part: 1, of: count)
            let message =
                "the file is the first of \(count) parts, so its name must be like \(wanted) for the others to be found. "
                + "If all parts were joined end to end in it, that does not make one file: use the parts as they came, or llama-gguf-split --merge"
            throw GGUFError(.split, file: first.path, message)
        }
        try checkPresence(of: name, count: count, first: first.path)

        var parts = [GGUFPart]()
        for index in 1..<count {
            let part = try GGUFPart(path: name.path(part: index + 1), index: index)
            guard let itsNumber = try part.splitNumber("split.no") else {
                throw GGUFError(.split, file: part.path, "part \(index + 1) of \(count) lacks \"split.no\"")
            }
            guard itsNumber == index else {
                throw GGUFError(.split, file: part.path, "\"split.no\" is \(itsNumber) where the name says \(index)")
            }
            if let itsCount = try part.splitNumber("split.count"), itsCount != count {
                throw GGUFError(.split, file: part.path, "\"split.count\" is \(itsCount), but \(count) in the first part")
            }
            parts.append(part)
        }
        return parts
    }

    /// Compares the tensors found with the number the first part promises.
    static func checkTotal(_ found: Int, _ first: GGUFPart) throws(GGUFError) {
        guard try first.splitNumber("split.count") ?? 1 > 1,
            let promised = try first.splitNumber("split.tensors.count"), promised != found
        else { return }
        throw GGUFError(
            .split, file: first.path, "the parts have \(found) tensors together, but \"split.tensors.count\" is \(promised)")
    }

    private static func checkPresence(of name: SplitName, count: Int, first: String) throws(GGUFError) {
        var missing = [String]()
        var missingCount = 0
        for part in 2...count where access(name.path(part: part), F_OK) != 0 {
            missingCount += 1
            if missing.count < 8 { missing.append(name.path(part: part)) }
        }
        guard missingCount > 0 else { return }
        let more = missingCount > missing.count ? " and \(missingCount - missing.count) more" : ""
        let list = missing.joined(separator: ", ")
        throw GGUFError(.split, file: first, "\(missingCount) of \(count) parts are missing: \(list)\(more)")
    }
}

extension GGUFPart {
    /// A whole number of any integer type under a `split.` key; nil if it is absent.
    fileprivate func splitNumber(_ key: String) throws(GGUFError) -> Int? {
        guard let entry = metadata.entry(key) else { return nil }
        guard let number = entry.value.integer(as: Int.self), number >= 0 else {
            throw GGUFError(.split, file: path, at: entry.byteOffset, "\"\(key)\" is no whole number from 0 up")
        }
        return number
    }
}

/// A path that ends like `-00001-of-00003.gguf`.
struct SplitName: Hashable {
    var prefix: String
    /// From 1.
    var part: Int
    var count: Int

    init?(_ path: String) {
        guard path.hasSuffix(".gguf") else { return nil }
        let pieces = path.dropLast(5).split(separator: "-", omittingEmptySubsequences: false)
        guard pieces.count >= 4, pieces[pieces.count - 2] == "of",
            let part = SplitName.number(pieces[pieces.count - 3]), let count = SplitName.number(pieces[pieces.count - 1]),
            part >= 1, part <= count
        else { return nil }
        prefix = pieces.dropLast(3).joined(separator: "-")
        self.part = part
        self.count = count
    }

    func path(part: Int) -> String { prefix + SplitName.suffix(part: part, of: count) }

    static func suffix(part: Int, of count: Int) -> String { "-\(padded(part))-of-\(padded(count)).gguf" }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    private static func number(_ digits: Substring) -> Int? {
        guard digits.utf8.count == 5, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return Int(digits)
    }
}
