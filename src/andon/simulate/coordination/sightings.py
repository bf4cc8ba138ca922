"""What the telescope sees of planted activity: played out alone, for a session's packets depend on nothing else."""

from __future__ import annotations

import numpy as np

from .scenario import HOUR
from .stream import Player, World, recorded

SIGHTING = np.dtype([("number", "i4"), ("src", "u4"), ("port", "u2"), ("protocol", "u1"), ("ts", "i8")])
_PROTOCOL = np.array([6, 17, 1, 1], np.uint8)


def sightings(world: World) -> np.ndarray:
    """Every recorded packet of planted sessions, in time order: ``number`` of its botnet or decoy, source,
    destination port, protocol, time (ns)."""
    scenario = world.scenario
    player = Player(scenario, world.ports)
    parts = []
    for begin in range(scenario.start_ns, scenario.end_ns, HOUR):
        low, high = np.searchsorted(world.planted["start"], [begin, begin + HOUR])
        player.add(world.planted[low:high])
        rows = player.until(begin + HOUR)
        rows = rows[recorded(rows, world.outages, scenario)]
        made = np.zeros(len(rows), SIGHTING)
        made["number"] = player.table["truth"][rows["session"]]
        made["src"], made["ts"] = rows["src"], rows["ts"]
        made["port"] = np.where(rows["kind"] <= 1, rows["dport"], 0)
        made["protocol"] = _PROTOCOL[rows["kind"]]
        parts.append(made[np.argsort(made["ts"], kind="stable")])
    return np.concatenate(parts)
