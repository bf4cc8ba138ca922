"""The fingerprint card: all another team needs to look for a fingerprint in its own packets, on one page.

A card comes from a finding of ``darknet.fingerprint``, from the catalogue of known tools, or from an expression that
somebody gives. It holds no dark address and no list of sources; of a masked finding it holds no check either, since
a check could show where the telescope is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from andon.records.expression import (
    Expression,
    ExpressionError,
    NotExpressible,
    canonical,
    count_sql,
    parse,
    session_sql,
    to_bpf,
    to_suricata,
    to_zeek,
)
from andon.records.expression.ast import keys_of

SCHEMA_NAME = "andon.fingerprint/1"
GUARD = "tcp.flags & 0x3f == 2"  # fingerprints are looked for in TCP SYN packets
LANGUAGES = ("bpf", "sql", "suricata", "zeek")
KINDS = ("scanner-fingerprint", "stack-default", "scan-order")
_MASKED = "(masked)"
_FIRST_SID, _SIDS = 9_000_001, 900_000  # Suricata's range for local use


@dataclass(frozen=True)
class Card:
    """A fingerprint as it is shared. Times are RFC 3339 texts, "" where nothing was seen; ``sources`` and ``packets``
    are 0 for a relation that was not measured. ``check`` is the relation with the condition on which packets it is
    tried; ``masked`` says that constants were taken out."""

    name: str
    title: str
    relation: str
    check: str
    scope: str = "global"
    origin: str = "given"  # finding | catalogue | given
    kind: str = "scanner-fingerprint"
    statement: str = ""
    bits: float | None = None
    confidence: float | None = None
    calibration: str = ""
    sources: int = 0
    networks_24: int = 0
    packets: int = 0
    first_seen: str = ""
    last_seen: str = ""
    issued: str = ""  # end of the latest window it was measured in
    ports: Sequence[Mapping[str, Any]] = ()
    proven_bits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    precision: Mapping[str, Any] = field(default_factory=dict)
    constants: Sequence[Mapping[str, Any]] = ()
    known_as: str = ""
    overlap: Sequence[Mapping[str, Any]] = ()
    spoofed: bool = False
    attack: Sequence[str] = ()
    findings: Sequence[str] = ()  # their ids, oldest first
    references: Sequence[str] = ()

    @property
    def masked(self) -> bool:
        return _MASKED in self.relation

    def expression(self) -> Expression:
        """What is to be checked. Raises NotExpressible for a masked card or an order of addresses."""
        if self.masked:
            raise NotExpressible("the relation is masked")
        try:
            return parse(self.check)
        except ExpressionError as error:
            raise NotExpressible(f"not a relation between header fields: {error}") from error

    def to(self, language: str) -> str:
        """The fingerprint in one of ``LANGUAGES``. Raises NotExpressible, never gives an approximation."""
        expression = self.expression()
        if language == "bpf":
            return to_bpf(expression)
        if language == "sql":
            return session_sql(expression) if keys_of(expression) else count_sql(expression)
        if language == "suricata":
            return self._suricata()
        if language == "zeek":
            # Several fingerprints in one script need functions of different names.
            return to_zeek(expression).replace("andon_match", "andon_match_" + re.sub(r"\W", "_", self.name))
        raise ValueError(f"unknown language {language!r}; there are: {', '.join(LANGUAGES)}")

    def _suricata(self) -> str:
        number = int(hashlib.blake2b(self.relation.encode(), digest_size=4).hexdigest(), 16)
        plain = not set(self.relation) & set('";\\|')  # a message may not hold these
        message = f"{self.name}: {self.relation}" if plain and len(self.relation) < 150 else self.name
        # "SYN alone of the six classic flags" is one keyword there: S, with the two of ECN left out of account.
        expression = parse(self.check.replace(GUARD, "tcp.flags == 2"))
        rule = to_suricata(expression, _FIRST_SID + number % _SIDS, message)
        return rule.replace("flags:S;", "flags:S,CE;") if GUARD in self.check else rule

    def checks(self) -> dict[str, str]:
        """Language -> text, or "not expressible: REASON"."""
        found = {}
        for language in LANGUAGES:
            try:
                found[language] = self.to(language)
            except NotExpressible as error:
                found[language] = f"not expressible: {error}"
        return found

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the order of the fields is that of the class."""
        body: dict[str, Any] = {"schema": SCHEMA_NAME}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            body[name] = list(value) if isinstance(value, tuple) else value
        return {**body, "checks": {} if self.masked else self.checks()}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """The card for people."""
        return _markdown(self)


