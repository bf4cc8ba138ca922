"""What is never cut off, made ready to be asked: addresses, names, hardware addresses and ports of switches.

Beside what the policy names there is what nobody may cut anywhere: addresses that stand for no single host or for
everybody (RFC 6890, RFC 8190; the first and last address of the site's own networks), hardware addresses of groups
and of virtual gateways (RFC 9568, HSRP, GLBP), and names that nobody has registered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from andon.contain.policy.model import Protect
from andon.contain.spelling import Span, Unreadable, carriers, is_suffix, mac, name, spans
from andon.contain.spelling.names import Names
from andon.contain.spelling.ranges import Spans
from andon.contain.warning import WarningLists

Carriers = tuple[tuple[int, int, int, bool], ...]

_SPECIAL: Final = (
    ("unspecified or this network", ("0.0.0.0/8", "::")),
    ("loopback", ("127.0.0.0/8", "::1")),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast or reserved", ("240.0.0.0/4",)),
)
CONTROL: Final = "own control path"
_MAC_GATEWAYS: Final = (
    "00:00:5e:00:01:",
    "00:00:5e:00:02:",
    "00:00:0c:07:ac:",
    "00:00:0c:9f:f",
    "00:05:73:a0:",
    "00:07:b4:",
)
_LAST_PORT: Final = 0xFFFFFF00  # OFPP_MAX; what is above has a meaning of its own (OpenFlow 1.3.5, A.2.1)


def _written(texts: Iterable[str]) -> list[Span]:
    """Ranges as they are written, without what is carried: loopback's ::1 is not 0.0.0.1 too."""
    return [spans(text)[0] for text in texts]


_SPECIAL_SPANS: Final = tuple((label, Spans(_written(texts))) for label, texts in _SPECIAL)
_SPECIAL_ALL: Final = Spans(span for _, texts in _SPECIAL for span in _written(texts))


def special(given: Iterable[Span]) -> str:
    """Why addresses are none of a single host, in words; "" if they are."""
    for span in given:
        if _SPECIAL_ALL.hit(span):
            return next(label for label, held in _SPECIAL_SPANS if held.hit(span))
    return ""


@dataclass(frozen=True)
class Group:
    """One kind of protected thing: ``label`` as reasons call it."""

    label: str
    spans: Spans
    names: Names


class Shield:
    """``hosts``: further (label, addresses, names, hardware addresses, places) that are protected: hosts of protected
    asset classes as the asset list has them, the enforcers' own addresses. Texts that are neither address nor name
    raise ``Unreadable``."""

    def __init__(
        self,
        protect: Protect,
        entries: Iterable[tuple[str, Iterable[str]]] = (),
        macs: Iterable[str] = (),
        ports: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.carriers: Carriers = carriers(protect.nat64)
        texts: dict[str, list[str]] = {}
        for label, given in (*protect.entries, *entries):
            texts.setdefault(label, []).extend(given)
        groups = []
        for label, given in texts.items():
            ranges, names = _sorted(given, self.carriers)
            groups.append(Group(label, Spans(ranges), Names(names)))
        edges = [edge for text in protect.networks for edge in _edges(spans(text)[0])]
        if edges:
            groups.append(Group("broadcast address of an own network", Spans(edges), Names(())))
        self.groups = tuple(groups)
        self.warning = WarningLists(protect.warning)
        self.macs = frozenset((*protect.macs, *map(mac, macs)))
        self.ports = frozenset((*protect.ports, *ports))

    def of_spans(self, given: Iterable[Span]) -> str:
        """What of addresses is protected by the site itself: the label, or ""."""
        for span in given:
            for group in self.groups:
                if group.spans.hit(span):
                    return group.label
        return ""

    def is_control(self, given: Iterable[Span]) -> bool:
        """Whether addresses are of the enforcers' own control path, whatever else they are."""
        given = tuple(given)
        return any(group.label == CONTROL and group.spans.touches(given) for group in self.groups)

    def of_name(self, plain_name: str, whole: bool) -> str:
        """Likewise of a name; ``whole``: all below it is meant too."""
        for group in self.groups:
            if group.names.within(plain_name) or (whole and group.names.below(plain_name)):
                return group.label
        return ""

    def shared(self, given: Iterable[Span]) -> str:
        """Title of the warning list that holds addresses; "" if none does."""
        given = tuple(given)
        return next((one.title for one in self.warning.lists if one.spans.touches(given)), "")

    def shared_name(self, plain_name: str, whole: bool) -> str:
        """Likewise of a name."""
        what = ((), plain_name, whole)
        return next((one.title for one in self.warning.lists if one.caught(what, plain_name)), "")

    def shared_text(self, text: str) -> str:
        """Likewise of what substrings and patterns alone can catch: a whole URL."""
        what = ((), "", False)
        return next((one.title for one in self.warning.lists if one.caught(what, text)), "")

    def of_mac(self, plain_mac: str) -> str:
        if plain_mac in self.macs:
            return "protected hardware address"
        if int(plain_mac[:2], 16) & 1:
            return "hardware address of a group"
        if plain_mac == "00:00:00:00:00:00":
            return "no hardware address"
        return "hardware address of a virtual gateway" if plain_mac.startswith(_MAC_GATEWAYS) else ""

    def of_port(self, switch: str, port: int) -> str:
        if not 0 < port < _LAST_PORT:
            return "no port of a host"
        return "protected port" if (switch, port) in self.ports else ""

    def nobody(self, plain_name: str) -> bool:
        """Whether a name is one that nobody has registered, with everybody below it."""
        return is_suffix(plain_name)

    def why_not(self, text: str) -> str:
        """Why an address, prefix or name must not be cut, in words; "" if nothing is known. For those who choose what
        to ask for; the guard looks again."""
        try:
            seen = spans(text, self.carriers)
        except Unreadable:
            try:
                plain_name = name(text)
            except Unreadable as error:
                return str(error)
            if self.nobody(plain_name):
                return "public suffix"
            return self.of_name(plain_name, True) or self.shared_name(plain_name, True)
        return special(seen) or self.of_spans(seen) or self.shared(seen)


def _sorted(given: Iterable[str], also: Carriers) -> tuple[list[Span], list[str]]:
    ranges: list[Span] = []
    names: list[str] = []
    for text in given:
        try:
            ranges += spans(text, also)
        except Unreadable:
            names.append(name(text))
    return ranges, names


def _edges(net: Span) -> list[Span]:
    """First and last address of an IPv4 network that has them; of IPv6 the routers' anycast (RFC 4291, 2.6.1)."""
    if net.size < 4:
        return []
    first = Span(net.version, net.low, net.low, net.text)
    return [first] if net.version == 6 else [first, Span(4, net.high, net.high, net.text)]
