"""The tables the engine publishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets import names
from andon.detect.darknet.portsets.analysis import Families
from andon.detect.darknet.portsets.births import Birth
from andon.detect.darknet.portsets.carry import Family
from andon.detect.darknet.portsets.coverage import NAMES, Coverage
from andon.detect.darknet.portsets.shown import Shown

_TIME = pa.timestamp("ns", tz="UTC")
MOST_ROWS = 200_000


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


FAMILIES = _schema(
    ("start", _TIME),  # of the span
    ("end", _TIME),
    ("family", pa.int64()),  # number, the same from span to span
    ("ports", pa.string()),  # "23,2323,udp/53"
    ("weights", pa.list_(pa.float64())),  # in the order of the ports
    ("low", pa.list_(pa.float64())),  # 95 % intervals
    ("high", pa.list_(pa.float64())),
    ("sources", pa.int64()),
    ("sure_sources", pa.int64()),  # that can belong to no other family
    ("estimated_sources", pa.float64()),  # with those that cannot be told from others
    ("networks_24", pa.int64()),
    ("packets", pa.int64()),  # of the sources, to the ports
    ("born", _TIME),  # start of the first span that showed it
    ("since_start", pa.bool_()),  # that was the first span of the record
    ("last", _TIME),
    ("spans", pa.int64()),  # in how many it was
    ("parent", pa.int64()),  # 0: none known
    ("lineage", pa.int64()),  # the first family of the line
    ("line", pa.list_(pa.string())),  # sets from the first of the line to this one
    ("line_born", pa.list_(_TIME)),
    ("fingerprint", pa.string()),  # relation or tool that most of its sources have, or ""
    ("fingerprint_share", pa.float64()),
)
SOURCES = _schema(
    ("src", pa.uint32()),
    ("family", pa.int64()),
    ("ports", pa.string()),  # of the family
    ("posterior", pa.float64()),
    ("packets", pa.int64()),  # to ports of the family
    ("other_packets", pa.int64()),
)
COVERAGE = _schema(
    ("start", _TIME),
    ("end", _TIME),
    ("sources", pa.int64()),
    ("packets", pa.int64()),
    *((f"{name}_{what}", pa.int64()) for name in NAMES for what in ("sources", "packets")),
    ("unexplained_sources", pa.int64()),  # one_port and other
    ("unexplained_sources_share", pa.float64()),
    ("unexplained_packets_share", pa.float64()),
    ("unexplained_one_target", pa.int64()),  # of the unexplained sources: sent to one dark address only
    ("one_source_in", pa.int64()),  # 1: every source was kept
    ("packets_not_looked_at", pa.int64()),
    ("answers", pa.int64()),  # UDP answers, no scans
)
BIRTHS = _schema(
    ("start", _TIME),
    ("end", _TIME),
    ("ports", pa.string()),
    ("new_ports", pa.string()),
    ("evidence", pa.string()),  # the exact set, pair or port that passed the test
    ("networks_24", pa.int64()),  # with the evidence
    ("expected", pa.float64()),
    ("log_p", pa.float64()),
    ("sources", pa.int64()),  # of the family or port
    ("alarmed", pa.bool_()),  # False: during the warm-up, or one too many
)


def families_table(
    rows: Sequence[tuple[Family, Shown, Sequence[Family]]], window: tuple[int, int]
) -> pa.Table:
    """One row for each family told; the line of each is given, oldest first and itself last."""
    made = [
        (
            *window, f.number, names.text(f.codes), list(s.weights), list(s.low), list(s.high), len(s.rows), s.sure,
            s.estimated, s.networks, s.packets, f.born, f.since_start, f.last, f.spans, f.parent, line[0].number,
            [names.text(one.codes) for one in line], [one.born for one in line], s.mark, s.mark_share,
        )
        for f, s, line in rows
    ]  # fmt: skip
    return _table(FAMILIES, made)


def sources_table(rows: Sequence[tuple[Family, Shown]], found: Families) -> pa.Table:
    """Sources of the families told, at most 200,000, largest families first."""
    size = np.array([len(s.rows) for _, s in rows], np.int64)
    at = np.concatenate([s.rows for _, s in rows] or [np.zeros(0, np.int64)])
    number = np.repeat([f.number for f, _ in rows], size).astype(np.int64)
    text = np.repeat(np.arange(len(rows)), size)
    at, number, text = at[:MOST_ROWS], number[:MOST_ROWS], text[:MOST_ROWS]
    texts = pa.array([names.text(f.codes) for f, _ in rows], pa.string())
    s = found.scanners
    return pa.Table.from_arrays(
        [
            pa.array(s.address[at], pa.uint32()),
            pa.array(number, pa.int64()),
            texts.take(pa.array(text, pa.int64())),
            pa.array(np.round(found.posterior[at], 6), pa.float64()),
            pa.array(found.inside[at], pa.int64()),
            pa.array((s.packets - found.inside)[at], pa.int64()),
        ],
        schema=SOURCES,
    )


def coverage_table(
    cover: Coverage, window: tuple[int, int], one_in: int, not_looked_at: int, answers: int
) -> pa.Table:
    """One row for the span."""
    by_kind = [int(v) for pair in zip(cover.sources, cover.packets, strict=True) for v in pair]
    left = int(cover.packets[-2] + cover.packets[-1])
    values = (
        *window, cover.total, cover.all_packets, *by_kind, cover.neither, cover.neither / max(1, cover.total),
        left / max(1, cover.all_packets), cover.one_target, one_in, not_looked_at, answers,
    )  # fmt: skip
    return _table(COVERAGE, [values])


def births_table(rows: Sequence[tuple[Birth, int, bool]], window: tuple[int, int]) -> pa.Table:
    """(birth, sources, alarmed) of a span."""
    made = [
        (
            *window, names.text(b.codes), names.text(b.new), names.text(b.evidence), b.networks, b.expected, b.log_p,
            sources, alarmed,
        )
        for b, sources, alarmed in rows
    ]  # fmt: skip
    return _table(BIRTHS, made)


def _table(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    arrays = [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(schema)]
    return pa.Table.from_arrays(arrays, schema=schema)
