"""Everything that will send, laid out from a configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import session as s
from .addresses import Sources, Space, space
from .apportion import apportion
from .builder import CONTAMINATED, Builder, Event, TruthRows
from .catalogue import default_families
from .config import InternetConfig
from .layout import add_family
from .noise import add_contamination, add_noise
from .session import SESSION


@dataclass
class Population:
    """Everything that will send: sessions by start time, the pool of ports, truth rows, solved relations."""

    config: InternetConfig
    space: Space
    sessions: np.ndarray
    ports: np.ndarray
    truth: TruthRows
    relations: list[str]
    events: list[Event]
    spoofed: np.ndarray  # sessions that make up their sources


def populate(config: InternetConfig) -> Population:
    """Lay out every session of the configuration. The packets of all sessions sum to ``config.packets``."""
    where = space(config.blocks)
    b = Builder(config, where, Sources(np.random.default_rng([config.seed, 0]), config.blocks))
    table = default_families(config) if config.families is None else config.families
    families = [*table, *config.extra]
    rng = b.rng("")
    noise = config.packets if not families else round(config.packets * config.noise)
    weights = np.array([f.weight for f in families])
    totals = apportion(weights, config.packets - noise, rng)
    scanning = np.array([f.kind in CONTAMINATED for f in families], bool)
    foreign = round(config.contamination * int(totals[scanning].sum())) if families else 0
    if foreign:
        totals[scanning] -= apportion(totals[scanning], foreign, rng)
    for f, total in zip(families, totals.tolist(), strict=True):
        add_family(b, f, total)
    add_contamination(b, foreign)
    add_noise(b, noise)
    sessions = np.concatenate(b.chunks) if b.chunks else np.zeros(0, SESSION)
    sessions = sessions[np.argsort(sessions["start"], kind="stable")]
    b.events.sort()
    spoofed = np.flatnonzero(sessions["src_mode"] == s.SPOOFED)
    return Population(config, where, sessions, b.pool.array(), b.truth, b.relations, b.events, spoofed)
