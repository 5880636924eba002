internal import Tensor

/// A tensor as the file describes it, its place not yet checked.
struct TensorRecord {
    var name: String
    var type: ElementType
    var shape: Shape
    var dimensionCount: Int
    var byteCount: Int
    /// Counted from the start of the data.
    var dataOffset: UInt64
    /// Where in the file this record begins.
    var recordOffset: Int
}

extension ByteCursor {
    /// Magic and version.
    mutating func header() throws(GGUFError) -> UInt32 {
        let magic = try integer(UInt32.self, "the magic number")
        guard magic == 0x4655_4747 else { throw notGGUF(magic) }
        let start = offset
        let version = try integer(UInt32.self, "the version")
        switch version {
        case 2, 3: return version
        case 1:
            let message = "GGUF version 1 is no longer supported; convert the model again"
            throw GGUFError(.unsupportedVersion, file: file, at: start, message)
        default:
            // Versions are small, so a number that is small only with its bytes swapped tells the byte order.
            if version.byteSwapped <= 0xffff, version > 0xffff {
                let message = "this is a big-endian file (version \(version.byteSwapped)); only little-endian ones can be read"
                throw GGUFError(.bigEndian, file: file, at: start, message)
            }
            let message = "GGUF version \(version) is unknown; versions 2 and 3 can be read"
            throw GGUFError(.unsupportedVersion, file: file, at: start, message)
        }
    }

    private func notGGUF(_ magic: UInt32) -> GGUFError {
        switch magic {
        case 0x4747_5546:
            return GGUFError(.bigEndian, file: file, at: 0, "this is a big-endian file; only little-endian ones can be read")
        case 0x6767_6d6c, 0x6767_6d66, 0x6767_6a74, 0x6767_6c61:
            return GGUFError(.notGGUF, file: file, at: 0, "this is a file in one of ggml's formats from before GGUF")
        default:
            let digits = String(magic.byteSwapped, radix: 16)
            let hex = String(repeating: "0", count: 8 - digits.count) + digits
            return GGUFError(.notGGUF, file: file, at: 0, "the file begins with 0x\(hex) instead of \"GGUF\"")
        }
    }

    /// Refuses a count whose entries, at `size` bytes or more each, cannot be in the rest of the file.
    func expectRoom(for count: Int, of size: Int, _ what: String) throws(GGUFError) {
        let (total, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, total <= remaining else {
            let message = "the file announces \(count) \(what), but only \(remaining) bytes are left in it"
            throw GGUFError(.truncated, file: file, at: offset, message)
        }
    }

    mutating func metadata(count: Int, owner: any AnyObject & Sendable) throws(GGUFError) -> GGUFMetadata {
        var metadata = GGUFMetadata()
        for _ in 0..<count {
            let start = offset
            let key = try name(limit: GGUFFile.Limits.keyBytes, "a metadata key")
            guard !key.isEmpty else { throw GGUFError(.malformed, file: file, at: start, "a metadata key is empty") }
            let type = try valueType("\"\(key)\"")
            let value = try value(type, owner: owner, "\"\(key)\"")
            guard metadata.append(.init(key: key, value: value, byteOffset: start)) else {
                throw GGUFError(.duplicate, file: file, at: start, "there is a second metadata key \"\(key)\"")
            }
        }
        return metadata
    }

    mutating func tensorRecord() throws(GGUFError) -> TensorRecord {
        let start = offset
        let name = try name(limit: GGUFFile.Limits.tensorNameBytes, "a tensor's name")
        func fail(_ code: GGUFError.Code, at offset: Int, _ message: String) -> GGUFError {
            GGUFError(code, file: file, at: offset, "tensor \"\(name)\" \(message)")
        }
        let dimensionsOffset = offset
        let dimensions = try integer(UInt32.self, "the dimensions of tensor \"\(name)\"")
        guard dimensions <= Shape.rank else {
            throw fail(.malformed, at: dimensionsOffset, "has \(dimensions) dimensions; at most \(Shape.rank) are allowed")
        }
        var shape = Shape(1)
        for dimension in 0..<Int(dimensions) {
            shape[dimension] = try count("extent \(dimension) of tensor \"\(name)\"")
        }
        guard let elements = shape.checkedElementCount else {
            throw fail(.malformed, at: dimensionsOffset, "of shape \(shape) has more elements than can be counted")
        }
        let typeOffset = offset
        let number = try integer(UInt32.self, "the type of tensor \"\(name)\"")
        guard let type = ElementType(rawValue: number) else {
            if ElementType.isWithdrawn(number) {
                throw fail(.withdrawnElementType, at: typeOffset, "has the element type \(number), which ggml has withdrawn")
            }
            throw fail(.unknownElementType, at: typeOffset, "has the unknown element type \(number)")
        }
        guard shape[0] % type.elementsPerBlock == 0 else {
            let message = "has rows of \(shape[0]) elements, which are no whole number of \(type.name)'s blocks of \(type.elementsPerBlock)"
            throw fail(.malformed, at: dimensionsOffset, message)
        }
        guard let byteCount = type.byteCount(elements: elements) else {
            throw fail(.malformed, at: dimensionsOffset, "of shape \(shape) and type \(type.name) has more bytes than can be counted")
        }
        let dataOffset = try integer(UInt64.self, "the data offset of tensor \"\(name)\"")
        return TensorRecord(
            name: name, type: type, shape: shape, dimensionCount: Int(dimensions), byteCount: byteCount,
            dataOffset: dataOffset, recordOffset: start)
    }
}
