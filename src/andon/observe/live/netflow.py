"""Exports of flows as they come: a UDP socket for NetFlow 5, 9 and IPFIX (``observe.netflow``).

Nothing can be asked for again, so what the socket could not hold is counted: the kernel says with each datagram how
many it has dropped (SO_RXQ_OVFL), and exporters number what they send. Anyone can send datagrams with any address of an
exporter; ``exporters`` names the prefixes that are heeded, and what else comes is counted.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

import pyarrow as pa

from andon.observe.live import udp
from andon.observe.live.source import Piece, SourceError
from andon.observe.netflow.decoder import Decoder
from andon.records.kinds import FLOW, marked

_LIFETIME: Final = 86_400.0  # s for which a template holds that is not repeated
_LARGEST: Final = 65_535
_ONCE: Final = 4096  # datagrams of one poll
_FULL: Final = 2 << 20  # bytes of records of one poll
_TELL: Final = 5_000_000_000  # ns between two tellings of what was lost
_MOST_AHEAD: Final = 60_000_000_000
_NEVER: Final = -(1 << 63)


class NetFlowSource:
    """``address``, ``port``: where to listen (port 0: any); ``exporters``: prefixes that are heeded, empty for all;
    ``buffer``: bytes that the kernel may hold; ``slack``: seconds by which flows may begin before others that
    came earlier: not less than the active timeout of the exporters."""

    replayable = False
    can_wait = False
    finished = False
    kind = FLOW

    def __init__(
        self,
        name: str,
        address: str = "0.0.0.0",
        port: int = 2055,
        exporters: Sequence[str] = (),
        buffer: int = 16 << 20,
        slack: float = 300.0,
        idle: float = 3600.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name, self.address, self.port = name, address, port
        self.trouble = ""
        self._prefixes = tuple(ip_network(prefix) for prefix in exporters)
        self._heeded = lru_cache(maxsize=4096)(self._is_heeded)
        self._buffer, self._slack, self._idle, self._clock = buffer, int(slack * 1e9), idle, clock
        self._socket: socket.socket | None = None
        self._ready = select.poll()  # unlike select.select, takes descriptors of 1,024 and above
        self._decoder = Decoder(_LIFETIME)
        self._rows = 0
        self._newest = _NEVER
        self._asked = 0
        self._dropped = 0  # as the kernel counts since the socket was opened
        self._events: list[dict[str, Any]] = []
        self._since = clock()
        self._told: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()  # by why, not told yet

    def open(self, position: Mapping[str, Any] | None) -> None:
        self._rows = int(position.get("rows", 0)) if position else 0
        six = ip_address(self.address).version == 6
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.prepare(made, self._buffer)
            made.setblocking(False)
            made.bind((self.address, self.port))
        except OSError as error:
            made.close()
            raise SourceError(
                f"source {self.name}: cannot listen on {self.address} port {self.port} (UDP): {error.strerror}"
            ) from error
        self._socket, self.port = made, made.getsockname()[1]
        self._ready.register(made, select.POLLIN)
        self._since = self._clock()

    def events(self) -> list[dict[str, Any]]:
        now = self._clock()
        if now - self._since >= _TELL or now < self._since:
            self._tell(now)
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        """Where flows of just now come, none will come that began long before the socket was found empty."""
        if self._newest == _NEVER or self._clock() - self._newest > self._idle * 1e9 + self._slack:
            return None
        return self._asked - self._slack

    def close(self) -> None:
        if self._socket is not None:
            self._tell(self._clock())
            self._ready.unregister(self._socket)
            self._socket.close()
        self._socket = None

    def poll(self, timeout: float) -> list[Piece]:
        if self._socket is None:
            return []
        self._asked = self._clock()
        if not self._ready.poll(max(timeout, 0.0) * 1000):
            return []
        for _ in range(_ONCE):
            try:
                data, notes, _, sender = self._socket.recvmsg(_LARGEST, 64)
            except BlockingIOError:
                break
            except OSError as error:
                raise SourceError(f"source {self.name}: {error.strerror}", passing=True) from error
            self._count_drops(notes)
            if self._heeded(sender[0]):
                self._decoder.add(data, sender[0])
            else:
                self._lost["datagrams of others than the exporters"] += 1
            if self._decoder.size >= _FULL:
                break
        pieces = []
        for batch in self._decoder.take():
            self._rows += batch.num_rows
            self._newest = max(self._newest, self._latest(batch))
            promise = None if self._newest == _NEVER else self._newest - self._slack
            pieces.append(Piece(marked(batch, FLOW), {"rows": self._rows, "promise": promise}))
        return pieces

    def _is_heeded(self, sender: str) -> bool:
        address = ip_address(sender.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return not self._prefixes or any((mapped or address) in prefix for prefix in self._prefixes)

    def _latest(self, batch: pa.RecordBatch) -> int:
        from andon.observe.live.lines import latest_end

        return latest_end(batch, self._clock() + _MOST_AHEAD)

    def _count_drops(self, notes: Sequence[tuple[int, int, bytes]]) -> None:
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == udp.RXQ_OVFL and len(data) >= 4:
                (count,) = struct.unpack("I", data[:4])
                self._lost["the socket's buffer was full"] += (count - self._dropped) % (1 << 32)
                self._dropped = count

    def _tell(self, now: int) -> None:
        """What was lost or could not be read since the last time."""
        for why, count in self._lost.items():
            if not count:
                continue
            if why.startswith("the socket"):
                self._events.append(
                    {"type": "lost", "source": self.name, "rows": count, "noun": "export datagrams",
                     "from": self._since, "to": now, "why": why}
                )  # fmt: skip
            else:
                self._damage(why, count)
        self._lost.clear()
        missing = sum(self._decoder.lost.values())
        if missing > self._told["missing"]:
            worst, _ = self._decoder.lost.most_common(1)[0]
            self._events.append(
                {"type": "lost", "source": self.name, "rows": missing - self._told["missing"],
                 "noun": "flow records or export packets", "from": self._since, "to": now,
                 "why": "the numbers of exporters skip them", "exporter": worst}
            )  # fmt: skip
            self._told["missing"] = missing
        for reason, count in self._decoder.skipped.reasons.items():
            if count > self._told[reason]:
                self._damage(reason, count - self._told[reason])
                self._told[reason] = count
        self._since = now

    def _damage(self, what: str, count: int) -> None:
        self._events.append(
            {"type": "damage", "source": self.name, "file": what, "what": f"{count:,} times", "places": count}
        )
