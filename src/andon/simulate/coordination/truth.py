"""The truth about a scenario's planted activity: events, what of them was to be seen, and against what baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.coordination import START, STOP

from .baseline import Baseline
from .botnets import Botnet, Stage
from .limit import excess, is_missed, least_new, missed_excess
from .scenario import DAY, HOUR, Scenario
from .sightings import sightings
from .stream import World

_TIME: Final = pa.timestamp("ns", tz="UTC")
_PORT: Final = pa.struct([("port", pa.uint16()), ("protocol", pa.uint8())])
SPANS: Final = {"10min": HOUR // 6, "1h": HOUR, "1d": DAY}
EVENTS: Final = pa.schema(
    [
        ("name", pa.string()),
        (
            "kind",
            pa.string(),
        ),  # wake-up, stop, slow-worm, fast-worm, port-set-change, small-botnet, decoy-...
        ("direction", pa.string()),  # START or STOP
        ("ports", pa.list_(_PORT)),  # empty: no port in particular (a sensor that fails)
        ("begins", _TIME),
        ("ends", _TIME),  # of the change itself: the last bot of the wave has come, or gone
        ("sources", pa.int64()),  # distinct that reached the telescope on these ports while it lasted
        ("decoy", pa.bool_()),
        # Largest number of its new sources on one port in an aligned span; for a stop, of active ones that are missing
        *((f"most_new_{span}", pa.int64()) for span in SPANS),
        # and what the port's background is expected to bring in that span: new sources, or active ones for a stop.
        *((f"baseline_{span}", pa.float64()) for span in SPANS),
        ("above_limit", pa.bool_()),
        (
            "excess",
            pa.float64(),
        ),  # see ``limit.excess``: 6 and more is one chance in a million on that port and span
    ]
)


@dataclass(frozen=True)
class Change:
    """One event of a botnet or decoy, before it is measured."""

    number: int
    name: str
    kind: str
    direction: str
    ports: tuple[int, ...]
    begins: int
    ends: int
    until: int  # its new sources are counted up to here
    decoy: bool = False


def changes(botnet: Botnet, number: int, scenario: Scenario) -> Iterator[Change]:
    """What happens to a botnet inside the scenario."""
    name, stages = botnet.name, botnet.stages
    nexts = [*(s.at for s in stages[1:]), botnet.ends]
    if botnet.begins > scenario.start_ns:
        until = min(botnet.begins + botnet.wave, nexts[0])
        yield Change(number, name, botnet.kind, START, _ports(stages[0]), botnet.begins, until, until)
    for i, (before, stage) in enumerate(pairwise(stages), 1):
        until = min(stage.at + DAY, nexts[i])
        if stage.active and not before.active:
            yield Change(
                number, f"{name}/resumes", "wake-up", START, _ports(stage), stage.at, stage.at + HOUR, until
            )
        elif before.active and not stage.active:
            yield Change(number, f"{name}/pauses", "stop", STOP, _ports(before), stage.at, stage.at, stage.at)
        elif stage.ports != before.ports:
            added = tuple(p for p in _ports(stage) if p not in _ports(before))
            gone = tuple(p for p in _ports(before) if p not in _ports(stage))
            label = f"{name}/ports-{i}"
            if added:
                yield Change(
                    number,
                    label,
                    "port-set-change",
                    START,
                    added,
                    stage.at,
                    min(stage.at + HOUR, until),
                    until,
                )
            if gone:
                yield Change(
                    number, f"{label}-left", "port-set-change", STOP, gone, stage.at, stage.at, stage.at
                )
    if botnet.ends < scenario.end_ns:
        ports = _ports(stages[-1])
        yield Change(
            number,
            f"{name}/stops",
            "stop",
            STOP,
            ports,
            botnet.ends - botnet.stop_wave,
            botnet.ends,
            botnet.ends,
        )


def _ports(stage: Stage) -> tuple[int, ...]:
    return tuple(p for p, _ in stage.ports)


def events(scenario: Scenario) -> pa.Table:
    """All events of a scenario in order of time, schema ``EVENTS``. Costs as much as playing what is planted."""
    return event_table(World(scenario))


def event_table(world: World) -> pa.Table:
    """As ``events``, of a world that is laid out already."""
    scenario = world.scenario
    seen = sightings(world)
    seen = seen[np.argsort(seen["number"], kind="stable")]
    edges = np.searchsorted(seen["number"], np.arange(len(world.plan.botnets) + len(world.plan.decoys) + 1))
    baseline = Baseline(world.background, world.surveys)
    rows: list[dict[str, Any]] = []
    for number, botnet in enumerate(world.plan.botnets):
        mine = seen[edges[number] : edges[number + 1]]
        rows += [_measured(c, mine, baseline) for c in changes(botnet, number, scenario)]
    for i, decoy in enumerate(world.plan.decoys):
        number = len(world.plan.botnets) + i
        mine = seen[edges[number] : edges[number + 1]]
        change = Change(
            number, decoy.name, decoy.kind, START, decoy.ports, decoy.begins, decoy.ends, decoy.ends, True
        )
        rows.append(_measured(change, mine, baseline))
    rows.sort(key=lambda row: (row["begins"], row["name"]))
    columns = [pa.array([row[f.name] for row in rows], f.type) for f in EVENTS]
    return pa.table(columns, schema=EVENTS)


def _measured(change: Change, mine: np.ndarray, baseline: Baseline) -> dict[str, Any]:
    """The row of an event: ``mine`` are all sightings of its botnet or decoy in time order."""
    protocol = int(mine["protocol"][0]) if len(mine) else 6
    row: dict[str, Any] = {
        "name": change.name, "kind": change.kind, "direction": change.direction,
        "begins": change.begins // 1000 * 1000, "ends": change.ends // 1000 * 1000, "decoy": change.decoy,
        "above_limit": False, "excess": 0.0,
        "ports": [{"port": p, "protocol": protocol} for p in change.ports],
    }  # fmt: skip
    row |= {f"most_new_{span}": 0 for span in SPANS} | {f"baseline_{span}": 0.0 for span in SPANS}
    measure = _new if change.direction == START else _missing
    sources = [
        measure(row, mine[mine["port"] == port], change, baseline, port, protocol) for port in change.ports
    ]
    row["sources"] = len(np.unique(np.concatenate(sources))) if sources else 0
    return row


def _new(
    row: dict[str, Any], on_port: np.ndarray, change: Change, baseline: Baseline, port: int, protocol: int
) -> np.ndarray:
    src, first = np.unique(on_port["src"], return_index=True)
    at = on_port["ts"][first]
    inside = (at >= change.begins) & (at <= change.until)
    src, at = src[inside], at[inside]
    for span, length in SPANS.items():
        starts, count = np.unique(at // length * length, return_counts=True)
        if not len(starts):
            continue
        expected = baseline.new(port, protocol, starts, length)
        row["above_limit"] |= bool((count >= least_new(expected)).any())
        surprise = excess(count, expected, baseline.spread(port, protocol, length))
        row["excess"] = max(row["excess"], float(surprise.max()))
        best = int(count.argmax())
        if count[best] > row[f"most_new_{span}"]:
            row[f"most_new_{span}"], row[f"baseline_{span}"] = int(count[best]), float(expected[best])
    return src


def _missing(
    row: dict[str, Any], on_port: np.ndarray, change: Change, baseline: Baseline, port: int, protocol: int
) -> np.ndarray:
    """Sources of the last day before the stop, and how many of them are active in a span on average."""
    since = max(change.begins - DAY, baseline.begin)
    before = on_port[(on_port["ts"] >= since) & (on_port["ts"] < change.begins)]
    for span, length in SPANS.items():
        whole = max((change.begins - since) // length, 1)
        cell = ((before["ts"] - since) // length).astype(np.uint64)
        active = len(np.unique(before["src"].astype(np.uint64) << np.uint64(24) | cell)) / whole
        others = float(
            baseline.active(port, protocol, np.array([change.begins // length * length]), length)[0]
        )
        row["above_limit"] |= bool(is_missed(active, others))
        surprise = missed_excess(active, others, baseline.spread(port, protocol, length))
        row["excess"] = max(row["excess"], surprise)
        if active > row[f"most_new_{span}"]:
            row[f"most_new_{span}"], row[f"baseline_{span}"] = round(active), others
    found: np.ndarray = np.unique(before["src"])
    return found
