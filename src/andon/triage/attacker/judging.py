"""What kind of attacker a case shows: the layers in order, the ledger, the set of classes that stay possible.

1. Exact hits: families of software by name, number or an artefact that only one family has; names of actors.
2. Signs of hacktivists (``hacktivist``), which are rules.
3. The ledger over techniques (``ledger``), calibrated for as many techniques as were seen, and its conformal set.
4. Neighbours: cases that share infrastructure and were judged already.

The layers add up: every line of the ledger shows the log-odds that it gives each class, and the softmax of the sums
are the probabilities. Financial and targeted begin alike: how often each is written about says little of what a site
will meet (``prior`` sets it otherwise). Where a class is not left out with the promised error, it stays; all of them
staying means that the evidence is not enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from andon.records.case import CLASSES, FINANCIAL, HACKTIVIST, TARGETED, Attacker, LedgerLine, Observation
from andon.records.neutral import neutral
from andon.triage.attacker import hacktivist
from andon.triage.attacker.hints import found_in
from andon.triage.attacker.knowledge import SHARED_CLASS, Family, Knowledge
from andon.triage.attacker.ledger import Shares, families, score
from andon.triage.attacker.likeness import alike
from andon.triage.attacker.possible import p_values, possible, promised
from andon.triage.attacker.vocabulary import folded, is_shared, telling, written

NO_KNOWLEDGE: Final = (
    "There is no knowledge base (make one with andon learn knowledge): rules alone were used."
)
FALSE_FLAG: Final = (
    0.5  # an artefact or a name can be planted: what a hit on it counts of a hit on the software itself
)
_NEIGHBOUR, _NEIGHBOURS_MOST = 1.0, 2.0  # log-odds of one judged neighbour, and of all of them: set by hand
_ACTOR: Final = (
    1.5  # log-odds of an actor's name that is told, where galaxies agree on its class: set by hand
)
_ACTORS_MOST: Final = 2
_ALONE: Final = 0.5  # probability that hacktivist has to reach to be the answer
_SHOWN: Final = 0.05  # and to stay possible once there is a sign of it
_MALWARE_WORDS: Final = (
    "malware", "trojan", "backdoor", "ransom", "botnet", "stealer", "loader", "rat", "c2", "cnc", "worm", "apt",
)  # fmt: skip


def judge(
    seen: Sequence[Observation], knowledge: Knowledge | None, prior: Mapping[str, float] | None = None
) -> Attacker:
    """The attacker of what was ``seen`` (``observations``). ``prior``: base rates of the site for CLASSES, if it
    knows them; they are off by default, since an attacker who knows them hides among the frequent ones. Pure: the
    same arguments give the same answer, whatever the order of ``seen``.

    >>> judge([], None).classes == CLASSES
    True
    """
    ordered = sorted(seen, key=lambda item: (item.kind, item.value, -item.confidence, item.where))
    lines = [_start(prior)]
    techniques, unread = _techniques(ordered)
    hits = _families(ordered, knowledge)
    ledger, known, value, view = _learnt(techniques, hits, knowledge)
    lines += ledger
    signs = hacktivist.signs([*ordered, *(item for item in techniques.values())])
    for sign in signs:
        lines.append(LedgerLine(sign.observation, _only(HACKTIVIST, sign.weight), f"{sign.statement} (rule)"))
    lines += _actors(ordered, knowledge)
    lines += _neighbours(ordered)
    totals = {name: sum(line.weights.get(name, 0.0) for line in lines) for name in CLASSES}
    chances = _softmax(totals)
    learnt: tuple[str, ...] = (TARGETED, FINANCIAL)
    alpha = promised(known)
    if knowledge is not None and view >= 0:
        learnt = possible(p_values(knowledge, view, value), value, known)
    classes, why = _set(learnt, len(signs), chances[HACKTIVIST])
    lines.sort(key=lambda line: (-max(map(abs, line.weights.values()), default=0.0), line.observation.value))
    groups: tuple[tuple[str, float, str], ...] = ()
    if knowledge is not None:
        features = [
            *techniques,
            *(f"software:{name}" for name, hit in hits.items() if hit[1].kind == "software"),
        ]
        groups = alike(features, knowledge)
    return Attacker(
        classes=classes,
        probabilities=MappingProxyType(chances),
        ledger=tuple(lines),
        statement=_statement(classes, why, known, len(hits), alpha, knowledge) + _left(unread),
        groups=groups,
    )


def _start(prior: Mapping[str, float] | None) -> LedgerLine:
    weights = {HACKTIVIST: hacktivist.START, FINANCIAL: 0.0, TARGETED: 0.0}
    text = "where it begins: financial and targeted alike, hacktivist about one in ten (set by hand)"
    if prior:
        given = {name: float(prior.get(name, 0.0)) for name in CLASSES}
        if not all(0 < p < 1 for p in given.values()):
            raise ValueError("base rates are needed for " + ", ".join(CLASSES) + ", each between 0 and 1")
        mean = sum(math.log(p) for p in given.values()) / len(given)
        weights = {name: math.log(p) - mean for name, p in given.items()}
        text = "where it begins: the base rates that the site gave"
    return LedgerLine(Observation("start", "base rates"), MappingProxyType(weights), text)


def _techniques(seen: Sequence[Observation]) -> tuple[dict[str, Observation], int]:
    """(number -> the surest observation of it, raw values that no rule has read). What raw values hint at
    counts where no product tagged it more surely."""
    best: dict[str, Observation] = {}

    def add(item: Observation) -> None:
        held = best.get(item.value)
        if held is None or item.confidence > held.confidence:
            best[item.value] = item

    for item in seen:
        if item.kind == "technique":
            add(item)
    pairs, unread = found_in(seen)
    for item, hint in pairs:
        sure = item.confidence * hint.confidence
        add(Observation("technique", hint.technique, sure, item.where or item.kind))
    return {number: best[number] for number in sorted(best)}, unread


def _families(
    seen: Sequence[Observation], knowledge: Knowledge | None
) -> dict[str, tuple[Family, Observation]]:
    """folded name -> (family, the surest thing that points to it). Tools that everybody uses are left out."""
    best: dict[str, tuple[Family, Observation]] = {}
    if knowledge is None:
        return best

    def add(family: Family | None, item: Observation, share: float) -> None:
        if family is None or is_shared(family.name):
            return
        counted = Observation(item.kind, item.value, item.confidence * share, item.where)
        fold = folded(family.name)
        if fold not in best or counted.confidence > best[fold][1].confidence:
            best[fold] = (family, counted)

    for item in seen:
        if item.kind == "software":
            add(knowledge.families.get(folded(item.value)), item, 1.0)
        elif item.kind == "title":
            for fold in _named(item.value):
                add(knowledge.families.get(fold), item, FALSE_FLAG)
        elif item.kind not in ("technique", "text", "actor", "neighbour"):
            text = written(item.kind, item.value)
            for kind in (item.kind, "file-name") if item.kind == "path" else (item.kind,):
                last = text.replace("\\", "/").rsplit("/", 1)[-1] if kind == "file-name" else text
                if telling(kind, last):
                    owner = knowledge.artefacts.get(f"{kind}:{last}")
                    add(knowledge.families.get(owner) if owner else None, item, FALSE_FLAG)
    return {fold: best[fold] for fold in sorted(best)}


def _named(title: str) -> list[str]:
    """Folded words, and pairs of words, of the title of a rule about malware: "ET MALWARE Emotet CnC" -> emotet,
    ..."""
    words = title[:512].replace("/", " ").replace("(", " ").replace(")", " ").split()[:40]
    folds = [folded(word) for word in words]
    if not any(word in _MALWARE_WORDS for word in folds):
        return []
    single = [fold for fold in folds if len(fold) >= 5 and fold not in _MALWARE_WORDS]
    return single + [a + b for a, b in pairwise(folds) if len(a + b) >= 6]


def _learnt(
    techniques: Mapping[str, Observation],
    hits: Mapping[str, tuple[Family, Observation]],
    knowledge: Knowledge | None,
) -> tuple[list[LedgerLine], int, float, int]:
    """(lines, techniques that the knowledge base knows, log-odds of financial against targeted, view)."""
    if knowledge is None:
        return [], 0, 0.0, -1
    shares = score({number: item.confidence for number, item in techniques.items()}, knowledge.weights)
    view = knowledge.view(shares.known)
    lines: list[LedgerLine] = []
    value = 0.0
    if shares.known > 0:
        a, b, c, d = knowledge.map.tolist()
        slope, offset = a + b * math.log(shares.known), c + d * math.sqrt(shares.known)
        value = offset
        text = f"calibration: what the sum over {shares.known} techniques is with an average attacker"
        lines.append(LedgerLine(Observation("start", "calibration"), _between(offset), text))
        for number, item in techniques.items():
            part = slope * shares.parts.get(number, 0.0)
            value += part
            title = knowledge.techniques.get(number, ("", ()))[0]
            lines.append(LedgerLine(item, _between(part), _told(f"{number} {title}".strip(), part)))
    used = families(
        {fold: (family.cls, item.confidence) for fold, (family, item) in hits.items()},
        knowledge.family_weight,
    )
    lines += _hits(hits, used, knowledge)
    return lines, shares.known, value + used.total, view


def _hits(
    hits: Mapping[str, tuple[Family, Observation]], used: Shares, knowledge: Knowledge
) -> list[LedgerLine]:
    lines = []
    for fold, (family, item) in hits.items():
        part = used.parts.get(fold, 0.0)
        name = neutral(family.name)
        if family.cls == HACKTIVIST:
            weights = _only(HACKTIVIST, knowledge.family_weight[HACKTIVIST] * item.confidence)
            lines.append(LedgerLine(item, weights, f"{name} is told of hacktivists"))
        elif not part:
            text = "several classes use it" if family.cls == SHARED_CLASS else "nobody says who uses it"
            lines.append(LedgerLine(item, _between(0.0), f"{name}: {text}"))
        else:
            lines.append(LedgerLine(item, _between(part), f"{name} is told of {family.cls} attackers"))
    return lines


def _told(text: str, part: float) -> str:
    if abs(part) < 0.02:
        return f"{text}: as frequent with either"
    return f"{text}: more frequent with {'financial' if part > 0 else 'targeted'} attackers"


def _actors(seen: Sequence[Observation], knowledge: Knowledge | None) -> list[LedgerLine]:
    lines = []
    for item in seen:
        found = (
            knowledge.actors.get(folded(item.value))
            if knowledge is not None and item.kind == "actor"
            else None
        )
        if found is None:
            continue
        name, classes = found
        if len(classes) == 1:
            text = f"{neutral(name)} is told to be {classes[0]}; a name can be a false flag"
            lines.append(LedgerLine(item, _only(classes[0], _ACTOR * item.confidence), text))
    return lines[:_ACTORS_MOST]


def _neighbours(seen: Sequence[Observation]) -> list[LedgerLine]:
    lines, used = [], 0.0
    for item in seen:
        if item.kind == "neighbour" and item.value in CLASSES and used < _NEIGHBOURS_MOST:
            weight = min(_NEIGHBOUR * item.confidence, _NEIGHBOURS_MOST - used)
            used += weight
            text = f"a case with the same infrastructure was judged {item.value}"
            lines.append(LedgerLine(item, _only(item.value, weight), text))
    return lines


def _between(part: float) -> Mapping[str, float]:
    return MappingProxyType({HACKTIVIST: 0.0, FINANCIAL: part / 2, TARGETED: -part / 2})


def _only(cls: str, weight: float) -> Mapping[str, float]:
    return MappingProxyType({name: weight if name == cls else 0.0 for name in CLASSES})


def _softmax(totals: Mapping[str, float]) -> dict[str, float]:
    top = max(totals.values())
    powers = {name: math.exp(value - top) for name, value in totals.items()}
    whole = sum(powers.values())
    return {name: value / whole for name, value in powers.items()}


def _set(learnt: tuple[str, ...], signs: int, chance: float) -> tuple[tuple[str, ...], str]:
    """(classes in the order of CLASSES, reason in a word)."""
    if signs >= 2 and chance >= _ALONE and len(learnt) != 1:
        return (HACKTIVIST,), "signs"
    if len(learnt) == 1:
        named = {*learnt, *([HACKTIVIST] if signs and chance >= _SHOWN else [])}
        return tuple(name for name in CLASSES if name in named), "ledger"
    if not learnt:
        return (), "unlike"
    return CLASSES, "open"


def _left(unread: int) -> str:
    return f" {unread:,} raw values were more than the rules read." if unread else ""


def _statement(
    classes: tuple[str, ...], why: str, known: int, hits: int, alpha: float, knowledge: Knowledge | None
) -> str:
    seen = f"{known} technique{'' if known == 1 else 's'} and {hits} famil{'y' if hits == 1 else 'ies'} of software"
    if why == "signs":
        text = "Hacktivist: two or more different signs of it (rules, not measured)."
    elif why == "ledger":
        named = " or ".join(classes)
        text = (
            f"{named[0].upper()}{named[1:]}, by {seen}: of each class that was learnt at most {alpha:.0%} are missed "
            "if this attacker is like those of the knowledge base."
        )
        if HACKTIVIST in classes:
            text += " Hacktivist stays possible by a sign of it."
    elif why == "unlike":
        text = f"Not enough evidence: {seen} are unlike every class of the knowledge base."
    else:
        text = f"Not enough evidence: {seen} rule out no class at an error of {alpha:.0%}."
    if knowledge is None:
        text += f" {NO_KNOWLEDGE}"
    return text
