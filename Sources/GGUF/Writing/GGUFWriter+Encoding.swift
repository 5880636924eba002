internal import Base
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension GGUFWriter {
    /// The whole file.
    public func bytes() throws(GGUFError) -> [UInt8] {
        var result = try head()
        for tensor in tensors {
            try tensor.content.withUnsafeBytes { (bytes) throws(GGUFError) in result.append(contentsOf: bytes) }
            pad(&result)
        }
        return result
    }

    /// Writes the file, tensor by tensor; one that is there is replaced. A failed write leaves nothing behind.
    public func write(to path: String) throws(GGUFError) {
        let temporary = path + ".partial"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .system("cannot be created", file: temporary) }
        do throws(GGUFError) {
            defer { _ = close(descriptor) }
            try write(to: descriptor, path: temporary)
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let error = GGUFError.system("cannot be renamed to \(path)", file: temporary)
            unlink(temporary)
            throw error
        }
    }

    private func write(to descriptor: Int32, path: String) throws(GGUFError) {
        func put(_ bytes: UnsafeRawBufferPointer) throws(GGUFError) {
            guard let code = WholeWrite.write(bytes, to: descriptor) else { return }
            errno = code
            throw .system("cannot be written", file: path)
        }
        try Content.bytes(try head()).withUnsafeBytes(put)
        for tensor in tensors {
            try tensor.content.withUnsafeBytes(put)
            let gap = (alignment - tensor.content.byteCount % alignment) % alignment
            try Content.bytes([UInt8](repeating: 0, count: gap)).withUnsafeBytes(put)
        }
    }

    /// Everything before the data, padded up to them.
    private func head() throws(GGUFError) -> [UInt8] {
        var out = [UInt8]("GGUF".utf8)
        append(UInt32(3), to: &out)
        append(UInt64(tensors.count), to: &out)
        append(UInt64(metadata.count), to: &out)
        for (key, value) in metadata {
            append(string: key.utf8, to: &out)
            append(value.type.rawValue, to: &out)
            try append(value, to: &out)
        }
        for tensor in tensors {
            append(string: tensor.name.utf8, to: &out)
            append(UInt32(tensor.extents.count), to: &out)
            for extent in tensor.extents { append(UInt64(extent), to: &out) }
            append(tensor.type.rawValue, to: &out)
            append(UInt64(tensor.dataOffset), to: &out)
        }
        if !tensors.isEmpty { pad(&out) }
        return out
    }

    private func pad(_ out: inout [UInt8]) {
        let gap = (alignment - out.count % alignment) % alignment
        out.append(contentsOf: repeatElement(0, count: gap))
    }

    private func append<T: FixedWidthInteger>(_ value: T, to out: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { out.append(contentsOf: $0) }
    }

    private func append(string: some Collection<UInt8>, to out: inout [UInt8]) {
        append(UInt64(string.count), to: &out)
        out.append(contentsOf: string)
    }

    private func append(_ value: Value, to out: inout [UInt8]) throws(GGUFError) {
        switch value {
        case .uint8(let number): append(number, to: &out)
        case .int8(let number): append(number, to: &out)
        case .uint16(let number): append(number, to: &out)
        case .int16(let number): append(number, to: &out)
        case .uint32(let number): append(number, to: &out)
        case .int32(let number): append(number, to: &out)
        case .uint64(let number): append(number, to: &out)
        case .int64(let number): append(number, to: &out)
        case .float32(let number): append(number.bitPattern, to: &out)
        case .float64(let number): append(number.bitPattern, to: &out)
        case .bool(let bool): out.append(bool ? 1 : 0)
        case .string(let string): append(string: string.utf8, to: &out)
        case .bytes(let bytes): append(string: bytes, to: &out)
        case .array(let type, let elements):
            append(type.rawValue, to: &out)
            append(UInt64(elements.count), to: &out)
            for element in elements {
                guard element.type == type else {
                    let message = "an array of \(type.name) has an element of type \(element.type.name)"
                    throw GGUFError(.wrongType, file: "", message)
                }
                try append(element, to: &out)
            }
        case .copy(let value):
            append(copy: value, to: &out)
        }
    }

    private func append(copy value: GGUFValue, to out: inout [UInt8]) {
        switch value {
        case .uint8(let number): append(number, to: &out)
        case .int8(let number): append(number, to: &out)
        case .uint16(let number): append(number, to: &out)
        case .int16(let number): append(number, to: &out)
        case .uint32(let number): append(number, to: &out)
        case .int32(let number): append(number, to: &out)
        case .uint64(let number): append(number, to: &out)
        case .int64(let number): append(number, to: &out)
        case .float32(let number): append(number.bitPattern, to: &out)
        case .float64(let number): append(number.bitPattern, to: &out)
        case .bool(let bool): out.append(bool ? 1 : 0)
        case .string(let string):
            string.withUnsafeBytes { append(string: $0, to: &out) }
        case .array(let array):
            append(array.elementType.rawValue, to: &out)
            append(UInt64(array.count), to: &out)
            array.withUnsafeBytes { out.append(contentsOf: $0) }
        }
    }
}
