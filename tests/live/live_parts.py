"""A pump put together from real parts, with a source and a clock that tests drive."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.observe.live.source import Piece
from andon.records.contract import Site
from andon.run.engines import AnyEngine, load_engines
from andon.run.live.ledger import Ledger
from andon.run.live.past import Past
from andon.run.live.pump import Pump
from andon.run.live.shed import Shedder
from andon.run.live.tables import SpanTables
from andon.simulate.internet import InternetConfig, packets
from andon.store.casebook import Casebook
from andon.store.casebook.files import StateFiles
from andon.store.history import History
from andon.store.journal import Journal


class Scripted:
    """Gives batches as an interface would: they cannot be asked for again."""

    replayable = False
    can_wait = False
    trouble = ""

    def __init__(self, batches: Sequence[pa.RecordBatch], name: str = "tap", pause: float = 0.0) -> None:
        self.name = name
        self._batches = list(batches)
        self._pause = pause
        self._rows = 0
        self.opened_at: Mapping[str, Any] | None = None

    def open(self, position: Mapping[str, Any] | None) -> None:
        self.opened_at = position

    def poll(self, timeout: float) -> list[Piece]:
        if not self._batches:
            return []
        time.sleep(self._pause)
        batch = self._batches.pop(0)
        self._rows += batch.num_rows
        return [Piece(batch, {"rows": self._rows})]

    def events(self) -> list[dict[str, Any]]:
        return []

    def quiet(self) -> int | None:
        return None

    @property
    def finished(self) -> bool:
        return not self._batches

    def close(self) -> None:
        self._batches = []


class Clock:
    """ns; ``jump`` moves it."""

    def __init__(self, start: int) -> None:
        self._start, self._begin = start, time.monotonic_ns()

    def __call__(self) -> int:
        return self._start + time.monotonic_ns() - self._begin

    def jump(self, ns: int) -> None:
        self._start += ns


def batches_of(config: InternetConfig, size: int) -> list[pa.RecordBatch]:
    """Simulated packets in batches of ``size`` rows."""
    found = []
    for batch in packets(config):
        found += [batch.slice(at, size) for at in range(0, batch.num_rows, size)]
    return [
        pa.RecordBatch.from_arrays([pa.concat_arrays([c]) for c in b.columns], schema=b.schema) for b in found
    ]


class Parts:
    """Everything under a pump, in a folder."""

    def __init__(
        self, folder: Path, sources: Sequence[Any], clock: Any, site: Site | None = None, backlog: int = 10**9,
        engines: Sequence[AnyEngine] | None = None, commit_rows: int = 2000, commit_ns: int = 50_000_000,
    ) -> None:  # fmt: skip
        site = site or Site()
        self.casebook = Casebook(folder)
        self.casebook.migrate()
        self.journal = Journal(folder / "journal")
        self.history = History(folder / "history", clock=clock)
        self.past = Past(self.journal, self.history, None)
        self.ledger = Ledger(
            load_engines(site) if engines is None else engines, site, [s.name for s in sources], self.casebook,
            StateFiles(folder / "state"), SpanTables(folder / "tables"), self.past, lambda finding: (), threads=2,
        )  # fmt: skip
        self.pump = Pump(
            sources, self.journal, self.ledger, Shedder(backlog, site.hash_key), clock, commit_ns, commit_rows,
            10**15,
        )  # fmt: skip

    def run(self) -> None:
        self.ledger.restore()
        replay = list(self.journal.segments(after=self.ledger.segment))
        self.pump.run(replay)

    def run_aside(self) -> threading.Thread:
        thread = threading.Thread(target=self.run)
        thread.start()
        return thread

    def close(self) -> None:
        self.ledger.close()
        self.casebook.close()

    def kinds(self) -> dict[str, Any]:
        """Stored findings by kind."""
        return {found.kind: found for found in self.casebook.findings()}
