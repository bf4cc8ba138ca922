"""The fingerprints there are: those found in a folder of results, and those of the catalogue of known tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from andon.detect.darknet.tools.catalogue import Tool, load
from andon.records.expression import ExpressionError, NotExpressible, canonical, parse
from andon.share.card import LANGUAGES, Card, cards_of, given
from andon.share.stix import bundle

FORMS = (*LANGUAGES, "stix", "card", "json")


def read_findings(path: Path) -> list[dict[str, Any]]:
    """The findings of ``findings.ndjson``, or of its folder. Raises OSError, and ValueError naming the line."""
    file = path / "findings.ndjson" if path.is_dir() else path
    found = []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                body = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{file}, line {number}: not a finding in JSON ({error})") from error
            if not isinstance(body, dict):
                raise ValueError(f"{file}, line {number}: not a finding in JSON")
            found.append(body)
    return found


def found_in(path: Path) -> list[Card]:
    """Cards of the fingerprints in a file or folder of findings. Raises OSError, ValueError."""
    try:
        return cards_of(read_findings(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def known_tools() -> list[Card]:
    """Cards of the catalogue; a tool with several relations by the first that is global, else by its first."""
    return [_of_tool(tool) for tool in load().tools]


def _of_tool(tool: Tool) -> Card:
    signature = next((s for s in tool.signatures if s.scope == "global"), tool.signatures[0])
    return Card(
        name=tool.name,
        title=tool.title,
        relation=signature.relation,
        check=signature.check,
        scope=signature.scope,
        origin="catalogue",
        kind="scanner-fingerprint",
        statement=f"{tool.title}: {tool.sign}. Versions: {tool.versions}. Also done by: {tool.collisions}.",
        bits=signature.bits,
        confidence=signature.trust,
        calibration="the catalogue's trust in the relation when chance is excluded (judgement)",
        first_seen=f"{tool.valid_from}T00:00:00Z" if tool.valid_from else "",
        attack=tool.attack,
        known_as=tool.name,
        references=(tool.source,),
    )


def choose(cards: Sequence[Card], wanted: str) -> Card:
    """The card with this name (or the beginning of one) or relation; of an expression that is no card's a card of
    itself. Raises ValueError that says what there is."""
    by_name = [card for card in cards if card.name == wanted]
    by_name = by_name or [card for card in cards if len(wanted) >= 4 and card.name.startswith(wanted)]
    if by_name:
        return by_name[0]
    try:
        relation = str(canonical(parse(wanted)))
    except ExpressionError as error:
        names = ", ".join(card.name for card in cards[:30])
        raise ValueError(
            f"{wanted!r} is no name here (there are: {names}) and no expression: {error}"
        ) from error
    return next((card for card in cards if card.relation == relation), None) or given(wanted)


def export(cards: Sequence[Card], form: str) -> tuple[str, list[tuple[Card, str]]]:
    """(text, cards left out with the reason) of cards in one of ``FORMS``.

    Raises NotExpressible if no card can be said in it, ValueError for an unknown form.
    """
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}; there are: {', '.join(FORMS)}")
    if form == "stix":
        return bundle(cards)
    parts: list[str] = []
    left_out: list[tuple[Card, str]] = []
    for card in cards:
        try:
            parts.append(_text(card, form, alone=len(cards) == 1))
        except NotExpressible as error:
            left_out.append((card, str(error)))
    if not parts:
        raise NotExpressible(
            "; ".join(f"{card.name}: {reason}" for card, reason in left_out) or "no fingerprint"
        )
    return "\n".join(parts), left_out


_COMMENT = {"bpf": "#", "sql": "--", "suricata": "#", "zeek": "#"}


def _text(card: Card, form: str, alone: bool) -> str:
    if form == "card":
        return card.to_markdown()
    if form == "json":
        return card.to_json()
    text = card.to(form)
    if alone:
        return text
    end = ";" if form == "sql" else ""
    return f"{_COMMENT[form]} {card.name}: {card.relation}\n{text}{end}"
