"""A node behind a link that is made bad by link_shaper.py, and what a head says of a worker behind it."""

import json

from interop import stop
from wire import wait_for


class ShapedLink:
    """What sits between a node and the wire, told what to be."""

    def __init__(self, node):
        self.shaper = node.put_behind_link()

    def ask(self, line):
        before = len(self.shaper.text().splitlines())
        self.shaper.say(line)
        wait_for(lambda: len(self.shaper.text().splitlines()) > before, 10, f"the link's answer to {line}")
        return self.shaper.text().splitlines()[-1]

    def be(self, round_trip, rate=0, loss=0):
        for line in (f"delay {round_trip / 2}", f"rate {rate}", f"loss {loss}"):
            answer = self.ask(line)
            if answer != f"ok {line}":
                stop(f"the link: {answer}")

    def carried(self):
        """Bytes that came through, of the direction that carried more."""
        return max(direction["bytes"] for direction in json.loads(self.ask("count")))


def arrivals(head):
    """How often the head's log says that its worker came: more than once, if it was given up in between."""
    return sum(line.endswith(": is there") for line in head.program.text().splitlines())
