"""What an OpenFlow rule matches: OXM fields (OpenFlow 1.3.5, 7.2.3), read, written, and as ``ovs-ofctl`` has them.

A match is a tuple of terms in the order of their keys, so that two matches that mean the same are the same bytes,
however a switch orders them in its answers. Fields we do not know are kept as they came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

_BASIC: Final = 0x8000 << 7  # class OFPXMC_OPENFLOW_BASIC above the number of the field
IPV4_TYPE, IPV6_TYPE, ARP_TYPE = 0x0800, 0x86DD, 0x0806
TCP, UDP, ICMPV6 = 6, 17, 58


class Malformed(ValueError):
    """What a switch sent does not follow the protocol."""


class Term(NamedTuple):
    """One field of a match. ``key``: class and number of the field; ``mask`` is empty where every bit counts."""

    key: int
    value: bytes
    mask: bytes = b""


Match = tuple[Term, ...]


@dataclass(frozen=True)
class Field:
    """A field of the basic class. ``text``: its name in ``ovs-ofctl``; ``show``: how its value is written there."""

    key: int
    width: int  # octets
    text: str
    show: Callable[[bytes], str]


def _number(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _hexadecimal(value: bytes) -> str:
    return f"0x{value.hex()}"


def mac_text(value: bytes) -> str:
    return value.hex(":")


def _address(value: bytes) -> str:
    kind = IPv4Network if len(value) == 4 else IPv6Network
    return str(kind(value).network_address)


_NAMES: Final = {
    "in_port": Field(_BASIC | 0, 4, "in_port", _number),
    "eth_dst": Field(_BASIC | 3, 6, "dl_dst", mac_text),
    "eth_src": Field(_BASIC | 4, 6, "dl_src", mac_text),
    "eth_type": Field(_BASIC | 5, 2, "dl_type", _hexadecimal),
    "ip_proto": Field(_BASIC | 10, 1, "nw_proto", _number),
    "ipv4_src": Field(_BASIC | 11, 4, "nw_src", _address),
    "ipv4_dst": Field(_BASIC | 12, 4, "nw_dst", _address),
    "tcp_src": Field(_BASIC | 13, 2, "tcp_src", _number),
    "tcp_dst": Field(_BASIC | 14, 2, "tcp_dst", _number),
    "udp_src": Field(_BASIC | 15, 2, "udp_src", _number),
    "udp_dst": Field(_BASIC | 16, 2, "udp_dst", _number),
    "ipv6_src": Field(_BASIC | 26, 16, "ipv6_src", _address),
    "ipv6_dst": Field(_BASIC | 27, 16, "ipv6_dst", _address),
    "icmpv6_type": Field(_BASIC | 29, 1, "icmpv6_type", _number),
}
_KEYS: Final = {field.key: field for field in _NAMES.values()}
_PROTOCOLS: Final = {  # (type, protocol) -> the word ovs-ofctl has for both
    (IPV4_TYPE, None): "ip", (IPV6_TYPE, None): "ipv6", (ARP_TYPE, None): "arp", (IPV4_TYPE, TCP): "tcp",
    (IPV6_TYPE, TCP): "tcp6", (IPV4_TYPE, UDP): "udp", (IPV6_TYPE, UDP): "udp6", (IPV6_TYPE, ICMPV6): "icmp6",
}  # fmt: skip


def mac_octets(text: str) -> bytes:
    """The octets of "00:11:22:33:44:55". Raises ValueError."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text!r} is not a MAC address")
    try:
        return bytes(int(part, 16) for part in parts)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a MAC address") from error


def _octets(name: str, field: Field, given: int | str) -> tuple[bytes, bytes]:
    if name in ("eth_src", "eth_dst"):
        return mac_octets(str(given)), b""
    if name.startswith("ipv"):
        net = ip_network(str(given))
        value = net.network_address.packed
        if len(value) != field.width:
            raise ValueError(f"{given} is no value of {name}")
        whole = net.prefixlen == net.max_prefixlen
        return value, b"" if whole else net.netmask.packed
    return int(given).to_bytes(field.width, "big"), b""


def match(**fields: int | str) -> Match:
    """A match by the names of the fields; addresses may be prefixes.

    >>> text(match(eth_type=IPV4_TYPE, ipv4_dst="192.0.2.0/24", ip_proto=TCP, tcp_dst=80))
    'tcp,nw_dst=192.0.2.0/24,tcp_dst=80'
    """
    terms = []
    for name, given in fields.items():
        field = _NAMES[name]
        terms.append(Term(field.key, *_octets(name, field, given)))
    return tuple(sorted(terms))


