"""Groups of sessions that follow the same script, named the same from span to span.

Equal patterns (``shell``) are one. Patterns are compared by the 3-grams of their statements' commands: candidates by
MinHash with banding (Broder, On the resemblance and containment of documents, 1997; Indyk and Motwani, STOC 1998),
then the exact Jaccard index, 0.7 or more. Each pattern goes to the most alike medoid that is remembered, the rest,
most sessions first, to a new medoid or become one (leader clustering). All of that depends on what is in the span and
in the memory, not on the order of arrival. A name is a hash of the medoid's 3-grams, so two sites give the same name
too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np

ALIKE: Final = 0.7
BANDS: Final = 16
_ROWS: Final = 4  # hashes in a band: at 0.7 a pair meets in one of the bands with probability 0.988
MOST_GRAMS: Final = 512
_TURN = np.uint64(0x9E3779B97F4A7C15)


def _factors() -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(
        b"".join(blake2b(bytes([n]), digest_size=16).digest() for n in range(BANDS * _ROWS)), "<u8"
    )
    return data[::2] | np.uint64(1), data[1::2]


_A, _B = _factors()


@dataclass(frozen=True)
class Script:
    """The 3-grams of a script's commands. ``label`` shows it."""

    grams: frozenset[int]
    label: str

    @property
    def name(self) -> str:
        data = np.array(sorted(self.grams), "<u8").tobytes()
        return "c-" + blake2b(data, digest_size=5).hexdigest()

    def bands(self) -> list[bytes]:
        """Keys of the bands: scripts that share one are compared."""
        grams = np.fromiter(self.grams, np.uint64, len(self.grams))
        with np.errstate(over="ignore"):
            mixed = grams[:, None] * _A[None, :] + _B[None, :]
            mixed ^= mixed >> np.uint64(29)
            least = (mixed * _TURN).min(axis=0)
        return [bytes([band]) + least[band * _ROWS : (band + 1) * _ROWS].tobytes() for band in range(BANDS)]


def script(verbs: Iterable[str]) -> Script:
    """The script of these commands.

    >>> alike(script(["cd", "wget", "chmod", "RUN"]), script(["cd", "wget", "chmod", "RUN", "rm"])) > 0.5
    True
    """
    words = list(verbs)
    padded = ["^", "^", *words, "$"]
    grams: set[int] = set()
    for at in range(len(padded) - 2):
        text = "\x1f".join(padded[at : at + 3])
        grams.add(int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little"))
        if len(grams) >= MOST_GRAMS:
            break
    return Script(frozenset(grams), " ".join(words)[:200])


def alike(one: Script, two: Script) -> float:
    """Jaccard index of two scripts."""
    both = len(one.grams & two.grams)
    return both / max(len(one.grams) + len(two.grams) - both, 1)


class _Index:
    """Medoids by band."""

    def __init__(self) -> None:
        self._bands: dict[bytes, list[int]] = {}
        self.scripts: list[Script] = []

    def add(self, medoid: Script) -> None:
        for band in medoid.bands():
            self._bands.setdefault(band, []).append(len(self.scripts))
        self.scripts.append(medoid)

    def nearest(self, wanted: Script) -> Script | None:
        near = {number for band in wanted.bands() for number in self._bands.get(band, ())}
        best = max(((alike(wanted, self.scripts[n]), self.scripts[n].name) for n in near), default=(0.0, ""))
        if best[0] < ALIKE:
            return None
        return next(self.scripts[n] for n in near if self.scripts[n].name == best[1])


def assigned(scripts: Mapping[int, tuple[Script, int]], known: Iterable[Script]) -> dict[int, Script]:
    """The medoid of each script (by number; with its count of sessions), given the medoids that are remembered."""
    index = _Index()
    for medoid in sorted(known, key=lambda one: one.name):
        index.add(medoid)
    order = sorted(scripts, key=lambda number: (-scripts[number][1], scripts[number][0].name, number))
    made: dict[int, Script] = {}
    found: dict[frozenset[int], Script] = {}
    for number in order:
        wanted = scripts[number][0]
        near = found.get(wanted.grams) or index.nearest(wanted)
        medoid = near or wanted
        if near is None:
            index.add(medoid)
        found[wanted.grams] = medoid
        made[number] = medoid
    return made
