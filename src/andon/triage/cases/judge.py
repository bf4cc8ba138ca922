"""What is made of a case: verification, attacker, threat, likeness to past ones, and its place in the queue.

``priority`` orders the queue: 1 for what is to be acted on, plus certainty times level (a fifth for informational, one
for critical). So whatever needs somebody's hands stands before whatever needs somebody's eyes, and within each the
worse and surer comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any, Final

from andon.records.case import LEVELS, PASSED, Attacker, Threat, Verification
from andon.records.finding import address_type
from andon.records.neutral import neutral
from andon.records.triage import ACT, SCREENED, TIERS
from andon.triage.attacker import Knowledge, judge, observations
from andon.triage.cases.group import OpenCase
from andon.triage.cases.items import EPISODE, Item
from andon.triage.similar import Past, PastCase, similar, tokens_of
from andon.triage.stages import ENTRY, FOOTHOLD
from andon.triage.threat import asset_value, stage_of, threat

SHOWN_ENTITIES: Final = 50
_ALIKE: Final = 5


@dataclass(frozen=True)
class Material:
    """A case and all that is in it: episodes as rows of ``records.triage.EPISODES``, findings as public documents;
    ``assets``: rows of the asset list about the host; ``past``: closed cases with their verdicts."""

    case: OpenCase
    items: Sequence[Item]
    episodes: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    assets: Sequence[Mapping[str, Any]] = ()
    past: Sequence[PastCase] | Past = ()


@dataclass(frozen=True)
class Judged:
    """What goes into ``records.case.Case``."""

    tier: str
    level: str
    priority: float
    title: str
    statement: str
    entities: tuple[tuple[str, str], ...]
    judgement: Mapping[str, Any] = field(default_factory=dict)


def judged(
    material: Material, verify: Callable[[Material], Verification], knowledge: Knowledge | None
) -> Judged:
    """The case as it stands. ``verify`` is tier 2 with the facts at hand."""
    verified = verify(material)
    seen = observations(material.episodes, material.findings)
    attacker = judge(seen, knowledge)
    certainty = 1.0 / (1.0 + exp(-max(-30.0, min(30.0, verified.log_odds))))
    stage = stage_of(seen, knowledge, reached=_reached(verified))
    danger = threat(attacker, asset=asset_value(material.assets), certainty=certainty, stage=stage)
    tokens = tokens_of(seen, material.episodes, material.findings)
    alike = similar(tokens, material.past, n=_ALIKE)
    tier = _tier(material.case.tier, verified)
    level = danger.level or "informational"
    priority = (tier == ACT) + certainty * (LEVELS.index(level) + 1) / len(LEVELS)
    return Judged(
        tier,
        level,
        round(priority, 6),
        title_of(material),
        _statement(material, verified, attacker, danger),
        _entities(material),
        {
            "certainty": round(certainty, 4),
            "verification": verified.to_dict(),
            "attacker": attacker.to_dict(),
            "threat": danger.to_dict(),
            "similar": [one.to_dict() for one in alike],
            "tokens": sorted(tokens),
        },
    )


def title_of(material: Material) -> str:
    """The host, the strongest thing said of it, and how many more there are."""
    order = sorted(
        material.items, key=lambda i: (TIERS.index(i.tier), -i.severity, -i.certainty, i.first, i.id)
    )
    names = list(dict.fromkeys(item.title for item in order if item.title))
    who = neutral(material.case.host[1])
    if not names:
        return who
    # A finding's title begins with its host already.
    first = names[0] if names[0].startswith(who) else f"{who}: {neutral(names[0])}"
    return first + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")


def _reached(verified: Verification) -> str:
    """The stage that the checks have shown."""
    passed = {check.name for check in verified.checks if check.outcome == PASSED}
    if "behaviour" in passed:
        return FOOTHOLD
    return ENTRY if passed & {"session", "log-in"} else ""


def _tier(tier: str, verified: Verification) -> str:
    if verified.decision == "act":
        return ACT
    if verified.decision == "dismiss":
        return SCREENED
    return tier


def _statement(material: Material, verified: Verification, attacker: Attacker, danger: Threat) -> str:
    episodes = [item for item in material.items if item.kind == EPISODE]
    alerts = sum(int(row["alerts"]) for row in material.episodes)
    products = sorted({str(row["product"]) for row in material.episodes})
    engines = sorted({str(document["engine"]) for document in material.findings})
    said = []
    if episodes:
        said.append(f"{alerts:,} alerts in {len(episodes):,} episodes ({', '.join(products)})")
    if engines:
        said.append(f"{len(material.findings):,} findings ({', '.join(engines)})")
    parts = [" and ".join(said) + f" about {neutral(material.case.host[1])}."]
    parts += [verified.statement, danger.statement, attacker.statement]
    return " ".join(part if part.endswith(".") else part + "." for part in parts if part)


def _entities(material: Material) -> tuple[tuple[str, str], ...]:
    """The host first, its other names, then whom it had to do with, most often named first."""
    made: dict[tuple[str, str], int] = {}
    for row in material.episodes:
        targets = [str(target).partition("/")[0].rpartition(":")[0].strip("[]") for target in row["targets"]]
        for name in filter(None, (*row["sources"], *targets)):
            key = address_type(name, "domain-name"), str(name)
            made[key] = made.get(key, 0) + 1
    for document in material.findings:
        for entity in document["entities"]:
            key = str(entity["type"]), str(entity["value"])
            made[key] = made.get(key, 0) + 1
    host = material.case.host
    others = [(address_type(name, "device"), name) for name in sorted(material.case.names)]
    ranked = sorted(made, key=lambda key: (-made[key], key))
    return tuple(dict.fromkeys([host, *others, *ranked]))[:SHOWN_ENTITIES]
