"""Fingerprints as STIX 2.1 Indicators that carry a tcpdump (BPF) filter.

STIX's own pattern language has no arithmetic between header fields, so the pattern is a BPF filter and
``pattern_type`` is ``x-bpf``; that vocabulary is open (STIX 2.1, 4.7 and 10.20). A fingerprint that BPF cannot say
gets no indicator. Ids are UUIDv5 of the relation, so that the same fingerprint is the same object at every site.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from andon.records.expression import NotExpressible
from andon.share.card import Card

NAMESPACE = uuid.UUID("7d9b4c9e-5d0c-5a57-9c1e-3d6d0a7b1f10")  # ours, for ids of indicators and bundles
_UNKNOWN_TIME = "1970-01-01T00:00:00.000Z"


def indicator(card: Card) -> dict[str, Any]:
    """The Indicator of a card. Raises NotExpressible where BPF cannot say the relation."""
    first, issued = _milliseconds(card.first_seen), _milliseconds(card.issued)
    body: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(NAMESPACE, card.check)}",
        "created": first,
        "modified": max(first, issued),
        "name": card.title[:250],
        "description": f"{card.relation}. {card.statement}",
        "indicator_types": ["anomalous-activity"],
        "pattern": card.to("bpf"),
        "pattern_type": "x-bpf",
        "valid_from": first,
        "labels": ["scanner-fingerprint", card.name],
    }
    if card.confidence is not None:
        body["confidence"] = round(100 * card.confidence)
    references: list[dict[str, str]] = [
        {"source_name": "andon", "external_id": identity, "description": "finding"}
        for identity in card.findings[-10:]
    ]
    references += [{"source_name": "reference", "description": text} for text in card.references]
    references += [{"source_name": "mitre-attack", "external_id": technique} for technique in card.attack]
    if references:
        body["external_references"] = references
    return body


def bundle(cards: Sequence[Card]) -> tuple[str, list[tuple[Card, str]]]:
    """(a STIX bundle as JSON, the cards that are not in it with the reason). Raises NotExpressible if none is."""
    made: list[dict[str, Any]] = []
    left_out: list[tuple[Card, str]] = []
    for card in cards:
        try:
            made.append(indicator(card))
        except NotExpressible as error:
            left_out.append((card, str(error)))
    if not made:
        raise NotExpressible(
            "; ".join(f"{card.name}: {reason}" for card, reason in left_out) or "no fingerprint"
        )
    identity = uuid.uuid5(NAMESPACE, " ".join(body["id"] + body["modified"] for body in made))
    return json.dumps(
        {"type": "bundle", "id": f"bundle--{identity}", "objects": made}, ensure_ascii=False
    ), left_out


def _milliseconds(time: str) -> str:
    """A time of ours with the three fraction digits that STIX 2.1 asks for.

    >>> _milliseconds("2026-01-01T00:00:00.123456789Z"), _milliseconds("2026-01-01T00:00:00Z")
    ('2026-01-01T00:00:00.123Z', '2026-01-01T00:00:00.000Z')
    """
    if not time:
        return _UNKNOWN_TIME
    seconds, _, fraction = time.rstrip("Z").partition(".")
    return f"{seconds}.{fraction[:3]:0<3}Z"
