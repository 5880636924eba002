"""What is free under a limit of memory: the figure that `devices` tells beside the truth, in control groups made for it.

Groups can be made here by root, where the controller is mounted for writing; versions that are not are tested with made-up
files only (KernelsTests).
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

from interop import SCRATCH, SWIFTLET

MIB = 1 << 20
V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")


class Group:
    """A control group, empty again and gone at the end."""

    def __init__(self, parent, name, **files):
        self.path = parent / name
        self.files = files

    def __enter__(self):
        self.path.mkdir()
        for name, value in self.files.items():
            (self.path / name.replace("__", ".")).write_text(str(value))
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def run(self, command):
        """A command inside."""
        def enter():
            (self.path / "cgroup.procs").write_text(str(os.getpid()))
        return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=enter, timeout=60)

    def memory(self):
        """(free, total) in MiB as a program inside is told."""
        told = json.loads(self.run([SWIFTLET, "devices", "--json"]).stdout)
        return told["memory_free"] // MIB, told["memory_total"] // MIB


def check(report):
    name = f"swiftlet-field-{os.getpid()}"
    told = json.loads(subprocess.run([SWIFTLET, "devices", "--json"], stdin=subprocess.DEVNULL, capture_output=True).stdout)
    total = told["memory_total"] // MIB
    available = int(next(line for line in open("/proc/meminfo") if line.startswith("MemAvailable")).split()[1]) // 1024
    report.check(abs(told["memory_free"] // MIB - available) < 512, f"no group of its own: {told['memory_free'] // MIB} MiB free, the system says {available}")
    if os.access(V1 / "cgroup.procs", os.W_OK) and (V1 / "memory.limit_in_bytes").exists():
        first_version(report, name, total)
    elif os.access(V2 / "cgroup.procs", os.W_OK) and "memory" in (V2 / "cgroup.subtree_control").read_text():
        second_version(report, name, total)
    else:
        report.note("LEFT OUT: no control group can be made here")


def judge(report, what, memory, limit):
    free, total = memory
    report.check(total == limit and limit - 64 <= free <= limit, f"{what}: {free} MiB free of {total}, the limit is {limit}")


def cached(report, what, group, limit):
    """A group whose memory is nearly all taken by pages of a file, which the system gives back when they are wanted."""
    file = SCRATCH / "pages"
    with open(file, "wb") as out:
        for _ in range(limit - 100):
            out.write(os.urandom(MIB))
    group.run([sys.executable, "-c", f"import os; f = os.open({str(file)!r}, os.O_RDONLY); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)\n"
               f"while os.read(f, 1 << 20): pass"])
    judge(report, what, group.memory(), limit)
    file.unlink()


def first_version(report, name, total):
    with Group(V1, name, memory__limit_in_bytes=500 * MIB) as group:
        judge(report, "version 1, 500 MiB", group.memory(), 500)
        with Group(group.path, "inner") as inner:
            judge(report, "version 1, a group without a limit inside one of 500 MiB", inner.memory(), 500)
        with Group(group.path, "inner", memory__limit_in_bytes=300 * MIB) as inner:
            judge(report, "version 1, 300 MiB inside 500 MiB", inner.memory(), 300)
        cached(report, "version 1, its memory full of a file's pages", group, 500)
    with Group(V1, name) as group:
        report.check(group.memory()[1] == total, f"version 1, a group without a limit: {group.memory()[1]} MiB in all, as without ({total})")


def second_version(report, name, total):
    with Group(V2, name, memory__max=500 * MIB) as group:
        judge(report, "version 2, 500 MiB", group.memory(), 500)
        cached(report, "version 2, its memory full of a file's pages", group, 500)
    with Group(V2, name, memory__high=400 * MIB, memory__max=600 * MIB) as group:
        judge(report, "version 2, from 400 MiB on it is held back", group.memory(), 400)
    with Group(V2, name) as group:
        report.check(group.memory()[1] == total, f"version 2, a group without a limit: {group.memory()[1]} MiB in all, as without ({total})")
