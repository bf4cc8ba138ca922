"""The tables every packet passes: mirror, guard, contain, forward. What is in them while nothing is contained.

Order matters: the mirror comes before any verdict, or protected systems would be missing from the evidence; the guard
comes before containment, so that no intent, however wrong, cuts ARP, neighbour discovery, address assignment or what
the site protects. The rules here bear a cookie of their own and stay when everything contained is revoked.
"""

from __future__ import annotations

from typing import Final

from andon.contain.enforcers.openflow.oxm import (
    ARP_TYPE,
    ICMPV6,
    IPV4_TYPE,
    IPV6_TYPE,
    UDP,
    Match,
    end,
    match,
)
from andon.contain.enforcers.openflow.rule import NORMAL, Output, Rule
from andon.contain.enforcers.openflow.settings import Network, Settings

# Intents are marked by the highest bit of the cookie (their ids have 63); the pipeline by these octets: "Andon".
MARK: Final = 1 << 63
BASE: Final = 0x416E_646F_6E00_0000
BASE_MASK: Final = 0xFFFF_FFFF_FF00_0000

_BASICS, _PROTECTED = 1000, 900


def base_rules(settings: Settings) -> tuple[Rule, ...]:
    """From the last table to the first, so that one by one, too, they never cut what runs."""
    tables = settings.tables
    guard, onward = tables.guard, tables.forward
    rules = [Rule(onward, 0, (), (Output(NORMAL),))] if tables.normal else []
    rules.append(Rule(tables.contain, 0, (), goto=onward))
    basics = [
        match(eth_type=ARP_TYPE),
        match(eth_type=IPV6_TYPE, ip_proto=ICMPV6, icmpv6_type=135),
        match(eth_type=IPV6_TYPE, ip_proto=ICMPV6, icmpv6_type=136),
        # Only where no router takes it further, or else address assignment would be a way out for a contained host.
        match(eth_type=IPV4_TYPE, ip_proto=UDP, ipv4_dst="255.255.255.255", udp_src=68, udp_dst=67),
        match(eth_type=IPV6_TYPE, ip_proto=UDP, ipv6_dst="ff02::1:2", udp_src=546, udp_dst=547),
    ]
    for server in settings.dhcp:
        if ":" in server:
            basics += [
                match(eth_type=IPV6_TYPE, ip_proto=UDP, ipv6_dst=server, udp_src=546, udp_dst=547),
                match(eth_type=IPV6_TYPE, ip_proto=UDP, ipv6_src=server, udp_src=547, udp_dst=546),
            ]
        else:
            basics += [
                match(eth_type=IPV4_TYPE, ip_proto=UDP, ipv4_dst=server, udp_src=68, udp_dst=67),
                match(eth_type=IPV4_TYPE, ip_proto=UDP, ipv4_src=server, udp_src=67, udp_dst=68),
            ]
    rules += [Rule(guard, _BASICS, terms, goto=onward) for terms in basics]
    rules += [Rule(guard, _PROTECTED, terms, goto=onward) for net in settings.protect for terms in _both(net)]
    rules.append(Rule(guard, 0, (), goto=tables.contain))
    rules.append(Rule(tables.mirror, 0, (), goto=guard))
    return tuple({rule.key: rule for rule in rules}.values())


def _both(net: Network) -> tuple[Match, Match]:
    return match(**end("src", net)), match(**end("dst", net))
