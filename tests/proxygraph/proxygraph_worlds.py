"""Worlds of the benchmark, and the engine run over them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.proxygraph import engine
from andon.records.contract import Context, Outcome, Site

_PLACE = Path(__file__).parents[2] / "benchmarks" / "livenet" / "proxygraph_world.py"
_SPEC = importlib.util.spec_from_file_location("proxygraph_world", _PLACE)
assert _SPEC is not None and _SPEC.loader is not None
world = importlib.util.module_from_spec(_SPEC)
sys.modules["proxygraph_world"] = world
_SPEC.loader.exec_module(world)

BEGIN = 1_767_225_600
DAY = 86_400
NANO = 1_000_000_000


def small(seed: int = 3, **changes: Any) -> Any:
    kept = {"terminals": 500, "departments": 8, "campaigns": 8, "tail": 40.0} | changes
    return world.organisation(seed, **kept)


def concluded(made: Any, days: int | None = None, site: Site | None = None) -> Outcome[Any]:
    """All days as one span, or day by day."""
    of = engine(site or Site())
    if days is None:
        context: Context[Any] = Context(
            "1d", BEGIN * NANO, (BEGIN + 3 * DAY) * NANO, tables=world.tables_of(made)
        )
        return of.conclude(of.empty(), None, context)
    outcome: Outcome[Any] | None = None
    for day in range(days):
        context = Context(
            "1d",
            (BEGIN + day * DAY) * NANO,
            (BEGIN + (day + 1) * DAY) * NANO,
            tables=world.tables_of(made, day),
        )
        carry = None if outcome is None else type(outcome.carry).from_bytes(outcome.carry.to_bytes())
        outcome = of.conclude(of.empty(), carry, context)
    assert outcome is not None
    return outcome


def joined(
    made: Any, rows: list[tuple[int, int, int, int, int]], colour: int | None = None, names: int = 0
) -> Any:
    """``made`` with more edges (terminal, destination, count, first, last); destinations from ``len(made.kind)`` on are
    new ones, ``names`` of them, of a colour."""
    new = np.array(rows, np.int64).reshape(-1, 5)
    new = new[np.lexsort((new[:, 1], new[:, 0]))]
    kinds = np.r_[made.kind, np.full(names, world.WEB)]
    colours = np.r_[made.colour, np.full(names, world.GRAY if colour is None else colour)]
    return world.World(
        terminal=np.r_[made.terminal, new[:, 0]],
        destination=np.r_[made.destination, new[:, 1]],
        count=np.r_[made.count, new[:, 2]],
        first=np.r_[made.first, new[:, 3]],
        last=np.r_[made.last, new[:, 4]],
        beacon=np.r_[made.beacon, np.full(len(new), np.nan)],
        colour=colours,
        kind=kinds,
        department=made.department,
        campaign=made.campaign,
    )


def number(name: str) -> int:
    """Of a terminal ("u00012") or destination ("d12.example")."""
    return int(name[1:].removesuffix(".example"))


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Rows without their times."""
    kept = [field.name for field in table.schema if not pa.types.is_timestamp(field.type)]
    return list(table.select(kept).to_pylist())


def suspects(outcome: Outcome[Any]) -> list[dict[str, Any]]:
    """Ranked terminals that are neither certain, nor clean, nor ever touched black."""
    rows = plain(outcome.tables["terminals"])
    return [row for row in rows if not row["certain"] and not row["clean"] and not row["black"]]
