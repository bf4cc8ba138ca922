"""From scores to evidence: how much a host's worst URL says against it, in the traffic of this organisation.

First a p-value: the share of harmless URLs that reach the score. There are two estimates, and the larger counts: the
model's, and what the organisation's own hosts show, nearly all of which are harmless (one in a hundred of them may be
bad without speaking for the others, ``TOLERATED``). Where the names of a whole company look odd to the model, the
second makes oddness worthless. A host with n URLs had n chances, so p is taken n times (Bonferroni).

Then evidence: the logarithm of the Bayes factor that a p-value can give at most, -e p ln p (Sellke, Bayarri,
Berger, The American Statistician 2001), times the share of phishing URLs that reach the score. It is shrunk
(``SHRINK``) and bounded (``MOST``), since names and paths alone never convict: with a prior of one in ten thousand
the bound leaves a probability below 1 %. A harmless-looking name says nothing for a host (0).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.sketch.urlscore import BARE, WITH_PATH, UrlScorer

SHRINK: Final = 0.75
MOST: Final = 4.0
TOLERATED: Final = 0.01


def own_share(rarity: np.ndarray, kinds: np.ndarray, hosts: np.ndarray, host_kinds: np.ndarray) -> np.ndarray:
    """Share of the organisation's hosts of the same kind whose worst URL is as rare as each of these or rarer, of one
    host more than there is (so that few hosts give little)."""
    share = np.ones(len(rarity))
    for kind in (BARE, WITH_PATH):
        held, own = np.sort(hosts[host_kinds == kind]), kinds == kind
        # A word of the summary is a rounded rarity: the same score is the same number, but for the last bit.
        above = len(held) - np.searchsorted(held, rarity[own] - 1e-9)
        share[own] = np.maximum(above, 1) / (len(held) + 1)
    return share


def evidence(
    scorer: UrlScorer, rarity: np.ndarray, kinds: np.ndarray, urls: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Log of the Bayes factor against hosts (or URLs: ``urls`` of 1), not yet shrunk; 0 at least. ``own``: their
    ``own_share``."""
    phishing, _ = scorer.tails(scorer.score_of(rarity, kinds), kinds)
    p = np.maximum(np.exp(-rarity) * np.maximum(urls, 1), own - TOLERATED)
    p = np.clip(p, 1e-12, 1 / np.e)
    return np.asarray(np.maximum(np.log(phishing) - 1 - np.log(p) - np.log(-np.log(p)), 0.0))


def bounded(raw: np.ndarray) -> np.ndarray:
    """What goes into the destination's log-odds."""
    return np.asarray(np.minimum(SHRINK * raw, MOST))
