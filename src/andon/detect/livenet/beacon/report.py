"""Beacons as a table and as findings, one finding for a destination."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.beacon.gather import DESTINATIONS, Gathered
from andon.detect.livenet.beacon.rows import SIGNIFICANT, Rows
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text, timestamp
from andon.records.livenet import BEACONS
from andon.records.neutral import neutral

_TIME = pa.timestamp("ns", tz="UTC")
_SECOND = 1_000_000_000
_CHECKED = 3  # terminals of a finding that get a check
_NAMED = 5
_A_FEW = 10  # terminals, below which a share of them says nothing
CALIBRATION: Final = (
    "logistic model fitted on generated polls and generated people, with assumed shares of polled destinations among "
    "bad and harmless ones (benchmarks/livenet/beacon.py); no labelled traffic of a real organisation was at hand"
)


def table(seen: Gathered, rows: Rows) -> pa.Table:
    """Highest score first."""
    edges = seen.take(rows.which)
    place = seen.place[rows.which]
    first = edges["first"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    if seen.destinations is not None and seen.destinations.num_rows:
        known = seen.destinations["first_seen"].to_numpy().astype("datetime64[ns]").astype(np.int64)[place]
        first = np.where(place >= 0, known, first)
    return pa.table(
        {
            "terminal": edges["terminal"],
            "destination": edges["destination"],
            "contacts": edges["count"],
            "period": rows.period,
            "jitter": rows.judged.jitter,
            "size": np.round(rows.size).astype(np.int64),
            "p_value": rows.judged.p_value,
            "prevalence": seen.visitors[rows.which] / max(seen.terminals, 1),
            "first_seen": pa.array(first).cast(_TIME),
            "rita": rows.rita,
            "score": rows.score,
            "log_odds": rows.log_odds,
        },
        schema=BEACONS,
    )


def last_contacts(seen: Gathered, rows: Rows) -> np.ndarray:
    """int64 ns of each row's last contact in the span."""
    made: np.ndarray = seen.take(rows.which)["last"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    return made


def findings(
    engine: tuple[str, int],
    made: pa.Table,
    last: np.ndarray,
    rows: Rows,
    least: float,
    most: int,
    left_out: str,
    ctx: Context[Any],
) -> tuple[Finding, ...]:
    """At most ``most``, of significant edges with a score of at least ``least``; ranked by the best edge of each
    destination. The last finding says how many more there are."""
    good = np.flatnonzero(
        (rows.score >= least) & (rows.period > 0) & (rows.judged.p_value <= 2 * SIGNIFICANT)
    )
    by_destination: dict[str, list[int]] = {}
    names = made["destination"].take(pa.array(good)).to_pylist()
    for i, name in zip(good.tolist(), names, strict=True):
        by_destination.setdefault(name, []).append(i)
    more = len(by_destination) - most
    text = left_out
    if more > 0:
        text = f"{left_out} {more:,} destinations with a lower score are in the table livenet.beacon:beacons.".strip()
    chosen = list(by_destination.items())[:most]
    known = _known(ctx.tables.get(DESTINATIONS), [name for name, _ in chosen])
    return tuple(
        _finding(
            engine,
            rank,
            name,
            edges,
            made,
            last,
            rows,
            known.get(name),
            text if rank == len(chosen) else "",
            ctx,
        )
        for rank, (name, edges) in enumerate(chosen, 1)
    )


def _known(destinations: pa.Table | None, names: list[str]) -> dict[str, dict[str, Any]]:
    """Colour, lists and whether the first visit is known, of those of these destinations that have a row."""
    if destinations is None:
        return {}
    some = destinations.select(["destination", "colour", "lists", "age_known"])
    rows = some.filter(pc.is_in(some["destination"], pa.array(names, pa.string()))).to_pylist()
    return {row["destination"]: row for row in rows}


def _finding(
    engine: tuple[str, int],
    rank: int,
    destination: str,
    edges: Sequence[int],
    made: pa.Table,
    last: np.ndarray,
    rows: Rows,
    known: dict[str, Any] | None,
    left_out: str,
    ctx: Context[Any],
) -> Finding:
    listed = _records(made, last, edges)
    black = known is not None and known["colour"] == "black"
    best, at = listed[0], edges[0]
    shown = neutral(destination, "domain")
    first = min(row["first_seen"] for row in listed)
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="beacon",
        title=f"{shown}{', which is black-listed,' if black else ''} is polled every {_duration(best['period'])}",
        statement=" ".join(filter(None, (_statement(listed, rows, at, shown, known), left_out))),
        confidence=float(best["score"]),
        calibration=CALIBRATION,
        window=(ctx.start, ctx.end),
        subject=(_type(destination), destination),
        first_seen=max(ctx.start, first),
        last_seen=max(row["last"] for row in listed),
        count=sum(row["contacts"] for row in listed),
        entities=(
            Entity(_type(destination), destination, sum(row["contacts"] for row in listed)),
            *(Entity(_who(row["terminal"]), row["terminal"], row["contacts"]) for row in listed),
        ),
        evidence=tuple(_evidence(row, rows, i) for row, i in zip(listed[:_CHECKED], edges, strict=False)),
        attack=("T1071.001",),
        severity="medium" if black else "",
        attributes={
            "rank": rank,
            "black": black,
            "score": best["score"],
            "log_odds": best["log_odds"],
            "rita": best["rita"],
            "period": best["period"],
            "jitter": best["jitter"],
            "size": best["size"],
            "one_size": float(rows.one_size[at]),
            "p_value": best["p_value"],
            "visits": int(rows.judged.visits[at]),
            "days": float(rows.days[at]),
            "prevalence": best["prevalence"],
            "terminals": [neutral(row["terminal"]) for row in listed[:_NAMED]],
        },
    )


