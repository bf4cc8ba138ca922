"""The engine ``darknet.daedalus``: alerts to the owners of addresses that the darknet hears.

Suzuki, Inoue: "DAEDALUS: Practical alert system based on large-scale darknet monitoring for protecting live
networks"; Inoue et al., RAID 2009. Organisations register their live prefixes; nothing but a scan, an answer to a
forged packet or a mistake makes one of their addresses send to addresses that nobody uses. What we do differently: the
tool is named from the first packets; IPv6; forged sources are recognised, so that a flood does not become a flood of
alerts; times of the state machine are exact and the same in every replay.

Parts: ``members`` (whose address), ``kernel``, ``summary`` (what was heard), ``judge`` (scan or mistake), ``machine``,
``timing``, ``state`` (when to tell), ``naming`` (the tool), ``report``, ``advice`` (the words).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.daedalus import judge, state
from andon.detect.darknet.daedalus.machine import Heard, Machine, Rules
from andon.detect.darknet.daedalus.members import POSITIONS, Members, telescope_pieces
from andon.detect.darknet.daedalus.naming import FAMILIES, FAMILY_SOURCES, TOOLS, Families, Named, Relations
from andon.detect.darknet.daedalus.observation import (
    Observation,
    Rows,
    kept_packets,
    observations,
    rows_of,
)
from andon.detect.darknet.daedalus.report import VERSION, Reporter
from andon.detect.darknet.daedalus.state import (
    BINS,
    MANY,
    NEVER,
    ORGANISATION,
    SPOOFED,
    Remembered,
    name_hash,
)
from andon.detect.darknet.daedalus.summary import COLUMNS, LIMIT, Summary, rows_each
from andon.detect.darknet.daedalus.summary import Lookup as _Lookup
from andon.detect.darknet.daedalus.timing import HOUR
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.sketch.hashing import mix64_array

_CROWD = 32  # more new sources with one packet each in one span than this are only counted
_SETTINGS = ("weak_alerts", "alerts", "most_tracked")


class Daedalus:
    """See the module text.

    Settings ``darknet.daedalus.*``: ``weak_alerts`` (default 8), how many addresses of an organisation are told in an
    hour on one or two packets without a known tool; ``alerts`` (default 64), how many addresses are told in an hour at
    all: what is beyond is told as one alert of the organisation; ``most_tracked`` (default 16,384), alerts remembered
    at once, about a kilobyte each.

    Raises ValueError for prefixes, relations and settings that make no sense.
    """

    name: ClassVar[str] = "darknet.daedalus"
    version: ClassVar[int] = VERSION
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = COLUMNS
    window: ClassVar[Window] = Window(tile="2s", spans=("2s",), lateness="1s")
    needs: ClassVar[tuple[str, ...]] = (TOOLS, FAMILIES, FAMILY_SOURCES)
    uses: ClassVar[tuple[str, ...]] = (
        "telescope",
        "organisations",
        "relations",
        "hash_key",
        *(f"darknet.daedalus.{name}" for name in _SETTINGS),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({})
    limit: ClassVar[int] = LIMIT
    carries: ClassVar[type[State]] = Remembered

    def __init__(self, site: Site) -> None:
        self.members = Members(site.organisations)
        self._lookup = _Lookup(self.members, *telescope_pieces(site.telescope))
        self._salt = site.hash_key
        self._rows = rows_each(len(site.organisations))
        self.relations = Relations(site.relations)
        self.rules = Rules(*(self._setting(site, name) for name in _SETTINGS))
        self._hashes = [name_hash(organisation.name) for organisation in site.organisations]
        self._known = np.sort(np.array(self._hashes, np.uint64))
        self._families: tuple[pa.Table | None, Families] = (None, Families(None))

    def _setting(self, site: Site, name: str) -> int:
        value = int(site.setting(self.name, name, getattr(Rules(), name)))
        if not 0 <= value <= 1 << 20 or (name != "weak_alerts" and value == 0):
            raise ValueError(f"{self.name}.{name} is {value}; it is a number above 0, at most 1,048,576")
        return value

    def empty(self) -> Summary:
        return Summary(self._rows, self._salt)

    def summarise(self, batch: pa.RecordBatch, into: Summary) -> Summary:
        if batch.num_rows and self.members.organisations:
            into.add(batch, self._lookup)
        return into

    def merge(self, a: Summary, b: Summary) -> Summary:
        a.merge(b)
        return a

    def migrate(self, carry: Remembered) -> Remembered:
        """A carry of another configuration: only what is not registered any more is dropped."""
        return carry.fitted(self._known, self.relations.hashes)

    def conclude(
        self, summary: Summary, carry: Remembered | None, ctx: Context[Remembered]
    ) -> Outcome[Remembered]:
        before = Remembered(self.relations.hashes) if carry is None else carry
        if not np.array_equal(before.relations, self.relations.hashes) or not np.all(
            np.isin(before.organisations["organisation"], self._known)
        ):
            before = self.migrate(before)
        if not summary.heard and before.next_due >= ctx.end:
            return Outcome(carry=before, wake_at=_wake(before))
        families = self._families_of(ctx.tables.get(FAMILIES))
        named = Named(ctx.tables)
        bits = {number: family.bits for number, family in families.by_number.items()}
        machine = Machine(before, self.relations, named, bits, self.rules)
        records = self._records(before.organisations, summary, ctx.start // HOUR)
        shed_before = records[["evicted_now", "left_out_now"]].copy()
        machine.until(ctx.start)
        for owner in sorted(summary.heard):
            record = records[np.searchsorted(records["organisation"], self._hashes[owner])]
            self._hear(machine, owner, record, rows_of(summary.heard[owner]), families)
        machine.until(ctx.end)
        after = machine.remembered(records)
        reporter = Reporter(
            self.members.organisations, self._hashes, self.relations, families, named, (ctx.start, ctx.end)
        )
        return Outcome(
            findings=(
                *(reporter.finding(told) for told in machine.told),
                *reporter.shed(records, shed_before, ctx.start // HOUR * HOUR),
            ),
            carry=after,
            wake_at=_wake(after),
        )

    def _families_of(self, table: pa.Table | None) -> Families:
        # Compiling relations costs milliseconds and the table changes once a day.
        if table is not self._families[0]:
            self._families = (table, Families(table))
        return self._families[1]

    def _records(self, before: np.ndarray, summary: Summary, hour: int) -> np.ndarray:
        """A copy of the organisations' records with one for each that is heard, brought to this hour."""
        new = np.setdiff1d(
            np.array([self._hashes[owner] for owner in summary.heard], np.uint64), before["organisation"]
        )
        fresh = np.zeros(len(new), ORGANISATION)
        fresh["organisation"], fresh["hour"] = new, hour
        records = np.concatenate([before, fresh])
        records = records[np.argsort(records["organisation"])]
        passed = records["hour"] != hour
        following = records["hour"] == hour - 1
        for name in ("weak", "weak_packets"):
            records[name][passed, 1] = np.where(following, records[name][:, 0], 0)[passed]
            records[name][passed, 0] = 0
        for name in ("told", "held_back", "bins", "evicted_now", "left_out_now"):
            records[name][passed] = 0
        records["hour"] = hour
        return records

    def _hear(self, machine: Machine, owner: int, record: np.void, rows: Rows, families: Families) -> None:
        heard = Heard(owner, record, self.members.sizes(owner))
        mine = machine.table["organisation"] == record["organisation"]
        heard.pending = int(np.count_nonzero(machine.table["state"][mine] == state.PENDING))
        kept = kept_packets(rows)
        hits, family = self.relations.tried(kept), families.tried(kept)
        idents = self._idents(record["organisation"], rows.columns["hi"], rows.columns["lo"])
        fresh = ~machine.known(idents)
        marked = np.zeros(len(rows), np.bool_)
        marked[kept.row[hits.any(axis=1) | (family != 0)]] = True
        weak = fresh & ~marked
        heard.fresh_weak = int(np.count_nonzero(weak)) * rows.scale
        crowd = weak & (rows.columns["packets"].sum(axis=1) == 1)
        whole = int(self._idents(record["organisation"], np.zeros(1, np.uint64), np.zeros(1, np.uint64))[0])
        spoofed = machine.open_of(whole, SPOOFED)
        first = int(rows.columns["first"].min())
        heard.forged = spoofed is not None and first - int(spoofed["last"]) < HOUR
        if np.count_nonzero(crowd) > _CROWD:
            self._count(heard, rows, crowd)
        else:
            crowd[:] = False
        seen = observations(rows, np.flatnonzero(~crowd), kept, hits, family)
        for ident, group in _by_source(seen, idents[~crowd]):
            machine.hear(heard, ident, group)
        record["left_out"] += rows.left_out
        record["left_out_now"] += rows.left_out
        record["weak"][0] += heard.weak
        record["weak_packets"][0] += heard.weak_packets
        for hi, lo in heard.addresses:
            record["bins"][self.members.position(owner, hi << 64 | lo) * BINS // POSITIONS] += 1
        if not heard.held:
            return
        record["held_back"] += heard.held
        if judge.uniform(record["bins"]) or heard.forged:
            machine.of_organisation(heard, whole, SPOOFED, heard.held, heard.held_packets)
        else:
            machine.of_organisation(heard, whole, MANY, heard.held, heard.held_packets)

    def _count(self, heard: Heard, rows: Rows, crowd: np.ndarray) -> None:
        """Sources that come in such numbers are an organisation's matter: they are counted, none is remembered."""
        c = rows.columns
        number = int(np.count_nonzero(crowd)) * rows.scale
        heard.weak += number
        heard.weak_packets += number
        heard.held += number
        heard.held_packets += number
        heard.first, heard.last = int(c["first"][crowd].min()), int(c["last"][crowd].max())
        heard.addresses += list(zip(c["hi"][crowd].tolist(), c["lo"][crowd].tolist(), strict=True))

    def _idents(self, organisation: np.uint64, hi: np.ndarray, lo: np.ndarray) -> np.ndarray:
        salt = np.uint64(self._salt)
        of_address = mix64_array(mix64_array(lo, salt) ^ hi, salt)
        idents: np.ndarray = mix64_array(of_address ^ np.uint64(organisation), salt)
        return idents


def _by_source(seen: list[Observation], idents: np.ndarray) -> list[tuple[int, list[Observation]]]:
    """Observations by source, in the order of their first packet."""
    groups: dict[int, list[Observation]] = {}
    for ident, one in zip(idents.tolist(), seen, strict=True):
        groups.setdefault(ident, []).append(one)
    return list(groups.items())


def _wake(carry: Remembered) -> int | None:
    due = carry.next_due
    return None if due == NEVER else due
