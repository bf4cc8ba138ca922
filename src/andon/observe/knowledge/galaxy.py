"""Clusters of MISP galaxies (``clusters/threat-actor.json``, ``ransomware.json``, ...): names of actors and software.

CC0 or BSD-2-Clause, at the reader's choice. A cluster is an object with ``type`` and ``values``; each value has a
name, synonyms and what is told of it under ``meta``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.observe.knowledge.documents import MOST, KnowledgeError, document

_MOST_NAMES: Final = 200


@dataclass(frozen=True)
class Named:
    """``incidents``: CFR's types ("Espionage"); ``sponsor``: suspected state, or ""; ``motives``: as written."""

    name: str
    synonyms: tuple[str, ...]
    description: str
    country: str
    incidents: tuple[str, ...]
    sponsor: str
    motives: tuple[str, ...]


@dataclass(frozen=True)
class Galaxy:
    """``type``: "threat-actor", "ransomware", "banker", "microsoft-activity-group"..."""

    type: str
    version: str
    named: tuple[Named, ...]
    left_out: int


def read(path: Path) -> Galaxy:
    """Raises OSError, KnowledgeError."""
    cluster = document(path)
    values = cluster.get("values") if isinstance(cluster, dict) else None
    kind = cluster.get("type") if isinstance(cluster, dict) else None
    if not isinstance(values, list) or not isinstance(kind, str):
        raise KnowledgeError(
            f"{path}: not a cluster of a MISP galaxy (an object with type and values; "
            "github.com/MISP/misp-galaxy, clusters/)"
        )
    named, left_out = [], 0
    for item in values[:MOST]:
        if not isinstance(item, dict) or not isinstance(item.get("value"), str) or not item["value"].strip():
            left_out += 1
            continue
        held = item.get("meta")
        meta = held if isinstance(held, dict) else {}
        named.append(
            Named(
                name=item["value"][:200],
                synonyms=_texts(meta.get("synonyms")),
                description=item["description"][:20_000] if isinstance(item.get("description"), str) else "",
                country=" ".join(_texts(meta.get("country")))[:40],
                incidents=_texts(meta.get("cfr-type-of-incident")),
                sponsor=" ".join(_texts(meta.get("cfr-suspected-state-sponsor")))[:100],
                motives=_texts(meta.get("motive")) + _texts(meta.get("threat-actor-classification")),
            )
        )
    return Galaxy(kind[:60], str(cluster.get("version", ""))[:20], tuple(named), left_out)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value[:200],)
    return (
        tuple(each[:200] for each in value[:_MOST_NAMES] if isinstance(each, str))
        if isinstance(value, list)
        else ()
    )