def _statement(
    listed: Sequence[dict[str, Any]], rows: Rows, at: int, shown: str, known: dict[str, Any] | None
) -> str:
    best = listed[0]
    more = len(listed) - 1
    others = f"; so do{'es' * (more == 1)} {more:,} other terminal{'s' * (more != 1)}" if more else ""
    over = f" over {rows.days[at]:.1f} days" if rows.days[at] else ""
    visitors = round(best["prevalence"] * rows.terminals)
    common = (
        f"{visitors:,} of {rows.terminals:,} terminals go{'es' * (visitors == 1)} there. Software that looks for its "
        "updates polls as well; that so few have this one is what makes it worth a look."
        if rows.terminals >= _A_FEW
        else f"With only {rows.terminals} terminal{'s' * (rows.terminals != 1)} nothing can be said of how common it "
        "is, and software that looks for its updates polls as well."
    )
    found = timestamp(best["first_seen"] // _SECOND * _SECOND)[:16].replace("T", " ")
    first = f"First asked for here {found}"
    if known is not None and not known["age_known"]:
        first += " or earlier (the logs begin there)"
    black = ""
    if known is not None and known["colour"] == "black":
        # "LIST since DATE: domain NAME"; the name is said already.
        lists = neutral(", ".join(text.partition(": ")[0] for text in known["lists"][:2]), "domain")
        black = f" It is on a black list{f' ({lists})' * bool(lists)}."
    visits = f"{int(rows.judged.visits[at]):,} visits{over}"
    # 0 where the log has no sizes (DNS, for example).
    size = f"Most frequent answer: {best['size']:,} bytes, {rows.one_size[at]:.0%} of the contacts. "
    size = size if best["size"] else ""
    return (
        f"{neutral(best['terminal'])} asks for {shown} every {_duration(best['period'])} "
        f"(jitter {best['jitter']:.0%}), {visits}{others}.{black} {_chance(best['p_value'])} "
        f"{size}{first}. {common}"
    )


def _chance(p: float) -> str:
    """
    >>> _chance(2e-15)
    'Visits at random times of the same hours would hardly ever be as regular (chance below one in a billion).'
    >>> _chance(0.0012)
    'Visits at random times of the same hours would be as regular with a chance of 0.0012.'
    """
    visits = "Visits at random times of the same hours would"
    if p < 1e-9:
        return f"{visits} hardly ever be as regular (chance below one in a billion)."
    return f"{visits} be as regular with a chance of {p:.2g}."


def _records(made: pa.Table, last: np.ndarray, at: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the table with the last contact; times as ns."""
    part = made.take(pa.array(at))
    first = part["first_seen"].cast(pa.int64())
    part = part.set_column(part.schema.get_field_index("first_seen"), "first_seen", first)
    return list(part.append_column("last", pa.array(last[np.asarray(at)])).to_pylist())


def _evidence(row: dict[str, Any], rows: Rows, at: int) -> Evidence:
    one = f"terminal = {sql_text(row['terminal'])} AND destination = {sql_text(row['destination'])}"
    who = f"{neutral(row['terminal'])}: every {_duration(row['period'])}, jitter {row['jitter']:.0%}"
    if rows.days[at]:
        return Evidence(
            f"{who}, seen over {rows.days[at]:.1f} days. The check counts its row of today",
            Check("", 0.0, tool="sql", expression=f"SELECT count(*) FROM livenet_beacon_beacons WHERE {one}"),
        )
    low, high = (row["period"] * (1 + sign * min(0.5, row["jitter"] + 0.05)) for sign in (-1, 1))
    sql = (
        "SELECT count(*) FROM (SELECT t - lag(t) OVER (ORDER BY t) AS gap FROM (SELECT unnest(times) AS t FROM "
        f"livenet_edges_edges WHERE {one})) WHERE gap BETWEEN {low * 1000:.0f} AND {high * 1000:.0f}"
    )
    # Visits dealt out evenly over the same activity would have exponential intervals of the same mean.
    visits = float(rows.judged.visits[at])
    mean = row["period"] / max(rows.judged.covered[at], 0.2)
    chance = visits * (math.exp(-low / mean) - math.exp(-high / mean))
    return Evidence(
        f"{who}. The check counts the intervals between {low:,.1f} s and {high:,.1f} s",
        Check("", chance, tool="sql", expression=sql),
    )


def _type(destination: str) -> str:
    return address_type(destination, "domain-name")


def _who(terminal: str) -> str:
    return address_type(terminal, "user-account")


def _duration(seconds: float) -> str:
    """
    >>> _duration(249.1), _duration(43), _duration(7260)
    ('4.15 min', '43 s', '2.02 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
