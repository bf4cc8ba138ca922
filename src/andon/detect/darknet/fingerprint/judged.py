"""A family with all that is said of it, and the span that is reported on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.carry import Known
from andon.detect.darknet.fingerprint.measure import Measured, Packets
from andon.detect.darknet.fingerprint.overlap import SAME, Shared
from andon.detect.darknet.fingerprint.proof import GLOBAL_BITS, SESSION_BITS
from andon.detect.darknet.fingerprint.sample import Family
from andon.records.expression import ExpressionError, chance_rate, parse

GUARD = "tcp.flags & 0x3f == 2"
LEAST_BITS = 6.0


@dataclass(frozen=True)
class Day:
    """The span that is reported on. ``syn``: all its SYN packets; ``chance_families``: how many families chance would
    give, where the search estimates it; ``left_out`` by the search, ``untold`` by the report; ``ordered``: indices of
    the packets that scans in a known order explain. ``again``: a short span, of which only what is new is told.
    ``relations``: marks of known tools by the tool's name, for spans without the table of tools."""

    engine: tuple[str, int]
    window: tuple[int, int]
    packets: Packets
    syn: int
    one_source_in: int
    tools: pa.Table | None
    left_out: Sequence[str]
    chance_families: float | None = None
    untold: Sequence[str] = ()
    ordered: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    again: bool = False
    relations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def span_left_out(self) -> list[str]:
        """All that was left out, in words."""
        return [*self.left_out, *self.untold]


@dataclass(frozen=True)
class Judged:
    """A family, its kind of finding, what is known of it and whether it is news, whose else its sources are, and
    whether its senders are made up; ``targets``: addresses (uint32) that made-up senders flood, most packets first,
    with their packets."""

    measured: Measured
    kind: str
    known: Known
    news: bool
    tools: list[Shared]
    families: list[Shared]
    spoofed: bool
    targets: list[tuple[int, int]]
    constants: list[tuple[str, int, float]]

    @property
    def known_as(self) -> str:
        return self.tools[0].name if self.tools and self.tools[0].share >= SAME else ""

    @property
    def relation(self) -> str:
        return self.measured.family.relation

    @property
    def sources(self) -> int:
        return len(self.measured.family.sources)


def kind_of(family: Family) -> str:
    """The kind of finding that a family is."""
    if not expressible(family.relation):
        return "scan-order"
    rate = chance_rate(parse(family.relation))
    return "stack-default" if rate > 2.0**-LEAST_BITS else "scanner-fingerprint"


def expressible(relation: str) -> bool:
    """Whether the text is of the expression language (an order of addresses or times is not)."""
    try:
        parse(relation)
    except ExpressionError:
        return False
    return True


def needed_bits(family: Family) -> float:
    """Evidence that a source must show by itself."""
    return SESSION_BITS if family.scope == "session" else GLOBAL_BITS


def chance_sources(day: Day, m: Measured) -> float:
    """How many of the family's sources chance would give."""
    every = len(day.packets.sample.src) * day.one_source_in
    return float(every * 2.0 ** -needed_bits(m.family)) + m.slow_by_chance


def number(count: int, noun: str, plural: str = "") -> str:
    """
    >>> number(1, "source"), number(2000, "source"), number(3, "family", "families")
    ('1 source', '2,000 sources', '3 families')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
