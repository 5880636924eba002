package import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How much memory this process may have: what the machine has, and what the control groups that it is in leave it (containers,
/// services), as files of the system say.
package struct SystemMemory {
    /// A limit that some group has, and what is left of it.
    package struct Limit: Hashable, Sendable {
        /// The file that holds it.
        package var file: String
        package var byteCount: Int
        package var free: Int

        package init(file: String, byteCount: Int, free: Int) {
            self.file = file
            self.byteCount = byteCount
            self.free = free
        }
    }

    /// Bytes that the machine has.
    private let total: Int
    /// What is in a file; nil if it cannot be read.
    private let text: (String) -> String?

    /// - Parameters:
    ///   - total: bytes that the machine has.
    ///   - text: what is in a file; nil if it cannot be read.
    package init(total: Int, text: @escaping (String) -> String?) {
        self.total = total
        self.text = text
    }

    /// What could still be taken without swapping, and all there is, in bytes.
    package static func current() -> DeviceMemory { this.memory }

    /// That of this machine.
    package static var this: SystemMemory {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        return SystemMemory(total: Int(sysconf(Int32(_SC_PHYS_PAGES))) &* page, text: SystemFile.text)
    }

    package var memory: DeviceMemory {
        var memory = machine
        for limit in limits {
            memory.free = min(memory.free, limit.free)
            memory.total = min(memory.total, limit.byteCount)
        }
        return memory
    }

    /// What the machine has, whatever groups allow.
    package var machine: DeviceMemory {
        var free = total
        if let line = text("/proc/meminfo")?.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let figure = Int(line.filter(\.isNumber))
        {
            free = figure.multipliedReportingOverflow(by: 1024).partialValue
        }
        return DeviceMemory(free: min(max(0, free), total), total: total)
    }

    /// The limit that leaves least; nil if the machine itself leaves less, or there is none.
    package var tightest: Limit? {
        let limit = limits.min { $0.free < $1.free }
        return limit.flatMap { $0.free < machine.free || $0.byteCount < total ? $0 : nil }
    }

    // MARK: Control groups

    /// Where groups of one version are to be found.
    private struct Hierarchy {
        var isVersion2: Bool
        /// Where it is mounted, and which group is at the top there: in a container often its own.
        var mount: String
        var root: String
        /// The group that the process is in.
        var group: String

        /// The folders of the group and of those around it, the innermost first.
        var folders: [String] {
            var path = group
            if root != "/", path == root || path.hasPrefix(root + "/") { path = String(path.dropFirst(root.count)) }
            var folders: [String] = []
            while path.count > 1, path.hasPrefix("/") {
                folders.append(mount + path)
                path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
            }
            return folders + [mount]
        }
    }

    /// All limits that hold for the process: those of its group and of the groups around it, of both versions.
    package var limits: [Limit] {
        hierarchies.flatMap { hierarchy in
            hierarchy.folders.flatMap { hierarchy.isVersion2 ? version2($0) : version1($0) }
        }
    }

    private var hierarchies: [Hierarchy] {
        var found: [Hierarchy] = []
        let mounts = mounts
        for line in (text("/proc/self/cgroup") ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[0] == "0", parts[1].isEmpty {
                let mount = mounts.version2 ?? (path: "/sys/fs/cgroup", root: "/")
                found.append(Hierarchy(isVersion2: true, mount: mount.path, root: mount.root, group: String(parts[2])))
            } else if parts[1].split(separator: ",").contains("memory") {
                let mount = mounts.version1 ?? (path: "/sys/fs/cgroup/memory", root: "/")
                found.append(Hierarchy(isVersion2: false, mount: mount.path, root: mount.root, group: String(parts[2])))
            }
        }
        return found
    }

    /// Where the hierarchies are that may limit memory, and the groups at their tops.
    private var mounts: (version1: (path: String, root: String)?, version2: (path: String, root: String)?) {
        var version1: (path: String, root: String)?
        var version2: (path: String, root: String)?
        for line in (text("/proc/self/mountinfo") ?? "").split(separator: "\n") {
            // 36 35 0:30 ROOT PATH options … - TYPE source options
            let words = line.split(separator: " ")
            guard words.count > 5, let dash = words.firstIndex(of: "-"), dash + 1 < words.count else { continue }
            let place = (path: String(words[4]), root: String(words[3]))
            if words[dash + 1] == "cgroup2" {
                version2 = version2 ?? place
            } else if words[dash + 1] == "cgroup", words[words.count - 1].split(separator: ",").contains("memory") {
                version1 = version1 ?? place
            }
        }
        return (version1, version2)
    }

    private func version2(_ folder: String) -> [Limit] {
        guard let used = number(folder + "/memory.current") else { return [] }
        let kept = max(0, used - givenBack(folder, "inactive_file"))
        // Beyond `high` a group is not ended, but slowed down until nothing moves.
        return ["memory.max", "memory.high"].compactMap { name in
            number(folder + "/" + name).map { Limit(file: folder + "/" + name, byteCount: $0, free: max(0, $0 - kept)) }
        }
    }

    private func version1(_ folder: String) -> [Limit] {
        guard let used = number(folder + "/memory.usage_in_bytes") else { return [] }
        let file = folder + "/memory.limit_in_bytes"
        // Where the folders of the groups around it cannot be seen, their limits are told here.
        let around = statistic(folder, "hierarchical_memory_limit")
        guard let limit = [number(file), around].compactMap({ $0 }).min(), limit < total else { return [] }
        let kept = used - (statistic(folder, "total_inactive_file") ?? givenBack(folder, "inactive_file"))
        return [Limit(file: file, byteCount: limit, free: max(0, limit - max(0, kept)))]
    }

    /// Bytes of files that were read and are not in use: they are given back when something else is wanted.
    private func givenBack(_ folder: String, _ name: String) -> Int { statistic(folder, name) ?? 0 }

    private func statistic(_ folder: String, _ name: String) -> Int? {
        let line = text(folder + "/memory.stat")?.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    /// Nil for `max`, which is no limit.
    private func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}
