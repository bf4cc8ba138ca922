"""The table as it stands before any intent: chains at the hooks, and the order in which they ask.

Order (after the pipeline guard, contain, forward of an OpenFlow switch): what no network lives without (neighbour
discovery, DHCP), what is protected, what is allowed; then quarantine, cuts, sinkhole, proxy. A drop is final whatever
chain of others says accept, before or after; an accept here only leaves the packet to the others' chains. Connections
that are already open are judged like all others: nothing here asks conntrack for a state.

The mirror has tables of its own: ``dup`` exists in the families ip and ip6, not in inet. It copies before any verdict.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from andon.contain.enforcers.given import Network
from andon.contain.enforcers.nft.settings import HOST_MODE, Settings
from andon.contain.enforcers.nft.shapes import LEDGER, Shape, first_shapes, shape_commands

COMMENT = "Andon containment. Made and emptied by the enforcer; changes by hand are undone."


def families(settings: Settings) -> tuple[str, ...]:
    mirrored = settings.mirror or {}
    return ("inet", *(name for version, name in ((4, "ip"), (6, "ip6")) if version in mirrored))


def base_commands(settings: Settings, shapes: Iterable[Shape] = ()) -> tuple[str, ...]:
    """Everything but elements, ready to be typed. ``shapes``: those for prefixes that are in use."""
    first = first_shapes(settings)
    made = [*_inet(settings), *_mirrors(settings)]
    for shape in (*first, *(one for one in shapes if one not in first)):
        made += shape_commands(shape, settings)
    return tuple(made)


def delete_commands(settings: Settings) -> tuple[str, ...]:
    """Away with our tables, whether they are there or not (``destroy`` is newer than what we ask for), and with those
    of a mirror that the settings do not have any more."""
    return tuple(
        f"{verb} table {family} {settings.table}"
        for family in ("inet", "ip", "ip6")
        for verb in ("add", "delete")
    )


def _inet(settings: Settings) -> Iterator[str]:
    table = f"inet {settings.table}"
    yield f'add table {table} {{ comment "{COMMENT}"; }}'
    yield f"add set {table} {LEDGER} {{ type mark . mark; flags timeout; }}"
    for chain in (
        "basics", "allow", "quarantined", "quarantine", "cut", "sink", "proxy", "contain", "natquarantine", "natsink",
        "natproxy",
    ):  # fmt: skip
        yield f"add chain {table} {chain}"
    for hook in ("forward", "input", "output"):
        rank = f"type filter hook {hook} priority {settings.priority}; policy accept;"
        yield f"add chain {table} {hook}_first {{ {rank} }}"
    nat = "prerouting" if settings.mode != HOST_MODE else "output"
    yield f"add chain {table} nat_first {{ type nat hook {nat} priority -110; policy accept; }}"
    basics = [
        "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
        "udp sport { 67, 68 } udp dport { 67, 68 } accept",
        "udp sport { 546, 547 } udp dport { 546, 547 } accept",
        *(f"{match} accept" for match in _either(settings.protect)),
    ]
    for rule in basics:
        yield f"add rule {table} basics {rule}"
    for rule in _quarantined(settings):
        yield f"add rule {table} quarantined {rule}"
    for one in ("basics", "allow", "quarantine", "cut", "sink"):
        yield f"add rule {table} contain jump {one}"
    if settings.mirror is not None:
        # Copies leave through the output hook and must not meet the verdict on what they are copies of. Their source
        # is none of a gateway's own; a host's own packets are tracked, copies of them are not.
        copy = "fib saddr type != local" if settings.mode != HOST_MODE else "ct state untracked"
        yield f"add rule {table} output_first {copy} accept"
    for hook in ("forward", "input", "output"):
        yield f"add rule {table} {hook}_first jump contain"
        # A gateway's own proxy must reach what it fetches for a client.
        if hook != "output" or settings.mode == HOST_MODE:
            yield f"add rule {table} {hook}_first jump proxy"
    for endpoint in (settings.proxy or {}).values():
        if endpoint.address is not None:
            ip = "ip" if endpoint.address.version == 4 else "ip6"
            for chain in ("proxy", "natproxy"):
                yield f"add rule {table} {chain} {ip} saddr {endpoint.address} accept"
    for match in _towards(settings.reach):
        yield f"add rule {table} natquarantine {match} accept"
    for one in ("basics", "allow", "natquarantine", "natsink", "natproxy"):
        yield f"add rule {table} nat_first jump {one}"


def _quarantined(settings: Settings) -> Iterator[str]:
    for match in _either(settings.reach):
        yield f"{match} accept"
    for endpoint in (settings.page or {}).values():
        assert endpoint.address is not None
        ip = "ip" if endpoint.address.version == 4 else "ip6"
        yield f"{ip} daddr {endpoint.address} tcp dport {endpoint.port} accept"
        yield f"{ip} saddr {endpoint.address} tcp sport {endpoint.port} accept"
    yield "counter drop"


def _mirrors(settings: Settings) -> Iterator[str]:
    for family in families(settings)[1:]:
        table = f"{family} {settings.table}"
        yield f'add table {table} {{ comment "{COMMENT}"; }}'
        yield f"add chain {table} mirror"
        # After addresses were translated back, before the chains above drop.
        for hook in ("prerouting", "output"):
            yield f"add chain {table} {hook}_first {{ type filter hook {hook} priority -95; policy accept; }}"
            yield f"add rule {table} {hook}_first jump mirror"


def _towards(networks: Iterable[Network]) -> list[str]:
    given = tuple(networks)
    found = []
    for version, ip in ((4, "ip"), (6, "ip6")):
        same = [one for one in given if one.version == version]
        # Overlapping ones are refused by nft.
        listed = ", ".join(_text(one) for one in ipaddress.collapse_addresses(same))  # type: ignore[type-var]
        if listed:
            found.append(f"{ip} daddr {{ {listed} }}")
    return found


def _either(networks: Iterable[Network]) -> list[str]:
    return [side for match in _towards(networks) for side in (match, match.replace("daddr", "saddr"))]


def _text(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
