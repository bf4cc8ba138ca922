"""Searching short spans, one after the other, at a bounded cost.

What ten minutes show is mostly what the ten minutes before have shown: families that are known, and traffic in which a
search found nothing. So once a span has been searched whole, the known families are recognised in all of the next
one's packets, and of what is left a *part* is searched:

* whole sources, chosen by a hash that is keyed by the span, so that it is another part every time; up to half of the
  packets from sources whose window fewer than one source in a hundred uses, because ordinary systems share a handful
  of windows and scanners mostly have one of their own (or one for each run);
* what is far-fetched takes turns: relations that cost much time whatever the number of packets are looked for in a
  twelfth of the pools (L2) in one span and in a twelfth of the units (the later parts of L5) in the next; address
  orders in one part in ``TURNS`` of the sources.

A family that this finds is then counted in all packets of the span. What was not searched is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from andon.detect.darknet.fingerprint.measure import without_rows
from andon.detect.darknet.fingerprint.sample import Sample
from andon.sketch.hashing import mix64_array

TURNS = 24
L2, L5 = 0, 1  # kinds of work that alternate
EACH = 24  # packets of a source: the layers that read single sources ask for 5 to 16
_RARE = 0.01
_Items = TypeVar("_Items", np.ndarray, list[Any])


@dataclass(frozen=True)
class Turn:
    """Part ``number`` of ``of`` equal parts.

    >>> Turn(1, 4).mine(np.arange(10)).tolist()
    [1, 5, 9]
    """

    number: int = 0
    of: int = 1

    def mine(self, items: _Items, kind: int = 0, kinds: int = 1) -> _Items:
        """The items whose turn it is; where several kinds of work alternate, none of those of another kind."""
        if self.whole:
            return items
        return items[self.number // kinds :: self.of // kinds] if self.number % kinds == kind else items[:0]

    @property
    def whole(self) -> bool:
        return self.of == 1


WHOLE = Turn()


def turn_of(start: int, end: int) -> Turn:
    """Whose turn it is in the span from ``start`` to ``end`` (ns).

    >>> turn_of(600_000_000_000, 1_200_000_000_000)
    Turn(number=1, of=24)
    """
    return Turn(start // (end - start) % TURNS, TURNS)


def part_to_search(sample: Sample, rows: int, salt: int) -> tuple[Sample, np.ndarray]:
    """(about ``rows`` packets of whole sources, the earliest of each; for each source of them its index in
    ``sample``). ``salt`` keys the choice."""
    sizes = np.minimum(np.diff(sample.starts), EACH)
    chosen = np.zeros(len(sample.src), np.bool_)
    if int(sizes.sum()) <= rows:
        chosen[:] = True
    else:
        window = sample.columns["tcp_window"][sample.starts[:-1]]
        rare = np.bincount(window, minlength=65536)[window] < _RARE * len(window)
        order = np.argsort(mix64_array(sample.src.astype(np.uint64), np.uint64(salt)))
        for candidates, room in ((order[rare[order]], rows // 2), (order, rows)):
            some = candidates[~chosen[candidates]]
            fit = np.cumsum(sizes[some]) <= room - int(sizes[chosen].sum())
            chosen[some[fit]] = True
    rank = np.arange(sample.rows) - np.repeat(sample.starts[:-1], np.diff(sample.starts))
    return without_rows(sample, ~chosen[sample.of_row] | (rank >= EACH))


def searched_in_words(searched: Sample, left: Sample, turn: Turn) -> str:
    """What a span that was searched again left out."""
    return (
        f"{searched.rows:,} of {left.rows:,} packets without a family known before were searched, for far-fetched "
        f"relations and address orders one part in {turn.of}; the spans before and after search other parts"
    )
