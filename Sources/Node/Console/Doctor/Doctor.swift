internal import Base
package import Foundation
package import Kernels
package import NodeCluster
public import NodeEngine

/// What `swiftlet doctor` prints: what somebody would be asked who reports that something does not work. It uses nothing, changes
/// nothing, and tells no secrets.
public enum Doctor {
    /// The ports that workers and servers listen on unless told otherwise.
    private static let ports = [(50052, "worker"), (8080, "serve")]
    /// Descriptors that a server with many clients needs.
    private static let fewDescriptors = 1024
    /// Free memory below which no model of use fits, and free space below which a cache keeps little.
    private static let little = 1 << 30

    public static func text(_ head: HeadOptions, _ environment: [String: String], json: Bool) -> (text: String, isWell: Bool) {
        let ports = ports.map { port($0.0, of: $0.1, isFree: WorkerProbe.isFree(port: $0.0)) }
        let findings = machine(environment) + ports + WorkerProbe.probe(head.workers, head).map(worker)
        return (text(findings, json: json), !findings.contains { $0.state == .wrong })
    }

    package static func text(_ findings: [Finding], json: Bool) -> String {
        if json { return JSONValue.array(findings.map(\.json)).indented + "\n" }
        let width = findings.map(\.subject.count).max() ?? 0
        return findings.map { finding in
            let mark =
                switch finding.state {
                case .good: "ok "
                case .missing: "-  "
                case .wrong: "!! "
                }
            let padding = String(repeating: " ", count: width - finding.subject.count)
            return mark + finding.subject + padding + "  " + finding.text + (finding.advice.map { ". " + $0 } ?? "") + "\n"
        }.joined()
    }

    // MARK: This machine

    private static func machine(_ environment: [String: String]) -> [Finding] {
        let device = DeviceDescription.current()
        let system = SystemMemory.this
        let folders = UserFolders(environment)
        var findings = [
            Finding("program", "swiftlet \(Version.current)"), processor(device),
            memory(system.memory.free, of: system.memory.total), group(system.tightest),
        ]
        if let limits = Descriptors.limits { findings.append(descriptors(soft: limits.soft, hard: limits.hard)) }
        if let home = folders.home {
            findings.append(Finding("home", home))
        } else {
            findings.append(
                Finding(
                    "home", "this user has no home folder", .wrong,
                    advice: "Caches need a place: --cache-dir, or CacheDirectory= in the service's unit."))
        }
        if let cache = try? folders.cache("tensors") { findings.append(folder("cache", cache)) }
        return findings + [time(Date()), avahi, vulkan, openBLAS(device.hasOpenBLAS)]
    }

    package static func processor(_ device: DeviceDescription) -> Finding {
        let text = "\(device.processor), \(device.coreCount) cores, kernels: \(device.chosen.rawValue)"
        guard device.chosen == .baseline, device.variants.count > 1 else { return Finding("processor", text) }
        let reason = device.variants.lazy.reversed().compactMap(\.obstacle).first ?? "it has nothing better"
        return Finding("processor", text, .wrong, advice: "It computes slowly (\(reason)); a virtual machine may hide what its host has.")
    }

    package static func memory(_ free: Int, of total: Int) -> Finding {
        let text = "\(free.binarySize) free of \(total.binarySize)"
        if free >= little { return Finding("memory", text) }
        return Finding("memory", text, .wrong, advice: "End what else takes memory, or use other machines' (--workers).")
    }

    package static func group(_ limit: SystemMemory.Limit?) -> Finding {
        guard let limit else { return Finding("control group", "sets no limit below the machine's memory") }
        let text = "allows \(limit.byteCount.binarySize), of which \(limit.free.binarySize) are free (\(limit.file))"
        if limit.free >= little { return Finding("control group", text) }
        return Finding(
            "control group", text, .wrong,
            advice: "Give the container or the service more memory (--memory of docker, MemoryMax= and MemoryHigh= of systemd).")
    }

