"""Scoring against the truth: precision and recall over sets of addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Which tool of the catalogue forms the packets of which simulated stack. New ZMap has no relation, so no name.
TOOL_OF_STACK = {
    "mirai": "mirai",
    "masscan": "masscan",
    "masscan-old": "masscan",
    "zmap-old": "zmap",
    "unicornscan": "unicornscan",
    "nmap": "nmap",
    "nmap-old": "nmap",
    "hajime": "hajime",
}


@dataclass(frozen=True)
class Score:
    """How a set that was found compares with the true one.

    >>> Score.of("mirai", true={1, 2, 3, 4}, found={2, 3, 4, 9})
    Score(name='mirai', true=4, found=4, right=3)
    """

    name: str
    true: int
    found: int
    right: int

    @classmethod
    def of(cls, name: str, true: Iterable[int], found: Iterable[int]) -> Score:
        real, said = set(true), set(found)
        return cls(name, len(real), len(said), len(real & said))

    @property
    def precision(self) -> float | None:
        """Share of what was found that is right; None if nothing was found."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the truth that was found; None if there was nothing to find."""
        return self.right / self.true if self.true else None

    def to_dict(self) -> dict[str, str | int | float | None]:
        return {
            "name": self.name,
            "true": self.true,
            "found": self.found,
            "right": self.right,
            "precision": self.precision,
            "recall": self.recall,
        }
