"""The tables the engine publishes: families, their sources, and how much of a day no fingerprint explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.judged import Day, Judged
from andon.detect.darknet.fingerprint.overlap import Tools
from andon.detect.darknet.fingerprint.sample import Sample
from andon.detect.darknet.fingerprint.senders import networks_24

_TIME = pa.timestamp("ns", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


FAMILIES = _schema(
    ("relation", pa.string()),
    ("kind", pa.string()),
    ("scope", pa.string()),
    ("layer", pa.string()),
    ("bits", pa.float64()),
    ("sources", pa.int64()),
    ("networks_24", pa.int64()),  # distinct /24 networks of the sources
    ("packets", pa.int64()),  # estimated from the samples of the sources
    ("chance_packets", pa.float64()),
    ("precision", pa.float64()),
    ("precision_low", pa.float64()),
    ("precision_high", pa.float64()),
    ("first", _TIME),  # in the sample
    ("last", _TIME),
    ("born", _TIME),  # start of the first span that showed it
    ("spans", pa.int64()),
    ("known_as", pa.string()),  # the tool of darknet.tools that names most of its sources, or ""
    ("spoofed", pa.bool_()),
)
SOURCES = _schema(
    ("src", pa.uint32()),
    ("relation", pa.string()),
    ("packets", pa.int64()),  # with the relation, estimated
    ("hits", pa.int64()),  # of the packets looked at
    ("looked_at", pa.int64()),
    ("key", pa.int64()),  # of a session; -1 for a global relation
)
COVERAGE = _schema(
    ("start", _TIME),
    ("end", _TIME),
    ("sources", pa.int64()),  # that sent SYN packets and were kept, without made-up ones
    ("packets", pa.int64()),  # SYN packets of these
    ("made_up_sources", pa.int64()),  # of floods with spoofed senders
    ("with_fingerprint_sources", pa.int64()),  # a family found here
    ("with_fingerprint_packets", pa.int64()),
    ("with_tool_only_sources", pa.int64()),  # named by darknet.tools, with no family found here
    ("with_tool_only_packets", pa.int64()),
    ("without_sources", pa.int64()),
    ("without_packets", pa.int64()),
    ("without_sources_share", pa.float64()),
    ("without_packets_share", pa.float64()),
    ("one_source_in", pa.int64()),  # 1: every source was kept
    ("packets_not_looked_at", pa.int64()),  # SYN packets of sources that were not kept
    ("packets_per_source", pa.int64()),  # at most so many of a source were in the sample
    ("left_out", pa.string()),  # what the search says it left out
)


@dataclass(frozen=True)
class Coverage:
    """Parts of the scanning sources and their SYN packets: with a family, with only a known tool, with neither."""

    sources: tuple[int, int, int]
    packets: tuple[int, int, int]
    made_up: int

    @property
    def without_sources(self) -> float:
        return self.sources[2] / max(1, sum(self.sources))

    @property
    def without_packets(self) -> float:
        return self.packets[2] / max(1, sum(self.packets))


def coverage_of(day: Day, judged: Sequence[Judged], tools: Tools) -> Coverage:
    """How much the families of a span explain; made-up senders of floods are no scanning sources."""
    packets, sample = day.packets, day.packets.sample
    marked = np.zeros(sample.rows, np.bool_)
    marked[day.ordered] = True
    scans = np.ones(len(sample.src), np.bool_)
    for j in judged:
        if j.kind != "stack-default":
            marked[j.measured.rows] = True
        if j.spoofed:
            scans[j.measured.family.sources] = False
    carried = np.bincount(packets.of_row[marked], minlength=len(sample.src))
    return coverage(sample, carried / np.maximum(1, packets.sizes), tools.packets_of(sample.src), scans)


def coverage(sample: Sample, explained: np.ndarray, of_tool: np.ndarray, scans: np.ndarray) -> Coverage:
    """``explained`` (float, 0 to 1): the share of each source's packets that carry a family; ``of_tool`` (int): packets
    of a known tool of each; ``scans`` (bool): whether a source is counted at all. A source with a family or a tool
    counts as explained, of its packets only that share."""
    by_tool = np.minimum(1.0, of_tool / np.maximum(1, sample.packets))
    with_family = (explained > 0) & scans
    only_tool = ~with_family & (by_tool > 0) & scans
    without = ~with_family & ~only_tool & scans
    share = np.where(with_family, np.maximum(explained, by_tool), by_tool)
    packets = np.rint(sample.packets * share).astype(np.int64)
    total = int(sample.packets[scans].sum())
    first, second = int(packets[with_family].sum()), int(packets[only_tool].sum())
    return Coverage(
        (int(with_family.sum()), int(only_tool.sum()), int(without.sum())),
        (first, second, total - first - second),
        int((~scans).sum()),
    )


def tables(day: Day, judged: Sequence[Judged], cover: Coverage) -> dict[str, pa.Table]:
    """All tables of a span."""
    sample = day.packets.sample
    most = int(day.packets.sizes.max(initial=0))
    unseen = day.syn - int(sample.packets.sum())
    return {
        "families": _families_table(day, judged),
        "sources": _sources_table(sample, judged),
        "coverage": coverage_table(cover, day.window, day.one_source_in, unseen, most, day.span_left_out),
    }


def _families_table(day: Day, judged: Sequence[Judged]) -> pa.Table:
    rows = []
    for j in judged:
        m = j.measured
        rows.append(
            (
                j.relation, j.kind, m.family.scope, m.family.layer, float(m.family.bits), j.sources,
                networks_24(day.packets.sample.src[m.family.sources]), m.total,
                m.chance(max(0, day.syn - m.total)), *m.precision(), m.first, m.last, j.known.born, j.known.spans,
                j.known_as, j.spoofed,
            )
        )  # fmt: skip
    arrays = [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(FAMILIES)]
    return pa.Table.from_arrays(arrays, schema=FAMILIES)


def _sources_table(sample: Sample, judged: Sequence[Judged]) -> pa.Table:
    listed = [j for j in judged if j.kind != "stack-default"]
    texts = pa.array([j.relation for j in listed], pa.string())
    number = np.repeat(np.arange(len(listed)), [j.sources for j in listed])
    parts: list[tuple[np.ndarray, ...]] = [
        (
            sample.src[j.measured.family.sources],
            j.measured.packets,
            j.measured.hits.astype(np.int64),
            j.measured.sampled.astype(np.int64),
            j.measured.keys.astype(np.int64)
            if len(j.measured.keys)
            else np.full(len(j.measured.hits), -1, np.int64),
        )
        for j in listed
    ]
    columns = [np.concatenate([part[n] for part in parts] or [np.empty(0, np.int64)]) for n in range(5)]
    arrays = [pa.array(columns[0], pa.uint32()), texts.take(pa.array(number, pa.int64()))]
    arrays += [pa.array(column, pa.int64()) for column in columns[1:]]
    return pa.Table.from_arrays(arrays, schema=SOURCES)


def coverage_table(
    cover: Coverage,
    window: tuple[int, int],
    one_source_in: int,
    not_looked_at: int,
    per_source: int,
    left_out: Sequence[str],
) -> pa.Table:
    """One row for the span."""
    values = (
        *window,
        sum(cover.sources),
        sum(cover.packets),
        cover.made_up,
        cover.sources[0],
        cover.packets[0],
        cover.sources[1],
        cover.packets[1],
        cover.sources[2],
        cover.packets[2],
        cover.without_sources,
        cover.without_packets,
        one_source_in,
        not_looked_at,
        per_source,
        "; ".join(left_out),
    )
    arrays = [pa.array([value], field.type) for value, field in zip(values, COVERAGE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=COVERAGE)
