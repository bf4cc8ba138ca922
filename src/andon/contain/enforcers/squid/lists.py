"""An intent as lines of the proxy's access lists: pure.

One file per kind of list (clients, addresses, domains, URLs), and ``andon.conf``, which names them to Squid and holds
the rules for pairs, which lists cannot express. Squid ends itself over a name that lies within another one of the same
list, and matches URLs as regular expressions: the first is kept as a comment, the second is escaped.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from andon.contain import spelling
from andon.contain.contract import ELSEWHERE, ESTABLISHED, IPV4, IPV6, NAMES, QUIC, NotExpressible
from andon.contain.enforcers.files import Item
from andon.contain.enforcers.given import Network, address_of, network_of
from andon.contain.enforcers.squid.settings import Settings
from andon.records import intent as words
from andon.records.intent import Intent, Party

RULES: Final = "andon.conf"
CLIENTS, ADDRESSES, DOMAINS, URLS = "quarantined", "addresses", "domains", "urls"
SPARED, ALLOWED_ADDRESSES, ALLOWED_DOMAINS = "allowed-clients", "allowed-addresses", "allowed-domains"
LISTS: Final = (CLIENTS, ADDRESSES, DOMAINS, URLS, SPARED, ALLOWED_ADDRESSES, ALLOWED_DOMAINS, RULES)
PROBE: Final = "serial.andon-proxy.example"  # RFC 6761 keeps "example" free
_NETWORKS: Final = (words.HOST, words.ADDRESS, words.PREFIX)
SUPPORTS: Final = frozenset(
    [(words.BLOCK, kind) for kind in words.PARTIES]
    + [(words.ALLOW, kind) for kind in words.PARTIES if kind != words.URL]
    + [(action, kind) for action in (words.QUARANTINE, words.BLOCK_PAIR) for kind in _NETWORKS]
)
_MOST: Final = 1024  # addresses of one party
_PER_LINE: Final = 32
_WIDEST: Final = {4: 8, 6: 16}
_SPECIAL: Final = re.compile(r"[\\.\[\](){}*+?|^$]")


def items_of(intent: Intent, settings: Settings) -> tuple[Item, ...]:
    """Raises NotExpressible."""
    if (intent.action, intent.subject.kind) not in SUPPORTS:
        raise NotExpressible(f"the proxy's lists have no {intent.action} of a {intent.subject.kind}")
    if intent.target is not None and intent.action != words.QUARANTINE:
        if intent.action == words.ALLOW:
            raise NotExpressible("the proxy's lists allow a client or a target, not a pair")
        if intent.subject.kind not in _NETWORKS:
            raise NotExpressible("the first of a pair is a client of the proxy, known by its addresses")
        return tuple(_pair(intent, intent.target, settings))
    return tuple(dict.fromkeys(_single(intent)))


def _single(intent: Intent) -> Iterator[Item]:
    party, allow = intent.subject, intent.action == words.ALLOW
    if party.kind == words.DOMAIN:
        yield _item(ALLOWED_DOMAINS if allow else DOMAINS, f".{_name(party.value)}")
    elif party.kind == words.URL:
        yield _item(URLS, url_pattern(party.value))
    else:
        for network in _networks(party):
            text = _text(network)
            # A host of ours is a client. An address may be either, unless it is put into quarantine.
            if party.kind == words.HOST or intent.action == words.QUARANTINE:
                yield _item(SPARED if allow else CLIENTS, text)
            else:
                yield _item(ALLOWED_ADDRESSES if allow else ADDRESSES, text)
                yield _item(SPARED if allow else CLIENTS, text)


def _pair(intent: Intent, target: Party, settings: Settings) -> Iterator[Item]:
    client, other = f"andon_c_{intent.id:016x}", f"andon_t_{intent.id:016x}"
    lines = list(_acl(client, "src", [_text(one) for one in _networks(intent.subject)]))
    if target.kind == words.DOMAIN:
        lines.append(f"acl {other} dstdomain -n .{_name(target.value)}")
    elif target.kind == words.URL:
        lines.append(f"acl {other} url_regex {url_pattern(target.value)}")
    else:
        lines += _acl(other, _dst(settings), [_text(one) for one in _networks(target)])
    spared = f"!{acl(SPARED)} !{acl(ALLOWED_DOMAINS)}"
    lines.append(f"http_access deny {client} {other} {spared}")
    # Sorted as they are in the file, "acl" stands before the "http_access" that uses it.
    for line in lines:
        yield _item(RULES, line)


def _acl(name: str, kind: str, values: Sequence[str]) -> Iterator[str]:
    for at in range(0, len(values), _PER_LINE):
        yield f"acl {name} {kind} {' '.join(values[at : at + _PER_LINE])}"


def _item(name: str, text: str) -> Item:
    return Item(name, text, text)


def _networks(party: Party) -> list[Network]:
    texts = list(party.addresses)
    if party.kind in (words.ADDRESS, words.PREFIX):
        texts.insert(0, party.value)
    if not texts:
        raise NotExpressible(f"{party.value!r} has no known address")
    found: dict[Network, None] = {}
    for text in texts:
        try:
            network = network_of(text) if "/" in text else network_of(str(address_of(text)))
        except ValueError as error:
            raise NotExpressible(f"{party.value!r} has an address that is none: {error}") from error
        if network.prefixlen < _WIDEST[network.version]:
            raise NotExpressible(f"{network} is wider than /{_WIDEST[network.version]}")
        found[network] = None
    if len(found) > _MOST:
        raise NotExpressible(f"{party.value!r} has more than {_MOST} addresses")
    return list(found)


def _text(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _name(text: str) -> str:
    try:
        name = spelling.ascii_name(text)
    except spelling.Unreadable as error:
        raise NotExpressible(str(error)) from error
    if spelling.is_suffix(name):
        raise NotExpressible(f"{name} is a public suffix: everything registered under it would go")
    return name


def url_pattern(text: str) -> str:
    """A regular expression (POSIX, extended) for one URL with whatever query; a URL without a path stands for its host.

    >>> url_pattern("http://Evil.example/a.b")
    '^[a-z]+://([^/@]*@)?evil\\\\.example(:[0-9]+)?/a\\\\.b([?#]|$)'
    """
    try:
        url = spelling.url(text)
    except spelling.Unreadable as error:
        raise NotExpressible(str(error)) from error
    host = f"[{url.host}]" if ":" in url.host else url.host
    path, mark, query = url.path.partition("#")[0].partition("?")
    rest = f"{_escaped(path)}{_escaped(mark + query)}"
    end = "(/|$)" if not rest else "$" if mark else "([?#]|$)"
    return f"^[a-z]+://([^/@]*@)?{_escaped(host)}(:[0-9]+)?{rest}{end}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def open_paths(intent: Intent, settings: Settings) -> tuple[str, ...]:
    """A tunnel that is open goes on; of an encrypted URL the proxy sees the host alone."""
    if intent.action == words.ALLOW:
        return ()
    target = intent.subject if intent.target is None else intent.target
    encrypted = target.kind == words.URL and not target.value.lower().startswith("http://")
    names = target.kind in (words.ADDRESS, words.PREFIX) and not settings.resolve
    return (
        *((IPV4, IPV6, QUIC) if settings.direct else ()),
        *((NAMES,) if names else ()),
        ESTABLISHED,
        *((ELSEWHERE,) if settings.direct or encrypted else ()),
    )


def void(items: Collection[Item]) -> list[Item]:
    """Lines that another line of the same list covers: a name within a domain, an address within a prefix."""
    if not items:
        return []
    kind = next(iter(items)).list
    if kind in (DOMAINS, ALLOWED_DOMAINS):
        there = {one.text[1:] for one in items}
        return [one for one in items if any(up in there for up in spelling.parents(one.text[1:])[1:])]
    if kind in (RULES, URLS):
        return []
    by_length: dict[tuple[int, int], set[int]] = {}
    parsed = {one: ipaddress.ip_network(one.text) for one in items if _is_network(one.text)}
    for network in parsed.values():
        by_length.setdefault((network.version, network.prefixlen), set()).add(int(network.network_address))
    return [one for one, network in parsed.items() if _covered(network, by_length)]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _covered(network: Network, by_length: dict[tuple[int, int], set[int]]) -> bool:
    bits, first = network.max_prefixlen, int(network.network_address)
    return any(
        version == network.version
        and length < network.prefixlen
        and first >> (bits - length) << (bits - length) in there
        for (version, length), there in by_length.items()
    )


def acl(name: str) -> str:
    return f"andon_{name.replace('-', '_')}"


def _dst(settings: Settings) -> str:
    return "dst" if settings.resolve else "dst -n"


def head(settings: Settings, serial: int) -> Iterable[str]:
    """Of ``andon.conf``: the lists, and in which order they are asked. A question for PROBE is answered with the serial
    of the rules in force."""
    kinds = {
        SPARED: "src", ALLOWED_ADDRESSES: _dst(settings), ALLOWED_DOMAINS: "dstdomain -n", CLIENTS: "src",
        ADDRESSES: _dst(settings), DOMAINS: "dstdomain -n", URLS: "url_regex",
    }  # fmt: skip
    yield f"acl andon_probe dstdomain -n {PROBE}"
    yield f"deny_info 302:http://{PROBE}/{serial} andon_probe"
    yield "http_access deny andon_probe"
    for name, kind in kinds.items():
        yield f'acl {acl(name)} {kind} "{settings.folder}/{name}"'
    if settings.page:
        yield f"deny_info 302:{settings.page} {acl(CLIENTS)}"
    spared = f"!{acl(SPARED)}"
    yield f"http_access deny {spared} {acl(CLIENTS)}"
    yield f"http_access deny {acl(DOMAINS)} {spared} !{acl(ALLOWED_DOMAINS)}"
    yield f"http_access deny {acl(URLS)} {spared} !{acl(ALLOWED_DOMAINS)}"
    yield f"http_access deny {acl(ADDRESSES)} {spared} !{acl(ALLOWED_DOMAINS)} !{acl(ALLOWED_ADDRESSES)}"
