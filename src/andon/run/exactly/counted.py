"""What was counted of wanted relations in some rows: it merges, and travels as bytes.

Counts add up, times are least and greatest, names of inputs and tables are sets: so the result does not depend on how
the rows were divided, nor on the order of merging, and neither do its bytes. Inputs are known by their path, which is
the same for whoever reads them; a path that was read in parts counts as one input.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from andon.run.exactly import figures
from andon.run.exactly.figures import Exact, Sessions, Table
from andon.run.exactly.wanted import Wanted
from andon.sketch.state import StateError, pack, unpack

_KIND: Final = "exact-figures"
_VERSION: Final = 1
_EXACT: Final = 1
_SESSIONS: Final = 2
_NO_KEYS: Final = np.zeros(0, np.uint64)
_NO_COUNTS: Final = np.zeros(0, np.int64)


@dataclass
class Tally:
    """One relation that something was found of. ``first``, ``last``: ns, None if ``packets`` is 0. A keyed relation has
    ``sessions`` and no packets; ``inputs`` are then all that have packets in its window."""

    packets: int = 0
    first: int | None = None
    last: int | None = None
    inputs: set[str] = field(default_factory=set)
    exact: Exact | None = None
    sessions: Sessions | None = None

    def add(self, packets: int, first: int, last: int) -> None:
        """Take in some packets (at least one) and their first and last time."""
        self.packets += packets
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)

    def take(self, other: Tally) -> None:
        """Take in what was counted in other rows."""
        if other.first is not None and other.last is not None:
            self.add(other.packets, other.first, other.last)
        self.inputs |= other.inputs
        if other.exact is not None:
            self.exact = self.exact or Exact()
            self.exact.merge(other.exact)
        if other.sessions is not None:
            self.sessions = self.sessions or Sessions()
            self.sessions.merge(other.sessions)


@dataclass
class Counted:
    """``wanted``: digest of what was counted; ``depth``: of each input that was read, by path, the most VLAN tags on
    one packet; ``tallies``: by number of the relation, of those that something was found of.

    >>> Counted("ab", {"a.pcap": 0}).to_bytes() == Counted("ab", {"a.pcap": 0}).to_bytes()
    True
    """

    wanted: str
    depth: dict[str, int] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)

    def take(self, other: Counted) -> None:
        """Take in what was counted of the same relations in other rows. Raises ValueError if they are others."""
        if other.wanted != self.wanted:
            raise ValueError(f"figures of other relations cannot be merged: {other.wanted}, {self.wanted}")
        for path, depth in other.depth.items():
            self.depth[path] = max(depth, self.depth.get(path, 0))
        for number, tally in other.tallies.items():
            self.tallies.setdefault(number, Tally()).take(tally)

    def fits(self, wanted: Wanted) -> bool:
        """Are these figures of what is wanted, each as it is wanted?"""
        if self.wanted != wanted.digest or not self.tallies.keys() <= set(range(len(wanted.relations))):
            return False
        return all(
            (tally.sessions is not None) == wanted.relations[n].keyed
            and (tally.exact is not None) == (wanted.relations[n].exact and tally.sessions is None)
            for n, tally in self.tallies.items()
        )

    def to_bytes(self) -> bytes:
        """Equal bytes for equal content, however it came about."""
        names = sorted(self.depth.keys() | {name for one in self.tallies.values() for name in one.inputs})
        place = {name: n for n, name in enumerate(names)}
        numbers = sorted(self.tallies)
        tallies = [self.tallies[n] for n in numbers]
        inputs = [sorted(place[name] for name in one.inputs) for one in tallies]
        tables = [table for one in tallies for table in _tables(one)]
        arrays = {
            "wanted": _text(self.wanted),
            "names": _text(json.dumps(names, separators=(",", ":"))),
            "depth": _numbers(self.depth.get(name, 0) for name in names),
            "relation": _numbers(numbers),
            "packets": _numbers(one.packets for one in tallies),
            "first": _numbers(one.first or 0 for one in tallies),
            "last": _numbers(one.last or 0 for one in tallies),
            "more": _numbers(_more(one) for one in tallies),
            "inputs": _numbers(n for mine in inputs for n in mine),
            "inputs_of": _numbers(map(len, inputs)),
            "level": _numbers(one.level for one in tables),
            "size": _numbers(len(one.keys) for one in tables),
            "keys": np.concatenate([_NO_KEYS, *(one.keys for one in tables)]),
            "counts": np.concatenate([_NO_COUNTS, *(one.counts for one in tables)]),
        }
        return pack(_KIND, _VERSION, arrays, _limits())

    @classmethod
    def from_bytes(cls, data: bytes) -> Counted:
        """What ``to_bytes`` gave. Raises StateError for anything else, damaged bytes and limits of another build among
        it."""
        try:
            return _read(*unpack(_KIND, _VERSION, data))
        except StateError:
            raise
        except (KeyError, IndexError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise StateError(f"damaged figures: {error}") from error


def merge(*parts: Counted) -> Counted:
    """The figures of all parts together, which stay as they are. The same bytes in any order and grouping.

    Of very many, better ``take`` one at a time. Raises ValueError for none, or for parts of different relations."""
    if not parts:
        raise ValueError("there are no figures to merge")
    made = Counted(parts[0].wanted)
    for part in parts:
        made.take(part)
    return made


def _tables(tally: Tally) -> list[Table]:
    return [table for one in (tally.exact, tally.sessions) if one is not None for table in one.to_tables()]


def _more(tally: Tally) -> int:
    return _EXACT * (tally.exact is not None) + _SESSIONS * (tally.sessions is not None)


def _limits() -> dict[str, int]:
    return {"sources": figures.SOURCES, "pairs": figures.PAIRS}


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("ascii"), np.uint8)


def _numbers(values: Iterable[int]) -> np.ndarray:
    return np.array(list(values), np.int64)


def _read(arrays: dict[str, np.ndarray], limits: dict[str, int]) -> Counted:
    if limits != _limits():
        raise StateError(f"figures with other limits: {limits}, here {_limits()}")
    for name, array in arrays.items():
        if array.dtype != _KINDS[name] or array.ndim != 1:
            raise StateError(f"damaged figures: {name} is {array.dtype} of {array.ndim} dimensions")
    names = _names(arrays["names"].tobytes().decode("ascii"))
    made = Counted(arrays["wanted"].tobytes().decode("ascii"))
    made.depth = dict(zip(names, arrays["depth"].tolist(), strict=True))
    inputs = _pieces(arrays["inputs"], arrays["inputs_of"])
    tables = iter(_read_tables(arrays))
    before = -1
    rows = zip(*(arrays[name].tolist() for name in _BY_TALLY), strict=True)
    for (number, packets, first, last, more), files in zip(rows, inputs, strict=True):
        if number <= before or packets < 0 or first > last or more not in _MORE or not len(files):
            raise StateError(f"damaged figures: those of relation {number} contradict themselves")
        if (files[1:] <= files[:-1]).any() or files[0] < 0:
            raise StateError("damaged figures: inputs of a relation are in no order")
        before = number
        tally = Tally(packets, inputs={names[n] for n in files.tolist()})
        if packets:
            tally.first, tally.last = first, last
        if more == _EXACT:
            tally.exact = Exact.from_tables(next(tables), next(tables))
        elif more == _SESSIONS:
            tally.sessions = Sessions.from_tables(next(tables))
        made.tallies[number] = tally
    if next(tables, None) is not None or min(made.depth.values(), default=0) < 0:
        raise StateError("damaged figures: tables of no relation, or fewer tags than none")
    return made


def _names(text: str) -> list[str]:
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise StateError("damaged figures: names of inputs are texts")
    if any(a >= b for a, b in pairwise(names)) or json.dumps(names, separators=(",", ":")) != text:
        raise StateError("damaged figures: names of inputs are in no order")
    return names


def _read_tables(arrays: dict[str, np.ndarray]) -> Iterator[Table]:
    """In the order of ``_tables``; those of sources count nothing."""
    counts = arrays["counts"]
    keys = _pieces(arrays["keys"], arrays["size"])
    kinds = [counted for more in arrays["more"].tolist() for counted in _MORE.get(more, ())]
    at = 0
    for level, mine, counted in zip(arrays["level"].tolist(), keys, kinds, strict=True):
        end = at + len(mine) * counted
        yield Table(level, mine, counts[at:end])
        at = end
    if at != len(counts):
        raise StateError("damaged figures: counts of no table")


def _pieces(values: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """The values cut into pieces of these sizes."""
    if (sizes < 0).any() or (sizes > len(values)).any() or int(sizes.sum()) != len(values):
        raise StateError("damaged figures: sizes of pieces do not add up")
    return np.split(values, np.cumsum(sizes)[:-1]) if len(sizes) else []


_BY_TALLY: Final = ("relation", "packets", "first", "last", "more")
# Which tables a tally brings, and whether each of them counts packets.
_MORE: Final[dict[int, tuple[bool, ...]]] = {0: (), _EXACT: (False, True), _SESSIONS: (True,)}
_KINDS: Final = {
    **dict.fromkeys(("wanted", "names"), np.dtype("u1")),
    **dict.fromkeys(("depth", *_BY_TALLY, "inputs", "inputs_of", "level", "size", "counts"), np.dtype("<i8")),
    "keys": np.dtype("<u8"),
}
