"""A network interface: a mirror port, or the address space that is routed to this machine and used by nobody."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from typing import Any

from andon.observe.live.ring import Ring
from andon.observe.live.source import Piece, SourceError
from andon.observe.live.stream import StreamSource

_HANDED_OVER = (
    200_000_000  # ns: the kernel gives a block away sooner than that, however few packets are in it
)
_SECOND = 1_000_000_000


class InterfaceSource:
    """Reads an interface through a ring of ``ring_bytes``. Needs CAP_NET_RAW; sends nothing.

    What the kernel had to drop because the ring was full is told in ``events``. An interface that goes down or away is
    waited for, and the time without it is a gap."""

    replayable = False
    can_wait = False
    finished = False

    def __init__(
        self,
        name: str,
        interface: str,
        ring_bytes: int = 64 << 20,
        promiscuous: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = name
        self.interface = interface
        self.trouble = ""
        self._ring_bytes, self._promiscuous, self._clock = ring_bytes, promiscuous, clock
        self._ring: Ring | None = None
        self._stream: StreamSource | None = None
        self._events: list[dict[str, Any]] = []
        self._since = self._asked = 0
        self._rows = 0
        self._down: int | None = None  # since when, ns
        self._quiet = 0

    def open(self, position: Mapping[str, Any] | None) -> None:
        self._rows = int(position.get("rows", 0)) if position else 0
        try:
            self._start()
        except SourceError as error:
            if not error.passing:
                raise

    def _start(self) -> None:
        try:
            self._ring = Ring(self.interface, self._ring_bytes, self._promiscuous, self._clock)
        except OSError as error:
            if error.errno == errno.ENETDOWN:
                self._is_down()
            self.trouble = f"source {self.name}: {_why(self.interface, error)}"
            self._quiet = self._clock()
            raise SourceError(self.trouble, passing=self._down is not None) from error
        self._since = self._asked = self._clock()
        self._stream = StreamSource(self.name, self._ring, self._clock)  # type: ignore[arg-type]
        self._stream.open({"rows": self._rows})

    def poll(self, timeout: float) -> list[Piece]:
        if self._stream is None:
            self._start()  # it was down
        if self._ring is None or self._stream is None:
            return []
        quiet = self._ring.quiet
        try:
            pieces = self._stream.poll(timeout)
        except SourceError:  # the ring ended before its first packet
            pieces = []
        self._rows = self._stream.rows
        self._quiet = 0 if pieces else quiet
        if self._stream.finished:
            self._went_down()
        elif self._down is not None and (pieces or self._ring.quiet):
            self._gap({"from": self._down, "to": self._since})
            self._down, self.trouble = None, ""
        return pieces

    def _went_down(self) -> None:
        self._count_drops()
        self._release()
        self._is_down()
        self.trouble = f"source {self.name}: interface {self.interface} went down"
        raise SourceError(self.trouble, passing=True)

    def _is_down(self) -> None:
        """The gap is told at once, and again with its end, so that it is known even if nobody lives to see that."""
        if self._down is None:
            self._down = self._clock()
            self._gap({"from": self._down})

    def _gap(self, times: dict[str, int]) -> None:
        why = f"interface {self.interface} was down"
        self._events.append({"type": "gap", "source": self.name, **times, "why": why})

    def quiet(self) -> int | None:
        return self._quiet - _HANDED_OVER if self._quiet else None

    def events(self) -> list[dict[str, Any]]:
        now = self._clock()
        if self._ring is not None and (now - self._asked >= _SECOND or now < self._asked):
            self._count_drops()
        if self._stream is not None:
            self._events += self._stream.events()
        told, self._events = self._events, []
        return told

    def _count_drops(self) -> None:
        if self._ring is None:
            return
        now = self._clock()
        _, drops = self._ring.statistics()
        if drops:
            self._events.append(
                {
                    "type": "lost", "source": self.name, "rows": drops, "from": self._asked, "to": now,
                    "why": "the kernel's ring was full",
                }
            )  # fmt: skip
        self._asked = now

    def close(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._ring is not None and self._stream is not None:
            self._ring.close()
            self._stream.close()
            self._stream.join()
            self._ring.release()
        self._ring = self._stream = None


def _why(interface: str, error: OSError) -> str:
    if error.errno == errno.ENODEV:
        return f"there is no interface {interface}: see `ip link`"
    if error.errno == errno.ENETDOWN:
        return (
            f"interface {interface} is down: packets are missed until it is up (`ip link set {interface} up`)"
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"no right to capture on {interface}: it needs CAP_NET_RAW (see docs/live.md, systemd unit)"
    if error.errno == errno.ENOMEM:
        return f"no memory for the ring of {interface}: lower `ring`"
    return f"{interface}: {error.strerror or error}"
