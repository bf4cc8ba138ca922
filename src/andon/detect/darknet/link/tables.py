"""The tables of a span: links, the matches behind them, clock offsets, loaders, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.link.day import SEPARATOR
from andon.detect.darknet.link.evidence import Judged, matches_of
from andon.detect.darknet.link.versions import Analysed
from andon.records.finding import series_of
from andon.records.joint import LINKS, MARK_FINGERPRINT, MARK_PORT_SET, MATCHES

NAME: Final = "darknet.link"
SUBJECT: Final = "malware-link"
_TIME = pa.timestamp("ns", tz="UTC")
_NANO = 1_000_000_000
MOST_MATCHES: Final = 200_000  # rows; links that would go beyond, the weakest ones, come without theirs


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


OFFSET: Final = _schema(
    ("sensor", pa.string()),  # "": all together
    ("offset_s", pa.int64()),  # how far its clock is ahead of the darknet's; 0 if none was found
    ("low_s", pa.int64()),  # middle half of the peak; two standard errors of a middle
    ("high_s", pa.int64()),
    ("sources", pa.int64()),  # in the peak, or short-lived ones
    ("expected", pa.float64()),  # of them by chance
    ("log10_p", pa.float64()),  # after correction for all places looked at
    ("compared", pa.int64()),  # sources that both have seen within a day
    ("applied", pa.bool_()),
    ("method", pa.string()),  # "peak" (to seconds), "middle" (to a fraction of an hour), ""
)
LOADERS: Final = _schema(
    ("session", pa.string()),  # of the loader
    ("address", pa.int64()),
    ("at", _TIME),
    ("bot_session", pa.string()),
    ("bot", pa.int64()),  # its address
    ("delay_s", pa.int64()),
    ("credential", pa.string()),  # that both used
    ("by_chance", pa.float64()),  # share of loaders that would find such a bot at another hour
)
COVERAGE: Final = _schema(("what", pa.string()), ("count", pa.int64()))


@dataclass(frozen=True)
class Link:
    """One row of LINKS in plain values; ``row`` is its place among the pairings; times in s."""

    row: int
    mark_kind: str
    mark: str
    kind: str
    value: str
    sources: int
    networks: int
    decoys: float
    by_class: tuple[float, ...]
    p: float
    fdr: float
    effect: float
    weight: float
    probability: float
    first: int
    last: int
    lag: int
    series: str
    src: np.ndarray  # addresses, ascending
    weak: int  # sources with both within seven days, where an address is kept for so long
    sessions: int
    ports: tuple[int, ...]  # of the honeypots


def subject(mark: str, kind: str, value: str) -> str:
    return f"{mark} ~ {kind}:{value}"


class Matches:
    """The matches behind the links, one for each (link, session)."""

    def __init__(self, made: Analysed, judged: Judged) -> None:
        pair, match = matches_of(made, made.target.pairings)
        keep = judged.linked[pair]
        pair, match = pair[keep], match[keep]
        found = made.target.marked
        order = np.lexsort((np.abs(found.lag[match]), found.session[match], pair))
        pair, match = pair[order], match[order]
        key = pair << 32 | found.session[match]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else key
        self.pair, match = pair[first], match[first]
        self.session = found.session[match]
        self.lag = found.lag[match]
        self.source = made.target.source[self.session]
        self.honeypot_at = made.at[self.session]
        dark, row = made.history.darknet, found.row[match]
        self.darknet_at = np.where(self.lag > 0, dark.last[row], dark.first[row]).astype(np.int64)
        self.number = made.session[self.session]


def links(made: Analysed, judged: Judged, matches: Matches) -> list[Link]:
    """All links, strongest first."""
    target, found = made.target.pairings, []
    port = made.history.sessions.port[matches.number]
    weak = _weak(made)
    begins = np.searchsorted(matches.pair, np.arange(len(target)))
    ends = np.searchsorted(matches.pair, np.arange(len(target)), "right")
    for row in np.flatnonzero(judged.linked).tolist():
        of = slice(begins[row], ends[row])
        mark = made.marks.texts[target.mark[row]]
        kind, value = made.history.behaviours[target.behaviour[row]].split(SEPARATOR, 1)
        is_print = bool(target.mark[row] < made.marks.fingerprints)
        found.append(
            Link(
                row=row,
                mark_kind=MARK_FINGERPRINT if is_print else MARK_PORT_SET,
                mark=mark,
                kind=kind,
                value=value,
                sources=int(target.sources[row]),
                networks=int(target.networks[row]),
                decoys=float(judged.decoys[row]),
                by_class=tuple(judged.by_class[row].tolist()),
                p=float(target.p[row]),
                fdr=float(judged.fdr[row]),
                effect=float(target.effect[row]),
                weight=float(judged.weight[row]),
                probability=float(judged.probability[row]),
                first=int(min(matches.darknet_at[of].min(), matches.honeypot_at[of].min())),
                last=int(max(matches.darknet_at[of].max(), matches.honeypot_at[of].max())),
                lag=int(np.median(matches.lag[of])),
                series=series_of(NAME, SUBJECT, subject(mark, kind, value)),
                src=np.unique(matches.source[of]),
                weak=int(weak[row]),
                sessions=int(of.stop - of.start),
                ports=tuple(np.unique(port[of]).tolist()),
            )
        )
    return sorted(found, key=lambda one: (one.p, -one.sources, one.series))


def _weak(made: Analysed) -> np.ndarray:
    """Sources of each pairing if matches up to seven days apart are let in."""
    target, triples = made.target.pairings, made.weak.labels.triples
    behaviours = len(made.history.behaviours)
    key = np.sort(triples[:, 1] * behaviours + triples[:, 2])
    wanted = target.mark * behaviours + target.behaviour
    return np.asarray(np.searchsorted(key, wanted, "right") - np.searchsorted(key, wanted, "left"))


def link_table(found: list[Link]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "mark_kind": [one.mark_kind for one in found],
        "mark": [one.mark for one in found],
        "kind": [one.kind for one in found],
        "value": [one.value for one in found],
        "sources": [one.sources for one in found],
        "networks_24": [one.networks for one in found],
        "decoys": [one.decoys for one in found],
        "p_value": [one.p for one in found],
        "fdr": [one.fdr for one in found],
        "effect": [one.effect for one in found],
        "probability": [one.probability for one in found],
        "first": [one.first * _NANO for one in found],
        "last": [one.last * _NANO for one in found],
        "lag_median": [one.lag * _NANO for one in found],
        "series": [one.series for one in found],
    }
    return pa.table(columns, schema=LINKS)


def match_table(made: Analysed, found: list[Link], matches: Matches) -> tuple[pa.Table, int]:
    """(rows of MATCHES, number of links whose matches did not fit in)."""
    rows: list[np.ndarray] = []
    size = left_out = 0
    for one in found:
        if size + one.sessions > MOST_MATCHES:
            left_out += 1
            continue
        low, high = np.searchsorted(matches.pair, [one.row, one.row + 1])
        rows.append(np.arange(low, high))
        size += one.sessions
    at = np.concatenate([np.zeros(0, np.int64), *rows])
    by_row = {one.row: one for one in found}
    pair, which = np.unique(matches.pair[at], return_inverse=True)
    names = made.history.sessions.name
    index = pa.array(which)
    table = pa.table(
        {
            name: pa.array([getattr(by_row[row], name) for row in pair.tolist()], pa.string()).take(index)
            for name in ("mark_kind", "mark", "kind", "value")
        }
        | {
            "src": pa.array(matches.source[at], pa.uint32()),
            "session": pa.array([names[n] for n in matches.number[at].tolist()], pa.string()),
            "darknet_at": pa.array(matches.darknet_at[at] * _NANO).cast(_TIME),
            "honeypot_at": pa.array(matches.honeypot_at[at] * _NANO).cast(_TIME),
        },
        schema=MATCHES,
    )
    return table, left_out


def offset_table(made: Analysed) -> pa.Table:
    rows = [
        (o.sensor, o.seconds, o.low, o.high, o.sources, o.expected, o.log10_p, o.compared, o.found, o.method)
        for o in made.offsets
    ]
    return _table(OFFSET, rows)


def loader_table(made: Analysed) -> pa.Table:
    """The loaders that followed a bot."""
    found, sessions = made.deliveries, made.history.sessions
    rows = []
    for loader, bot, pair, delay in zip(
        found.loader.tolist(),
        found.bot.tolist(),
        found.credential.tolist(),
        found.delay.tolist(),
        strict=True,
    ):
        rows.append(
            (
                sessions.name[loader],
                int(sessions.address[loader]),
                int(sessions.at[loader]) * _NANO,
                sessions.name[bot],
                int(sessions.address[bot]),
                delay,
                made.history.behaviours[pair].split(SEPARATOR, 1)[1],
                found.by_chance,
            )
        )
    return _table(LOADERS, rows)


def coverage_table(counts: Mapping[str, int]) -> pa.Table:
    return _table(COVERAGE, sorted((what, count) for what, count in counts.items() if count))


def _table(schema: pa.Schema, rows: list[Any]) -> pa.Table:
    return pa.table(
        [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(schema)], schema=schema
    )
