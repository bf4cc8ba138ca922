"""A case and what is said of it: verdicts, checks, suppressions, the judgement of the attacker. Times are ns, UTC.

Findings and episodes of one host within four hours are one case. A case is state in the casebook and changes with a
version; what is told about it (notes, verdicts, merges) is only ever added to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from andon.records.finding import SEVERITIES, Evidence

LONGEST_CASE: Final = 4 * 3600 * 1_000_000_000  # ns; a chatty host would otherwise have one case a day
CASE_GAP: Final = 1_800 * 1_000_000_000  # ns without anything new ends a case

OPEN, CLOSED, MERGED = "open", "closed", "merged"
STATES: Final = (OPEN, CLOSED, MERGED)

TRUE, BENIGN, FALSE, UNSURE = "true-positive", "benign-positive", "false-positive", "unsure"
LABELS: Final = (TRUE, BENIGN, FALSE, UNSURE)
# Why an analyst was asked; it weighs what the verdict may teach (learn).
SHOWN: Final = ("top", "uncertain", "audit", "manual", "bulk")

PASSED, FAILED, NOT_KNOWN = "passed", "failed", "unknown"

# Levels of threat are the severities of findings; "" means not judged.
LEVELS: Final = SEVERITIES
HACKTIVIST, FINANCIAL, TARGETED = "hacktivist", "financial", "targeted"
CLASSES: Final = (HACKTIVIST, FINANCIAL, TARGETED)


@dataclass(frozen=True)
class CheckResult:
    """One question that an expert would ask about a case, and the answer.

    ``outcome``: PASSED speaks for a real attack that matters, FAILED against it, NOT_KNOWN for neither. ``weight``:
    log-odds that the answer adds to "worth acting on" (0 where unknown). ``evidence`` can be checked by others."""

    name: str
    outcome: str
    statement: str
    weight: float = 0.0
    evidence: tuple[Evidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "outcome": self.outcome,
            "statement": self.statement,
            "weight": round(self.weight, 4),
            "evidence": [item.to_dict() for item in self.evidence],
        }


@dataclass(frozen=True)
class Verification:
    """What tier 2 made of a case. ``decision``: "act", "inspect" (a human has to look) or "dismiss" (kept,
    searchable, not put before anyone); ``log_odds`` that it is worth acting on."""

    decision: str
    log_odds: float
    statement: str
    checks: tuple[CheckResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "decision": self.decision,
            "log_odds": round(self.log_odds, 4),
            "statement": self.statement,
            "checks": [check.to_dict() for check in self.checks],
        }


@dataclass(frozen=True)
class Observation:
    """Something seen in a case that may tell what kind of attacker it is. ``kind``: "technique" (T1486), "software"
    (name), "file-name", "path", "registry", "mutex", "port", "user-agent", "command", "domain", "hash"...
    ``confidence`` 0..1 of the detection; ``where``: id of the finding or episode."""

    kind: str
    value: str
    confidence: float = 1.0
    where: str = ""


@dataclass(frozen=True)
class LedgerLine:
    """What one observation says: log-odds for each class of ``CLASSES``, and why in words."""

    observation: Observation
    weights: Mapping[str, float]
    statement: str


@dataclass(frozen=True)
class Attacker:
    """Set-valued: the classes that stay possible at the promised error; all or none: not enough evidence."""

    classes: tuple[str, ...]
    probabilities: Mapping[str, float]
    ledger: tuple[LedgerLine, ...]
    statement: str
    groups: tuple[tuple[str, float, str], ...] = ()  # (name, likeness 0..1, by what): never a bare name

    def to_dict(self) -> dict[str, Any]:
        return {
            "classes": list(self.classes),
            "probabilities": {name: round(p, 4) for name, p in self.probabilities.items()},
            "statement": self.statement,
            "ledger": [
                {
                    "kind": line.observation.kind,
                    "value": line.observation.value,
                    "confidence": line.observation.confidence,
                    "where": line.observation.where,
                    "weights": {name: round(w, 4) for name, w in line.weights.items()},
                    "statement": line.statement,
                }
                for line in self.ledger
            ],
            "groups": [{"name": n, "likeness": round(p, 4), "by": why} for n, p, why in self.groups],
        }


@dataclass(frozen=True)
class Threat:
    """``level`` of LEVELS from class, asset, certainty and stage, each with its reason."""

    level: str
    stage: str
    statement: str
    parts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "stage": self.stage,
            "statement": self.statement,
            "parts": dict(self.parts),
        }


@dataclass(frozen=True)
class Case:
    """``items`` are (kind, id) with kind "finding" or "episode". ``priority``: the queue's order, higher first.
    ``judgement``: {"verification": ..., "attacker": ..., "threat": ...}, the ``to_dict`` of each."""

    id: str
    version: int
    state: str
    tier: str
    level: str
    priority: float
    title: str
    statement: str
    entities: tuple[tuple[str, str], ...]  # (type, value); the first is the host
    first_seen: int
    last_seen: int
    opened: int
    updated: int
    assignee: str = ""
    site: str = ""
    merged_into: str = ""
    items: tuple[tuple[str, str], ...] = ()
    judgement: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Verdict:
    """What an analyst said of a case, an episode or a finding. Never changed; a later one of the same analyst about
    the same subject stands beside it."""

    subject: tuple[str, str]  # ("case" | "episode" | "finding", id)
    label: str
    analyst: str
    reason: str = ""  # code of a reason, or words
    shown: str = "manual"
    note: str = ""
    time: int = 0
    model: str = ""  # digest of the model that had ranked it
    id: int = 0  # given by the casebook

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"label {self.label!r} is none of {', '.join(LABELS)}")
        if self.shown not in SHOWN:
            raise ValueError(f"{self.shown!r} is none of {', '.join(SHOWN)}")


@dataclass(frozen=True)
class Suppression:
    """What is not to be shown, until when and on whose word. Empty fields match anything; at least one of site, host,
    product, rule, source is given. ``source``: an address or CIDR. Suppressed episodes are stored, counted and never
    put in the queue."""

    owner: str
    reason: str
    expires: int
    site: str = ""
    host: str = ""
    product: str = ""
    rule: str = ""
    source: str = ""
    created: int = 0
    revoked: int | None = None
    hits: int = 0
    id: int = 0
