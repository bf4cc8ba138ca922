"""What a party of an intent reaches, however it is written: every address, name, hardware address and port by which
one of the enforcers could hold it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from andon.contain.shield import Carriers
from andon.contain.spelling import Span, Unreadable, mac, name, spans, url
from andon.records.intent import ADDRESS, DOMAIN, HOST, PREFIX, URL, Party

_MOST: Final = 4_096  # addresses of one party; more is no party


@dataclass(frozen=True)
class Reach:
    """``spans``: all addresses, those that an IPv6 address carries too; ``name`` with ``whole``: a domain and all
    below it; ``path``: of a URL; ``host``: what a host is called; ``problems``: texts that cannot be read with
    certainty, each with the reason."""

    spans: tuple[Span, ...] = ()
    name: str = ""
    whole: bool = False
    path: str = ""
    text: str = ""
    host: str = ""
    mac: str = ""
    place: tuple[str, int] | None = None
    problems: tuple[str, ...] = ()

    @cached_property
    def written(self) -> tuple[Span, ...]:
        """Addresses as they are written."""
        return tuple(span for span in self.spans if span.written)

    @property
    def nobody(self) -> bool:
        """Nothing is known of it by which it could be cut off."""
        return not (self.spans or self.name or self.mac or self.place)

    def meets(self, other: Reach) -> bool:
        """Whether something of both is the same."""
        if self.mac and self.mac == other.mac:
            return True
        if self.place is not None and self.place == other.place:
            return True
        if self.host and self.host == other.host:
            return True
        if self.name and other.name:
            if self.name == other.name:
                return True
            if self.whole and other.name.endswith("." + self.name):
                return True
            if other.whole and self.name.endswith("." + other.name):
                return True
        return any(
            a.version == b.version and a.low <= b.high and b.low <= a.high
            for a in self.spans
            for b in other.spans
        )


@lru_cache(8_192)
def reach_of(party: Party, also: Carriers = ()) -> Reach:
    """``also``: the site's own NAT64 prefixes, as ``spelling.carriers`` gives them."""
    found: list[Span] = []
    problems: list[str] = []
    called = host = path = text = ""
    whole = False
    texts = list(party.addresses)
    try:
        if party.kind in (ADDRESS, PREFIX):
            texts.insert(0, party.value)
        elif party.kind == DOMAIN:
            called, whole = name(party.value), True
        elif party.kind == URL:
            seen = url(party.value)
            path, text = seen.path, party.value
            if seen.address:
                texts.insert(0, seen.host)
            else:
                called = seen.host
        elif party.kind == HOST:
            host = party.value.strip().casefold().rstrip(".")
    except Unreadable as error:
        problems.append(str(error))
    if len(texts) > _MOST:
        problems.append(f"{len(texts):,} addresses are no party")
        texts = texts[:_MOST]
    for one in texts:
        try:
            given = spans(one, also)
        except Unreadable as error:
            problems.append(str(error))
            continue
        # Only a prefix, as what it is called, may be more than one address.
        if given[0].size > 1 and not (party.kind == PREFIX and one == party.value):
            problems.append(f"{one!r} among the addresses is a prefix")
        found += given
    hardware = ""
    if party.mac:
        try:
            hardware = mac(party.mac)
        except Unreadable as error:
            problems.append(str(error))
    place = None
    if party.switch or party.port:
        place = (party.switch, party.port) if party.port else None
        if party.port and not party.switch:
            problems.append(f"port {party.port} of no switch")
            place = ("", party.port)
    if host:
        # A host that is called by an address is that address.
        with suppress(Unreadable):
            found += spans(host, also)
    return Reach(
        tuple(dict.fromkeys(found)),
        called,
        whole,
        path,
        text,
        host,
        hardware,
        place,
        tuple(dict.fromkeys(problems)),
    )
