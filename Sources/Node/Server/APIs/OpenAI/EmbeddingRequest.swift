internal import Base
internal import Foundation
internal import NodeEngine

/// The body of `POST /v1/embeddings`, and what is answered.
struct EmbeddingRequest: Hashable, Sendable {
    /// How vectors are written.
    enum Encoding: String, Hashable, Sendable {
        /// A list of numbers.
        case float
        /// The bytes of little-endian 32-bit numbers.
        case base64
    }

    var texts: [PromptParts]
    var encoding: Encoding

    /// Texts in one request at most.
    static let textLimit = 2048

    /// - Parameter member: that holds the texts.
    init(_ fields: RequestFields, member: String = "input", card: ModelCard) throws(APIError) {
        try fields.refuseForeign(in: .embedding)
        texts = try PromptParts.all(fields, member, vocabularySize: card.vocabularySize, limit: EmbeddingRequest.textLimit)
        let name = try fields.string("encoding_format") ?? Encoding.float.rawValue
        guard let encoding = Encoding(rawValue: name) else {
            throw .invalid("'encoding_format' must be 'float' or 'base64'.", parameter: "encoding_format", code: "invalid_value")
        }
        self.encoding = encoding
        if let length = try fields.integer("dimensions", in: 1...Int(Int32.max)), length != card.embeddingLength {
            throw .invalid(
                "'dimensions' can only be \(card.embeddingLength) here, the length of this model's vectors.", parameter: "dimensions",
                code: "unsupported_parameter")
        }
    }

    func answer(_ vectors: [TextVector], model: String) -> JSONValue {
        let data = vectors.enumerated().map { index, vector -> JSONValue in
            ["object": "embedding", "index": .integer(index), "embedding": written(vector.values)]
        }
        let tokens = JSONValue.integer(vectors.reduce(0) { $0 + $1.tokenCount })
        return [
            "object": "list", "data": .array(data), "model": .string(model),
            "usage": ["prompt_tokens": tokens, "total_tokens": tokens],
        ]
    }

    /// llama.cpp's server's own form, in which a text could have several vectors.
    func nativeAnswer(_ vectors: [TextVector]) -> JSONValue {
        .array(vectors.enumerated().map { index, vector in ["index": .integer(index), "embedding": .array([written(vector.values)])] })
    }

    private func written(_ values: [Float]) -> JSONValue {
        switch encoding {
        case .float:
            // The shortest text that is this number, not all digits of its double.
            return .array(values.map { .number(Double($0.description) ?? Double($0)) })
        case .base64:
            var bytes = Data(capacity: 4 * values.count)
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
            return .string(bytes.base64EncodedString())
        }
    }
}
