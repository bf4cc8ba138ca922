"""The truth about a scenario, in files of its own: families, infections, addresses, sessions, assets, parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .assets import Assets
from .catalogue import PRODUCTS
from .families import Family
from .infections import Infections
from .leases import World
from .logs import iso
from .reports import Report
from .scenario import Scenario
from .sightings import Sightings
from .visits import BOT, LOADER, Visit


def write_truth(
    scenario: Scenario, families: Sequence[Family], world: World, cases: Infections, seen: Sightings,
    visits: Sequence[Visit], ids: Sequence[str], assets: Assets, reports: Sequence[Report], out: Path,
) -> None:  # fmt: skip
    """``families.json``, ``infections``, ``addresses``, ``sessions``, ``assets`` as Parquet, and ``scenario.json``."""
    out.mkdir(parents=True, exist_ok=True)
    body = [_family(f, cases, seen, visits, reports) for f in families]
    (out / "families.json").write_text(json.dumps(body, indent=1) + "\n")
    parameters: dict[str, Any] = {
        "seed": scenario.seed, "days": scenario.days, "devices": scenario.devices, "families": scenario.families,
        "start": iso(scenario.begin), "end": iso(scenario.end), "null": scenario.null, "lease": scenario.lease,
        **scenario.drawn,
        "reports": [{"id": r.id, "file": r.file, "family": families[r.family].name if r.family >= 0 else None,
                     "date": r.date} for r in reports],
    }  # fmt: skip
    if scenario.null == "rename":
        for report in parameters["reports"]:
            report["family"] = None
    (out / "scenario.json").write_text(json.dumps(parameters, indent=1) + "\n")
    _infections(families, cases, out)
    _addresses(world, out)
    _write(out / "sessions.parquet", {
        "session": list(ids),
        "device": pa.array([v.device if v.device >= 0 else None for v in visits], pa.int64()),
        "family": pa.array([v.family.name if v.family else None for v in visits], pa.string()),
        "role": [v.role for v in visits],
        "honeypot": [v.service for v in visits],
    })  # fmt: skip
    ill = np.zeros(world.devices, bool)
    ill[cases.device] = True
    _write(out / "assets.parquet", {
        "asset_id": assets.ids,
        "device": pa.array([int(d) if ill[d] else None for d in assets.number], pa.int64()),
    })  # fmt: skip


def _family(
    f: Family, cases: Infections, seen: Sightings, visits: Sequence[Visit], reports: Sequence[Report]
) -> dict[str, Any]:
    mine = cases.begin[cases.family == f.number]
    probes = seen.ts[seen.family == f.number]
    shown = [v.at for v in visits if v.family is f and v.role in (BOT, LOADER)]
    about = [r for r in reports if r.family == f.number]
    return {
        **f.to_dict(),
        "reports": [r.id for r in about],
        "infected": len(mine),
        "first_infection": iso(int(mine.min())) if len(mine) else None,
        "first_darknet": iso(int(probes.min())) if len(probes) else None,
        "first_honeypot": iso(min(shown)) if shown else None,
        "first_report": min((r.date for r in about), default=None),
    }


def _infections(families: Sequence[Family], cases: Infections, out: Path) -> None:
    products = [PRODUCTS[p] for p in cases.product[cases.device].tolist()]
    _write(out / "infections.parquet", {
        "device": pa.array(cases.device, pa.int64()),
        "family": [families[i].name for i in cases.family.tolist()],
        "infected_from": [iso(t) for t in cases.begin.tolist()],
        "infected_to": [iso(t) for t in cases.end.tolist()],
        "type": [p.device for p in products],
        "vendor": [p.vendor for p in products],
        "product": [p.product for p in products],
    })  # fmt: skip


def _addresses(world: World, out: Path) -> None:
    """Addresses of the devices that get infected."""
    line = world.line[: world.infected]
    count = world.offset[line + 1] - world.offset[line]
    device = np.repeat(np.arange(world.infected), count)
    lease = np.repeat(world.offset[line] - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(
        count.sum()
    )
    _write(out / "addresses.parquet", {
        "device": pa.array(device, pa.int64()),
        "ip": dotted(world.address[lease]),
        "from": [iso(t) for t in world.begin[lease].tolist()],
        "to": [iso(t) for t in world.end[lease].tolist()],
        "shared": world.carrier[world.pool[line]][device],
    })  # fmt: skip


def dotted(addresses: np.ndarray) -> list[str]:
    """Addresses as text."""
    return [f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}" for a in addresses.tolist()]


def _write(path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), path, compression="zstd")
