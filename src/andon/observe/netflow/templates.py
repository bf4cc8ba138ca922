"""Templates: what an exporter says about the records it sends, kept for each exporter and observation domain.

Anyone can send export packets, so all that is kept is bounded: exporters (the one not heard of for longest goes),
templates of one, fields of a template. A template that is not sent again for ``lifetime`` seconds is forgotten, since
an exporter may have started anew with other meanings (RFC 7011, 8.4); in files they hold to the end (RFC 5655).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from andon.observe.netflow.elements import COLUMNS

VARIABLE: Final = 65_535  # length of a field that says its own
MOST_EXPORTERS: Final = 1024
MOST_TEMPLATES: Final = 1000  # of one observation domain
MOST_FIELDS: Final = 500
Field = tuple[int, int, int]  # enterprise (0: IANA), element, bytes


@dataclass(eq=False)
class Template:
    """``scope``: how many fields come first that say what an options record is about; 0 for flows. ``seen``: when it
    came last (s)."""

    fields: tuple[Field, ...]
    scope: int = 0
    options: bool = False
    seen: float = 0.0

    def __post_init__(self) -> None:
        self.lengths = np.array([size for _, _, size in self.fields], np.int64)
        self.columns = np.full(len(self.fields), -1, np.int64)
        taken: set[int] = set()
        for place, (enterprise, element, _) in enumerate(self.fields):
            column = COLUMNS.get((enterprise, element), -1)
            if column >= 0 and column not in taken and place >= self.scope:
                taken.add(column)
                self.columns[place] = column
        self.variable = bool((self.lengths == VARIABLE).any())
        self.least = int(np.where(self.lengths == VARIABLE, 1, self.lengths).sum())


@dataclass
class Domain:
    """What is known of one observation domain of one exporter. ``expected``: the next sequence number, None before the
    first; ``uptime``: ms, of its last packet; ``rates``: sampling, by selector (-1: all)."""

    templates: dict[int, Template] = field(default_factory=dict)
    rates: dict[int, int] = field(default_factory=dict)
    boot: int | None = None  # ms since 1970
    expected: int | None = None
    uptime: int = 0
    lost: int = 0
    # Data of templates that have not come yet: (id, header, bytes of the set).
    waiting: list[tuple[int, tuple[int, int], bytes]] = field(default_factory=list)
    waiting_bytes: int = 0

    @property
    def rate(self) -> int:
        """Sampling of records that name no selector: what was said of all, or of the only selector; 0 unknown."""
        if -1 in self.rates:
            return self.rates[-1]
        return next(iter(self.rates.values())) if len(self.rates) == 1 else 0


class Domains:
    """Domains by exporter, version and number; ``forget`` hears of one that had to go."""

    def __init__(self, forget: Callable[[Domain], None], most: int = MOST_EXPORTERS) -> None:
        self._held: OrderedDict[tuple[str, int, int], Domain] = OrderedDict()
        self._forget, self._most = forget, most

    def __len__(self) -> int:
        return len(self._held)

    def of(self, exporter: str, version: int, number: int) -> Domain:
        key = (exporter, version, number)
        domain = self._held.get(key)
        if domain is None:
            domain = self._held[key] = Domain()
            if len(self._held) > self._most:
                self._forget(self._held.popitem(last=False)[1])
        else:
            self._held.move_to_end(key)
        return domain

    def all(self) -> list[Domain]:
        return list(self._held.values())


def parse(body: bytes, version: int, options: bool) -> tuple[list[tuple[int, Template | None]], int]:
    """(templates of a set by id, None for one that is withdrawn; how many were not usable)."""
    found: list[tuple[int, Template | None]] = []
    at, bad = 0, 0
    while at + 4 <= len(body):
        number, count = struct.unpack_from(">HH", body, at)
        if number < 256 and not (version == 10 and count == 0 and number in (2, 3)):
            # What is left is padding, or nothing that can be told apart.
            return found, bad + (1 if body[at:].strip(b"\0") else 0)
        at += 4
        scope = 0
        if version == 10 and count == 0:
            found.append((number, None))
            continue
        if options:
            if at + 2 > len(body):
                return found, bad + 1
            (second,) = struct.unpack_from(">H", body, at)
            at += 2
            if version == 9:  # bytes of scopes, bytes of options
                scope, count = count // 4, count // 4 + second // 4
            else:
                scope = second
        fields: list[Field] = []
        for place in range(count):
            if at + 4 > len(body):
                return found, bad + 1
            element, size = struct.unpack_from(">HH", body, at)
            at += 4
            enterprise = 0
            if element & 0x8000 and version == 10:
                if at + 4 > len(body):
                    return found, bad + 1
                (enterprise,) = struct.unpack_from(">I", body, at)
                element, at = element & 0x7FFF, at + 4
            if version == 9 and options and place < scope:
                enterprise = -1  # scopes have numbers of their own
            fields.append((enterprise, element, size))
        template = Template(tuple(fields[:MOST_FIELDS]), scope, options)
        if count > MOST_FIELDS or not fields or template.least == 0 or scope > count:
            bad += 1
            continue
        found.append((number, template))
    return found, bad
