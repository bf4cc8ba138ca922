"""Rules for others' sensors: what a finding or an intent can be looked for with Suricata, Zeek or a BPF filter.

Two things can be said in such a language: a relation between header fields (``records.expression`` translates it, or
says why it cannot), and an address, name or URL that is hostile and that no warning list names. What cannot be said
is listed as *not expressible*, never approximated. A rule is checked by ``rule_check`` before it goes out.

A bundle is a set of files: the rules, and ``manifest.json`` that says of each which finding it comes from, and what was
left out and why. Suricata's ``sid`` follows from what the rule looks for, within the range for local use, and stays the
same over the months; where two would have one, the later one takes the next free number and keeps it if the bundle is
made again from the same or from more findings in the same order. ``rev`` is 1 + the number of changes of the text that
``known`` (the manifest of the bundle before) has seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from andon.records.expression import ExpressionError, NotExpressible, chance_rate, parse
from andon.share.card import Card, given
from andon.share.formats.rule_check import bpf_problem, suricata_problem, zeek_intel_problem, zeek_problem
from andon.share.formats.view import View
from andon.share.policy import Caution

SURICATA, ZEEK, BPF = LANGUAGES = ("suricata", "zeek", "bpf")
SCHEMA: Final = "andon.rules/1"
FIRST_SID, SIDS = 9_000_001, 900_000  # Suricata's range for local use, as that of share.card
_ENDINGS: Final = {SURICATA: "andon.rules", ZEEK: "andon.zeek", BPF: "andon.bpf"}
_INTEL: Final = "andon.intel"
_ZEEK_TYPES: Final[Mapping[str, str]] = {
    "ipv4-addr": "Intel::ADDR", "ipv6-addr": "Intel::ADDR", "domain-name": "Intel::DOMAIN", "url": "Intel::URL",
}  # fmt: skip
_MOST: Final = 10_000  # rules of one bundle
_BYSTANDERS: Final = "a rule would alert on bystanders (--kind asks for it all the same)"
LIKELIEST: Final = 1e-3  # share of random packets that a rule may hit


@dataclass
class Rules:
    """``files``: name to text. ``left``: (id of the finding, what, why) of what is not expressible or not told."""

    files: dict[str, str] = field(default_factory=dict)
    left: list[tuple[str, str, str]] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True)
class _Wanted:
    """One thing to look for. ``kind``: "relation", or STIX's name of an observable."""

    kind: str
    value: str
    finding: str
    title: str
    by_chance: float = 0.0  # share of random packets that have the relation


def bundle(
    views: Iterable[View],
    language: str,
    caution: Caution | None = None,
    known: Mapping[str, Any] | None = None,
    asked: Collection[str] = (),
) -> Rules:
    """The bundle of findings (or intents) in one of ``LANGUAGES``. ``known``: the manifest of the last one, for
    ``rev``.

    Raises ValueError for an unknown language."""
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}; there are: {', '.join(LANGUAGES)}")
    made, seen = Rules(), set()
    old = {str(one.get("key")): one for one in (known or {}).get("rules", ()) if isinstance(one, Mapping)}
    numbers = _Numbers(int(one["sid"]) for one in old.values() if isinstance(one.get("sid"), int))
    lines: list[str] = []
    intel: list[str] = []
    listed: list[dict[str, Any]] = []
    for wanted in _wanted(views, caution or Caution(), made, asked):
        key = f"{wanted.kind} {wanted.value}"
        if key in seen:
            continue
        seen.add(key)
        if len(listed) >= _MOST:
            made.left.append((wanted.finding, wanted.value, f"a bundle holds {_MOST:,} rules"))
            continue
        entry: dict[str, Any] = {"key": key, "finding": wanted.finding, "title": _plain(wanted.title)}
        if wanted.kind == "relation":
            entry["by_chance"] = wanted.by_chance
        try:
            text = _text(wanted, language, numbers, old.get(key), entry)
        except (NotExpressible, ExpressionError, ValueError) as error:
            made.left.append((wanted.finding, wanted.value, str(error)))
            continue
        (intel if entry.get("file") == _INTEL else lines).append(text)
        listed.append(entry)
    made.count = len(listed)
    head = f"# Andon: {len(lines)} rules; what each comes from: manifest.json\n"
    if lines:
        made.files[_ENDINGS[language]] = head + "\n".join(lines) + "\n"
    if intel:
        made.files[_INTEL] = (
            "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n" + "\n".join(intel) + "\n"
        )
    manifest = {
        "schema": SCHEMA, "language": language, "rules": listed,
        "not_expressible": [{"finding": who, "what": what, "why": why} for who, what, why in made.left],
    }  # fmt: skip
    made.files["manifest.json"] = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    return made


def _wanted(
    views: Iterable[View], caution: Caution, made: Rules, asked: Collection[str]
) -> Iterable[_Wanted]:
    for told in views:
        some = False
        if told.relation:
            some = True
            if not told.telling and told.kind not in asked:
                why = f"a {told.kind} of severity {told.severity or 'none'}: {_BYSTANDERS}"
                made.left.append((told.id, told.relation, why))
            elif (rate := _rate(told.relation)) > LIKELIEST and told.kind not in asked:
                why = f"one random packet in {1 / rate:,.0f} has it: {_BYSTANDERS}"
                made.left.append((told.id, told.relation, why))
            else:
                yield _Wanted("relation", told.relation, told.id, told.title, rate)
        if told.subject[0] != "fingerprint":
            for kind, value in told.hostile:
                some = True
                why = caution.holds(kind, value)
                if why:
                    made.left.append((told.id, value, why))
                else:
                    yield _Wanted(kind, value, told.id, told.title)
        if not some:
            made.left.append(
                (told.id, told.subject[1], "it names no header relation and nothing that is hostile")
            )


