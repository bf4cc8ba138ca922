"""The delivering end of the outbox: one worker per sink, so that one that hangs stops nobody else.

A message is taken off the queue when its sink has accepted it. A process killed between the two delivers that one
message again, with the same id (Message-ID, Idempotency-Key, externalId); there is never more than one such message
per sink, because each waits for the one before. Waiting times double up to a cap and are spread by a hash of the
message, not by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from andon.share.outbox.digest import fold
from andon.share.outbox.parcel import DIGEST, Refused, Sink, Unreachable, Withheld, one_line, parcel
from andon.store.casebook import Casebook, Queued
from andon.store.errors import StoreError

SECOND = 1_000_000_000
_REFUSALS = 3  # in a row: then it is the sink, not the message, and the sink rests
_WITHHELD = "withheld: "
_ATTEMPTS = 10  # at least, before a message is given up: a clock that jumps ahead must not kill the queue


@dataclass(frozen=True)
class Patience:
    """How long to try. All in seconds but ``dead_days``."""

    first: float = 5.0  # wait after the first failure; it doubles
    cap: float = 900.0
    dead_days: float = 7.0  # a message is given up when it is so old
    delivery: float = 30.0  # one attempt
    batch: int = 50  # messages of one turn of a sink


@dataclass
class Report:
    """What happened since the last report. ``errors``: last trouble by sink; ``unknown``: sinks that messages
    wait for and that nobody configured; ``withheld``: messages that were not to leave by their sink, which are
    not among the delivered."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    folded: int = 0
    withheld: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def add(self, other: Report) -> None:
        """Take in another."""
        self.delivered += other.delivered
        self.failed += other.failed
        self.dead += other.dead
        self.folded += other.folded
        self.withheld += other.withheld
        self.errors.update(other.errors)


class Delivery:
    """Delivers a casebook's outbox. Call ``step`` again and again, a few times a second, from one thread.

    Example::

        delivery = Delivery(casebook, sinks, clock)
        while running:
            report = delivery.step(patience=0.5)
        delivery.close()
    """

    def __init__(
        self,
        book: Casebook,
        sinks: Sequence[Sink],
        clock: Callable[[], int],
        patience: Patience | None = None,
    ) -> None:
        self._book = book
        self._sinks = {sink.name: sink for sink in sinks}
        if len(self._sinks) < len(sinks):
            raise ValueError("two sinks have the same name")
        self._clock = clock
        self._patience = patience or Patience()
        self._pool = ThreadPoolExecutor(max(1, len(sinks)), "outbox")
        self._working: dict[str, Future[Report]] = {}
        self._taken: dict[str, dict[int, str]] = {name: {} for name in self._sinks}

    def step(self, patience: float = 1.0) -> Report:
        """One turn: sinks that have something and are not at work get to work; waits at most ``patience`` seconds
        for them. Raises StoreError where the casebook cannot be read; nothing is lost, call again later."""
        waiting = self._book.waiting_sinks()
        for name in waiting:
            if name in self._sinks and name not in self._working:
                self._working[name] = self._pool.submit(self._turn, self._sinks[name])
        wait(self._working.values(), timeout=patience)
        report = Report(unknown=tuple(name for name in waiting if name not in self._sinks))
        for name, work in list(self._working.items()):
            if work.done():
                del self._working[name]
                try:
                    report.add(work.result())
                except StoreError as error:
                    report.errors[name] = str(error)
        return report

    @property
    def busy(self) -> tuple[str, ...]:
        """Sinks that are at work on something right now."""
        return tuple(self._working)

    def close(self, wait: bool = False) -> None:
        """Start nothing more. What is under way ends by itself within the time of one attempt."""
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _turn(self, sink: Sink) -> Report:
        report = Report()
        left = self._patience.batch
        if sink.digest_after:
            left, report.folded = fold(self._book, sink.name, sink.digest_after, self._clock())
        refusals = 0
        for message in self._due(sink, left):
            try:
                if self._deliver(sink, message):
                    report.delivered += 1
                else:
                    report.withheld += 1
                refusals = 0
            except Unreachable as error:
                self._failed(message, error, report, refused=False)
                break
            except Refused as error:
                refusals += 1
                self._failed(message, error, report, refused=refusals < _REFUSALS)
                if refusals == _REFUSALS:
                    break
        return report

    def _due(self, sink: Sink, left: int) -> list[Queued]:
        """Digests first: what they carry is older. None of either while the sink rests."""
        due = self._book.due(self._clock(), self._patience.batch, sink.name)
        if not sink.digest_after:
            return due
        digests = self._book.due(self._clock(), self._patience.batch, sink.name, kind=DIGEST)
        if not due and not digests:
            return []
        single = [message for message in due if message.kind != DIGEST]
        return digests + single[: min(left, self._patience.batch)]

    def _deliver(self, sink: Sink, message: Queued) -> bool:
        """Whether it left; False if it was withheld."""
        taken = self._taken[sink.name]
        if message.id not in taken:
            members = self._book.members(message.id) if message.kind == DIGEST else ()
            now = self._clock()
            try:
                taken[message.id] = sink.send(parcel(message, members), now, self._patience.delivery)
            except (Unreachable, Refused):
                raise
            except Withheld as reason:
                taken[message.id] = f"{_WITHHELD}{reason}"
            except (
                Exception
            ) as error:  # a sink of a third party, or a case nobody thought of: the queue goes on
                raise Unreachable(f"{type(error).__name__}: {error}") from error
        self._book.delivered(message.id, self._clock(), taken[message.id])
        return not taken.pop(message.id).startswith(_WITHHELD)

    def _failed(self, message: Queued, error: Exception, report: Report, refused: bool) -> None:
        now = self._clock()
        why = one_line(str(error), 300)
        report.failed += 1
        report.errors[message.sink] = why
        age = now - message.created
        if message.attempts + 1 >= _ATTEMPTS and age > self._patience.dead_days * 86400 * SECOND:
            report.dead += self._book.dead(message.id, why, now)
            return
        pause = back_off(message, self._patience)
        if isinstance(error, Unreachable) and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, 3600.0))
        self._book.failed(message.id, why, now + int(pause * SECOND), refused)


def back_off(message: Queued, patience: Patience) -> float:
    """Seconds to wait after one more failure: doubling, capped, spread by a quarter to both sides."""
    pause = min(patience.cap, patience.first * 2.0 ** min(message.attempts, 32))
    digest = hashlib.sha256(f"{message.wire_id} {message.attempts}".encode()).digest()
    return pause * (0.75 + int.from_bytes(digest[:4], "big") / 2**33)


def deliver(
    book: Casebook,
    sinks: Sequence[Sink],
    clock: Callable[[], int],
    patience: Patience | None = None,
) -> Report:
    """One turn of every sink, waited for; for commands and tests."""
    delivery = Delivery(book, sinks, clock, patience)
    report = delivery.step(patience=(patience or Patience()).delivery + 5)
    delivery.close(wait=True)
    return report


def summary(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Messages by sink and state, for status and metrics.

    >>> summary({("soc", "queued"): 2, ("soc", "dead"): 1})
    {'soc': {'queued': 2, 'dead': 1}}
    """
    by_sink: dict[str, dict[str, int]] = {}
    for (sink, state), number in counts.items():
        by_sink.setdefault(sink, {})[state] = number
    return by_sink
