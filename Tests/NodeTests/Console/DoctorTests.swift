import Base
import Foundation
import Kernels
import Node
import Testing

/// What is said to somebody who wonders why something does not work.
@Suite(.timeLimit(.minutes(2))) struct DoctorTests {
    @Test func limitsAreNamedWithWhatToDo() {
        let limit = SystemMemory.Limit(file: "/sys/fs/cgroup/a/memory.high", byteCount: 2 << 30, free: 100 << 20)
        let tight = Doctor.group(limit)
        #expect(tight.state == .wrong)
        #expect(tight.text == "allows 2.00 GiB, of which 100 MiB are free (/sys/fs/cgroup/a/memory.high)")
        #expect(tight.advice?.contains("MemoryHigh=") == true)
        #expect(Doctor.group(nil).state == .good)
        #expect(Doctor.descriptors(soft: 64, hard: 64).state == .wrong)
        #expect(Doctor.descriptors(soft: 64, hard: 4096).state == .good)
        #expect(Doctor.memory(100 << 20, of: 8 << 30).state == .wrong)
        #expect(Doctor.time(Date(timeIntervalSince1970: 1000)).state == .wrong)
    }

    @Test func foldersThatCannotBeWrittenAreWrong() {
        #expect(Doctor.folder("cache", "/proc/self/nothing/here").state == .wrong)
        let place = FileManager.default.temporaryDirectory.path + "/not/yet/there"
        #expect(Doctor.folder("cache", place).text.hasPrefix(place + ", "))
    }

    @Test func workersAreReachedOrSaidNotToBe() async throws {
        let worker = LocalWorker(memory: 64 << 20)
        try await worker.start()
        let address = await worker.address
        // Off the tasks' few threads, of which the worker needs one to begin.
        let found = try await BlockingWork.alone(name: "asks") { WorkerProbe.probe([address], HeadOptions()).map(Doctor.worker) }
        #expect(found.first?.state == .good)
        #expect(found.first?.text.hasPrefix("protocol 8.0.0, round trip ") == true)
        #expect(found.first?.text.hasSuffix(" free of 64.0 MiB") == true)
        let port = try #require(Int(address.split(separator: ":")[1]))
        #expect(!WorkerProbe.isFree(port: port))
        await worker.stop()
        let lost = try await BlockingWork.alone(name: "asks") { WorkerProbe.probe([address, "a:b:c"], HeadOptions()).map(Doctor.worker) }
        #expect(lost.allSatisfy { $0.state == .wrong && $0.advice != nil })
        #expect(lost.first?.text == "cannot connect: connection refused")
    }

    /// It goes into reports that everybody reads.
    @Test func itTellsNoSecrets() async throws {
        let environment = ["SWIFTLET_API_KEY": "s3cret", "HOME": "/home/me"]
        let (text, _) = Doctor.text(HeadOptions(), environment, json: true)
        #expect(!text.contains("s3cret"))
        let list = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        let subjects = Set(list.compactMap { $0["subject"] as? String })
        #expect(
            subjects.isSuperset(of: [
                "program", "processor", "memory", "control group", "descriptors", "home", "cache", "port 50052", "port 8080", "time",
                "Avahi",
                "Vulkan", "OpenBLAS",
            ]))
        let lines = Doctor.text([Finding("a", "good"), Finding("long", "bad", .wrong, advice: "Mend it.")], json: false)
        #expect(lines == "ok a     good\n!! long  bad. Mend it.\n")
    }
}