@lru_cache(maxsize=1 << 13)
def _rate(relation: str) -> float:
    """Share of random packets that have it; 0 for what is no relation, which its language refuses later."""
    try:
        return chance_rate(parse(relation))
    except (ExpressionError, NotExpressible, ValueError, RecursionError):
        return 0.0


def _text(
    wanted: _Wanted, language: str, numbers: _Numbers, old: Mapping[str, Any] | None, entry: dict[str, Any]
) -> str:
    if language == SURICATA:
        held = old.get("sid") if old else None
        sid = held if isinstance(held, int) and 0 < held < 1 << 32 else numbers.take(wanted)
        body = _suricata(wanted, sid)
        digest = hashlib.sha256(body.encode()).hexdigest()[:16]
        rev = int(old.get("rev", 1)) + (digest != old.get("digest")) if old else 1
        text = body.replace("rev:1;)", f"rev:{rev};)")
        entry |= {"sid": sid, "rev": rev, "digest": digest, "file": _ENDINGS[SURICATA]}
        problem = suricata_problem(text)
    elif language == BPF:
        entry["filter"] = text = _bpf(wanted)
        entry["file"] = _ENDINGS[BPF]
        problem = bpf_problem(text)
        text = f"# {_plain(wanted.finding)}: {_plain(wanted.title)}\n{text}"
    elif wanted.kind == "relation":
        card = _card(wanted)
        text = card.to(ZEEK)
        entry |= {"file": _ENDINGS[ZEEK], "name": card.name}
        problem = zeek_problem(text)
    else:
        text = _intel(wanted)
        entry["file"] = _INTEL
        problem = zeek_intel_problem(text)
    if problem:
        raise NotExpressible(f"the rule would not be valid: {problem}")
    return text


class _Numbers:
    """Sids: the hash of what is looked for, else the next that is free."""

    def __init__(self, taken: Iterable[int]) -> None:
        self._taken = set(taken)

    def take(self, wanted: _Wanted) -> int:
        digest = hashlib.blake2b(f"{wanted.kind} {wanted.value}".encode(), digest_size=4).hexdigest()
        at = int(digest, 16) % SIDS
        while FIRST_SID + at in self._taken:
            at = (at + 1) % SIDS
        self._taken.add(FIRST_SID + at)
        return FIRST_SID + at


def _suricata(wanted: _Wanted, sid: int) -> str:
    if wanted.kind == "relation":
        return re.sub(r"sid:\d+;", f"sid:{sid};", _card(wanted).to(SURICATA))
    message = f"Andon {wanted.finding}"
    reference = (
        f"metadata:andon {wanted.finding};" if re.fullmatch(r"[0-9A-Za-z-]{1,64}", wanted.finding) else ""
    )
    tail = f"{reference} sid:{sid}; rev:1;)".strip()
    value = wanted.value
    if wanted.kind in ("ipv4-addr", "ipv6-addr"):
        address = f"[{value}]" if ":" in value else value
        return f'alert ip {address} any <> any any (msg:"{message}"; {tail}'
    if wanted.kind == "domain-name":
        name = value.lower().rstrip(".")
        # The name itself and names below it: ".name" at the end, or the whole.
        return (
            f'alert dns any any -> any any (msg:"{message}"; dns.query; dotprefix; content:".{_content(name)}"; '
            f"endswith; nocase; {tail}"
        )
    if wanted.kind == "url":
        rest = value.partition("://")[2] or value
        host, slash, path = rest.partition("/")
        host = host.rpartition("@")[2].partition(":")[0].lower()
        if value.lower().startswith("https://"):
            raise NotExpressible(
                "the path of an https URL is not on the wire; the name of its host may be told"
            )
        if not host:
            raise NotExpressible("a URL without a host")
        return (
            f'alert http any any -> any any (msg:"{message}"; http.host; content:"{_content(host)}"; '
            f"bsize:{len(host.encode())}; "
            f'http.uri; content:"{_content(slash + path or "/")}"; startswith; {tail}'
        )
    raise NotExpressible(f"no rule for {wanted.kind}")


def _card(wanted: _Wanted) -> Card:
    """The card of a relation, which has all that is to be asked of a packet in it. Raises ExpressionError."""
    return replace(given(wanted.value), check=wanted.value)


def _content(text: str) -> str:
    """A content of Suricata: what means something in rules, and what is no printable ASCII, as hex."""
    return "".join(
        c
        if c.isascii() and c.isprintable() and c not in '";:\\|'
        else "|" + " ".join(f"{b:02x}" for b in c.encode()) + "|"
        for c in text
    )


def _bpf(wanted: _Wanted) -> str:
    if wanted.kind == "relation":
        return _card(wanted).to(BPF)
    if wanted.kind in ("ipv4-addr", "ipv6-addr"):
        family = "ip6" if ":" in wanted.value else "ip"
        return f"{family} and {'net' if '/' in wanted.value else 'host'} {wanted.value}"
    raise NotExpressible(f"a packet filter sees no {'name' if wanted.kind == 'domain-name' else 'URL'}")


def _intel(wanted: _Wanted) -> str:
    kind = _ZEEK_TYPES.get(wanted.kind)
    if kind is None:
        raise NotExpressible(f"no type of Zeek's intelligence framework for {wanted.kind}")
    value = wanted.value
    if kind == "Intel::ADDR" and "/" in value:
        kind = "Intel::SUBNET"
    if kind == "Intel::URL":
        value = value.partition("://")[2] or value
    return "\t".join((value, kind, "Andon", _plain(f"{wanted.finding} {wanted.title}")[:200] or "-"))


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def texts(rules: Rules) -> Sequence[tuple[str, str]]:
    """(name, text) of the files, in order."""
    return sorted(rules.files.items())
