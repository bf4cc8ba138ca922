"""Which named groups a case is like, and by what: cosine of TF-IDF vectors over techniques and families.

Likeness is no attribution. Many groups share most techniques (T1059 is told of nearly all), so a feature weighs by
how few have it; tools that everybody uses count for nothing; and a group is named only with the features that make it
alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from andon.records.neutral import neutral
from andon.triage.attacker.knowledge import Knowledge

TOP: Final = 5
_LEAST_SHARED: Final = 3  # features in common; fewer is chance
_LEAST: Final = 0.1
_SHOWN: Final = 4


def alike(features: Iterable[str], knowledge: Knowledge) -> tuple[tuple[str, float, str], ...]:
    """At most TOP (name, likeness 0..1, by what), likest first. ``features``: numbers of techniques and
    ``software:FOLDED``."""
    idf = knowledge.idf
    own = {name for name in features if name in idf}
    norm = sum(idf[name] ** 2 for name in sorted(own)) ** 0.5
    if len(own) < _LEAST_SHARED or norm == 0:
        return ()
    found = []
    for group in knowledge.groups:
        shared = own & group.features
        if len(shared) < _LEAST_SHARED:
            continue
        length = sum(idf[name] ** 2 for name in sorted(group.features)) ** 0.5
        likeness = sum(idf[name] ** 2 for name in sorted(shared)) / (norm * length)
        if likeness >= _LEAST:
            found.append((likeness, group, shared))
    found.sort(key=lambda row: (-row[0], row[1].name))
    rows = []
    for likeness, group, shared in found[:TOP]:
        strongest = sorted(shared, key=lambda name: (-idf[name], name))
        said = ", ".join(_said(name, knowledge) for name in strongest[:_SHOWN])
        more = len(shared) - min(len(shared), _SHOWN)
        others = f" and {more} more" if more else ""
        rows.append(
            (
                neutral(group.name),
                round(likeness, 4),
                f"{said}{others}, of {len(group.features)} things told of it",
            )
        )
    return tuple(rows)


def _said(name: str, knowledge: Knowledge) -> str:
    if name.startswith("software:"):
        family = knowledge.families.get(name.removeprefix("software:"))
        return neutral(family.name) if family else name
    title = knowledge.techniques.get(name, ("", ()))[0]
    return f"{name} {title}".strip()
