"""What may leave by a sink, and what is taken out of it first: TLP, the telescope, people and machines of ours.

Every sink has a *gate*. It holds back what is marked more strictly than the sink may carry (TLP 2.0, FIRST 2022), hides
the telescope, and puts pseudonyms in the place of accounts and machines inside. A name has another pseudonym at every
sink, so that two receivers cannot put together what they got; the same name has the same one in every message to one
sink. With the site's key (``andon pseudonym key``) it can be turned back (``Gate.reveal``); without a key names are
left out.

What is said of addresses outside stays as it is: it is what others need. It becomes an *indicator* only if no warning
list names it (``Caution``): addresses of public resolvers on block lists have cut off whole organisations.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from andon.records.finding import series_of
from andon.records.inside import Inside
from andon.records.intent import SCHEMA_NAME as INTENT_SCHEMA
from andon.records.mask import Mask
from andon.share.formats.view import ADDRESSES, BLACK, CASES, HOST, OWN, ROLES, TERMINAL

if TYPE_CHECKING:
    from andon.observe.logs.pseudonyms import Pseudonyms

CLEAR, GREEN, AMBER, STRICT, RED = LEVELS = ("clear", "green", "amber", "amber+strict", "red")
PLAIN, PSEUDONYM, OMIT = PEOPLE = ("plain", "pseudonym", "omit")
WITHHELD: Final = "(withheld)"

# How far each kind may go unless the operator says otherwise. What names scanners of the Internet may go to the
# community; what names visitors of ours or victims, to partners; what names systems of ours, to the house.
MARKINGS: Final[Mapping[str, str]] = {
    "known-tool": GREEN, "scanner-fingerprint": GREEN, "scan-order": GREEN, "stack-default": GREEN,
    "multiple-infection": GREEN, "scanner-purpose": GREEN, "coordinated-activity": GREEN, "campaign": GREEN,
    "port-set": GREEN, "port-set-birth": GREEN, "malware-link": GREEN, "malware-profile": GREEN,
    "malware-life-cycle": GREEN, "backscatter-victim": AMBER, "census": AMBER, "volume-forecast": AMBER,
    "suspected-destination": AMBER, "suspected-url": AMBER, "redirect-chain": AMBER, "beacon": AMBER,
    "infected-terminal": STRICT, "suspected-terminal": STRICT, "user-at-risk": STRICT, "flow-anomaly": STRICT,
    "own-host-alert": STRICT, "asset-suspected-infected": STRICT, "alert-episode": STRICT,
    "scanned-vulnerability": STRICT, "case": STRICT, "intent": STRICT,
}  # fmt: skip
_SCHEMAS: Final[Mapping[str, str]] = {
    "andon.alert/1": "own-host-alert", "andon.asset-notice/1": "asset-suspected-infected", "andon.case/1": "case",
    "andon.case-notice/1": "case", "andon.intent/1": "intent",
}  # fmt: skip
# Members of documents that hold names of ours, whatever their values look like.
_NAMING: Final = frozenset(
    ("user", "users", "terminal", "terminals", "visitors", "account", "accounts", "contact", "owner", "hostname",
     "assignee", "analyst", "requested_by", "mac", "switch", "asset")
)  # fmt: skip
_NUMBERS: Final = frozenset((int, float, bool, type(None)))
_LEAVES: Final = _NUMBERS | {str}
_TELLING: Final = _NAMING | {"addresses"}
# What names somebody by its type, and the kind of its pseudonym.
_PEOPLE: Final = {
    "user-account": "user", "user": "user", "x-host": "host", "host": "host", "device": "host", "mac-addr": "host",
}  # fmt: skip
_PLACES: Final = frozenset(("ipv4-addr", "ipv6-addr", "address"))
_SHORTEST: Final = 2  # characters of a name that is looked for in texts
_MOST_NAMES: Final = 2_000
# Public resolvers, by their operators' own pages: the false alarm that is met most often.
_RESOLVERS: Final = (
    "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220",
    "2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe",
    "2620:fe::9",
)  # fmt: skip


class Withheld(Exception):
    """This does not leave by this sink; the text says why."""


@dataclass(frozen=True)
class Policy:
    """Of one sink. ``tlp``: the strictest marking that may leave by it. ``telescope``: "hide" or "show".
    ``people``: "plain", "pseudonym" (needs the site's key, else as "omit") or "omit"."""

    sink: str
    tlp: str = RED
    telescope: str = "show"
    people: str = PLAIN

    def __post_init__(self) -> None:
        if self.tlp not in LEVELS:
            raise ValueError(f"tlp is one of {', '.join(LEVELS)}, not {self.tlp!r}")
        if self.telescope not in ("hide", "show"):
            raise ValueError(f"telescope is hide or show, not {self.telescope!r}")
        if self.people not in PEOPLE:
            raise ValueError(f"people is one of {', '.join(PEOPLE)}, not {self.people!r}")


class Caution:
    """What is never called an indicator: what is no address of the Internet, prefixes of ours, resolvers, and what the
    given lists name (``observe.reputation``: warning lists of MISP, white lists).

    >>> caution = Caution()
    >>> caution.holds("ipv4-addr", "8.8.8.8"), caution.holds("ipv4-addr", "203.0.114.9")
    ('a public resolver', '')
    """

    def __init__(self, inside: Sequence[str] = (), lists: Iterable[Path] = ()) -> None:
        self._exact: dict[str, str] = dict.fromkeys(_RESOLVERS, "a public resolver")
        self._domains: dict[str, str] = {}
        # By version, length of the prefix and its bits: a look-up costs as many steps as there are lengths.
        self._prefixes: dict[tuple[int, int], dict[int, str]] = {}
        self._known: dict[tuple[str, str], str] = {}
        for prefix in inside:
            self._prefix(prefix, "a prefix of ours")
        for path in lists:
            self._read(path)

    def _prefix(self, text: str, why: str) -> None:
        net = ip_network(text, strict=False)
        bits = net.max_prefixlen - net.prefixlen
        self._prefixes.setdefault((net.version, bits), {})[int(net.network_address) >> bits] = why

    def _read(self, path: Path) -> None:
        """Raises OSError, and TableError (a ValueError) for what is no list."""
        from andon.observe.reputation import reputation
        from andon.records.reputation import DOMAIN, PREFIX, WHITE

        table, _ = reputation(path, WHITE)
        columns = (table.column(name).to_pylist() for name in ("value", "type", "list"))
        for value, kind, name in zip(*columns, strict=True):
            why = f"on the list {name}"
            if kind == PREFIX:
                self._prefix(value, why)
            elif kind == DOMAIN:
                self._domains[value] = why
            else:
                self._exact[value] = why

    def holds(self, kind: str, value: str) -> str:
        """Why this is no indicator; "" if nothing speaks against it. ``kind``: STIX name of an observable."""
        key = (kind, value)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > 1 << 18:
                self._known.clear()
            found = self._known[key] = self._why(kind, value)
        return found

    def _why(self, kind: str, value: str) -> str:
        if kind in ("ipv4-addr", "ipv6-addr"):
            return self._address(value)
        if kind == "domain-name":
            return self._name(value)
        if kind == "url":
            rest = value.partition("://")[2] or value
            if rest.lower() in self._exact:
                return self._exact[rest.lower()]
            host = rest.partition("/")[0].rpartition("@")[2]
            host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            return self._address(host) if _is_address(host) else self._name(host)
        return "nothing that a network shows"

    def _address(self, value: str) -> str:
        try:
            net = ip_network(value, strict=False)
        except ValueError:
            return "no address"
        if not net.is_global or net.is_multicast:
            return "no address of the Internet"
        if net.prefixlen < (8 if net.version == 4 else 16):
            return "too wide"
        if str(net.network_address) in self._exact and net.num_addresses == 1:
            return self._exact[str(net.network_address)]
        first, last = int(net.network_address), int(net.broadcast_address)
        for (version, bits), held in self._prefixes.items():
            if version != net.version:
                continue
            low, high = first >> bits, last >> bits
            if low in held or high in held:
                return held.get(low) or held[high]
            if high - low > 1 and any(low < one < high for one in held):
                return next(why for one, why in held.items() if low < one < high)
        return ""

    def _name(self, value: str) -> str:
        name = value.lower().rstrip(".")
        if "." not in name or any(c.isspace() or not c.isprintable() for c in name):
            return "no name of the Internet"
        if name in self._exact:
            return self._exact[name]
        while name:
            if name in self._domains:
                return self._domains[name]
            name = name.partition(".")[2]
        return ""


def _is_address(text: str) -> bool:
    if ":" not in text and text.count(".") != 3:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Ground:
    """What all gates of a site know. ``telescope``: dark prefixes; None: not known, so that what comes from the darknet
    leaves by no sink that hides it. ``key``: for pseudonyms (64 bytes). ``markings``: kind to TLP, over ``MARKINGS``.
    ``organisation``: who says it, in formats that name the producer."""

    telescope: tuple[IPv4Network, ...] | None = None
    inside: tuple[str, ...] = ()
    key: bytes = field(default=b"", repr=False)
    markings: Mapping[str, str] = field(default_factory=dict)
    organisation: str = "Andon"
    caution: Caution = field(default_factory=Caution)

    def __post_init__(self) -> None:
        for kind, level in self.markings.items():
            if level not in LEVELS:
                raise ValueError(f"marking of {kind}: {level!r} is none of {', '.join(LEVELS)}")


class Gate:
    """What ``policy`` makes of documents. Keeps no state but what it has computed already.

    >>> gate = Gate(Policy("partners", tlp=GREEN, telescope="hide"), Ground(telescope=()))
    >>> gate.admit({"schema": "andon.finding/1", "kind": "known-tool", "title": "Mirai"})[1]
    'green'
    >>> gate.admit({"schema": "andon.case/1"})
    Traceback (most recent call last):
    andon.share.policy.Withheld: TLP:AMBER+STRICT is above TLP:GREEN, the strictest that leaves by partners
    """

    def __init__(self, policy: Policy, ground: Ground | None = None) -> None:
        self.policy, self.ground = policy, ground or Ground()
        self.inside: Callable[[str], bool] = lru_cache(maxsize=1 << 16)(Inside(self.ground.inside).has)
        self._mask: Mask | None = None
        if policy.telescope == "hide" and self.ground.telescope is not None:
            self._mask = Mask(self.ground.telescope)
        self._ids = sink_key(self.ground.key, f"ids {policy.sink}") if self.ground.key else b""
        self._names: Pseudonyms | None = None
        if policy.people == PSEUDONYM and self.ground.key:
            from andon.observe.logs.pseudonyms import Pseudonyms

            self._names = Pseudonyms(sink_key(self.ground.key, policy.sink))

    def level(self, body: Mapping[str, Any], kind: str = "") -> str:
        """TLP of a document: what it says itself (``tlp`` or ``attributes.tlp``), else that of its kind; what nobody
        thought of is red."""
        attributes = body.get("attributes")
        for said in (body.get("tlp"), attributes.get("tlp") if isinstance(attributes, Mapping) else None):
            if isinstance(said, str) and said.lower().removeprefix("tlp:") in LEVELS:
                return said.lower().removeprefix("tlp:")
        named = str(_SCHEMAS.get(str(body.get("schema")), body.get("kind") or kind))
        return self.ground.markings.get(named) or MARKINGS.get(named, RED)

    def admit(self, body: Mapping[str, Any], kind: str = "") -> tuple[Mapping[str, Any], str]:
        """(the document as it may leave, its TLP). Raises Withheld."""
        level = self.level(body, kind)
        if LEVELS.index(level) > LEVELS.index(self.policy.tlp):
            raise Withheld(
                f"TLP:{level.upper()} is above TLP:{self.policy.tlp.upper()}, the strictest that leaves by "
                f"{self.policy.sink}"
            )
        made = body
        if self.policy.telescope == "hide":
            if self._mask is not None:
                made = self._mask.document(made)
            elif _dark(made):
                raise Withheld(
                    "the telescope is to be hidden, and its prefixes are not known: say them, or show it"
                )
        if self.policy.people != PLAIN:
            made = self._hidden(made)
        return (self._renamed(body, made) if made is not body else body), level

    def _renamed(self, body: Mapping[str, Any], made: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ids that nobody can try all names and addresses on: they are hashes of subjects. With a key they are keyed
        hashes, the same wherever an id stands; without one those of what is hidden are made of what is left, and what
        refers to others does not. Ids of intents are made of no name and stay."""
        told = dict(made)
        intent = body.get("schema") == INTENT_SCHEMA
        for name in ("case",) if intent else ("id", "series", "merged_into"):
            if self._ids and isinstance(body.get(name), str) and body[name]:
                told[name] = self._hashed(body[name])
        if not self._ids and intent:
            told["case"] = ""
        elif not self._ids and _subject(made) != _subject(body):
            whole = [
                str(told.get(name, ""))
                for name in ("engine", "engine_version", "window", "opened", "first_seen")
            ]
            whole += map(str, _subject(made))
            told |= {name: series_of(name, *whole) for name in ("id", "series") if name in told}
        for name in ("items", "findings", "grounds"):
            some = told.get(name)
            if isinstance(some, list | tuple):
                told[name] = [self._reference(one) for one in some]
        return told

    def _reference(self, one: Any) -> Any:
        if not isinstance(one, Mapping) or not isinstance(one.get("id"), str):
            return one
        return {**one, "id": self._hashed(one["id"]) if self._ids else ""}

    def _hashed(self, id: str) -> str:
        return hashlib.blake2b(id.encode("utf-8", "replace"), digest_size=12, key=self._ids).hexdigest()

    def reveal(self, name: str) -> tuple[str, str]:
        """(kind, name) behind a pseudonym of this sink. Raises ValueError."""
        if self._names is None:
            raise ValueError(f"there are no pseudonyms at {self.policy.sink}")
        return self._names.reveal(name)

    def _hidden(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        names: dict[str, str] = {}
        self._collect(body, names, 0)
        whole = _whose(body)
        if whole is not None:
            kind, value = whole
            made = "addr" if kind in ADDRESSES else "user" if kind == "user-account" else "host"
            names.setdefault(value, self._made(made, value))
        if not names:
            return body
        texts = {name: made for name, made in names.items() if len(name) >= _SHORTEST}
        texts.update({n.replace(".", "[.]"): made for n, made in names.items() if "." in n})
        made = _replaced(body, names, _Texts(texts))
        return made if isinstance(made, Mapping) else {}

    def _collect(self, value: Any, names: dict[str, str], depth: int) -> None:
        if len(names) >= _MOST_NAMES or depth > 12:
            return
        if type(value) is dict or isinstance(value, Mapping):
            said = value.get("value")
            if said and isinstance(said, str) and said != WITHHELD:
                kind = value.get("type") or value.get("kind")
                whose = _PEOPLE.get(kind) if isinstance(kind, str) else None
                if whose is not None:
                    names[said] = self._made(whose, said)
                elif isinstance(kind, str) and kind in _PLACES and self.inside(said):
                    names[said] = self._made("addr", said)
            if _TELLING.isdisjoint(value):
                for item in value.values():
                    if type(item) not in _LEAVES:
                        self._collect(item, names, depth + 1)
                return
            of_host = (value.get("type") or value.get("kind")) == "host"
            for key, item in value.items():
                if key in _NAMING:
                    self._named(item, names)
                elif key == "addresses" and isinstance(item, list | tuple):
                    for one in item:
                        if isinstance(one, str) and (of_host or self.inside(one)):
                            names[one] = self._made("addr", one)
                if type(item) not in _LEAVES:
                    self._collect(item, names, depth + 1)
        elif isinstance(value, list | tuple):
            for item in value:
                if type(item) not in _LEAVES:
                    self._collect(item, names, depth + 1)

    def _named(self, value: Any, names: dict[str, str]) -> None:
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, str) and one not in ("", "andon", WITHHELD):
                names.setdefault(one, self._made("addr" if _is_address(one) else "user", one))

    def _made(self, kind: str, name: str) -> str:
        return WITHHELD if self._names is None else self._names.of(kind, name)


def sink_key(key: bytes, sink: str) -> bytes:
    """The key of one sink's pseudonyms (64 bytes), made from that of the site.

    >>> sink_key(bytes(64), "a") != sink_key(bytes(64), "b"), len(sink_key(bytes(64), "a"))
    (True, 64)
    """
    return hmac.new(key, b"andon-share\x1f" + sink.encode(), hashlib.sha512).digest()


class _Texts:
    """Names in prose, as whole words, from the left and the longest first: no word character or dot before, no word
    character after. Every document has other names, and a regular expression of them costs more than the document."""

    def __init__(self, made: Mapping[str, str]) -> None:
        self._made = made
        self._shortest = min(map(len, made), default=0)

    def sub(self, text: str) -> str:
        if len(text) < self._shortest:
            return text
        for name in self._made:
            if name in text:
                return self._told(text)
        return text

    def _told(self, text: str) -> str:
        found = [(at, -len(name), name) for name in self._made if name in text for at in _words(name, text)]
        found.sort()
        pieces: list[str] = []
        end = 0
        for at, _, name in found:
            if at >= end:
                pieces += text[end:at], self._made[name]
                end = at + len(name)
        return "".join((*pieces, text[end:]))


def _words(name: str, text: str) -> Iterator[int]:
    """Where a name stands as a whole word."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (before == "." or _in_word(before) or _in_word(after)):
            yield at
        at = text.find(name, at + 1)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _replaced(value: Any, names: Mapping[str, str], texts: _Texts) -> Any:
    if isinstance(value, str):
        found = names.get(value)
        return texts.sub(value) if found is None else found
    if type(value) is dict or isinstance(value, Mapping):
        made = {}
        for key, item in value.items():
            kind = type(item)
            if kind is str:
                told = names.get(item)
                if told is None:
                    told = texts.sub(item)
            else:
                told = item if kind in _NUMBERS else _replaced(item, names, texts)
            made[names.get(key, key)] = told
        # An address with another name is none any more.
        said = value.get("value")
        if isinstance(said, str) and said in names:
            if value.get("type") in ("ipv4-addr", "ipv6-addr"):
                made["type"] = "x-host"
            elif value.get("kind") == "address":
                made["kind"] = "host"
        return made
    if isinstance(value, list | tuple):
        return [_replaced(item, names, texts) for item in value]
    return value


def _subject(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an id is made of: the subject, or the host of a case."""
    entities = body.get("entities")
    first = entities[0] if body.get("schema") in CASES and isinstance(entities, list) and entities else None
    return body.get("subject"), first


def _whose(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The system of ours that a document is about by its kind, whatever its address: subject, or host of a case."""
    kind = str(body.get("kind") or _SCHEMAS.get(str(body.get("schema")), ""))
    thing: Any = None
    if ROLES.get(kind) in (OWN, TERMINAL, BLACK, HOST):
        thing = body.get("subject")
    elif kind == "case":
        entities = body.get("entities")
        thing = entities[0] if isinstance(entities, list) and entities else None
    if not isinstance(thing, Mapping):
        return None
    of, value = thing.get("type"), thing.get("value")
    fits = isinstance(of, str) and isinstance(value, str) and value not in ("", WITHHELD) and of != "state"
    return (str(of), str(value)) if fits else None


def _dark(body: Mapping[str, Any]) -> bool:
    """Whether a document may hold a dark address: it comes from the darknet, or from what may have come from there."""
    schema, engine = str(body.get("schema")), str(body.get("engine", ""))
    return (
        engine.startswith("darknet.")
        or not engine.startswith(("livenet.", "run."))
        or schema != "andon.finding/1"
    )
