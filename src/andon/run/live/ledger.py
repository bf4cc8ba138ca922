"""What the engines make of the journal, segment by segment, and how that is kept.

A ledger is a function of the journal: it stands at a segment, and what it knows there (open summaries, carries,
watermark, notices) is saved at a checkpoint, so a restart loads the last one and goes through the later segments
again. Conclusions that are in the casebook already are drawn again, for the carry, and not stored again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from andon.records.columns import column
from andon.records.contract import Nothing, Site
from andon.records.finding import Finding
from andon.records.kinds import KINDS, PACKET, REPORT, kind_of
from andon.run import log_checks
from andon.run.conclusions import Concluded, Conclusions, outcome_tables
from andon.run.engines import AnyEngine
from andon.run.feed import Telescope
from andon.run.live.clocks import Clocks
from andon.run.live.notices import Notices
from andon.run.live.past import Past
from andon.run.live.records import RecordFiles, told
from andon.run.live.tables import SpanTables
from andon.run.live.trouble import passes
from andon.run.live.watermark import AHEAD
from andon.run.settings import digest_of
from andon.run.shelf import EARLIEST, times
from andon.run.table_checks import Answers, Place, count_all
from andon.store.casebook import Casebook, Checkpoint, Conclusion, Message
from andon.store.casebook.files import StateFiles
from andon.store.errors import StoreError
from andon.store.journal_segment import Segment

Messages = Callable[[Finding], Sequence[Message]]
_NEVER = -(1 << 62)
_NO_TIME = np.iinfo(np.int64).min


@dataclass
class Spent:
    """CPU seconds of an engine: of taking rows in, and of concluding."""

    summarise: float = 0.0
    conclude: float = 0.0


@dataclass
class Ledger:
    """``messages`` says what a finding gives to deliver. One thread drives it: ``restore`` first, then ``take`` every
    later segment in order, ``checkpoint`` now and then."""

    engines: Sequence[AnyEngine]
    site: Site
    sources: (
        Sequence[str] | Mapping[str, str | Sequence[str]]
    )  # names, and what kinds of record they give: packets if it is not said
    casebook: Casebook
    states: StateFiles
    tables: SpanTables
    past: Past
    messages: Messages
    threads: int = 1
    records: RecordFiles | None = None  # of other kinds than packets
    wait_for_room: Callable[[str], bool] = lambda why: False
    segment: int = 0
    rows: int = 0
    by_severity: dict[str, int] = field(default_factory=dict)  # findings stored since the start
    latest: int = 0  # ns: newest time of a packet
    spent: dict[str, Spent] = field(default_factory=dict)
    again: float = 0.0  # CPU seconds since the last checkpoint, which a restart would spend again

    def __post_init__(self) -> None:
        self.telescope = Telescope(self.site.telescope) if self.site.telescope else None
        kinds = self.sources if isinstance(self.sources, Mapping) else dict.fromkeys(self.sources, PACKET)
        self.watermark = Clocks(self.engines, kinds)
        self.notices = Notices()
        self.spent = {engine.name: Spent() for engine in self.engines}
        self.conclusions = Conclusions(self.engines, self._told, live=True)
        self._pool = ThreadPoolExecutor(self.threads)
        self._stored: dict[tuple[str, str], int] = {}
        self._waiting: list[Concluded] = []
        self._late: dict[str, int] = {}
        self._clock = 0
        self._saved: dict[str, str] = {}  # name -> digest, of the last checkpoint
        self._carried: dict[str, int | None] = {}  # name -> end of the span that the saved carry is of
        self._last: dict[str, pa.Table] = {}  # name -> the saved table

    @property
    def findings(self) -> int:
        """How many were stored since the start."""
        return sum(self.by_severity.values())

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    # Going on

    def take(self, segment: Segment) -> None:
        """Show a segment's rows to the engines, and conclude what is over."""
        if segment.number != self.segment + 1 and self.segment:
            raise ValueError(f"segment {segment.number} after {self.segment}: the journal has a hole")
        begin, taken = time.thread_time(), self._taking_in
        self._clock = segment.clock
        for event in segment.events:
            if event.get("type") == "member":
                self.watermark.member(str(event["of"]), str(event["source"]), event["kinds"])
        for source, batch in segment.batches():
            self._rows(source, batch, segment.clock)
        self._records(segment)
        self.notices.take(segment)
        for event in segment.events:
            if event.get("type") == "heartbeat":
                self.watermark.heartbeat(str(event["source"]), int(event["time"]))
            elif event.get("type") in ("finished", "idle"):
                self.watermark.finish(str(event["source"]))
        self.segment = segment.number
        self.rows = segment.end_row
        reached = self.watermark.reached()
        if reached:
            self.conclusions.until(reached)
            if self._waiting:
                self._keep()
        self._count_late()
        self.again += time.thread_time() - begin + self._taking_in - taken

    @property
    def _taking_in(self) -> float:
        """CPU seconds of the pool's threads."""
        return sum(spent.summarise for spent in self.spent.values())

    def _rows(self, source: str, batch: pa.RecordBatch, clock: int) -> None:
        if self.telescope is not None:
            batch = self.telescope.keep(batch)
        ts = column(batch, "ts")
        if not len(ts):
            return
        if int(ts.max()) > clock + AHEAD:
            early = ts > clock + AHEAD
            self.notices.ahead(source, int(early.sum()), clock)
            batch, ts = batch.filter(pa.array(~early)), ts[~early]
            if not len(ts):
                return
        self.latest = max(self.latest, int(ts.max()))
        self._show(PACKET, batch, ts, self.watermark.rows(source, ts))

    def _show(
        self, kind: str, batch: pa.RecordBatch, ts: np.ndarray, before: Mapping[str, np.ndarray]
    ) -> None:
        tasks = [
            self._pool.submit(self._summarise, windows, batch, ts, before[windows.engine.name])
            for windows in self.conclusions.windows
            if kind in windows.engine.reads
        ]
        for task in tasks:
            task.result()

    def _records(self, segment: Segment) -> None:
        """Records of other kinds that came with a segment."""
        events = told(segment.events)
        if not events:
            return
        if self.records is None:
            raise ValueError(f"segment {segment.number} names records, and there is no folder of them")
        for event, (source, batch) in zip(events, self.records.read(segment.number), strict=True):
            kind = kind_of(batch)
            ts = self._plausible(source, times(batch, KINDS[kind].time), segment.clock)
            good = ts != _NO_TIME
            if not good.all():
                batch, ts = batch.filter(pa.array(good)), ts[good]
            if len(ts):
                self.latest = max(self.latest, int(ts.max()))
                low = {name: self.watermark.before(name) for name in self.watermark.group}
                before = {name: np.full(len(ts), _NEVER if t is None else t) for name, t in low.items()}
                if kind == REPORT:  # of the past by nature: each counts in the span it comes in
                    ts = np.maximum(ts, max((t for t in low.values() if t is not None), default=_NEVER))
                self._show(kind, batch, ts, before)
            if event["promise"] is not None:
                self.watermark.promise(source, int(event["promise"]))

    def _plausible(self, source: str, ts: np.ndarray, clock: int) -> np.ndarray:
        """The times, ``_NO_TIME`` where they cannot be true, after saying so."""
        early, old = ts > clock + AHEAD, ts < EARLIEST
        if early.any():
            self.notices.ahead(source, int(early.sum()), clock, "records")
        if old.any():
            self.notices.ancient(source, int(old.sum()), clock)
        return np.where(early | old, _NO_TIME, ts)

    def _summarise(self, windows: Any, batch: pa.RecordBatch, ts: np.ndarray, before: np.ndarray) -> None:
        begin = time.thread_time()
        windows.add_live(batch, ts, before, self.conclusions.lateness[windows.engine.name])
        self.spent[windows.engine.name].summarise += time.thread_time() - begin

    def _count_late(self) -> None:
        for windows in self.conclusions.windows:
            name = windows.engine.name
            before = self._late.get(name, 0)
            if windows.late > before:
                noun = "packets" if windows.engine.reads == (PACKET,) else "records"
                self.notices.late(name, windows.late - before, self._clock, noun)
            self._late[name] = windows.late

    def _told(self, concluded: Concluded) -> None:
        self.spent[concluded.engine.name].conclude += concluded.cpu_seconds
        stored = self._stored.get((concluded.engine.name, concluded.span))
        if stored is not None and concluded.end <= stored:
            return
        if concluded.outcome.findings or concluded.outcome.tables:
            self._waiting.append(concluded)

    def _keep(self) -> None:
        """Store the conclusions that were just drawn, all in one transaction; a full disk is waited for."""
        waiting, self._waiting = self._waiting, []
        findings = [finding for one in waiting for finding in one.outcome.findings]
        counted = self.past.recount(findings, self.segment)
        waited = False
        while True:
            try:
                self._store(waiting, iter(counted))
                break
            except StoreError as error:
                if not passes(error) or not self.wait_for_room(str(error)):
                    raise
                waited = True
        if waited:
            self.wait_for_room("")
        for one in counted:
            self.by_severity[one.severity] = self.by_severity.get(one.severity, 0) + 1

    def _store(self, waiting: Sequence[Concluded], counted: Iterator[Finding]) -> None:
        found = [tuple(next(counted) for _ in one.outcome.findings) for one in waiting]
        written = [
            self.tables.write(one.span, one.start, outcome_tables(one), mine, one.engine.name)
            for one, mine in zip(waiting, found, strict=True)
        ]
        places: dict[tuple[str, int], dict[str, Place]] = {}
        for one, files in zip(waiting, written, strict=True):
            paths = {name: f"{self.tables.folder.name}/{path}" for name, path, _, _ in files}
            for name, table in outcome_tables(one).items():
                places.setdefault((one.span, one.start), {})[name] = Place(
                    paths.get(name, ""), table.schema, empty=name not in paths
                )
        with Answers(self.tables.folder.parent) as answers:
            of = [places.get((one.span, one.start), {}) for one in waiting]
            asked = [(finding, here) for here, mine in zip(of, found, strict=True) for finding in mine]
            plain = log_checks.count([finding for finding, _ in asked])
            asked = [(finding, here) for finding, (_, here) in zip(plain, asked, strict=True)]
            answered = iter(count_all(asked, answers))
            found = [tuple(next(answered) for _ in mine) for mine in found]
        stored = []
        for one, mine, files in zip(waiting, found, written, strict=True):
            stored.append(
                Conclusion(
                    one.engine.name, one.engine.version, one.span, one.start, one.end, self.segment,
                    findings=mine, tables=files,
                    messages=tuple(message for finding in mine for message in self.messages(finding)),
                    clock=self._clock,
                )
            )  # fmt: skip
        self.casebook.conclude_all(stored)

    # Stopping and starting again

    def checkpoint(self, clock: int) -> float:
        """Save where the ledger stands; gives the CPU seconds that it took. What has not changed since the last
        checkpoint is not written again."""
        begin = time.thread_time()
        digests: dict[str, str] = {}
        about: dict[str, Any] = {
            "segment": self.segment,
            "watermark": self.watermark.state(),
            "rows": self.rows,
            "latest": self.latest,
            "late": self._late,
            "engines": {},
        }
        held = {name: digest for name, digest in self._saved.items() if self.states.has(digest)}
        for windows in self.conclusions.windows:
            engine = windows.engine
            numbers = self._save_windows(windows, held, digests)
            about["engines"][engine.name] = {
                "version": engine.version,
                "settings": digest_of(self.site, engine),
                "windows": numbers,
                "last_end": {s: end for (n, s), end in self.conclusions.last_end.items() if n == engine.name},
                "wake": {s: at for (n, s), at in self.conclusions.wake.items() if n == engine.name},
            }
        carried = self._save_carries(held, digests)
        findings = self.notices.changed()
        about["notices"] = self.notices.state()
        last = {f"last/{name}": table for name, table in self.conclusions.newest.items()}
        for name, table in last.items():
            same = name in held and self._last.get(name) is table
            digests[name] = held[name] if same else self.states.put(_table_bytes(table))
        digests["ledger"] = self.states.put(json.dumps(about, sort_keys=True).encode())
        self.casebook.checkpoint(
            Checkpoint(
                self.segment, digests, clock, findings,
                tuple(message for finding in findings for message in self.messages(finding)),
            )
        )  # fmt: skip
        self.notices.stored()
        for windows in self.conclusions.windows:
            windows.saved()
        self._saved, self._carried, self._last, self.again = digests, carried, last, 0.0
        self.states.sweep(self.casebook.state_digests())
        return time.thread_time() - begin

    def _save_windows(
        self, windows: Any, held: Mapping[str, str], digests: dict[str, str]
    ) -> Mapping[str, Any]:
        """Open summaries; ``held``: what the last checkpoint has, ``digests``: what this one has. Gives the rest."""
        known = {name for name in windows.names() if f"{windows.engine.name}/{name}" in held}
        numbers, states = windows.state(known)
        for name in windows.names():
            full = f"{windows.engine.name}/{name}"
            digests[full] = self.states.put(states.pop(name)) if name in states else held[full]
        return cast("Mapping[str, Any]", numbers)

    def _save_carries(self, held: Mapping[str, str], digests: dict[str, str]) -> dict[str, int | None]:
        """What engines remember; gives of which span's end that is. A carry is as it was until the next span is
        concluded."""
        carried = {}
        for (engine, span), carry in self.conclusions.carries.items():
            if carry is None or isinstance(carry, Nothing):
                continue
            name, end = f"{engine}/carry/{span}", self.conclusions.last_end.get((engine, span))
            same = name in held and name in self._carried and self._carried[name] == end
            digests[name] = held[name] if same else self.states.put(carry.to_bytes())
            carried[name] = end
        return carried

    def report(self, clock: int) -> None:
        """Store what the runner has noticed itself, between two checkpoints; a replay notices the same again."""
        findings = self.notices.changed()
        if findings:
            messages = [message for finding in findings for message in self.messages(finding)]
            self.casebook.record(findings, messages, clock)
            self.notices.stored()

    def restore(self) -> list[str]:
        """Load the last checkpoint; gives what could not be kept, in words."""
        for windows in self.conclusions.windows:
            for span in windows.spans:
                end = self.casebook.concluded(windows.engine.name, span)
                if end is not None:
                    self._stored[(windows.engine.name, span)] = end
        point = self.casebook.last_checkpoint()
        if point is None:
            return []
        about = json.loads(self.states.get(point.states["ledger"]))
        self.segment, self.rows, self.latest = about["segment"], about["rows"], about["latest"]
        self.watermark.restore(about["watermark"])
        self.notices.restore(about["notices"])
        self._late = dict(about["late"])
        lost = []
        for windows in self.conclusions.windows:
            held = about["engines"].get(windows.engine.name)
            if held is None:
                continue
            lost += self._restore_engine(windows, held, point.states)
        for name, digest in point.states.items():
            if name.startswith("last/"):
                table = _table_of(self.states.get(digest))
                self.conclusions.newest[name.removeprefix("last/")] = self._last[name] = table
                self._saved[name] = digest
        return lost

    def _restore_engine(self, windows: Any, held: Mapping[str, Any], digests: Mapping[str, str]) -> list[str]:
        engine = windows.engine
        mine = {
            n.removeprefix(f"{engine.name}/"): d
            for n, d in digests.items()
            if n.startswith(f"{engine.name}/")
        }
        lost = []
        same = held["version"] == engine.version and held["settings"] == digest_of(self.site, engine)
        carries = {n.removeprefix("carry/"): d for n, d in mine.items() if n.startswith("carry/")}
        for span, digest in carries.items():
            if span in windows.spans:
                # What an engine remembers outlives a change of its settings: thresholds change, families stay.
                try:
                    carry = engine.carries.from_bytes(self.states.get(digest))
                except ValueError as error:
                    lost.append(
                        f"{engine.name}: what it remembered of its {span} spans is lost, this version does not read "
                        f"it ({error})"
                    )
                    self.notices.forgot(engine.name, span, str(error), self.latest)
                else:
                    self.conclusions.carries[(engine.name, span)] = carry
        for name in ("last_end", "wake"):
            getattr(self.conclusions, name).update(
                {(engine.name, span): at for span, at in held[name].items() if span in windows.spans}
            )
        summaries = {n: d for n, d in mine.items() if not n.startswith("carry/")}
        try:
            given = {n: self.states.get(d) for n, d in summaries.items()} if same else {}
            windows.restore(held["windows"], given)
        except ValueError:
            same = False
        if not same and summaries:
            rows = self._rebuild(windows, held["windows"], [int(n.partition("/")[2]) for n in summaries])
            lost.append(
                f"{engine.name} has another version or settings than before: its open spans were summarised again "
                f"from {rows:,} packets that are still held"
            )
        if same:
            self._saved |= {f"{engine.name}/{name}": digest for name, digest in mine.items()}
            self._carried |= {
                f"{engine.name}/carry/{span}": self.conclusions.last_end.get((engine.name, span))
                for span in carries
                if (engine.name, span) in self.conclusions.carries
            }
        return lost

    def _rebuild(self, windows: Any, numbers: dict[str, Any], starts: Sequence[int]) -> int:
        """Summarise what is open again, from its packets; spans that are concluded stay as they are."""
        windows.tiles = {}
        windows.open = {span: {} for span in windows.spans}
        windows.closed_before, rows = min(starts), 0
        for batch, ts in self._held(windows.engine, min(starts)):
            early = ts <= self.latest  # packets of the future are shown to no engine
            if not early.all():
                batch, ts = batch.filter(pa.array(early)), ts[early]
            windows.add(batch, ts)
            rows += len(ts)
        windows.close_until(int(numbers["closed_before"]))
        windows.late = int(numbers["late"])
        for span, held in windows.open.items():
            end = self.conclusions.last_end.get((windows.engine.name, span), 0)
            for start in [start for start in held if start + windows.spans[span] <= end]:
                del held[start]
        return rows

    def _held(self, engine: AnyEngine, start: int) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """Everything that an engine reads and that is still there, from ``start`` (ns)."""
        if PACKET in engine.reads:
            for _, batch, ts in self.past.rows(start, 1 << 62, engine.columns, self.segment):
                yield batch, ts
        for _, batch in self.records.through(self.segment) if self.records is not None else ():
            kind = kind_of(batch)
            if kind in engine.reads:
                ts = times(batch, KINDS[kind].time)
                inside = ts >= start
                yield batch.filter(pa.array(inside)), ts[inside]


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _table_of(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def state_folder(store: Path) -> Path:
    """Where carries and open summaries are."""
    return store / "state"
