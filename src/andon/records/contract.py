"""The one contract between an engine and whatever runs it.

Summaries merge in any order; conclusions are drawn in time order. The same engine therefore gives the same
answer on one file, on many files in any order, and on shards spread over threads. ``docs/architecture.md``
tells which parts of the design's contract are here already and which come with their first user.

An engine is any object with these attributes and methods; nothing has to be inherited. The contract test
(``andon.run.contract``) holds an engine, ours or a third party's, to what is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa

from andon.records.finding import Finding
from andon.records.model import Model

SECOND = 1_000_000_000
_UNITS = {"s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}


def duration_ns(text: str) -> int:
    """Nanoseconds of ``"30s"``, ``"10min"``, ``"1h"`` or ``"1d"``.

    >>> duration_ns("10min") // SECOND
    600
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    if not number.isdigit() or unit not in _UNITS or int(number) == 0:
        raise ValueError(f"{text!r} is not a duration: write a whole number and one of s, min, h, d")
    return int(number) * _UNITS[unit]


@dataclass(frozen=True)
class Window:
    """How an engine cuts time. ``tile`` is the piece a summary is made for; each span is a whole number of
    tiles, aligned to UTC; a span's summary is the merge of its tiles' summaries. ``lateness``: live, a tile stays
    open until the newest timestamp is so much past its end (files are given more, see ``run.feed``)."""

    tile: str = "1d"
    spans: tuple[str, ...] = ("1d",)
    lateness: str = "5s"

    def __post_init__(self) -> None:
        duration_ns(self.lateness)
        for span in self.spans:
            if duration_ns(span) % duration_ns(self.tile):
                raise ValueError(f"span {span} is not a whole number of tiles of {self.tile}")


class State(Protocol):
    """What is kept between calls: a summary or a carry. Bytes hold version, shape and checksum, and are
    equal for equal content however it came about."""

    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...


class Nothing:
    """The carry of an engine that remembers nothing between spans."""

    def to_bytes(self) -> bytes:
        return b""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if data:
            raise ValueError("this engine keeps no carry, but bytes were given")
        return cls()


class Locator(Protocol):
    """Country and AS of addresses, from a table the user gave."""

    def locate(self, addresses: np.ndarray) -> tuple[list[str], list[str]]:
        """(country codes, ``"AS64500 Name"`` texts) of IPv4 addresses given as uint32; "" where unknown."""


@dataclass(frozen=True)
class Organisation:
    """A registered owner of live addresses. ``prefixes``: CIDR, IPv4 and IPv6; ``sinks``: names of the outputs
    that its alerts go to (``[[sink]]`` of the configuration)."""

    name: str
    prefixes: tuple[str, ...]
    sinks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """What the operator told us. Engines read it when they are made; they do no I/O of their own."""

    telescope: tuple[str, ...] = ()  # prefixes in CIDR; empty: inferred from the traffic
    lists: Mapping[str, pa.Table] = field(default_factory=lambda: MappingProxyType({}))
    # name -> (cidr, organisation): acknowledged scanners and the like
    rdns: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))  # uint32 address -> name
    locator: Locator | None = None
    assets: pa.Table | None = None  # records.asset.ASSET: which system has which address, and when
    reputation: pa.Table | None = None  # records.reputation.REPUTATION: black and white lists
    vulnerabilities: pa.Table | None = None  # records.vulnerability.VULNERABILITY: CVEs that matter here
    models: Mapping[str, Model] = field(default_factory=lambda: MappingProxyType({}))  # by Model.kind
    inside: tuple[
        str, ...
    ] = ()  # the organisation's own prefixes, CIDR; empty: private and link-local addresses
    organisations: tuple[Organisation, ...] = ()
    relations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # name -> relation that one packet can show (tcp.seq == ip.dst): tools of the catalogue
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    # "ENGINE.NAME" -> value, for example "darknet.tools.false_alarms"
    hash_key: int = 0x9E3779B97F4A7C15  # keys the hashes of bounded tables; same key, same sample

    def setting(self, engine: str, name: str, default: Any) -> Any:
        """Value of ``[engine.ENGINE] NAME``, or the default, whose type it has to have. Raises ValueError."""
        value = self.settings.get(f"{engine}.{name}", default)
        if isinstance(default, int | float) and not isinstance(value, int | float):
            raise ValueError(f"setting {engine}.{name} is a number, not {value!r}")
        return value

    def count(self, engine: str, name: str, default: int, most: int) -> int:
        """``setting`` as a whole number from 1 to ``most``. Raises ValueError."""
        value = self.setting(engine, name, default)
        if not 1 <= value <= most:  # before it is cut to a whole number: infinity and NaN have none
            raise ValueError(f"{engine}.{name} is {value}; it is between 1 and {most:,}")
        return int(value)

    def number(
        self, engine: str, name: str, default: float, most: float, least: float | None = None
    ) -> float:
        """``setting`` above 0 (or from ``least`` on, if it is given) and at most ``most``. Raises ValueError."""
        value = float(self.setting(engine, name, default))
        if least is None and not 0 < value <= most:
            raise ValueError(f"{engine}.{name} is {value:g}; it is above 0 and at most {most:g}")
        if least is not None and not least <= value <= most:
            raise ValueError(f"{engine}.{name} is {value:g}; it is between {least:g} and {most:g}")
        return value