    package static func descriptors(soft: Int, hard: Int) -> Finding {
        let text = "\(soft) at present, \(hard) at most; serve and worker raise it themselves"
        if hard >= fewDescriptors { return Finding("descriptors", text) }
        return Finding("descriptors", text, .wrong, advice: "Raise the hard limit: LimitNOFILE= of systemd, --ulimit nofile= of docker.")
    }

    /// A folder that is there, or could be made.
    package static func folder(_ subject: String, _ path: String) -> Finding {
        var place = path
        while !FileManager.default.fileExists(atPath: place), let slash = place.lastIndex(of: "/") {
            place = slash == place.startIndex ? "/" : String(place[..<slash])
        }
        guard FileManager.default.isWritableFile(atPath: place) else {
            return Finding(subject, "\(path) cannot be written", .wrong, advice: "Name another folder: --cache-dir, or XDG_CACHE_HOME.")
        }
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: place)
        guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue else { return Finding(subject, path) }
        let text = "\(path), \(free.binarySize) free on its disk"
        if free >= 2 * little { return Finding(subject, text) }
        return Finding(
            subject, text, .wrong,
            advice: "A worker's cache leaves \(little.binarySize) free and so keeps little: --cache-dir takes another disk.")
    }

    /// A clock that was never set, as on boards without a battery.
    package static func time(_ now: Date) -> Finding {
        let text = now.formatted(.iso8601)
        if now.timeIntervalSince1970 > 1_767_225_600 { return Finding("time", text) }
        return Finding(
            "time", text, .wrong, advice: "The clock is wrong, so logs and certificates are too; timedatectl set-ntp true sets it.")
    }

    private static var avahi: Finding {
        if FileManager.default.fileExists(atPath: "/run/avahi-daemon/socket") { return Finding("Avahi", "runs") }
        return Finding(
            "Avahi", "does not run; names such as node.local are not found", .missing,
            advice: "Debian: apt install avahi-daemon libnss-mdns")
    }

    private static var vulkan: Finding {
        if SystemLibrary.isThere(["libvulkan.so.1"]) { return Finding("Vulkan", "found; not used") }
        return Finding("Vulkan", "not found; not used", .missing, advice: "Debian: apt install libvulkan1 mesa-vulkan-drivers")
    }

    private static func openBLAS(_ isThere: Bool) -> Finding {
        if isThere { return Finding("OpenBLAS", "found; not used") }
        return Finding("OpenBLAS", "not found; not used", .missing, advice: "Debian: apt install libopenblas0")
    }

    // MARK: The network

    package static func port(_ port: Int, of command: String, isFree: Bool) -> Finding {
        if isFree { return Finding("port \(port)", "free for swiftlet \(command)") }
        return Finding(
            "port \(port)", "taken", .missing, advice: "If that is not swiftlet \(command) already, --port takes another.")
    }

    package static func worker(_ probe: WorkerProbe) -> Finding {
        let subject = "worker \(probe.name)"
        if let obstacle = probe.obstacle {
            // Errors name the address themselves.
            let text = obstacle.hasPrefix(probe.name + ": ") ? String(obstacle.dropFirst(probe.name.count + 2)) : obstacle
            return Finding(
                subject, text, .wrong,
                advice:
                    "Does it run there (swiftlet worker --host ADDRESS), may this machine connect (--allow), and is no firewall between?")
        }
        var parts = ["protocol \(probe.version ?? "?")"]
        if let time = probe.roundTrip { parts.append("round trip \((time / .milliseconds(1)).millisecondText)") }
        for (number, memory) in probe.memory.enumerated() {
            let name = probe.memory.count > 1 ? "device \(number): " : ""
            parts.append("\(name)\(memory.free.binarySize) free of \(memory.total.binarySize)")
        }
        if probe.memory.allSatisfy({ $0.free == 0 && $0.total == 0 }) {
            return Finding(subject, parts.joined(separator: ", "), .wrong, advice: "It says nothing of its memory, or is about to stop.")
        }
        return Finding(subject, parts.joined(separator: ", "))
    }
}
