import Kernels
import Tensor
import Testing

/// Memory as made-up trees of system files tell it.
@Suite struct SystemMemoryTests {
    private func memory(_ files: [String: String], total: Int = 16 << 30, available: Int = 12 << 30) -> SystemMemory {
        var files = files
        files["/proc/meminfo"] = "MemTotal: 1 kB\nMemFree: 5 kB\nMemAvailable:   \(available / 1024) kB\n"
        return SystemMemory(total: total) { [files] in files[$0] }
    }

    @Test func aMachineWithoutLimits() {
        let system = memory(["/proc/self/cgroup": "0::/\n"])
        #expect(system.memory == DeviceMemory(free: 12 << 30, total: 16 << 30))
        #expect(system.tightest == nil)
        #expect(SystemMemory(total: 5) { _ in nil }.memory == DeviceMemory(free: 5, total: 5))
    }

    /// The tightest limit of a group and those around it holds, and what is left of each.
    @Test func nestedGroupsOfVersion2() {
        let system = memory([
            "/proc/self/cgroup": "0::/system.slice/swiftlet.service\n",
            "/sys/fs/cgroup/system.slice/swiftlet.service/memory.max": "max\n",
            "/sys/fs/cgroup/system.slice/swiftlet.service/memory.high": "max\n",
            "/sys/fs/cgroup/system.slice/swiftlet.service/memory.current": "\(1 << 30)\n",
            "/sys/fs/cgroup/system.slice/memory.max": "\(4 << 30)\n",
            "/sys/fs/cgroup/system.slice/memory.current": "\(3 << 30)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 1 << 30, total: 4 << 30))
        #expect(
            system.tightest
                == SystemMemory.Limit(file: "/sys/fs/cgroup/system.slice/memory.max", byteCount: 4 << 30, free: 1 << 30))
    }

    /// Beyond `memory.high` a group only crawls, so it is a limit as well.
    @Test func highIsALimit() {
        let system = memory([
            "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "\(8 << 30)\n", "/sys/fs/cgroup/a/memory.high": "\(2 << 30)\n",
            "/sys/fs/cgroup/a/memory.current": "\(1 << 30)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 1 << 30, total: 2 << 30))
    }

    /// Files that were read stay in memory until it is wanted: they counted as used, and a worker that had read a model had
    /// nothing to lend.
    @Test func whatCanBeGivenBackIsFree() {
        let system = memory([
            "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "\(2048 << 20)\n",
            "/sys/fs/cgroup/a/memory.current": "\(1946 << 20)\n",
            "/sys/fs/cgroup/a/memory.stat": "anon 5\nactive_file 7\ninactive_file \(1843 << 20)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 1945 << 20, total: 2048 << 20))
    }

    @Test func version1() {
        let system = memory([
            "/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "\(500 << 20)\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "\(300 << 20)\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.stat": "cache 1\ninactive_file 3\ntotal_inactive_file \(100 << 20)\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": "\(9 << 30)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 300 << 20, total: 500 << 20))
    }

    /// In a container the top of the mount is the container's own group, whatever path the host knows it by.
    @Test(arguments: ["/docker/abc", "/"]) func version1InAContainer(root: String) {
        let system = memory([
            "/proc/self/cgroup": "4:memory:/docker/abc\n",
            "/proc/self/mountinfo":
                "24 23 0:22 / /proc rw - proc proc rw\n36 35 0:30 \(root) /cg/mem rw,nosuid shared:9 - cgroup cgroup rw,memory\n",
            "/cg/mem/memory.limit_in_bytes": "\(500 << 20)\n", "/cg/mem/memory.usage_in_bytes": "\(50 << 20)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 450 << 20, total: 500 << 20))
    }

    /// A limit of a group around it whose folder cannot be seen.
    @Test func version1LimitedFromOutside() {
        let system = memory([
            "/proc/self/cgroup": "4:memory:/\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": "\(100 << 20)\n",
            "/sys/fs/cgroup/memory/memory.stat": "hierarchical_memory_limit \(400 << 20)\ntotal_inactive_file 0\n",
        ])
        #expect(system.memory == DeviceMemory(free: 300 << 20, total: 400 << 20))
    }

    /// Both versions at once, each with its own groups; memory is limited by the old one.
    @Test func hybrid() {
        let system = memory([
            "/proc/self/cgroup": "7:memory:/user\n0::/user/session\n",
            "/proc/self/mountinfo":
                "30 1 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 1 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            "/sys/fs/cgroup/memory/user/memory.limit_in_bytes": "\(3 << 30)\n",
            "/sys/fs/cgroup/memory/user/memory.usage_in_bytes": "\(1 << 30)\n",
        ])
        #expect(system.memory == DeviceMemory(free: 2 << 30, total: 3 << 30))
    }

    /// A group may hold more than it is allowed, and no figure is above the machine's own.
    @Test func figuresThatCannotBe() {
        let system = memory([
            "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "\(1 << 30)\n",
            "/sys/fs/cgroup/a/memory.current": "\(2 << 30)\n", "/sys/fs/cgroup/memory.max": "\(999 << 30)\n",
            "/sys/fs/cgroup/memory.current": "0\n",
        ])
        #expect(system.memory == DeviceMemory(free: 0, total: 1 << 30))
    }
}
