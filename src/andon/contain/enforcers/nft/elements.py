"""An intent as elements of sets: pure, from what was resolved when the intent was made.

Each element is one address, prefix or pair; together they are what ``digest`` is taken of, so that the same can be
computed from what the kernel lists. Nothing gets into a command that did not go through ``ipaddress`` or the pattern
of a hardware address.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from andon.contain import contract
from andon.contain.contract import NotExpressible
from andon.contain.enforcers.given import Network, address_of, network_of
from andon.contain.enforcers.nft import shapes
from andon.contain.enforcers.nft.settings import HOST_MODE, Settings
from andon.contain.enforcers.nft.shapes import Shape
from andon.records import intent as words
from andon.records.intent import Intent, Party

_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_WIDEST: Final = {4: 8, 6: 16}  # the guard's bounds are narrower; this one is against a slip
_ALONE: Final = {
    words.ALLOW: shapes.ALLOW, words.QUARANTINE: shapes.HELD, words.BLOCK: shapes.DROP, words.PROXY: shapes.PROXY,
    words.MIRROR: shapes.MIRROR,
}  # fmt: skip
_TOGETHER: Final = {
    words.ALLOW: shapes.ALLOW_PAIR, words.BLOCK: shapes.PAIR, words.BLOCK_PAIR: shapes.PAIR,
    words.SINKHOLE: shapes.SINK_PAIR, words.PROXY: shapes.PROXY_PAIR, words.MIRROR: shapes.MIRROR_PAIR,
}  # fmt: skip


class Element(NamedTuple):
    """``key`` as nft prints it: "10.0.0.5", "10.0.0.0 . 203.0.113.7". A prefix is its first address; its length is in
    the name of the set."""

    shape: Shape
    key: str

    def line(self) -> str:
        return f"{self.shape.family} {self.shape.name} {self.key}"


def digest(elements: Iterable[Element]) -> str:
    """Of the elements in any order: 32 hex digits."""
    return hashlib.sha256("\n".join(sorted(one.line() for one in elements)).encode()).hexdigest()[:32]


Sides = list[list[Network]]


def sides_of(intent: Intent) -> Sides:
    """The subject's addresses and prefixes, and the target's where it matters: a quarantined host reaches nobody,
    whomever the case was about. Raises NotExpressible."""
    made = [_networks(intent.subject, "subject")]
    if intent.target is not None and intent.action != words.QUARANTINE:
        made.append(_networks(intent.target, "target"))
    return made


def missing_setting(intent: Intent, settings: Settings) -> str:
    """What the settings lack for an action; "" if nothing."""
    if intent.action == words.MIRROR and settings.mirror is None:
        return "the setting mirror has no address of a capture host, and the family inet cannot dup"
    if intent.action == words.SINKHOLE and settings.sinkhole is None:
        return "the setting sinkhole has no address"
    if intent.action == words.PROXY and settings.proxy is None:
        return "the setting proxy has no address or port"
    return ""


def elements_of(intent: Intent, sides: Sides, settings: Settings) -> tuple[Element, ...]:
    """Raises NotExpressible."""
    subject = sides[0]
    if len(sides) == 2:
        target = sides[1]
        if len(subject) * len(target) > settings.max_per_intent:
            raise NotExpressible(
                f"{len(subject)} x {len(target)} pairs are more than the {settings.max_per_intent} of max_per_intent"
            )
        found = dict.fromkeys(_pairs(intent, subject, target, settings))
    else:
        found = dict.fromkeys(_singles(intent, subject, settings))
    if not found:
        raise NotExpressible("the parties have no addresses of the same IP version")
    if len(found) > settings.max_per_intent:
        raise NotExpressible(
            f"{len(found)} elements are more than the {settings.max_per_intent} of max_per_intent"
        )
    return tuple(found)


def _singles(intent: Intent, subject: list[Network], settings: Settings) -> Iterator[Element]:
    kind = _ALONE.get(intent.action)
    host = intent.subject.kind == words.HOST
    if intent.action == words.SINKHOLE:
        kind = shapes.SINK if host else shapes.SINK_TO
    elif intent.action == words.PROXY and intent.subject.kind in (words.DOMAIN, words.URL):
        kind = shapes.PROXY_TO
    assert kind is not None
    for network in subject:
        if kind == shapes.MIRROR and network.version not in (settings.mirror or {}):
            continue
        yield Element(
            Shape(kind, network.version, (network.prefixlen,)),
            str(network.network_address),
        )
    mac = _mac(intent.subject, settings)
    if mac and kind in (shapes.HELD, shapes.DROP):
        yield Element(Shape(shapes.HELD_MAC if kind == shapes.HELD else shapes.DROP_MAC, 0), mac)


def _pairs(
    intent: Intent, subject: list[Network], target: list[Network], settings: Settings
) -> Iterator[Element]:
    kind = _TOGETHER[intent.action]
    mac = _mac(intent.subject, settings) if kind == shapes.PAIR else ""
    for other in target:
        if kind == shapes.MIRROR_PAIR and other.version not in (settings.mirror or {}):
            continue
        for one in subject:
            if one.version == other.version:
                yield Element(
                    Shape(kind, one.version, (one.prefixlen, other.prefixlen)),
                    f"{one.network_address} . {other.network_address}",
                )
        if mac:
            yield Element(
                Shape(shapes.PAIR_MAC, other.version, (other.prefixlen,)),
                f"{mac} . {other.network_address}",
            )


def _networks(party: Party, role: str) -> list[Network]:
    """All of a party's addresses and prefixes, each once."""
    texts = list(party.addresses)
    if party.kind in (words.ADDRESS, words.PREFIX):
        texts.insert(0, party.value)
    if not texts:
        raise NotExpressible(f"the {role} {party.value!r} has no known address")
    found: dict[Network, None] = {}
    for text in texts:
        try:
            network = network_of(text) if "/" in text else _alone(text)
        except ValueError as error:
            raise NotExpressible(f"the {role} has an address that is none: {error}") from error
        first = network.network_address
        if (
            first.is_multicast
            or first.is_unspecified
            or first.is_loopback
            or str(network) == "255.255.255.255/32"
        ):
            raise NotExpressible(f"{network} of the {role} is no address of one host")
        if network.prefixlen < _WIDEST[network.version]:
            raise NotExpressible(f"{network} of the {role} is wider than /{_WIDEST[network.version]}")
        found[network] = None
    return list(found)


