"""What an intent puts on which list, in the one spelling that the list has for it.

Seven lists, because a firewall wants one type per list (PAN-OS: "entries of that type only") and because what is done
with outside addresses (deny towards them), with systems of ours (deny from them) and with names to be sinkholed are
three rules there: ``ip``, ``ip6``, ``domain``, ``url`` for outside parties, ``host-ip``, ``host-ip6`` for systems of
ours, ``sinkhole-domain``. A list holds single parties: what is between two of them is not expressible, and is never
made wider to fit.

Formats, from the vendors' documents: PAN-OS takes addresses and prefixes, names, and URLs without ``http://``, of which
one without a path must end in a slash, or ``evil.example`` would also match ``evil.example.com``. FortiGate
and plain readers take URLs whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from andon.contain.contract import ELSEWHERE, ESTABLISHED, IPV4, IPV6, NAMES, QUIC, NotExpressible
from andon.contain.spelling import Unreadable, ascii_name, is_suffix, url
from andon.records.intent import (
    ADDRESS,
    BLOCK,
    DOMAIN,
    HOST,
    PREFIX,
    QUARANTINE,
    SINKHOLE,
    URL,
    Intent,
    Party,
)

IP, IP6, NAME, LINK = "ip", "ip6", "domain", "url"
HOST_IP, HOST_IP6, SINK = "host-ip", "host-ip6", "sinkhole-domain"
LISTS: Final = (IP, IP6, NAME, LINK, HOST_IP, HOST_IP6, SINK)
# list -> what it counts as where a firewall has one limit for all lists of a type
TYPES: Final[Mapping[str, str]] = {
    IP: "ip", IP6: "ip", HOST_IP: "ip", HOST_IP6: "ip", NAME: "domain", SINK: "domain", LINK: "url",
}  # fmt: skip
GENERIC, PAN_OS, FORTIGATE = "generic", "pan-os", "fortigate"
# PAN-OS: 50,000 addresses, names, URLs in all (the largest models take more); FortiGate: 131,072 a list before 7.4.4.
LIMITS: Final[Mapping[str, Mapping[str, int]]] = {
    GENERIC: {"ip": 50_000, "domain": 50_000, "url": 50_000},
    PAN_OS: {"ip": 50_000, "domain": 50_000, "url": 50_000},
    FORTIGATE: {"ip": 131_072, "domain": 131_072, "url": 131_072},
}
# What stands in a list that has nothing to say, for readers that take an empty one for a failure. Nobody's: RFC 5737,
# RFC 3849, RFC 2606.
NOBODY: Final[Mapping[str, str]] = {
    IP: "192.0.2.1", HOST_IP: "192.0.2.1", IP6: "2001:db8::1", HOST_IP6: "2001:db8::1",
    NAME: "empty.invalid", SINK: "empty.invalid", LINK: "empty.invalid/",
}  # fmt: skip

SUPPORTS: Final = frozenset(
    {(BLOCK, kind) for kind in (ADDRESS, PREFIX, DOMAIN, URL, HOST)}
    | {(QUARANTINE, HOST), (QUARANTINE, ADDRESS), (SINKHOLE, DOMAIN)}
)
_WIDEST: Final = {4: 16, 6: 32}  # a wider prefix is nobody's in particular; the guard is stricter

Network = IPv4Network | IPv6Network


class Entry(NamedTuple):
    """A line to be. ``text`` is canonical; two parties that are the same have the same one."""

    list: str
    text: str


@dataclass(frozen=True)
class Lines:
    """What one intent takes: its entries, what it leaves open, and what of the site it touches."""

    entries: tuple[Entry, ...]
    open_paths: tuple[str, ...]
    touched: tuple[str, ...]


def lines_of(intent: Intent, form: str) -> Lines:
    """The entries of an intent. Pure. Raises NotExpressible."""
    if (intent.action, intent.subject.kind) not in SUPPORTS:
        raise NotExpressible(f"a list cannot hold {intent.action} of a {intent.subject.kind}")
    if intent.target is not None:
        raise NotExpressible(
            f"a list names single parties: {intent.action} between {intent.subject.value} and {intent.target.value} "
            "would cut all others from them too"
        )
    party = intent.subject
    if party.kind == HOST or intent.action == QUARANTINE:
        return _own(party)
    if party.kind in (ADDRESS, PREFIX):
        net = network(party.value, party.kind)
        name = IP if net.version == 4 else IP6
        entry = Entry(name, address_text(net))
        return Lines((entry,), (ESTABLISHED,), (f"everybody's traffic with {entry.text}",))
    if party.kind == DOMAIN:
        entry = Entry(SINK if intent.action == SINKHOLE else NAME, name_text(party.value))
        return Lines((entry,), (NAMES, ESTABLISHED), (f"everybody's look-ups of {entry.text}",))
    entry = Entry(LINK, url_text(party.value, form))
    return Lines((entry,), (NAMES, QUIC, ESTABLISHED), (f"everybody's requests for {entry.text}",))


def _own(party: Party) -> Lines:
    given = party.addresses or ((party.value,) if party.kind == ADDRESS else ())
    if not given:
        raise NotExpressible(f"no address of {party.value} is known")
    nets = {network(text, ADDRESS) for text in given}
    entries = tuple(
        sorted(Entry(HOST_IP if net.version == 4 else HOST_IP6, address_text(net)) for net in nets)
    )
    versions = {net.version for net in nets}
    missing = tuple(path for path, version in ((IPV4, 4), (IPV6, 6)) if version not in versions)
    return Lines(
        entries,
        (*missing, ESTABLISHED, ELSEWHERE),
        (f"all traffic of {party.value} that passes the firewall",),
    )


def network(text: str, kind: str) -> Network:
    """An address or prefix as a network. An IPv4 address written as IPv6 (RFC 4291, 2.5.5.2) is the IPv4 address.
    Raises NotExpressible for what is none, has bits behind its prefix, is nobody's own, or too wide."""
    try:
        if kind == ADDRESS:
            made: Network = ip_network(ip_address(text))
        else:
            made = ip_network(text, strict=True)
    except ValueError as error:
        raise NotExpressible(f"{text[:80]!r} is no {kind}: {error}") from error
    address = made.network_address
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise NotExpressible(f"{text[:80]!r} has a zone: it means nothing on another machine")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None and made.prefixlen >= 96:
        made = IPv4Network((int(address.ipv4_mapped), made.prefixlen - 96))
    if made.prefixlen < _WIDEST[made.version]:
        raise NotExpressible(f"{made} is wider than a list is for (/{_WIDEST[made.version]})")
    if _nobody(made):
        raise NotExpressible(f"{made} is no address that anybody has")
    return made


