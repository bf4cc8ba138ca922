"""What nobody may do, whoever asks and whoever agrees: the guard's absolute rules. Each says why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from andon.contain.guard.reach import Reach, reach_of
from andon.contain.guard.ruling import IN_FORCE, Held
from andon.contain.guard.terrain import Terrain
from andon.contain.policy.fields import spoken
from andon.contain.policy.model import MINUTE
from andon.contain.shield import special
from andon.records.intent import ALLOW, CUTTING, HOST, PROXY, QUARANTINE, Intent, Party
from andon.records.neutral import neutral

Said = tuple[str, str]  # (rule, reason)
_AHEAD: Final = 5 * MINUTE  # clocks differ


def forbidden(
    intent: Intent, subject: Reach, target: Reach | None, terrain: Terrain, held: Sequence[Held], now: int
) -> Iterator[Said]:
    """Every absolute rule that speaks against an intent."""
    sides = [("subject", subject)] if target is None else [("subject", subject), ("target", target)]
    touching = intent.action in CUTTING or intent.action == PROXY
    yield from _time(intent, terrain, now)
    for side, reach in sides:
        party = intent.subject if side == "subject" else intent.target
        said = neutral(party.value[:80]) if party is not None else ""
        yield from _readable(side, said, reach)
        yield from _wide(side, said, reach, terrain)
        if intent.action != ALLOW and (found := special(reach.spans)):
            yield "special", f"the {side} {said} is a {found} address, which is no single host's"
        if touching:
            yield from _protected(side, said, reach, terrain)
            if party is not None:
                yield from _classed(side, said, party, terrain)
    if intent.action == QUARANTINE and not terrain.is_inside(subject):
        yield (
            "no-host",
            f"{neutral(intent.subject.value[:80])} is no host of ours: there is nothing to quarantine",
        )
    if target is not None and intent.action != ALLOW and subject.meets(target):
        yield "itself", "subject and target are the same: a host cannot be cut off from itself"
    if touching:
        yield from _exempted(subject, target, intent, terrain, held, now)


def _time(intent: Intent, terrain: Terrain, now: int) -> Iterator[Said]:
    limits = terrain.limits
    if not limits.shortest <= intent.ttl <= limits.longest:
        bounds = f"{spoken(limits.shortest)} to {spoken(limits.longest)}"
        yield "ttl", f"it is to hold for {spoken(intent.ttl)}; the policy has {bounds}"
    if intent.until <= now:
        yield "over", "its time is over already"
    if intent.created > now + _AHEAD:
        yield "future", "it is from the future: a clock is wrong"


def _readable(side: str, said: str, reach: Reach) -> Iterator[Said]:
    for problem in reach.problems[:3]:
        yield "unreadable", f"the {side} {said} cannot be read with certainty: {neutral(problem)}"
    if reach.nobody and not reach.problems:
        yield "nobody", f"nobody knows an address, a name or a port of the {side} {said}"


def _wide(side: str, said: str, reach: Reach, terrain: Terrain) -> Iterator[Said]:
    limits = terrain.limits
    for span in reach.spans:
        most = 1 << (32 - limits.widest_4) if span.version == 4 else 1 << (128 - limits.widest_6)
        if span.size > most:
            least = limits.widest_4 if span.version == 4 else limits.widest_6
            how = "" if span.written else " in the IPv4 addresses that it carries"
            yield "wide", f"the {side} {said} is wider than /{least}{how}"
            return


def _protected(side: str, said: str, reach: Reach, terrain: Terrain) -> Iterator[Said]:
    shield = terrain.shield
    if label := shield.of_spans(reach.spans):
        yield "protected", f"the {side} {said} has an address that is protected: {label}"
    if reach.name:
        if label := shield.of_name(reach.name, reach.whole):
            yield "protected-name", f"the {side} {said} is, or has below it, a protected name: {label}"
        elif (title := shield.shared_name(reach.name, reach.whole)) and not reach.path:
            yield (
                "warning-list",
                f"the {side} {said} is on the warning list {title!r}: cutting it cuts many",
            )
        if reach.whole and shield.nobody(reach.name):
            yield "suffix", f"{said} is a public suffix: everybody below it would be cut"
    if title := shield.shared(reach.spans):
        yield (
            "warning-list",
            f"the {side} {said} has an address on the warning list {title!r}: cutting it cuts many",
        )
    if reach.host and (reach.host in terrain.named or shield.of_name(reach.host, False)):
        yield "protected-name", f"the {side} {said} is the name of a protected host"
    if reach.mac and (label := shield.of_mac(reach.mac)):
        yield "protected-mac", f"the {side} {said} has {reach.mac}: {label}"
    if reach.place is not None and (label := shield.of_port(*reach.place)):
        switch, port = reach.place
        yield "protected-port", f"the {side} {said} is at port {port} of {neutral(switch[:64])!r}: {label}"


def _classed(side: str, said: str, party: Party, terrain: Terrain) -> Iterator[Said]:
    """A host of a protected class is protected whether or not the asset list has it."""
    called = (party.value,) if party.kind == HOST else ()
    for found, why in (
        (party.asset_class, "as it was resolved"),
        terrain.classes.of(party.addresses, called, (), called),
    ):
        if found in terrain.never:
            yield (
                "protected-class",
                f"the {side} {said} is of the class {found} ({neutral(why)}), which is protected",
            )
            return


def _exempted(
    subject: Reach, target: Reach | None, intent: Intent, terrain: Terrain, held: Sequence[Held], now: int
) -> Iterator[Said]:
    """What an ALLOW intent names is not cut while it holds; who wants to cut it revokes the exemption first."""
    for one in held:
        exempt = one.intent
        if (
            exempt.action != ALLOW
            or one.state not in IN_FORCE
            or exempt.until <= now
            or exempt.id == intent.id
        ):
            continue
        a = reach_of(exempt.subject, terrain.shield.carriers)
        b = None if exempt.target is None else reach_of(exempt.target, terrain.shield.carriers)
        if b is None:
            hit = subject.meets(a) or (target is not None and target.meets(a))
        else:
            hit = (subject.meets(a) and (target is None or target.meets(b))) or (
                subject.meets(b) and (target is None or target.meets(a))
            )
        if hit:
            yield (
                "exempt",
                f"intent {exempt.id:016x} exempts it until it is revoked or over: {neutral(exempt.reason[:120])}",
            )
            return
