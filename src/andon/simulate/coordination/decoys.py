"""What looks like coordinated activity and is none: surveys that wake in step, answers to floods, sensors that fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..internet.addresses import Sources
from ..internet.session import FIXED
from .background import addresses
from .bank import Bank
from .scenario import Scenario

SURVEY, BACKSCATTER, REBOOT = "decoy-survey", "decoy-backscatter", "decoy-reboot"


@dataclass(frozen=True)
class Decoy:
    """``way``: "step" (survey), "carpet" (victims of one network answer to one port), "reflection" (servers everywhere
    answer to one dark address), "all" or "block" (the sensor loses all packets, or those of one block)."""

    name: str
    kind: str
    way: str
    begins: int
    ends: int
    ports: tuple[int, ...] = ()
    size: int = 0
    service: int = 0  # port the answers come from
    protocol: int = 6
    block: int = -1


def sessions(decoy: Decoy, number: int, scenario: Scenario, bank: Bank, networks: np.ndarray) -> np.ndarray:
    """Sessions of a survey or of answers; none for a failing sensor."""
    rng = np.random.default_rng([scenario.seed, 9, number])
    if decoy.way == "step":
        blocks = Sources(rng, scenario.blocks)
        src = np.concatenate([blocks.draw_block(decoy.size // 3) for _ in range(3)])
        tool = ("zmap", "masscan", "connect")[number % 3]
    elif decoy.way == "carpet":
        network = addresses(networks, rng.integers(0, 2**64, 1, dtype=np.uint64))[0] & np.uint32(0xFFFFF000)
        src = network + rng.permutation(4094)[: decoy.size].astype(np.uint32) + np.uint32(1)
        tool = ("synack", "rst")[number % 2]
    elif decoy.way == "reflection":
        src = addresses(networks, rng.integers(0, 2**64, decoy.size, dtype=np.uint64))
        tool = "udp"
    else:
        return bank.rows(np.zeros(0, np.int64), np.zeros(0, np.uint32), rng)
    rows = bank.rows(bank.tools(((tool, 1),), 1).repeat(len(src)), src, rng)
    rows["truth"] = number
    rows["retries"] = 0
    rows["dst_len"] = scenario.addresses
    lasts = decoy.ends - decoy.begins
    if decoy.way == "step":
        rows["ports_off"], rows["ports_len"] = bank.pool.weighted(tuple((p, 1) for p in decoy.ports))
        rows["start"] = decoy.begins + rng.integers(0, 240_000_000_000, len(src))
        rows["n"] = 1 + rng.poisson(
            max(4.0, 1.5 * scenario.addresses * len(decoy.ports) / len(src)), len(src)
        )
    else:
        rows["swap"] = 1
        rows["sport_mode"], rows["sport"], rows["sport_span"] = FIXED, decoy.ports[0], 1
        rows["ports_off"], rows["ports_len"] = decoy.service, 1
        rows["start"] = decoy.begins + rng.integers(0, max(lasts // 4, 1), len(src))
        rows["n"] = 1 + rng.poisson(3.0, len(src))
        if decoy.way == "reflection":
            rows["dst_off"], rows["dst_len"] = rng.integers(0, scenario.addresses), 1
    rows["end"] = decoy.ends
    return rows
