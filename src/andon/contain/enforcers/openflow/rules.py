"""From an intent to the rules of a switch, and by which ways the two parties still reach each other afterwards.

Every rule that cuts stands for both directions and for every packet, so what runs already is cut too. A host is
matched by its port and its hardware address, where they are known, and by every address that it has: an address that
moves, or a family that nobody thought of, is no way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from andon.contain.contract import ELSEWHERE, IPV4, IPV6, NAMES, NotExpressible
from andon.contain.enforcers.openflow.oxm import (
    IPV4_TYPE,
    IPV6_TYPE,
    TCP,
    UDP,
    end,
    mac_octets,
    mac_text,
    match,
    set_field,
)
from andon.contain.enforcers.openflow.rule import Action, Output, Rule, SetField
from andon.contain.enforcers.openflow.settings import Network, Settings, Station
from andon.records import intent as words
from andon.records.intent import Intent, Party

Fields = dict[str, int | str]

# Priorities in the table "contain": the milder wins over the harder only where somebody allowed it.
ALLOWED, QUARANTINED, BLOCKED, SUNK, PAIRED, STEERED = 500, 400, 350, 320, 300, 250
MIRRORED: Final = 100  # in the table "mirror"
_BEFORE_GUARD: Final = 950  # in the table "guard", above what it protects
_RESERVED: Final = 0xFFFFFF00  # ports from here on are words ("flood", "controller")
_FAMILIES: Final = (IPV4_TYPE, IPV6_TYPE)


@dataclass(frozen=True)
class Side:
    """One party as a switch can tell it: 0, "" and () where nothing is known."""

    port: int
    mac: str
    nets: tuple[Network, ...]

    def origins(self) -> list[Fields]:
        """Every way to tell that a packet comes from it."""
        ways: list[Fields] = [{"in_port": self.port}] if self.port else []
        ways += [{"eth_src": self.mac}] if self.mac else []
        return ways + [end("src", net) for net in self.nets]

    def ends(self) -> list[Fields]:
        """Every way to tell that a packet goes to it."""
        ways: list[Fields] = [{"eth_dst": self.mac}] if self.mac else []
        return ways + [end("dst", net) for net in self.nets]


def side(party: Party, name: str, settings: Settings) -> Side:
    """How the switch ``name`` tells a party. Raises NotExpressible."""
    if party.kind == words.URL:
        raise NotExpressible(f"{party.value}: a switch sees addresses, not URLs")
    given = list(party.addresses)
    if party.kind in (words.ADDRESS, words.PREFIX):
        given.insert(0, party.value)
    try:
        nets = tuple(dict.fromkeys(ip_network(one) for one in given))
    except ValueError as error:
        raise NotExpressible(f"{party.value}: {error}") from error
    port, mac = 0, ""
    if party.kind == words.HOST:
        here = party.switch == name and party.port
        behind = here and (party.port in settings.uplink or party.port in settings.stations.values())
        if here and not behind:
            port = party.port
        # Behind an uplink the hardware address may be that of a router.
        mac = _hardware(party) if party.mac and not behind else ""
        if port >= _RESERVED:
            raise NotExpressible(f"{party.value}: {port:#x} is no port that a host can be connected to")
        if mac and mac in settings.station_macs:
            raise NotExpressible(f"{party.value}: {mac} is where this switch steers others' traffic")
    if not (port or mac or nets):
        raise NotExpressible(f"{party.value}: neither address nor port nor hardware address is known")
    if any(net.prefixlen == 0 for net in nets):
        raise NotExpressible(f"{party.value}: that is everybody")
    return Side(port, mac, nets)


def _hardware(party: Party) -> str:
    """Raises NotExpressible."""
    try:
        octets = mac_octets(party.mac)
    except ValueError as error:
        raise NotExpressible(f"{party.value}: {error}") from error
    if octets[0] & 1:
        raise NotExpressible(f"{party.value}: {party.mac} is the address of a group, not of a host")
    return mac_text(octets)


def _merge(*parts: Fields) -> Fields | None:
    """Both conditions, or None if no packet meets them (one family and the other)."""
    merged: Fields = {}
    for part in parts:
        for name, value in part.items():
            if merged.setdefault(name, value) != value:
                return None
    return merged


def _between(one: Side, other: Side | None) -> Iterator[Fields]:
    """Every way to tell that a packet goes from one side to the other (None: to anybody)."""
    for origin in one.origins():
        for aim in other.ends() if other else [{}]:
            merged = _merge(origin, aim)
            if merged is not None:
                yield merged


def _from(one: Side | None, other: Side) -> Iterator[Fields]:
    """The same with anybody as the origin."""
    if one is not None:
        yield from _between(one, other)
    else:
        yield from other.ends()


def _with(ways: Iterable[Fields], protocol: int, **more: int | str) -> Iterator[Fields]:
    for way in ways:
        for family in _FAMILIES:
            merged = _merge(way, {"eth_type": family, "ip_proto": protocol, **more})
            if merged is not None:
                yield merged


def _to(station: Station) -> tuple[Action, ...]:
    seen: tuple[Action, ...] = (SetField(set_field("eth_dst", station.mac)),) if station.mac else ()
    return (*seen, Output(station.port))


class Maker:
    """Rules of one switch."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.tables = settings.tables

    def rules(self, intent: Intent) -> tuple[Rule, ...]:
        """Raises NotExpressible."""
        one = side(intent.subject, self.name, self.settings)
        other = side(intent.target, self.name, self.settings) if intent.target else None
        if intent.action in words.CUTTING:
            self._not_protected(intent, one, other)
        made = {rule.key: rule for rule in self._rules(intent.action, one, other)}
        if len(made) > self.settings.rules:
            raise NotExpressible(
                f"it takes {len(made):,} rules, and this switch is to hold {self.settings.rules:,}"
            )
        if not made:
            raise NotExpressible("the parties have no address family in common: nothing passes between them")
        return tuple(made.values())

    def _rules(self, action: str, one: Side, other: Side | None) -> Iterator[Rule]:
        match action:
            case words.ALLOW:
                ways = [*_between(one, other), *_from(other, one)]
                yield from self._contain(ALLOWED, ways, goto=self.tables.forward)
            case words.MIRROR:
                capture = self._station("capture")
                for way in [*_between(one, other), *_from(other, one)]:
                    yield Rule(
                        self.tables.mirror, MIRRORED, match(**way), (Output(capture.port),), self.tables.guard
                    )
            case words.PROXY:
                yield from self._proxy(one, other)
            case words.BLOCK_PAIR:
                yield from self._contain(PAIRED, [*_between(one, other), *_from(other, one)])
            case words.BLOCK:
                yield from self._contain(BLOCKED, [*_between(one, other), *_from(other, one)])
                if other is None:
                    yield from self._leases(BLOCKED + 1, one)
            case words.SINKHOLE:
                yield from self._sinkhole(one, other)
            case _:
                yield from self._quarantine(one, other)

    def _contain(
        self, priority: int, ways: Iterable[Fields], actions: tuple[Action, ...] = (), goto: int = -1
    ) -> Iterator[Rule]:
        for way in ways:
            yield Rule(self.tables.contain, priority, match(**way), actions, goto)

    def _leases(self, priority: int, one: Side) -> Iterator[Rule]:
        """Answers of the address assignment, which the guard cannot tell from others by where they go."""
        if one.port or one.mac:
            ways = [
                way for way in _with(one.ends(), UDP, udp_src=67, udp_dst=68) if way["eth_type"] == IPV4_TYPE
            ]
            ways += [
                way
                for way in _with(one.ends(), UDP, udp_src=547, udp_dst=546)
                if way["eth_type"] == IPV6_TYPE
            ]
            yield from self._contain(priority, ways, goto=self.tables.forward)

    def _proxy(self, one: Side, other: Side | None) -> Iterator[Rule]:
        proxy = self._station("proxy")
        ways = list(_between(one, other))
        for kind, port in self.settings.steer:
            steered = _with(ways, TCP if kind == "tcp" else UDP, **{f"{kind}_dst": port})
            yield from self._contain(STEERED, steered, _to(proxy))
        yield from self._contain(STEERED, _with(ways, UDP, udp_dst=443))  # QUIC would go round it
        # A proxy that keeps the client's address must not be sent back to itself.
        own = [{"in_port": proxy.port, **way} for way in ways if "in_port" not in way]
        yield from self._contain(STEERED + 5, own, goto=self.tables.forward)

    def _sinkhole(self, one: Side, other: Side | None) -> Iterator[Rule]:
        """Towards the target; without one, the subject is what everybody's traffic is kept from."""
        sink = self._station("sinkhole")
        client, goal = (one, other) if other is not None else (None, one)
        back = list(_between(goal, client))
        yield from self._contain(SUNK + 10, _from(client, goal), _to(sink))
        yield from self._contain(
            SUNK + 15, [{**way, "in_port": sink.port} for way in back], goto=self.tables.forward
        )
        yield from self._contain(SUNK, back)

    def _quarantine(self, one: Side, other: Side | None) -> Iterator[Rule]:
        made = list(self._isolated(one, other))
        if self.settings.quarantine_reaches_protected:
            yield from made
            return
        for rule in made:
            yield Rule(
                self.tables.guard,
                rule.priority - QUARANTINED + _BEFORE_GUARD,
                rule.match,
                rule.actions,
                rule.goto,
            )

    def _isolated(self, one: Side, other: Side | None) -> Iterator[Rule]:
        page = self.settings.quarantine
        leaving, coming = list(_between(one, other)), list(_from(other, one))
        if page is not None:
            for kind, port in self.settings.steer:
                steered = _with(leaving, TCP if kind == "tcp" else UDP, **{f"{kind}_dst": port})
                yield from self._contain(
                    QUARANTINED + 30, (way for way in steered if way["eth_type"] == IPV4_TYPE), _to(page)
                )
            back = [{**way, "in_port": page.port} for way in one.ends()]
            yield from self._contain(QUARANTINED + 10, back, goto=self.tables.forward)
        yield from self._contain(QUARANTINED + 20, leaving)
        yield from self._contain(QUARANTINED, coming)
        if other is None:
            yield from self._leases(QUARANTINED + 10, one)

    def _station(self, use: str) -> Station:
        station: Station | None = getattr(self.settings, use)
        if station is None:
            raise NotExpressible(f"this switch has no port for that: set ports.{use}")
        return station

    def _not_protected(self, intent: Intent, one: Side, other: Side | None) -> None:
        """What the guard table lets through cannot be cut behind it. Raises NotExpressible."""
        for nets in (one.nets, other.nets if other else ()):
            inside = [net for net in nets if _within(net, self.settings.protect)]
            if inside and (nets is one.nets or inside == list(nets)):
                raise NotExpressible(f"{inside[0]} is protected: the switch lets its traffic through")

    def touched(self, intent: Intent) -> tuple[str, ...]:
        """What of the site is affected, in words. Raises NotExpressible."""
        one = side(intent.subject, self.name, self.settings)
        other = side(intent.target, self.name, self.settings) if intent.target else None
        found = [
            f"{_DONE[intent.action]} {_words(intent.subject, one)}, {'towards' if other else 'to and from'} "
        ]
        found[0] += _words(intent.target, other) if intent.target and other else "everybody"
        if one.port:
            found.append(f"whatever else is connected to port {one.port}")
        if intent.action in words.CUTTING and self.settings.protect:
            still = intent.action == words.QUARANTINE and not self.settings.quarantine_reaches_protected
            if not still:
                found.append(
                    f"not its traffic with what is protected ({', '.join(map(str, self.settings.protect))})"
                )
        return tuple(found)

    def open_paths(self, intent: Intent) -> tuple[str, ...]:
        """Ways of ``contract.PATHS`` that stay open between the parties; () for what cuts nothing. QUIC and what is
        established are never among them: what cuts here cuts every protocol, and every packet."""
        if intent.action not in words.CUTTING:
            return ()
        one = side(intent.subject, self.name, self.settings)
        other = side(intent.target, self.name, self.settings) if intent.target else None
        found = set()
        for family, version in ((IPV4, 4), (IPV6, 6)):
            # The subject speaks this family, and no address of the target's in it is known: it may have one.
            speaks = any(net.version == version and not net.is_link_local for net in one.nets)
            known = other is None or any(net.version == version for net in other.nets)
            if speaks and not known and intent.target is not None and intent.target.kind != words.PREFIX:
                found.add(family)
            for nets in (one.nets, other.nets if other else ()):
                if any(
                    net.version == version and net.overlaps(held)
                    for net in nets
                    for held in self._protected(version)
                ):
                    found.add(family)
        parties = [party for party in (intent.subject, intent.target) if party is not None]
        if any(party.kind == words.DOMAIN for party in parties):
            found.add(NAMES)
        if intent.subject.kind == words.HOST and not one.port and not self._covered(one.nets):
            found.add(ELSEWHERE)
        return tuple(sorted(found))

    def _protected(self, version: int) -> list[Network]:
        return [held for held in self.settings.protect if held.version == version]

    def _covered(self, nets: tuple[Network, ...]) -> bool:
        return bool(nets) and all(net.is_link_local or _within(net, self.settings.covers) for net in nets)


def _within(net: Network, others: Iterable[Network]) -> bool:
    return any(net.version == one.version and net.subnet_of(one) for one in others)  # type: ignore[arg-type]


_DONE: Final = {
    words.ALLOW: "let through: traffic of", words.PROXY: "sent to the proxy: web traffic of",
    words.MIRROR: "copied: traffic of", words.BLOCK_PAIR: "cut: traffic of", words.BLOCK: "cut: traffic of",
    words.SINKHOLE: "sent to the sinkhole: traffic of", words.QUARANTINE: "quarantined: traffic of",
}  # fmt: skip


def _words(party: Party, one: Side) -> str:
    known = [f"port {one.port}"] if one.port else []
    known += [one.mac] if one.mac else []
    known += [str(net.network_address if net.prefixlen == net.max_prefixlen else net) for net in one.nets[:8]]
    known += [f"{len(one.nets) - 8:,} more addresses"] if len(one.nets) > 8 else []
    return f"{party.value} ({', '.join(known)})"
