"""Words that are kept back until a person has looked: floods, and analysts who stand alone on a signature.

*Flood*: one analyst calls many episodes of one signature not true within a day. A noisy rule looks the same, so the
flood is let through as soon as others have judged the same signature and mostly agree.

*Disagreement*: on the same days, of the same signature, at the same site, one analyst's share of "true" is not the
others'. Compared within days, because a shift that had the attack rightly says "true" more often than the shift before
it: Mantel & Haenszel, Statistical Aspects of the Analysis of Data from Retrospective Studies of Disease, JNCI 22
(1959), chi-square over strata with the continuity correction. It finds who is wrong about one rule and right about all
others, whom no figure over all verdicts shows. Of two analysts, neither can be told to be the right one: both are kept
back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.learn.feedback.trust import EPISODES, Alarm
from andon.learn.feedback.votes import Items, Words

DAY: Final = 86_400_000_000_000  # ns
FLOOD: Final = 10  # of one signature by one analyst within a day
VOUCHED: Final = (3, 0.8)  # verdicts of others that let a flood through, and the share of them that agree
CHANCE: Final = 0.01  # of one false disagreement, over all pairs that are looked at


@dataclass(frozen=True)
class Held:
    """``mask`` over words: kept back; ``why`` per word: "", "flood" or "disagreement"."""

    mask: np.ndarray
    why: np.ndarray
    alarms: tuple[Alarm, ...]


def hold(words: Words, items: Items, flood: int = FLOOD, chance: float = CHANCE) -> Held:
    """Which words do not count for now. With one analyst alone nothing is kept back."""
    why = np.full(len(words), "", object)
    if len(words.names) < 2 or not len(words):
        return Held(np.zeros(len(words), bool), why, ())
    signatures = _numbers(items.signature)[words.item]
    alarms = [
        *_disagreements(words, items, signatures, chance, why),
        *_floods(words, items, signatures, flood, why),
    ]
    return Held(why != "", why, tuple(alarms))


def _numbers(texts: tuple[str, ...]) -> np.ndarray:
    return np.asarray(np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)[1])


def _events(words: Words, rows: np.ndarray) -> np.ndarray:
    """One row per verdict: a case's verdict is one event, however many episodes it has."""
    latest: dict[int, int] = {}
    for row in rows:
        latest.setdefault(words.verdicts[row][-1], int(row))
    return np.array(sorted(latest.values()), np.int64)


def _floods(words: Words, items: Items, signatures: np.ndarray, flood: int, why: np.ndarray) -> list[Alarm]:
    found = []
    free = why == ""
    enough, share = VOUCHED
    pairs = np.unique(np.stack([signatures[~words.said], words.analyst[~words.said]]), axis=1).T
    for signature, analyst in pairs:
        own = np.flatnonzero((signatures == signature) & (words.analyst == analyst) & ~words.said & free)
        events = _events(words, own)
        if len(events) < flood:
            continue
        times = np.sort(words.time[events])
        within = np.arange(len(times)) - np.searchsorted(times, times - DAY, side="right") + 1
        if within.max() < flood:
            continue
        others = (signatures == signature) & (words.analyst != analyst) & free
        against = int(np.count_nonzero(words.said[others]))
        count = int(np.count_nonzero(others))
        if count >= enough and count - against >= share * count:
            continue
        # Everything in a window that overflowed, not its end alone.
        ends = times[within >= flood]
        inside = np.zeros(len(own), bool)
        for end in ends:
            inside |= (words.time[own] > end - DAY) & (words.time[own] <= end)
        rows = own[inside]
        why[rows] = "flood"
        name, rule = words.names[analyst], items.signature[words.item[rows[0]]]
        found.append(
            Alarm(
                "flood",
                f"{name} called {len(rows):,} episodes of {rule} not true, {within.max():,} verdicts within a day; "
                f"{count:,} verdict(s) of others on it, {against:,} of them \"true\": kept back until {enough} of "
                "others agree",
                name, rule, int(ends[-1]), _ids(words, items, rows),
                {"episodes": len(rows), "in_a_day": int(within.max()), "others": count, "others_true": against},
            )
        )  # fmt: skip
    return found


def _disagreements(
    words: Words, items: Items, signatures: np.ndarray, chance: float, why: np.ndarray
) -> list[Alarm]:
    """Per signature: set aside the analyst who differs most from the rest, and look again without him."""
    site = _numbers(items.site)[words.item]
    day = items.first[words.item] // DAY
    counts = {int(s): len(np.unique(words.analyst[signatures == s])) for s in np.unique(signatures)}
    pairs = sum(count for count in counts.values() if count > 1)
    found = []
    for signature, count in counts.items():
        rows = np.flatnonzero(signatures == signature)
        while count > 1:
            stratum = np.unique(np.stack([site[rows], day[rows]]), axis=1, return_inverse=True)[1].ravel()
            scores = {
                int(a): _mantel_haenszel(words.said[rows], words.analyst[rows] == a, stratum)
                for a in np.unique(words.analyst[rows])
            }
            if not scores:
                break
            worst = min(scores, key=lambda a: (scores[a][0], a))
            probability, extra = scores[worst]
            if probability * pairs > chance:
                break
            both = count == 2
            out = rows if both else rows[words.analyst[rows] == worst]
            why[out] = "disagreement"
            rule, name = items.signature[words.item[out[0]]], words.names[worst]
            whom = "the only other analyst" if both else "the others"
            found.append(
                Alarm(
                    "disagreement",
                    f"{name} says \"true\" of {rule} {abs(extra):.0f} times {'less' if extra < 0 else 'more'} often "
                    f"than {whom} on the same days would (chance {probability:.1e}): "
                    f"{'both' if both else 'his or her verdicts on it'} kept back until reviewed",
                    name, rule, int(words.time[out].max()), _ids(words, items, out),
                    {"episodes": len(out), "chance": probability, "excess": round(extra, 2)},
                )
            )  # fmt: skip
            rows = rows[words.analyst[rows] != worst]
            count -= 2 if both else 1
    return found


def _mantel_haenszel(said: np.ndarray, own: np.ndarray, stratum: np.ndarray) -> tuple[float, float]:
    """(two-sided chance, "true" of his own beyond what the strata lead one to expect)."""
    size = int(stratum.max(initial=-1)) + 1
    n = np.bincount(stratum, minlength=size).astype(float)
    n1 = np.bincount(stratum, own, minlength=size)
    m1 = np.bincount(stratum, said, minlength=size)
    a = np.bincount(stratum, own & said, minlength=size)
    held = n > 1
    expected = np.sum(n1[held] * m1[held] / n[held])
    spread = np.sum(n1[held] * (n - n1)[held] * m1[held] * (n - m1)[held] / (n[held] ** 2 * (n[held] - 1)))
    extra = float(np.sum(a[held]) - expected)
    if spread <= 0:
        return 1.0, 0.0
    z = max(0.0, abs(extra) - 0.5) / math.sqrt(spread)
    return math.erfc(z / math.sqrt(2)), extra


def _ids(words: Words, items: Items, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(sorted({items.id[item] for item in words.item[rows]})[:EPISODES])


def told(alarms: tuple[Alarm, ...]) -> Mapping[str, int]:
    """How many of each kind."""
    out: dict[str, int] = {}
    for alarm in alarms:
        out[alarm.kind] = out.get(alarm.kind, 0) + 1
    return out
