"""From verdicts, which are about cases, findings and episodes and never change, to one word per analyst and episode.

- ``unsure`` says nothing; a verdict given in bulk without a reason teaches nothing.
- "benign-positive" (it happened, and is nobody's attack) and "false-positive" are both *not true* here.
- A case's "not true" holds for each of its episodes. A case's "true" holds for those that were put before somebody
  (tier act, inspect or audit): the others may be bystanders. Both count less than a word about the episode itself
  (``FROM_CASE``), and give way to one.
- A later contrary word of the same analyst within ``CORRECTION`` mends a slip. After that it is a *flip*: the first
  word stays until another analyst says what the later one says. Where only one analyst ever gave a verdict there is
  nobody to ask, and his last word holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from andon.learn.feedback.trust import EPISODES, Alarm, names_of
from andon.records.case import TRUE, UNSURE, Verdict

CORRECTION: Final = 15 * 60 * 1_000_000_000  # ns
FROM_CASE: Final = 0.5
BULK: Final = 0.5  # with a reason
SHOWN_WEIGHT: Final = {"top": 1.0, "uncertain": 1.0, "audit": 1.0, "manual": 1.0, "bulk": BULK}


@dataclass(frozen=True)
class Items:
    """Episodes that verdicts may be about. Arrays of one length; ``signature`` is "product rule"; ``cases`` and
    ``findings`` lead from an id to episodes' ids."""

    id: tuple[str, ...]
    site: tuple[str, ...]
    signature: tuple[str, ...]
    first: np.ndarray  # int64, ns
    seen: np.ndarray  # bool: put before somebody
    cases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.id) == len(self.site) == len(self.signature) == len(self.first) == len(self.seen):
            raise ValueError("columns of episodes differ in length")
        if len(set(self.id)) != len(self.id):
            raise ValueError("an episode is there twice: give the newest row of each")


@dataclass(frozen=True)
class Words:
    """What counts, one row per analyst and episode, in order of (item, analyst)."""

    item: np.ndarray  # int64: place in Items
    analyst: np.ndarray  # int64
    said: np.ndarray  # bool
    time: np.ndarray  # int64, ns: of the verdict that counts
    weight: np.ndarray  # of why it was asked and of what it was about
    shown: tuple[str, ...]
    reason: tuple[str, ...]
    verdicts: tuple[tuple[int, ...], ...]  # ids of all of this analyst's about it, in order of time
    flipped: np.ndarray  # bool: a later contrary word waits for review
    names: tuple[str, ...]
    alarms: tuple[Alarm, ...]
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True)
class _Told:
    time: int
    id: int
    said: bool
    direct: bool
    shown: str
    reason: str


