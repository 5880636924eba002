/// How byte-pair vocabularies write bytes as characters: what can be seen as itself, the other 68 as U+0100 and on (GPT-2, 2019).
enum ByteAlphabet {
    /// By byte, the scalar that stands for it.
    static let scalars: [UInt32] = {
        var scalars = [UInt32](repeating: 0, count: 256)
        var next: UInt32 = 0x100
        for byte in 0..<256 {
            let isVisible = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            scalars[byte] = isVisible ? UInt32(byte) : next
            if !isVisible { next += 1 }
        }
        return scalars
    }()

    /// By scalar up to the last that stands for a byte; nil for what stands for none.
    private static let bytes: [UInt8?] = {
        var bytes = [UInt8?](repeating: nil, count: Int(scalars.max() ?? 0) + 1)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = UInt8(byte) }
        return bytes
    }()

    /// Appends the UTF-8 of the character that stands for a byte.
    static func append(_ byte: UInt8, to text: inout [UInt8]) {
        ScalarText.forEachByte(of: scalars[Int(byte)]) { text.append($0) }
    }

    /// The bytes that a text in this alphabet stands for. Characters that are not of it stand for themselves.
    static func appendDecoded(_ text: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        for scalar in ScalarText(text).scalars {
            if Int(scalar) < bytes.count, let byte = bytes[Int(scalar)] {
                output.append(byte)
            } else {
                ScalarText.forEachByte(of: scalar) { output.append($0) }
            }
        }
    }
}
