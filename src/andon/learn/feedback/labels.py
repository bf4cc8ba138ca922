"""Labels with provenance: the fold of all verdicts about each episode, and what may be learnt from it.

Words (``votes``) are weighed by how far their analysts are trusted (``trust``), those that must be reviewed first are
kept back (``holds``), and of what is left nobody has more than a share of a signature's weight. What was kept back
stays in the table with ``weight`` 0 and the reason in ``state``: nothing disappears."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.learn.feedback.holds import CHANCE, FLOOD, hold
from andon.learn.feedback.trust import (
    EPISODES,
    Alarm,
    Trust,
    Votes,
    chance,
    estimate,
    odds,
    prevalence,
    share_capped,
)
from andon.learn.feedback.votes import Items, Words, words
from andon.records.case import SHOWN, Verdict

SHARE: Final = 0.5  # of a signature's weight that one analyst may have
FLOOR: Final = 5.0  # episodes' worth that he may have where nobody else has judged it
SURE: Final = 0.8  # the less likely side of a conflict must be below 1 - this
COUNTS, CONFLICT, FLIP, HELD_FLOOD, HELD_DISAGREEMENT = "counts", "conflict", "flip", "flood", "disagreement"
UNTRUSTED: Final = "untrusted"
UNCONFIRMED: Final = "unconfirmed"  # a surprising word wants a second witness
STATES: Final = (COUNTS, CONFLICT, FLIP, HELD_FLOOD, HELD_DISAGREEMENT, UNTRUSTED, UNCONFIRMED)

LABELS: Final = pa.schema([
    pa.field("id", pa.string(), nullable=False),  # of the episode
    pa.field("site", pa.string(), nullable=False),
    pa.field("signature", pa.string(), nullable=False),
    pa.field("label", pa.int8(), nullable=False),  # 1 true, 0 not
    pa.field("probability", pa.float64(), nullable=False),  # that it is true, as the analysts are trusted
    pa.field("words", pa.float64(), nullable=False),  # log-odds of what the analysts said, > 0 for true
    pa.field("weight", pa.float64(), nullable=False),  # in training; 0: does not count
    pa.field("state", pa.string(), nullable=False),  # COUNTS, or why not; FLIP counts with the earlier word
    pa.field("shown", pa.string(), nullable=False),  # of the first verdict that counts
    pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False),  # of the newest verdict that counts
    pa.field("provenance", pa.string(), nullable=False),  # JSON: who said what, verdict numbers, reason
])  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """How verdicts become labels. ``protected`` False: the majority of the last words, all weights alike (the
    baseline of the benchmark; nothing to run a site with)."""

    share: float = SHARE
    floor: float = FLOOR
    flood: int = FLOOD
    chance: float = CHANCE
    sure: float = SURE
    protected: bool = True

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Labelled:
    """``table``: LABELS, in the order of the episodes; ``skipped``: verdicts that say nothing, by why."""

    table: pa.Table
    trust: Trust
    alarms: tuple[Alarm, ...]
    skipped: Mapping[str, int]


def fold(verdicts: Sequence[Verdict], items: Items, rules: Rules | None = None) -> Labelled:
    """Labels of all episodes that somebody said something about. Deterministic; order of verdicts does not matter.

    >>> items = Items(("e1", "e2"), ("", ""), ("wazuh 5710",) * 2, np.zeros(2, int), np.ones(2, bool))
    >>> made = fold([Verdict(("episode", "e2"), "true-positive", "ann", shown="top", time=5, id=1)], items)
    >>> made.table.select(["id", "label", "state"]).to_pylist(), round(made.table["weight"][0].as_py(), 3)
    ([{'id': 'e2', 'label': 1, 'state': 'counts'}], 0.778)
    """
    rules = rules or Rules()
    said = words(sorted(verdicts, key=lambda v: (v.time, v.id)), items)
    votes = Votes(said.item, said.analyst, said.said, len(items.id), said.names)
    kind = _kinds(said, len(items.id))
    trust = estimate(votes, kind)
    if not rules.protected:
        return _majority(said, votes, trust, items)
    held = hold(said, items, rules.flood, rules.chance)
    log_odds = odds(votes.where(~held.mask), trust)
    base = prevalence(
        chance(log_odds), _signatures(said, items, kind), np.bincount(said.item, minlength=len(items.id)) > 0
    )
    if len(said.names) == 1:
        base = np.zeros(len(items.id))  # nobody can confirm anything
    # The words alone decide what is said; how likely that is beforehand, how much it may teach.
    label = log_odds > 0
    probability = chance(log_odds + base)
    sure = np.where(label, probability, 1 - probability)
    # Long odds must not lend weight to a word that is worth little: both have to be sure.
    alone = chance(np.abs(log_odds))
    worth = 2 * np.minimum(sure, alone) - 1
    free = ~held.mask
    heard, split = _counted(said, items, np.ones(len(said), bool)), _counted(said, items, free)
    flipped = np.bincount(said.item[said.flipped & free], minlength=len(items.id)) > 0
    state = np.full(len(items.id), COUNTS, dtype=object)
    state[flipped] = FLIP
    state[sure <= 0.5] = UNCONFIRMED
    state[log_odds == 0] = UNTRUSTED
    state[(split[0] > 0) & (split[1] > 0) & (alone < rules.sure)] = CONFLICT
    silent = split[0] + split[1] == 0
    state[said.item[~free & silent[said.item]]] = held.why[~free & silent[said.item]]
    counts = (state == COUNTS) | (state == FLIP)
    side = free & (said.said == label[said.item]) & counts[said.item]
    asked = np.zeros(len(items.id))
    np.maximum.at(asked, said.item[side], said.weight[side])
    weight = np.where(counts, worth * asked, 0.0)
    rows = [
        _row(item, bool(label[item]), float(probability[item]), float(log_odds[item]), float(weight[item]),
             state[item], start, stop, side, said, items)
        for item, (start, stop) in _runs(said.item)
    ]  # fmt: skip
    conflicts = np.flatnonzero((heard[0] > 0) & (heard[1] > 0)).tolist()
    table = pa.Table.from_pylist(rows, schema=LABELS)
    if len(said.names) > 1:
        table = _capped(table, said, items, rules)
    alarms = (*said.alarms, *held.alarms, *_conflicts(conflicts, said, items))
    return Labelled(table, trust, alarms, said.skipped)


def _counted(said: Words, items: Items, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many said "not true" and "true" of each item, among ``mask``."""
    size = len(items.id)
    return (
        np.bincount(said.item[mask & ~said.said], minlength=size),
        np.bincount(said.item[mask & said.said], minlength=size),
    )


