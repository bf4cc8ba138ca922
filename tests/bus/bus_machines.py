"""A sensor and an analyser without engines, each a process of its own that can be killed at any moment.

The sensor's journal and forwarder, the analyser's source, pump and journal are the real ones. Packet number n of a
sensor has n as its source address, so what is in a journal says what came, in which order, and how often.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from andon.observe.live.source import Piece
from andon.records.packet import SCHEMA
from andon.run.bus.client import Brokers
from andon.run.bus.forwarder import Forwarder
from andon.run.bus.source import KafkaSource
from andon.run.live.pump import Pump
from andon.run.live.shed import Shedder
from andon.store.journal import Journal

BEGIN = 1_767_225_600_000_000_000  # ns
ROWS = 400  # of a segment


def numbered(first: int, rows: int) -> pa.RecordBatch:
    """Packets ``first`` and on, a millisecond apart."""
    n = np.arange(first, first + rows)
    known = {
        "ts": pa.array(BEGIN + n * 1_000_000).cast(pa.timestamp("ns", tz="UTC")),
        "src": pa.array(n.astype(np.uint32)),
    }
    blank = {
        f.name: pa.array([bytes(16)] * rows, f.type)
        if f.type == pa.binary(16)
        else pa.array(np.zeros(rows, np.int64)).cast(f.type)
        for f in SCHEMA
    }
    return pa.RecordBatch.from_arrays([{**blank, **known}[name] for name in SCHEMA.names], schema=SCHEMA)


def numbers(store: Path) -> dict[str, list[int]]:
    """What a journal holds: the numbers of the packets of each source, in order."""
    found: dict[str, list[int]] = {}
    for segment in Journal(store / "journal").segments():
        for source, batch in segment.batches():
            found.setdefault(source, []).extend(batch.column("src").to_pylist())
    return found


def events(store: Path) -> list[dict[str, Any]]:
    return [event for segment in Journal(store / "journal").segments() for event in segment.events]


class NoEngines:
    """In the place of the ledger: has seen what it is shown."""

    def __init__(self) -> None:
        self.segment = self.rows = 0
        self.again = 0.0
        self.wait_for_room: Any = None

    def take(self, segment: Any) -> None:
        self.segment, self.rows = segment.number, segment.end_row

    def checkpoint(self, clock: int) -> float:
        return 0.0

    report = checkpoint


def pump_of(store: Path, source: Any, commit: float = 0.05) -> Pump:
    """The pump of an analyser, a segment every ``commit`` seconds."""
    ledger: Any = NoEngines()
    return Pump(
        [source],
        Journal(store / "journal"),
        ledger,
        Shedder(10**9, 1),
        time.time_ns,
        int(commit * 1e9),
        20_000,
    )


def analyse(store: Path, said: dict[str, Any]) -> None:
    source = KafkaSource(
        "bus", Brokers((said["broker"],), said["topic"], "plaintext"), said.get("group", "g"),
        balance=said.get("balance", False), partitions=said.get("partitions", ()),
    )  # fmt: skip
    pump = pump_of(store, source, said.get("commit", 0.05))
    signal.signal(signal.SIGTERM, lambda *_: pump.stop())
    threading.Thread(target=_report, args=(pump, source), daemon=True).start()
    pump.run([])
    _say({**source.status(), "rows_in_journal": pump.journal.next_row})


def _report(pump: Pump, source: KafkaSource) -> None:
    while True:
        _say({**source.status(), "rows_in_journal": pump.journal.next_row})
        time.sleep(0.1)


def _say(status: dict[str, Any]) -> None:
    os.write(1, json.dumps(status).encode() + b"\n")  # one write: two threads say it


def sense(store: Path, said: dict[str, Any]) -> None:
    """One or several sensors (names with commas between). ``packets`` of each, a segment each ``pause`` seconds; it
    goes on where it was killed."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    brokers = Brokers((said["broker"],), said["topic"], "plaintext")
    sensors = []
    for name in said["sensor"].split(","):
        journal = Journal(store / name / "journal")
        forwarder = Forwarder(
            journal, None, store / name / "bus", brokers, name, lambda: {"tap": ("packet",)},
            limit=said.get("limit", 900_000),
        )  # fmt: skip
        thread = threading.Thread(target=forwarder.run)
        thread.start()
        sensors.append((journal, forwarder, thread))
    while not stopping.is_set():
        for journal, forwarder, _ in sensors:
            if journal.next_row < said["packets"]:
                journal.append("tap", numbered(journal.next_row, ROWS), {"rows": journal.next_row + ROWS})
                journal.commit(time.time_ns())
            _say({**forwarder.status(), "trouble": forwarder.troubles.texts(), "last": journal.last})
        stopping.wait(said.get("pause", 0.02))
    for journal, forwarder, thread in sensors:
        forwarder.stopping.set()
        thread.join()
        _say({**forwarder.status(), "last": journal.last})


class Machine:
    """One of the two as a process; ``status`` is the last that it said."""

    def __init__(self, what: str, store: Path, **said: Any) -> None:
        self.what, self.store, self.said = what, store, said
        self.status: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        self.status = {}
        arguments = [
            sys.executable,
            "-X",
            "faulthandler",
            __file__,
            self.what,
            str(self.store),
            json.dumps(self.said),
        ]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=(self.store.parent / "said").open("ab")
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, pipe: Iterable[bytes]) -> None:
        for line in pipe:
            self.status = json.loads(line) if line.endswith(b"}\n") else self.status

    def kill(self) -> None:
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=120) == 0, self._last_words()
        self._gone()

    def _last_words(self) -> str:
        return f"{self.what} ended with {self.process.returncode}: {(self.store.parent / 'said').read_text()[-3000:]}"

    def _gone(self) -> None:
        self.process.wait()
        self._reader.join(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def until(self, condition: Any, seconds: float = 120.0) -> None:
        """Wait until what it says satisfies the condition."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.status and condition(self.status):
                return
            assert self.process.poll() is None, self._last_words()
            time.sleep(0.02)
        raise AssertionError(f"{self.what} {self.store.name} came no further: {self.status}")

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self._gone()


def pieces_of(
    source: KafkaSource, seconds: float = 90.0, rows: int | None = None, messages: int = 1
) -> list[Piece]:
    """What a source gives until it has given so many rows; or until it has read so many messages, of any kind, and
    then gives nothing for a second."""
    found: list[Piece] = []
    end, heard = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        given = source.poll(0.1)
        found += given
        if given or source.read.messages < messages:
            heard = time.monotonic()
        if rows is not None and sum(piece.batch.num_rows for piece in found) >= rows:
            break
        if rows is None and time.monotonic() - heard > 1.0:
            break
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    {"analyse": analyse, "sense": sense}[sys.argv[1]](Path(sys.argv[2]), json.loads(sys.argv[3]))
