"""What a finding, a case or an intent says, read once, for every format that tells it to others.

Formats are written from a ``View`` and know nothing of kinds of findings: who acted, on whom, what may be taken for an
indicator, the times in milliseconds. It is made from the JSON forms, so that what comes from the casebook, from the
outbox or from memory is read the same way. Documents of the outbox are read as well (``andon.alert/1``,
``andon.asset-notice/1``, ``andon.case-notice/1``), and a body of any shape gives a view that says less.

Who is who follows from the kind of finding (``ROLES``):

* SENDERS: the entities sent the packets; they are *hostile* if the finding is of medium severity or worse and they
  were not made up (``attributes.spoofed``);
* DESTINATION: the subject was asked for by terminals of ours and is hostile;
* TERMINAL: the subject is ours and asked for the others; BLACK: those are known to be hostile;
* OWN: the subject is ours and sent the packets; VICTIM: the subject was attacked by senders that nobody can name;
* HOST: the subject is ours, and the addresses among the entities alerted about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

from andon.records.case import Case, Verdict
from andon.records.finding import SEVERITIES, Finding, timestamp
from andon.records.intent import SCHEMA_NAME as INTENT_SCHEMA
from andon.records.intent import Intent
from andon.share.card import GUARD

FINDING, CASE, INTENT = "finding", "case", "intent"
CASE_SCHEMA: Final = "andon.case/1"
_NOTICES: Final[Mapping[str, str]] = {
    "andon.alert/1": "own-host-alert",
    "andon.asset-notice/1": "asset-suspected-infected",
}
CASES: Final = frozenset((CASE_SCHEMA, "andon.case-notice/1"))

SENDERS, DESTINATION, TERMINAL, BLACK, OWN, VICTIM, HOST = (
    "senders", "destination", "terminal", "black", "own", "victim", "host",
)  # fmt: skip
ROLES: Final[Mapping[str, str]] = {
    "known-tool": SENDERS, "scanner-fingerprint": SENDERS, "scan-order": SENDERS, "multiple-infection": SENDERS,
    "scanner-purpose": SENDERS, "coordinated-activity": SENDERS, "campaign": SENDERS, "port-set": SENDERS,
    "port-set-birth": SENDERS, "malware-link": SENDERS, "malware-profile": SENDERS, "stack-default": SENDERS,
    "suspected-destination": DESTINATION, "beacon": DESTINATION, "suspected-url": DESTINATION,
    "redirect-chain": DESTINATION, "infected-terminal": BLACK, "suspected-terminal": TERMINAL,
    "user-at-risk": TERMINAL, "flow-anomaly": TERMINAL, "own-host-alert": OWN, "asset-suspected-infected": OWN,
    "backscatter-victim": VICTIM, "alert-episode": HOST, "scanned-vulnerability": HOST,
}  # fmt: skip
# Addresses that these name are of senders, but prove nothing against them.
_HARMLESS: Final = frozenset(("stack-default",))
ADDRESSES: Final = frozenset(("ipv4-addr", "ipv6-addr"))
NETWORK: Final = frozenset((*ADDRESSES, "domain-name", "url"))

Thing = tuple[str, str]  # (type, value)


@dataclass(slots=True)
class View:
    """``body``: the document. Times: RFC 3339 text, "" where not known. ``severity``: of ``SEVERITIES`` or "".
    ``confidence``: 0 to 1, None where not said. ``senders``, ``targets``, ``ours``, ``hostile``: (type, value)."""

    what: str
    body: Mapping[str, Any]
    id: str
    kind: str
    title: str
    statement: str
    severity: str
    first: str
    last: str
    issued: str
    series: str = ""
    revision: int = 1
    engine: str = ""
    confidence: float | None = None
    count: int = 0
    subject: Thing = ("", "")
    entities: list[Thing] = field(default_factory=list)
    senders: list[Thing] = field(default_factory=list)
    targets: list[Thing] = field(default_factory=list)
    ours: list[Thing] = field(default_factory=list)
    hostile: list[Thing] = field(default_factory=list)
    ports: list[tuple[int, str]] = field(default_factory=list)
    attack: list[str] = field(default_factory=list)
    evidence: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)  # (statement, check or {})
    attributes: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""

    @property
    def source(self) -> str:
        """The address that acted, if there is just one; "" otherwise."""
        return _only(self.senders)

    @property
    def destination(self) -> str:
        """The address that was acted on, if there is just one; "" otherwise."""
        return _only(self.targets)

    @property
    def named(self) -> str:
        """The name that was asked for, where targets are no addresses; "" otherwise."""
        found = {value for kind, value in self.targets if kind == "domain-name"}
        return found.pop() if len(found) == 1 else ""

    @property
    def relation(self) -> str:
        """The header relation that it can be looked for with, and "" where there is none: that of a fingerprint in SYN
        packets, that of a known tool with the conditions of its check."""
        if self.subject[0] == "fingerprint":
            return f"{GUARD} and ({self.subject[1]})"
        if self.kind != "known-tool":
            return ""
        # Checks of one source's session say nothing of the tool.
        checks = [str(check.get("relation") or "") for _, check in self.evidence]
        checks = [text for text in checks if text and not text.startswith("ip.src")]
        named = next(iter(_texts(self.attributes.get("relations"))), "")
        if not named:
            return checks[0] if checks else ""
        return next((text for text in checks if text.endswith(f"({named})")), f"{GUARD} and ({named})")

    @property
    def telling(self) -> bool:
        """Whether its relation tells anybody apart: what stacks set by default, half the Internet does."""
        return self.kind != "stack-default" and self.severity != "informational"

    @property
    def user(self) -> str:
        """The account that it is about, if there is just one; "" otherwise."""
        found = {value for kind, value in (*self.ours, *self.senders) if kind == "user-account"}
        return found.pop() if len(found) == 1 else ""


def _only(things: Iterable[Thing]) -> str:
    found: str | None = None
    for kind, value in things:
        if kind in ADDRESSES and value != found and "/" not in value:
            if found is not None:
                return ""
            found = value
    return found or ""


@lru_cache(maxsize=1 << 16)
def _private(value: str) -> bool:
    try:
        return not ip_address(value).is_global
    except ValueError:
        return False


def case_document(
    case: Case, verdicts: Iterable[Verdict] = (), findings: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The JSON form of a case as it is shared (``andon.case/1``). ``findings``: JSON forms of those in it, of which id,
    kind, title and times are told."""
    judgement = {name: part for name, part in case.judgement.items() if isinstance(part, Mapping)}
    return {
        "schema": CASE_SCHEMA, "id": case.id, "version": case.version, "state": case.state, "tier": case.tier,
        "level": case.level, "priority": case.priority, "title": case.title, "statement": case.statement,
        "site": case.site, "entities": [{"type": kind, "value": value} for kind, value in case.entities],
        "first_seen": timestamp(case.first_seen), "last_seen": timestamp(case.last_seen),
        "opened": timestamp(case.opened), "updated": timestamp(case.updated), "assignee": case.assignee,
        "merged_into": case.merged_into, "items": [{"kind": kind, "id": id} for kind, id in case.items],
        "checks": list(judgement.get("verification", {}).get("checks", ())),
        "attacker": list(judgement.get("attacker", {}).get("classes", ())),
        "verdicts": [
            {"label": v.label, "analyst": v.analyst, "reason": v.reason, "note": v.note, "time": timestamp(v.time)}
            for v in verdicts
        ],
        "findings": [
            {name: one[name] for name in ("id", "kind", "title", "severity", "first_seen", "last_seen", "attack")
             if name in one}
            for one in findings
        ],
    }  # fmt: skip


