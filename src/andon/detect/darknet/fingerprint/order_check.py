"""An order as a query that someone else can run: packets named by time and address step forward in it.

The engine has a sample only, so it cannot say what a query over all packets of a source would count. The query
therefore names two dozen packets of the sample, evenly spread over the scan, proves the position of each (a power of
the generator is the address; a generator's state after so many steps is the address), puts them in order of time, and
counts the pairs that step forward by less than a limit. What it should give is then exact. Standard SQL with a
recursive query; DuckDB runs it on ``packets.parquet`` as the table ``packets``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from andon.detect.darknet.fingerprint.order import CYCLIC, STRIDE, OrderFound
from andon.detect.darknet.fingerprint.order_cyclic import phases
from andon.detect.darknet.fingerprint.order_values import VALUES, WORD, Value
from andon.detect.darknet.fingerprint.sample import Sample
from andon.records.finding import Check
from andon.sketch.cyclic import BLOCKED, ORDER, P, elements, log3

NAMED = 24
_BY_NAME = {value.text: value for value in VALUES}


@dataclass(frozen=True)
class _Named:
    """Packets with their positions: microseconds since 1970, address, position (Python whole numbers)."""

    us: list[int]
    dst: list[int]
    position: list[int]

    @property
    def sql(self) -> str:
        rows = ", ".join(f"({u}, {d}, {k})" for u, d, k in zip(self.us, self.dst, self.position, strict=True))
        return f"named(us, dst, position) AS (VALUES {rows})"


def order_check(sample: Sample, found: OrderFound) -> tuple[str, Check] | None:
    """(what the query shows, the check with its exact count), or None if fewer than six packets can be named."""
    us = sample.columns["ts"][found.rows] // 1000
    # Packets of one microsecond have no order that a query could see.
    alone = found.rows[np.unique(us, return_index=True)[1]]
    if len(alone) < 6:
        return None
    rows = alone[np.unique(np.linspace(0, len(alone) - 1, min(NAMED, len(alone))).astype(np.int64))]
    dst = sample.columns["dst"][rows].astype(np.uint32)
    position, ring, pieces, proof = _positions(dst, found)
    named = _Named((sample.columns["ts"][rows] // 1000).tolist(), dst.tolist(), position)
    steps = [pieces * (b - a) % ring for a, b in pairwise(position)]
    limit = sorted(steps)[(9 * len(steps)) // 10] + 1
    expected = sum(step < limit for step in steps)
    source = int(sample.src[found.source])
    text = (
        f"of {len(rows)} packets named by time and address, {expected} of {len(steps)} steps from one to the next go "
        f"forward by less than {limit / ring:.1%} of the order"
    )
    sql = (
        f"WITH RECURSIVE {named.sql}, seen AS (SELECT DISTINCT n.us, n.dst, n.position FROM named n JOIN packets p ON "
        f"p.src = {source} AND p.dst = n.dst AND epoch_ns(p.ts) // 1000 = n.us), {proof}, "
        f"steps AS (SELECT {pieces} * (position - lag(position) OVER (ORDER BY us)) AS step FROM proven) "
        f"SELECT count(*) FROM steps WHERE (step % {ring} + {ring}) % {ring} < {limit}"
    )
    by_chance = len(steps) * limit / ring
    return text, Check(
        "", by_chance=float(f"{by_chance:.3g}"), tool="duckdb", expression=sql, expected=expected
    )


def _positions(dst: np.ndarray, found: OrderFound) -> tuple[list[int], int, int, str]:
    """(positions, how many there are before they begin again, pieces walked in step, SQL that proves them)."""
    if found.order == CYCLIC:
        x = elements(dst, found.blocklist)
        walk = found.walk
        # Without a generator the multiplier itself is all there is to check.
        at = [int(v) * walk.multiplier % ORDER for v in log3(x)]
        if not walk.generator:
            return at, ORDER, walk.pieces, "proven AS (SELECT * FROM seen)"
        return at, ORDER, walk.pieces, _power(walk.generator, found.blocklist)
    if found.order == STRIDE:
        value = f"CAST(s.dst AS HUGEINT) * {found.walk.multiplier} % {WORD}"
        turns = phases(dst.astype(np.uint64), found.walk.multiplier, WORD)
        return _ranks(turns), len(dst), 1, _ranked(value, False)
    kind = _BY_NAME[found.order]
    values = kind.of(dst)
    if kind.lcg is None:
        ranks = _ranks(values.astype(np.float64) * (-1 if found.down else 1))
        return ranks, len(dst), 1, _ranked(_of("s", kind.sql), found.down)
    at = [int(v) for v in values]
    return at, WORD, -1 if found.down else 1, _states(kind)


def _ranks(values: np.ndarray) -> list[int]:
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    made: list[int] = ranks.tolist()
    return made


def _of(table: str, sql: str) -> str:
    return sql.replace("dst", f"CAST({table}.dst AS BIGINT)")


def _ranked(value: str, down: bool) -> str:
    """Position = rank of the value among the named packets; a wrong rank drops out."""
    return (
        f"ranked AS (SELECT s.*, row_number() OVER (ORDER BY {value} {'DESC' if down else 'ASC'}) - 1 AS rank "
        "FROM seen s), proven AS (SELECT us, dst, position FROM ranked WHERE rank = position)"
    )


def _power(generator: int, blocklist: bool) -> str:
    element = "s.dst + 1"
    if blocklist:
        element += "".join(f" - CASE WHEN s.dst >= {first} THEN {size} ELSE 0 END" for first, size in BLOCKED)
    return (
        f"power(dst, rest, base, x) AS (SELECT dst, position, CAST({generator} AS HUGEINT), CAST(1 AS HUGEINT) FROM "
        f"named UNION ALL SELECT dst, rest // 2, base * base % {P}, CASE WHEN rest % 2 = 1 THEN x * base % {P} ELSE x "
        "END FROM power WHERE rest > 0), proven AS (SELECT s.us, s.dst, s.position FROM seen s JOIN power w ON "
        f"w.dst = s.dst AND w.rest = 0 WHERE w.x = {element})"
    )


def _states(kind: Value) -> str:
    assert kind.lcg is not None
    a, c = kind.lcg
    return (
        f"walk(dst, rest, a, c, x) AS (SELECT dst, position, CAST({a} AS HUGEINT), CAST({c} AS HUGEINT), "
        f"CAST(0 AS HUGEINT) FROM named UNION ALL SELECT dst, rest // 2, a * a % {WORD}, c * (a + 1) % {WORD}, "
        f"CASE WHEN rest % 2 = 1 THEN (a * x + c) % {WORD} ELSE x END FROM walk WHERE rest > 0), "
        "proven AS (SELECT s.us, s.dst, s.position FROM seen s JOIN walk w ON w.dst = s.dst AND w.rest = 0 "
        f"WHERE w.x = {_of('s', kind.sql)})"
    )
