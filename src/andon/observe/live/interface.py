"""A network interface: a mirror port, or the address space that is routed to this machine and used by nobody."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from typing import Any

from andon.observe.live.ring import Ring
from andon.observe.live.source import Piece, SourceError
from andon.observe.live.stream import StreamSource


class InterfaceSource:
    """Reads an interface through a ring of ``ring_bytes``. Needs CAP_NET_RAW; sends nothing.

    What the kernel had to drop because the ring was full is told in ``events``."""

    replayable = False
    can_wait = False
    live = True

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
        self._ring_bytes, self._promiscuous, self._clock = ring_bytes, promiscuous, clock
        self._ring: Ring | None = None
        self._stream: StreamSource | None = None
        self._asked = 0

    def open(self, position: Mapping[str, Any] | None) -> None:
        try:
            self._ring = Ring(self.interface, self._ring_bytes, self._promiscuous)
        except OSError as error:
            raise SourceError(f"source {self.name}: {_why(self.interface, error)}") from error
        self._asked = self._clock()
        self._stream = StreamSource(self.name, self._ring)  # type: ignore[arg-type]
        self._stream.open(position)

    def poll(self, timeout: float) -> list[Piece]:
        return [] if self._stream is None else self._stream.poll(timeout)

    def events(self) -> list[dict[str, Any]]:
        if self._ring is None or self._stream is None:
            return []
        told = self._stream.events()
        now = self._clock()
        if now - self._asked >= 1_000_000_000 or now < self._asked:
            _, drops = self._ring.statistics()
            if drops:
                told.append(
                    {
                        "type": "lost", "source": self.name, "rows": drops, "from": self._asked, "to": now,
                        "why": "the kernel's ring was full",
                    }
                )  # fmt: skip
            self._asked = now
        return told

    @property
    def finished(self) -> bool:
        return self._stream is not None and self._stream.finished

    def close(self) -> None:
        if self._ring is not None and self._stream is not None:
            self._ring.close()
            self._stream.close()
            self._stream.join()
            self._ring.release()
            self._ring = None


def _why(interface: str, error: OSError) -> str:
    if error.errno == errno.ENODEV:
        return f"there is no interface {interface}: see `ip link`"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"no right to capture on {interface}: it needs CAP_NET_RAW (see docs/live.md, systemd unit)"
    if error.errno == errno.ENOMEM:
        return f"no memory for the ring of {interface}: lower `ring`"
    return f"{interface}: {error.strerror or error}"
