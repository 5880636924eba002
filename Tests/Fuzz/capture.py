"""Records what stock heads say to a worker, one file a connection, for `fuzz sessions`.

    capture.py --worker PORT [--out FOLDER]

PORT is that of a fresh worker on this machine: swiftlet worker --port PORT, or the like. Heads are stock's llama-completion and
llama-bench over the tiny models of scripts/fetch-test-data, and its test-backend-ops, one process and so one connection for
a few rows of each operation. The form of the files is said in SessionRecording.swift.
"""

import argparse
import hashlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Interop"))
from interop import MODELS, ROOT, run  # noqa: E402

ANSWERED = {0, 1, 2, 3, 7, 8, 9, 11, 13, 14, 15, 19, 20}
SET_TENSOR, SET_TENSOR_2D = 6, 18
HEADS = {SET_TENSOR: 9 + 296 + 9, SET_TENSOR_2D: 9 + 296 + 32}
# Data up to this size is kept as it is: indices, positions, masks of short prompts.
KEPT = 600
# F16 and BF16 masks, F32 and quantized weights may be anything; whole numbers are indices.
WHOLE_NUMBERS = {24, 25, 26, 27}


def exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(1 << 20, count - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def pack(data):
    """Literals and runs of zeros."""
    out, position, literal = bytearray(), 0, bytearray()

    def flush():
        for start in range(0, len(literal), 128):
            part = literal[start:start + 128]
            out.append(len(part) - 1)
            out.extend(part)
        literal.clear()

    while position < len(data):
        end = position
        while end < len(data) and data[end] == 0 and end - position < 64:
            end += 1
        if end - position >= 3:
            flush()
            out.append(0x7f + end - position)
            position = end
        else:
            literal.append(data[position])
            position += 1
    flush()
    return bytes(out)


def packed(message):
    head = HEADS.get(message[0])
    if head is None or len(message) - head <= KEPT or struct.unpack_from("<I", message, 9 + 8)[0] in WHOLE_NUMBERS:
        return pack(message)
    data = message[head:]
    if not any(data):
        return pack(message)
    return pack(message[:head]) + b"\xc0" + struct.pack("<I", len(data))


class Relay:
    """Passes connections on to a worker and keeps what their clients say."""

    def __init__(self, port):
        self.worker = port
        self.recordings = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            messages = []
            self.recordings.append(messages)
            threading.Thread(target=self.pass_on, args=(client, messages), daemon=True).start()

    def pass_on(self, client, messages):
        worker = socket.create_connection(("127.0.0.1", self.worker))
        for end in (client, worker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                head = exactly(client, 9)
                message = head + exactly(client, struct.unpack_from("<Q", head, 1)[0])
                worker.sendall(message)
                messages.append(message)
                if message[0] in ANSWERED:
                    size = exactly(worker, 8)
                    client.sendall(size + exactly(worker, struct.unpack("<Q", size)[0]))
        except (EOFError, OSError):
            pass
        client.close()
        worker.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "Fixtures" / "fuzz" / "sessions")
    parser.add_argument("--rows", type=int, default=2, help="rows of each operation")
    parser.add_argument("--limit", type=int, default=100000, help="bytes of one file at most")
    parser.add_argument("--memory", type=int, default=8 << 20, help="bytes of one buffer at most: larger ones make a replay slow")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    relay = Relay(options.worker)
    endpoint = f"127.0.0.1:{relay.port}"
    seen = set()

    def keep(name):
        """Of the connections since the last call, those that differ from all kept so far."""
        for number, messages in enumerate(relay.recordings):
            content = b"".join(packed(message) for message in messages)
            shape = hashlib.sha256(bytes(message[0] for message in messages)).digest() if len(messages) < 6 else content
            largest = max([struct.unpack_from("<Q", message, 9 + 4)[0] for message in messages if message[0] == 0], default=0)
            if not content or len(content) > options.limit or largest > options.memory or shape in seen:
                print(f"left out: {name} {number}, {len(messages)} messages, {len(content)} bytes, largest buffer {largest}")
                continue
            seen.add(shape)
            (options.out / f"{name}-{number:02}.session").write_bytes(content)
        relay.recordings.clear()

    def stock(program, *arguments, **environment):
        command = [str(ROOT / "scripts" / "stock"), program, *map(str, arguments)]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=dict(os.environ, **environment))
        except subprocess.TimeoutExpired:
            print(f"too slow: {program} {arguments}", file=sys.stderr)

    for model in ("llama-dense", "llama-moe", "gemma3-dense", "llama-dense-q8_0"):
        path = MODELS / "tiny" / f"{model}.gguf"
        for flash in ("on", "off"):
            stock("llama-bench", "-m", path, "--rpc", endpoint, "-ngl", 99, "-p", 5, "-n", 2, "-r", 1, "-t", 1, "--no-warmup",
                  "-b", 32, "-ub", 32, "-fa", 1 if flash == "on" else 0)
            keep(f"{model}-{flash}")
    import conformance
    library = run([ROOT / "Tests" / "Interop" / "conformance" / "build"]).stdout.decode().strip()
    for operation, cases in conformance.sample(conformance.all_rows()).items():
        for case in cases[:options.rows]:
            stock("test-backend-ops", "test", "-b", "RPC0", "--output", "csv", "-o", case, GGML_BACKEND_PATH=library,
                  SWIFTLET_TEST_ENDPOINT=endpoint)
            keep(operation.lower())
    files = list(options.out.glob("*.session"))
    print(f"{len(files)} recordings, {sum(file.stat().st_size for file in files)} bytes")


main()
