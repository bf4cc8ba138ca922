"""All that the guard knows of the site: what is protected, what is inside, how many hosts there are, who uses what.

Made once and renewed when leases, lists or tables change; never changed. Nothing here reads a file or asks anybody.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa

from andon.contain.guard.reach import Reach
from andon.contain.policy.classes import Classes
from andon.contain.policy.model import Limits, Policy, Protect
from andon.contain.resolve import Place
from andon.contain.resolve.assets import Assets
from andon.contain.shield import CONTROL, Shield
from andon.contain.spelling import Span, Unreadable, name, parents, spans
from andon.contain.spelling.ranges import Spans
from andon.records.inside import PRIVATE


class Users:
    """How many distinct hosts of ours used each destination in the last 30 days. The users of a name are those of all
    names below it together, and those of a prefix of all its addresses: an upper bound, since one host may use two."""

    def __init__(self, by_destination: Mapping[str, int]) -> None:
        self._names: dict[str, int] = {}
        numbers: dict[int, dict[int, int]] = {4: {}, 6: {}}
        for text, hosts in by_destination.items():
            try:
                first = spans(text)[0]
                numbers[first.version][first.low] = max(numbers[first.version].get(first.low, 0), hosts)
                continue
            except Unreadable:
                pass
            try:
                plain = name(text)
            except Unreadable:
                continue
            for upper in parents(plain):
                self._names[upper] = self._names.get(upper, 0) + hosts
        self._lows = {version: sorted(of) for version, of in numbers.items()}
        self._sums: dict[int, list[int]] = {}
        for version, lows in self._lows.items():
            sums = [0]
            for low in lows:
                sums.append(sums[-1] + numbers[version][low])
            self._sums[version] = sums

    def of(self, reach: Reach) -> int:
        """At most how many hosts use what a party reaches."""
        found = self._names.get(reach.name, 0) if reach.name else 0
        for span in reach.spans:
            lows, sums = self._lows[span.version], self._sums[span.version]
            found += sums[bisect_right(lows, span.high)] - sums[bisect_left(lows, span.low)]
        return found


@dataclass(frozen=True)
class Terrain:
    """``hosts``: how many systems of ours are known (0: not known); ``addresses``: theirs; ``users``: None where nobody
    counts who uses what; ``crowd``: (switch, port) -> how many systems are behind it; ``named``: what protected hosts
    are called; ``classes``: of assets, of which those in ``never`` are protected; ``flows``: products whose flows the
    site has, none: not known; ``precision``: (field, level) -> (true, all) verdicts on cases that the field spoke
    for."""

    shield: Shield
    limits: Limits
    inside: Spans
    hosts: int = 0
    addresses: Spans = field(default_factory=lambda: Spans(()))
    users: Users | None = None
    crowd: Mapping[tuple[str, int], int] = field(default_factory=lambda: MappingProxyType({}))
    named: frozenset[str] = frozenset()
    classes: Classes = field(default_factory=lambda: Classes(()))
    never: frozenset[str] = frozenset()
    flows: frozenset[str] = frozenset()
    precision: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))

    def is_inside(self, reach: Reach) -> bool:
        """Whether all that is known of a party is ours. What has no address but a port or a hardware address is."""
        if reach.name:
            return False
        written = reach.written
        return all(self.inside.holds(span) for span in written) if written else not reach.nobody

    def weight(self, reach: Reach) -> int:
        """How many of our hosts a party stands for, at least 1: a prefix for all that are known in it, or, where none
        is known, for all that could be."""
        most = 1
        for span in reach.written:
            if span.size > 1:
                known = self.addresses.within(span)
                most = max(most, known if self.addresses else min(span.size, 256))
        if reach.place is not None:
            most = max(most, self.crowd.get(reach.place, 1))
        return most


def terrain_of(
    policy: Policy,
    inside: Sequence[str] = (),
    assets: pa.Table | None = None,
    users: Mapping[str, int] | Users | None = None,
    places: Mapping[str, Place] | None = None,
    own: Iterable[str] = (),
    at_ns: int = 0,
    precision: Mapping[tuple[str, str], tuple[int, int]] | None = None,
) -> Terrain:
    """The terrain at ``at_ns``. ``inside``: prefixes, none: what is private. ``users``: destination -> hosts that used
    it. ``places``: as the resolver has them. ``own``: addresses and names of Andon and of what its enforcers are
    reached by, beside ``protect.control`` of the policy. ``precision``: as in ``Terrain``. Raises ``Unreadable`` (a
    ValueError) for a text among these that is none.

    >>> from andon.contain.policy import load_policy
    >>> terrain_of(load_policy(None)).inside.touches(spans("10.1.2.3"))
    True
    """
    protect = policy.protect
    known = Assets(assets)
    addresses: list[str] = []
    hardware: list[str] = []
    named: set[str] = set()
    for row in known.rows:
        if not row.valid(at_ns):
            continue
        owner = policy.classes.of((row.address,), (row.hostname,), row.device, (row.asset,))[0]
        if owner in protect.classes:
            addresses.append(row.address)
            hardware += [row.mac] if row.mac else []
            named |= {row.hostname, row.asset} - {""}
    ports, crowd = _places(places or {}, addresses, hardware, named, protect, policy)
    shield = Shield(
        protect,
        (
            (CONTROL, tuple(own)),
            ("critical asset", _ranges(addresses)),
            ("critical asset", _class_prefixes(policy)),
        ),
        hardware,
        ports,
    )
    return Terrain(
        shield,
        protect.limits,
        Spans(spans(text)[0] for text in (inside or PRIVATE)),
        known.count(at_ns),
        Spans(
            Span(row.version, row.low, row.high, "") for row in known.rows if row.single and row.valid(at_ns)
        ),
        users if users is None or isinstance(users, Users) else Users(users),
        MappingProxyType(crowd),
        frozenset(named),
        policy.classes,
        frozenset(protect.classes),
        frozenset(protect.flows),
        MappingProxyType(dict(precision or {})),
    )


def _places(
    places: Mapping[str, Place],
    addresses: Sequence[str],
    hardware: Sequence[str],
    named: Iterable[str],
    protect: Protect,
    policy: Policy,
) -> tuple[list[tuple[str, int]], dict[tuple[str, int], int]]:
    """(ports behind which something protected is, systems by port)."""
    guarded = {*addresses, *hardware, *named, *protect.macs}
    shield = Shield(protect)
    ports: list[tuple[str, int]] = []
    behind: dict[tuple[str, int], set[str]] = {}
    for key, (switch, port, there) in places.items():
        behind.setdefault((switch, port), set()).add(there or key)
        text = key.strip().casefold()
        if (
            text in guarded
            or there.casefold() in guarded
            or _protected(shield, text)
            or policy.classes.of((text,), (text,))[0] in protect.classes
        ):
            ports.append((switch, port))
    return ports, {place: len(found) for place, found in behind.items()}


def _protected(shield: Shield, text: str) -> bool:
    try:
        return bool(shield.of_spans(spans(text)))
    except Unreadable:
        pass
    try:
        return bool(shield.of_name(name(text), False))
    except Unreadable:
        return False


def _class_prefixes(policy: Policy) -> tuple[str, ...]:
    """Prefixes of protected classes hold whether or not the asset list has somebody in them."""
    return tuple(
        prefix
        for one in policy.classes.classes
        if one.name in policy.protect.classes
        for prefix in one.prefixes
    )


def _ranges(texts: Iterable[str]) -> tuple[str, ...]:
    """Addresses, prefixes and ranges ("a-b") as addresses and prefixes."""
    from ipaddress import ip_address, summarize_address_range

    made: list[str] = []
    for text in texts:
        first, dash, last = text.partition("-")
        if dash:
            low, high = ip_address(first.strip()), ip_address(last.strip())
            made += [str(net) for net in summarize_address_range(low, high)]
        else:
            made.append(text)
    return tuple(made)