def intent_document(intent: Intent, state: str, changed: int) -> dict[str, Any]:
    """The JSON form of an intent with its state and since when (ns) it is in it."""
    return {**intent.to_dict(), "state": state, "changed": timestamp(changed)}


def document_of(thing: Finding | Case | Intent | Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON form of a record; a mapping is taken as it is, an intent is one that was just proposed."""
    if isinstance(thing, Finding):
        return thing.to_dict()
    if isinstance(thing, Case):
        return case_document(thing)
    if isinstance(thing, Intent):
        return intent_document(thing, "proposed", thing.created)
    return thing


def view(
    body: Any, kind: str = "", created: str = "", title: str = "", inside: Callable[[str], bool] = _private
) -> View:
    """The view of a JSON form. ``kind``, ``created``, ``title``: where the document does not say it itself.
    ``inside``: whether an address is ours. Never raises for what a document holds."""
    body = body if isinstance(body, Mapping) else {}
    schema = _text(body.get("schema"))
    if schema == INTENT_SCHEMA:
        return _intent(body, inside)
    if schema in CASES:
        return _case(body, created)
    return _finding(body, kind, created, title, inside)


def _finding(
    body: Mapping[str, Any], kind: str, created: str, title: str, inside: Callable[[str], bool]
) -> View:
    told = body.get("attributes")
    attributes: Mapping[str, Any] = told if isinstance(told, Mapping) else body
    window = body.get("window")
    ended = _text(window.get("end")) if isinstance(window, Mapping) else ""
    kind = _text(body.get("kind")) or _NOTICES.get(_text(body.get("schema")), "") or kind
    severity = body.get("severity")
    made = View(
        FINDING, body, _text(body.get("id")), kind, _text(body.get("title")) or title,
        _text(body.get("statement")), severity if severity in SEVERITIES else "", _text(body.get("first_seen")),
        _text(body.get("last_seen")), ended or _text(body.get("last_seen")) or created,
        series=_text(body.get("series")), revision=_whole(body.get("revision"), 1), engine=_text(body.get("engine")),
        confidence=_share(body.get("confidence")), count=_whole(body.get("count", attributes.get("packets")), 0),
        subject=_thing(body.get("subject")), entities=_things(body.get("entities")), attributes=attributes,
        attack=_texts(body.get("attack")), evidence=_evidence(body.get("evidence")),
        ports=_ports(attributes), state=_text(attributes.get("state")),
    )  # fmt: skip
    _roles(made, inside)
    return made


def _roles(made: View, inside: Callable[[str], bool]) -> None:
    role = ROLES.get(made.kind)
    subject, others = made.subject, made.entities
    network = [one for one in others if one[0] in NETWORK]
    if role == SENDERS:
        made.senders = [one for one in network if one[0] in ADDRESSES]
        spoofed = bool(made.attributes.get("spoofed")) or made.kind in _HARMLESS
        survey = made.kind == "scanner-purpose" and subject[1] != "attack"
        weak = made.severity in ("", "informational", "low")
        made.hostile = (
            [] if spoofed or survey or weak else [one for one in made.senders if not inside(one[1])]
        )
    elif role == DESTINATION:
        own = _own(others, inside)
        made.targets = list(dict.fromkeys([subject, *(one for one in network if one not in own)]))
        made.senders = own
        made.ours = own
        made.hostile = [subject] if subject[0] in NETWORK and not inside(subject[1]) else []
    elif role in (BLACK, TERMINAL):
        own = _own(others, inside)
        made.ours = list(dict.fromkeys([subject, *own])) if subject[0] != "state" else own
        made.senders = made.ours
        made.targets = [one for one in network if one not in own and one != subject]
        made.hostile = list(made.targets) if role == BLACK else []
    elif role == OWN:
        hosts = [subject] if subject[0] in ADDRESSES else []
        made.senders = hosts or [one for one in others if one[0] in ADDRESSES]
        made.ours = made.senders
    elif role == VICTIM:
        made.targets = [subject]
    elif role == HOST:
        made.ours = made.targets = [subject] if subject[0] != "" else []
        made.senders = [one for one in others if one != subject and one[0] in ADDRESSES]
    elif subject[0] in ADDRESSES:
        made.senders = [subject]
    elif len(others) == 1:
        made.senders = others


def _own(things: list[Thing], inside: Callable[[str], bool]) -> list[Thing]:
    return [one for one in things if one[0] not in NETWORK or (one[0] in ADDRESSES and inside(one[1]))]


def _case(body: Mapping[str, Any], created: str) -> View:
    things = _things(body.get("entities"))
    level = body.get("level")
    checks = body.get("checks")
    told = [one for one in checks if isinstance(one, Mapping)] if isinstance(checks, list) else []
    found = body.get("findings")
    attack = (
        [t for one in found if isinstance(one, Mapping) for t in _texts(one.get("attack"))]
        if isinstance(found, list)
        else []
    )
    return View(
        CASE,
        body,
        _text(body.get("id")),
        "case",
        _text(body.get("title")),
        _text(body.get("statement")),
        level if level in SEVERITIES else "",
        _text(body.get("first_seen")),
        _text(body.get("last_seen")),
        _text(body.get("updated")) or created or _text(body.get("last_seen")),
        series=_text(body.get("id")),
        revision=_whole(body.get("version"), 1),
        subject=things[0] if things else ("", ""),
        entities=things,
        ours=things[:1],
        targets=things[:1],
        evidence=[(f"{_text(one.get('outcome'))}: {_text(one.get('statement'))}", {}) for one in told],
        attributes=body,
        attack=list(dict.fromkeys(attack)),
        state=_text(body.get("state")) or "open",
    )


def _intent(body: Mapping[str, Any], inside: Callable[[str], bool]) -> View:
    subject, target = _party(body.get("subject")), _party(body.get("target"))
    level = body.get("level")
    action = _text(body.get("action"))
    towards = f" towards {_value(body.get('target'))}" if target else ""
    grounds = body.get("grounds")
    made = View(
        INTENT, body, _text(body.get("id")), action, f"{action} {_value(body.get('subject'))}{towards}".strip(),
        _text(body.get("reason")), level if level in SEVERITIES else "", _text(body.get("created")),
        _text(body.get("until")), _text(body.get("changed")) or _text(body.get("created")),
        series=_text(body.get("case")), subject=subject[0] if subject else ("", ""),
        entities=list(dict.fromkeys([*subject, *target])), senders=subject, targets=target, attributes=body,
        state=_text(body.get("state")) or "proposed",
    )  # fmt: skip
    for one in grounds if isinstance(grounds, list) else ():
        if isinstance(one, Mapping):
            where = f"{_text(one.get('kind'))} {_text(one.get('id'))} ({_text(one.get('field'))})"
            made.evidence.append((f"{where}: {_text(one.get('statement'))}", {}))
    # A host is ours, whatever its addresses; of the rest, what lies inside.
    hosts = [
        things
        for given, things in ((body.get("subject"), subject), (body.get("target"), target))
        if _is_host(given)
    ]
    made.ours = [one for one in made.entities if any(one in things for things in hosts)
                 or (one[0] in ADDRESSES and inside(one[1]))]  # fmt: skip
    made.hostile = [one for one in made.entities if one not in made.ours] if action != "allow" else []
    return made


def _is_host(given: Any) -> bool:
    return isinstance(given, Mapping) and given.get("kind") == "host"


def _party(given: Any) -> list[Thing]:
    """Addresses of a party, else the thing itself."""
    if not isinstance(given, Mapping):
        return []
    kind, value = _text(given.get("kind")), _text(given.get("value"))
    if kind == "domain":
        return [("domain-name", value)]
    if kind == "url":
        return [("url", value)]
    found = [_address(text) for text in (_texts(given.get("addresses")) or [value])]
    known = [one for one in found if one[0]]
    return ([("x-host", value)] if value and _is_host(given) else []) + known


@lru_cache(maxsize=1 << 14)
def _address(text: str) -> Thing:
    try:
        return (f"ipv{ip_network(text, strict=False).version}-addr", text)
    except ValueError:
        return ("", text)


def _value(given: Any) -> str:
    return _text(given.get("value")) if isinstance(given, Mapping) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def _whole(value: Any, other: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else other


def _share(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if fits else None


def _thing(value: Any) -> Thing:
    if type(value) is not dict and not isinstance(value, Mapping):
        return ("", _text(value))
    return (_text(value.get("type")), _text(value.get("value")))


def _things(value: Any) -> list[Thing]:
    if not isinstance(value, list | tuple):
        return []
    found = []
    for one in value:
        if type(one) is dict or isinstance(one, Mapping):
            kind, said = one.get("type"), one.get("value")
            if kind and said and isinstance(kind, str) and isinstance(said, str):
                found.append((kind, said))
    return found


def _evidence(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, list | tuple):
        return []
    made = []
    for one in value:
        if type(one) is dict or isinstance(one, Mapping):
            check: Any = one.get("check")
            fits = type(check) is dict or isinstance(check, Mapping)
            made.append((_text(one.get("statement")), check if fits else {}))
    return made


def _ports(attributes: Mapping[str, Any]) -> list[tuple[int, str]]:
    """[[port, protocol, ...], ...] of ``dst_ports``, or [{"port": ..., "protocol": ...}, ...] of ``ports``."""
    made: list[tuple[int, str]] = []
    for name in ("dst_ports", "ports"):
        given = attributes.get(name)
        for one in given if isinstance(given, list | tuple) else ():
            port, protocol = None, ""
            if type(one) is dict or isinstance(one, Mapping):
                port, protocol = one.get("port"), _text(one.get("protocol") or one.get("proto"))
            elif isinstance(one, list | tuple) and one:
                port, protocol = one[0], _text(one[1]) if len(one) > 1 else ""
            elif isinstance(one, int):
                port = one
            if isinstance(port, int) and not isinstance(port, bool) and 0 <= port < 65536:
                made.append((port, protocol[:31]))
        if made:
            break
    return made


def milliseconds(text: str) -> int | None:
    """ms since 1970 of our times; None for what is none.

    >>> milliseconds("2026-01-01T00:00:00.123456789Z"), milliseconds("soon")
    (1767225600123, None)
    """
    try:
        seconds = int(datetime.fromisoformat(text[:19] + "+00:00").timestamp())
    except ValueError:
        return None
    digits = text[20:-1] if text[19:20] == "." else ""
    return seconds * 1000 + (int((digits + "000")[:3]) if digits.isascii() and digits.isdigit() else 0)
