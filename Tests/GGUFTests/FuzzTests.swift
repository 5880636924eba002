import Foundation
import GGUF
import Testing

/// Damaged files either open or are refused with an error that names the file; nothing else happens.
///
/// 2,000 files, or as many as the environment variable `GGUF_FUZZ_CASES` says. With the variable, and so presumably run
/// by itself (`--filter FuzzTests`), the test also holds the process to the memory it began with.
@Suite struct FuzzTests {
    @Test func damagedFiles() throws {
        let wanted = ProcessInfo.processInfo.environment["GGUF_FUZZ_CASES"].flatMap(Int.init)
        let cases = wanted ?? 2000
        let names = ["every-type.gguf", "aligned-256.gguf", "split-00001-of-00003.gguf"]
        let originals = try names.map { [UInt8](try Data(contentsOf: URL(filePath: fixture($0)))) } + [try Self.small()]
        let folder = try TemporaryFolder()
        for part in 2...3 {
            let name = "split-0000\(part)-of-00003.gguf"
            try FileManager.default.copyItem(atPath: fixture(name), toPath: folder.path(name))
        }
        let before = Self.peakResidentKilobytes()
        var opened = 0
        var refused = [GGUFError.Code: Int]()
        for seed in 0..<cases {
            var random = SplitMix64(UInt64(seed))
            let bytes = Self.damaged(originals, &random)
            let path = try folder.write("split-00001-of-00003.gguf", bytes)
            do throws(GGUFError) {
                let file = try GGUFFile(path: path)
                opened += 1
                Self.touchEverything(file)
            } catch {
                refused[error.code, default: 0] += 1
                #expect(error.file.hasPrefix(folder.path("")), "case \(seed)")
                #expect(error.byteOffset.map { $0 <= bytes.count } ?? true, "case \(seed)")
            }
        }
        let counts = refused.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
        print("\(cases) damaged files: \(opened) opened; refused: \(counts)")
        #expect(refused.count >= 6, "the damage should reach many kinds of checks")
        if wanted != nil, let before, let after = Self.peakResidentKilobytes() {
            // Files of some kilobytes: an allocation that believes a hostile count would show.
            #expect(after - before < 64 * 1024, "peak memory grew by \(after - before) KiB")
        }
    }

    static func small() throws -> [UInt8] {
        var writer = try GGUFWriter()
        try writer.add("general.architecture", .string("test"))
        try writer.add("n", .uint32(7))
        try writer.add("words", .array(.string, [.string("a"), .string("bc")]))
        try writer.add("deep", .array(.array, [.array(.bool, [.bool(true)]), .array(.int8, [])]))
        try writer.add(tensor: "w", .q4_0, [32, 2], .bytes([UInt8](repeating: 1, count: 36)))
        try writer.add(tensor: "b", .f32, [2], .bytes([UInt8](repeating: 2, count: 8)))
        return try writer.bytes()
    }

    static func damaged(_ originals: [[UInt8]], _ random: inout SplitMix64) -> [UInt8] {
        guard var bytes = originals.randomElement(using: &random) else { return [] }
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            // Most of what a file says of itself is near its beginning.
            let reach = Bool.random(using: &random) ? min(bytes.count, 1500) : bytes.count
            let place = Int.random(in: 0..<reach, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                bytes.removeSubrange(place...)
            case 1, 2:
                bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 3:
                bytes[place] = [0, 1, 9, 127, 128, 255].randomElement(using: &random) ?? 0
            case 4, 5:
                let hostile: [UInt64] = [
                    0, 1, 64, 1 << 16, 1 << 31, 1 << 32, 1 << 33, 1 << 61, 1 << 62, 1 << 63, .max, .max - 31,
                    UInt64(bytes.count), UInt64(Int64.max), random.next(),
                ]
                let value = hostile.randomElement(using: &random) ?? 0
                let width = Bool.random(using: &random) ? 8 : 4
                for index in 0..<width where place + index < bytes.count {
                    bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
                }
            case 6:
                let count = Int.random(in: 1...min(24, bytes.count - place), using: &random)
                bytes.removeSubrange(place..<(place + count))
            default:
                let from = Int.random(in: 0..<bytes.count, using: &random)
                let count = Int.random(in: 1...min(64, bytes.count - from), using: &random)
                bytes.insert(contentsOf: Array(bytes[from..<(from + count)]), at: place)
            }
        }
        return bytes
    }

    /// Reads whatever an opened file offers.
    static func touchEverything(_ file: GGUFFile) {
        var sum = UInt64(0)
        for tensor in file.tensors {
            for byte in file.region(of: tensor).bytes { sum &+= UInt64(byte) }
        }
        for entry in file.metadata.entries {
            guard case .array(let array) = entry.value else { continue }
            sum &+= UInt64(Array(array.values).count)
            sum &+= UInt64(array.decodedStrings()?.count ?? 0)
            sum &+= UInt64(array.integers(as: Int.self)?.count ?? 0)
            sum &+= UInt64(array.floats()?.count ?? 0)
        }
        let inspection = Inspection(file)
        sum &+= UInt64(inspection.text.utf8.count)
        sum &+= UInt64(inspection.json(fullArrays: true).utf8.count)
        withExtendedLifetime(sum) {}
    }

    static func peakResidentKilobytes() -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }
}
