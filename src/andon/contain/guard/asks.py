"""What does not happen without somebody who agrees: the guard's limits. Each says why, in words.

Most of them are there because the responder itself is a target: who forges a source, poisons a list or takes over the
address of another wants us to cut off a third party. So what is cut without a human is a host of ours, known for
certain, for two independent reasons, few at a time, and nothing that many use. Two reasons are not independent if one
sender could have made up both: what came only through sources that anybody can send to is one reason, however much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import floor, sqrt
from typing import Final

from andon.contain.guard.never import Said
from andon.contain.guard.reach import Reach, reach_of
from andon.contain.guard.ruling import IN_FORCE, UNDECIDED, Held, is_automatic
from andon.contain.guard.terrain import Terrain
from andon.contain.policy.fields import spoken
from andon.contain.policy.model import MINUTE
from andon.contain.resolve import DOUBTFUL
from andon.records.intent import ALLOW, BLOCK_PAIR, CUTTING, HOST, MIRROR, PROXY, Intent
from andon.records.neutral import neutral

FIELDS: Final = frozenset(("darknet", "livenet", "intel", "malware"))
ALERTS: Final = "alerts:"
FLOWS: Final = "flows"  # of grounds of kind CHECK
FORGEABLE: Final = "forgeable"  # stands for all fields of which nothing came but what anybody can send
CHECK: Final = "check"
_ANALYST: Final = "analyst"
_PRECISE: Final = 0.95  # lower bound of a field's precision, from which on it may cut alone
_Z: Final = 1.96  # two-sided 95 %


def fields_of(intent: Intent, flows: frozenset[str] = frozenset()) -> frozenset[str]:
    """Independent fields in which something speaks for an intent; what is in none of those that are known does not
    count, and neither does the same product in other letters. ``flows``: the products whose flows the site has, as the
    policy says (``protect.flows``).

    What verification saw in the flows is a field of its own only where it cannot be the same product seen twice. The
    tables of flows do not say who saw them, and one product may give both (Suricata's flow events and alerts), so
    beside alerts it counts if the policy names the flows' products and none of them raised an alert here; beside
    ``livenet``, which may read the same flows, it never does.

    Fields of which everything came through sources that anybody can send to are one together, ``FORGEABLE``: one sender
    can pose as all of them.

    >>> from andon.records.intent import Ground, Party
    >>> seen = tuple(Ground("finding", "a", field) for field in ("darknet", "Darknet ", "alerts:x", "stars"))
    >>> sorted(fields_of(Intent(1, "mirror", Party("host", "a"), None, 10**9, "", "andon", 0, seen)))
    ['alerts:x', 'darknet']
    """
    return _counted(_found(intent, flows))


def _counted(found: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The fields as they count."""
    sure = frozenset(field for field, names in found.items() if not names)
    return sure if len(sure) == len(found) else sure | {FORGEABLE}


def _found(intent: Intent, flows: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Fields in which something speaks for an intent; for one of which all came through sources that anybody can send
    to: their names."""
    found: dict[str, list[str]] = {}
    looked: list[str] = []
    for ground in intent.grounds:
        field = " ".join(ground.field.casefold().split())
        if field in FIELDS or (field.startswith(ALERTS) and len(field) > len(ALERTS)):
            found.setdefault(field, []).append(ground.forgeable)
        elif field == FLOWS and ground.kind == CHECK:
            looked.append(ground.forgeable)
        elif ground.kind == _ANALYST and not is_automatic(intent):
            found.setdefault(_ANALYST, []).append("")
    if looked and _elsewhere(found, flows):
        found[FLOWS] = looked
    return {field: tuple(dict.fromkeys(names)) if all(names) else () for field, names in found.items()}


def _elsewhere(found: Collection[str], flows: frozenset[str]) -> bool:
    """Whether flows were seen by another product than what else speaks for it."""
    products = [field.removeprefix(ALERTS) for field in found if field.startswith(ALERTS)]
    if "livenet" in found or (products and not flows):
        return False
    return not any(one in product or product in one for one in flows for product in products)


def limits(
    intent: Intent, subject: Reach, target: Reach | None, terrain: Terrain, held: Sequence[Held], now: int
) -> Iterator[Said]:
    """Every reason for asking a human."""
    automatic = is_automatic(intent)
    cuts = intent.action in CUTTING
    if intent.approvals > 0:
        people = "one person" if intent.approvals == 1 else f"{intent.approvals} people"
        why = f" ({intent.escalated})" if intent.escalated else ""
        asks = f"rule {neutral(intent.rule[:80])!r}" if intent.rule else "what others ask for"
        yield "policy", f"{asks} has {people} agree first{neutral(why[:300])}"
    if automatic and intent.action == ALLOW:
        yield "exemption", "an exemption from every cut is made by people only"
    if intent.action == MIRROR:
        yield from _mirrored(subject, target, terrain)
    if cuts:
        yield from _evidence(intent, terrain, automatic)
        yield from _shared_path(target or subject, terrain)
    if cuts or intent.action == PROXY:
        yield from _identity(intent, subject, target, terrain, automatic, now)
    if automatic:
        yield from _automatic(intent, subject, terrain, held, now)
    if cuts:
        yield from _share(intent, subject, target, terrain, held, now)
        yield from _blast(intent, subject, target, terrain)


def _mirrored(subject: Reach, target: Reach | None, terrain: Terrain) -> Iterator[Said]:
    for reach in (subject, target):
        if reach is not None and terrain.shield.is_control(reach.spans):
            yield "mirror", "a copy of our own control path holds secrets and grows with itself"
            return


def _evidence(intent: Intent, terrain: Terrain, automatic: bool) -> Iterator[Said]:
    least = terrain.limits.evidence if automatic else terrain.limits.evidence_people
    found = _found(intent, terrain.flows)
    fields = _counted(found)
    if len(fields) < least:
        has = ", ".join(sorted(found)) or "none"
        yield (
            "evidence",
            f"{least} independent kinds of evidence are needed, there is {len(fields)} ({neutral(has)})"
            + _forgeable(found)
            + _uncounted(intent, frozenset(found), terrain.flows),
        )
    elif automatic and fields == {FORGEABLE}:
        yield "precision", f"{neutral(', '.join(sorted(found)))} would act alone{_forgeable(found)}"
    elif automatic and len(fields) == 1:
        (field,) = fields
        right, of = terrain.precision.get((field, intent.level), (0, 0))
        if (sure := least_share(right, of)) < _PRECISE:
            yield (
                "precision",
                f"{neutral(field)} would act alone: of {of} verdicts on cases of level {intent.level or 'unknown'} "
                f"{right} were true, which promises {100 * sure:.0f} %; {100 * _PRECISE:.0f} % are needed",
            )


def _forgeable(found: Mapping[str, Sequence[str]]) -> str:
    """What is to be said of fields that anybody could have made up, if there are some."""
    fields = sorted(field for field, names in found.items() if names)
    if not fields:
        return ""
    which = neutral(", ".join(fields))
    if len(fields) == len(found) <= 2:
        which = "it" if len(fields) == 1 else "both kinds"
    return f": {which} came through sources that anyone can send to: {_sources(found)}"


def _sources(found: Mapping[str, Sequence[str]]) -> str:
    """Of the fields that anybody could have made up."""
    names = {one for texts in found.values() for text in texts for one in text.split(", ")}
    return neutral(", ".join(sorted(names))[:200])


def evidence_in_words(intent: Intent, flows: frozenset[str] = frozenset()) -> str:
    """What ``fields_of`` counts, for people; "" if nothing speaks for an intent."""
    found = _found(intent, flows)
    said = [field for field, names in sorted(found.items()) if not names]
    if made_up := [field for field, names in sorted(found.items()) if names]:
        said.append(f"{' and '.join(made_up)} (anyone can send to {_sources(found)}: one kind)")
    return ", ".join(said)


def _uncounted(intent: Intent, fields: frozenset[str], flows: frozenset[str]) -> str:
    """Why what was seen in the flows did not count, if something was."""
    if FLOWS in fields or not any(one.kind == CHECK and one.field == FLOWS for one in intent.grounds):
        return ""
    if not flows:
        return "; whose flows the site has is not said (protect.flows), so what they show does not count"
    return "; what the flows show does not count, since the same product may have seen both"


def least_share(right: int, of: int) -> float:
    """Lower end of Wilson's 95 % interval (JASA 22, 1927) of a share that was ``right`` times in ``of``; 0 for none.

    >>> least_share(73, 73) > 0.95, least_share(72, 72) > 0.95, least_share(0, 0)
    (True, False, 0.0)
    """
    if of <= 0 or not 0 <= right <= of:
        return 0.0
    share, z2 = right / of, _Z**2
    middle = share + z2 / (2 * of)
    spread = _Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return (middle - spread) / (1 + z2 / of)


def _shared_path(reach: Reach, terrain: Terrain) -> Iterator[Said]:
    """One page of a site that many use can be cut, if somebody agrees."""
    shield = terrain.shield
    if not reach.path:
        return
    if title := shield.shared_name(reach.name, False) or shield.shared_text(reach.text):
        yield "shared-page", f"the page is on a site of the warning list {title!r}"


def _identity(
    intent: Intent, subject: Reach, target: Reach | None, terrain: Terrain, automatic: bool, now: int
) -> Iterator[Said]:
    limit = terrain.limits
    for party, reach in ((intent.subject, subject), (intent.target, target)):
        if party is None or reach is None:
            continue
        who = neutral(party.value[:80])
        if DOUBTFUL in party.basis:
            yield (
                "doubtful",
                f"who {who} is now is not certain: {neutral(party.basis.partition(DOUBTFUL)[2].rstrip(')')[:200])}",
            )
        ours = party.kind == HOST or (reach.written and terrain.is_inside(reach))
        if ours and (automatic or party.resolved) and abs(now - party.resolved) > limit.fresh:
            yield "stale", f"who {who} is was looked up more than {spoken(limit.fresh)} ago: look again"
        if reach.name and terrain.inside.touches(reach.written):
            yield "rebound", f"the name {who} leads to an address of ours: who owns the name chose it"
        if len(party.addresses) > limit.addresses:
            yield (
                "addresses",
                f"{who} has {len(party.addresses)} addresses, more than {limit.addresses}: is it one party?",
            )
        if reach.place is not None and (many := terrain.crowd.get(reach.place, 1)) > 1:
            yield "crowd", f"{many} systems are behind the port of {who}: all of them would be cut off"


def _automatic(
    intent: Intent, subject: Reach, terrain: Terrain, held: Sequence[Held], now: int
) -> Iterator[Said]:
    limit = terrain.limits
    if intent.action in CUTTING:
        if not limit.outside and not terrain.is_inside(subject):
            yield "outside", "its subject is not a host of ours, and sources outside can be forged"
        if not intent.level:
            yield "unjudged", "its case has no level of threat"
    if intent.action != ALLOW and intent.ttl > limit.longest_automatic:
        yield (
            "long",
            f"it is to hold for {spoken(intent.ttl)}; without a human {spoken(limit.longest_automatic)} at most",
        )
    # Copies beside cuts are counted apart: taking evidence must not use up what cuts may happen.
    mirror = intent.action == MIRROR
    recent = sum(
        one.automatic
        and one.state not in UNDECIDED
        and one.intent.created > now - MINUTE
        and (one.intent.action == MIRROR) == mirror
        and one.intent.id != intent.id
        for one in held
    )
    if recent >= limit.per_minute:
        yield "rate", f"{recent} automatic intents within a minute already; at most {limit.per_minute}"


def _share(
    intent: Intent, subject: Reach, target: Reach | None, terrain: Terrain, held: Sequence[Held], now: int
) -> Iterator[Said]:
    ours = _ours(subject, target, terrain)
    if ours is None:
        return
    limit = terrain.limits
    most = max(limit.share_floor, floor(limit.share * terrain.hosts))
    wide = terrain.weight(ours)
    gone = {intent.replaces, intent.id}
    cut_off = [
        reach
        for one in held
        if one.state in IN_FORCE
        and one.intent.action in CUTTING
        and one.intent.until > now
        and one.intent.id not in gone
        and (reach := _cut_off(one.intent, terrain)) is not None
    ]
    # One that is cut off already is not one more; what cannot be read is no proof of that.
    if wide == 1 and any(not other.problems and _within(ours, other) for other in cut_off):
        return
    counted = _Counted()
    total = wide
    for other in cut_off:
        if total > most:
            break
        if counted.is_further(other):
            total += terrain.weight(other)
    if total > most:
        known = f"{terrain.hosts:,}" if terrain.hosts else "an unknown number"
        yield "share", f"more than {most} hosts of ours would be cut off at once ({total} or more of {known})"


class _Counted:
    """Hosts that are counted already, found by their addresses and hardware addresses: compared each with each, some
    hundreds in force would take longer than everything else that is decided."""

    def __init__(self) -> None:
        self._all: list[Reach] = []
        self._wide: list[Reach] = []  # some of whose spans are more than one address
        self._by: dict[object, list[Reach]] = {}

    def is_further(self, other: Reach) -> bool:
        """Whether it is none of them, nor part of one, nor has one in it; then it is counted too. What cannot be read
        always is."""
        wide = any(span.size > 1 for span in other.written)
        keys: list[object] = [(span.version, span.low) for span in other.written if span.size == 1]
        keys += [other.mac] if other.mac else []
        if not other.problems:
            alike = (
                self._all if wide else [*self._wide, *(one for key in keys for one in self._by.get(key, ()))]
            )
            if any(_within(other, before) or _within(before, other) for before in alike):
                return False
        self._all.append(other)
        if wide:
            self._wide.append(other)
        for key in keys:
            self._by.setdefault(key, []).append(other)
        return True


def _within(one: Reach, other: Reach) -> bool:
    """Whether all addresses of a host are among those of another: then it is no further one."""
    if other.problems or not one.written:
        return bool(one.mac and one.mac == other.mac)
    return all(
        any(a.version == b.version and b.low <= a.low and a.high <= b.high for b in other.written)
        for a in one.written
    )


def _cut_off(intent: Intent, terrain: Terrain) -> Reach | None:
    """Which host of ours an intent that is in force cuts off. What cannot be read is counted as a host rather than as
    nobody."""
    also = terrain.shield.carriers
    subject = reach_of(intent.subject, also)
    if subject.problems:
        return subject
    return _ours(subject, None if intent.target is None else reach_of(intent.target, also), terrain)


def _ours(subject: Reach, target: Reach | None, terrain: Terrain) -> Reach | None:
    """Which of the two is the host that loses something."""
    if terrain.is_inside(subject):
        return subject
    return target if target is not None and terrain.is_inside(target) else None


def _blast(intent: Intent, subject: Reach, target: Reach | None, terrain: Terrain) -> Iterator[Said]:
    """What many use is seldom an attacker's; a list that says so may have been poisoned."""
    outside = [reach for reach in (subject, target) if reach is not None and not terrain.is_inside(reach)]
    if not outside:
        return
    limit = terrain.limits
    if terrain.users is None:
        if intent.action != BLOCK_PAIR and target is None:
            yield "blast-unknown", "nobody counts which hosts use it, and it would be cut for all of them"
        return
    used = max(map(terrain.users.of, outside))
    most = max(limit.blast_floor, floor(limit.blast * terrain.hosts))
    if used > most:
        yield (
            "blast",
            f"up to {used} hosts of ours used it in the last 30 days, more than {most}: is it an attacker's?",
        )
