"""The truth about identity: who belonged to which campaign on which day, and which ports it scanned when."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from .scenario import DAY, Scenario
from .sightings import sightings
from .stream import World

_TIME: Final = pa.timestamp("ns", tz="UTC")
_PORT: Final = pa.struct([("port", pa.uint16()), ("protocol", pa.uint8())])
CAMPAIGNS: Final = pa.schema(
    [
        ("campaign", pa.string()),
        ("day", _TIME),  # midnight UTC it begins with
        ("src", pa.uint32()),
        ("packets", pa.int64()),  # that the telescope recorded
    ]
)
PORT_SETS: Final = pa.schema(
    [
        ("lineage", pa.string()),  # name of the botnet
        ("campaign", pa.bool_()),  # followed in CAMPAIGNS
        ("stage", pa.int32()),  # 0, 1, ...
        ("ports", pa.list_(_PORT)),
        ("weights", pa.list_(pa.int32())),
        ("tool", pa.string()),
        ("active", pa.bool_()),  # False: it pauses
        ("since", _TIME),
        ("until", _TIME),
        ("sources", pa.int64()),  # distinct seen on these ports meanwhile
        ("source_200", _TIME),  # when the 200th of them was first seen; null if there were fewer
    ]
)


def campaigns(scenario: Scenario) -> pa.Table:
    """One row per campaign, day and source that was seen, schema ``CAMPAIGNS``."""
    return campaign_table(World(scenario))


def campaign_table(world: World) -> pa.Table:
    """As ``campaigns``, of a world that is laid out already."""
    followed = np.array([b.campaign for b in world.plan.botnets] + [False] * len(world.plan.decoys), bool)
    seen = sightings(world)
    seen = seen[followed[seen["number"]]] if len(followed) else seen
    key = np.zeros(len(seen), [("number", "i4"), ("day", "i8"), ("src", "u4")])
    key["number"], key["day"], key["src"] = seen["number"], seen["ts"] // DAY * DAY, seen["src"]
    rows, packets = np.unique(key, return_counts=True)
    names = [b.name for b in world.plan.botnets]
    columns = [
        pa.array([names[i] for i in rows["number"].tolist()], pa.string()),
        pa.array(rows["day"], _TIME),
        pa.array(rows["src"]),
        pa.array(packets.astype(np.int64)),
    ]
    return pa.table(columns, schema=CAMPAIGNS)


def port_sets(scenario: Scenario) -> pa.Table:
    """One row per stage of every botnet, schema ``PORT_SETS``."""
    return port_set_table(World(scenario))


def port_set_table(world: World) -> pa.Table:
    """As ``port_sets``, of a world that is laid out already."""
    seen = sightings(world)
    rows: list[dict[str, Any]] = []
    for number, botnet in enumerate(world.plan.botnets):
        mine = seen[seen["number"] == number]
        protocol = int(mine["protocol"][0]) if len(mine) else 6
        ends = [*(s.at for s in botnet.stages[1:]), botnet.ends]
        for i, (stage, until) in enumerate(zip(botnet.stages, ends, strict=True)):
            part = mine[(mine["ts"] >= stage.at) & (mine["ts"] < until)]
            _, first = np.unique(part["src"], return_index=True)
            times = np.sort(part["ts"][first])
            rows.append(
                {
                    "lineage": botnet.name, "campaign": botnet.campaign, "stage": i, "tool": stage.tool,
                    "ports": [{"port": p, "protocol": protocol} for p, _ in stage.ports],
                    "weights": [w for _, w in stage.ports], "active": stage.active,
                    "since": stage.at // 1000 * 1000, "until": until // 1000 * 1000, "sources": len(first),
                    "source_200": int(times[199]) if len(times) >= 200 else None,
                }
            )  # fmt: skip
    return pa.table([pa.array([row[f.name] for row in rows], f.type) for f in PORT_SETS], schema=PORT_SETS)
