"""How far an attack got: tactics of the techniques that were seen, as stages of the kill chain.

Hutchins, Cloppert and Amin, *Intelligence-Driven Computer Network Defense* (2011), in the five steps that an operator
acts on differently. A technique of several tactics counts for the earliest, and one that is hardly sure for nothing:
a stage that is told too high costs a host its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from andon.records.case import Observation
from andon.triage.attacker.hints import TACTICS, found_in
from andon.triage.attacker.knowledge import Knowledge
from andon.triage.attacker.vocabulary import parent

NOTHING, LOOKING, ENTRY, FOOTHOLD, SPREAD, OBJECTIVE = (
    "unknown", "reconnaissance", "entry", "foothold", "spread", "objective",
)  # fmt: skip
STAGES: Final = (NOTHING, LOOKING, ENTRY, FOOTHOLD, SPREAD, OBJECTIVE)
VALUE: Final = {NOTHING: 0.3, LOOKING: 0.1, ENTRY: 0.3, FOOTHOLD: 0.6, SPREAD: 0.8, OBJECTIVE: 1.0}
_OF_TACTIC: Final = {
    "reconnaissance": LOOKING, "resource-development": LOOKING, "initial-access": ENTRY, "execution": FOOTHOLD,
    "persistence": FOOTHOLD, "privilege-escalation": FOOTHOLD, "defense-evasion": FOOTHOLD, "stealth": FOOTHOLD,
    "defense-impairment": FOOTHOLD, "command-and-control": FOOTHOLD, "credential-access": SPREAD, "discovery": SPREAD,
    "lateral-movement": SPREAD, "collection": OBJECTIVE, "exfiltration": OBJECTIVE, "impact": OBJECTIVE,
}  # fmt: skip
# Seen from outside these are tries, whatever their tactic: guessing passwords, and looking for services.
_TRIES: Final = {"T1110": LOOKING, "T1046": LOOKING}
_LEAST_SURE: Final = 0.5


@dataclass(frozen=True)
class Stage:
    """``name`` of STAGES; ``value`` 0..1; ``statement`` says by what."""

    name: str
    value: float
    statement: str


def stage_of(seen: Sequence[Observation], knowledge: Knowledge | None, reached: str = "") -> Stage:
    """The furthest stage that the techniques of a case show. ``reached``: a stage that a check has shown (a session
    that was answered is at least ENTRY), which counts if it is further.

    >>> stage_of([Observation("command", "vssadmin delete shadows /all")], None).name
    'objective'
    """
    best, by = NOTHING, ""
    found = [(item.value, item.confidence) for item in seen if item.kind == "technique"]
    found += [(hint.technique, item.confidence * hint.confidence) for item, hint in found_in(seen)[0]]
    for number, sure in sorted(found):
        stage = _stage(number, knowledge) if sure >= _LEAST_SURE else NOTHING
        if STAGES.index(stage) > STAGES.index(best):
            best, by = stage, number
    if reached in STAGES and STAGES.index(reached) > STAGES.index(best):
        return Stage(reached, VALUE[reached], f"stage {reached}, as a check has shown")
    if best == NOTHING:
        return Stage(best, VALUE[best], "no technique tells how far it got")
    name = knowledge.techniques.get(by, ("", ()))[0] if knowledge is not None else ""
    return Stage(best, VALUE[best], f"stage {best}, by {by}{' ' + name if name else ''}")


def _stage(number: str, knowledge: Knowledge | None) -> str:
    if (tried := _TRIES.get(number) or _TRIES.get(parent(number))) is not None:
        return tried
    tactics: tuple[str, ...] = ()
    if knowledge is not None:
        tactics = (
            knowledge.techniques.get(number, ("", ()))[1]
            or knowledge.techniques.get(parent(number), ("", ()))[1]
        )
    tactics = tactics or TACTICS.get(number, ())
    stages = [_OF_TACTIC[tactic] for tactic in tactics if tactic in _OF_TACTIC]
    return min(stages, key=STAGES.index) if stages else NOTHING
