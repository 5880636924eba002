internal import Base
internal import Foundation
internal import RPCProto
internal import Synchronization

/// Hashes of a model's tensors, by which workers with a cache are asked whether they have them: 64-bit FNV-1a.
///
/// They take a second per gigabyte and core, so they are computed only for workers that have a cache, and kept: beside the model (`NAME.gguf.hashes`), or, where that folder
/// cannot be written, in `$XDG_CACHE_HOME/swiftlet/hashes` (else the same in `~/.cache`). What is kept counts only while
/// the model's files have the size and the time of change that they had. A file of hashes is to be trusted like the model
/// beside it: who can change it can make a worker take another of its contents for a tensor.
public final class TensorHashes: Sendable {
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

    private struct State {
        var kept: HashFile
        var computedByteCount = 0
        var path: String?
        var complaint: String?
    }

    private let modelPaths: [String]
    /// What the files were when they were mapped; nil if not every one was there, and then nothing kept could be trusted.
    private let stamps: [FileStamp]?
    /// Where hashes may be kept, the best place first.
    private let places: [String]
    private let threads: Int
    private let state: Mutex<State>

    /// Reads what is kept.
    ///
    /// - Parameters:
    ///   - modelPaths: the model's files, in the order of ``Source/part``.
    ///   - stamps: what the files were when they were mapped, from before that; nil: what they are now.
    ///   - threads: how many threads compute; one tensor is hashed by one of them.
    ///   - environment: where `XDG_CACHE_HOME` and `HOME` are looked up; nil: this process's.
    public init(modelPaths: [String], stamps: [FileStamp]? = nil, threads: Int, environment: [String: String]? = nil) {
        let stamps = stamps ?? FileStamp.all(modelPaths) ?? []
        let isStamped = !modelPaths.isEmpty && stamps.count == modelPaths.count
        self.modelPaths = modelPaths
        self.stamps = isStamped ? stamps : nil
        self.threads = threads
        places = isStamped ? TensorHashes.places(modelPaths, environment ?? ProcessInfo.processInfo.environment) : []
        var first = State(kept: HashFile(stamps: stamps))
        for place in places {
            guard let file = HashFile(path: place), file.stamps == stamps else { continue }
            first.kept = file
            first.path = place
            break
        }
        state = Mutex(first)
    }

    /// Bytes that had to be hashed so far.
    public var computedByteCount: Int { state.withLock { $0.computedByteCount } }
    /// Where hashes are kept; nil if nowhere.
    public var path: String? { state.withLock { $0.path } }
    /// Why they are kept nowhere.
    public var complaint: String? { state.withLock { $0.complaint } }

    /// A tensor's hash, if it was ever computed.
    public func known(_ tensor: Source) -> UInt64? { state.withLock { $0.kept.hashes[HashFile.Key(tensor)] } }

    /// Computes what is not known yet, and keeps it.
    ///
    /// Never fails: what cannot be kept is told. Blocks for as long as the computing takes, so it is not for a thread that
    /// others wait for. Several threads may ask at the same time.
    ///
    /// - Parameter progress: told of the bytes hashed and those to be hashed, from any thread, one call at a time.
    /// - Returns: hashes in the order of the tensors.
    public func hashes(
        of tensors: [Source], progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) -> [UInt64] {
        var missing: [Source] = []
        let known = state.withLock { state in tensors.map { state.kept.hashes[HashFile.Key($0)] } }
        for (tensor, hash) in zip(tensors, known) where hash == nil { missing.append(tensor) }
        if missing.isEmpty { return known.compactMap { $0 } }
        let total = missing.reduce(0) { $0 + $1.bytes.count }
        let computed = InterleavedFNV.hashes(of: missing.map(\.bytes), threads: threads, progress: { progress?($0, total) })
        let keys = missing.map { HashFile.Key($0) }
        let isUnchanged = stamps != nil && FileStamp.all(modelPaths) == stamps
        state.withLock { state in
            for (key, hash) in zip(keys, computed) { state.kept.hashes[key] = hash }
            state.computedByteCount += total
            state.path = nil
            if stamps == nil {
                state.complaint = "not every file of the model is there"
            } else if !isUnchanged {
                state.complaint = "the model changed meanwhile"
            } else {
                (state.path, state.complaint) = TensorHashes.keep(state.kept, at: places)
            }
        }
        var rest = computed.makeIterator()
        return known.compactMap { $0 ?? rest.next() }
    }

    /// - Returns: where it was written, or why nowhere.
    private static func keep(_ file: HashFile, at places: [String]) -> (path: String?, complaint: String?) {
        var complaints: [String] = []
        for place in places {
            if let complaint = file.write(to: place) { complaints.append("\(place): \(complaint)") } else { return (place, nil) }
        }
        return (nil, complaints.joined(separator: "; "))
    }

    private static func places(_ modelPaths: [String], _ environment: [String: String]) -> [String] {
        var places = [modelPaths[0] + ".hashes"]
        if let folder = try? UserFolders(environment).cache("hashes") {
            // A name that any path has to itself, nearly: where two share one, the stamps tell them apart.
            let path = URL(fileURLWithPath: modelPaths[0]).resolvingSymlinksInPath().path
            let hash = Array(path.utf8).withUnsafeBytes { FNVHash.of($0) }
            places.append("\(folder)/\(HashFile.digits(hash)).hashes")
        }
        return places
    }
}
