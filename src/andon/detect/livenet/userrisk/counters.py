"""What a terminal did on a day, as numbers, from the day's tables: the counters of Sharif et al. (CCS 2018) that a
proxy's log gives, and the co-infection neighbourhood of Yavneh et al. (PLOS ONE 2021).

Hours and days are quiet by the organisation's own habit (``Habit``), since a log does not say where its users live: an
hour in which few of its terminals are active is night, a day on which few are there is a weekend or a holiday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.sketch.hashing import mix64_array
from andon.sketch.texts import text_keys

EDGES: Final = "livenet.edges:edges"
DESTINATIONS: Final = "livenet.edges:destinations"
TERMINALS: Final = "livenet.edges:terminals"
SUSPECTS: Final = "livenet.proxygraph:terminals"
GRAY: Final = "livenet.proxygraph:gray"
HOSTS: Final = "livenet.url:hosts"
NEEDS: Final = (EDGES, DESTINATIONS, TERMINALS, SUSPECTS, GRAY, HOSTS)

# In the order of the columns, and as they are called in reasons (a day's mean).
COUNTERS: Final = {
    "requests": "requests",
    "destinations": "destinations",
    "gray": "destinations on no list",
    "new": "destinations new to the organisation",
    "rare": "destinations that at most two terminals visit",
    "addresses": "destinations without a name",
    "refused": "refused requests",
    "failed": "failed requests",
    "no_referer": "requests without a referer",
    "megabytes": "megabytes received",
    "quiet": "hours active when the organisation is quiet",
    "urls": "destinations with suspicious URLs",
    "black": "black-listed destinations",
    "suspected": "suspected destinations",
    "neighbours": "rare destinations shared with terminals that met malicious ones",
    "company": "how often others with the same gray destinations met malicious ones, against all",
    "met": "malicious destinations met for the first time",
    "seen": "days seen",
}
COLUMN: Final = {name: i for i, name in enumerate(COUNTERS)}
_FEW = 50  # visitors of a destination that still makes neighbours of them
_PROBABLE = 0.5
_DRAWN = 5.0  # so many visitors (destinations) that are as all are stand beside those there are
_QUIET_HOUR, _QUIET_DAY = 0.25, 0.5


@dataclass(frozen=True)
class Habit:
    """How many terminals are usually active in each hour of the day (24) and on a day, exponentially forgotten."""

    hours: np.ndarray
    terminals: float

    @classmethod
    def empty(cls) -> Habit:
        return cls(np.zeros(24), 0.0)

    def after(self, hours: np.ndarray, terminals: int) -> Habit:
        """With a day in it. A quiet day says nothing of which hours are quiet."""
        if not terminals:
            return self
        if self.terminals and terminals < _QUIET_DAY * self.terminals:
            return self
        if not self.terminals:
            return Habit(hours.astype(np.float64), float(terminals))
        return Habit(0.8 * self.hours + 0.2 * hours, 0.8 * self.terminals + 0.2 * terminals)

    def quiet(self, hours: np.ndarray, terminals: int) -> np.ndarray:
        """Which of the 24 hours of a day with these terminals are quiet."""
        known = self.hours if self.terminals else hours
        if self.terminals and terminals < _QUIET_DAY * self.terminals:
            return np.ones(24, bool)
        return np.asarray(known < _QUIET_HOUR * max(known.max(), 1))


@dataclass(frozen=True)
class Day:
    """``values`` (terminals, counters), of which "met" is left 0; ``bad``: pairs of (row of a terminal, key of the
    pair) that touched a black-listed or certainly malicious destination; ``clean``: scanners, gateways and the like by
    ``livenet.proxygraph``; ``infected``: certainly or more probably than not; ``hours``: terminals active in each."""

    names: list[str]
    values: np.ndarray
    bad: tuple[np.ndarray, np.ndarray]
    clean: np.ndarray
    infected: np.ndarray
    hours: np.ndarray


def day(
    tables: Mapping[str, pa.Table],
    start: int,
    habit: Habit,
    past: Mapping[str, float],
    certain: float,
    key: int,
) -> Day:
    """The counters of the span that began at ``start`` (ns). ``past``: of terminals, how many malicious destinations
    they met before it. ``certain``: probability from which on a gray destination counts as malicious. A table that is
    not there counts as empty."""
    terminals, edges, hosts = tables.get(TERMINALS), tables.get(EDGES), tables.get(DESTINATIONS)
    if terminals is None or edges is None or hosts is None or not terminals.num_rows:
        none = np.zeros(0, bool)
        return Day(
            [],
            np.zeros((0, len(COUNTERS))),
            (np.zeros(0, np.int64), np.zeros(0, np.uint64)),
            none,
            none,
            np.zeros(24),
        )
    n, m = terminals.num_rows, hosts.num_rows
    who, what = _rows(edges, "terminal", terminals), _rows(edges, "destination", hosts)
    known = (who >= 0) & (what >= 0)
    who, what = who[known], what[known]

    def of_edges(name: str) -> np.ndarray:
        return np.asarray(edges.column(name).to_numpy(), np.float64)[known]

    def of_terminals(name: str) -> np.ndarray:
        return np.asarray(terminals.column(name).to_numpy(), np.float64)

    def each(weight: np.ndarray) -> np.ndarray:
        return np.bincount(who, weight, n)

    colour = hosts.column("colour")
    black, gray = _equal(colour, "black"), _equal(colour, "gray")
    visitors = np.bincount(what, minlength=m)
    first = hosts.column("first_seen").cast(pa.int64()).to_numpy()
    fresh = (first >= start) & hosts.column("age_known").to_numpy()
    doubt = _lookup(tables.get(HOSTS), "destination", "log_odds", hosts)
    suspicion = _lookup(tables.get(GRAY), "destination", "probability", hosts)
    malicious = black | (suspicion >= certain)
    mask = terminals.column("hours").to_numpy()
    active = (mask[:, None] >> np.arange(24) & 1).astype(bool)
    quiet = habit.quiet(active.sum(axis=0), n)
    values = np.zeros((n, len(COUNTERS)))

    def put(name: str, made: np.ndarray) -> None:
        values[:, COLUMN[name]] = made

    put("requests", of_terminals("count"))
    put("destinations", of_terminals("destinations"))
    put("gray", each(gray[what].astype(np.float64)))
    put("new", each((fresh & gray)[what].astype(np.float64)))
    put("rare", each(((visitors <= 2) & gray)[what].astype(np.float64)))
    put("addresses", each(hosts.column("is_address").to_numpy()[what].astype(np.float64)))
    put("refused", of_terminals("refused"))
    put("failed", of_terminals("failed"))
    put("no_referer", each(of_edges("no_referer")))
    put("megabytes", of_terminals("bytes_in") / 1e6)
    put("quiet", (active & quiet).sum(axis=1))
    put("urls", each((doubt > 0)[what].astype(np.float64)))
    put("black", each(black[what].astype(np.float64)))
    put("suspected", each((suspicion >= _PROBABLE)[what].astype(np.float64)))
    put("neighbours", _neighbours(who, what, malicious, gray & ~malicious & (visitors <= _FEW), n, m))
    put(
        "company",
        _company(
            who,
            what,
            gray & ~malicious,
            np.array([past.get(t, 0.0) for t in terminals["terminal"].to_pylist()]),
            m,
        ),
    )
    put("seen", np.ones(n))
    pairs = np.flatnonzero(malicious[what])
    names = terminals.column("terminal")
    salt = np.uint64(key)
    one = text_keys(names, 1)[who[pairs]]
    other = text_keys(hosts.column("destination"), 2)[what[pairs]]
    bad = (who[pairs], mix64_array(one ^ mix64_array(other, salt), salt))
    clean, infected = np.zeros(n, bool), np.zeros(n, bool)
    suspects = tables.get(SUSPECTS)
    if suspects is not None and suspects.num_rows:
        at = _rows(suspects, "terminal", terminals)
        clean[at[(at >= 0) & suspects.column("clean").to_numpy()]] = True
        probable = suspects.column("certain").to_numpy() | (
            suspects.column("probability").to_numpy() >= _PROBABLE
        )
        infected[at[(at >= 0) & probable]] = True
    return Day(names.to_pylist(), values, bad, clean, infected, active.sum(axis=0).astype(np.float64))


def _neighbours(
    who: np.ndarray, what: np.ndarray, malicious: np.ndarray, rare: np.ndarray, n: int, m: int
) -> np.ndarray:
    """Of each terminal the sum over its rare gray destinations of the share of their other visitors that touched a
    malicious one that day."""
    touched = np.bincount(who, malicious[what].astype(np.float64), n) > 0
    mine = rare[what]
    owner, place = who[mine], what[mine]
    all_there = np.bincount(place, minlength=m)
    ill = np.bincount(place, touched[owner].astype(np.float64), m)
    others = all_there[place] - 1
    share = np.where(others > 0, (ill[place] - touched[owner]) / np.maximum(others, 1), 0.0)
    return np.bincount(owner, share, n)


def _company(who: np.ndarray, what: np.ndarray, gray: np.ndarray, past: np.ndarray, m: int) -> np.ndarray:
    """Of each terminal the mean over its gray destinations (of at least three visitors, and not of a third of all) of
    how often their other visitors met something malicious before, over that of all terminals: 1 is usual. A
    destination of few visitors is drawn towards 1."""
    n, mean = len(past), float(past.mean())
    if mean <= 0:
        return np.ones(n)
    visitors = np.bincount(what, minlength=m)
    kept = (gray & (visitors >= 3) & (visitors <= max(n // 3, 10)))[what]
    owner, place = who[kept], what[kept]
    total = np.bincount(place, past[owner], m)
    others = (total[place] - past[owner] + _DRAWN * mean) / (visitors[place] - 1 + _DRAWN)
    number = np.bincount(owner, minlength=n)
    return (np.bincount(owner, others, n) / mean + _DRAWN) / (number + _DRAWN)


def _equal(values: pa.ChunkedArray, word: str) -> np.ndarray:
    return np.asarray(pc.equal(values, word).to_numpy(zero_copy_only=False), bool)


def _rows(table: pa.Table, name: str, of: pa.Table) -> np.ndarray:
    """Row of ``of`` whose column ``name`` is that of each row of ``table``; -1 where there is none."""
    wanted = of.column(name).combine_chunks()
    found = pc.index_in(table.column(name).cast(pa.string()), value_set=wanted)
    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)


def _lookup(table: pa.Table | None, name: str, value: str, of: pa.Table) -> np.ndarray:
    """Largest ``value`` of the table for each row of ``of``; 0 where there is none, and never below."""
    out = np.zeros(of.num_rows)
    if table is None or not table.num_rows:
        return out
    at = _rows(table, name, of)
    np.maximum.at(out, at[at >= 0], np.nan_to_num(table.column(value).to_numpy()[at >= 0]))
    return out