def _kinds(said: Words, count: int) -> np.ndarray:
    """Number of why each episode was first shown."""
    out = np.zeros(count, np.int64)
    order = np.argsort(-said.time, kind="stable")
    out[said.item[order]] = np.array([SHOWN.index(said.shown[row]) for row in order], np.int64)
    return out


def _signatures(said: Words, items: Items, kind: np.ndarray) -> np.ndarray:
    """Number of each episode's (signature, why it was shown)."""
    _, number = np.unique(np.array(items.signature, dtype=object).astype(str), return_inverse=True)
    return np.asarray(np.unique(number * len(SHOWN) + kind, return_inverse=True)[1])


def _runs(item: np.ndarray) -> list[tuple[int, tuple[int, int]]]:
    if not len(item):
        return []
    first = np.flatnonzero(np.diff(item, prepend=-1))
    last = np.append(first[1:], len(item))
    return [(int(item[a]), (int(a), int(b))) for a, b in zip(first, last, strict=True)]


def _row(
    item: int, label: bool, probability: float, log_odds: float, weight: float, state: str, start: int, stop: int,
    side: np.ndarray, said: Words, items: Items,
) -> dict[str, Any]:  # fmt: skip
    time = said.time[start:stop]
    provenance = [
        {
            "analyst": said.names[said.analyst[row]],
            "true": bool(said.said[row]),
            "shown": said.shown[row],
            "reason": said.reason[row][:200],
            "verdicts": said.verdicts[row],
            "counts": bool(side[row]),
            **({"flip": "waits for review"} if said.flipped[row] else {}),
        }
        for row in range(start, stop)
    ]
    return {
        "id": items.id[item],
        "site": items.site[item],
        "signature": items.signature[item],
        "label": int(label),
        "probability": probability,
        "words": log_odds,
        "weight": weight,
        "state": state,
        "shown": said.shown[start + int(time.argmin())],
        "time": int(time.max()),
        "provenance": json.dumps(provenance, ensure_ascii=True, separators=(",", ":")),
    }


def _capped(table: pa.Table, said: Words, items: Items, rules: Rules) -> pa.Table:
    """Every supporter of a label has an equal part of its weight; the parts are capped by analyst and signature."""
    place = {name: number for number, name in enumerate(table["id"].to_pylist())}
    row = np.array([place[items.id[item]] for item in said.item], np.int64)
    weight = table["weight"].to_numpy()
    side = said.said == (table["label"].to_numpy()[row] == 1)
    part = np.where(side & (weight[row] > 0), 1.0, 0.0)
    part *= weight[row] / np.maximum(np.bincount(row, part, minlength=len(weight)), 1)[row]
    _, signature = np.unique(
        np.array(table["signature"].to_pylist(), dtype=object).astype(str), return_inverse=True
    )
    cut = share_capped(signature[row], said.analyst, part, rules.share, rules.floor)
    new = np.bincount(row, cut, minlength=len(weight))
    return table.set_column(table.schema.get_field_index("weight"), LABELS.field("weight"), pa.array(new))


def _conflicts(conflicts: Sequence[int], said: Words, items: Items) -> list[Alarm]:
    """One alarm per signature, with the episodes."""
    by: dict[str, list[int]] = {}
    for item in conflicts:
        by.setdefault(items.signature[item], []).append(item)
    alarms = []
    for signature, own in sorted(by.items()):
        people = sorted({said.names[a] for a in said.analyst[np.isin(said.item, own)]})
        alarms.append(
            Alarm(
                "conflict",
                f"analysts contradict each other on {len(own):,} episode(s) of {signature}: {', '.join(people[:8])}",
                "", signature, int(said.time[np.isin(said.item, own)].max()),
                tuple(sorted(items.id[item] for item in own)[:EPISODES]),
                {"episodes": len(own), "analysts": people},
            )
        )  # fmt: skip
    return alarms


def _majority(said: Words, votes: Votes, trust: Trust, items: Items) -> Labelled:
    share = np.bincount(votes.item, votes.said, minlength=votes.items) / np.maximum(
        np.bincount(votes.item, minlength=votes.items), 1
    )
    everyone = np.ones(len(said), bool)
    rows = [
        _row(item, bool(share[item] > 0.5), float(share[item]), 2 * float(share[item]) - 1,
             0.0 if share[item] == 0.5 else 1.0, CONFLICT if share[item] == 0.5 else COUNTS, start, stop, everyone,
             said, items)
        for item, (start, stop) in _runs(said.item)
    ]  # fmt: skip
    return Labelled(pa.Table.from_pylist(rows, schema=LABELS), trust, (), said.skipped)
