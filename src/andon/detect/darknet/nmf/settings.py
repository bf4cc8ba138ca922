"""Parameters of Dark-NMF: as published by default, each known fault corrected by a switch (docs/factorisation.md)."""

from __future__ import annotations

from dataclasses import dataclass

from andon.detect.darknet.nmf.groups import Rule
from andon.records.contract import Site
from andon.sketch.factors.cells import CELLS
from andon.sketch.factors.settings import Settings

NAMES = (
    "rules",
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
    "least_packets",
    "logarithm",
    "second_stage",
    "second_peak",
    "quiet_spans",
    "surveys_out",
    "lists_out",
    "udp",
    "excluded_ports",
    "usual_ports",
    "surprise",
    "cells",
    "columns",
    "findings",
)
_OVER_LIMIT = {2: 60, 3: 45, 4: 30}  # packets a minute, by octets of a host


@dataclass(frozen=True)
class NmfSetting:
    """See docs/factorisation.md for the meaning, units and ranges of each."""

    solver: str
    ranks: int
    mdl: bool
    iterations: int
    stop: float
    octets: int
    over_limit: int
    rule: Rule
    least_packets: int
    logarithm: bool
    second_stage: bool
    second_peak: float
    quiet_spans: bool
    surveys_out: bool
    lists_out: bool
    udp: bool
    excluded: tuple[int, ...]
    usual_ports: bool
    surprise: float
    cells: int
    columns: int
    findings: int

    @classmethod
    def of(cls, site: Site, engine: str) -> NmfSetting:
        """The site's settings. Raises ValueError with the name of what is wrong."""
        given = Settings(site, engine)
        octets = given.whole("octets", 2, 2, 4)
        return cls(
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
            least_packets=given.whole("least_packets", 1 if given.corrected else 2, 1, 1 << 16),
            logarithm=given.switch("logarithm"),
            second_stage=bool(given.whole("second_stage", 1, 0, 1)),
            second_peak=given.number("second_peak", 98.0, 0.0, 100.0) / 100.0,
            quiet_spans=given.switch("quiet_spans"),
            surveys_out=given.switch("surveys_out"),
            lists_out=given.switch("lists_out"),
            udp=given.switch("udp"),
            excluded=given.ports("excluded_ports"),
            usual_ports=given.switch("usual_ports"),
            surprise=given.number("surprise", 6.0, 0.0, 300.0),
            cells=given.whole("cells", CELLS, 1000, 1 << 24),
            columns=given.whole("columns", 20_000, 10, 1 << 20),
            findings=given.whole("findings", 20, 1, 10_000),
        )
