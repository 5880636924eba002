internal import Base
internal import Tensor

/// Contents that wait to be written, and the thread that writes them one after the other.
///
/// Disks stall for longer than clients wait, so a session only has its content copied here. What waits is bounded in bytes:
/// where there is no room, a session waits for a moment, which is all that a disk a little slower than the network needs. If
/// that was in vain, contents are left out until half of the queue is written.
final class CacheQueue: Sendable {
    /// Bytes that wait, or are being written, at most.
    let byteLimit: Int
    /// Seconds that a session waits for room.
    private let patience: Double

    private struct State {
        var waiting: [Entry] = []
        /// Of what waits and what is being written.
        var byteCount = 0
        /// The numbers of the last content that was added, and of the last that was written.
        var lastAdded = 0
        var lastWritten = 0
        var hasThread = false
        /// Whether room was waited for in vain, and half of the queue is not written since.
        var isBehind = false
        /// How many contents of a scope wait or are being written.
        var scopes: [String: Int] = [:]
    }

    private struct Entry {
        var content: HeldContent
        var scope: String
    }

    private let state = Monitor(State())

    init(byteLimit: Int, patience: Double) {
        self.byteLimit = byteLimit
        self.patience = patience
    }

    /// Bytes that wait or are being written.
    var byteCount: Int { state.read(\.byteCount) }

    /// Copies a content, to be given to `write` with its scope on another thread.
    ///
    /// - Returns: false if there is no room for it.
    func add(
        _ bytes: UnsafeRawBufferPointer, scope: String, write: @escaping @Sendable (UnsafeRawBufferPointer, String) -> Void
    ) -> Bool {
        // Room first, then the copy: that takes its time, and needs no lock.
        guard takeRoom(for: bytes.count) else { return false }
        let entry = Entry(content: HeldContent(bytes), scope: scope)
        let needsThread = state.change { state in
            state.waiting.append(entry)
            state.lastAdded += 1
            state.scopes[scope, default: 0] += 1
            defer { state.hasThread = true }
            return !state.hasThread
        }
        guard needsThread else { return true }
        // Where the system has no more threads, the session writes.
        do throws(ThreadError) {
            try SystemThread.start(name: "cache") { [self] in writeAll(write) }
        } catch {
            writeAll(write)
        }
        return true
    }

    private func takeRoom(for byteCount: Int) -> Bool {
        let hasRoom: Bool? = state.wait(until: MonotonicClock.moment(in: patience)) { state in
            if byteCount <= byteLimit - state.byteCount {
                state.byteCount += byteCount
                return true
            }
            return state.isBehind ? false : nil
        }
        if hasRoom == nil { state.change { $0.isBehind = true } }
        return hasRoom ?? false
    }

    private func writeAll(_ write: (UnsafeRawBufferPointer, String) -> Void) {
        while let entry = next() {
            write(entry.content.bytes, entry.scope)
            state.change { state in
                state.byteCount -= entry.content.bytes.count
                if state.byteCount <= byteLimit / 2 { state.isBehind = false }
                state.lastWritten += 1
                let left = (state.scopes[entry.scope] ?? 1) - 1
                state.scopes[entry.scope] = left > 0 ? left : nil
            }
        }
    }

    /// Nil, and the thread's end, if nothing waits.
    private func next() -> Entry? {
        state.change { state in
            guard !state.waiting.isEmpty else {
                state.hasThread = false
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// Whether a content of this scope waits or is being written.
    func holds(_ scope: String) -> Bool { state.read { $0.scopes[scope] != nil } }

    /// Waits for all that was added until now, but not past a moment of the monotonic clock.
    ///
    /// - Returns: whether it is written.
    func wait(until deadline: UInt64) -> Bool {
        let last = state.read(\.lastAdded)
        return state.wait(until: deadline) { $0.lastWritten >= last ? true : nil } ?? false
    }
}

/// A copy of a content.
private final class HeldContent: @unchecked Sendable {
    // Sendable: never written after `init`.
    let bytes: UnsafeRawBufferPointer

    init(_ content: UnsafeRawBufferPointer) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 16)
        copy.copyMemory(from: content)
        bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}
