"""What the flows show around one attempt, looked up once for all checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.triage.verification.facts import Facts
from andon.triage.verification.subject import Attempt

MINUTE: Final = 60_000_000_000
HOUR: Final = 60 * MINUTE
SLACK: Final = 5 * MINUTE  # clocks differ, and a flow is told when it ends
CLOCK: Final = 2 * MINUTE
BEFORE: Final = 24 * HOUR
PAST: Final = 7 * BEFORE  # as far as the flows that are given go back
AFTER: Final = 4 * HOUR
YOUNG: Final = 2 * HOUR  # of flows before the attempt; with less, what is new is hardly news
HARDLY: Final = 0.3  # how much it weighs then


@dataclass(frozen=True)
class Rows:
    """Conversations as arrays; ``src``, ``dst``: object arrays of texts; times in ns."""

    src: np.ndarray
    dst: np.ndarray
    port: np.ndarray
    protocol: np.ndarray
    first: np.ndarray
    last: np.ndarray
    flows: np.ndarray
    failed: np.ndarray
    unknown: np.ndarray
    out: np.ndarray
    back: np.ndarray
    largest_out: np.ndarray
    largest_in: np.ndarray
    longest: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        def texts(name: str) -> np.ndarray:
            return np.array(table.column(name).to_pylist(), object)

        def numbers(name: str) -> np.ndarray:
            return np.asarray(table.column(name).cast(pa.int64()).to_numpy())

        return cls(
            texts("src"), texts("dst"), numbers("port"), texts("protocol"), numbers("first"), numbers("last"),
            numbers("flows"), numbers("failed"), numbers("unknown"), numbers("bytes_out"), numbers("bytes_in"),
            numbers("largest_out"), numbers("largest_in"), numbers("longest"),
        )  # fmt: skip

    def where(self, keep: np.ndarray) -> Self:
        return type(self)(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.port)

    @property
    def good(self) -> np.ndarray:
        """Flows that were answered."""
        return np.asarray(self.flows - self.failed - self.unknown)


def among(texts: np.ndarray, values: tuple[str, ...] | frozenset[str]) -> np.ndarray:
    held = frozenset(values)
    return np.fromiter((text in held for text in texts), np.bool_, len(texts))


@dataclass(frozen=True)
class View:
    """``until``: to when the time after the attempt is looked at (ns): four hours, or the end of what was observed."""

    attempt: Attempt
    facts: Facts
    until: int

    @classmethod
    def of(cls, attempt: Attempt, facts: Facts) -> Self:
        _, end = facts.observed()
        return cls(attempt, facts, max(min(end + 1, attempt.last + AFTER), attempt.last + 1))

    @property
    def young(self) -> bool:
        """Are flows known since shortly before only?"""
        begin, _ = self.facts.observed()
        return self.attempt.first - begin < YOUNG

    @cached_property
    def every(self) -> Rows:
        """All that the victim had to do with anybody, from a week before to ``until``."""
        begin = self.attempt.first - PAST
        return Rows.of(self.facts.conversations(self.attempt.victim, begin, self.until + SLACK))

    @cached_property
    def pair(self) -> Rows:
        """Between peers and victim around the attempt, in the direction and at the ports that the alert names."""
        attempt, rows = self.attempt, self.every
        near = (rows.last >= attempt.first - SLACK) & (rows.first <= attempt.last + SLACK)
        to, fro = self._to_victim, self._from_victim
        keep = near & (to if attempt.inbound else fro if attempt.inbound is False else to | fro)
        ports = {port for _, port, _ in attempt.ports if port >= 0}
        if ports:
            keep &= np.isin(rows.port, list(ports))
        return rows.where(keep)

    @cached_property
    def _to_victim(self) -> np.ndarray:
        return np.asarray(
            among(self.every.src, self.attempt.peers) & among(self.every.dst, self.attempt.victim)
        )

    @cached_property
    def _from_victim(self) -> np.ndarray:
        return np.asarray(
            among(self.every.src, self.attempt.victim) & among(self.every.dst, self.attempt.peers)
        )

    @cached_property
    def together(self) -> Rows:
        """All between peers and victim, any port, either direction, from the attempt on."""
        rows = self.every
        return rows.where((self._to_victim | self._from_victim) & (rows.last >= self.attempt.first - SLACK))

    @cached_property
    def sent(self) -> Rows:
        """What the victim began."""
        return self.every.where(among(self.every.src, self.attempt.victim))

    @cached_property
    def sent_before(self) -> Rows:
        return self.sent.where(self.sent.first < self.attempt.first - CLOCK)

    @cached_property
    def sent_after(self) -> Rows:
        return self.sent.where(self.sent.last >= self.attempt.first - CLOCK)

    @cached_property
    def served(self) -> Rows:
        """What others than the peers asked of the victim."""
        rows = self.every
        return rows.where(among(rows.dst, self.attempt.victim) & ~among(rows.src, self.attempt.peers))
