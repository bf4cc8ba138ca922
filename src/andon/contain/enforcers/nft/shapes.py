"""Sets, and the rules that look into them: one set per action, IP version and length of prefix.

Prefixes are held in plain hash sets whose rule masks the packet's address first, as in
``ip saddr & 255.255.255.0 @drop4_24``, instead of in interval sets: there a narrow prefix and a wide one around it
exclude each other, and every change reads the whole set. Sets for single addresses are there from the start, those for
prefixes come with the first that needs them.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple

from andon.contain.enforcers.nft.settings import Settings

# How a set is looked into. ONE: either side of a packet; FROM, TO: its source, its destination; BOTH: source and
# destination, and the other way round; MAC, MAC_BOTH: the source's hardware address, alone or with the other's address.
ONE, FROM, TO, BOTH, MAC, MAC_BOTH = "one", "from", "to", "both", "mac", "mac-both"

ALLOW, ALLOW_PAIR = "allow", "allowpair"
HELD, HELD_MAC = "quarantine", "quarantinemac"
DROP, DROP_MAC, PAIR, PAIR_MAC = "drop", "dropmac", "pair", "pairmac"
SINK, SINK_TO, SINK_PAIR = "sink", "sinkto", "sinkpair"
PROXY, PROXY_TO, PROXY_PAIR = "proxy", "proxyto", "proxypair"
MIRROR, MIRROR_PAIR = "mirror", "mirrorpair"
FORMS: Final = {
    ALLOW: ONE, ALLOW_PAIR: BOTH, HELD: ONE, HELD_MAC: MAC, DROP: ONE, DROP_MAC: MAC, PAIR: BOTH, PAIR_MAC: MAC_BOTH,
    SINK: FROM, SINK_TO: TO, SINK_PAIR: BOTH, PROXY: FROM, PROXY_TO: TO, PROXY_PAIR: BOTH, MIRROR: ONE,
    MIRROR_PAIR: BOTH,
}  # fmt: skip
LEDGER: Final = "intents"
_NAME: Final = re.compile(r"([a-z]+)(4|6)?(?:_(\d{1,3}))?(?:_(\d{1,3}))?")


class Shape(NamedTuple):
    """``version`` 0: hardware addresses, no IP. ``lengths``: of the prefixes on the one and the other side; full
    lengths are those of single addresses."""

    kind: str
    version: int
    lengths: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """
        >>> Shape(PAIR, 4, (24, 32)).name, Shape(DROP, 6, (128,)).name
        ('pair4_24_32', 'drop6')
        """
        return _name_of(self)

    @property
    def family(self) -> str:
        """That of the table: ``dup`` exists in ip and ip6 alone."""
        return "inet" if self.kind not in (MIRROR, MIRROR_PAIR) else "ip" if self.version == 4 else "ip6"

    @property
    def keys(self) -> str:
        address = f"ipv{self.version}_addr"
        form = FORMS[self.kind]
        return {BOTH: f"{address} . {address}", MAC: "ether_addr", MAC_BOTH: f"ether_addr . {address}"}.get(
            form, address
        )

    def matches(self) -> tuple[str, ...]:
        """What stands in a rule before its verdict; two for both directions."""
        ip = "ip" if self.version == 4 else "ip6"
        form, name = FORMS[self.kind], f"@{self.name}"
        sides = [_masked(ip, "saddr", n, self.version) for n in self.lengths]
        others = [_masked(ip, "daddr", n, self.version) for n in self.lengths]
        if form == BOTH:
            return (f"{sides[0]} . {others[1]} {name}", f"{others[0]} . {sides[1]} {name}")
        if form == MAC:
            return (f"ether saddr {name}",)
        if form == MAC_BOTH:
            return (f"ether saddr . {others[0]} {name}",)
        return {ONE: (f"{sides[0]} {name}", f"{others[0]} {name}"), FROM: (f"{sides[0]} {name}",)}.get(
            form, (f"{others[0]} {name}",)
        )


@lru_cache(4096)
def _name_of(shape: Shape) -> str:
    full = all(length == _bits(shape.version) for length in shape.lengths)
    given = "" if full else "".join(f"_{length}" for length in shape.lengths)
    return f"{shape.kind}{shape.version or ''}{given}"


def shape_named(name: str) -> Shape | None:
    """The inverse of ``name``; None for a set that is none of ours."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] not in FORMS or (found[2] is None) != (FORMS[found[1]] == MAC):
        return None
    version = int(found[2] or 0)
    count = {BOTH: 2, MAC: 0}.get(FORMS[found[1]], 1)
    given = [int(one) for one in found.groups()[2:] if one is not None]
    lengths = tuple(given) if given else (_bits(version),) * count
    made = Shape(found[1], version, lengths)
    return made if len(lengths) == count and made.name == name else None


