"""Marks: what tells a kind of scanner from others in the darknet, a fingerprint or a set of ports.

A session goes with the sightings of its address that are nearest in time. Behind an address shared by many (NAT of a
carrier), or when two fingerprints are seen within the same hour, several kinds are near: then no label is forced, and
the session takes no part. One common port tells nothing; it is no mark. Neither is a set that has a port in it by
chance: one that few sources of the rest of the set ask for, and they hardly more often than all sources do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.link.history import History
from andon.detect.darknet.link.match import Pairs

# Ports that everybody scans; which of several ports a source asks for still says something.
COMMON: Final = frozenset(
    {21, 22, 23, 25, 53, 80, 81, 110, 143, 443, 445, 1433, 2222, 2323, 3306, 3389, 5060, 5555, 5900, 6379, 8080, 8443}
    | {65536 + port for port in (53, 123, 161, 1900, 5060)}
)  # fmt: skip
_LIFT: Final = 2.0
_SHARE: Final = 0.2
_LEAST_ROWS: Final = 3
_MOST_SETS: Final = 5_000
_NEAR: Final = 3600  # s: sightings no farther than the nearest one by this are alike near


def codes(written: str) -> frozenset[int]:
    """Ports of a set as written; UDP ports with 65,536 added.

    >>> sorted(codes("23,2323,udp/53"))
    [23, 2323, 65589]
    """
    return frozenset(
        65536 + int(part[4:]) if part.startswith("udp/") else int(part) for part in written.split(",") if part
    )


def tells(written: str) -> bool:
    """Whether a set of ports is a mark: two ports or more, or one that few ask for.

    >>> tells("23,2323"), tells("23"), tells("52869")
    (True, False, True)
    """
    ports = codes(written)
    return len(ports) > 1 or bool(ports - COMMON)


class Marks:
    """Numbers of marks: fingerprints first, then sets of ports. ``rows`` are the darknet rows that can match: only sets
    that three of them have are looked at."""

    def __init__(self, history: History, rows: np.ndarray) -> None:
        self.fingerprints = len(history.fingerprints)
        self.texts = [*history.fingerprints, *history.port_sets]
        self._codes = [codes(text) for text in history.port_sets]
        seen = np.bincount(history.darknet.ports[rows] + 1, minlength=len(self._codes) + 1)[1:]
        often = [n for n in np.argsort(-seen, kind="stable")[:_MOST_SETS].tolist() if seen[n] >= _LEAST_ROWS]
        together = _Together(self._codes, history.darknet.ports)
        self._of_set = np.full(len(self._codes) + 1, -1)  # the last place answers for -1
        for number in often:
            if tells(history.port_sets[number]) and together.bound(self._codes[number]):
                self._of_set[number] = number + self.fingerprints

    def __len__(self) -> int:
        return len(self.texts)

    def of_set(self, ports: np.ndarray) -> np.ndarray:
        """Number of the mark of sets of ports, -1 where it is none."""
        found: np.ndarray = self._of_set[ports]
        return found

    def contain(self, ports: np.ndarray, port: np.ndarray) -> np.ndarray:
        """Whether each set of ports contains a (TCP) port; False where there is no set."""
        key = ports.astype(np.int64) << 17 | np.maximum(port, 0).astype(np.int64)
        pair, inverse = np.unique(key, return_inverse=True)
        held = np.array(
            [p >= 0 and bool({int(q), 65536 + int(q)} & self._codes[p]) for p, q in zip(
                (pair >> 17).tolist(), (pair & 0x1FFFF).tolist(), strict=True)], np.bool_,
        )  # fmt: skip
        return held[inverse] if len(pair) else np.zeros(0, np.bool_)


class _Together:
    """How many darknet rows ask for all ports of a set, by an index from ports to sets."""

    def __init__(self, sets: list[frozenset[int]], ports: np.ndarray) -> None:
        self._count = np.bincount(ports + 1, minlength=len(sets) + 1)[1:]
        self._rows = len(ports)
        holds: dict[int, list[int]] = {}
        for number, members in enumerate(sets):
            for port in members:
                holds.setdefault(port, []).append(number)
        self._holds = {port: np.array(numbers) for port, numbers in holds.items()}

    def rows(self, ports: frozenset[int]) -> int:
        """Number of rows that ask for all of these ports, and maybe for others."""
        lists = sorted((self._holds[port] for port in ports), key=len)
        if not lists:
            return self._rows
        found = lists[0]
        for other in lists[1:]:
            found = np.intersect1d(found, other, assume_unique=True)
        return int(self._count[found].sum())

    def bound(self, ports: frozenset[int]) -> bool:
        """Whether each port of a set belongs to the others: a fifth of the rows with the others have it, or twice as
        many as of all rows."""
        if len(ports) < 2:
            return True
        whole = self.rows(ports)
        for port in ports:
            others, alone = self.rows(ports - {port}), self.rows(frozenset((port,)))
            if whole < _SHARE * others and whole * self._rows < _LIFT * others * alone:
                return False
        return True


@dataclass(frozen=True)
class Marked:
    """(session, darknet row, lag, mark) of matches that have one; ``matched`` are all sessions that matched, marked or
    not, without the ``ambiguous`` ones."""

    session: np.ndarray
    row: np.ndarray
    lag: np.ndarray
    mark: np.ndarray
    matched: np.ndarray
    ambiguous: np.ndarray


def marked(history: History, marks: Marks, pairs: Pairs) -> Marked:
    """The marks of each session's nearest sightings."""
    fingerprint = history.darknet.fingerprint[pairs.row].astype(np.int64)
    sets = marks.of_set(history.darknet.ports[pairs.row])
    with_print = _nearest(pairs, fingerprint)
    with_set = _nearest(pairs, sets)
    ambiguous = np.setdiff1d(
        _several(pairs.session[with_print], fingerprint[with_print]), np.zeros(0, np.int64)
    )
    keep = np.concatenate([with_print, with_set])
    mark = np.concatenate([fingerprint[with_print], sets[with_set]])
    good = ~np.isin(pairs.session[keep], ambiguous)
    keep, mark = keep[good], mark[good]
    return Marked(
        pairs.session[keep],
        pairs.row[keep],
        pairs.lag[keep],
        mark,
        np.setdiff1d(np.unique(pairs.session), ambiguous),
        ambiguous,
    )


def _nearest(pairs: Pairs, mark: np.ndarray) -> np.ndarray:
    """Numbers of pairs with a mark that are as near as any to their session; of one (session, mark) the nearest."""
    has = np.flatnonzero(mark >= 0)
    lag = np.abs(pairs.lag[has])
    order = has[np.lexsort((pairs.row[has], lag, pairs.session[has]))]
    if not len(order):
        return order
    session, lag = pairs.session[order], np.abs(pairs.lag[order])
    new = np.r_[True, session[1:] != session[:-1]]
    least = lag[new][np.cumsum(new) - 1]
    order = order[lag <= least + _NEAR]
    _, first = np.unique(pairs.session[order] << 32 | mark[order], return_index=True)
    return np.asarray(order[np.sort(first)])


def _several(session: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """Sessions that come with more than one mark."""
    pair = np.unique(session << 32 | mark)
    members, count = np.unique(pair >> 32, return_counts=True)
    return np.asarray(members[count > 1])
