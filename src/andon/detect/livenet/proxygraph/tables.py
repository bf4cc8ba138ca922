"""The tables that ``livenet.proxygraph`` publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.livenet.proxygraph.columns import SEPARATOR
from andon.detect.livenet.proxygraph.judge import Judged
from andon.records.livenet import GRAY, REASONS, SUSPECTS

_TIME: Final = pa.timestamp("ns", tz="UTC")
_NANO: Final = 1_000_000_000
VISIT: Final = "visit"
MOST_REASONS: Final = 300_000
MOST_BLACK: Final = 100_000
_BLAMED: Final = 20  # destinations of a terminal
_TELLING: Final = 0.01  # of -ln(1 - p)

# What each destination adds to -ln(1 - p) of a suspected terminal: the sum over its rows is the whole, but for what the
# terminal has without any evidence and what is below a hundredth.
BLAME: Final = pa.schema(
    [
        pa.field("terminal", pa.string(), nullable=False),
        pa.field("destination", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),  # that the destination is bad
        pa.field("adds", pa.float64(), nullable=False),
        pa.field("first", _TIME, nullable=False),
        pa.field("last", _TIME, nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
# Contacts to black destinations, as far back as is remembered.
BLACK: Final = pa.schema(
    [
        pa.field("terminal", pa.string(), nullable=False),
        pa.field("destination", pa.string(), nullable=False),
        pa.field("first", _TIME, nullable=False),
        pa.field("last", _TIME, nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("refused", pa.int64(), nullable=False),
        pa.field("fresh", pa.bool_(), nullable=False),
        pa.field("doubted", pa.string(), nullable=False),  # "", "crowded" or "fetched"
        pa.field("lists", pa.list_(pa.string()), nullable=False),
    ]
)
COVERAGE: Final = pa.schema(
    [
        pa.field("days", pa.int64(), nullable=False),  # remembered
        pa.field("terminals", pa.int64(), nullable=False),
        pa.field("destinations", pa.int64(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        pa.field("forgotten", pa.int64(), nullable=False),  # edges, for want of room
        pa.field("common", pa.int64(), nullable=False),  # gray destinations of too many visitors to be judged
        pa.field("doubted", pa.int64(), nullable=False),  # entries of black lists
        pa.field("clean", pa.int64(), nullable=False),  # terminals set aside
        pa.field("infections", pa.float64(), nullable=False),  # N
        pa.field("rounds", pa.int64(), nullable=False),
        pa.field("change", pa.float64(), nullable=False),  # of any p in the last round
        pa.field("unlisted_reasons", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Ranked:
    """Numbers of gray destinations and of terminals, the most suspicious first; those ``certain`` come first."""

    gray: np.ndarray
    terminals: np.ndarray


def rank(judged: Judged, most: int) -> Ranked:
    """At most ``most`` of each; certain and clean terminals beside them. Ties go by name's key."""
    gray = np.flatnonzero(judged.judged)
    gray = gray[np.lexsort((judged.memory.destinations.keys[gray], -judged.log_odds[gray]))][:most]
    black = judged.black
    aside = np.zeros(len(judged.infected), np.bool_)
    aside[list(black.clean)] = True
    keys = judged.memory.terminals.keys

    def ordered(which: np.ndarray) -> np.ndarray:
        which = np.flatnonzero(which)
        return which[
            np.lexsort((keys[which], -judged.infected[which], -black.contacts[which] * black.certain[which]))
        ][:most]

    certain = black.certain & ~aside
    parts = [ordered(certain), ordered(~certain & ~aside), ordered(aside)]
    return Ranked(gray, np.concatenate(parts))


def _names(column: pa.Array, rows: np.ndarray) -> pa.Array:
    return column.take(pa.array(rows, pa.int64()))


