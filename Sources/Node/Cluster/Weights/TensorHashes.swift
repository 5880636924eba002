internal import Foundation
internal import RPCProto

/// Hashes of a model's tensors, by which workers with a cache are asked whether they have them: 64-bit FNV-1a.
///
/// They take a second per gigabyte and core, so they are kept: beside the model (`NAME.gguf.hashes`), or, where that folder
/// cannot be written, in `$XDG_CACHE_HOME/swiftlet/hashes` (else the same in `~/.cache`). What is kept counts only while
/// the model's files have the size and the time of change that they had. A file of hashes is to be trusted like the model
/// beside it: who can change it can make a worker take another of its contents for a tensor.
public struct TensorHashes: Sendable {
    /// A tensor in a mapped file.
    public struct Source {
        public var name: String
        /// Which of the model's files it is in.
        public var part: Int
        /// Where in that file.
        public var byteOffset: Int
        public var bytes: UnsafeRawBufferPointer

        public init(name: String, part: Int, byteOffset: Int, bytes: UnsafeRawBufferPointer) {
            self.name = name
            self.part = part
            self.byteOffset = byteOffset
            self.bytes = bytes
        }
    }

    /// The hashes of all tensors that were asked for.
    public let byName: [String: UInt64]
    /// How many of them had to be computed, and of how many bytes.
    public let computedCount: Int
    public let computedByteCount: Int
    /// Where they are kept; nil if nowhere.
    public let path: String?
    /// Why they are kept nowhere.
    public let complaint: String?

    /// Reads what is kept, computes what is missing, and keeps it.
    ///
    /// Never fails: what cannot be read is computed, and what cannot be kept is told. Blocks for as long as the computing
    /// takes, so it is not for a thread that others wait for.
    ///
    /// - Parameters:
    ///   - modelPaths: the model's files, in the order of ``Source/part``.
    ///   - stamps: what the files were when they were mapped, from before that; nil: what they are now.
    ///   - threads: how many threads compute; one tensor is hashed by one of them.
    ///   - environment: where `XDG_CACHE_HOME` and `HOME` are looked up; nil: this process's.
    ///   - progress: told of the bytes hashed and those to be hashed, from any thread, one call at a time.
    public static func load(
        modelPaths: [String], stamps: [FileStamp]? = nil, tensors: [Source], threads: Int,
        environment: [String: String]? = nil,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) -> TensorHashes {
        let stamps = stamps ?? FileStamp.all(modelPaths) ?? []
        // Without stamps for every part nothing kept could be trusted.
        let isStamped = !modelPaths.isEmpty && stamps.count == modelPaths.count
        let places = isStamped ? places(modelPaths, environment ?? ProcessInfo.processInfo.environment) : []
        var kept = HashFile(stamps: stamps)
        var path: String?
        for place in places {
            guard let file = HashFile(path: place), file.stamps == stamps else { continue }
            kept = file
            path = place
            break
        }

        var byName: [String: UInt64] = [:]
        var missing: [Source] = []
        for tensor in tensors {
            if let hash = kept.hashes[HashFile.Key(tensor)] { byName[tensor.name] = hash } else { missing.append(tensor) }
        }
        let total = missing.reduce(0) { $0 + $1.bytes.count }
        var complaint: String?
        if !missing.isEmpty {
            let hashes = InterleavedFNV.hashes(
                of: missing.map(\.bytes), threads: threads, progress: { progress?($0, total) })
            for (tensor, hash) in zip(missing, hashes) {
                byName[tensor.name] = hash
                kept.hashes[HashFile.Key(tensor)] = hash
            }
            path = nil
            if !isStamped {
                complaint = "not every file of the model is there"
            } else if FileStamp.all(modelPaths) != stamps {
                complaint = "the model changed meanwhile"
            } else {
                (path, complaint) = keep(kept, at: places)
            }
        }
        return TensorHashes(
            byName: byName, computedCount: missing.count, computedByteCount: total, path: path, complaint: complaint)
    }

    /// - Returns: where it was written, or why nowhere.
    private static func keep(_ file: HashFile, at places: [String]) -> (path: String?, complaint: String?) {
        var complaints: [String] = []
        for place in places {
            if let complaint = file.write(to: place) { complaints.append("\(place): \(complaint)") } else { return (place, nil) }
        }
        return (nil, complaints.joined(separator: "; "))
    }

    /// Where hashes may be kept, the best place first.
    private static func places(_ modelPaths: [String], _ environment: [String: String]) -> [String] {
        var places = [modelPaths[0] + ".hashes"]
        var folder = environment["XDG_CACHE_HOME"] ?? ""
        if folder.isEmpty, let home = environment["HOME"], !home.isEmpty { folder = home + "/.cache" }
        if folder.hasPrefix("/") {
            // A name that any path has to itself, nearly: where two share one, the stamps tell them apart.
            let path = URL(fileURLWithPath: modelPaths[0]).resolvingSymlinksInPath().path
            let hash = Array(path.utf8).withUnsafeBytes { FNVHash.of($0) }
            places.append("\(folder)/swiftlet/hashes/\(HashFile.digits(hash)).hashes")
        }
        return places
    }
}
