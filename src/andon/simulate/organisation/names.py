"""Names of hosts, users and departments, and the paths of URLs: made of syllables, the same for good and bad.

Names end in .example or .test (RFC 2606), so none of them belongs to anybody. A label says nothing of its kind. Some
labels have a suspicious *shape* (``SHAPES``), described by what public reports of abused names list: a run of random
letters and digits (names made by an algorithm), a known name within hyphens (``login-NAME-secure``), a bare address.
Malicious destinations have such a shape at one rate and benign rare ones at a lower rate (``sites``); the shapes were
written down before any URL model of this project was looked at.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_CONSONANTS, _VOWELS = "bdfghklmnprstvwz", "aeiou"
_SYLLABLES: Final = np.array(
    [c + v for c in _CONSONANTS for v in _VOWELS] + ["ja", "jo", "ky", "sh", "ch", "tr"]
)
_N: Final = len(_SYLLABLES)
_LETTERS: Final = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789"))
_LURES: Final = ("login", "secure", "account", "verify", "update", "support", "mail", "service")
PLAIN, RANDOM, LURE, ADDRESS = range(4)
SHAPES: Final = ("plain", "random", "lure", "address")


def words(numbers: np.ndarray, syllables: int = 4) -> np.ndarray:
    """A different word for every number below 86^syllables, spread so that neighbours look unlike.

    >>> words(np.array([0, 1])).tolist()
    ['babababa', 'mutubuna']
    """
    size = _N**syllables
    step = 40_503 * 2_654_435 + 1 if syllables > 3 else 40_503
    while np.gcd(step, size) != 1:
        step += 1
    place = numbers.astype(np.int64) * (step % size) % size
    out = np.full(len(place), "", f"<U{2 * syllables}")
    for _ in range(syllables):
        out = np.char.add(out, _SYLLABLES[place % _N])
        place //= _N
    return out


def labels(first: int, count: int, rng: np.random.Generator, syllables: int = 4) -> np.ndarray:
    """Different labels: words number ``first`` and following, some with a digit or with a hyphen after them."""
    made = words(np.arange(first, first + count), syllables)
    draw = rng.random(count)
    digits = rng.integers(1, 100, count).astype("U2")
    made = np.where(draw < 0.08, np.char.add(made, digits), made)
    tails = np.array(["-group", "-net", "-shop", "-info", "-online", "-labs"])[rng.integers(0, 6, count)]
    return np.where((draw > 0.08) & (draw < 0.2), np.char.add(made, tails), made)


def shaped(plain: np.ndarray, shape: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The labels with those of shape RANDOM and LURE replaced; ``known``: labels that a lure may hold."""
    made = plain.astype("U48")
    where = np.nonzero(shape == RANDOM)[0]
    letters = _LETTERS[rng.integers(0, len(_LETTERS), (len(where), 18))]
    for i, row, length in zip(
        where.tolist(), letters.tolist(), rng.integers(10, 19, len(where)).tolist(), strict=True
    ):
        made[i] = "".join(row[:length])
    for i in np.nonzero(shape == LURE)[0].tolist():
        one, two = rng.choice(len(_LURES), 2, replace=False)
        made[i] = f"{_LURES[one]}-{known[rng.integers(len(known))][:16]}-{_LURES[two]}{rng.integers(1, 999)}"
    return made


def zones(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(count) < 0.7, ".example", ".test")