def words(verdicts: Sequence[Verdict], items: Items) -> Words:
    """Fold verdicts. Those about what is not in ``items`` are counted in ``skipped``, and so are those that teach
    nothing.

    >>> items = Items(("e1",), ("",), ("suricata 1",), np.array([0]), np.array([True]))
    >>> told = [Verdict(("episode", "e1"), "true-positive", "ann", time=1, id=1),
    ...         Verdict(("episode", "e1"), "false-positive", "ann", time=10**15, id=2),
    ...         Verdict(("episode", "e1"), "unsure", "bob", time=3, id=3)]
    >>> held = words([*told, Verdict(("episode", "e1"), "true-positive", "eve", time=4, id=4)], items)
    >>> held.said.tolist(), held.flipped.tolist(), dict(held.skipped)
    ([True, True], [True, False], {'unsure': 1})
    """
    place = {name: number for number, name in enumerate(items.id)}
    skipped: dict[str, int] = {}
    told: dict[tuple[int, str], list[_Told]] = {}
    for verdict in verdicts:
        why = _nothing(verdict)
        if why:
            skipped[why] = skipped.get(why, 0) + 1
            continue
        about = _episodes(verdict, items, place)
        if not about:
            skipped["unknown subject"] = skipped.get("unknown subject", 0) + 1
        for number in about:
            told.setdefault((number, verdict.analyst), []).append(
                _Told(
                    verdict.time, verdict.id, verdict.label == TRUE, verdict.subject[0] != "case",
                    verdict.shown, verdict.reason or verdict.note,
                )
            )  # fmt: skip
    names, _ = names_of([analyst for _, analyst in told])
    number_of = {name: number for number, name in enumerate(names)}
    last = {key: _last(each) for key, each in told.items()}
    by_item: dict[int, set[tuple[str, bool]]] = {}
    for (item, analyst), one in last.items():
        by_item.setdefault(item, set()).add((analyst, one.said))
    rows = []
    for (item, analyst), each in told.items():
        shared = {said for who, said in by_item[item] if who != analyst}
        one, waits = _effective(each, shared, lone=len(names) == 1)
        rows.append((item, number_of[analyst], one, waits, tuple(sorted(t.id for t in each))))
    rows.sort(key=lambda row: row[:2])
    kept = [row[2] for row in rows]
    flipped = np.array([row[3] for row in rows], bool)
    weight = [SHOWN_WEIGHT[one.shown] * (1.0 if one.direct else FROM_CASE) for one in kept]
    made = Words(
        np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64),
        np.array([one.said for one in kept], bool), np.array([one.time for one in kept], np.int64),
        np.array(weight, float), tuple(one.shown for one in kept), tuple(one.reason for one in kept),
        tuple(row[4] for row in rows), flipped, names, (), skipped,
    )  # fmt: skip
    return Words(**{**vars(made), "alarms": _flips(made, items, told)})


def _nothing(verdict: Verdict) -> str:
    if verdict.label == UNSURE:
        return "unsure"
    if verdict.shown == "bulk" and not verdict.reason.strip():
        return "bulk without a reason"
    return ""


def _episodes(verdict: Verdict, items: Items, place: Mapping[str, int]) -> list[int]:
    kind, name = verdict.subject
    if kind == "episode":
        return [place[name]] if name in place else []
    if kind == "finding":
        return [place[each] for each in items.findings.get(name, ()) if each in place]
    # What came into the case later, the analyst had not seen.
    there = (place[each] for each in items.cases.get(name, ()) if each in place)
    inside = [each for each in there if items.first[each] <= verdict.time]
    return [each for each in inside if items.seen[each]] if verdict.label == TRUE else inside


def _ordered(told: Sequence[_Told]) -> list[_Told]:
    """Those that hold, in order of time: words about the episode itself if there are any."""
    direct = [each for each in told if each.direct]
    return sorted(direct or told, key=lambda each: (each.time, each.id))


def _last(told: Sequence[_Told]) -> _Told:
    return _ordered(told)[-1]


def _effective(told: Sequence[_Told], others: set[bool], lone: bool) -> tuple[_Told, bool]:
    """The word that counts, and whether a contrary one waits for review."""
    current, *later = _ordered(told)
    waits = False
    for each in later:
        if each.said == current.said:
            waits = False  # back to the first word
        elif lone or each.time - current.time <= CORRECTION or each.said in others:
            current, waits = each, False
        else:
            waits = True
    return current, waits


def _flips(made: Words, items: Items, told: Mapping[tuple[int, str], Sequence[_Told]]) -> tuple[Alarm, ...]:
    """One alarm per analyst and signature: a slip is one episode, a change of mind or of heart many."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(made.flipped):
        item = int(made.item[row])
        rows.setdefault((made.names[made.analyst[row]], items.signature[item]), []).append(item)
    alarms = []
    for (analyst, signature), flipped in sorted(rows.items()):
        times = [_last(told[item, analyst]).time for item in flipped]
        alarms.append(
            Alarm(
                "flip",
                f"{analyst} took back {len(flipped):,} earlier verdict(s) on {signature}; the earlier ones hold until "
                "another analyst has judged the episodes",
                analyst, signature, max(times), tuple(sorted(items.id[item] for item in flipped)[:EPISODES]),
                {"episodes": len(flipped)},
            )
        )  # fmt: skip
    return tuple(alarms)