def end(side: str, net: IPv4Network | IPv6Network) -> dict[str, int | str]:
    """What says that a packet comes from ("src") or goes to ("dst") these addresses."""
    v4 = net.version == 4
    return {"eth_type": IPV4_TYPE if v4 else IPV6_TYPE, f"ipv{net.version}_{side}": str(net)}


def set_field(name: str, given: int | str) -> Term:
    """A term as the action "set field" takes it."""
    field = _NAMES[name]
    return Term(field.key, _octets(name, field, given)[0])


def term_octets(term: Term) -> bytes:
    """One OXM: header, value, mask."""
    header = term.key << 9 | bool(term.mask) << 8 | len(term.value) + len(term.mask)
    return header.to_bytes(4, "big") + term.value + term.mask


def read_term(data: bytes, at: int, end: int) -> tuple[Term, int]:
    """The OXM at ``at`` and where the next one is. Raises Malformed."""
    if end - at < 4:
        raise Malformed("a field of a match is cut off")
    header = int.from_bytes(data[at : at + 4], "big")
    key, masked, length = header >> 9, header >> 8 & 1, header & 0xFF
    stop = at + 4 + length
    if stop > end or length == 0 or (masked and length % 2):
        raise Malformed(f"a field of a match says it has {length} octets")
    value = data[at + 4 : stop]
    mask = b""
    if masked:
        half = length // 2
        value, mask = value[:half], value[half:]
        if mask.count(0xFF) == half:
            mask = b""
        value = bytes(a & b for a, b in zip(value, mask, strict=True)) if mask else value
    field = _KEYS.get(key)
    if field is not None and len(value) != field.width:
        raise Malformed(f"{field.text} has {len(value)} octets, not {field.width}")
    return Term(key, value, mask), stop


def encode_match(terms: Match) -> bytes:
    """The structure ``ofp_match``: type OXM, length, fields, padding to eight octets."""
    body = b"".join(map(term_octets, terms))
    length = 4 + len(body)
    return b"\0\1" + length.to_bytes(2, "big") + body + bytes(-length % 8)


def read_match(data: bytes, at: int, end: int) -> tuple[Match, int]:
    """The ``ofp_match`` at ``at`` and where its padding ends. Raises Malformed."""
    if end - at < 8 or data[at : at + 2] != b"\0\1":
        raise Malformed("a match is cut off or is not of the type OXM")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    stop, after = at + length, at + length + -length % 8
    if length < 4 or after > end:
        raise Malformed(f"a match says it has {length} octets")
    at += 4
    terms = []
    while at < stop:
        term, at = read_term(data, at, stop)
        terms.append(term)
    terms.sort()
    if len({term.key for term in terms}) != len(terms):
        raise Malformed("a match names a field twice")
    return tuple(terms), after


def term_text(term: Term) -> str:
    """``name=value`` or ``name=value/mask``."""
    field = _KEYS.get(term.key)
    if field is None:
        return f"field_{term.key:#x}=0x{term.value.hex()}" + (f"/0x{term.mask.hex()}" if term.mask else "")
    shown = field.show(term.value)
    if not term.mask:
        return f"{field.text}={shown}"
    if field.show is _address:
        bits = int.from_bytes(term.mask, "big")
        width = 8 * len(term.mask)
        prefix = bits.bit_count()
        if bits == (1 << width) - (1 << width - prefix):
            return f"{field.text}={shown}/{prefix}"
    return f"{field.text}={shown}/{field.show(term.mask)}"


def text(terms: Match) -> str:
    """As ``ovs-ofctl`` takes it; empty for what matches everything."""
    found = {term.key: term for term in terms}
    kind = found.get(_NAMES["eth_type"].key)
    protocol = found.get(_NAMES["ip_proto"].key)
    words = []
    if kind is not None:
        pair = (int.from_bytes(kind.value, "big"), protocol.value[0] if protocol else None)
        word = _PROTOCOLS.get(pair)
        if word is None and pair[1] is not None and (pair[0], None) in _PROTOCOLS:
            words.append(_PROTOCOLS[pair[0], None])
            del found[kind.key]
        elif word is not None:
            words.append(word)
            del found[kind.key]
            if protocol is not None:
                del found[protocol.key]
    return ",".join(words + [term_text(term) for _, term in sorted(found.items())])
