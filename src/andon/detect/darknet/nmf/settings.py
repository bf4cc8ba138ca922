"""Parameters of Dark-NMF: as published by default, each known fault corrected by a switch (docs/factorisation.md)."""

from __future__ import annotations

from dataclasses import dataclass

from andon.detect.darknet.nmf.groups import Rule
from andon.records.contract import Site
from andon.sketch.factors.settings import COMMON, Common, Settings

NAMES = (
    *COMMON,
    "solver",
    "ranks",
    "mdl",
    "iterations",
    "stop",
    "octets",
    "over_limit",
    "mode",
    "peak",
    "share",
    "least",
    "logarithm",
    "second_stage",
    "second_peak",
    "quiet_spans",
    "columns",
)
_OVER_LIMIT = {2: 60, 3: 45, 4: 30}  # packets a minute, by octets of a host


@dataclass(frozen=True)
class NmfSetting(Common):
    """See docs/factorisation.md for the meaning, units and ranges of each."""

    solver: str
    ranks: int
    mdl: bool
    iterations: int
    stop: float
    octets: int
    over_limit: int
    rule: Rule
    logarithm: bool
    second_stage: bool
    second_peak: float
    quiet_spans: bool
    columns: int

    @classmethod
    def of(cls, site: Site, engine: str) -> NmfSetting:
        """The site's settings. Raises ValueError with the name of what is wrong."""
        given = Settings(site, engine)
        octets = given.whole("octets", 2, 2, 4)
        return cls(
            **given.common(),
            solver=given.word("solver", ("mu", "hals")),
            ranks=given.whole("ranks", 10, 1, 30),
            mdl=bool(given.whole("mdl", 0, 0, 1)),
            iterations=given.whole("iterations", 3000, 1, 100_000),
            stop=given.number("stop", 1e-5, 0.0, 1.0),
            octets=octets,
            over_limit=given.whole("over_limit", 0, 0, 1 << 31) or _OVER_LIMIT[octets],
            rule=Rule(
                peak=given.number("peak", 50.0, 0.0, 100.0) / 100.0,
                share=given.number("share", 30.0, 0.0, 100.0) / 100.0,
                least=given.whole("least", 2, 1, 1 << 16),
                mode=given.whole("mode", 1, 0, 1),
            ),
            logarithm=given.switch("logarithm"),
            second_stage=bool(given.whole("second_stage", 1, 0, 1)),
            second_peak=given.number("second_peak", 98.0, 0.0, 100.0) / 100.0,
            quiet_spans=given.switch("quiet_spans"),
            lists_out=given.switch("lists_out"),
            columns=given.whole("columns", 20_000, 10, 1 << 20),
        )