def _nobody(net: Network) -> bool:
    first: IPv4Address | IPv6Address = net.network_address
    return (
        first.is_multicast
        or first.is_loopback
        or first.is_unspecified
        or first.is_link_local
        or (net.version == 4 and (int(first) >> 24 == 0 or int(first) >> 28 == 15))
    )


def address_text(net: Network) -> str:
    """A single address without its prefix length.

    >>> address_text(ip_network("198.51.100.7/32")), address_text(ip_network("2001:db8:0::/48"))
    ('198.51.100.7', '2001:db8::/48')
    """
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def name_text(value: str) -> str:
    """A domain name in its one spelling. Raises NotExpressible for what is no name, has a wildcard, or is a public
    suffix, which nobody has registered and below which are strangers.

    >>> name_text("Evil.EXAMPLE.")
    'evil.example'
    """
    if "*" in value:
        raise NotExpressible(f"{value[:80]!r}: a list has names, not patterns")
    try:
        text = ascii_name(value)
    except Unreadable as error:
        raise NotExpressible(str(error)) from error
    if is_suffix(text):
        raise NotExpressible(f"{text} is a public suffix: strangers are below it")
    return text


def url_text(value: str, form: str) -> str:
    """A URL as the format wants it. Raises NotExpressible.

    >>> url_text("HTTP://Evil.example:80/a?b", GENERIC), url_text("http://evil.example", PAN_OS)
    ('http://evil.example/a?b', 'evil.example/')
    """
    try:
        seen, parts = url(value), urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise NotExpressible(str(error)) from error
    if parts.scheme not in ("http", "https"):
        raise NotExpressible(f"{value[:80]!r} is no http or https URL")
    host = f"[{seen.host}]" if ":" in seen.host else seen.host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if form == PAN_OS:
        if any(c in "*^" for c in rest):
            raise NotExpressible(f"{value[:80]!r}: PAN-OS takes * and ^ for wildcards")
        return host + rest
    return f"{parts.scheme}://{host}{rest}"


def order(entry: Entry) -> tuple[int, int, str]:
    """Where an entry stands in its list: addresses by number, then the shorter prefix first; others by text."""
    if TYPES[entry.list] != "ip":
        return (0, 0, entry.text)
    address, _, length = entry.text.partition("/")
    family, width = (AF_INET6, 128) if ":" in address else (AF_INET, 32)
    return (int.from_bytes(inet_pton(family, address), "big"), int(length or width), entry.text)