def _alone(text: str) -> Network:
    address = address_of(text)
    if isinstance(address, ipaddress.IPv4Address):
        return ipaddress.IPv4Network(int(address))
    return ipaddress.IPv6Network(int(address))


def _mac(party: Party, settings: Settings) -> str:
    mac = party.mac.lower()
    return mac if settings.match_mac and party.kind == words.HOST and _MAC.fullmatch(mac) else ""


def open_paths(intent: Intent, sides: Sides, settings: Settings) -> tuple[str, ...]:
    """Which of contract.PATHS these rules leave open, in that order. Empty for ALLOW and MIRROR, which close none."""
    if intent.action in (words.ALLOW, words.MIRROR):
        return ()
    parties = [one for one in (intent.subject, intent.target) if one is not None][: len(sides)]
    found = []
    # A version is closed where no side that speaks it is missing an address of it. A party known by IPv4 alone may
    # have IPv6 that nobody told us of; a single address that was named as such is all that was meant.
    if any(not any(one.version == 4 for one in side) for side in sides) and _may_have(parties, sides, 4):
        found.append(contract.IPV4)
    if settings.ipv6 and not _closed_by_mac(intent, sides, settings) and _may_have(parties, sides, 6):
        found.append(contract.IPV6)
    if any(party.kind in (words.DOMAIN, words.URL) for party in parties):
        found.append(contract.NAMES)
    if intent.action == words.PROXY or _beside(sides, settings):
        # Of a proxy: what is not on port 80 goes on as before.
        found.append(contract.ELSEWHERE)
    return tuple(found)


def _may_have(parties: list[Party], sides: Sides, version: int) -> bool:
    """Whether both could talk by this version although the rules do not hold a pair of it: each side either has an
    address of it or is of a kind that may have one unknown, and on one side it is unknown. Whoever is at the other end
    of a pair may have one even if it was seen by one address alone: a host of ours that has both would go on by the
    other."""
    known = [any(one.version == version and not one.is_link_local for one in side) for side in sides]
    unsure = [party.kind in (words.HOST, words.DOMAIN, words.URL) for party in parties]
    if len(parties) == 2 and known[0] and parties[1].kind == words.ADDRESS:
        unsure[1] = True
    return not all(known) and all(here or maybe for here, maybe in zip(known, unsure, strict=True))


def _closed_by_mac(intent: Intent, sides: Sides, settings: Settings) -> bool:
    """The host's frames are dropped by their source whatever IPv6 addresses it has; of a pair towards known ones."""
    if not _mac(intent.subject, settings):
        return False
    if intent.action == words.QUARANTINE or (intent.action == words.BLOCK and len(sides) == 1):
        return True
    paired = intent.action in (words.BLOCK, words.BLOCK_PAIR) and len(sides) == 2
    return paired and any(one.version == 6 for one in sides[1])


def _beside(sides: Sides, settings: Settings) -> bool:
    """Whether hosts of the subject's segment reach each other without passing here."""
    if settings.mode == HOST_MODE:
        return False

    def within(network: Network, segment: Network) -> bool:
        return network.version == segment.version and segment.supernet_of(network)  # type: ignore[arg-type]

    return any(
        all(any(within(one, segment) for one in side) for side in sides) for segment in settings.segments
    )
