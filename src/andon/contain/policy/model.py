"""What a policy says: rules from case to wish, what is never touched, and how much may happen without a human."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from andon.contain.policy.classes import CRITICAL, Classes
from andon.contain.warning import WarningList
from andon.records.case import CLASSES, TARGETED, Case
from andon.records.intent import LONGEST, MIRROR, SHORTEST

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
UNKNOWN_ATTACKER: Final = "unknown"
NOTHING: Final = "none"  # an action of rules alone: leave it
OBSERVE: Final = "observe"  # an analyst's choice: mirror only, so as not to warn the attacker


@dataclass(frozen=True)
class Wish:
    """What the policy wants done about a case. ``ttl_ns``; ``approvals``: people besides the requester; ``mirror``: a
    copy of the host's traffic beside the cut; ``enforcers``: names, none: all that can; ``success``: "any" or "all" of
    them; ``reason``: why, in words. ``without_target``: what is done where a pair is to be blocked and nobody knows
    whom the host talks to. ``everywhere``: the destinations are to be blocked for everybody too. ``choices``: what an
    analyst may choose instead."""

    action: str
    ttl_ns: int
    approvals: int
    mirror: bool
    enforcers: tuple[str, ...]
    success: str
    rule: str
    reason: str
    without_target: str = MIRROR
    everywhere: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Empty conditions match anything. ``attackers``: one of them is still possible ("unknown": all or none are);
    ``certainty``: least probability 0..1 that the case is real."""

    name: str
    action: str
    levels: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    attackers: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    certainty: float = 0.0
    ttl_ns: int = DAY
    approvals: int = 0
    mirror: bool = False
    enforcers: tuple[str, ...] = ()
    success: str = "any"
    without_target: str = MIRROR
    everywhere: bool = False
    choices: tuple[str, ...] = ()
    because: str = ""
    line: int = 0

    @property
    def always(self) -> bool:
        """Whether nothing gets past it."""
        conditions = (self.levels, self.assets, self.attackers, self.tiers, self.stages)
        return not any(conditions) and self.certainty <= 0

    def matches(self, case: Case, asset_class: str) -> bool:
        judged = case.judgement
        return (
            (not self.levels or case.level in self.levels)
            and (not self.assets or asset_class in self.assets)
            and (not self.tiers or case.tier in self.tiers)
            and (not self.attackers or bool(set(attackers_of(case)) & set(self.attackers)))
            and (not self.stages or _of(judged, "threat").get("stage") in self.stages)
            and (self.certainty <= 0 or certainty_of(case) >= self.certainty)
        )


@dataclass(frozen=True)
class Limits:
    """How much may happen without a human, and what nobody may do at all.

    ``per_minute``: automatic intents; ``share``: of the known hosts cut off at once, ``share_floor``: hosts that are
    always allowed (two per cent of ten hosts are none); ``blast``: share of the known hosts that used a destination,
    above which it is not cut without a human, ``blast_floor``: users that are never many; ``widest_4``, ``widest_6``:
    shortest prefixes that may be cut; ``evidence``: least independent fields for an automatic cut, ``evidence_people``
    for one that a person asks for (whose word is one); ``longest``, ``longest_automatic``: TTL in ns; ``fresh``: ns
    after which who has an address is asked again; ``addresses``: of one party; ``outside``: whether an automatic cut
    of everybody's traffic with an outside party goes without a human (sources can be forged)."""

    per_minute: int = 10
    share: float = 0.02
    share_floor: int = 3
    blast: float = 0.05
    blast_floor: int = 3
    widest_4: int = 24
    widest_6: int = 64
    evidence: int = 2
    evidence_people: int = 1
    longest: int = LONGEST
    longest_automatic: int = DAY
    shortest: int = SHORTEST
    fresh: int = 15 * MINUTE
    addresses: int = 32
    outside: bool = False


@dataclass(frozen=True)
class Protect:
    """What is never cut off. ``entries``: (what it is, addresses, prefixes and names); ``classes``: asset classes of
    which every host is protected; ``ports``: (switch, number) of uplinks and of protected hosts; ``networks``: the
    site's own, whose first and last addresses stand for everybody in them; ``nat64``: the site's translation
    prefixes; ``never_quarantine``: classes whose hosts an escalation must not cut off wholly; ``flows``: products whose
    flows the site has, in small letters, none: not said."""

    entries: tuple[tuple[str, tuple[str, ...]], ...] = ()
    classes: tuple[str, ...] = (CRITICAL,)
    macs: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    networks: tuple[str, ...] = ()
    nat64: tuple[str, ...] = ()
    warning: tuple[WarningList, ...] = ()
    never_quarantine: tuple[str, ...] = (CRITICAL, "network", "server")
    flows: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Policy:
    """``source``: the file it came from; ``notes``: what the operator should know about it (entries skipped)."""

    rules: tuple[Rule, ...]
    classes: Classes
    protect: Protect
    source: str = ""
    notes: tuple[str, ...] = ()

    def rule_of(self, case: Case, asset_class: str) -> Rule | None:
        """The first rule that matches."""
        return next((rule for rule in self.rules if rule.matches(case, asset_class)), None)

    def wish(self, case: Case, asset_class: str) -> Wish | None:
        """What is to be done about a case whose host is of that class; None: nothing, by rule or for want of one.

        >>> from andon.contain.policy import load_policy
        >>> case = Case("c1", 1, "open", "act", "high", 1.8, "pc7", "", (("device", "pc7"),), 0, 1, 2, 2)
        >>> load_policy(None).wish(case, "workstation").action
        'block-pair'
        """
        rule = self.rule_of(case, asset_class)
        if rule is None or rule.action == NOTHING:
            return None
        who = attackers_of(case)
        reason = (
            f"threat level {case.level or 'not judged'}, asset class {asset_class}, attacker {' or '.join(who)}: "
            f"rule {rule.name!r}" + (f" ({rule.because})" if rule.because else "")
        )
        return Wish(
            rule.action, rule.ttl_ns, rule.approvals, rule.mirror, rule.enforcers, rule.success, rule.name, reason,
            rule.without_target, rule.everywhere, rule.choices,
        )  # fmt: skip

    def explain(self, case: Case, asset_class: str) -> str:
        """Which rule decides about a case, in a sentence."""
        rule = self.rule_of(case, asset_class)
        if rule is None:
            return f"No rule of {self.source} matches: nothing is done."
        number = self.rules.index(rule) + 1
        what = "nothing is done" if rule.action == NOTHING else rule.action
        people = f", after {rule.approvals} approval(s)" if rule.approvals else ""
        return f"Rule {number} of {len(self.rules)}, {rule.name!r} (line {rule.line} of {self.source}): {what}{people}."


def attackers_of(case: Case) -> tuple[str, ...]:
    """Classes of attacker that are still possible; ("unknown",) if all or none of them are."""
    said = _of(case.judgement, "attacker").get("classes") or ()
    known = tuple(name for name in CLASSES if name in said) if isinstance(said, list | tuple) else ()
    return known if 0 < len(known) < len(CLASSES) else (UNKNOWN_ATTACKER,)


def certainty_of(case: Case) -> float:
    """Probability 0..1 that the case is real, as verification left it; 0 if it is not said."""
    value = case.judgement.get("certainty", 0.0)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def targeted(case: Case) -> bool:
    """Whether a targeted attacker is among those that are possible."""
    return TARGETED in attackers_of(case)


def _of(judgement: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    made = judgement.get(name)
    return made if isinstance(made, Mapping) else {}
