"""What growing gives back: the members with their probability and path, what they share with strangers, what was
left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from andon.records.finding import timestamp


@dataclass(frozen=True)
class Step:
    """One tie on the way from a seed to a member."""

    source: tuple[str, str]
    relation: str
    target: tuple[str, str]
    first: int | None
    last: int | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": {"kind": self.source[0], "value": self.source[1]},
            "relation": self.relation,
            "target": {"kind": self.target[0], "value": self.target[1]},
            "first": None if self.first is None else timestamp(self.first),
            "last": None if self.last is None else timestamp(self.last),
        }


@dataclass(frozen=True)
class Member:
    """``probability`` that it belongs to the campaign of the seeds; ``score``: of the random walk from the seeds;
    ``path``: from a seed; ``why`` in words; ``seed``: it was given."""

    kind: str
    value: str
    probability: float
    score: float
    why: str
    path: tuple[Step, ...] = ()
    seed: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "value": self.value,
            "probability": round(self.probability, 4),
            "score": float(f"{self.score:.3g}"),
            "seed": self.seed,
            "why": self.why,
            "path": [step.to_dict() for step in self.path],
        }


@dataclass(frozen=True)
class Shared:
    """What members have in common with one another and with strangers: it never led anywhere. ``members`` of ``all``
    that have it."""

    kind: str
    value: str
    members: int
    all: int
    why: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "value": self.value,
            "members": self.members,
            "all": self.all,
            "why": self.why,
        }


@dataclass(frozen=True)
class Growth:
    """``members``: most probable first, seeds in front. ``beside``: what came nearest and was not joined.
    ``unknown``: seeds
    that the graph does not hold. ``stopped``: why it ended, in words; ``left_out``: members beyond the most."""

    members: tuple[Member, ...]
    shared: tuple[Shared, ...]
    beside: tuple[Member, ...]
    unknown: tuple[str, ...]
    stopped: str
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "members": [member.to_dict() for member in self.members],
            "shared": [thing.to_dict() for thing in self.shared],
            "beside": [member.to_dict() for member in self.beside],
            "unknown": list(self.unknown),
            "stopped": self.stopped,
            "left_out": self.left_out,
        }
