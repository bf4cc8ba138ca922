"""``andon run``: everything put together from a configuration, run until it is told to stop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from andon.observe.live.folder import FolderSource
from andon.observe.live.source import Source
from andon.observe.live.stream import StreamSource
from andon.records.contract import Organisation, Site, duration_ns
from andon.run.engines import AnyEngine, choose, load_engines
from andon.run.feed import Telescope
from andon.run.live.config import Config, SourceTable
from andon.run.live.ledger import Ledger, state_folder
from andon.run.live.messages import messages_for
from andon.run.live.past import Past
from andon.run.live.pump import Pump
from andon.run.live.shed import Shedder
from andon.run.live.status import Status, write_status
from andon.run.live.tables import SpanTables
from andon.run.live.upkeep import Upkeep
from andon.share.outbox import Delivery, make_sink, summary
from andon.store.casebook import Casebook
from andon.store.casebook.files import StateFiles
from andon.store.durable import make_folder
from andon.store.history import History
from andon.store.journal import Journal
from andon.store.journal_lock import StoreLock

Log = Callable[[str, dict[str, Any]], None]


def site_of(config: Config) -> tuple[Site, list[str]]:
    """The site that a configuration describes, and what was odd about its lists. Raises ValueError, OSError."""
    from andon.detect.darknet.tools.catalogue import load as catalogue
    from andon.observe import lists

    remarks: list[str] = []
    tables = {}
    for name, path in config.lists.scanners.items():
        tables[name], skipped = lists.scanner_list(path)
        remarks += [f"{path}: {skipped.lines:,} lines skipped"] if skipped.lines else []
    names: dict[int, str] = {}
    if config.lists.rdns is not None:
        names, skipped = lists.reverse_names(config.lists.rdns)
        remarks += [f"{config.lists.rdns}: {skipped.lines:,} lines skipped"] if skipped.lines else []
    settings = {
        f"{engine}.{name}": value for engine, table in config.engine.items() for name, value in table.items()
    }
    site = Site(
        telescope=config.telescope.prefixes,
        lists=tables,
        rdns=names,
        locator=lists.locator(config.lists.geo) if config.lists.geo is not None else None,
        organisations=tuple(Organisation(o.name, o.prefixes, o.sinks) for o in config.organisation),
        relations={sign.tool: sign.check for sign in catalogue().globals if sign.explains},
        settings=settings,
    )
    return site, remarks


def engines_of(config: Config, site: Site) -> list[AnyEngine]:
    """Engines in the order in which they conclude. Raises EngineError, ValueError for a setting that none has."""
    engines = load_engines(site)
    known = {name for engine in engines for name in engine.uses if name.count(".") == 2}
    for name in site.settings:
        if name not in known:
            raise ValueError(
                f"[engine] {name}: there is no such setting; there are {', '.join(sorted(known))}"
            )
    return choose(engines, config.engines) if config.engines else engines


def source_of(table: SourceTable) -> Source:
    """The source of one ``[[source]]``. Raises ValueError for one that cannot work here."""
    if table.kind == "folder" and table.path is not None:
        settle = duration_ns(table.settle) / 1e9
        return FolderSource(table.name, table.path, table.pattern, settle)
    if table.kind == "stdin":
        return StreamSource(table.name, os.fdopen(0, "rb", buffering=0, closefd=False))
    from andon.observe.live.interface import InterfaceSource

    return InterfaceSource(table.name, table.interface, ring_bytes=table.ring, promiscuous=table.promiscuous)


class Service:
    """A running Andon. ``log(event, values)`` hears what happens; ``once``: stop when every folder is read.

    Raises StoreError (another runner, damage), ValueError, SourceError, OSError."""

    def __init__(
        self,
        config: Config,
        log: Log,
        base: Path,
        once: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.config, self.log, self.clock, self.started = config, log, clock, clock()
        self.site, remarks = site_of(config)
        engines = engines_of(config, self.site)
        sinks = [make_sink(table, base) for table in config.sink]
        self.sources = [source_of(table) for table in config.source]
        for source in self.sources:
            if isinstance(source, FolderSource):
                source.once = once
        store = config.store.path
        make_folder(store)
        self.lock = StoreLock(store, clock())
        self.store = store
        self.casebook = Casebook(config.store.casebook or store)
        self.casebook.migrate()
        journal = Journal(store / "journal", config.store.journal_bytes)
        history = History(store / "history", clock=clock) if config.store.history else None
        if history is not None:
            history.check_journal(journal)
        telescope = Telescope(self.site.telescope) if self.site.telescope else None
        past = Past(journal, history, telescope)
        self.ledger = Ledger(
            engines, self.site, [source.name for source in self.sources], self.casebook,
            StateFiles(state_folder(store)), SpanTables(store / "tables"), past, messages_for(config),
            threads=min(len(engines), os.cpu_count() or 1),
        )  # fmt: skip
        self.pump = Pump(
            self.sources, journal, self.ledger, Shedder(config.budget.backlog_rows, self.site.hash_key), clock,
            duration_ns(config.store.commit), config.store.commit_rows, duration_ns(config.store.checkpoint),
        )  # fmt: skip
        self.upkeep = Upkeep(
            past, self.casebook, self._event_time, duration_ns(config.store.retention), config.store.history_bytes,
            duration_ns(config.store.history_every) / 1e9, self._checkpointed,
        )  # fmt: skip
        self.delivery = Delivery(self.casebook, sinks, clock) if sinks else None
        self._delivering = threading.Event()
        self._outbox: dict[str, dict[str, int]] = {}
        self._watching = threading.Event()
        self._state = "starting"
        for remark in remarks:
            log("list", {"remark": remark})

    def run(self) -> None:
        """Until ``stop``, or until every source has ended. Raises what went wrong."""
        begin = time.monotonic()
        for text in self.ledger.restore():
            self.log("state", {"remark": text})
        journal = self.pump.journal
        replay = list(journal.segments(after=self.ledger.segment))
        self.log(
            "start",
            {
                "store": str(self.store),
                "segment": self.ledger.segment,
                "replay_rows": sum(s.rows for s in replay),
            },
        )
        stop_metrics = self._serve_metrics()
        upkeep = threading.Thread(target=self._guard(self.upkeep.run), name="upkeep")
        upkeep.start()
        delivery = threading.Thread(target=self._guard(self._deliver), name="delivery")
        watch = threading.Thread(target=self._guard(self._watch), name="watch")
        watch.start()
        if self.delivery is not None:
            delivery.start()
        self._state = "running"
        try:
            self.pump.run(replay)
            self._state = "stopped"
        except BaseException:
            self._state = "failed"
            raise
        finally:
            self.upkeep.stopping.set()
            upkeep.join(timeout=120)
            self._delivering.set()
            if self.delivery is not None:
                delivery.join(timeout=60)
                self.delivery.close()
            self._watching.set()
            watch.join()
            self.ledger.close()
            stop_metrics()
            write_status(self.store, self.status().to_dict())
            self.casebook.close()
            self.lock.release()
            self.log("stop", {"seconds": round(time.monotonic() - begin, 1), "segment": self.ledger.segment})

    def stop(self) -> None:
        """Stop cleanly; ``run`` returns soon after."""
        self.pump.stop()

    def status(self) -> Status:
        counters, ledger = self.pump.counters, self.ledger
        trouble = tuple(dict.fromkeys(text for text in (counters.trouble, self.upkeep.trouble) if text))
        return Status(
            pid=os.getpid(), started=self.started, clock=self.clock(), received=counters.received,
            journaled=counters.journaled, backlog=self.pump.backlog, shed=counters.shed, lost=counters.lost,
            segment=ledger.segment, findings=ledger.findings,
            lag=(self.clock() - ledger.latest) / 1e9 if ledger.latest else None, state=self._state, trouble=trouble,
            engines={n: (round(s.summarise, 3), round(s.conclude, 3)) for n, s in ledger.spent.items()},
            sources=dict(counters.by_source), outbox=self._outbox, journal_bytes=self.pump.journal.nbytes,
        )  # fmt: skip

    def _event_time(self) -> int:
        return min(self.clock(), self.ledger.latest)

    def _checkpointed(self) -> int:
        point = self.casebook.last_checkpoint()
        return 0 if point is None else point.segment

    def _watch(self) -> None:
        """Once a second the status, once a minute a line of it in the log, and trouble when it comes and goes."""
        said, trouble = time.monotonic(), tuple[str, ...]()
        while not self._watching.wait(1.0):
            status = self.status()
            write_status(self.store, status.to_dict())
            if status.trouble != trouble:
                trouble = status.trouble
                self.log("trouble", {"what": list(trouble) or "over"})
            if time.monotonic() - said >= 60.0:
                said = time.monotonic()
                self.log("status", status.to_dict())

    def _deliver(self) -> None:
        while self.delivery is not None:
            stopping = self._delivering.is_set()
            report = self.delivery.step(0.2)
            self._outbox = summary(self.casebook.outbox_counts())
            for sink, error in report.errors.items():
                self.log("sink", {"sink": sink, "trouble": error})
            if stopping:
                return
            self._delivering.wait(0.2)

    def _guard(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.pump.failure = self.pump.failure or error
                self.pump.stop()

        return run

    def _serve_metrics(self) -> Callable[[], None]:
        if not self.config.metrics.listen:
            return lambda: None
        from andon.run.live.metrics import serve

        return serve(self.config.metrics.listen, self.status)
