"""``count``: what a capture holds, in numbers that agree with tshark's.

    >>> count("scan.pcap")["syn_only"]     # doctest: +SKIP
    10000

The keys are those of the expected counts that come with the test captures; ``tally`` says what each means.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from andon.observe import dissect as S
from andon.observe import framing as F
from andon.observe.capture import Capture
from andon.observe.columns import ROWS
from andon.observe.distinct import Distinct
from andon.observe.reassemble import Reassembly
from andon.observe.sources import open_source
from andon.observe.tally import NAMES, settle, tally
from andon.observe.tunnels import TRANSPORT


class Counter:
    """Counts one capture. ``run`` reads it to the end; ``result`` is the answer of ``count``."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.totals = np.zeros(len(NAMES), dtype=np.int64)
        self.sources = Distinct()
        self.destinations = Distinct()
        self._src = np.zeros(ROWS, dtype=np.int64)
        self._dst = np.zeros(ROWS, dtype=np.int64)
        self._out = np.zeros(S.RESULT_SIZE, dtype=np.int64)
        self._fragments = Reassembly()

    def run(self) -> None:
        state = self.capture.state
        try:
            status = F.BATCH_FULL
            while status != F.ENDED:
                status = self.capture.advance(self._tally)
                if status == F.FRAGMENT:
                    self._fragment()
                    if int(state[F.ROW]) < ROWS:
                        continue
                rows = int(state[F.ROW])
                self.sources.add(self._src[:rows])
                self.destinations.add(self._dst[:rows])
                state[F.ROW] = 0
        finally:
            self.capture.close()

    def _tally(
        self, address: int, length: int, state: NDArray[np.int64], interfaces: NDArray[np.int64]
    ) -> int:
        capture = self.capture
        return int(
            tally(
                address,
                length,
                state,
                interfaces,
                self.totals,
                self._src,
                self._dst,
                self._out,
                capture.skipped,
                capture.unknown,
            )
        )

    def _fragment(self) -> None:
        """Finish a packet with a piece of an IPv6 datagram, and the datagram if the piece completes it."""
        out, state = self._out, self.capture.state
        frame = self.capture.source.address + int(state[F.FRAME])
        at, ip, end = int(out[S.FRAGMENT]), int(out[S.FRAGMENT_IP]), int(out[S.FRAGMENT_END])
        head = ctypes.string_at(frame + at, 8)
        key = ctypes.string_at(frame + ip + 8, 32) + head[4:8]
        word = int.from_bytes(head[2:4], "big")
        payload = int.from_bytes(ctypes.string_at(frame + ip + 4, 2), "big")
        if ip + 40 + payload <= end:
            piece = ctypes.string_at(frame + at + 8, end - at - 8)
            whole = self._fragments.add(key, head[0], word & 0xFFF8, bool(word & 1), piece)
            if whole is not None:
                data = np.frombuffer(whole[1] or b"\0", dtype=np.uint8)
                S.follow(int(data.ctypes.data), 0, len(whole[1]), TRANSPORT, whole[0], out)
        state[F.ROW] = settle(out, self.totals, self._src, self._dst, int(state[F.ROW]))

    def result(self) -> dict[str, Any]:
        """The counts as plain numbers, times as "seconds.nanoseconds"."""
        capture = self.capture
        answer: dict[str, Any] = {name: int(n) for name, n in zip(NAMES, self.totals, strict=True)}
        answer["unique_src_v4"] = self.sources.count
        answer["unique_dst_v4"] = self.destinations.count
        answer["first_ts"] = _seconds(capture.first_ts)
        answer["last_ts"] = _seconds(capture.last_ts)
        answer["skipped"] = capture.reasons()
        if not (self.sources.exact and self.destinations.exact):
            answer["unique_estimated"] = True
        answer["damage"] = [
            {"offset": d.offset, "what": d.what, "skipped_bytes": d.skipped} for d in capture.damage[:20]
        ]
        answer["damage_total"] = capture.damage_total
        answer["stopped"] = capture.stopped
        return answer


def _seconds(ns: int | None) -> str | None:
    if ns is None:
        return None
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    return f"{sign}{ns // 1_000_000_000}.{ns % 1_000_000_000:09d}"


def count(path_or_stream: str | os.PathLike[str] | BinaryIO) -> dict[str, Any]:
    """Count a capture (any that ``read`` takes): the numbers of ``tally.NAMES``, unique IPv4 sources and
    destinations (``unique_src_v4``, ``unique_dst_v4``), first and last time as "seconds.nanoseconds" or None.

    ``skipped`` says for how many packets no IP header was found, and why; ``damage`` and ``stopped`` how
    reading went. Unique counts are exact up to 16.7 million addresses; beyond, ``unique_estimated`` is there.

    Raises ``NotACapture`` when the bytes are no capture, ``OSError`` when the path cannot be read.
    """
    counter = Counter(Capture(open_source(path_or_stream)))
    counter.run()
    return counter.result()
