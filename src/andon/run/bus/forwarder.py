"""The sink: every segment of a sensor's journal goes to a topic, in order, and stays in the journal until it is there.

The producer is idempotent and waits for all replicas. A segment counts as sent when the broker has acknowledged every
message of it and of those before it; then that is written down (``place``), and only then may the journal drop it.
Whatever goes wrong (a broker that restarts, a message it refuses, a kill), sending begins again after the last segment
that was written down; what is sent twice for that is known by its place in the segment, and readers skip it.

A broker that is away costs ``buffer`` bytes of memory and the journal's room on disk, nothing else. When the journal is
full it says so, and sources lose or wait as with any full store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from andon.run.bus.client import Brokers, BusError, kafka, made, words
from andon.run.bus.place import PlaceFile
from andon.run.bus.split import Sent, messages
from andon.run.live.records import RecordFiles
from andon.run.live.trouble import Troubles, passes
from andon.store.errors import StoreError
from andon.store.journal import Journal
from andon.store.journal_segment import Segment

_PART: Final = "bus"
_TICK: Final = 0.02  # seconds between two looks for new segments
_WRITE: Final = 0.2  # ... between two writings of the place
_SILENT: Final = 5.0  # ... without an acknowledgement that is waited for, until that is said
_AT_END: Final = (
    10.0  # ... for what the broker has not got when the runner stops; the rest waits for the next start
)
_LONGEST: Final = 30.0  # ... between two tries
_LEAST: Final = 20_000  # bytes of a message: smaller ones are not tried


class _Again(Exception):
    """Begin again after what was acknowledged. ``passing``: soon."""


@dataclass
class Sending:
    """What was sent since the start. ``left_out``: records that were larger than a message may be."""

    messages: int = 0
    rows: int = 0
    nbytes: int = 0
    left_out: int = 0
    restarts: int = 0


@dataclass
class Forwarder:
    """``sources`` says which sources there are, and what kinds of record each gives; ``limit``: bytes of a message."""

    journal: Journal
    records: RecordFiles | None
    folder: Path
    brokers: Brokers
    sensor: str
    sources: Callable[[], Mapping[str, tuple[str, ...]]]
    troubles: Troubles = field(default_factory=Troubles)
    limit: int = 900_000
    buffer: int = 32 << 20
    log: Callable[[str, dict[str, Any]], None] = lambda event, values: None
    sent: Sending = field(default_factory=Sending)

    def __post_init__(self) -> None:
        kafka()
        self.brokers.settings()  # what is wrong with it is said at the start
        self.stopping = threading.Event()
        self._place = PlaceFile(self.folder, self.journal.last)
        self.through = self._place.place.through  # durable: the journal may drop up to here
        self._acknowledged = self.through
        self._open: dict[int, int] = {}  # segment -> messages that are not acknowledged
        self._session = 0
        self._failed: tuple[int, str] | None = None
        self._said = ""  # of the client, last
        self._moved = self._wrote = time.monotonic()  # when something was acknowledged last, and written down
        self._answered = False  # something was acknowledged in this session
        self._wait = 0.0

    def run(self) -> None:
        """Until ``stopping``; then what the broker takes within some seconds. Raises StoreError, BusError."""
        while True:
            try:
                self._send_all()
                return
            except _Again as error:
                self.sent.restarts += 1
                self._wait = min(_LONGEST, 2 * self._wait or 0.2)
                self.troubles.say(_PART, f"bus: {error}; {self._waiting()}")
                if self.stopping.wait(self._wait):
                    return

    def status(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "topic": self.brokers.topic, "sensor": self.sensor, "through": self.through,
            "waiting": max(0, self.journal.last - self.through), **vars(self.sent),
        }  # fmt: skip

    def _send_all(self) -> None:
        self._session += 1
        self._open, self._failed, self._answered, self._acknowledged = {}, None, False, self.through
        self._moved = time.monotonic()
        try:
            producer = made("Producer", self._settings())
        except BusError as error:  # such as a certificate that is being replaced
            raise _Again(str(error)) from error
        at, end = self.through, 0.0
        try:
            while True:
                after = max(at, self.journal.first - 1)
                for segment in self.journal.segments(after=after) if after < self.journal.last else ():
                    self._send(producer, segment)
                    at = segment.number
                    self._settle(producer, 0.0)
                    end = end or (time.monotonic() + _AT_END if self.stopping.is_set() else 0.0)
                    if end and time.monotonic() >= end:
                        break
                self._settle(producer, _TICK)
                if self.stopping.is_set():
                    end = end or time.monotonic() + _AT_END
                    if self._acknowledged >= self.journal.last or time.monotonic() >= end:
                        self._write()
                        return
        finally:
            self._session += 1  # what the old producer still says is heard no more
            producer.purge()
            producer.flush(0.2)

    def _settings(self) -> dict[str, Any]:
        return {
            **self.brokers.settings(),
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,  # it waits as long as it takes
            "message.max.bytes": self.limit + 65_536,  # and headers
            "queue.buffering.max.kbytes": max(1, self.buffer >> 10),
            "queue.buffering.max.messages": 100_000,
            "compression.type": "none",  # values are compressed already
            "linger.ms": 1,
            "partitioner": "murmur2_random",  # as other clients place keys
            "error_cb": self._error,
        }

    def _send(self, producer: Any, segment: Segment) -> None:
        records = (
            self.records.kept(segment.number) if self.records is not None and _has_records(segment) else []
        )
        parts = messages(segment, records, self.sensor, self._place.place.epoch, self.sources(), self.limit)
        self._open[segment.number] = 1  # itself, until all of it is handed over
        for sent in parts:
            self._open[segment.number] += 1
            self._produce(producer, segment.number, sent)
        self._open[segment.number] -= 1

    def _produce(self, producer: Any, number: int, sent: Sent) -> None:
        module, message = kafka(), sent.message
        done = partial(self._done, self._session, number, sent)
        while True:
            try:
                producer.produce(
                    self.brokers.topic, key=message.key, value=message.value, headers=list(message.headers),
                    on_delivery=done,
                )  # fmt: skip
                return
            except BufferError:
                self._settle(producer, 0.1)
                if self.stopping.is_set() and time.monotonic() - self._moved >= _AT_END:
                    raise _Again("stopped while the broker was away") from None
            except module.KafkaException as error:
                self._too_large(error.args[0].code())
                raise _Again(words(error)) from error

    def _done(self, session: int, number: int, sent: Sent, error: Any, message: Any) -> None:
        if session != self._session:
            return
        if error is not None:
            self._failed = self._failed or (error.code(), error.str())
            return
        self._open[number] -= 1
        self._moved, self._answered, self._said = time.monotonic(), True, ""
        self.sent.messages += 1
        self.sent.rows += sent.rows
        self.sent.nbytes += len(sent.message.value)
        if sent.left_out:
            self.sent.left_out += sent.left_out
            self.log(
                "bus",
                {"left_out": sent.left_out, "why": f"larger than a message may be ({self.limit:,} bytes)"},
            )

    def _error(self, error: Any) -> None:
        if not self._said or error.code() != kafka().KafkaError._ALL_BROKERS_DOWN:  # which does not say why
            self._said = error.str()

    def _settle(self, producer: Any, timeout: float) -> None:
        """Hear what was acknowledged, write it down, and say what is wrong. Raises _Again."""
        producer.poll(timeout)
        if self._failed is not None:
            code, text = self._failed
            self._too_large(code)
            raise _Again(f"{self.brokers.topic}: {text}")
        while self._open.get(self._acknowledged + 1) == 0 or self._skipped():
            self._open.pop(self._acknowledged + 1, None)
            self._acknowledged += 1
        now = time.monotonic()
        if self._acknowledged > self.through and (now - self._wrote >= _WRITE or not self._open):
            self._write()
        if not self._open:
            self._moved = now
        if now - self._moved < _SILENT:
            if self._answered or not self._open:
                self.troubles.say(_PART, "")
                self._wait = 0.0
        else:
            because = f" ({self._said})" if self._said else ""
            text = f"has acknowledged nothing for {now - self._moved:.0f} s{because}; {self._waiting()}"
            self.troubles.say(_PART, f"bus: {', '.join(self.brokers.addresses)} {text}")

    def _skipped(self) -> bool:
        """Segments that the journal had dropped before they could be sent ([bus] was not configured then)."""
        return self._acknowledged + 1 < min(self._open, default=0)

    def _write(self) -> None:
        if self._acknowledged <= self.through:
            return
        try:
            self._place.write(self._acknowledged)
        except StoreError as error:
            if not passes(error):
                raise
            self.troubles.say("bus place", str(error))
            return
        self.troubles.say("bus place", "")
        self.through, self._wrote = self._acknowledged, time.monotonic()

    def _too_large(self, code: int) -> None:
        module = kafka()
        if code == module.KafkaError.MSG_SIZE_TOO_LARGE and self.limit > _LEAST:
            self.limit = max(_LEAST, self.limit // 2)
            self.log(
                "bus",
                {"what": f"the broker takes no messages of that size: {self.limit:,} bytes from now on"},
            )

    def _waiting(self) -> str:
        count = max(0, self.journal.last - self.through)
        return f"{count:,} segment{'' if count == 1 else 's'} wait in the journal"


def _has_records(segment: Segment) -> bool:
    return any(event.get("type") == "records" for event in segment.events)
