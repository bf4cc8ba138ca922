"""Parameters of Dark-NTD: as published by default, each known fault corrected by a switch (docs/factorisation.md)."""

from __future__ import annotations

from dataclasses import dataclass

from andon.records.contract import Site
from andon.sketch.factors.cells import CELLS
from andon.sketch.factors.settings import Settings

NAMES = (
    "rules",
    "core",
    "restarts",
    "seed",
    "threshold",
    "least_packets",
    "own_thresholds",
    "core_couples",
    "coupling",
    "surveys_out",
    "lists_out",
    "udp",
    "excluded_ports",
    "usual_ports",
    "surprise",
    "cells",
    "findings",
)


@dataclass(frozen=True)
class NtdSetting:
    """See docs/factorisation.md for the meaning, units and ranges of each."""

    core: int
    restarts: int
    seed: int
    threshold: float
    least_packets: int
    own_thresholds: bool
    core_couples: bool
    coupling: float
    surveys_out: bool
    lists_out: bool
    udp: bool
    excluded: tuple[int, ...]
    usual_ports: bool
    surprise: float
    cells: int
    findings: int

    @classmethod
    def of(cls, site: Site, engine: str) -> NtdSetting:
        """The site's settings. Raises ValueError with the name of what is wrong."""
        given = Settings(site, engine)
        return cls(
            core=given.whole("core", 5, 1, 30),
            restarts=given.whole("restarts", 4, 1, 100),
            seed=given.whole("seed", 1, 0, 1 << 31),
            threshold=given.number("threshold", 0.0, 0.0, 1.0),
            least_packets=given.whole("least_packets", 1 if given.corrected else 2, 1, 1 << 16),
            own_thresholds=given.switch("own_thresholds"),
            core_couples=given.switch("core_couples"),
            coupling=given.number("coupling", 0.1, 0.0, 1.0),
            surveys_out=given.switch("surveys_out"),
            lists_out=bool(given.whole("lists_out", 1, 0, 1)),
            udp=given.switch("udp"),
            excluded=given.ports("excluded_ports"),
            usual_ports=given.switch("usual_ports"),
            surprise=given.number("surprise", 6.0, 0.0, 300.0),
            cells=given.whole("cells", CELLS, 1000, 1 << 24),
            findings=given.whole("findings", 20, 1, 10_000),
        )
