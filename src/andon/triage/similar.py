"""Past cases that are like this one, with what was said of them: cosine of TF-IDF vectors over what was seen.

Techniques, signatures, software, artefacts and entities are tokens; a token counts by how few of the past cases have
it (``log((1 + cases) / (1 + cases with it))``), so that "this host" or a rare file joins cases and a rule that fires
daily does not. The same signature on the same host is how analysts recognise a case, so both are tokens of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from andon.records.case import Observation
from andon.records.finding import Finding
from andon.records.neutral import neutral
from andon.triage.attacker.hints import found_in
from andon.triage.attacker.vocabulary import folded, written

MOST_TOKENS: Final = 500
MOST_CASES: Final = 20_000
_LEAST: Final = 0.05
_TIE: Final = 1e-3  # what a token weighs that every case has
_SHOWN: Final = 4
_FIRST: Final = frozenset({"technique", "rule", "host", "software", "actor", "finding", "cve"})


@dataclass(frozen=True)
class PastCase:
    """A case of before: ``tokens`` as ``tokens_of`` gave them; ``label``: what was said of it, or ""; ``when``:
    ns."""

    id: str
    tokens: frozenset[str]
    label: str
    when: int = 0


@dataclass(frozen=True)
class Similar:
    id: str
    likeness: float  # 0..1
    label: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "likeness": round(self.likeness, 4), "label": self.label, "why": self.why}


def tokens_of(
    seen: Sequence[Observation],
    episodes: Sequence[Mapping[str, Any]],
    findings: Sequence[Finding | Mapping[str, Any]] = (),
) -> frozenset[str]:
    """What a case is compared by: "technique T1486", "rule suricata 2013028", "host web1"... At most MOST_TOKENS."""
    found: set[str] = set()
    for item in seen:
        if item.kind == "technique":
            found.add(f"technique {item.value}")
        elif item.kind in ("software", "actor"):
            found.add(f"{item.kind} {folded(item.value)}")
        elif item.kind != "title":
            found.add(f"{item.kind} {written(item.kind, item.value)[:200]}")
    found.update(f"technique {hint.technique}" for _, hint in found_in(seen)[0])
    for row in episodes:
        found.add(f"rule {row.get('product', '')} {row.get('rule', '')}")
        found.add(f"host {row.get('host', '')}")
        for column, word in (
            ("sources", "source"),
            ("targets", "target"),
            ("users", "user"),
            ("cves", "cve"),
        ):
            found.update(f"{word} {value}" for value in row.get(column) or ())
    for finding in findings:
        said = finding.to_dict() if isinstance(finding, Finding) else finding
        found.add(f"finding {said.get('kind', '')}")
        entities = said.get("entities")
        for entity in entities[:50] if isinstance(entities, list) else ():
            found.add(f"{entity.get('type', '')} {str(entity.get('value', ''))[:200]}")
    return frozenset(sorted(found, key=_order)[:MOST_TOKENS])


def _order(token: str) -> tuple[bool, str]:
    """What says most stays where there is too much: thousands of domains do not crowd out a technique."""
    return token.partition(" ")[0] not in _FIRST, token


class Past:
    """Past cases made ready to be asked many times: weights of tokens and, for each token, the cases that have it. At
    most MOST_CASES, the newest; ``left_out`` says how many there are beside."""

    def __init__(self, cases: Sequence[PastCase]) -> None:
        held = sorted(cases, key=lambda case: (-case.when, case.id))
        self.cases, self.left_out = held[:MOST_CASES], max(len(held) - MOST_CASES, 0)
        self._having: dict[str, list[int]] = {}
        for at, case in enumerate(self.cases):
            for token in case.tokens:
                self._having.setdefault(token, []).append(at)
        self._rare = math.log(1 + len(self.cases)) + _TIE
        self._weight = {
            token: math.log((1 + len(self.cases)) / (1 + len(rows))) + _TIE
            for token, rows in self._having.items()
        }
        self._length = [
            math.sqrt(math.fsum(self._weight[t] ** 2 for t in case.tokens)) for case in self.cases
        ]

    def nearest(self, tokens: Iterable[str], n: int = 5) -> tuple[Similar, ...]:
        """At most ``n`` past cases, the likest first; equal ones newest first."""
        own = frozenset(tokens)
        shared: dict[int, list[str]] = {}
        for token in sorted(own):
            for at in self._having.get(token, ()):
                shared.setdefault(at, []).append(token)
        norm = math.sqrt(math.fsum(self._weight.get(token, self._rare) ** 2 for token in own))
        found = []
        for at, both in shared.items():
            likeness = math.fsum(self._weight[token] ** 2 for token in both) / (norm * self._length[at])
            if likeness >= _LEAST:
                found.append((-round(likeness, 9), at))
        found.sort()
        return tuple(self._told(at, -likeness, shared[at]) for likeness, at in found[:n])

    def _told(self, at: int, likeness: float, shared: list[str]) -> Similar:
        best = sorted(shared, key=lambda token: (-self._weight[token], token))
        more = f" and {len(best) - _SHOWN} more" if len(best) > _SHOWN else ""
        why = "both have " + ", ".join(neutral(token) for token in best[:_SHOWN]) + more
        case = self.cases[at]
        return Similar(case.id, min(likeness, 1.0), case.label, why)


def similar(tokens: Iterable[str], past: Sequence[PastCase] | Past, n: int = 5) -> tuple[Similar, ...]:
    """The nearest past cases. Whoever asks more than once makes a ``Past`` first.

    >>> [case.id for case in similar({"host a"}, [PastCase("1", frozenset({"host a"}), "false-positive"),
    ...                                          PastCase("2", frozenset({"host b"}), "")])]
    ['1']
    """
    return (past if isinstance(past, Past) else Past(past)).nearest(tokens, n)
