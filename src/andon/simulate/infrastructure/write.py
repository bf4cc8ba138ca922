"""The files of a scenario in the formats of the field, and its truth."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .campaign import plant
from .facts import Facts
from .scenario import Scenario
from .world import World


@dataclass(frozen=True)
class Made:
    """What was written. ``truth``: rows kind, value, campaign; campaign -1: a host that several campaigns share, which
    is neither wrong nor right to name."""

    folder: Path
    files: tuple[Path, ...]
    truth: Path
    campaigns: int
    facts: int


def simulate(scenario: Scenario, folder: str | Path) -> Made:
    """Write a scenario into ``folder`` (made if it is not there). Same scenario, same bytes. Raises OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([0x6E667261, scenario.seed])
    facts = Facts(rng, scenario.missing)
    world = World(scenario, facts)
    haunts = [world.address(64900, "Bulletproof Host") for _ in range(max(2, scenario.campaigns // 3))]
    for haunt in haunts:
        facts.owns(-1, "address", haunt)
    tools: list[str] = []
    for number in range(scenario.campaigns):
        low, high = np.log(scenario.smallest), np.log(scenario.largest)
        size = round(float(np.exp(low + rng.random() * (high - low))))
        plant(world, number, size, haunts, tools)
    world.fill()
    files = (
        _lines(folder / "passive-dns.jsonl", (
            {"rrname": name, "rrtype": kind, "rdata": data, "time_first": first, "time_last": last, "count": 1}
            for name, kind, data, first, last in _shuffled(facts.dns, rng)
        )),
        _lines(folder / "whois.jsonl", (
            {**row, **{key: _iso(int(str(row[key]))) for key in ("created", "expires", "updated")}}
            for row in _shuffled(facts.whois, rng)
        )),
        _array(folder / "certificates.json", [
            {**row, **{key: _iso(int(str(row[key])))[:19] for key in ("not_before", "not_after")}}
            for row in _shuffled(facts.certificates, rng)
        ]),
        _lines(folder / "ssl.log", (
            {"ts": float(when), "id.resp_h": address, "id.resp_p": 443, "server_name": name, "cert_chain_fps": [serial]}
            for when, address, name, serial in _shuffled(facts.tls, rng)
        )),
        _lines(folder / "samples.jsonl", (
            {**row, "first_seen": _iso(int(str(row["first_seen"])))} for row in _shuffled(facts.samples, rng)
        )),
        _lines(folder / "sandbox.jsonl", (
            {**row, "analysis_date": _iso(int(str(row["analysis_date"])))} for row in _shuffled(facts.runs, rng)
        )),
        _table(folder / "operators.csv", ("address", "asn", "organisation"), (
            (address, system, name) for address, (system, name) in facts.operators.items()
        )),
    )  # fmt: skip
    truth = _table(
        folder / "truth" / "members.csv", ("kind", "value", "campaign"),
        ((kind, value, number) for (kind, value), number in facts.owned.items()),
    )  # fmt: skip
    count = len(facts.dns) + len(facts.whois) + len(facts.certificates)
    count += len(facts.tls) + len(facts.samples) + len(facts.runs)
    # A feed that knows nothing is no file.
    for path in files:
        if path.stat().st_size < 4:
            path.unlink()
    written = tuple(path for path in files if path.exists())
    return Made(folder, written, truth, scenario.campaigns, count)


def _shuffled(rows: list, rng: np.random.Generator) -> list:  # type: ignore[type-arg]
    """In an order that tells nothing."""
    return [rows[int(at)] for at in rng.permutation(len(rows))]


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
    return path


def _array(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
    return path


def _table(path: Path, names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    return path
