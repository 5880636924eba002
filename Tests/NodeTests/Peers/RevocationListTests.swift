import Foundation
import NodePeers
import Synchronization
import Testing

/// A node that was put out stays out: no change of a list is lost, whatever writes at the same time, and none is half written.
@Suite final class RevocationListTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "revoked-\(UUID().uuidString)").path
    private var path: String { folder + "/peers/tag.revoked" }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private static func id(_ number: Int) -> String { String(format: "%032x", number) }

    /// A clock that only goes when it is told to.
    private final class Clock: Sendable {
        let time = Atomic<UInt64>(5_000_000_000)
        func pass(seconds: Double) { time.add(UInt64(seconds * 1e9), ordering: .relaxed) }
    }

    @Test func changes() throws {
        let list = RevocationList(path: path)
        #expect(list.ids.isEmpty && !list.contains(Self.id(1)))
        #expect(try list.add(Self.id(1)) && !list.add(Self.id(1)))
        #expect(try list.add("ABCDEF0123456789ABCDEF0123456789"))
        #expect(list.contains("abcdef0123456789abcdef0123456789") && list.contains("ABCDEF0123456789abcdef0123456789"))
        #expect(try list.merge([Self.id(1), Self.id(2), "nonsense", Self.id(3)]) == 2)
        #expect(try list.remove(Self.id(2)) && !list.remove(Self.id(2)))
        #expect(RevocationList(path: path).ids == [Self.id(1), Self.id(3), "abcdef0123456789abcdef0123456789"])
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        // Nothing half written is left.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/peers").sorted() == ["tag.revoked", "tag.revoked.lock"])
        for wrong in ["", "12", Self.id(1) + "0", String(repeating: "g", count: 32), String(repeating: "é", count: 16)] {
            #expect(throws: RevocationError.noID) { try list.add(wrong) }
            #expect(!list.contains(wrong))
        }
    }

    /// Another process's change is seen, and the file is not looked at for every connection.
    @Test func looksOnceASecond() throws {
        let clock = Clock()
        let list = RevocationList(path: path, now: { clock.time.load(ordering: .relaxed) })
        #expect(!list.contains(Self.id(1)))
        try RevocationList(path: path).add(Self.id(1))
        clock.pass(seconds: 0.9)
        #expect(!list.contains(Self.id(1)))
        clock.pass(seconds: 0.2)
        #expect(list.contains(Self.id(1)))
        try FileManager.default.removeItem(atPath: path)
        clock.pass(seconds: 1)
        #expect(!list.contains(Self.id(1)))
    }

    /// A file that cannot be read lets nobody in again.
    @Test func unreadable() throws {
        let clock = Clock()
        let reports = Mutex<[String]>([])
        let list = RevocationList(
            path: path, now: { clock.time.load(ordering: .relaxed) }, report: { text in reports.withLock { $0.append(text) } })
        try list.add(Self.id(1))
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        clock.pass(seconds: 2)
        #expect(list.contains(Self.id(1)) && reports.withLock { $0.count } == 1)
        #expect(throws: RevocationError.self) { try list.add(Self.id(2)) }
    }

    @Test func strangeLines() throws {
        try FileManager.default.createDirectory(atPath: folder + "/peers", withIntermediateDirectories: true)
        try "\n  \(Self.id(1).uppercased()) \r\nwhat is this\n\(Self.id(2))x\n\n\(Self.id(3))".write(
            toFile: path, atomically: false, encoding: .utf8)
        let reports = Mutex<[String]>([])
        let list = RevocationList(path: path) { text in reports.withLock { $0.append(text) } }
        #expect(list.ids == [Self.id(1), Self.id(3)])
        #expect(reports.withLock { $0.count == 1 && $0[0].contains("line 3") && !$0[0].contains("what is") })
    }

    @Test func full() throws {
        let list = RevocationList(path: path)
        #expect(try list.merge((0..<RevocationList.limit).map(Self.id)) == RevocationList.limit)
        #expect(throws: RevocationError.full) { try list.add(Self.id(5000)) }
        #expect(throws: RevocationError.full) { try list.merge([Self.id(5000)]) }
        #expect(try !list.add(Self.id(7)) && list.remove(Self.id(7)) && list.add(Self.id(5000)))
        #expect(RevocationList(path: path).ids.count == RevocationList.limit)
    }

    /// Locks on files are between those who opened them, so lists of one process meet as those of several do.
    @Test func writersAtOnce() async throws {
        let path = path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    let list = RevocationList(path: path)
                    for number in 0..<50 {
                        try list.add(Self.id(writer * 100 + number))
                        if number % 5 == 4 { try list.remove(Self.id(writer * 100 + number - 2)) }
                    }
                }
            }
            group.addTask {
                // Whoever reads meanwhile finds whole lists only.
                for _ in 0..<200 {
                    let reader = RevocationList(path: path) { Issue.record("\($0)") }
                    #expect(reader.ids.count <= 200)
                }
            }
            try await group.waitForAll()
        }
        let kept = (0..<4).flatMap { writer in (0..<50).filter { $0 % 5 != 2 }.map { Self.id(writer * 100 + $0) } }
        #expect(RevocationList(path: path).ids == Set(kept))
    }

    @Test func place() throws {
        #expect(try RevocationList.path(tag: "0123", environment: ["XDG_STATE_HOME": "/x"]) == "/x/swiftlet/peers/0123.revoked")
    }
}
