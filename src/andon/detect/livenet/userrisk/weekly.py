"""The week: what came of the last forecast, what can be learned from it, and the forecast of the next.

A snapshot of every terminal is taken at the end of each seventh day. Seven days later its outcome is known: did the
terminal contact a black-listed or certainly malicious destination that it had not contacted before? (One that it keeps
contacting, as a beacon does, needs no forecast.) What was forecast is then held against it (``quality``), and the trees
are trained anew on all weeks but the last, which calibrates them: always on the past of this organisation alone.

Which forecast is used: the gamma-Poisson rate, until there are enough weeks; then the trees, once their log loss over
the last weeks in which both were forecast is the lower one (before there is such a week: if it is lower on the week
that calibrated them).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from andon.detect.livenet.userrisk.boost import Boosted, train
from andon.detect.livenet.userrisk.counters import COLUMN
from andon.detect.livenet.userrisk.memory import BEFORE, BOOST, PENDING, RATE, USED, Memory, Snapshots
from andon.detect.livenet.userrisk.quality import Quality

WEEK: Final = 7
KEPT_WEEKS: Final = 60  # of quality
COMPARED: Final = 4  # weeks whose log loss decides


@dataclass(frozen=True)
class Forecast:
    """Of all terminals of a memory: chance of meeting something in the next seven days by each model (terminals, 4),
    which is used (RATE or BOOST), and the features."""

    p: np.ndarray
    used: int
    features: np.ndarray


def due(memory: Memory) -> bool:
    """Is it the end of a week?"""
    since = memory.snapped if memory.snapped > memory.began - 1 else memory.began - 1
    return memory.today - since >= WEEK


def outcomes(memory: Memory, met: np.ndarray, weeks: int, rows: int) -> tuple[Memory, bool]:
    """(the memory with the contacts of today told to the pending snapshot, whether a week was finished by it)."""
    shots = memory.snapshots
    pending = shots.y == PENDING
    if not pending.any():
        return memory, False
    day = int(shots.day[pending].max())
    if memory.today <= day + WEEK:
        shots = shots.told(met)
    if memory.today < day + WEEK:
        return replace(memory, snapshots=shots), False
    y = np.where(shots.y == PENDING, 0, shots.y).astype(np.int8)
    shots = replace(shots, y=y)
    last = shots.where(shots.day == day)
    quality = np.concatenate([memory.quality, _judged(last, day)])
    quality = quality[quality[:, 0] > day - WEEK * KEPT_WEEKS]
    shots = shots.where(shots.day > day - WEEK * weeks).thinned(rows)
    return replace(memory, snapshots=shots, quality=quality), True


def _judged(last: Snapshots, day: int) -> np.ndarray:
    """A row of quality for each model that forecast the week."""
    rows = []
    y = last.y == 1
    for model in (USED, RATE, BOOST, BEFORE):
        p = last.p[:, model]
        if np.isnan(p).any() or not len(p):
            continue
        q = Quality.of(p, y)
        held = model == BEFORE  # no probability: it ranks only
        used = bool(model in (RATE, BOOST) and np.array_equal(p, last.p[:, USED]))
        nan = float("nan")
        rows.append([day, model, q.terminals, q.met, q.auc, nan if held else q.calibration, nan if held else q.log_loss,
                     q.precision, q.lift, used])  # fmt: skip
    return np.array(rows, np.float64).reshape(-1, 10)


def learned(memory: Memory, least: int) -> Memory:
    """With trees trained anew, where there are ``least`` finished weeks and enough that met something."""
    shots = memory.snapshots.where(memory.snapshots.y != PENDING)
    weeks = np.unique(shots.day)
    if len(weeks) < least:
        return memory
    for later in (1, 2):  # one week to calibrate with; two if too few met something in it
        past, held = shots.day < weeks[-later], shots.day >= weeks[-later]
        made = _train(shots.where(past), shots.where(held))
        if made is not None:
            return replace(memory, model=made)
    return memory


def _train(past: Snapshots, held: Snapshots) -> Boosted | None:
    return train(past.x, past.y == 1, past.weight, (held.x, held.y == 1, held.weight))


def forecast(memory: Memory) -> Forecast:
    """As of the end of ``memory.today``."""
    features, rate = memory.features(), memory.rates()
    p = np.full((len(memory.names), 4), np.nan)
    p[:, RATE] = rate.probability
    p[:, BEFORE] = memory.sums[:, COLUMN["met"], 2]
    if memory.model is not None and len(memory.names):
        p[:, BOOST] = memory.model.probability(features)
    used = BOOST if memory.model is not None and _boost_is_better(memory) else RATE
    p[:, USED] = p[:, used]
    return Forecast(p, used, features)


def _boost_is_better(memory: Memory) -> bool:
    rows = memory.quality
    boost = rows[rows[:, 1] == BOOST][-COMPARED:]
    if len(boost):
        rate = rows[(rows[:, 1] == RATE) & np.isin(rows[:, 0], boost[:, 0])]
        return bool(boost[:, 6].sum() < rate[:, 6].sum())
    shots = memory.snapshots
    done = shots.y != PENDING
    held = shots.where(done & (shots.day == shots.day[done].max())) if done.any() else shots.where(done)
    if memory.model is None or not len(held.y):
        return False
    mine = Quality.of(memory.model.probability(held.x), held.y == 1, held.weight)
    return mine.log_loss < Quality.of(held.p[:, RATE], held.y == 1, held.weight).log_loss


def snapped(memory: Memory, of: Forecast) -> Memory:
    """With a snapshot of the population and its forecasts."""
    mine = memory.population()
    shot = Snapshots(
        np.full(len(mine), memory.today, np.int32), memory.keys()[mine], of.features[mine],
        np.full(len(mine), PENDING, np.int8), np.ones(len(mine)), of.p[mine],
    )  # fmt: skip
    return replace(memory, snapshots=memory.snapshots.with_rows(shot), snapped=memory.today)
