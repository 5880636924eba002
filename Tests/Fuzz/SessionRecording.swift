import Foundation

/// What one head said over one connection, as its messages.
///
/// The files (`.session`, made by `capture.py`): the bytes said, in runs. A run is a control byte and what it counts: 0x00-0x7f, that
/// many bytes and one more as they are; 0x80-0xbf, `control - 0x7f` zeros; 0xc0, four bytes of a count (little-endian) of
/// bytes that a generator seeded with the count makes: contents of tensors whose values do not matter.
struct SessionRecording {
    var name: String
    var messages: [[UInt8]]
    var byteCount: Int { messages.reduce(0) { $0 + $1.count } }

    struct Damaged: Error, CustomStringConvertible {
        var description: String
    }

    /// The recordings of a folder, in the order of their names.
    static func all(in folder: String) throws -> [SessionRecording] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".session") }.sorted()
        let recordings = try names.map { name in
            let packed = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
            return SessionRecording(name: name, messages: try split(try unpack([UInt8](packed), name), name))
        }
        guard !recordings.isEmpty else { throw Damaged(description: "\(folder) holds no recordings") }
        return recordings
    }

    static func unpack(_ packed: [UInt8], _ name: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var position = 0
        while position < packed.count {
            let control = Int(packed[position])
            position += 1
            if control < 0x80 {
                guard position + control + 1 <= packed.count else { throw Damaged(description: "\(name) ends early") }
                bytes += packed[position...(position + control)]
                position += control + 1
            } else if control < 0xc0 {
                bytes.append(contentsOf: repeatElement(0, count: control - 0x7f))
            } else {
                guard control == 0xc0, position + 4 <= packed.count else { throw Damaged(description: "\(name) is no recording") }
                let count = (0..<4).reduce(0) { $0 | Int(packed[position + $1]) << (8 * $1) }
                position += 4
                append(count, &bytes)
            }
        }
        return bytes
    }

    /// Halves and floats of moderate size, whichever they are read as.
    private static func append(_ count: Int, _ bytes: inout [UInt8]) {
        var random = Random(UInt64(count))
        bytes.reserveCapacity(bytes.count + count)
        for index in 0..<count {
            let byte = UInt8(truncatingIfNeeded: random.next())
            bytes.append(index % 2 == 1 ? (byte & 0x83) | 0x34 : byte)
        }
    }

    private static func split(_ bytes: [UInt8], _ name: String) throws -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var position = 0
        while position < bytes.count {
            guard position + 9 <= bytes.count else { throw Damaged(description: "\(name) ends within a message") }
            let size = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[position + 1 + $1]) << (8 * UInt64($1)) }
            guard size <= UInt64(bytes.count - position - 9) else { throw Damaged(description: "\(name) ends within a message") }
            messages.append(Array(bytes[position..<(position + 9 + Int(size))]))
            position += 9 + Int(size)
        }
        return messages
    }
}
