"""A planted botnet: when its bots are born, stop, change ports or tool, and what the telescope hears of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..internet.family import Ports
from ..internet.session import SESSION
from .background import addresses
from .bank import Bank
from .scenario import DAY, Scenario

E_FOLDS = 6.0  # a worm's growth from its first hosts to its full size


@dataclass(frozen=True)
class Stage:
    """From ``at`` (ns) on the bots scan ``ports`` with ``tool``; ``active`` False: they pause."""

    at: int
    ports: Ports
    tool: str
    active: bool = True


@dataclass(frozen=True)
class Botnet:
    """``kind`` is the kind of event that its birth is; "" if it was there before the scenario. ``size`` bots are seen
    within ``wave`` (ns) of ``begins``, evenly or (``growth``) along an exponential. ``turnover``: share of bots that is
    replaced per day. ``a_day``: median packets of a bot at the telescope per day. All stop within ``stop_wave``
    before ``ends``. ``campaign``: one of those whose identity is followed over days."""

    name: str
    kind: str
    begins: int
    ends: int
    size: int
    wave: int
    stages: tuple[Stage, ...]
    growth: bool = False
    turnover: float = 0.3
    a_day: float = 24.0
    stop_wave: int = 0
    campaign: bool = False


def bots(botnet: Botnet, scenario: Scenario, networks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(first, last, address, packets a day) of every bot, as a structured array in order of time."""
    u = rng.random(botnet.size)
    share = np.log1p(u * np.expm1(E_FOLDS)) / E_FOLDS if botnet.growth else u
    first = botnet.begins + (share * botnet.wave).astype(np.int64)
    settled = botnet.begins + botnet.wave
    later = rng.poisson(max(0.0, botnet.size * botnet.turnover * (botnet.ends - settled) / DAY))
    first = np.concatenate([first, settled + (rng.random(later) * (botnet.ends - settled)).astype(np.int64)])
    made = np.zeros(len(first), [("first", "i8"), ("last", "i8"), ("src", "u4"), ("a_day", "f8")])
    made["first"] = first
    lives = rng.exponential(1 / botnet.turnover, len(first)) if botnet.turnover else np.full(len(first), 1e4)
    stop = botnet.ends - (rng.random(len(first)) * botnet.stop_wave).astype(np.int64)
    made["last"] = np.minimum(first + (np.minimum(lives, 1e4) * DAY).astype(np.int64), stop)
    made["src"] = addresses(networks, rng.integers(0, 2**64, len(first), dtype=np.uint64))
    made["a_day"] = botnet.a_day * np.exp(rng.normal(0, 0.8, len(first)))
    made = made[(made["first"] < scenario.end_ns) & (made["last"] > made["first"])]
    made = made[np.argsort(made["first"], kind="stable")]
    _, once = np.unique(made["src"], return_index=True)
    kept: np.ndarray = made[np.sort(once)]
    return kept


def sessions(botnet: Botnet, number: int, scenario: Scenario, bank: Bank, networks: np.ndarray) -> np.ndarray:
    """Sessions of a botnet; ``truth`` of the rows is ``number``."""
    rng = np.random.default_rng([scenario.seed, 8, number])
    who = bots(botnet, scenario, networks, rng)
    born = botnet.begins > scenario.start_ns
    stages = (*botnet.stages, Stage(botnet.ends, (), ""))
    parts = []
    rows, tool = np.zeros(0, SESSION), ""
    for stage, after in pairwise(stages):
        if stage.tool != tool:
            tool = stage.tool
            rows = bank.rows(bank.tools(((tool, 1),), 1).repeat(len(who)), who["src"], rng)
            rows["dst_len"] = scenario.addresses
            rows["retries"] = 0
        rows["key"] = rng.integers(0, 2**64, len(who), dtype=np.uint64)
        rows["truth"] = number
        rows["ports_off"], rows["ports_len"] = bank.pool.weighted(stage.ports)
        begin, end = np.maximum(who["first"], stage.at), np.minimum(who["last"], after.at)
        lasts = np.maximum(end - begin, 0)
        packets = rng.poisson(who["a_day"] * lasts / DAY)
        fresh = (who["first"] >= stage.at) & born & (lasts > 0)
        packets = packets + fresh
        rest = -np.expm1(np.log(rng.random(len(who)) + 1e-12) / np.maximum(packets, 1))
        rows["n"] = packets
        rows["start"] = np.where(fresh, begin, begin + (rest * lasts).astype(np.int64))
        rows["end"] = end
        if stage.active:
            parts.append(rows[(packets > 0) & (lasts > 0)].copy())
    return np.concatenate(parts) if parts else rows[:0]
