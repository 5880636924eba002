"""A bad link: two TAP devices, and this program between them that delays, slows and loses what goes from one to the other.

    link_shaper.py NAME OTHER

makes the devices in its own network namespace (whoever started it moves them where they are wanted; they live as long as it does), says "ready",
and then takes lines on its standard input, each answered by one line. Whatever is set holds for each direction by itself.

    delay MS          how long each frame is under way, one way
    rate MBIT         how much goes through a second; 0: as much as comes
    queue MS          how long a frame may wait for its turn before what comes is dropped (100)
    loss PERCENT      how much is lost by chance
    cut, mend         nothing comes through; everything does again
    count             frames and bytes carried, lost by chance, dropped by a full queue, in each direction, as JSON

Frames come with the system's header for offloads (virtio_net_hdr), so that 64 KB of a TCP stream pass as one where the link is fast and loses
nothing. On a slow or lossy link they come as they would on a real one, each by itself, since each is to wait or be lost by itself.
"""

import collections
import errno
import fcntl
import json
import os
import random
import select
import struct
import sys
import time

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
OFFLOAD_CHECKSUM, OFFLOAD_TCP4, OFFLOAD_TCP6 = 1, 2, 4
HEADER = 10
LARGEST = HEADER + 65536 + 18
# From this many Mbit/s on, 64 KB pass in less than a millisecond or two.
RATE_OF_LARGE_FRAMES = 300
FRAMES_IN_TURN = 64


def open_device(name):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(descriptor, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
    return descriptor


class Direction:
    """What is under way from one device to the other, in the order in which it came."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.waiting = collections.deque()
        self.free_at = 0.0  # When what was taken so far will have passed the narrow place.
        self.counts = dict(frames=0, bytes=0, lost=0, dropped=0)

    def take(self, link):
        for _ in range(FRAMES_IN_TURN):
            try:
                frame = os.read(self.source, LARGEST)
            except BlockingIOError:
                return
            now = time.monotonic()
            begins = max(now, self.free_at)
            if link.rate and begins - now > link.queue:
                self.counts["dropped"] += 1
                continue
            if link.rate:
                begins += (len(frame) - HEADER) / link.rate
                self.free_at = begins
            # It has had its time on the link, whether or not it arrives.
            if link.is_cut or random.random() < link.loss:
                self.counts["lost"] += 1
                continue
            self.waiting.append((begins + link.delay, frame))

    def give(self, link):
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            frame = self.waiting.popleft()[1]
            if link.is_cut:
                self.counts["lost"] += 1
                continue
            try:
                os.write(self.target, frame)
            except OSError as error:
                # A device that is down, or whose namespace has gone: as a cable that ends nowhere.
                if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.EBADFD, errno.EINVAL):
                    raise
                self.counts["dropped"] += 1
                continue
            self.counts["frames"] += 1
            self.counts["bytes"] += len(frame) - HEADER


class Link:
    def __init__(self, one, other):
        self.delay = 0.0  # Seconds.
        self.rate = 0.0  # Bytes a second.
        self.queue = 0.1  # Seconds.
        self.loss = 0.0
        self.is_cut = False
        self.ends = [open_device(one), open_device(other)]
        self.directions = [Direction(*self.ends), Direction(*reversed(self.ends))]
        self.set_offloads()

    def set_offloads(self):
        large = self.loss == 0 and (self.rate == 0 or self.rate * 8 >= RATE_OF_LARGE_FRAMES * 1e6)
        for end in self.ends:
            fcntl.ioctl(end, TUNSETOFFLOAD, OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6 if large else 0)

    def obey(self, line):
        """Does what a line asks, and gives the answer."""
        words = line.split()
        if words == ["cut"]:
            self.is_cut = True
        elif words == ["mend"]:
            self.is_cut = False
        elif words == ["count"]:
            return json.dumps([direction.counts for direction in self.directions])
        elif len(words) == 2 and words[0] in ("delay", "rate", "queue", "loss"):
            try:
                value = float(words[1])
            except ValueError:
                return f"no number: {words[1]}"
            if not 0 <= value < 1e9:
                return f"out of range: {words[1]}"
            scale = dict(delay=1e-3, rate=1e6 / 8, queue=1e-3, loss=1e-2)[words[0]]
            setattr(self, words[0], value * scale)
            self.set_offloads()
        else:
            return f"unknown: {line}"
        return f"ok {line}"

    def carry(self):
        """Carries frames until standard input ends."""
        typed = b""
        while True:
            due = [direction.waiting[0][0] for direction in self.directions if direction.waiting]
            patience = max(0.0, min(due) - time.monotonic()) if due else None
            readable, _, _ = select.select([0, *self.ends], [], [], patience)
            for direction in self.directions:
                direction.give(self)
                if direction.source in readable:
                    direction.take(self)
            if 0 in readable:
                piece = os.read(0, 4096)
                if not piece:
                    return
                *lines, typed = (typed + piece).split(b"\n")
                for line in lines:
                    print(self.obey(line.decode(errors="replace")), flush=True)


if __name__ == "__main__":
    link = Link(*sys.argv[1:3])
    print("ready", flush=True)
    link.carry()
