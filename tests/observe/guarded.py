"""Run the kernels over frames whose last byte is the last byte before a page that must not be touched.

Run as a program by ``test_bounds``: a load out of bounds ends it with a signal.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import sys

from build import pcap
from test_damage import BASES

from andon.observe.capture import Capture
from andon.observe.count import Counter
from andon.observe.reader import Reader
from andon.observe.sources import NotACapture
from andon.records import packet

_PROT_NONE = 0


class Guarded:
    """A ``Source`` of bytes that end at an unreadable page."""

    def __init__(self, pages: int = 64) -> None:
        self._map = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._end = self._start + pages * mmap.PAGESIZE
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self._end), ctypes.c_size_t(mmap.PAGESIZE), _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.origin, self.last, self.trouble = 0, True, ""

    def hold(self, data: bytes) -> Guarded:
        self.length = len(data)
        self.address = self._end - len(data)
        ctypes.memmove(self.address, data, len(data))
        return self

    def advance(self, consumed: int) -> None:
        raise AssertionError("there is no more")

    def close(self) -> None:
        pass


def frames(data: bytes) -> list[bytes]:
    found = []
    at = 24
    while at + 16 <= len(data):
        cap = int.from_bytes(data[at + 8 : at + 12], "little")
        found.append(data[at + 16 : at + 16 + cap])
        at += 16 + cap
    return found


def run(source: Guarded, data: bytes) -> None:
    for columns in (packet.COLUMNS, packet.CORE):
        try:
            for _ in Reader(Capture(source.hold(data)), columns, True):
                pass
        except NotACapture:
            return
    Counter(Capture(source.hold(data))).run()


def main(seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    source = Guarded()
    for _ in range(rounds):
        data = rng.choice(BASES[:-1])
        link = data[20] | data[21] << 8
        frame = bytearray(rng.choice(frames(data)))
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            frame[rng.randrange(len(frame))] = rng.choice(
                (0, 1, 6, 17, 44, 0x45, 0x4F, 0xFF, rng.randrange(256))
            )
        cut = bytes(frame[: rng.randrange(len(frame) + 1)])
        before = [bytes(90)] * rng.choice((0, 1))
        run(source, pcap([*before, cut], link))
    ng = BASES[-1]
    for _ in range(rounds // 10):
        run(source, ng[: rng.randrange(8, len(ng))])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