def _times(seconds: np.ndarray) -> pa.Array:
    return pa.array(np.asarray(seconds, np.int64) * _NANO).cast(_TIME)


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def gray_table(judged: Judged, ranked: Ranked, reasons: pa.Table, day: int) -> pa.Table:
    d, of = ranked.gray, judged.memory.destinations
    names = _names(of.texts["name"], d)
    visit = reasons.filter(pa.compute.equal(reasons["part"], VISIT)).filter(
        pa.compute.greater(pa.compute.field("log_odds"), 0)
    )
    counts = visit.group_by("destination").aggregate([("log_odds", "count")])
    at = pa.compute.index_in(names, counts["destination"].combine_chunks())
    suspects = counts["log_odds_count"].combine_chunks().take(at).fill_null(0)
    landing = judged.landing[d]
    return _table(
        {
            "rank": np.arange(1, len(d) + 1),
            "destination": names,
            "probability": judged.probability[d],
            "log_odds": judged.log_odds[d],
            "prior": np.where(landing, judged.prior.landing[d], judged.prior.malicious[d]),
            "visitors": judged.graph.visitors()[d],
            "suspects": suspects,
            "first_seen": _times(of["first_seen"][d]),
            "reading": np.where(landing, "landing page", "malicious").astype(object),
            "day": _times(np.full(len(d), day // _NANO)),
        },
        GRAY,
    )


def reasons_table(judged: Judged, ranked: Ranked) -> tuple[pa.Table, int]:
    """Parts of the log-odds of the ranked destinations, and how many rows had no room."""
    columns: dict[str, list[Any]] = {"destination": [], "terminal": [], "log_odds": [], "part": []}
    left = 0
    terminals = judged.memory.terminals.texts["name"]
    names = _names(judged.memory.destinations.texts["name"], ranked.gray).to_pylist()
    for d, name in zip(ranked.gray.tolist(), names, strict=True):
        parts, edges, said = judged.readings(d)
        if len(columns["part"]) + len(parts) + len(edges) > MOST_REASONS:
            left += len(parts) + len(edges)
            continue
        order = np.argsort(-said, kind="stable")
        columns["destination"] += [name] * (len(parts) + len(edges))
        columns["terminal"] += [""] * len(parts)
        columns["terminal"] += _names(terminals, judged.graph.visitor[edges[order]]).to_pylist()
        columns["log_odds"] += [*parts.values(), *said[order].tolist()]
        columns["part"] += [*parts, *[VISIT] * len(edges)]
    return _table(columns, REASONS), left


def suspects_table(judged: Judged, ranked: Ranked, day: int) -> pa.Table:
    u, black = ranked.terminals, judged.black
    clean = np.zeros(len(judged.infected), np.bool_)
    clean[list(black.clean)] = True
    return _table(
        {
            "rank": np.arange(1, len(u) + 1),
            "terminal": _names(judged.memory.terminals.texts["name"], u),
            "probability": judged.infected[u],
            "certain": black.certain[u] & ~clean[u],
            "black": touched(judged)[u],
            "gray": [_against(judged, int(one)) for one in u],
            "clean": clean[u],
            "why": [_why(judged, int(one)) for one in u],
            "day": _times(np.full(len(u), day // _NANO)),
        },
        SUSPECTS,
    )


def _why(judged: Judged, u: int) -> str:
    return judged.black.clean.get(u, judged.black.proof.get(u, ""))


def touched(judged: Judged) -> np.ndarray:
    """Black destinations of each terminal, doubted ones too."""
    edges = judged.memory.edges
    return np.bincount(edges.terminal[judged.black.edges], minlength=len(judged.infected))


def _against(judged: Judged, u: int) -> int:
    edges, added = judged.blame(u)
    return int(((added >= _TELLING) & judged.judged[judged.graph.destination[edges]]).sum())


def blame_table(judged: Judged, ranked: Ranked) -> pa.Table:
    """Of the ranked terminals, at most ``_BLAMED`` destinations each."""
    chosen, adds = [], []
    for u in ranked.terminals.tolist():
        edges, added = judged.blame(u)
        keep = np.flatnonzero(added >= _TELLING)[:_BLAMED]
        chosen.append(edges[keep])
        adds.append(added[keep])
    edges = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    d = judged.graph.destination[edges]
    of = judged.memory
    known = judged.ledger.evidence.known[d]
    return _table(
        {
            "terminal": _names(of.terminals.texts["name"], judged.graph.visitor[edges]),
            "destination": _names(of.destinations.texts["name"], d),
            "probability": np.where(judged.ledger.evidence.gray[d], judged.probability[d], known),
            "adds": np.concatenate(adds) if adds else np.zeros(0),
            "first": _times(judged.edges["first"][edges]),
            "last": _times(judged.edges["last"][edges]),
            "count": judged.edges["count"][edges],
        },
        BLAME,
    )


def black_table(judged: Judged) -> pa.Table:
    of, edges = judged.memory, judged.black.edges[:MOST_BLACK]
    d = of.edges.destination[edges]
    doubted = judged.black.doubted
    texts = _names(of.destinations.texts["lists"], d).to_pylist()
    return _table(
        {
            "terminal": _names(of.terminals.texts["name"], of.edges.terminal[edges]),
            "destination": _names(of.destinations.texts["name"], d),
            "first": _times(of.edges["first"][edges]),
            "last": _times(of.edges["last"][edges]),
            "count": of.edges["count"][edges],
            "refused": of.edges["refused"][edges],
            "fresh": of.destinations["fresh"][d],
            "doubted": [doubted.get(one, "") for one in d.tolist()],
            "lists": pa.array(
                [text.split(SEPARATOR) if text else [] for text in texts], pa.list_(pa.string())
            ),
        },
        BLACK,
    )


def coverage_table(judged: Judged, unlisted: int) -> pa.Table:
    of, belief = judged.memory, judged.belief
    return _table(
        {
            "days": [of.days],
            "terminals": [len(of.terminals)],
            "destinations": [len(of.destinations)],
            "edges": [len(of.edges)],
            "forgotten": [of.forgotten],
            "common": [judged.common],
            "doubted": [len(judged.black.doubted)],
            "clean": [len(judged.black.clean)],
            "infections": [belief.infections],
            "rounds": [sum(belief.rounds)],
            "change": [belief.change],
            "unlisted_reasons": [unlisted],
        },
        COVERAGE,
    )
