"""``andon run``: everything put together from a configuration, run until it is told to stop."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from andon.observe.live.any_log import AnyLog
from andon.observe.live.folder import FolderSource
from andon.observe.live.reports import ReportSource
from andon.records.contract import duration_ns
from andon.run.casework import Stored
from andon.run.feed import Telescope
from andon.run.live.casework import follower
from andon.run.live.config import Config
from andon.run.live.contain import containment
from andon.run.live.ledger import Ledger, state_folder
from andon.run.live.messages import messages_for
from andon.run.live.parts import (
    engines_of,
    forwarder_of,
    kinds_by_name,
    models_of,
    reports_of,
    sinks_of,
    site_of,
    sources_of,
)
from andon.run.live.past import Past
from andon.run.live.pump import Pump
from andon.run.live.records import RecordFiles
from andon.run.live.serve import applications, serve
from andon.run.live.shed import Shedder
from andon.run.live.status import Status, write_status
from andon.run.live.tables import SpanTables
from andon.run.live.trouble import Troubles, given_up, passes
from andon.run.live.upkeep import Upkeep
from andon.share.outbox import Delivery, summary
from andon.store.casebook import Casebook
from andon.store.casebook.files import StateFiles
from andon.store.durable import make_folder
from andon.store.errors import StoreError
from andon.store.history import History
from andon.store.journal import Journal
from andon.store.journal_lock import StoreLock

HAND_OVER = 0.0005  # seconds
_DELIVER_AT_END = (
    10.0  # seconds, at most, for what can be delivered before the end; the rest waits for the next start
)

Log = Callable[[str, dict[str, Any]], None]


class Service:
    """A running Andon. ``path``: of the configuration; ``log(event, values)`` hears what happens; ``once``: stop when
    every folder is read.

    Raises ConfigError, StoreError (another runner, damage), ValueError, SourceError, OSError."""

    def __init__(
        self,
        config: Config,
        log: Log,
        path: Path,
        once: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.config, self.log, self.clock, self.started = config, log, clock, clock()
        self.site, remarks = site_of(config, path)
        engines = engines_of(config, self.site, path)
        sinks = sinks_of(config, path)
        self.sources = sources_of(config, self.site, path)
        self.sources += [reports_of(table) for table in config.reports]
        for source in self.sources:
            if isinstance(source, FolderSource | AnyLog | ReportSource):
                source.once = once
        store = config.store.path
        make_folder(store)
        self.lock = StoreLock(store, clock())
        self.store = store
        self.casebook = Casebook(config.store.casebook or store)
        self.casebook.migrate()
        models = models_of(config, self.casebook, self.site.models, path)
        if models is not self.site.models:
            self.site = replace(self.site, models=models)
            engines = engines_of(config, self.site, path)
        self.casebook.remember(
            "telescope", json.dumps(list(self.site.telescope))
        )  # for `andon findings check`
        journal = Journal(store / "journal", config.store.journal_bytes)
        history = History(store / "history", clock=clock) if config.store.history else None
        if history is not None:
            history.check_journal(journal)
        telescope = Telescope(self.site.telescope) if self.site.telescope else None
        past = Past(journal, history, telescope)
        kinds = kinds_by_name(self.sources)
        longest = max((duration_ns(span) for engine in engines for span in engine.window.spans), default=0)
        self.records = RecordFiles(
            store / "records", journal.last, 2 * longest / 1e9,
            forgeable=frozenset(one.name for one in config.source if one.forgeable),
        )  # fmt: skip
        self.ledger = Ledger(
            engines, self.site, kinds, self.casebook,
            StateFiles(state_folder(store)), SpanTables(store / "tables"), past, messages_for(config),
            threads=max(1, min(len(engines), os.cpu_count() or 1)), records=self.records,
        )  # fmt: skip
        self.troubles = Troubles()
        self.pump = Pump(
            self.sources, journal, self.ledger, Shedder(config.budget.backlog_rows, self.site.hash_key), clock,
            duration_ns(config.store.commit), config.store.commit_rows, duration_ns(config.store.checkpoint),
            troubles=self.troubles, tell=self._happened, records=self.records,
        )  # fmt: skip
        self.upkeep = Upkeep(
            past, self.casebook, self.ledger.tables, self._event_time, duration_ns(config.store.retention),
            config.store.history_bytes, duration_ns(config.store.history_every) / 1e9, self._checkpointed,
            duration_ns(config.store.keep_tables), self.troubles, self.records,
        )  # fmt: skip
        self.bus = forwarder_of(config, path, self.sources, journal, self.records, self.troubles, log)
        if self.bus is not None:
            self.upkeep.sent = lambda: 0 if self.bus is None else self.bus.through
        self.casework = follower(
            config.triage, self.casebook, self.site, Stored(self.casebook, self.ledger.tables.folder), self.records,
            lambda: self.ledger.segment, self._event_time, self.troubles, once, log,
        )  # fmt: skip
        if self.casework is not None:
            self.upkeep.needed = self.casework.intake
        self.containment = containment(config, path, self.site, self.casebook, clock, log, self.troubles)
        enforcers = {} if self.containment is None else self.containment.made.enforcers
        self._applications = applications(config, path, enforcers, store)
        if self.containment is not None and self.casework is not None:
            self.casework.bell = self.containment.bell
        if self.containment is not None:
            # Engines that compute in Python hand the interpreter over after 0.5 ms, not 5: a decision to cut passes
            # through several threads (benchmarks/contain/decide.py, also for what it costs the engines).
            sys.setswitchinterval(min(sys.getswitchinterval(), HAND_OVER))
        self.delivery = Delivery(self.casebook, sinks, clock) if sinks else None
        self._delivering = threading.Event()
        self._outbox: dict[str, dict[str, int]] = {}
        self._withheld = 0
        self._watching = threading.Event()
        self.show: Callable[[Status], None] | None = (
            None  # hears of the status once a second, instead of the log
        )
        self._unread = 0
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
        stop_serving = serve(self.config.serve, self._applications)
        upkeep = threading.Thread(target=self._guard(self.upkeep.run), name="upkeep")
        upkeep.start()
        casework = threading.Thread(target=self._guard(self._follow), name="casework")
        casework.start()
        contain = threading.Thread(target=self._guard(self._contain), name="containment")
        contain.start()
        bus = threading.Thread(target=self._guard(self._send), name="bus")
        bus.start()
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
            # The store is ours until nobody writes to it: no time limit here, whoever has none left kills us.
            self.upkeep.stopping.set()
            upkeep.join()
            if self.casework is not None:
                self.casework.stopping.set()
            casework.join()
            if self.containment is not None:
                self.containment.stopping.set()
            contain.join()
            if self.bus is not None:
                self.bus.stopping.set()
            bus.join()
            stop_serving()
            self._unread = 0 if self.casework is None else self.casework.look()
            self._delivering.set()
            if self.delivery is not None:
                delivery.join()
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
        return Status(
            pid=os.getpid(), started=self.started, clock=self.clock(), received=counters.received,
            journaled=counters.journaled, backlog=self.pump.backlog, shed=counters.shed, lost=counters.lost,
            segment=ledger.segment, findings=ledger.findings, severities=dict(ledger.by_severity),
            lag=self.pump.lag, state=self._state, trouble=self.troubles.texts(),
            engines={n: (round(s.summarise, 3), round(s.conclude, 3)) for n, s in ledger.spent.items()},
            sources={source.name: counters.by_source.get(source.name, 0) for source in self.sources},
            records=dict(counters.records), outbox=self._outbox, journal_bytes=self.pump.journal.nbytes,
            cases=0 if self.casework is None else self.casework.opened, unread=self._unread,
            withheld=self._withheld,
            contain={} if self.containment is None else self.containment.status(), bus=self._bus_status(),
        )  # fmt: skip

    def _send(self) -> None:
        if self.bus is not None:
            self.bus.run()

    def _bus_status(self) -> dict[str, Any]:
        """Of what is sent, and of each source that reads a bus, by name."""
        told = {s.name: said() for s in self.sources if (said := getattr(s, "status", None)) is not None}
        return told if self.bus is None else {"": self.bus.status(), **told}

    def _follow(self) -> None:
        if self.casework is not None:
            self.casework.run()

    def _contain(self) -> None:
        if self.containment is not None:
            self.containment.run()

    def _happened(self, event: dict[str, Any]) -> None:
        self.log("source", event)

    def _event_time(self) -> int:
        return min(self.clock(), self.ledger.latest)

    def _checkpointed(self) -> int:
        point = self.casebook.last_checkpoint()
        return 0 if point is None else point.segment

    def _watch(self) -> None:
        """Once a second the status, once a minute a line of it in the log, and trouble when it comes and goes."""
        said, trouble = time.monotonic(), tuple[str, ...]()
        while not self._watching.wait(1.0):
            if self.casework is not None:
                self._unread = self.casework.look()
            status = self.status()
            write_status(self.store, status.to_dict())
            if status.trouble != trouble:
                trouble = status.trouble
                self.log("trouble", {"what": list(trouble) or "over"})
            if self.show is not None:
                self.show(status)
            elif time.monotonic() - said >= 60.0:
                said = time.monotonic()
                self.log("status", status.to_dict())

    def _deliver(self) -> None:
        counted, told, until = -1e9, dict[str, str](), 0.0
        while self.delivery is not None:
            stopping = self._delivering.is_set()
            until = until or (time.monotonic() + _DELIVER_AT_END if stopping else 0.0)
            going_on = False
            try:
                report = self.delivery.step(0.2)
                self._withheld += report.withheld
                going_on = bool(report.delivered or self.delivery.busy)
                if stopping or time.monotonic() - counted >= 2.0:
                    counted = time.monotonic()
                    self._outbox = summary(self.casebook.outbox_counts())
                    self.troubles.say("outbox", given_up(self._outbox))
                unknown = ", ".join(report.unknown)
                text = (
                    f"messages wait for sinks that are not configured any more: {unknown}" if unknown else ""
                )
                self.troubles.say("delivery", text)
            except StoreError as error:
                if not passes(error):
                    raise
                self.troubles.say("delivery", str(error))
            else:
                for sink, error_text in report.errors.items():
                    if told.get(sink) != error_text:
                        self.log("sink", {"sink": sink, "trouble": error_text})
                told.update(report.errors)
            if stopping and (not going_on or time.monotonic() >= until):
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

        try:
            return serve(self.config.metrics.listen, self.status)
        except OSError as error:
            text = f"[metrics] listen {self.config.metrics.listen}: {error.strerror or error}"
            raise OSError(error.errno, text) from error
