"""Signs of pranksters and hacktivists: rules, because there is nothing to learn from.

ATT&CK holds no hacktivist group and galaxies give only names, so these weights are set by hand and not measured. They
rest on what such actors want, which is to be seen: defaced pages (T1491), services flooded (T1498, T1499), accounts
taken over to speak from (T1586.001), claims, tools for crowds. Ransom gangs flood as well and armies deface, so one
sign puts the class among the possible ones and only two different ones may make it the answer (``judge``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from andon.records.case import Observation
from andon.triage.attacker.vocabulary import folded, parent, technique

START: Final = (
    -1.5
)  # log-odds of the class against each of the others with nothing seen: about one case in ten

_TECHNIQUES: Final = {
    "T1491": (2.0, "defacement", "pages are defaced to be seen"),
    "T1498": (1.2, "flood", "networks are flooded"),
    "T1499": (1.2, "flood", "services are flooded"),
    "T1586.001": (1.0, "accounts", "social media accounts are taken over"),
    "T1585.001": (0.3, "accounts", "social media accounts are made"),
}
_TOOLS: Final = frozenset(
    re.split(
        r"\s+",
        """loic hoic loworbitioncannon highorbitioncannon ddosia mhddos
    db1000n disbalancer slowloris torshammer hulk goldeneye xerxes rudy webloic saphyra ufonet
    karmaddos stormddos impulseddos""",
    )
)
_CLAIM: Final = re.compile(
    r"hacked\s+by\b|defaced\s+by\b|\bwe\s+are\s+(?:anonymous|legion)\b|\bexpect\s+us\b|(?:^|\s)#op[A-Z]\w{2,30}|"
    r"\btango\s+down\b|\bgreetz\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sign:
    """``family``: signs of one family are one sign however often seen."""

    observation: Observation
    weight: float
    family: str
    statement: str


def signs(seen: Sequence[Observation]) -> tuple[Sign, ...]:
    """What speaks for a prankster or hacktivist, the strongest of each family of signs.

    >>> [sign.family for sign in signs([Observation("technique", "T1491.002"), Observation("software", "LOIC")])]
    ['defacement', 'tool']
    """
    best: dict[str, Sign] = {}

    def add(sign: Sign) -> None:
        held = best.get(sign.family)
        if held is None or sign.weight > held.weight:
            best[sign.family] = sign

    for item in seen:
        if item.kind == "technique":
            number = technique(item.value)
            rule = _TECHNIQUES.get(number) or _TECHNIQUES.get(parent(number))
            if rule:
                add(Sign(item, rule[0] * item.confidence, rule[1], rule[2]))
        elif item.kind in ("software", "file-name", "user-agent") and _tool(item.value):
            add(Sign(item, 2.0 * item.confidence, "tool", "a tool that crowds flood services with"))
        elif item.kind in ("text", "title", "command", "path") and _CLAIM.search(item.value[:4096]):
            add(Sign(item, 2.0 * item.confidence, "claim", "the deed is claimed in public"))
    return tuple(best[name] for name in sorted(best))


def _tool(value: str) -> bool:
    name = re.split(r"[\\/]", value[:4096])[-1]
    return folded(name.rsplit(".", 1)[0]) in _TOOLS or folded(name) in _TOOLS
