"""From a judged case to what is to be done: the policy's wish about the host that the case is about, with its grounds.

The host is looked up for the moment at hand (``resolve``). Whom it talks to, and who is therefore to be cut off from
it, is taken from what findings and alerts say plainly: black destinations of an infected terminal, the other end of a
beacon to one, the outside end of an alert about command and control. Entities of a case are no targets by themselves:
the list has everybody that was met on the way. A destination that must not be cut (shared by many, protected) is no
target either, and where none is left the rule's ``without_target`` holds.

What verification saw in the flows is a ground of its own (``seen_in_flows``), if it says more than the alerts do.

A ground that came only through sources that anybody can send to says so (``Ground.forgeable``): the guard counts all of
these as one kind of evidence, whatever products they name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from andon.contain.guard import CHECK, FLOWS, IN_FORCE, Held, Terrain, reach_of
from andon.contain.guard.ruling import AUTOMATON
from andon.contain.policy.model import NOTHING, OBSERVE, Policy, Wish
from andon.contain.resolve import Resolver
from andon.contain.spelling import Unreadable, name, plain, spans
from andon.records.case import CLOSED, MERGED, PASSED, Case
from andon.records.intent import (
    ACTIONS,
    ADDRESS,
    BLOCK,
    BLOCK_PAIR,
    CUTTING,
    DOMAIN,
    HOST,
    MIRROR,
    QUARANTINE,
    SHORTEST,
    WAITING,
    Ground,
    Intent,
    Party,
)
from andon.records.neutral import neutral
from andon.records.triage import SCREENED

MOST_TARGETS: Final = 8  # more, and the host is the thing to cut
_GROUNDS: Final = 32
_SURE: Final = 0.5  # confidence from which a finding is a ground
_COMMAND: Final = (
    "T1071",
    "T1095",
    "T1571",
    "T1573",
    "T1090",
    "T1102",
    "T1008",
    "T1104",
    "T1132",
    "T1568",
    "T1572",
    "T1041",
)
_BEHAVIOUR: Final = "behaviour"  # of the checks: the host did something new afterwards
_TELLING: Final = (
    3.0  # log-odds of a check that makes it twenty times as likely: several signs, or one that is plain
)
_SIGNS: Final = 2  # that the alerts do not name
_SWEEP: Final = 10  # addresses of one sign
_TABLE: Final = "triage_evidence_conversations"
_TOWARDS: Final = re.compile(r"\bdst IN \(([^)]{1,100000})\)")
_QUOTED: Final = re.compile(r"'([^']{1,64})'")
_COMMAND_WORDS: Final = ("command and control", "command-and-control", "c2", "cnc", "c&c", "botnet", "beacon")


class MaterialLike(Protocol):
    @property
    def findings(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def episodes(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def forgeable(self) -> Mapping[str, Sequence[str]]: ...


@dataclass(frozen=True)
class Material:
    """What a case's items say. ``findings``: public documents (``andon.finding/1``); ``episodes``: rows of
    ``records.triage.EPISODES``, times as ns. ``forgeable``: of items (by id) that came through nothing but sources that
    anybody can send to, the names of these; of what verification saw in flows (``FLOWS``) the names of such sources
    that gave flows."""

    findings: Sequence[Mapping[str, Any]] = ()
    episodes: Sequence[Mapping[str, Any]] = ()
    forgeable: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))


def intents_of(
    case: Case,
    policy: Policy,
    resolver: Resolver,
    terrain: Terrain,
    now: int,
    new_id: Callable[[], int],
    material: MaterialLike | None = None,
) -> list[Intent]:
    """What the policy wants done about a case, the cut first and what is beside it after it; [] if nothing. None of it
    has been before the guard. ``new_id`` gives a new id at each call."""
    if case.state in (CLOSED, MERGED) or not case.entities:
        return []
    said = material if material is not None else Material()
    host = host_of(case, resolver, now)
    wish = policy.wish(case, host.asset_class)
    if wish is None:
        return []
    targets, left_out = targets_of(said, resolver, terrain, now)
    make = _Maker(case, wish, grounds_of(case, said), host, now, new_id)
    made = _main(make, wish, targets, left_out)
    if made and wish.mirror and made[0].action in CUTTING:
        made.append(
            make.intent(MIRROR, None, "a copy of its traffic, as evidence beside the cut", approvals=0)
        )
    if made and wish.everywhere:
        made += [make.everywhere(target) for target in targets[:MOST_TARGETS]]
    return made


def host_of(case: Case, resolver: Resolver, now: int) -> Party:
    """The host that a case is about, with all the addresses it has now."""
    _, value = case.entities[0]
    group = case.judgement.get("group")
    names = group.get("names", ()) if isinstance(group, Mapping) else ()
    also = [one for one in names if isinstance(one, str)] if isinstance(names, list | tuple) else []
    return resolver.party(HOST, value, now, also, min(case.last_seen, now))


def grounds_of(case: Case, material: MaterialLike) -> tuple[Ground, ...]:
    """What speaks for acting on a case, with the field where it was seen. Items of which nothing is known but their
    ids have no field, and so do not count as evidence."""
    made: dict[str, Ground] = {}
    forgeable = {id: ", ".join(map(neutral, names)) for id, names in material.forgeable.items()}
    for document in material.findings:
        if float(document.get("confidence", 0.0)) >= _SURE:
            field = field_of(document)
            id = str(document["id"])
            made[id] = Ground("finding", id, field, neutral(str(document["title"])), forgeable.get(id, ""))
    for row in material.episodes:
        if row.get("tier") != SCREENED:
            product = str(row["product"]).strip().casefold()
            title = neutral(f"{row['product']}: {row['title']}")
            id = str(row["id"])
            field = f"alerts:{product}" if product else ""
            made[id] = Ground("episode", id, field, title, forgeable.get(id, ""))
    if (seen := seen_in_flows(case, material.episodes)) is not None:
        made[f"{CHECK}:{seen.id}"] = replace(seen, forgeable=forgeable.get(FLOWS, ""))
    known = {str(one.get("id")) for one in (*material.findings, *material.episodes)}
    for kind, id in case.items:
        if id not in known:
            made[id] = Ground(kind, id, "", "not at hand when this was proposed")
    ordered = sorted(made.values(), key=lambda one: (not one.field, bool(one.forgeable), one.field, one.id))
    # Of each field the first ones: what is left out must not make two fields one, and what anybody can send must not
    # crowd out what nobody can.
    kept: list[Ground] = []
    held: Counter[tuple[str, bool]] = Counter()
    for one in ordered:
        held[one.field, bool(one.forgeable)] += 1
        if held[one.field, bool(one.forgeable)] <= _GROUNDS // 4:
            kept.append(one)
    return tuple(kept[:_GROUNDS])


def seen_in_flows(case: Case, episodes: Sequence[Mapping[str, Any]]) -> Ground | None:
    """What verification saw in the flows that speaks for an attack that worked, as a ground of field ``flows``; None if
    there is nothing that the alerts do not say themselves.

    Of the checks only "behaviour" counts. That somebody was answered, or got an unusual session, is as true of an
    administrator (in simulated organisations "session" passed more often where nothing was wrong). Of its signs those
    count that are about an end that no alert names as its target: an alert about a large upload and a flow that
    shows that upload are one fact. Two such signs are needed, or one of these: the host calls who attacked it, or it
    sweeps the inside. Whether flows and alerts come from one product is the guard's question."""
    verified = case.judgement.get("verification")
    checks = verified.get("checks") if isinstance(verified, Mapping) else None
    check = next(
        (one for one in checks or () if isinstance(one, Mapping) and one.get("name") == _BEHAVIOUR), None
    )
    if check is None or check.get("outcome") != PASSED or not _weighs(check.get("weight"), _TELLING):
        return None
    asked = {_end(str(one)) for row in episodes for one in row.get("targets") or ()}
    came = {str(one) for row in episodes for one in row.get("sources") or ()}
    signs: list[str] = []
    plain_one = False
    for evidence in check.get("evidence") or ():
        ends = _ends(evidence)
        if not ends or ends <= asked:
            continue
        signs.append(neutral(str(evidence.get("statement", ""))[:200]))
        plain_one = plain_one or len(ends - asked) >= _SWEEP or bool(ends & (came - asked))
    if not plain_one and len(set(signs)) < _SIGNS:
        return None
    return Ground(CHECK, _BEHAVIOUR, FLOWS, " ".join(dict.fromkeys(signs)))


