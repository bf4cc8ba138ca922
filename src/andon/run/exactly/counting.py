"""Counting wanted relations in rows: the part of the second read that sees packets.

Rows come in batches, from one file or from many, in whatever order. A batch outside of all windows costs two
reductions over its times; one that several windows share is put in order of time once, and each window sees its own
rows only. The relations of a window are evaluated 32 at a time, compiled when the first of their rows comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numba import njit

from andon.records.columns import column
from andon.records.expression import (
    Bundle,
    Program,
    compile_bundle,
    compile_program,
    evaluate_many,
    session_key,
)
from andon.run.exactly.counted import Counted, Tally
from andon.run.exactly.figures import Exact, Sessions
from andon.run.exactly.wanted import Wanted, parsed

_PER_PASS: Final = 32  # programs that one evaluation answers as bits of one word
_NEVER: Final = np.iinfo(np.int64).max


class Input(Protocol):
    """Something rows were read from."""

    path: str
    vlan_depth: int


# Given the columns that are looked at, batches as (number of the input, batch, times in ns).
Rows = Callable[[tuple[str, ...]], Iterable[tuple[int, Any, np.ndarray]]]


def count_packets(
    wanted: Wanted, open_rows: Rows, inputs: Sequence[Input], span: tuple[int, int] | None = None
) -> Counted:
    """What is wanted, counted in the rows that ``open_rows`` gives.

    ``span``: no row has a time outside of first <= ts <= last (ns), if that is known. Where no window meets it nothing
    is opened, and columns that only other windows need are not asked for. ``inputs`` (those that the numbers of the
    rows speak of) are looked at when the rows have ended.

    Example, a worker's partition::

        report = FileReport(path)
        rows = lambda columns: ((0, batch, ts) for _, batch, ts, _ in Feed([report], columns, telescope))
        count_packets(wanted, rows, [report], span).to_bytes()
    """
    return _Counter(wanted, span).all_of(open_rows, inputs)


def count(wanted: Wanted, rows: Iterable[tuple[int, Any, np.ndarray]], inputs: Sequence[Input]) -> Counted:
    """The same in rows that are at hand, with all columns of ``wanted.columns``."""
    return _Counter(wanted, None).all_of(lambda _: rows, inputs)


class _Window:
    """Relations of one window by number, compiled when they are needed."""

    def __init__(self, wanted: Wanted, numbers: Sequence[int]) -> None:
        self._relations = wanted.relations
        self._numbers = numbers
        self._bundles: list[tuple[list[int], Bundle]] | None = None
        self._programs: list[tuple[int, Program]] = []

    def compiled(self) -> tuple[list[tuple[list[int], Bundle]], list[tuple[int, Program]]]:
        """(numbers and their programs as one, up to 32 each; keyed relations with their program)."""
        if self._bundles is None:
            plain = [n for n in self._numbers if not self._relations[n].keyed]
            parts = [plain[at : at + _PER_PASS] for at in range(0, len(plain), _PER_PASS)]
            self._bundles = [
                (part, compile_bundle([parsed(self._relations[n].text) for n in part])) for part in parts
            ]
            self._programs = [
                (n, compile_program(parsed(self._relations[n].text)))
                for n in self._numbers
                if self._relations[n].keyed
            ]
        return self._bundles, self._programs


class _Counter:
    def __init__(self, wanted: Wanted, span: tuple[int, int] | None) -> None:
        self._wanted = wanted
        numbers = list(range(len(wanted.relations))) if span is None else wanted.meeting(*span)
        self._columns = wanted.columns_of(numbers)
        by_window: dict[tuple[int, int], list[int]] = {}
        for number in numbers:
            relation = wanted.relations[number]
            by_window.setdefault((relation.start, relation.end), []).append(number)
        self._windows = [_Window(wanted, mine) for mine in by_window.values()]
        self._starts = np.array([start for start, _ in by_window], np.int64)
        self._ends = np.array([end for _, end in by_window], np.int64)
        self._tallies: dict[int, Tally] = {}
        self._files: dict[int, set[int]] = {}  # numbers of inputs by that of the relation

    def all_of(self, open_rows: Rows, inputs: Sequence[Input]) -> Counted:
        if self._windows:
            for number, batch, ts in open_rows(self._columns):
                if len(ts):
                    self._add(number, batch, ts)
        made = Counted(self._wanted.digest)
        for one in inputs:
            made.depth[one.path] = max(int(one.vlan_depth), made.depth.get(one.path, 0))
        for number, tally in self._tallies.items():
            tally.inputs = {inputs[n].path for n in self._files[number]}
            made.tallies[number] = tally
        return made

    def _add(self, number: int, batch: Any, ts: np.ndarray) -> None:
        low, high = int(ts.min()), int(ts.max())
        met = np.flatnonzero((self._starts <= high) & (self._ends > low)).tolist()
        if not met:
            return
        columns = {name: column(batch, name) for name in self._columns if name != "ts"}
        whole = all(self._starts[n] <= low and high < self._ends[n] for n in met)
        if not whole and np.any(ts[1:] < ts[:-1]):
            order = np.argsort(ts, kind="stable")
            ts, columns = ts[order], {name: values[order] for name, values in columns.items()}
        ts = ts.view()
        ts.flags.writeable = False  # one type of argument, one compilation
        for n in met:
            if whole:
                self._count(self._windows[n], number, columns, ts)
                continue
            first, end = np.searchsorted(ts, (self._starts[n], self._ends[n])).tolist()
            if first < end:
                mine = {name: values[first:end] for name, values in columns.items()}
                self._count(self._windows[n], number, mine, ts[first:end])

    def _count(self, window: _Window, number: int, columns: Mapping[str, np.ndarray], ts: np.ndarray) -> None:
        """Count rows that are all in the window."""
        bundles, programs = window.compiled()
        for numbers, bundle in bundles:
            bits = evaluate_many(bundle, columns)
            packets, firsts, lasts = _figures(bits, ts)
            for position in np.flatnonzero(packets).tolist():
                tally = self._tally(numbers[position], number)
                tally.add(int(packets[position]), int(firsts[position]), int(lasts[position]))
                if self._wanted.relations[numbers[position]].exact:
                    tally.exact = tally.exact or Exact()
                    rows = np.flatnonzero(bits & np.uint32(1 << position))
                    tally.exact.add(columns["src"][rows], columns["dst_port"][rows])
        for relation, program in programs:
            tally = self._tally(relation, number)
            tally.sessions = tally.sessions or Sessions()
            if tally.sessions.overflown:
                continue
            keys, valid = session_key(program, columns)
            rows = np.flatnonzero(valid)
            tally.sessions.add(columns["src"][rows], keys[rows])

    def _tally(self, relation: int, number: int) -> Tally:
        self._files.setdefault(relation, set()).add(number)
        return self._tallies.setdefault(relation, Tally())


@njit(cache=True, nogil=True)
def _figures(bits: np.ndarray, ts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(packets, first time, last time) of each of the 32 bits; the times mean nothing where there are no packets."""
    packets = np.zeros(32, np.int64)
    firsts = np.full(32, _NEVER)
    lasts = np.full(32, -_NEVER - 1)
    for i in range(bits.shape[0]):
        word = bits[i]
        position = 0
        while word:
            if word & np.uint32(1):
                packets[position] += 1
                firsts[position] = min(firsts[position], ts[i])
                lasts[position] = max(lasts[position], ts[i])
            word >>= np.uint32(1)
            position += 1
    return packets, firsts, lasts
