"""What is held against a destination before it is asked who visits it: log-odds, a sum of named parts.

The base is the expected share of malicious destinations among the gray ones; the parts are those of a logistic model
whose weights stand below. They were fitted on generated organisations (``benchmarks/livenet/proxygraph_fit.py``) and
drawn towards 0, since generated organisations are not real ones; each part is bounded. A part of which a site's logs
say nothing (Squid's native format has no referer and no agent) is exactly 0, and so are URL and beacon where those
engines are silent.

``beacon`` is what ``livenet.beacon`` says of the most telling edge. It assumes that 1 in 100 lonely gray destinations
is polled by good software; ``rarity`` corrects that by how many are here, since an organisation whose lonely
destinations are hardly ever polled should wonder more. In the same way the log-odds of URLs are held below what the
names that are common here allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.livenet.proxygraph.memory import Memory

# name -> (weight, least, most of the part)
WEIGHTS: Final = {
    "beacon": (1.3, -1.0, 4.5),
    "rarity": (0.7, -1.5, 1.5),
    "onset": (0.8, -4.0, 0.6),
    "url": (0.3, -0.5, 1.5),
    "referer": (1.2, -1.2, 1.2),
    "age": (0.3, -0.9, 0.3),
    "address": (0.6, 0.0, 0.6),
    "agent": (0.3, -0.3, 0.3),
    "failed": (0.2, 0.0, 0.2),
    "port": (0.1, 0.0, 0.1),
}
PARTS: Final = ("base", *WEIGHTS)
MOST: Final = 7.5  # all parts together raise the base no further
_DAY = 86_400
_BELIEVED = 1.5  # log-odds from which a destination counts as polled
_ASSUMED = 0.01  # share of lonely gray destinations polled, as the beacon engine assumes
_PSEUDO = 200.0  # as many destinations of evidence as that assumption is worth
_LONELY = 3
_SO_BAD = 0.1  # share of bad destinations whose URLs look as bad as the worst of a thousand
_OFTEN = 4  # contacts of a terminal that comes again and again
_SILENT = 16 * 3600  # s: longer than a night


@dataclass(frozen=True)
class Prior:
    """``parts`` (destinations, len(PARTS)) and their sum, bounded, as ``malicious``; ``landing``: log-odds of being a
    landing page."""

    parts: np.ndarray
    malicious: np.ndarray
    landing: np.ndarray


def prior(memory: Memory, visitors: np.ndarray, gray: np.ndarray, proven: int, now: int) -> Prior:
    """``visitors`` of each destination; ``proven``: terminals with a black contact;
    ``now`` (s)."""
    of = memory.destinations
    n = len(of)
    number = max(int(gray.sum()), 1)
    base = min(np.log(max(3.0, proven) / number), -2.0)
    parts = np.zeros((n, len(PARTS)))
    parts[:, 0] = base
    for name, value in features(memory, visitors, gray, now).items():
        weight, least, most = WEIGHTS[name]
        parts[:, PARTS.index(name)] = np.clip(weight * value, least, most)
    raised = parts[:, 1:].sum(axis=1)
    over = np.maximum(raised - MOST, 0)
    # What goes beyond the bound is taken from the largest part, so that the parts still sum up.
    largest = 1 + parts[:, 1:].argmax(axis=1)
    parts[np.arange(n), largest] -= over
    return Prior(parts, parts.sum(axis=1), np.full(n, base))


def features(memory: Memory, visitors: np.ndarray, gray: np.ndarray, now: int) -> dict[str, np.ndarray]:
    of = memory.destinations
    beacon = np.nan_to_num(of["beacon"], nan=0.0)
    contacts = np.maximum(of["count"], 1)
    refused = np.bincount(memory.edges.destination, memory.edges["refused"] + memory.edges["failed"], len(of))
    rarity = _rarity(beacon, visitors, gray)
    onset = _onset(memory)
    return {
        "beacon": beacon,
        "rarity": rarity,
        # What was polled from the begin of memory takes most of the suspicion of polling back.
        "onset": np.where(onset < 0, onset * (1 + np.maximum(beacon + rarity, 0)), onset),
        "url": _tempered(np.nan_to_num(of["url"], nan=0.0), gray),
        "age": _age(memory, now),
        "address": of["address"].astype(np.float64),
        "referer": _share(of["no_referer"], of["referers"], 0.3, 2.0),
        "agent": _share(of["rare_agent"], of["agents"], 0.05, 1.0),
        "failed": np.where(refused > 0.5 * contacts, 1.0, 0.0),
        "port": of["odd_port"].astype(np.float64),
    }


def _rarity(beacon: np.ndarray, visitors: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """ln of the share of polled destinations assumed over that found, for those that are polled."""
    out = np.zeros(len(beacon))
    lonely = gray & (visitors <= _LONELY) & (visitors > 0)
    polled = beacon >= _BELIEVED
    share = ((lonely & polled).sum() + _PSEUDO * _ASSUMED) / (lonely.sum() + _PSEUDO)
    # As much as the evidence of the edge reaches the bound that the assumption sets.
    out[polled] = np.log(_ASSUMED / share) * np.clip(beacon[polled] / 3.0, 0, 1)
    return out


def _tempered(said: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Log-odds no larger than ln(``_SO_BAD`` / share of the gray destinations that look as bad or worse here): a model
    that finds the organisation's ordinary names odd is heard no more than that allows."""
    here = np.sort(said[gray])
    share = (len(here) - np.searchsorted(here, said, "left") + 1) / (len(here) + 1)
    return np.where(said > 0, np.clip(np.log(_SO_BAD / share), 0, said), said)


def _age(memory: Memory, now: int) -> np.ndarray:
    """1 for a destination new in the organisation, to -3 for one that is older than a month; 0 where a short memory
    cannot tell."""
    of = memory.destinations
    days = np.maximum(now - of["first_seen"], 0) / _DAY
    told = 1.0 - np.log2(1 + days) * 0.8
    return np.where(of["age_known"] | (days > 3), np.clip(told, -3.0, 1.0), 0.0)


def _share(some: np.ndarray, of: np.ndarray, usual: float, steep: float) -> np.ndarray:
    """Above 0 where the share is above the usual one; shrunk where there are few contacts, 0 where there are none."""
    share = (some + 2 * usual) / (of + 2)
    return np.where(of > 0, np.clip((share - usual) * steep, -1, 1), 0.0)


def _onset(memory: Memory) -> np.ndarray:
    """1 where the terminals that come again and again began to do so in the time that is remembered, -1 where they did
    from its begin, as with programs that were always there; towards 0 where few come again, or nobody can tell."""
    edges = memory.edges
    begin = np.full(len(memory.terminals), np.iinfo(np.int64).max)
    np.minimum.at(begin, edges.terminal, edges["first"])
    often = edges["count"] >= _OFTEN
    silent = (edges["first"] - begin[edges.terminal])[often]
    between = ((edges["last"] - edges["first"])[often]) / (edges["count"][often] - 1)
    seen = edges["last"][often] - begin[edges.terminal[often]]
    late = silent > np.maximum(_SILENT, _OFTEN * between)
    early = ~late & (seen > 2 * _SILENT) & (silent < _SILENT / 2)
    what = edges.destination[often]
    lately, always = (np.bincount(what[which], minlength=len(memory.destinations)) for which in (late, early))
    return (lately - always) / (lately + always + 1.0)
