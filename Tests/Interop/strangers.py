"""Those who are to stay outside a network of peers: what is derived from a token, written once more from the description of it, nodes made
from that, true ones and false ones, and a flood of every kind of stranger. `refusals` sends them.

    strangers.py ORDER.json     runs a flood as the file says, and prints a line of JSON
"""

import base64
import collections
import contextlib
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROTOCOL = "swiftlet/1"
RPC, LOOK = 1, 2
HELLO = bytes([14]) + struct.pack("<Q", 24) + bytes(24)


def expand(key, info, count):
    return HKDFExpand(hashes.SHA256(), count, info.encode()).derive(key)


class Network:
    """The secrets of a token's network."""

    def __init__(self, token, network=""):
        yaml = base64.b64decode(token).decode()
        keys = re.findall(r"^ +key: (\S+)$", yaml, re.M)
        parts = [*keys, *(re.search(rf"^{name}: (\S+)$", yaml, re.M).group(1) for name in ("room", "rendezvous"))]
        material = b"".join(struct.pack("<Q", len(part)) + part.encode() for part in parts)
        extracted = hmac.digest(b"swiftlet peers 1", material, "sha256")
        self.root = expand(extracted, f"network {network}", 32)
        self.tag = self.secret("tag", 8).hex()
        self.knock = self.secret("knock", 16).hex()
        self.authority = ec.derive_private_key(int.from_bytes(self.secret("authority", 32)), ec.SECP256R1())

    def secret(self, purpose, count):
        return expand(self.root, f"{purpose} 0", count)

    def certify(self, key, ident, days=30, authority=None):
        """A node's certificate, good until so many days from now."""
        signer = authority or self.authority
        point = self.authority.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
             "decipher_only"), False)
        return (
            x509.CertificateBuilder()
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swiftlet")]))
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ident)]))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.KeyUsage(digital_signature=True, **usage), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
            .add_extension(x509.AuthorityKeyIdentifier(hashlib.sha1(point).digest(), None, None), False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(ident)]), False)
            .sign(signer, hashes.SHA256()))


class Stranger:
    """Somebody with a key, a certificate that may be any, and a host name to ask for."""

    def __init__(self, network, folder, name, knock=None, days=30, authority=None, bare=False):
        self.key = ec.generate_private_key(ec.SECP256R1())
        spki = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(spki).hexdigest()[:32]
        self.knock = network.knock if knock is None else knock
        self.path = None
        if not bare:
            self.path = pathlib.Path(folder) / f"{name}.pem"
            certificate = network.certify(self.key, self.id, days, authority)
            self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def order(self):
        return {"id": self.id, "knock": self.knock, "path": str(self.path) if self.path else None}


