"""Why an episode comes where it comes, in words: at most five reasons, strongest first.

Inputs that say the same in different ways (the counts of a pair over four time constants) are one reason, whose
weight is the exact sum of what they add to the log-odds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from andon.triage.screening.counters import LONGEST
from andon.triage.screening.features import FEATURES, INPUTS, NUMBER

MOST: Final = 5
LEAST: Final = 0.05  # log-odds below which a reason is not worth a line
_Row = np.ndarray


def span(seconds: float) -> str:
    """A time for people.

    >>> span(90), span(7200), span(200000)
    ('90 s', '2.0 h', '2.3 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _value(row: _Row, name: str) -> float:
    return float(np.expm1(row[NUMBER[name]]))


_HOUR: Final = 3600.0


def _last(row: _Row, what: str, where: str) -> str:
    seconds = _value(row, what)
    if seconds >= LONGEST * 0.99:
        return f"the rule had never fired {where}"
    return f"the rule had last fired {where} {span(seconds)} before" if seconds >= _HOUR else ""


def _count(value: float, one: str, many: str) -> str:
    number = max(round(value), 0)
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many}" if number else f"no {many}"


def _pair(row: _Row) -> str:
    often = _count(_value(row, "pair 1 d"), "alert", "alerts")
    return _last(row, "since pair", "on this host") or f"{often} of the rule on this host in the day before"


def _signature(row: _Row) -> str:
    often = _count(_value(row, "signature 1 d"), "alert", "alerts")
    return (
        _last(row, "since signature", "at this site") or f"{often} of the rule at this site in the day before"
    )


def _spread(row: _Row) -> str:
    hosts = _count(_value(row, "most hosts of signature 10 min"), "host", "hosts")
    return f"the rule fired on {hosts} within 10 minutes before"


def _variety(row: _Row) -> str:
    few = max(_value(row, "most signatures of host 10 min"), _value(row, "signatures of host 10 min"))
    return f"{_count(few, 'different rule', 'different rules')} on this host within 10 minutes before"


def _volume(row: _Row) -> str:
    return f"{_count(_value(row, 'host 1 h'), 'alert', 'alerts')} on this host in the hour before"


def _detector(row: _Row) -> str:
    often = _count(_value(row, "detector 1 h"), "alert", "alerts")
    return f"{often} of the same product on this host in the hour before"


def _near(row: _Row) -> str:
    rare = _value(row, "new to the host on the host 1 h")
    return f"{_count(rare, 'other rare episode', 'other rare episodes')} on this host within an hour"


def _elsewhere(row: _Row) -> str:
    rare = _value(row, "new to the host elsewhere 1 h")
    return f"{_count(rare, 'rare episode', 'rare episodes')} on other hosts of the site within an hour"


def _size(row: _Row) -> str:
    return f"{_count(_value(row, 'alerts'), 'alert', 'alerts')} in {span(_value(row, 'duration'))}"


def _known(row: _Row) -> str:
    return "the rule was often true on the networks the model learned from"


_WORDS: Final[Mapping[str, Callable[[_Row], str]]] = {
    "pair": _pair, "signature": _signature, "spread": _spread, "variety": _variety, "volume": _volume,
    "detector": _detector, "near": _near, "elsewhere": _elsewhere, "size": _size, "known": _known,
}  # fmt: skip
_NAMES: Final = tuple(_WORDS)


def _concept(name: str) -> str:
    plain = name.removeprefix("most ")
    if plain in ("alerts", "duration") or (name.startswith("most pair")):
        return "size"
    for start, concept in (
        ("signatures of host", "variety"), ("hosts of signature", "spread"),
        ("since pair", "pair"), ("age of pair", "pair"),
        ("since signature", "signature"), ("age of signature", "signature"), ("since host", "volume"), ("pair", "pair"),
        ("host", "volume"), ("signature elsewhere", "known"), ("signature", "signature"), ("detector", "detector"),
    ):  # fmt: skip
        if plain.startswith(start):
            return concept
    return "elsewhere" if "elsewhere" in plain else "near"


_OF: Final = np.array([_NAMES.index(_concept(name)) for name in INPUTS])


def concepts(parts: np.ndarray) -> np.ndarray:
    """(n, reasons): sums of the parts (n, len(INPUTS)) by reason."""
    out = np.zeros((len(parts), len(_NAMES)))
    for number in range(len(_NAMES)):
        out[:, number] = parts[:, number == _OF].sum(axis=1)
    return out


def reasons(
    x: np.ndarray, summed: np.ndarray, more: Sequence[tuple[str, float]] = ()
) -> tuple[list[str], list[float]]:
    """(words, log-odds) of one episode: features ``x``, ``summed``: its row of ``concepts``; ``more``: reasons that are
    not of the ranker."""
    if len(x) != len(FEATURES):
        raise ValueError("features of another number")
    order = np.argsort(-summed, kind="stable")[:MOST]
    kept = [int(n) for n in order if summed[n] > LEAST]
    own = [(float(summed[n]), n) for n in kept]
    every = [(weight, _WORDS[_NAMES[n]](x)) for weight, n in own] + [
        (weight, words) for words, weight in more
    ]
    every.sort(key=lambda one: -one[0])
    return [words for _, words in every[:MOST]], [round(weight, 4) for weight, _ in every[:MOST]]
