"""How often a signature was right, here and elsewhere: Beta posteriors of what analysts said.

A signature's own share of true verdicts is Beta(1/2, 19/2) before any (one in twenty, worth ten verdicts). What was
said of the same host or the same other end starts from the signature's share, worth ten verdicts again (Gelman et
al., Bayesian Data Analysis, chapter 5: partial pooling, here with fixed weights)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from andon.records.case import TRUE
from andon.triage.verification.facts import History

PRIOR: Final = 0.05
WORTH: Final = 10.0
EACH: Final = 200  # verdicts of one analyst that count, of each label


def counted(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], peers: Sequence[str], before: int
) -> History:
    """``rows``: verdicts of one signature. Later than ``before`` (ns) does not count: a case is not judged by its own
    verdict."""
    own, others = set(names), set(peers)
    number = {True: 0, False: 0}
    here = {True: 0, False: 0}
    of_each: dict[tuple[str, bool], int] = {}
    analysts = set()
    for row in rows:
        label = row["label"] == TRUE
        key = (row["analyst"], label)
        if row["time"] >= before or of_each.get(key, 0) >= EACH:
            continue
        of_each[key] = of_each.get(key, 0) + 1
        number[label] += 1
        if row["host"] in own or others.intersection(row["peers"] or ()):
            here[label] += 1
            analysts.add(row["analyst"])
    return History(number[True], number[False], here[True], here[False], len(analysts))


def posterior(history: History) -> tuple[float, float]:
    """(mean, upper 95 % bound) of the share of true ones among this signature's next here.

    >>> mean, upper = posterior(History(0, 80, 0, 40, 2))
    >>> round(mean, 4), upper < 0.03
    (0.0011, True)
    """
    from scipy.special import betaincinv

    a, b = PRIOR * WORTH + history.true, (1 - PRIOR) * WORTH + history.false
    share = a / (a + b)
    here_a = share * WORTH + history.here_true
    here_b = (1 - share) * WORTH + history.here_false
    return here_a / (here_a + here_b), float(betaincinv(here_a, here_b, 0.95))


def log_odds(share: float) -> float:
    return math.log(share / (1 - share))
