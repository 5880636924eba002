public import NodeEngine

/// Raw logits for comparison with other programs: little-endian float32, one row of the vocabulary's size for each
/// position, without a header.
public enum LogitsFile {
    /// Evaluates `tokens` and writes every row as it comes. Blocks; see ``BlockingWork``.
    ///
    /// - Throws: ``EngineError`` or ``OutputError``.
    public static func write(
        _ tokens: [Int32], from evaluator: any Evaluator, _ options: EvaluationOptions, to output: Output
    ) throws {
        try evaluator.logits(for: tokens, options: options) { _, logits in
            try output.write(logits)
        }
    }
}

/// Lists of numbers as they are written on command lines and in files.
public enum TokenList {
    /// Ids separated by commas or white space.
    ///
    /// - Throws: ``EngineError/unsupported(_:)`` naming what is no number.
    public static func parse(_ text: String) throws(EngineError) -> [Int32] {
        var tokens: [Int32] = []
        for word in text.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            guard let token = Int32(word) else { throw .unsupported("'\(word.prefix(40))' is not a token id") }
            tokens.append(token)
        }
        return tokens
    }
}

/// Strings packed one after the other, each behind its length in bytes as a little-endian UInt32: a form for any bytes at all.
public enum StringBatch {
    /// - Throws: ``EngineError/unsupported(_:)`` with the place where the file breaks off.
    public static func parse(_ bytes: [UInt8]) throws(EngineError) -> [[UInt8]] {
        var strings: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count >= 4 else { throw .unsupported("the batch breaks off in a length, at byte \(rest.startIndex)") }
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= length else {
                throw .unsupported("the batch breaks off in a string of \(length) bytes, at byte \(rest.startIndex)")
            }
            strings.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return strings
    }
}
