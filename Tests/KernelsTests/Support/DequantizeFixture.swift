import Foundation

/// Reads the files that `Fixtures/make-dequantize.py` writes.
enum DequantizeFixture {
    static func bytes(_ file: String) throws -> [UInt8] {
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: root.appending(path: "Fixtures/dequantize/\(file)")))
    }

    static func floats(_ file: String) throws -> [Float] {
        let bytes = try bytes(file)
        return bytes.withUnsafeBytes { raw in
            (0..<(raw.count / 4)).map { Float(bitPattern: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
        }
    }
}
