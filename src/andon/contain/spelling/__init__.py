"""What an address, a prefix, a name or a URL means, however it is spelt.

The same host can be named in many ways, and who wants us to cut off a gateway will choose the one that we forgot: an
IPv6 address that carries an IPv4 address (mapped, RFC 4291 section 2.5.5.2; translated, RFC 2765; 6to4, RFC 3056;
NAT64, RFC 6052 and RFC 8215; Teredo, RFC 4380; ISATAP, RFC 5214), a number that a browser takes for an address, a name
with a dot at its end. Everything is read into ranges of numbers and names in one spelling; what cannot be read with
certainty raises ``Unreadable``, and nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

_ALL_4: Final = (1 << 32) - 1
_ALL_6: Final = (1 << 128) - 1
LONGEST_TEXT: Final = 2048
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_URL: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[0-9A-Fa-f:.]+\]|[^/?#:\[\]]+)(?::(\d{1,5}))?([/?#].*)?"
)
_MAC: Final = re.compile(r"[0-9a-f]{2}(?:([:-]))[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}")


class Unreadable(ValueError):
    """A text that cannot be read with certainty; the message says why, in words."""


@dataclass(frozen=True)
class Span:
    """Addresses of one version from ``low`` to ``high``, both included. ``written``: False where the range is carried
    inside an IPv6 address (then ``text`` is still as it was written)."""

    version: int
    low: int
    high: int
    text: str
    written: bool = True

    @property
    def size(self) -> int:
        return self.high - self.low + 1


def _wide(prefix: str) -> tuple[int, int]:
    net = ip_network(prefix)
    return int(net.network_address), net.prefixlen


# (where such addresses begin, length of that prefix, bit of the IPv6 address at which the IPv4 address begins,
# whether it is stored inverted). Bits are counted from the left.
_CARRIERS: Final = tuple(
    (*_wide(prefix), at, inverted)
    for prefix, at, inverted in (
        ("::/96", 96, False),  # compatible
        ("::ffff:0:0/96", 96, False),  # mapped
        ("::ffff:0:0:0/96", 96, False),  # translated
        ("64:ff9b::/96", 96, False),  # NAT64, well-known
        (
            "64:ff9b:1::/48",
            96,
            False,
        ),  # NAT64, local use; where in it the address stands is the site's choice
        ("2002::/16", 16, False),  # 6to4
        ("2001::/32", 32, False),  # Teredo: its server
        ("2001::/32", 96, True),  # and its client
    )
)


def carriers(nat64: tuple[str, ...]) -> tuple[tuple[int, int, int, bool], ...]:
    """The site's own NAT64 prefixes (/96), as ``spans`` takes them. Raises Unreadable."""
    made = []
    for prefix in nat64:
        try:
            start, length = _wide(prefix)
        except ValueError as error:
            raise Unreadable(f"{prefix!r} is no prefix") from error
        if length != 96 or ":" not in prefix:
            raise Unreadable(f"a NAT64 prefix is an IPv6 /96, not {prefix!r}")
        made.append((start, length, 96, False))
    return tuple(made)


def spans(text: str, also: tuple[tuple[int, int, int, bool], ...] = ()) -> tuple[Span, ...]:
    """Every range of addresses that an address or a prefix stands for, as it is written first. Raises Unreadable.

    >>> [(s.version, hex(s.low)) for s in spans("::ffff:10.0.0.1")]
    [(6, '0xffff0a000001'), (4, '0xa000001')]
    """
    if len(text) > 64:
        raise Unreadable("the text is too long for an address")
    if "%" in text:
        raise Unreadable(f"{text!r} holds on one interface only (zone)")
    body, slash, length = text.partition("/")
    try:
        address = ip_address(body)
    except ValueError as error:
        raise Unreadable(f"{text!r} is no address") from error
    bits = 32 if isinstance(address, IPv4Address) else 128
    if not slash:
        low = high = int(address)
        wide = bits
    else:
        if not (length.isascii() and length.isdigit()) or len(length) > 3 or int(length) > bits:
            raise Unreadable(f"{text!r} is no prefix")
        wide = int(length)
        low = int(address)
        high = low | (1 << (bits - wide)) - 1
        if low & ((1 << (bits - wide)) - 1):
            raise Unreadable(f"{text!r} is no prefix: bits are set behind its length")
    made = [Span(address.version, low, high, text)]
    if bits == 128:
        made += _carried(low, wide, text, also)
    return tuple(made)


def _carried(low: int, wide: int, text: str, also: tuple[tuple[int, int, int, bool], ...]) -> list[Span]:
    """Ranges of IPv4 that are inside an IPv6 prefix (start, length)."""
    found = []
    for start, length, at, inverted in (*_CARRIERS, *also):
        shared = min(length, wide)
        if (start ^ low) >> (128 - shared):
            continue
        known = (
            max(0, min(wide, at + 32) - at) if wide >= length else 0
        )  # bits of the IPv4 address that are given
        if known == 0:
            found.append(Span(4, 0, _ALL_4, text, False))
            continue
        part = (low >> (96 - at)) & _ALL_4
        first = part >> (32 - known) << (32 - known)
        if inverted:
            first = (~part & _ALL_4) >> (32 - known) << (32 - known)
        found.append(Span(4, first, first | ((1 << (32 - known)) - 1), text, False))
    if (
        wide == 128 and (low >> 32) & 0xFDFFFFFF == 0x5EFE
    ):  # ISATAP: the interface says 0000:5efe or 0200:5efe
        found.append(Span(4, low & _ALL_4, low & _ALL_4, text, False))
    return found