def cards_of(findings: Iterable[Mapping[str, Any]]) -> list[Card]:
    """Cards of the fingerprints among findings (their JSON form), one for each series, most sources first.

    Figures are those of the latest window; first seen, last seen and the findings' ids are of all. Findings of other
    kinds are passed over. Raises ValueError for an object that is no finding.
    """
    series: dict[str, list[Mapping[str, Any]]] = {}
    for body in findings:
        if not isinstance(body, Mapping) or not str(body.get("schema", "")).startswith("andon.finding/"):
            raise ValueError("not a finding: no schema andon.finding/...")
        if body.get("kind") in KINDS:
            series.setdefault(str(body.get("series")), []).append(body)
    try:
        made = [
            _card(sorted(same, key=lambda b: str(b["window"]["start"])), key) for key, same in series.items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a finding lacks what its kind must have: {error}") from error
    return sorted(made, key=lambda card: (KINDS.index(card.kind), -card.sources, card.relation))


def _card(same: Sequence[Mapping[str, Any]], series: str) -> Card:
    latest, details = same[-1], same[-1]["attributes"]
    relation = str(latest["subject"]["value"])
    overlap = [*details.get("overlap_tools", ()), *details.get("overlap_families", ())]
    return Card(
        name=f"fp-{series[:8]}",
        title=str(latest["title"]),
        relation=relation,
        check=f"{GUARD} and ({relation})",
        scope=str(details.get("scope", "global")),
        origin="finding",
        kind=str(latest["kind"]),
        statement=str(latest["statement"]),
        bits=details.get("bits"),
        confidence=latest["confidence"],
        calibration=str(latest["calibration"]),
        sources=int(
            details.get("exact", {}).get("sources") or details.get("sources", latest["entities_total"])
        )
        if details.get("spoofed")
        else int(details.get("sources", latest["entities_total"])),
        networks_24=int(details.get("networks_24", 0)),
        constants=tuple(details.get("constants", ())),
        packets=int(latest["count"]),
        first_seen=min(str(body["first_seen"]) for body in same),
        last_seen=max(str(body["last_seen"]) for body in same),
        issued=str(latest["window"]["end"]),
        ports=tuple(details.get("ports", ())),
        proven_bits=dict(details.get("proven_bits", {})),
        precision=dict(details.get("precision", {})),
        known_as=str(details.get("known_as", "")),
        overlap=tuple(overlap),
        spoofed=bool(details.get("spoofed", False)),
        attack=tuple(latest["attack"]),
        findings=tuple(str(body["id"]) for body in same),
    )


def given(text: str) -> Card:
    """A card of an expression somebody gives, or of a name and nothing measured. Raises ExpressionError."""
    relation = str(canonical(parse(text)))
    scope = "session" if keys_of(parse(text)) else "global"
    number = hashlib.blake2b(relation.encode(), digest_size=4).hexdigest()
    return Card(
        f"fp-{number}", relation, relation, f"{GUARD} and ({relation})", scope, statement="Not measured."
    )


def _markdown(card: Card) -> str:
    lines = [f"# Fingerprint {card.name}", "", f"`{card.relation}`", "", card.statement, ""]
    facts = [
        (
            "scope",
            "every packet by itself" if card.scope == "global" else "packets of one source, under one key",
        ),
        ("known as", card.known_as),
        ("sources", _sources(card)),
        ("packets", f"{card.packets:,}" if card.packets else ""),
        ("first seen", card.first_seen),
        ("last seen", card.last_seen),
        ("chance", f"one unrelated packet in 2^{card.bits:g} satisfies it" if card.bits else ""),
        ("confidence", f"{card.confidence:.2f} ({card.calibration})" if card.confidence is not None else ""),
        ("precision of a filter", _precision(card)),
        ("ports", ", ".join(f"{p['port']} ({p['share']:.0%})" for p in card.ports if p["share"] >= 0.005)),
        ("in all its packets", ", ".join(f"`{c['field']} == {c['value']}`" for c in card.constants)),
        ("ATT&CK", ", ".join(card.attack)),
        ("senders", "most likely made up: do not block them" if card.spoofed else ""),
    ]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts if value)]
    if card.proven_bits:
        lines += [
            "",
            "## What is proven",
            "",
            "Bits that varied among the evidence; the others never did here.",
            "",
        ]
        lines += ["| field | varied | never varied |", "|---|---|---|"]
        lines += [
            f"| {name} | {bits['varied']} ({bits['bits']} bits) | {bits['never_varied']} |"
            for name, bits in card.proven_bits.items()
        ]
    if card.overlap:
        lines += ["", "## The same sources", ""]
        lines += [
            f"- {o.get('tool') or '`' + str(o.get('relation')) + '`'}: {o['sources']:,} ({o['share']:.0%})"
            for o in card.overlap
        ]
    lines += ["", "## How to check", "", *_how_to_check(card)]
    if card.references:
        lines += ["", "## Where it was read", "", *(f"- {reference}" for reference in card.references)]
    return "\n".join(lines) + "\n"


def _sources(card: Card) -> str:
    if not card.sources:
        return ""
    networks = f" in {card.networks_24:,} networks (/24)" if card.networks_24 else ""
    return f"{card.sources:,}{networks}"


def _precision(card: Card) -> str:
    if not card.precision or card.scope != "global":
        return ""
    p = card.precision
    interval = f"95 %: {p['low']:.1%} to {p['high']:.1%}"
    return f"{p['estimate']:.1%} of the matching packets come from these sources ({interval})"


def _how_to_check(card: Card) -> list[str]:
    if card.masked:
        return ["Masked: the constants would show where the telescope is. Ask the sender."]
    checks = card.checks()
    lines: list[str] = []
    if checks["bpf"].startswith("not expressible"):
        lines += [f"tcpdump cannot say it ({checks['bpf']})."]
    else:
        lines += ["Packets in a capture without VLAN tags:", "", "```"]
        lines += [f"tcpdump -O -nn -r CAPTURE '{checks['bpf']}' | wc -l", "```"]
    if not checks["sql"].startswith("not expressible"):
        lines += [
            "",
            "In DuckDB, over packet records (`andon analyze CAPTURE --out DIR --packets`):",
            "",
            "```",
        ]
        lines += ["CREATE VIEW packets AS SELECT * FROM 'DIR/packets.parquet';", f"{checks['sql']};", "```"]
    if card.scope == "session":
        lines += ["", "The query also counts sources whose compared fields never change; they prove nothing."]
    return lines