def _weighs(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


def _ends(evidence: Any) -> frozenset[str]:
    """Whom a host went to, of a count of flows that anybody can repeat; none of other evidence."""
    check = evidence.get("check") if isinstance(evidence, Mapping) else None
    sql = check.get("expression") if isinstance(check, Mapping) else None
    if not isinstance(sql, str) or f"FROM {_TABLE} " not in sql:
        return frozenset()
    found = _TOWARDS.search(sql)
    return frozenset(_QUOTED.findall(found[1])) if found else frozenset()


def field_of(document: Mapping[str, Any]) -> str:
    """Field of a finding: that of its engine; of a finding that screening made of alerts, their product's.

    >>> field_of({"engine": "livenet.proxygraph"}), field_of({"engine": "triage.x", "attributes": {"product": "Zeek"}})
    ('livenet', 'alerts:zeek')
    """
    field = str(document.get("engine", "")).partition(".")[0]
    if field == "triage":
        product = str((document.get("attributes") or {}).get("product", "")).strip().casefold()
        return f"alerts:{product}" if product else ""
    return field


def targets_of(
    material: MaterialLike, resolver: Resolver, terrain: Terrain, now: int
) -> tuple[list[Party], list[str]]:
    """(whom the host is to be cut off from, destinations that are left out with the reason)."""
    wanted: list[str] = []
    for document in material.findings:
        wanted += _of_finding(document)
    for row in material.episodes:
        wanted += _of_episode(row, terrain)
    parties: list[Party] = []
    left_out: list[str] = []
    for text in dict.fromkeys(wanted):
        kind, value = _kind(text)
        if not kind:
            left_out.append(f"{neutral(text[:80])}: no address and no name")
            continue
        if kind == ADDRESS and terrain.inside.touches(spans(value)):
            continue
        if why := terrain.shield.why_not(value):
            left_out.append(f"{neutral(value)}: {why}")
            continue
        parties.append(resolver.party(kind, value, now))
    return parties, left_out


def _of_finding(document: Mapping[str, Any]) -> list[str]:
    attributes = document.get("attributes") or {}
    kind = document.get("kind")
    if float(document.get("confidence", 0.0)) < _SURE:
        return []
    if kind == "infected-terminal":
        return [one for one in attributes.get("black", ()) if isinstance(one, str)]
    if kind == "beacon" and attributes.get("black"):
        return [str(document["subject"]["value"])]
    return []


def _of_episode(row: Mapping[str, Any], terrain: Terrain) -> list[str]:
    """Outside ends of an alert about command and control that one of our hosts began."""
    words = f"{row.get('title', '')} {row.get('category', '')}".casefold().replace("_", " ").split()
    text = " ".join(words)
    told = any(str(one).startswith(_COMMAND) for one in row.get("attack") or ())
    if row.get("tier") == SCREENED or not (
        told or any(one in text if " " in one or "-" in one else one in words for one in _COMMAND_WORDS)
    ):
        return []
    sources = [one for one in row.get("sources") or () if one]
    if not sources or not all(_inside(one, terrain) for one in sources):
        return []
    ends = [_end(str(one)) for one in row.get("targets") or ()]
    return [one for one in ends if one and not _inside(one, terrain)]


def _end(text: str) -> str:
    """The address of "dst:port/protocol"."""
    body = text.partition("/")[0]
    head, colon, port = body.rpartition(":")
    made = head if colon and port.isdigit() and (head.count(":") != 0 or "." in head) else body
    return made.strip("[]")


def _inside(text: str, terrain: Terrain) -> bool:
    try:
        return terrain.inside.touches(spans(text))
    except Unreadable:
        return False


def _kind(text: str) -> tuple[str, str]:
    for kind, read in ((ADDRESS, plain), (DOMAIN, name)):
        try:
            return kind, read(text.strip())
        except Unreadable:
            continue
    return "", ""


@dataclass(frozen=True)
class _Maker:
    case: Case
    wish: Wish
    grounds: tuple[Ground, ...]
    host: Party
    now: int
    new_id: Callable[[], int]

    def intent(self, action: str, target: Party | None, why: str, approvals: int | None = None) -> Intent:
        wish, case = self.wish, self.case
        attacker = case.judgement.get("attacker")
        classes = attacker.get("classes", ()) if isinstance(attacker, Mapping) else ()
        reason = f"{wish.reason}; {why}" if why else wish.reason
        return Intent(
            self.new_id(), action, self.host, target, wish.ttl_ns,
            f"{reason}. Case: {neutral(case.title[:200])}", AUTOMATON, self.now, self.grounds, case.id, case.level,
            tuple(str(one) for one in classes), wish.rule, wish.approvals if approvals is None else approvals,
            wish.enforcers, wish.success,
        )  # fmt: skip

    def everywhere(self, target: Party) -> Intent:
        """The destination is cut for everybody: never without somebody who agrees."""
        made = self.intent(
            BLOCK, None, f"{neutral(target.value)} is cut off for everybody", max(1, self.wish.approvals)
        )
        return made.with_(subject=target)


def _main(make: _Maker, wish: Wish, targets: Sequence[Party], left_out: Sequence[str]) -> list[Intent]:
    if wish.action != BLOCK_PAIR:
        return [make.intent(wish.action, None, "")]
    if 0 < len(targets) <= MOST_TARGETS and not left_out:
        return [make.intent(BLOCK_PAIR, one, f"it talks to {neutral(one.value)}") for one in targets]
    if targets and left_out:
        why = f"it also talks to {'; '.join(left_out[:3])}, which must not be cut, so the pair alone does not hold"
    elif targets:
        why = f"it talks to {len(targets)} black destinations, more than {MOST_TARGETS}: the host is cut"
    elif left_out:
        why = f"whom it talks to must not be cut ({'; '.join(left_out[:3])})"
    else:
        why = "whom it talks to is not known"
    action = wish.without_target
    if action == NOTHING or action not in ACTIONS:
        return []
    return [make.intent(action, None, why).with_(escalated=why if action == QUARANTINE else "")]


def instead(
    intent: Intent, choice: str, actor: str, policy: Policy, now: int, new_id: Callable[[], int]
) -> Intent:
    """What an analyst chose where the policy's rule leaves a choice: the same for the rest of its time, asked for by
    ``actor``; ``observe`` is a mirror. It goes through the guard like any other. Raises ValueError for what the rule
    does not offer, or if the time is over."""
    rule = next((one for one in policy.rules if one.name == intent.rule), None)
    offered = rule.choices if rule is not None else ()
    if choice not in offered:
        raise ValueError(
            f"rule {intent.rule!r} leaves a choice of {', '.join(offered) or 'nothing'}, not {choice!r}"
        )
    action = MIRROR if choice == OBSERVE else choice
    if action == BLOCK_PAIR and intent.target is None:
        raise ValueError(f"{BLOCK_PAIR} needs a target, and this intent has none")
    if intent.until - now < SHORTEST:
        raise ValueError("its time is over")
    return intent.with_(
        id=new_id(), action=action, target=intent.target if action == BLOCK_PAIR else None, created=now,
        ttl=intent.until - now, requested_by=actor, approvals=0 if action == MIRROR else intent.approvals,
        escalated="", replaces=intent.id, reason=f"{intent.reason}; {neutral(actor)} chose {choice}",
    )  # fmt: skip


def fresh(intents: Iterable[Intent], held: Sequence[Held], now: int) -> list[Intent]:
    """Those that are not in force, waiting or in a dry run already: same action against the same parties, as far as
    their addresses are the same too."""
    return [intent for intent in intents if not any(_covers(one, intent, now) for one in held)]


def _covers(one: Held, intent: Intent, now: int) -> bool:
    other = one.intent
    if one.state not in (*IN_FORCE, WAITING) or other.until <= now or other.action != intent.action:
        return False
    same = set(intent.subject.addresses) <= set(other.subject.addresses) and reach_of(intent.subject).meets(
        reach_of(other.subject)
    )
    if intent.target is None or other.target is None:
        return same and intent.target is other.target
    return same and reach_of(intent.target).meets(reach_of(other.target))
