"""An intent as records of a response policy zone (draft-vixie-dnsop-dns-rpz, sections 3 and 4): pure.

Triggers: a name and all below it (QNAME), addresses in answers (``rpz-ip``), who asks (``rpz-client-ip``). Policies:
``CNAME .`` (NXDOMAIN), ``CNAME *.`` (NODATA), ``CNAME rpz-passthru.``, and A and AAAA of a walled garden.

A zone has no rule for one name asked by one client, so a pair cannot be expressed; a URL neither, DNS knows no paths.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import Final

from andon.contain import spelling
from andon.contain.contract import ELSEWHERE, ESTABLISHED, IPV4, IPV6, QUIC, NotExpressible
from andon.contain.enforcers.files import Item
from andon.contain.enforcers.given import Network, address_of, network_of
from andon.contain.enforcers.rpz.settings import NODATA, Settings
from andon.records import intent as words
from andon.records.intent import Intent, Party

LIST: Final = "zone"
_CUT: Final = (words.BLOCK, words.QUARANTINE)
SUPPORTS: Final = frozenset(
    [(action, kind) for action in (words.ALLOW, words.BLOCK, words.SINKHOLE)
     for kind in (words.DOMAIN, words.ADDRESS, words.PREFIX, words.HOST)]
    + [(words.QUARANTINE, kind) for kind in (words.HOST, words.ADDRESS, words.PREFIX)]
)  # fmt: skip
# Whoever knows the address needs no name; whoever asks another resolver (DoH, a public one) gets another answer.
OPEN: Final = (IPV4, IPV6, QUIC, ESTABLISHED, ELSEWHERE)
_LONGEST: Final = 253
_WIDEST: Final = {4: 8, 6: 16}
# If several intents speak of one trigger, the first of these decides.
_PASS, _GONE, _EMPTY = "CNAME rpz-passthru.", "CNAME .", "CNAME *."


def items_of(intent: Intent, settings: Settings) -> tuple[Item, ...]:
    """Records, one a line. Raises NotExpressible."""
    if (intent.action, intent.subject.kind) not in SUPPORTS:
        raise NotExpressible(f"a response policy zone has no {intent.action} of a {intent.subject.kind}")
    if intent.target is not None and intent.action != words.QUARANTINE:
        raise NotExpressible(
            "a response policy zone cannot tell one client's question for a name from another's"
        )
    policies = _policies(intent, settings)
    made = []
    for owner in _owners(intent.action, intent.subject, settings):
        if len(owner) + 1 + len(settings.zone) > _LONGEST:
            raise NotExpressible(f"{owner} is too long for a name within {settings.zone}")
        made += [Item(LIST, owner, f"{owner} {policy}") for policy in policies]
    return tuple(dict.fromkeys(made))


def _policies(intent: Intent, settings: Settings) -> tuple[str, ...]:
    if intent.action == words.ALLOW:
        return (_PASS,)
    if intent.action == words.SINKHOLE and not settings.garden:
        raise NotExpressible("the setting walled_garden has no address")
    if intent.action == words.SINKHOLE or (intent.action == words.QUARANTINE and settings.garden):
        # A version that the garden does not have is answered with nothing by the same rule.
        return tuple(f"{'A' if one.version == 4 else 'AAAA'} {one}" for one in settings.garden)
    return (_EMPTY if settings.blocked == NODATA else _GONE,)


def _owners(action: str, party: Party, settings: Settings) -> Iterator[str]:
    if party.kind == words.DOMAIN:
        name = _name(party.value)
        yield name
        if settings.subdomains:
            yield f"*.{name}"
        return
    # A host of ours asks; an address is asked for, unless whoever has it is to be cut off.
    asks = party.kind == words.HOST or action == words.QUARANTINE
    texts = list(party.addresses)
    if party.kind in (words.ADDRESS, words.PREFIX):
        texts.insert(0, party.value)
    if not texts:
        raise NotExpressible(f"{party.value!r} has no known address")
    for text in dict.fromkeys(texts):
        try:
            network = network_of(text) if "/" in text else network_of(str(address_of(text)))
        except ValueError as error:
            raise NotExpressible(f"{party.value!r} has an address that is none: {error}") from error
        if network.prefixlen < _WIDEST[network.version]:
            raise NotExpressible(f"{network} is wider than /{_WIDEST[network.version]}")
        yield f"{reversed_labels(network)}.{'rpz-client-ip' if asks else 'rpz-ip'}"


def _name(text: str) -> str:
    """In its one spelling, international ones as xn--. What would be more than a name in a zone is refused."""
    try:
        name = spelling.ascii_name(text)
    except spelling.Unreadable as error:
        raise NotExpressible(str(error)) from error
    if any(label.startswith("rpz-") for label in name.split(".")):
        raise NotExpressible(f"{name} has a label that response policy zones read as a command")
    if spelling.is_suffix(name):
        raise NotExpressible(f"{name} is a public suffix: everything registered under it would go")
    return name


def reversed_labels(network: Network) -> str:
    """Length and address as the labels of an address trigger; the longest run of zero words of IPv6 is ``zz``.

    >>> reversed_labels(ipaddress.ip_network("192.0.2.0/24")), reversed_labels(ipaddress.ip_network("2001:db8::1/128"))
    ('24.0.2.0.192', '128.1.zz.db8.2001')
    """
    if isinstance(network, ipaddress.IPv4Network):
        words4 = str(network.network_address).split(".")
        return ".".join([str(network.prefixlen), *reversed(words4)])
    words6 = [f"{int(word, 16):x}" for word in network.network_address.exploded.split(":")]
    best, at = 0, 0
    run = 0
    for index, word in enumerate(words6):
        run = run + 1 if word == "0" else 0
        if run > best:
            best, at = run, index + 1 - run
    if best > 1:
        words6[at : at + best] = ["zz"]
    return ".".join([str(network.prefixlen), *reversed(words6)])


def trigger(line: str) -> str:
    """The owner name of a record."""
    return line.partition(" ")[0]


def void(items: Collection[Item]) -> list[Item]:
    """Records whose trigger another policy decides: passing goes before cutting, cutting before a walled garden. (A
    CNAME beside other records would be an error for the whole zone.)"""
    best: dict[str, int] = {}
    for item in items:
        best[item.key] = min(best.get(item.key, 9), _rank(item))
    return [item for item in items if _rank(item) > best[item.key]]


def _rank(item: Item) -> int:
    policy = item.text.partition(" ")[2]
    return {_PASS: 0, _GONE: 1, _EMPTY: 2}.get(policy, 3)
