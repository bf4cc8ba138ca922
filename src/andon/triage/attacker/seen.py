"""What was seen in a case that may tell what kind of attacker it is: from its episodes, its findings, or a file.

Tags of techniques that products and engines give are taken at the confidence below; the rest are raw values, which
``hints`` and the knowledge base make sense of when the case is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from andon.records.case import Observation
from andon.records.finding import Finding
from andon.triage.attacker.vocabulary import KINDS, LONGEST, technique

MOST: Final = 500  # observations of each kind of a case; one that has more is judged by the first of them
TAGGED: Final = 0.8  # confidence of a technique that a product's rule is tagged with
_OF_EPISODES: Final = (
    ("commands", "command"), ("paths", "path"), ("digests", "hash"), ("names", "domain"),
)  # fmt: skip
_OF_ATTRIBUTES: Final = {
    "family": "software", "malware": "software", "families": "software", "software": "software", "tool": "software",
    "actor": "actor", "actors": "actor", "user_agent": "user-agent", "user_agents": "user-agent", "mutex": "mutex",
    "registry": "registry", "command": "command", "commands": "command",
}  # fmt: skip


def observations(
    episodes: Sequence[Mapping[str, Any]], findings: Sequence[Finding | Mapping[str, Any]]
) -> tuple[Observation, ...]:
    """Everything of a case that ``judge`` can use. ``episodes``: rows of ``records.triage.EPISODES`` as dictionaries;
    findings as such or in their JSON form. Of the same value the surest observation stays; at most
    MOST of each kind."""
    found: list[Observation] = []
    for row in episodes:
        where = str(row.get("id", ""))
        found += [Observation("technique", value, TAGGED, where) for value in _texts(row.get("attack"))]
        if title := str(row.get("title") or ""):
            found.append(Observation("title", title, 1.0, where))
        for column, kind in _OF_EPISODES:
            for value in _texts(row.get(column)):
                found.append(Observation(_kind(kind, value), value, 1.0, where))
    for finding in findings:
        where, sure, tags, attributes = _said(finding)
        found += [Observation("technique", value, sure, where) for value in tags]
        for name, kind in _OF_ATTRIBUTES.items():
            for value in _texts(attributes.get(name)):
                found.append(Observation(kind, value, sure, where))
    return kept(found)


def _said(finding: Finding | Mapping[str, Any]) -> tuple[str, float, list[str], Mapping[str, Any]]:
    """(id, confidence, techniques, attributes) of a finding or of its JSON form."""
    if isinstance(finding, Finding):
        return finding.id, finding.confidence, list(finding.attack), finding.attributes
    sure = finding.get("confidence")
    ok = isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1
    attributes = finding.get("attributes")
    return (
        str(finding.get("id", "")),
        float(sure) if ok and sure is not None else 0.5,
        _texts(finding.get("attack")),
        attributes if isinstance(attributes, Mapping) else {},
    )


def of_object(item: Mapping[str, Any]) -> tuple[Observation, ...]:
    """Of one object of a file: ``techniques`` (numbers, or objects with id and confidence), ``software`` (names or
    ATT&CK numbers), ``artefacts`` (kind -> values), ``actors``. Its own name and number are no evidence and not
    looked at."""
    found: list[Observation] = []
    for key, kind in (("techniques", "technique"), ("software", "software"), ("actors", "actor")):
        found += list(_listed(item.get(key), kind))
    artefacts = item.get("artefacts") or item.get("artifacts") or {}
    if isinstance(artefacts, Mapping):
        for name in sorted(artefacts, key=str):
            known = KINDS.get(str(name).casefold(), "text")
            found += [
                Observation(known, each.value, each.confidence) for each in _listed(artefacts[name], known)
            ]
    elif isinstance(artefacts, list):
        for each in artefacts[:MOST]:
            if isinstance(each, Mapping):
                known = KINDS.get(str(each.get("kind", "")).casefold(), "text")
                found += list(_listed([each], known))
            elif isinstance(each, str):
                found.append(Observation("text", each[:LONGEST]))
    return kept(found)


def _listed(values: Any, kind: str) -> Iterable[Observation]:
    if isinstance(values, str | int):
        values = [values]
    if not isinstance(values, list | tuple):
        return
    for each in values[:MOST]:
        if isinstance(each, Mapping):
            value = each.get("id") or each.get("value") or each.get("name") or ""
            sure = each.get("confidence", 1.0)
            ok = isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1
            if isinstance(value, str) and value:
                yield Observation(kind, value[:LONGEST], float(sure) if ok else 1.0)
        elif isinstance(each, str | int) and not isinstance(each, bool) and str(each):
            yield Observation(kind, str(each)[:LONGEST])


def kept(found: Iterable[Observation]) -> tuple[Observation, ...]:
    """Each (kind, value) once, at its highest confidence; techniques that are none left out; at most MOST of
    each kind."""
    best: dict[tuple[str, str], Observation] = {}
    for item in found:
        value = technique(item.value) if item.kind == "technique" else item.value[:LONGEST]
        if not value or not 0.0 <= item.confidence <= 1.0:
            continue
        key = (item.kind, value)
        held = best.get(key)
        if held is None or item.confidence > held.confidence:
            best[key] = Observation(item.kind, value, item.confidence, item.where)
    counts: Counter[str] = Counter()
    rows = []
    for key in sorted(best):
        counts[key[0]] += 1
        if counts[key[0]] <= MOST:
            rows.append(best[key])
    return tuple(rows)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list | tuple):
        return [each for each in value[:MOST] if isinstance(each, str) and each]
    return []


def _kind(kind: str, value: str) -> str:
    """A path that begins with a hive of the registry is a key; a name with a scheme is a URL."""
    head = value[:24].casefold()
    if kind == "path" and head.startswith(("hk", "registry")) and "\\" in value:
        return "registry"
    return "url" if kind == "domain" and "://" in value[:12] else kind
