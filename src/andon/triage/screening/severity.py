"""What a product's own severity, and that it blocked, are worth: an addition to the log-odds of the ranker.

The ranker knows no severities: the networks it learned from told none, and what one product calls high is every other
alert of the next. So a level is measured by the history of its product at its site: ``b = -log P(level or worse)``
over the product's episodes, the surprisal of seeing so much. It is what the odds grow by (a Bayes factor) if every true
episode reached that level; as they do not all, it is bounded by ``CAP``, which a level has that one episode in a
hundred reaches. An unknown severity and a product's lowest level are worth 0: where no severities vary, nothing
changes, to the bit.

A ranker far from what it learned from gives low scores to nearly everything. What it says *against* an episode
therefore counts less the more the severity says for it: log-odds below those of ``FLOOR`` shrink towards it, wholly
from ``FADE`` nats on. The sum stays a rising function of the level and of the ranker's score, and at 0 it is the score.
``FLOOR`` and the factor 1 of b were chosen on simulated networks (``benchmarks/triage/screening_severity.py``), where
techniques of ATT&CK and CVE numbers, measured the same way, found no more and are left out.

What the product says it blocked is worth ``BLOCKED`` less; this figure was set, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.triage.screening.episodes import Episodes, mixed

LEVELS: Final = 7  # OCSF: 0 unknown, 1 informational .. 6 fatal
WORDS: Final = ("unknown", "informational", "low", "medium", "high", "critical", "fatal")
CAP: Final = float(np.log(100.0))
FLOOR: Final = 0.05
FADE: Final = 2.0
BLOCKED: Final = 1.0
MANY: Final = 1_000_000  # episodes of a product; beyond, its counts are halved and the newer ones weigh more
PRODUCTS: Final = 65_536  # of all sites that are remembered
Counts = tuple[np.ndarray, np.ndarray]  # sorted keys of (site, product), (n, LEVELS) episodes of each level


@dataclass(frozen=True)
class Told:
    """Of each episode: ``level`` 0..6; ``share`` of its product's episodes that reach it (1 where it says nothing);
    ``added``: log-odds for it; ``taken``: log-odds off for being blocked."""

    level: np.ndarray
    share: np.ndarray
    added: np.ndarray
    taken: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        return np.asarray(self.added - self.taken)

    @property
    def _silent(self) -> np.ndarray:
        return np.asarray((self.added == 0) & (self.taken == 0))

    def scored(self, score: np.ndarray) -> np.ndarray:
        """The ranker's scores (n,) 0..1 with all this in."""
        odds = _log_odds(score)
        floor = float(np.log(FLOOR / (1 - FLOOR)))
        kept = np.maximum(0.0, 1 - self.added / FADE)
        odds = np.where(odds < floor, floor + (odds - floor) * kept, odds)
        return np.where(self._silent, score, _chance(odds + self.weight))

    def likely(self, probability: np.ndarray) -> np.ndarray:
        """Probabilities (n,) with the weight as a Bayes factor; NaN stays."""
        return np.where(self._silent, probability, _chance(_log_odds(probability) + self.weight))

    def reason(self, row: int) -> tuple[tuple[str, float], ...]:
        """(words, log-odds) of an episode, if there is something to say."""
        if self.added[row] <= 0:
            return ()
        share, level = float(self.share[row]), WORDS[int(self.level[row])]
        words = f"severity {level}, which {100 * share:.2g} % of this product's episodes here reach"
        return ((words, float(self.added[row])),)


def _log_odds(chance: np.ndarray) -> np.ndarray:
    kept = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(kept / (1 - kept)))


def _chance(odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-odds)))


def told(made: Episodes, held: Counts) -> Told:
    """``held``: counts of the episodes that were over before; those of ``made`` are counted with them."""
    level = np.clip(made.table["severity"], 0, LEVELS - 1)
    keys, counts = _with(held, _keys(made), level)
    at = np.searchsorted(keys, _keys(made))
    reached = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]  # this level or worse
    # One more on both sides: the first episodes of a product show nothing yet.
    share = (reached[at, level] + 1) / (reached[at, 1] + 1)
    share = np.where(level > 0, np.minimum(share, 1.0), 1.0)
    added = np.minimum(-np.log(share), CAP)
    taken = np.where(made.table["open"] == 0, BLOCKED, 0.0)
    return Told(level, share, np.maximum(added, 0.0), taken)


def counted(made: Episodes, held: Counts, over: np.ndarray) -> Counts:
    """The counts with the episodes ``over`` (n,) bool, each of which comes once."""
    at = np.flatnonzero(over)
    level = np.clip(made.table["severity"][at], 0, LEVELS - 1)
    keys, counts = _with(held, _keys(made)[at], level)
    full = counts.sum(axis=1) > MANY
    counts[full] //= 2
    if len(keys) > PRODUCTS:
        order = np.lexsort((keys, -counts.sum(axis=1)))
        kept = np.sort(order[:PRODUCTS])
        keys, counts = keys[kept], counts[kept]
    return keys, counts


def _keys(made: Episodes) -> np.ndarray:
    row = made.table["row"]
    return mixed(made.pairs["site"], made.pairs["product"], 23)[row]


def _with(held: Counts, keys: np.ndarray, level: np.ndarray) -> Counts:
    every = np.union1d(held[0], keys)
    counts = np.zeros((len(every), LEVELS), np.int64)
    counts[np.searchsorted(every, held[0])] = held[1]
    cell = np.searchsorted(every, keys) * LEVELS + level
    counts += np.bincount(cell, minlength=counts.size).reshape(counts.shape)
    return every, counts