def first_shapes(settings: Settings) -> tuple[Shape, ...]:
    """Those for single addresses, of all actions that the settings allow for."""
    made = []
    for kind, form in FORMS.items():
        if form == MAC:
            made.append(Shape(kind, 0))
            continue
        made += [
            Shape(kind, version, (_bits(version),) * (2 if form == BOTH else 1))
            for version in (4, 6)
            if _wanted(kind, version, settings)
        ]
    return tuple(made)


def _wanted(kind: str, version: int, settings: Settings) -> bool:
    """Whether the settings name what the action needs. Where there is a sinkhole or a proxy for one IP version, the
    other is dropped; a mirror is per version."""
    if kind in (SINK, SINK_TO, SINK_PAIR):
        return settings.sinkhole is not None
    if kind in (PROXY, PROXY_TO, PROXY_PAIR):
        return settings.proxy is not None
    return kind not in (MIRROR, MIRROR_PAIR) or version in (settings.mirror or {})


def shape_commands(shape: Shape, settings: Settings) -> tuple[str, ...]:
    """Its set and its rules, each appended to the chain of its action."""
    table = f"{shape.family} {settings.table}"
    made = [f"add set {table} {shape.name} {{ type {shape.keys}; flags timeout; }}"]
    made += [f"add rule {table} {chain} {rule}" for chain, rule in _rules(shape, settings)]
    return tuple(made)


def _rules(shape: Shape, settings: Settings) -> list[tuple[str, str]]:
    matches, kind = shape.matches(), shape.kind
    ip = "ip" if shape.version == 4 else "ip6"
    if kind in (ALLOW, ALLOW_PAIR):
        return [("allow", f"{match} accept") for match in matches]
    if kind in (HELD, HELD_MAC):
        rules = [("quarantine", f"{match} jump quarantined") for match in matches]
        page = (settings.page or {}).get(shape.version)
        if page is not None:
            rules.append(("natquarantine", f"{matches[0]} tcp dport 80 dnat {ip} to {page.target()}"))
        return rules
    if kind in (DROP, DROP_MAC, PAIR, PAIR_MAC):
        return [("cut", f"{match} counter drop") for match in matches]
    if kind in (SINK, SINK_TO, SINK_PAIR):
        return _sink(shape, settings, ip)
    if kind in (PROXY, PROXY_TO, PROXY_PAIR):
        return _proxy(shape, settings, ip)
    device = f' device "{settings.mirror_device}"' if settings.mirror_device else ""
    to = (settings.mirror or {})[shape.version]
    return [("mirror", f"{match} dup to {to}{device}") for match in matches]


def _sink(shape: Shape, settings: Settings, ip: str) -> list[tuple[str, str]]:
    """New connections go to the sinkhole; what is not on its way there (open connections, answers to them, an IP
    version without a sinkhole) is dropped."""
    to = (settings.sinkhole or {}).get(shape.version)
    if shape.kind == SINK:
        other = f" {ip} daddr != {to}" if to else ""
        back = f" {ip} saddr != {to}" if to else ""
        source = shape.matches()[0]
        target = Shape(SINK, shape.version, shape.lengths).matches()[0].replace("saddr", "daddr")
        rules = [("sink", f"{source}{other} counter drop"), ("sink", f"{target}{back} counter drop")]
    elif shape.kind == SINK_TO:
        target = shape.matches()[0]
        rules = [("sink", f"{side} counter drop") for side in (target, target.replace("daddr", "saddr"))]
    else:
        rules = [("sink", f"{match} counter drop") for match in shape.matches()]
    if to is not None:
        # Of a pair only what its subject opens: the answers belong to that connection.
        rules.append(("natsink", f"{shape.matches()[0]} dnat {ip} to {to}"))
    return rules


def _proxy(shape: Shape, settings: Settings, ip: str) -> list[tuple[str, str]]:
    """New connections to port 80 go to the proxy; older ones are dropped, and so is QUIC, which would go round it."""
    to = (settings.proxy or {}).get(shape.version)
    match = shape.matches()[0]
    past = f" {ip} daddr != {to.address}" if to is not None and to.address is not None else ""
    rules = [
        ("proxy", f"{match} tcp dport 80{past} counter drop"),
        ("proxy", f"{match} udp dport 443 counter drop"),
    ]
    if to is not None:
        verdict = f"redirect to {to.target()}" if to.address is None else f"dnat {ip} to {to.target()}"
        rules.append(("natproxy", f"{match} tcp dport 80 {verdict}"))
    return rules


def _bits(version: int) -> int:
    return {4: 32, 6: 128}.get(version, 48)


def _masked(ip: str, side: str, length: int, version: int) -> str:
    if length == _bits(version):
        return f"{ip} {side}"
    network = ipaddress.ip_network(f"{'0.0.0.0' if version == 4 else '::'}/{length}")
    return f"{ip} {side} & {network.netmask}"
