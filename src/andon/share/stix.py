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
from andon.share.formats.stix_ids import NAMESPACE, stamp

__all__ = ["NAMESPACE", "bundle", "indicator"]


def indicator(card: Card) -> dict[str, Any]:
    """The Indicator of a card. Raises NotExpressible where BPF cannot say the relation."""
    first, issued = stamp(card.first_seen), stamp(card.issued)
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
