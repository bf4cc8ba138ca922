"""The tables the engine publishes: families, their sources, and how much of a day no fingerprint explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.sample import Sample

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


def coverage(sample: Sample, explained: np.ndarray, tools: Mapping[int, int], scans: np.ndarray) -> Coverage:
    """``explained`` (float, 0 to 1): the share of each source's packets that carry a family; ``tools``: packets of
    a known tool, by address; ``scans`` (bool): whether a source is counted at all. A source with a family or a tool
    counts as explained, of its packets only that share."""
    of_tool = np.array([tools.get(int(address), 0) for address in sample.src], np.int64)
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
