"""The engine ``darknet.portsets`` (see the package text)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets import births as alarms
from andon.detect.darknet.portsets import tables
from andon.detect.darknet.portsets.analysis import Families, analyse
from andon.detect.darknet.portsets.carry import Family, Remembered, with_met, with_sources
from andon.detect.darknet.portsets.coverage import coverage
from andon.detect.darknet.portsets.lineage import SINGLE, story, trace, with_ports
from andon.detect.darknet.portsets.places import FINGERPRINTS, PURPOSE, TOOLS, Marks, newest
from andon.detect.darknet.portsets.report import Reporter
from andon.detect.darknet.portsets.scanners import Scanners, scanners
from andon.detect.darknet.portsets.shown import Shown, of_port, shown
from andon.detect.darknet.portsets.summary import READ, Scans, services
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.sketch.hashing import mix64_array
from andon.sketch.surveys import Listed, surveys

_HOUR, _DAY = 3_600_000_000_000, 86_400_000_000_000
_LEAST_NETWORKS = 20  # of a family of a day
_MOST_BIRTHS = 20
_LABEL_SALT = 0x6C6162656C


class PortSets:
    """Families of sources by their port sets, their lineage, and the birth alarm.

    Settings ``darknet.portsets.*``: ``sources`` (default 320,000), rows of a summary, beyond which a sample of one
    source in 2^level is kept; ``false_births`` (0.1), expected false births a day among the hours, and as many among
    the days; ``warm_up`` (48), hours at the start of a record in which births are learnt and not told; ``told`` (50),
    families with a finding of their own a day.

    Raises ValueError for settings out of range.
    """

    name: ClassVar[str] = "darknet.portsets"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="1h", spans=("1h", "1d"))
    needs: ClassVar[tuple[str, ...]] = tuple(
        name for table in (PURPOSE, TOOLS, FINGERPRINTS) for name in (table, f"{table}@last")
    )
    uses: ClassVar[tuple[str, ...]] = (
        "lists",
        "locator",
        "hash_key",
        "darknet.portsets.sources",
        "darknet.portsets.false_births",
        "darknet.portsets.warm_up",
        "darknet.portsets.told",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {
            "families": tables.FAMILIES,
            "sources": tables.SOURCES,
            "coverage": tables.COVERAGE,
            "births": tables.BIRTHS,
        }
    )
    limit: ClassVar[int] = 64 << 20
    carries: ClassVar[type[State]] = Remembered

    def __init__(self, site: Site) -> None:
        self._sources = int(site.setting(self.name, "sources", 320_000))
        self._false = float(site.setting(self.name, "false_births", 0.1))
        self._warm_up = int(site.setting(self.name, "warm_up", 48))
        self._told = int(site.setting(self.name, "told", 50))
        if not 1 <= self._sources <= 360_000:
            raise ValueError(f"{self.name}.sources is {self._sources}; it is between 1 and 360,000")
        if not 0 < self._false <= 10:
            raise ValueError(f"{self.name}.false_births is {self._false}; it is a number above 0, at most 10")
        if self._warm_up < 0 or self._told < 0:
            raise ValueError(f"{self.name}: warm_up and told are not below 0")
        self._salt = site.hash_key
        self._services = services()
        self._listed = Listed(site.lists)
        self._locator = site.locator

    def empty(self) -> Scans:
        return Scans(self._sources, self._salt)

    def summarise(self, batch: pa.RecordBatch, into: Scans) -> Scans:
        if batch.num_rows:
            into.add(batch, self._services)
        return into

    def merge(self, a: Scans, b: Scans) -> Scans:
        a.merge(b)
        return a

    def conclude(
        self, summary: Scans, carry: Remembered | None, ctx: Context[Remembered]
    ) -> Outcome[Remembered]:
        before = carry or Remembered(began=ctx.start)
        all_scanners = scanners(summary)
        if not len(all_scanners):
            return Outcome(carry=before)
        address = all_scanners.address
        survey = np.isin(address, surveys(newest(ctx.tables, PURPOSE))) | self._listed.find(address)
        recent = before.recent
        looked_at, left_out = all_scanners, survey
        length = ctx.end - ctx.start
        if length < _DAY:
            looked_at = recent.before(all_scanners, ctx.start)
            left_out = np.isin(looked_at.address, all_scanners.address[survey])
            recent = recent.with_hour(all_scanners, survey, ctx.start)
        found = analyse(looked_at, left_out, self._salt)
        marks = Marks(newest(ctx.tables, FINGERPRINTS), newest(ctx.tables, TOOLS))
        every = [shown(found, k, marks) for k in range(len(found.sets))]
        level = min(0.5, self._false * length / _DAY)
        warm = before.spans * length >= self._warm_up * _HOUR
        born, tests = alarms.births(found.found, found.sets, before, ctx.start, level)
        days = (ctx.start - before.began) / _DAY
        looked = f"Looked at: the last {max(1, recent.hours())} hours together. " if length < _DAY else ""
        reporter = Reporter(
            (self.name, self.version),
            (ctx.start, ctx.end),
            looked_at,
            all_scanners,
            1 << summary.rows.level,
            _left_out(summary, all_scanners),
            f"{looked}The record is {days:.1f} days long.",
            self._locator,
        )
        of_births = [
            shown(found, b.family, marks, b.evidence) if b.family >= 0 else of_port(found, b.codes[0], marks)
            for b in born
        ]
        told = min(len(born), _MOST_BIRTHS) if warm else 0
        findings = [
            reporter.birth(b, s, tests, level, length > _HOUR, len(born) - told)
            for b, s in zip(born[:told], of_births, strict=False)
        ]
        made = {
            "births": tables.births_table(
                [(b, len(s.rows), i < told) for i, (b, s) in enumerate(zip(born, of_births, strict=True))],
                (ctx.start, ctx.end),
            )
        }
        real = np.array([s.networks >= (_LEAST_NETWORKS if length >= _DAY else 5) for s in every], np.bool_)
        alarmed = {b.family for b in born[:_MOST_BIRTHS]}
        kept = [s for k, s in enumerate(every) if real[k] or (k in alarmed and len(s.rows))]
        families, after = trace(before, [s.seen() for s in kept], ctx.start)
        ports = [(b.codes[0], len(s.rows)) for b, s in zip(born, of_births, strict=True) if b.family < 0]
        after = with_ports(after, ports, ctx.start)
        after = replace(self._remember(after, found, families, kept, ctx.start), recent=recent)
        if length >= _DAY:
            order = sorted(range(len(kept)), key=lambda i: (-len(kept[i].rows), kept[i].codes))
            known = {one.number: one for one in after.families}
            rows = [(families[i], kept[i], story(known, families[i].number) or [families[i]]) for i in order]
            made["families"] = tables.families_table(rows, (ctx.start, ctx.end))
            made["sources"] = tables.sources_table([row[:2] for row in rows], found)
            new_ports = np.array([b.codes[0] for b in born if b.family < 0 and warm], np.int64)
            cover = coverage(found, real, marks.of(all_scanners.address) >= 0, survey, new_ports)
            unseen = summary.packets - int(all_scanners.packets.sum())
            made["coverage"] = tables.coverage_table(
                cover, (ctx.start, ctx.end), 1 << summary.rows.level, unseen, summary.answers
            )
            findings += [
                reporter.family(f, s, line, _has_older(known, f)) for f, s, line in rows[: self._told]
            ]
            findings.append(
                reporter.coverage(
                    cover,
                    min(len(rows), self._told),
                    max(0, len(rows) - self._told),
                    len(every) - len(kept),
                    "" if warm else _learning(before, length, self._warm_up, len(born)),
                    _missing(ctx),
                )
            )
        return Outcome(findings=tuple(findings), tables=made, carry=after)

    def _remember(
        self, after: Remembered, found: Families, families: list[Family], kept: list[Shown], start: int
    ) -> Remembered:
        """The memory with this span's sets and sources in it."""
        keys, first = np.unique(found.found.keys, return_index=True)
        met = with_met(after, keys, found.found.networks[first], start)
        s = found.scanners
        label = np.zeros(len(s), np.int64)
        alone = (s.sizes == 1) & ~s.sweeps
        if len(s):
            label[alone] = SINGLE + s.codes[s.begin[:-1]][alone]
        for family, one in zip(families, kept, strict=True):
            label[one.rows] = family.number
        salt = np.uint64(self._salt ^ _LABEL_SALT)
        sources = with_sources(
            after,
            s.address,
            label,
            mix64_array(s.address.astype(np.uint64), salt),
            start,
            mix64_array(after.address.astype(np.uint64), salt),
        )
        return replace(
            after, address=sources[0], label=sources[1], since=sources[2], seen=sources[3],
            met=met[0], met_last=met[1], met_most=met[2], spans=after.spans + 1,
        )  # fmt: skip


def _has_older(known: dict[int, Family], one: Family) -> bool:
    return any(other.codes == one.codes and other.number < one.number for other in known.values())


def _left_out(summary: Scans, kept: Scanners) -> str:
    if not summary.rows.level:
        return ""
    return (
        f"Only one source in {1 << summary.rows.level} was looked at: there were more than {summary.rows.limit:,} "
        f"(raise darknet.portsets.sources); {summary.packets - int(kept.packets.sum()):,} of {summary.packets:,} scan "
        "packets are from the others."
    )


def _learning(before: Remembered, length: int, warm_up: int, sets: int) -> str:
    need = -(-warm_up * _HOUR // length)
    return (
        f"Births are not told yet: the record is {before.spans + 1} of {need} spans of its warm-up old; {sets:,} sets "
        "or ports are new to it and were learnt."
    )


def _missing(ctx: Context[Remembered]) -> str:
    missing = [name.split(":")[0] for name in (FINGERPRINTS, TOOLS, PURPOSE) if name not in ctx.tables]
    return f"Not known of this span: {', '.join(missing)}." if missing else ""