def plain(text: str) -> str:
    """An address in its one spelling. Raises Unreadable.

    >>> plain("2001:DB8::0:1")
    '2001:db8::1'
    """
    only = spans(text)[0]
    if only.low != only.high:
        raise Unreadable(f"{text!r} is more than one address")
    return str(IPv4Address(only.low) if only.version == 4 else IPv6Address(only.low))


@lru_cache(65_536)
def name(text: str) -> str:
    """A host or domain name in its one spelling: lower case, without a dot at its end, ASCII (``xn--``). Raises
    Unreadable for anything that is not plainly a name, numbers that resolvers and browsers take for addresses too.

    >>> name("WWW.Example.org.")
    'www.example.org'
    """
    if not text.isascii():
        raise Unreadable(f"{text!r} is not written in ASCII; write international names as xn--...")
    made = text.lower()
    made = made.removeprefix("*.").removesuffix(".")
    if not made or len(made) > 253:
        raise Unreadable(f"{text[:80]!r} is no name")
    labels = made.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise Unreadable(f"{text[:80]!r} is no name")
    last = labels[-1]
    # WHATWG URL, "ends in a number": such a host is an address (0x0a000001, 10.1, 167772161), never a name.
    if last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:])):
        raise Unreadable(f"{text[:80]!r} is a number, which is an address in another spelling")
    return made


def ascii_name(text: str) -> str:
    """As ``name``; international names are turned into ``xn--`` first (RFC 3490). For texts that people write.

    >>> ascii_name("Bücher.example")
    'xn--bcher-kva.example'
    """
    if not text.isascii():
        try:
            text = text.strip().removeprefix("*.").encode("idna").decode("ascii")
        except UnicodeError as error:
            raise Unreadable(f"{text[:80]!r} is no name") from error
    return name(text.strip())


@dataclass(frozen=True)
class Url:
    """``host``: a name or an address in its one spelling; ``address``: whether it is one; ``path``: "" or what follows
    the host, without "/" alone."""

    host: str
    address: bool
    path: str


@lru_cache(16_384)
def url(text: str) -> Url:
    """Host and path of a URL. Raises Unreadable: with a user name before the host, backslashes, blanks, control
    characters, escapes or anything but ASCII in the host, readers do not agree on where it leads.

    >>> url("http://Example.org./a?b")
    Url(host='example.org', address=False, path='/a?b')
    """
    if len(text) > LONGEST_TEXT:
        raise Unreadable("a URL of more than 2,048 characters")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise Unreadable(f"{text[:80]!r}: not every reader takes this URL for the same")
    match = _URL.fullmatch(text)
    if match is None or "@" in match[2] or "%" in match[2]:
        raise Unreadable(f"{text[:80]!r}: not every reader takes this URL for the same")
    host, path = match[2], match[4] or ""
    if "@" in path.partition("/")[0]:  # some take what is before it for a user's name, others for the host
        raise Unreadable(f"{text[:80]!r}: not every reader takes this URL for the same")
    if host.startswith("["):
        host = host[1:-1]
        if ":" not in host:
            raise Unreadable(f"{text[:80]!r} is no URL")
        return Url(plain(host), True, "" if path == "/" else path)
    try:
        return Url(plain(host), True, "" if path == "/" else path)
    except Unreadable:
        return Url(name(host), False, "" if path == "/" else path)


def mac(text: str) -> str:
    """A hardware address as ``00:11:22:33:44:55``. Raises Unreadable.

    >>> mac("00-11-22-AA-44-55")
    '00:11:22:aa:44:55'
    """
    made = text.strip().lower()
    if _MAC.fullmatch(made):
        return made.replace("-", ":")
    digits = made.replace(".", "")
    if re.fullmatch(r"[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}", made) or re.fullmatch(r"[0-9a-f]{12}", made):
        return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    raise Unreadable(f"{text[:40]!r} is no hardware address")


@cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(65_536)
def is_suffix(plain_name: str) -> bool:
    """Whether nobody has registered the name itself: a public suffix (publicsuffix.org) or a single label.

    >>> is_suffix("co.uk"), is_suffix("github.io"), is_suffix("a.co.uk")
    (True, True, False)
    """
    return "." not in plain_name or _suffixes().privatesuffix(plain_name) is None


def parents(plain_name: str) -> list[str]:
    """The name and every name above it.

    >>> parents("a.b.example")
    ['a.b.example', 'b.example', 'example']
    """
    labels = plain_name.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]
