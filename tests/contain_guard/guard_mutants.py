"""The guard with one thing broken. Each of these must be noticed by the oracle, or the oracle proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import guard_site as site

import andon.contain.guard as guard_module
from andon.contain import shield, spelling
from andon.contain.guard import Terrain, asks, reach, ruling
from andon.contain.policy import Policy
from andon.contain.shield import Shield
from andon.contain.spelling.names import Names
from andon.contain.spelling.ranges import Spans

NEVER = (
    "unreadable", "nobody", "wide", "special", "protected", "protected-name", "warning-list", "suffix", "protected-mac",
    "protected-port", "no-host", "itself", "protected-class", "over", "future", "exempt",
)  # fmt: skip
ASKS = (
    "policy", "exemption", "mirror", "evidence", "shared-page", "doubtful", "stale", "addresses", "crowd", "outside",
    "unjudged", "rebound", "long", "rate", "share", "blast",
)  # fmt: skip

_FIELDS = (
    "darknet",
    "livenet",
    "intel",
    "malware",
    "flows",
    "alerts:suricata",
    "alerts:wazuh",
    "alerts:zeek",
)


@dataclass(frozen=True)
class Mutant:
    """``broken``: while it holds the guard is broken; ``terrain``: the site as the broken guard knows it."""

    name: str
    broken: Callable[[], Any]
    terrain: Terrain


def mutants(policy: Policy, terrain: Terrain) -> Iterator[Mutant]:
    for rule in NEVER:
        yield Mutant(f"without the rule {rule}", lambda rule=rule: _without("forbidden", rule), terrain)
    for rule in ASKS:
        yield Mutant(f"without the limit {rule}", lambda rule=rule: _without("limits", rule), terrain)
    for n, carrier in enumerate(spelling._CARRIERS):
        left = spelling._CARRIERS[:n] + spelling._CARRIERS[n + 1 :]
        inverted = " (inverted)" if carrier[3] else ""
        label = f"blind for addresses in {spelling.IPv6Address(carrier[0])}/{carrier[1]}{inverted}"
        yield Mutant(label, lambda left=left: patch.object(spelling, "_CARRIERS", left), terrain)
    yield Mutant("blind for ISATAP", _no_isatap, terrain)
    for n, (label, _) in enumerate(shield._SPECIAL_SPANS):
        kept = [
            held for m, (_, texts) in enumerate(shield._SPECIAL) if m != n for held in shield._written(texts)
        ]
        yield Mutant(
            f"takes {label} for hosts",
            lambda kept=kept: patch.object(shield, "_SPECIAL_ALL", Spans(kept)),
            terrain,
        )
    yield Mutant("does not look below names", lambda: patch.object(Names, "below", lambda *_: False), terrain)
    yield Mutant(
        "compares names as a whole only",
        lambda: patch.object(Names, "within", lambda self, name: name if name in self._names else ""),
        terrain,
    )
    yield Mutant("believes who says they are a person", _no_names, terrain)
    yield Mutant(
        "takes any text for a name", lambda: patch.object(reach, "name", lambda text: text.lower()), terrain
    )
    yield Mutant("reads URLs as one library does", lambda: patch.object(reach, "url", _naive_url), terrain)
    yield Mutant("looks at the subject only", _subject_only, terrain)
    yield Mutant("does not look at resolved addresses", _value_only, terrain)
    yield from _unprotected(policy, terrain)
    yield from _loose(terrain)


def _unprotected(policy: Policy, terrain: Terrain) -> Iterator[Mutant]:
    """One part of ``protect`` is forgotten."""
    protect = policy.protect
    guarded = [
        ("own control path", ("10.0.255.9",)),
        ("critical asset", ("10.0.3.5", "10.0.3.6", "2001:db8:10::305")),
    ]
    macs, ports = ["02:00:00:00:03:05"], [("sw1", 7), ("sw2", 9)]

    def made(
        name: str, changed: Any = protect, entries: Any = guarded, macs: Any = macs, ports: Any = ports
    ) -> Mutant:
        return Mutant(
            f"forgets {name}", nullcontext, replace(terrain, shield=Shield(changed, entries, macs, ports))
        )

    for n, (label, _) in enumerate(protect.entries):
        left = protect.entries[:n] + protect.entries[n + 1 :]
        yield made(f"{label} of the policy", replace(protect, entries=left))
    yield made("its own addresses", entries=guarded[1:])
    yield made("critical assets of the list", entries=guarded[:1])
    yield made("hardware addresses", macs=())
    yield made("ports of protected hosts", ports=())
    yield made("uplinks", replace(protect, ports=()))
    yield made("broadcast addresses", replace(protect, networks=()))
    yield made("the site's NAT64", replace(protect, nat64=()))
    for n, one in enumerate(protect.warning):
        yield made(
            f"warning list {one.title}",
            replace(protect, warning=protect.warning[:n] + protect.warning[n + 1 :]),
        )


def _loose(terrain: Terrain) -> Iterator[Mutant]:
    """One limit is wide open."""
    for name, value in (
        ("per_minute", 11), ("share_floor", 9), ("blast_floor", 500), ("widest_4", 23), ("widest_6", 63),
        ("evidence_people", 0), ("longest_automatic", 7 * 24 * site.HOUR), ("fresh", 24 * site.HOUR),
        ("addresses", 100), ("outside", True),
    ):  # fmt: skip
        yield Mutant(
            f"{name} = {value}",
            nullcontext,
            replace(terrain, limits=replace(terrain.limits, **{name: value})),
        )
    # What one field may do alone is asked of verdicts then; here they say that each is always right.
    sure = {(field, level): (500, 500) for field in _FIELDS for level in ("low", "high", "critical")}
    limits = replace(terrain.limits, evidence=1)
    yield Mutant("evidence = 1", nullcontext, replace(terrain, limits=limits, precision=sure))
    yield Mutant("takes everything for its own", nullcontext, replace(terrain, inside=_everything()))
    yield Mutant("does not know who shares a port", nullcontext, replace(terrain, crowd={}))
    yield Mutant(
        "thinks that flows are another's", nullcontext, replace(terrain, flows=frozenset({"netflow"}))
    )
    yield Mutant(
        "counts flows beside anything", lambda: patch.object(asks, "_elsewhere", lambda *_: True), terrain
    )
    yield Mutant("counts what nobody checked", lambda: patch.object(asks, "CHECK", "finding"), terrain)
    yield Mutant(
        "believes whoever reaches a port", lambda: patch.object(asks, "_counted", frozenset), terrain
    )
    yield Mutant("does not know who uses what", nullcontext, replace(terrain, users=guard_module.Users({})))


def _everything() -> Spans:
    return Spans([spelling.Span(4, 0, (1 << 32) - 1, ""), spelling.Span(6, 0, (1 << 128) - 1, "")])


def _without(which: str, rule: str) -> Any:
    whole = getattr(guard_module, which)
    return patch.object(guard_module, which, lambda *given: (one for one in whole(*given) if one[0] != rule))


def _no_isatap() -> Any:
    whole = spelling._carried

    def blind(low: int, wide: int, text: str, also: Any) -> Any:
        found = whole(low, wide, text, also)
        return found[:-1] if wide == 128 and (low >> 32) & 0xFDFFFFFF == 0x5EFE else found

    return patch.object(spelling, "_carried", blind)


def _no_names() -> Any:
    return patch.object(asks, "is_automatic", lambda intent: intent.requested_by == ruling.AUTOMATON)


def _naive_url(text: str) -> spelling.Url:
    try:
        parts = urlsplit(text if "://" in text else "//" + text)
    except ValueError as error:
        raise spelling.Unreadable(str(error)) from error
    host, path = parts.hostname or "", parts.path
    try:
        return spelling.Url(spelling.plain(host), True, path)
    except spelling.Unreadable:
        return spelling.Url(host, False, path)


def _subject_only() -> Any:
    whole = guard_module.forbidden

    def half(intent: Any, subject: Any, target: Any, *rest: Any) -> Any:
        return whole(intent, subject, None, *rest)

    return patch.object(guard_module, "forbidden", half)


def _value_only() -> Any:
    whole = reach.reach_of
    return patch.object(
        guard_module,
        "reach_of",
        lambda party, also=(): whole(replace(party, addresses=party.addresses[:1]), also),
    )


@contextmanager
def broken(mutant: Mutant) -> Iterator[Terrain]:
    """The guard is broken in here, and whole again after it."""
    reach.reach_of.cache_clear()
    try:
        with mutant.broken():
            yield mutant.terrain
    finally:
        reach.reach_of.cache_clear()