def context_of(path, newest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if newest:
        context.maximum_version = newest
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([PROTOCOL])
    if path:
        context.load_cert_chain(path)
    return context


def first_flight(knock, newest=None):
    """A ClientHello that asks for a host; None asks for none."""
    taken, given = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context_of(None, newest).wrap_bio(taken, given, server_hostname=knock)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return given.read()


def greeting(ident, purpose):
    card = {"id": ident, "name": "stranger", "role": "head", "version": "0", "devices": []}
    body = json.dumps({"node": card, "revoked": []}).encode()
    return b"swft" + bytes([1, purpose, 0, 0]) + struct.pack("<I", len(body)) + body


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def enter(stranger, context, door, source, purpose, patience=5):
    """Goes in as a node does, and gives the answer's number and JSON."""
    with socket.create_connection(door, patience, (source, 0)) as plain:
        with context.wrap_socket(plain, server_hostname=stranger["knock"]) as stream:
            stream.sendall(greeting(stranger["id"], purpose))
            head = read_exactly(stream, 12)
            if head[:5] != b"swft\x01":
                raise ConnectionError(f"it answers {head}")
            return head[5], json.loads(read_exactly(stream, struct.unpack("<I", head[8:])[0]))


def say(door, source, data, patience):
    """Sends bytes, and gives all that is answered until the other side closes, or None if it does not."""
    with socket.create_connection(door, 5, (source, 0)) as plain:
        plain.settimeout(patience)
        answer = b""
        try:
            if data:
                plain.sendall(data)
            while piece := plain.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        except TimeoutError:
            return None
        return answer


# ---------------------------------------------------------------- a flood

class Flood:
    """Attempts of every kind, each from addresses of its own, at a rate in sum; and talks that trickle, as many as the doors let."""

    def __init__(self, order):
        self.doors = [tuple(door) for door in order["doors"]]
        self.strangers = order["strangers"]
        self.contexts = {name: context_of(stranger["path"]) for name, stranger in self.strangers.items()}
        self.recorded = bytes.fromhex(order["recorded"])
        self.hello = bytes.fromhex(order["hello"])
        self.sources = order["sources"]
        self.tricklers = order["tricklers"]
        self.rate = order["rate"]
        self.seconds = order["seconds"]
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.answers = collections.Counter()
        self.number = 0
        self.began = time.monotonic()
        self.silent = []

    def attempt(self, kind, door, source):
        """Gives what came of it in a word; `in` is what must not be."""
        try:
            if kind in self.strangers:
                number, answer = enter(self.strangers[kind], self.contexts[kind], door, source, RPC, 3)
                return "in" if number == 1 else f"refused: {answer.get('reason')}"
            if kind == "silent":
                # They are left open, a hundred at a time.
                self.silent.append(socket.create_connection(door, 3, (source, 0)))
                if len(self.silent) > 100:
                    self.silent.pop(0).close()
                return "nothing"
            data = {"rpc": HELLO, "http": b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", "random": os.urandom(300), "replayed": self.recorded}[kind]
            answer = say(door, source, data, 0.3)
            return "nothing" if not answer else "TLS" if answer[0] in (20, 21, 22) else f"in: {answer[:20]}"
        except ssl.SSLError as error:
            return f"TLS: {error.reason}"
        except (OSError, ValueError) as error:
            return type(error).__name__

    def work(self):
        # Handshakes cost the sender as much as the door: the cheap kinds come four times as often.
        kinds = [kind for kind in self.sources for _ in range(1 if kind in self.strangers or kind == "replayed" else 4)]
        while True:
            with self.lock:
                number = self.number
                self.number += 1
            due = self.began + number / self.rate
            now = time.monotonic()
            if now > self.began + self.seconds:
                return
            if due > now:
                time.sleep(due - now)
            kind = kinds[number % len(kinds)]
            turn = number // len(kinds)
            sources = self.sources[kind]
            outcome = self.attempt(kind, self.doors[turn % len(self.doors)], sources[turn // 2 % len(sources)])
            with self.lock:
                self.counts[kind] += 1
                self.answers[f"{kind}: {outcome}"] += 1

    def trickle(self, door, source):
        """A byte a second of a true first message, over and over."""
        while time.monotonic() < self.began + self.seconds:
            try:
                with socket.create_connection(door, 3, (source, 0)) as plain:
                    plain.settimeout(1)
                    for place in range(len(self.hello)):
                        plain.sendall(self.hello[place:place + 1])
                        try:
                            if not plain.recv(100):
                                break
                        except TimeoutError:
                            pass
                        if time.monotonic() > self.began + self.seconds:
                            break
            except OSError:
                pass
            with self.lock:
                self.counts["trickle"] += 1
            time.sleep(0.2)

    def stop(self, *unused):
        self.seconds = min(self.seconds, time.monotonic() - self.began)

    def run(self):
        signal.signal(signal.SIGTERM, self.stop)
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(64)]
        for source in self.tricklers:
            for door in self.doors:
                threads += [threading.Thread(target=self.trickle, args=(door, source), daemon=True) for _ in range(16)]
        for thread in threads:
            thread.start()
        while time.monotonic() < self.began + self.seconds:
            time.sleep(0.1)
        for thread in threads:
            thread.join(max(0, self.began + self.seconds + 2 - time.monotonic()))
        seconds = time.monotonic() - self.began
        with self.lock:
            print(json.dumps({"counts": self.counts, "answers": self.answers, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    threading.stack_size(256 << 10)
    Flood(json.loads(pathlib.Path(sys.argv[1]).read_text())).run()
