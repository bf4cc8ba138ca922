"""Rows that were received before: from the history as far as it goes, then from the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.columns import column
from andon.records.finding import Evidence, Finding
from andon.run.feed import Telescope
from andon.run.recount import recount_rows
from andon.store.history import History
from andon.store.journal import Journal


@dataclass
class HeldRows:
    """The one input that live checks name."""

    path: str
    vlan_depth: int = 0


@dataclass
class Past:
    """``history`` is None where none is kept. ``still`` is held while rows are read, and by whoever drops segments
    from the journal: a row must not be looked for in a file that is gone."""

    journal: Journal
    history: History | None
    telescope: Telescope | None
    still: threading.RLock = field(default_factory=threading.RLock)

    def first_row(self) -> tuple[int, int | None]:
        """(number of the oldest row that is still held, its file's or segment's least time in ns)."""
        files = self.history.files() if self.history is not None else []
        if files:
            return files[0].row_min, files[0].ts_min * 1000
        segment = next(iter(self.journal.segments()), None)
        return (0, None) if segment is None else (segment.first_row, segment.ts_min)

    def rows(
        self, start: int, end: int, columns: tuple[str, ...], through: int
    ) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray]]:
        """(0, batch, times) of the telescope's packets with start <= ts < end, of segments up to ``through``."""
        columns = tuple(dict.fromkeys(("ts", "dst", "vlan_tags", *columns)))
        done = 0
        if self.history is not None:
            done, stored = self._stored(self.history, start, end, columns)
            for batch in stored:
                yield from self._kept(batch, start, end)
        for segment in self.journal.segments():
            if done < segment.number <= through and segment.rows and _meets(segment, start, end):
                for _, batch in segment.batches():
                    yield from self._kept(batch.select(list(columns)), start, end)

    def _stored(
        self, history: History, start: int, end: int, columns: tuple[str, ...]
    ) -> tuple[int, Iterator[pa.RecordBatch]]:
        """(last segment in the history, its rows), of one and the same version of it, whoever appends meanwhile."""
        while True:
            done = history.last_segment
            batches = history.read(start, end, columns)
            first = list(islice(batches, 1))  # now it has looked which files there are
            if history.last_segment == done:
                return done, chain(first, batches)

    def _kept(
        self, batch: pa.RecordBatch, start: int, end: int
    ) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray]]:
        if self.telescope is not None:
            batch = self.telescope.keep(batch)
        ts = column(batch, "ts")
        if len(ts) and (int(ts.min()) < start or int(ts.max()) >= end):
            inside = (ts >= start) & (ts < end)
            batch, ts = batch.filter(pa.array(inside)), ts[inside]
        if len(ts):
            yield 0, batch, ts

    def recount(self, findings: list[Finding], through: int) -> list[Finding]:
        """The findings, in their order, with their checks counted over what is held. Where the oldest packets of a
        finding's window are gone, no expected count is given, and the evidence says so."""
        wanting = [finding for finding in findings if _wants(finding)]
        if not wanting:
            return findings
        with self.still:
            counted = {
                id(before): after for before, after in zip(*self._recount(wanting, through), strict=True)
            }
        return [counted.get(id(finding), finding) for finding in findings]

    def _recount(self, findings: list[Finding], through: int) -> tuple[list[Finding], list[Finding]]:
        """(the findings by window, the same counted)."""
        ordered: list[Finding] = []
        counted: list[Finding] = []
        number, oldest = self.first_row()
        for window in dict.fromkeys(finding.window for finding in findings):
            mine = [finding for finding in findings if finding.window == window]
            ordered += mine
            if number and (oldest is None or oldest > window[0]):
                counted += [_uncounted(finding) for finding in mine]
                continue
            held = HeldRows("history/packets")

            def rows(
                columns: tuple[str, ...], window: tuple[int, int] = window, held: HeldRows = held
            ) -> Iterator[tuple[int, Any, np.ndarray]]:
                for item in self.rows(*window, columns, through):
                    held.vlan_depth = max(held.vlan_depth, int(column(item[1], "vlan_tags").max()))
                    yield item

            counted += recount_rows(mine, rows, [held], self.telescope)
        return ordered, counted


def _wants(finding: Finding) -> bool:
    """Is there anything to count in packets?"""
    return "exact" in finding.attributes or any(map(_counts_packets, finding.evidence))


def _counts_packets(item: Evidence) -> bool:
    return item.check is not None and bool(item.check.relation)


def _meets(segment: Any, start: int, end: int) -> bool:
    return segment.ts_min is not None and segment.ts_min < end and segment.ts_max >= start


def _uncounted(finding: Finding) -> Finding:
    def said(item: Evidence) -> Evidence:
        if not _counts_packets(item):
            return item
        return Evidence(
            f"{item.statement} (not counted: packets of this span are no longer held)", item.check
        )

    return finding.with_evidence(tuple(said(item) for item in finding.evidence))
