"""Small worlds for the tests of darknet.link: sightings and sessions as the engines before it would publish them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet import link
from andon.detect.darknet.link.history import History
from andon.detect.darknet.sightings.tables import PORT_SETS
from andon.records import joint
from andon.records.contract import Context, Outcome, Site
from andon.records.sighting import SIGHTING

SECOND = 10**9
HOUR, DAY = 3600, 86_400
FIRST = 20_500  # day number of the first day
BASE = int(IPv4Address("100.64.0.0"))


@dataclass
class World:
    """``see`` puts a source into the darknet, ``visit`` to a honeypot; times are seconds after the first midnight."""

    sightings: list[dict[str, Any]] = field(default_factory=list)
    sets: list[tuple[int, int, str]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    behaviours: list[dict[str, Any]] = field(default_factory=list)

    def see(self, src: int, at: int, mark: str = "", ports: str = "", until: int | None = None) -> None:
        first, last = ((FIRST * DAY + t) * SECOND for t in (at, at if until is None else until))
        self.sightings.append(
            {
                "first": first, "last": last, "src": src, "dst_port": 23, "protocol": 6, "fingerprint": mark,
                "packets": 3,
            }
        )  # fmt: skip
        if ports:
            self.sets.append((FIRST + at // DAY, src, ports))

    def visit(
        self,
        src: int | str,
        at: int,
        *shown: tuple[str, str],
        role: str = joint.BOT,
        sensor: str = "hp",
        port: int = 23,
    ) -> str:
        """A session that shows behaviours; gives its name."""
        name = f"{sensor}/{len(self.sessions):06d}"
        address = src if isinstance(src, int) else -1
        when = (FIRST * DAY + at) * SECOND
        self.sessions.append(
            {
                "session": name, "start": when, "end": when + 30 * SECOND, "address": address, "honeypot": "cowrie",
                "src": str(IPv4Address(src)) if isinstance(src, int) else src, "protocol": "telnet", "dst_port": port,
                "role": role, "role_confidence": 0.9, "family": "", "family_confidence": 0.0, "family_evidence": "",
                "steps": [], "techniques": [], "cves": [], "targets": [], "cluster": "", "login": False, "commands": 1,
            }
        )  # fmt: skip
        for kind, value in (("port", str(port)), *shown):
            self.behaviours.append(
                {
                    "session": name, "at": when, "address": address, "sensor": sensor, "kind": kind, "value": value,
                    "role": role,
                }
            )  # fmt: skip
        return name

    def tables(self, day: int) -> dict[str, pa.Table]:
        """Those of one day (a number from 0), by the names that the engine needs."""
        begin, end = (FIRST + day) * DAY * SECOND, (FIRST + day + 1) * DAY * SECOND
        names = {row["session"] for row in self.sessions if begin <= row["start"] < end}
        sets = sorted({(src, ports) for on, src, ports in self.sets if on == FIRST + day})
        return {
            "darknet.sightings:sources": _rows(
                SIGHTING, [row for row in self.sightings if begin <= row["first"] < end]
            ),
            "darknet.sightings:portsets": _rows(
                PORT_SETS, [{"src": src, "ports": ports, "family": 0} for src, ports in sets]
            ),
            "intel.session:sessions": _rows(
                joint.SESSIONS, [row for row in self.sessions if row["session"] in names]
            ),
            "intel.session:behaviours": _rows(
                joint.BEHAVIOURS, [row for row in self.behaviours if row["session"] in names]
            ),
        }

    def days(self) -> int:
        latest = max(
            row["start"] for row in (*self.sessions, *({"start": s["first"]} for s in self.sightings))
        )
        return int(latest // SECOND // DAY - FIRST + 1)


def _rows(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def context(day: int, tables: dict[str, pa.Table]) -> Context[History]:
    begin = (FIRST + day) * DAY * SECOND
    return Context("1d", begin, begin + DAY * SECOND, tables=tables)


def concluded(world: World, site: Site | None = None, days: int | None = None) -> list[Outcome[History]]:
    """The outcomes of all days."""
    engine = link.engine(site or Site())
    carry: History | None = None
    made = []
    for day in range(days or world.days()):
        outcome = engine.conclude(engine.empty(), carry, context(day, world.tables(day)))
        carry = outcome.carry
        made.append(outcome)
    return made


def sources(count: int, seed: int = 1, networks: int = 1 << 14) -> np.ndarray:
    """Distinct addresses scattered over /24s of 100.64.0.0/10."""
    rng = np.random.default_rng(seed)
    found = BASE + (rng.choice(networks, count, replace=networks < count) << 8) + rng.integers(1, 255, count)
    return np.unique(found)


def families(world: World, each: int = 20, seed: int = 1, names: tuple[str, ...] = ("A", "B", "C")) -> None:
    """Bots of families F-A, F-B, ... whose tokens are TOKEN-A, ...; each seen and met within hours of one day."""
    rng = np.random.default_rng(seed)
    found = sources(each * len(names), seed)
    for n, src in enumerate(rng.permutation(found).tolist()):
        name = names[n % len(names)]
        at = int(rng.integers(0, DAY - 8 * HOUR))
        world.see(src, at, f"F-{name}", until=at + HOUR)
        world.visit(src, at + int(rng.integers(0, 4 * HOUR)), ("token", f"TOKEN-{name}"))


def links_of(outcome: Outcome[History]) -> set[tuple[str, str, str]]:
    table = outcome.tables["links"]
    return set(zip(*(table[name].to_pylist() for name in ("mark", "kind", "value")), strict=True))


def counts(outcome: Outcome[History]) -> dict[str, int]:
    return {row["what"]: row["count"] for row in outcome.tables["coverage"].to_pylist()}
