"""Inputs in which every built-in engine finds something to summarise, and the live runner fed with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cluster_inputs import PREFIXES, SECOND, START, Ran

from andon.learn.registry import shipped
from andon.observe.live.source import Piece
from andon.observe.reputation import merged, reputation
from andon.records.contract import Organisation, Site
from andon.records.kinds import KINDS, PACKET, marked
from andon.records.packet import COLUMNS
from andon.run.digests import Recorder
from andon.run.engines import load_engines
from andon.run.feed import Feed
from andon.run.inputs import Inputs, with_assets
from andon.run.live.ledger import Ledger
from andon.run.live.past import Past
from andon.run.live.pump import Pump
from andon.run.live.records import RecordFiles
from andon.run.live.shed import Shedder
from andon.run.live.tables import SpanTables
from andon.run.shelf import Shelf, times
from andon.simulate import alerts, internet, joint, organisation
from andon.store.casebook import Casebook
from andon.store.casebook.files import StateFiles
from andon.store.history import History
from andon.store.journal import Journal

ON_REQUEST = ("darknet.glasso", "darknet.nmf", "darknet.ntd", "darknet.changefinder")
_BEGIN = datetime.fromtimestamp(START, UTC)


def everything(folder: Path) -> list[Path]:
    """Packets of a telescope over 26 hours, honeypots, sightings, reports, assets, a proxy, flows and alerts."""
    family = internet.parse_family("a:tcp.seq == ip.dst ^ 0x1234:20")
    config = internet.InternetConfig(
        seed=11, packets=3000, duration=26 * 3600.0, start=_BEGIN, telescope=PREFIXES, extra=(family,)
    )
    internet.simulate(config, folder / "internet")
    joint.simulate(joint.Scenario(7, 2.0, _BEGIN, 40, 2, 2), folder / "joint", 0.01)
    of = organisation.Scenario(seed=7, terminals=20, days=1, start=_BEGIN)
    organisation.simulate(of, folder / "organisation", ("squid", "flows"))
    alerts.simulate(
        alerts.Scenario(seed=7, days=1, terminals=20, alerts=1000, true=2, false=5, start=_BEGIN),
        folder / "alerts",
    )
    names = ["internet/capture.pcap", "joint/capture.pcap", "joint/cowrie.json", "joint/log_session.json"]
    names += ["joint/tanner_report.json", "joint/darknet_sources.parquet", "joint/reports.jsonl"]
    names += ["joint/assets.csv", "organisation/access.log", "organisation/zeek/conn.log"]
    names += ["alerts/eve.json", "alerts/wazuh.json"]
    return [folder / name for name in names]


def site_of(folder: Path) -> Site:
    """Of those inputs. The search for fingerprints is given little: its limit counts rows, not seconds."""
    lists = folder / "organisation" / "lists"
    tables = [reputation(lists / f"{colour}.csv", colour, None)[0] for colour in ("black", "white")]
    return Site(
        telescope=PREFIXES,
        models=shipped(),
        reputation=merged(tables),
        organisations=(Organisation("example", ("203.0.113.0/24",)),),
        settings={
            "darknet.fingerprint.cpu_seconds": 0.2,
            "darknet.fingerprint.cpu_seconds_again": 0.05,
        },
    )


class InOrder:
    """A source of the live runner that gives what it has, in the order of time, and says how far it is; in the end,
    that there is nothing more before ``end`` (ns), as whoever reads files to their end knows."""

    replayable = can_wait = True
    trouble = ""

    def __init__(
        self, name: str, kind: str, pieces: Iterator[tuple[pa.RecordBatch, np.ndarray]], end: int
    ) -> None:
        self.name, self.kind = name, kind
        self._pieces = [
            (part, int(ts[at : at + 500][-1]))
            for batch, ts in pieces
            for at in range(0, batch.num_rows, 500)
            for part in [_whole(batch.slice(at, 500))]
        ]
        if kind != PACKET:
            self._pieces.append((self._pieces[-1][0].slice(0, 0), end))
        self._given = 0

    def open(self, position: Any) -> None:
        self._given = 0 if position is None else int(position["given"])

    def poll(self, timeout: float) -> list[Piece]:
        if self.finished:
            return []
        batch, last = self._pieces[self._given]
        self._given += 1
        if self.kind == PACKET:
            return [Piece(batch, {"given": self._given})]
        return [Piece(marked(batch, self.kind), {"given": self._given, "promise": last})]

    def events(self) -> list[dict[str, Any]]:
        return []

    def quiet(self) -> int | None:
        return None

    @property
    def finished(self) -> bool:
        return self._given == len(self._pieces)

    def close(self) -> None:
        pass


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [pa.concat_arrays([column]) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def live(folder: Path, paths: Sequence[Path], site: Site) -> Ran:
    """The live runner's own threads, journal, ledger and casebook over the same records; the end of the input is
    concluded, as it is in a file."""
    inputs = Inputs.of([str(path) for path in paths])
    site = with_assets(site, inputs)
    engines = load_engines(site, None, ON_REQUEST)
    sources = _sources(inputs)
    casebook = Casebook(folder)
    casebook.migrate()
    journal, history = Journal(folder / "journal"), History(folder / "history")
    records = RecordFiles(folder / "records", journal.last)
    ledger = Ledger(
        engines, site, {source.name: source.kind for source in sources}, casebook, StateFiles(folder / "state"),
        SpanTables(folder / "tables"), Past(journal, history, None), lambda finding: (), threads=2,
        records=records,
    )  # fmt: skip
    recorder = Recorder()
    ledger.conclusions.watched_by(recorder)
    end = (START + 30 * 86_400) * SECOND
    pump = Pump(
        sources, journal, ledger, Shedder(10**9, site.hash_key), lambda: end, 10**15, 4000, 10**15,
        records=records,
    )  # fmt: skip
    ledger.restore()
    watchdog = threading.Timer(300, pump.stop)
    watchdog.start()
    try:
        pump.run([])
        ledger.conclusions.until(None)
    finally:
        watchdog.cancel()
        ledger.close()
        casebook.close()
    late = {name: number for name, number in ledger._late.items() if number}
    assert not late, late
    return Ran(None, recorder)  # type: ignore[arg-type]


def _sources(inputs: Inputs) -> list[InOrder]:
    feed = Feed(inputs.captures, COLUMNS, None, cut=86_400 * SECOND)
    batches = [batch.select(list(COLUMNS)) for _, batch, _, _ in feed]
    whole = pa.Table.from_batches(batches).sort_by("ts").combine_chunks().to_batches()[0]
    sources = [InOrder("tap", PACKET, iter([(whole, times(whole, "ts"))]), 0)]
    end = int(times(whole, "ts")[-1])
    with Shelf(set(KINDS) - {PACKET}) as shelf:
        for sensor, report in inputs.records:
            for _ in shelf.add(sensor, report):
                pass
        pieces = [(kind, batch, ts) for kind, batch, ts, _ in shelf.pieces()]
    for kind in sorted({kind for kind, _, _ in pieces}):
        mine = ((batch, ts) for name, batch, ts in pieces if name == kind)
        sources.append(InOrder(kind, kind, mine, end))
    return sources
