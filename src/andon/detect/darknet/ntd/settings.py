"""Parameters of Dark-NTD: as published by default, each known fault corrected by a switch (docs/factorisation.md)."""

from __future__ import annotations

from dataclasses import dataclass

from andon.records.contract import Site
from andon.sketch.factors.settings import COMMON, Common, Settings

NAMES = (
    *COMMON,
    "core",
    "restarts",
    "seed",
    "threshold",
    "own_thresholds",
    "core_couples",
    "coupling",
)


@dataclass(frozen=True)
class NtdSetting(Common):
    """See docs/factorisation.md for the meaning, units and ranges of each."""

    core: int
    restarts: int
    seed: int
    threshold: float
    own_thresholds: bool
    core_couples: bool
    coupling: float

    @classmethod
    def of(cls, site: Site, engine: str) -> NtdSetting:
        """The site's settings. Raises ValueError with the name of what is wrong."""
        given = Settings(site, engine)
        return cls(
            **given.common(),
            core=given.whole("core", 5, 1, 30),
            restarts=given.whole("restarts", 4, 1, 100),
            seed=given.whole("seed", 1, 0, 1 << 31),
            threshold=given.number("threshold", 0.0, 0.0, 1.0),
            own_thresholds=given.switch("own_thresholds"),
            core_couples=given.switch("core_couples"),
            coupling=given.number("coupling", 0.1, 0.0, 1.0),
            lists_out=bool(given.whole("lists_out", 1, 0, 1)),
        )
