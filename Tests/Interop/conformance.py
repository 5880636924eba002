"""Every operation, against stock's own judgement: its test-backend-ops compares our worker's results with those of its
processor backend, row by row.

    conformance.py                         all rows (SWIFTLET_INTEROP=short: a sample of every operation)
    conformance.py --operations ADD,ROPE   some operations
    conformance.py --variant avx2          with these kernels
    conformance.py --device stand-in       on this device of the worker
    conformance.py --server stock          the stock server in our place, for its time
"""

import argparse
import collections
import csv
import io
import os
import re
import subprocess
import time

import interop
from interop import ROOT, SHORT, RPCServer, free_port, run, stop

# What passes against the stock server, and what the stock processor backend does not support, which is nobody's to pass.
SUPPORTED = 21923
UNSUPPORTED = 3008
# Every so many rows of an operation are in the sample, and at least so many.
SAMPLE_STEP = 60
SAMPLE_LEAST = 3


def all_rows():
    """(operation, parameters) of every row, and whether stock's processor backend supports it."""
    out = run([ROOT / "scripts" / "stock", "test-backend-ops", "support", "-b", "CPU", "--output", "csv"]).stdout.decode()
    return [(row["op_name"], row["op_params"], row["supported"] == "1") for row in csv.DictReader(io.StringIO(out))]


def sample(rows):
    """Cases by operation as test-backend-ops takes them: rows spread over each operation's supported ones."""
    by_operation = collections.OrderedDict()
    for operation, parameters, supported in rows:
        if supported:
            by_operation.setdefault(operation, []).append(f"{operation}({parameters})")
    for operation, cases in by_operation.items():
        step = max(1, min(SAMPLE_STEP, len(cases) // SAMPLE_LEAST))
        by_operation[operation] = cases[::step]
    return by_operation


def batches(sampled, length=60000):
    """The sample's cases in lists short enough for a command line."""
    batch, size = [], 0
    for cases in sampled.values():
        for case in cases:
            if size + len(case) > length:
                yield batch
                batch, size = [], 0
            batch.append(case)
            size += len(case) + 1
    if batch:
        yield batch


# The program writes an error and the row it belongs to onto one line.
ROW = re.compile(r'"(?:RPC|CPU)[^"]*","([^"]*)","([^"]*)","test","([01])","([^"]*)"')


class Table:
    def __init__(self):
        self.counts = collections.OrderedDict()
        self.seconds = collections.Counter()
        self.total_seconds = 0.0
        self.failures = []

    def take(self, output, seconds):
        operations = set()
        for line in output.splitlines():
            match = ROW.search(line)
            if not match:
                continue
            operation, parameters, supported, error = match.groups()
            operations.add(operation)
            counts = self.counts.setdefault(operation, [0, 0, 0])
            if supported == "0":
                counts[2] += 1
            elif error.strip():
                counts[1] += 1
                self.failures.append(f"{operation}({parameters}): {line[:match.start()].strip() or error}")
            else:
                counts[0] += 1
        self.total_seconds += seconds
        # Of a run over many only the sum is known.
        if len(operations) == 1:
            self.seconds[operations.pop()] += seconds

    def total(self, column):
        return sum(counts[column] for counts in self.counts.values())

    def show(self):
        print(f"{'operation':26} {'passed':>7} {'failed':>7} {'n/a':>6} {'seconds':>8}")
        for operation, counts in sorted(self.counts.items()):
            print(f"{operation:26} {counts[0]:7} {counts[1]:7} {counts[2]:6} "
                  + (f"{self.seconds[operation]:8.1f}" if self.seconds[operation] else ""))
        print(f"{'all':26} {self.total(0):7} {self.total(1):7} {self.total(2):6} {self.total_seconds:8.1f}", flush=True)


def test(server, cases, table, report, patience=3600):
    """One run of the program over cases or operations. A run that ends early has lost its worker, and rows with it."""
    library = run([ROOT / "Tests" / "Interop" / "conformance" / "build"]).stdout.decode().strip()
    environment = dict(os.environ, GGML_BACKEND_PATH=library, SWIFTLET_TEST_ENDPOINT=server.endpoint)
    started = time.monotonic()
    done = subprocess.run(
        [str(ROOT / "scripts" / "stock"), "test-backend-ops", "test", "-b", "RPC0", "--output", "csv", "-j", str(os.cpu_count() or 1), *(["-o", ",".join(cases)] if cases else [])],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=patience)
    table.take(done.stdout.decode(errors="replace"), time.monotonic() - started)
    if done.returncode not in (0, 1):
        report.check(False, f"the program ended with status {done.returncode} in {cases[0] if cases else 'the whole'} … "
                     + done.stderr[-300:].decode(errors="replace") + server.tail()[-600:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--operations", default="")
    arguments.add_argument("--variant", action="append", default=[])
    arguments.add_argument("--device", default="")
    arguments.add_argument("--server", choices=["swiftlet", "stock"], default="swiftlet")
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    report = interop.Report()
    rows = all_rows()
    runs = [(variant, options.device) for variant in options.variant or [None]]
    if SHORT and not options.variant and not options.device and options.server == "swiftlet":
        # The stand-in has most operations computed by its processor: what is tried is that nobody notices.
        runs = [(None, ""), ("baseline", ""), (None, "stand-in")]
    for variant, device in runs:
        table = Table()
        more = (["--variant", variant] if variant else []) + (["--device", device] if device else [])
        with RPCServer(options.server, *more, threads=options.threads) as server:
            print(f"-- {options.server}, {device or 'processor'}, kernels: {variant or 'the best'}", flush=True)
            if SHORT and not options.operations:
                sampled = sample(rows)
                for batch in batches(sampled):
                    test(server, batch, table, report)
                wanted = sum(len(set(cases)) for cases in sampled.values())
            else:
                # All at once where all are wanted: rows that join several operations have names that only a test knows.
                for operation in options.operations.split(","):
                    test(server, [operation] if operation else [], table, report)
                wanted = None if options.operations else SUPPORTED
            table.show()
            for failure in table.failures[:40]:
                report.note(failure)
            report.check(not table.failures, f"{len(table.failures)} rows failed")
            if wanted is not None:
                report.check(table.total(0) >= wanted, f"{table.total(0)} rows passed of {wanted}")
            if wanted == SUPPORTED:
                report.check(table.total(0) == SUPPORTED and table.total(2) == UNSUPPORTED,
                             f"{table.total(0)} rows passed ({SUPPORTED}), {table.total(2)} not supported by stock ({UNSUPPORTED})")
            report.check(server.alive(), "the worker still runs")
    report.finish()


if __name__ == "__main__":
    main()
