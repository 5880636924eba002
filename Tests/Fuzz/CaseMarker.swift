import Foundation
import Synchronization

/// Says which case is being run, in a file that outlives the process, and ends the process if one takes too long.
final class CaseMarker: Sendable {
    private let path: String
    private let descriptor: Int32
    private let prefix: String
    /// The case being run, and when it began; -1 between runs.
    private let current = Atomic<Int>(-1)
    private let begun = Atomic<UInt64>(0)

    init(_ options: Options) {
        let mode = options.mode?.rawValue ?? "replay"
        let variant = options.variant?.rawValue ?? "widest"
        path = NSTemporaryDirectory() + "fuzz-\(mode)-\(variant)-\(options.seed)-\(getpid()).case"
        prefix = "\(mode) --variant \(variant) --seed \(options.seed) --threads \(options.threads) --only "
        descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        print("case in hand: \(path)")
        let limit = options.hangSeconds
        Thread.detachNewThread { [self] in
            while true {
                Thread.sleep(forTimeInterval: 1)
                let (index, start, now) = (current.load(ordering: .relaxed), begun.load(ordering: .relaxed), Clock.now())
                guard index >= 0, now > start, Double(now - start) / 1e9 > limit else { continue }
                FileHandle.standardError.write(Data("FAULT  hangs for more than \(limit) s: fuzz \(prefix)\(index)\n".utf8))
                _exit(1)
            }
        }
    }

    func begin(_ index: Int) {
        current.store(index, ordering: .relaxed)
        begun.store(Clock.now(), ordering: .relaxed)
        let digits = String(index)
        var text = prefix + String(repeating: "0", count: max(0, 12 - digits.count)) + digits + "\n"
        text.withUTF8 { _ = pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    func end() {
        current.store(-1, ordering: .relaxed)
        close(descriptor)
        unlink(path)
    }
}
