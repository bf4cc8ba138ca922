"""What the engines that follow identities got right: port-set lineages, early Mirai, campaigns over days."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from play import Job  # type: ignore[import-not-found]

from andon.simulate.coordination import Scenario, World
from andon.simulate.coordination.services import services
from andon.simulate.coordination.sightings import sightings

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
Done = dict[str, Any]


def port_set_lines(results: list[Done]) -> Iterator[str]:
    """Lineages recovered, early Mirai, unexplained share."""
    rows = [line for r in results if not r["job"]["quiet"] for line in _lineages(r)]
    if not rows:
        return
    yield "\n### port sets: stages of planted botnets found as families\n"
    yield "A stage counts as found if a family has exactly its ports; its date is the birth of that family.\n"
    yield (
        "| job | stages of >= 50 sources | found | date off by, median h | planted order | "
        "early Mirai: sources seen at the first alarm | unexplained sources |"
    )
    yield "|---|---|---|---|---|---|---|"
    yield from rows


def _text(ports: list[dict[str, int]]) -> str:
    codes = sorted((p["protocol"] != 6, p["port"]) for p in ports)
    return ",".join(f"udp/{port}" if udp else str(port) for udp, port in codes)


def _lineages(r: Done) -> Iterator[str]:
    path = r["folder"] / "darknet.portsets-families.parquet"
    if not path.exists():
        return
    families = pq.read_table(path)
    born: dict[str, int] = {}
    lines: set[tuple[str, ...]] = set()
    for ports, at, line in zip(
        families["ports"].to_pylist(), families["born"].cast(pa.int64()).to_pylist(), families["line"].to_pylist(),
        strict=True,
    ):  # fmt: skip
        born[ports] = min(at, born.get(ports, at))
        lines.add(tuple(line))
    truth = pq.read_table(r["folder"] / "port-sets.parquet")
    columns = {n: truth[n].to_pylist() for n in ("lineage", "ports", "sources", "stage", "active")}
    since = truth["since"].cast(pa.int64()).to_pylist()
    # Sets that ordinary sources have, too, are there before they are planted: they have no date.
    background = {",".join(str(p) for p, _ in sorted(row.ports)) for row in services(_scenario(r))}
    off, found, stages, chains, kept = [], 0, 0, 0, 0
    by_lineage: dict[str, list[str]] = {}
    for i, name in enumerate(columns["lineage"]):
        if not columns["active"][i] or columns["sources"][i] < 50:
            continue
        text = _text(columns["ports"][i])
        if len(columns["ports"][i]) > 1 or columns["stage"][i] > 0:
            stages += 1
            if text in born:
                found += 1
            if text in born and text not in background:
                off.append((born[text] - since[i]) / HOUR)
        if by_lineage.get(name, [""])[-1] != text:
            by_lineage.setdefault(name, []).append(text)
    for planted in by_lineage.values():
        if len(planted) > 1:
            chains += 1
            kept += any(_follows(planted, line) for line in lines)
    coverage = r["folder"] / "darknet.portsets-coverage.parquet"
    share = "-"
    if coverage.exists():
        table = pq.read_table(coverage)
        daily = (table["end"].cast(pa.int64()).to_numpy() - table["start"].cast(pa.int64()).to_numpy()) >= DAY
        shares = table["unexplained_sources_share"].to_numpy()[daily]
        share = f"{100 * shares.mean():.1f} %" if len(shares) else "-"
    median = f"{np.median(off):+.1f}" if off else "-"
    yield f"| {r['folder'].name} | {stages} | {found} | {median} | {kept}/{chains} | {_early(r)} | {share} |"


def _follows(planted: list[str], line: tuple[str, ...]) -> bool:
    """Whether the planted sets stand in the line in their order."""
    rest = iter(line)
    return all(any(step == text for step in rest) for text in planted)


def _scenario(r: Done) -> Scenario:
    scenario: Scenario = Job(**{**r["job"], "engines": tuple(r["job"]["engines"])}).scenario
    return scenario


def _early(r: Done) -> str:
    """How many sources of the botnet that is born with 23:2323 = 9:1 the telescope had seen at the first alarm."""
    world = World(_scenario(r))
    number = next((i for i, b in enumerate(world.plan.botnets) if b.name == "early-mirai"), None)
    births = r["folder"] / "darknet.portsets-births.parquet"
    if number is None or not births.exists():
        return "-"
    begins = world.plan.botnets[number].begins
    seen = sightings(world)
    seen = seen[seen["number"] == number]
    _, first = np.unique(seen["src"], return_index=True)
    times = np.sort(seen["ts"][first])
    table = pq.read_table(births)
    told = [
        end
        for end, ports, alarmed in zip(
            table["end"].cast(pa.int64()).to_pylist(), table["ports"].to_pylist(), table["alarmed"].to_pylist(),
            strict=True,
        )
        if alarmed and end > begins and "2323" in ports.split(",") and "23" in ports.split(",")
    ]  # fmt: skip
    return str(int(np.searchsorted(times, min(told)))) if told else f"no alarm ({len(times)} sources)"


def campaign_lines(results: list[Done]) -> Iterator[str]:
    """Share of (campaign, day) pairs that kept their name; births and deaths."""
    if not results:
        return
    yield "\n### campaigns: identity over days\n"
    yield "A true campaign's name on a day is the engine's campaign with at least half of its sources; days"
    yield "on which fewer than ten of its sources were seen are left out. Birth: its first name is new, at most a day"
    yield "late; death: the engine's last active day of its last name is at most a day off.\n"
    yield "| job | campaigns | days of them | with a name | as when last seen | names each | purity | births | deaths |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in results:
        yield _campaign_line(r)


def _campaign_line(r: Done) -> str:
    best: dict[tuple[str, int], dict[str, Any]] = {}
    for row in r["members"]:
        held = best.setdefault((row["true"], row["day"]), {"found": "", "both": 0, "of": row["of"], "in": 0})
        if row["both"] > held["both"]:
            held.update({key: row[key] for key in ("found", "both", "in")})
    days = {key: b for key, b in sorted(best.items(), key=lambda item: item[0][1]) if b["of"] >= 10}
    names: dict[str, list[tuple[int, str]]] = {}
    pure = []
    for (true, day), b in days.items():
        if b["found"] and 2 * b["both"] >= b["of"]:
            names.setdefault(true, []).append((day, b["found"]))
            pure.append(b["both"] / max(b["in"], 1))
    after = [(a[1], b[1]) for told in names.values() for a, b in pairwise(told)]
    each = np.mean([len({name for _, name in told}) for told in names.values()]) if names else float("nan")
    births, deaths = _births_and_deaths(r, days, names)
    return (
        f"| {r['folder'].name} | {len({true for true, _ in days})} | {len(days)} | {len(pure)} | "
        f"{sum(a == b for a, b in after)}/{len(after)} | {each:.2f} | {np.mean(pure) if pure else 0:.2f} | "
        f"{births} | {deaths} |"
    )


def _births_and_deaths(
    r: Done, days: dict[tuple[str, int], dict[str, Any]], names: dict[str, list[tuple[int, str]]]
) -> tuple[str, str]:
    table = pq.read_table(r["folder"] / "darknet.campaigns-campaigns.parquet")
    name = table["campaign"].to_pylist()
    born = dict(zip(name, table["born"].cast(pa.int64()).to_pylist(), strict=True))
    last = dict(zip(name, table["last"].cast(pa.int64()).to_pylist(), strict=True))
    births, deaths = [], []
    for true in {true for true, _ in days}:
        own = [day for other, day in days if other == true]
        told = names.get(true)
        if min(own) > r["start"] + DAY:
            births.append(bool(told) and abs(born.get(told[0][1], 0) - min(own)) <= DAY)
        if max(own) < r["end"] - 3 * DAY:
            deaths.append(bool(told) and abs(last.get(told[-1][1], 0) - max(own)) <= DAY)
    return f"{sum(births)}/{len(births)}", f"{sum(deaths)}/{len(deaths)}"
