"""What is remembered of surges: of each port when they began, and when a finding last told of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from andon.sketch.state import pack, unpack
from andon.triage.vulnerability.ports import Port

_TRANSPORTS = ("tcp", "udp")


@dataclass
class Surges:
    """``held``: port -> [first, last begin, most sources, last told (-1: never)], ns."""

    held: dict[Port, list[int]] = field(default_factory=dict)

    def copy(self) -> Surges:
        return Surges({port: list(values) for port, values in self.held.items()})

    def add(self, port: Port, first: int, last: int, sources: int) -> None:
        known = self.held.setdefault(port, [first, last, 0, -1])
        known[0], known[1], known[2] = min(known[0], first), max(known[1], last), max(known[2], sources)

    def forget(self, before: int) -> None:
        """Leave out ports without a surge since."""
        self.held = {port: values for port, values in self.held.items() if values[1] >= before}

    def to_bytes(self) -> bytes:
        rows = sorted(self.held.items())
        table = [[port, _TRANSPORTS.index(transport), *values] for (port, transport), values in rows]
        return pack("scanned", 1, {"surges": np.array(table, "<i8").reshape(-1, 6)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("scanned", 1, data)
        return cls({(row[0], _TRANSPORTS[row[1]]): row[2:] for row in arrays["surges"].tolist()})