class OnTables:
    """The part of the contract that an engine without records needs not write: it lives on the tables it ``needs``, its
    summary is ``Nothing``, and all it does is ``conclude``."""

    reads: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[str, ...]] = ()
    limit: ClassVar[int] = 1

    def empty(self) -> Nothing:
        return Nothing()

    def summarise(self, batch: pa.RecordBatch, into: Nothing) -> Nothing:
        return into

    def merge(self, a: Nothing, b: Nothing) -> Nothing:
        return a


C = TypeVar("C", bound=State)
S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Context(Generic[C]):
    """Where a conclusion stands in time, and what other engines said of the same span.

    ``tables`` is keyed ``"ENGINE:TABLE"``, e.g. ``"darknet.census:telescope"``; times are ns since 1970 UTC,
    ``end`` exclusive. ``partial`` says the input ended inside the span. ``gap`` is the number of empty spans
    just before this one. A need written ``"ENGINE:TABLE@last"`` is under that name the table of the newest span of
    that engine that ended by this one's start."""

    span: str
    start: int
    end: int
    partial: bool = False
    gap: int = 0
    tables: Mapping[str, pa.Table] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Outcome(Generic[C]):
    """What a conclusion gives. A finding's checks name a ``relation``; the runner counts it exactly in a
    second read of the span and fills in what the check should give, so an engine never states a count that
    was not counted. ``wake_at`` (ns): the engine wants to conclude again when that time has passed, even if no
    packet comes: the first span that ends after it is then concluded empty."""

    findings: tuple[Finding, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=lambda: MappingProxyType({}))
    carry: C | None = None
    wake_at: int | None = None


class Engine(Protocol[S, C]):
    """See the module text. ``summarise`` may change and return ``into``; ``merge`` may change and return
    ``a``, and must leave ``b`` alone. ``conclude`` must not change the summary."""

    name: ClassVar[str]  # "darknet.census"
    version: ClassVar[int]  # raised when the same input may give another answer
    reads: ClassVar[tuple[str, ...]]  # kinds of record (records.kinds); () = nothing is read, only `needs`
    columns: ClassVar[tuple[str, ...]]  # columns of packets; records of other kinds come whole
    window: ClassVar[Window]
    needs: ClassVar[tuple[str, ...]]  # "ENGINE:TABLE" of the same span, "ENGINE:TABLE@last" of one before
    uses: ClassVar[tuple[str, ...]]  # names of the Site fields and settings that matter
    publishes: ClassVar[Mapping[str, pa.Schema]]
    limit: ClassVar[int]  # largest summary, in bytes
    carries: ClassVar[type[State]]  # class of the carry; Nothing if it remembers nothing
    # An engine may have `on_request: ClassVar[bool] = True`: it then runs only where it is asked for.

    def empty(self) -> S: ...
    def summarise(self, batch: pa.RecordBatch, into: S) -> S: ...
    def merge(self, a: S, b: S) -> S: ...
    def conclude(self, summary: S, carry: C | None, ctx: Context[C]) -> Outcome[C]: ...
