"""Settings that the operator writes, read with errors that name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from andon.records.contract import Site
from andon.sketch.factors.cells import CELLS

# What the operators of the published systems take out beforehand; known for Dark-NTD.
USUAL_PORTS = "22 23 80 81 445 1433 2323 3389 5555 8080 52869"
COMMON = (
    "rules",
    "least_packets",
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
class Common:
    """What every engine that factorises can be told (docs/factorisation.md)."""

    least_packets: int
    surveys_out: bool
    lists_out: bool
    udp: bool
    excluded: tuple[int, ...]
    usual_ports: bool
    surprise: float
    cells: int
    findings: int


class Settings:
    """Values of ``[engine.ENGINE]`` with their ranges. ``corrected``: the setting ``rules``, "published" or
    "corrected", which says what switches are set to unless they are named."""

    def __init__(self, site: Site, engine: str) -> None:
        self._site, self._engine = site, engine
        self.corrected = self.word("rules", ("published", "corrected")) == "corrected"

    def word(self, name: str, words: tuple[str, ...]) -> str:
        """One of the words, the first by default. Raises ValueError."""
        value = self._site.settings.get(f"{self._engine}.{name}", words[0])
        if value not in words:
            raise ValueError(f"setting {self._engine}.{name} is one of {', '.join(words)}, not {value!r}")
        return str(value)

    def switch(self, name: str) -> bool:
        """A correction: on if the rules are the corrected ones, unless set by itself."""
        value = self._site.setting(self._engine, name, self.corrected)
        if value not in (True, False):
            raise ValueError(f"setting {self._engine}.{name} is true or false, not {value!r}")
        return bool(value)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = float(self._site.setting(self._engine, name, default))
        if not low <= value <= high:
            raise ValueError(f"setting {self._engine}.{name} is between {low:g} and {high:g}, not {value:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.number(name, default, low, high)
        if value != int(value):
            raise ValueError(f"setting {self._engine}.{name} is a whole number, not {value:g}")
        return int(value)

    def ports(self, name: str) -> tuple[int, ...]:
        """Ports left out: those of ``USUAL_PORTS`` under the published rules, none under the corrected ones."""
        text = self._site.settings.get(f"{self._engine}.{name}", "" if self.corrected else USUAL_PORTS)
        words = text.replace(",", " ").split() if isinstance(text, str) else list(text)
        try:
            made = tuple(sorted({int(word) for word in words}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"setting {self._engine}.{name} is a list of ports, not {text!r}") from error
        if any(not 0 <= port <= 65535 for port in made):
            raise ValueError(f"setting {self._engine}.{name}: a port is between 0 and 65535")
        return made

    def common(self) -> dict[str, Any]:
        """The fields of ``Common`` but for ``lists_out``, whose default is each engine's own."""
        return {
            "least_packets": self.whole("least_packets", 1 if self.corrected else 2, 1, 1 << 16),
            "surveys_out": self.switch("surveys_out"),
            "udp": self.switch("udp"),
            "excluded": self.ports("excluded_ports"),
            "usual_ports": self.switch("usual_ports"),
            "surprise": self.number("surprise", 6.0, 0.0, 300.0),
            "cells": self.whole("cells", CELLS, 1000, 1 << 24),
            "findings": self.whole("findings", 20, 1, 10_000),
        }
