"""One job: engines on a scenario, day by day, with a checkpoint at every midnight.

A checkpoint holds the carries of the engines, the newest tables for those that read them, the counts of packets and
the alerts so far; the scenario itself is played again and skipped, for a simulated packet costs a fraction of an
analysed one. Everything is written to a new folder that is then named as the latest, so that a run may be killed at
any time.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.records.contract import Site
from andon.run.conclusions import Concluded, Conclusions
from andon.run.engines import BUILT_IN, AnyEngine, choose, in_order
from andon.simulate.coordination import Scenario, World, campaign_table, event_table, port_set_table
from andon.simulate.coordination.columns import Columns
from andon.simulate.coordination.stream import slices
from andon.simulate.internet.capture import BATCH_ROWS
from andon.simulate.internet.options import option_table, payload_table
from andon.simulate.score_alerts import read_events
from andon.simulate.score_volume import Volume

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
KEPT = {  # tables that are kept beside the alerts
    "darknet.portsets": ("families", "births", "coverage"),
    "darknet.campaigns": ("campaigns",),
}
PLACES = {24: "198.18.7.0/24", 22: "198.18.4.0/22", 20: "198.18.0.0/20", 16: "198.18.0.0/16"}


@dataclass(frozen=True)
class Job:
    """What is run once; the name is that of its folder."""

    experiment: str
    engines: tuple[str, ...]
    prefix: int
    seed: int
    days: float
    calm: float | None = None
    quiet: bool = False
    rate: float = 0.067
    before_mirai: bool = False
    label: str = ""

    @property
    def name(self) -> str:
        who = "+".join(e.removeprefix("darknet.") for e in self.engines)
        name = f"{self.experiment}-{who}-{self.prefix}-seed{self.seed}-{self.days:g}d"
        return f"{name}-{self.label}" if self.label else name

    @property
    def scenario(self) -> Scenario:
        return Scenario(
            self.seed, (PLACES[self.prefix],), self.days, rate=self.rate, quiet=self.quiet, calm=self.calm,
            before_mirai=self.before_mirai,
        )  # fmt: skip


# Engines whose tables of an earlier span are read if they are there: this one decides who is a survey, the others
# only name what was found.
COMPANIONS = ("darknet.purpose",)


def load(names: tuple[str, ...], site: Site) -> list[AnyEngine]:
    """The engines of these names, listed or not yet, with all that they need of the same span, and ``COMPANIONS``."""
    modules = list(dict.fromkeys([*BUILT_IN, *(f"andon.detect.{name}" for name in names)]))
    every = [engine for engine in (import_module(m).engine(site) for m in modules) if engine is not None]
    wanted = list(names)
    for engine in choose(every, wanted):  # what it reads of an earlier span, too
        before = (n.split(":")[0] for n in engine.needs if n.endswith("@last"))
        wanted += [name for name in before if name in COMPANIONS and name not in wanted]
    return in_order(choose(every, wanted))


class Play:
    """Runs a job in a folder of its own under ``state``."""

    def __init__(self, job: Job, state: Path) -> None:
        self.job, self.folder = job, state / job.name
        self.scenario = job.scenario
        self.engines = load(job.engines, Site(telescope=self.scenario.telescope))
        self.conclusions = Conclusions(self.engines, self._told)
        self.tables: dict[str, list[pa.Table]] = {}
        self.world = World(self.scenario)
        self.events = event_table(World(self.scenario))
        ports = {pair for event in read_events(self.events) for pair in event.ports}
        self.volume = Volume(ports, self.scenario.start_ns, self.scenario.end_ns)
        self.members: list[dict[str, Any]] = []
        self.truth = self._campaign_truth()
        self.reached = self.scenario.start_ns
        self.figures: dict[str, Any] = {
            "packets": 0, "simulate": 0.0, "run": 0.0,
            "engines": {
                e.name: {"summarise": 0.0, "conclude": 0.0, "longest": 0.0, "spans": 0, "bytes": 0}
                for e in self.engines
            },
        }  # fmt: skip

    def _campaign_truth(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """day -> (sources sorted, name of the campaign of each), if campaigns are followed."""
        if "darknet.campaigns" not in self.job.engines or self.job.quiet:
            return {}
        table = campaign_table(World(self.scenario))
        day, src = table["day"].cast(pa.int64()).to_numpy(), table["src"].to_numpy()
        name = np.array(table["campaign"].to_pylist())
        found = {}
        for d in np.unique(day).tolist():
            mine = np.flatnonzero(day == d)
            order = mine[np.argsort(src[mine], kind="stable")]
            found[d] = (src[order], name[order])
        return found

    @property
    def done(self) -> bool:
        return (self.folder / "done.json").exists()

    def run(self, deadline: float) -> bool:
        """Play until the end (True) or until the first midnight after ``deadline`` (``time.monotonic``)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        columns = Columns(option_table(), payload_table())
        needed = list(
            dict.fromkeys(["ts", "proto", "dst_port", *(c for e in self.engines for c in e.columns)])
        )
        begun = time.thread_time()
        midnight = self.reached + DAY
        for rows, order in slices(self.world):
            last = int(rows["ts"][order[-1]])
            if last < self.reached:
                continue
            while last >= midnight:
                self._until(midnight)
                self.figures["simulate"] += time.thread_time() - begun
                self._save(midnight)
                if time.monotonic() > deadline:
                    return False
                begun = time.thread_time()
                midnight += DAY
            made = [
                columns.batch(rows, order[i : i + BATCH_ROWS]).select(needed)
                for i in range(0, len(order), BATCH_ROWS)
            ]
            self.figures["simulate"] += time.thread_time() - begun
            for batch in made:
                self._add(batch)
            if last % (6 * HOUR) > 5.9 * HOUR:
                self._weigh()
            begun = time.thread_time()
        self._until(None)
        self._finish()
        return True

    def _add(self, batch: pa.RecordBatch) -> None:
        ts = batch["ts"].cast(pa.int64()).to_numpy()
        self.volume.add(batch)
        self.figures["packets"] += batch.num_rows
        for windows in self.conclusions.windows:
            if windows.engine.columns:
                begun = time.thread_time()
                windows.add(batch, ts)
                self.figures["engines"][windows.engine.name]["summarise"] += time.thread_time() - begun
        self._until(int(ts[-1]))

    def _until(self, watermark: int | None) -> None:
        begun = time.thread_time()
        self.conclusions.until(watermark)
        self.figures["run"] += time.thread_time() - begun

    def _weigh(self) -> None:
        """Bytes of the largest open summary of every engine."""
        for windows in self.conclusions.windows:
            figures = self.figures["engines"][windows.engine.name]
            for summary in (
                *windows.tiles.values(),
                *(s for held in windows.open.values() for s in held.values()),
            ):
                figures["bytes"] = max(figures["bytes"], len(summary.to_bytes()))

    def _told(self, concluded: Concluded) -> None:
        name = concluded.engine.name
        figures = self.figures["engines"][name]
        figures["conclude"] += concluded.cpu_seconds
        figures["longest"] = max(figures["longest"], concluded.cpu_seconds)
        figures["spans"] += 1
        for table in ("alerts", *KEPT.get(name, ())):
            if name in self.job.engines and table in concluded.outcome.tables:
                self.tables.setdefault(f"{name}:{table}", []).append(concluded.outcome.tables[table])
        if name == "darknet.campaigns" and concluded.start in self.truth:
            self._match(concluded)

    def _match(self, concluded: Concluded) -> None:
        """How many sources of each true campaign the engine gave to each of its own, on this day."""
        found = concluded.outcome.tables["members"]
        true_src, true_name = self.truth[concluded.start]
        src, named = found["src"].to_numpy(), np.array(found["campaign"].to_pylist(), object)
        at = np.minimum(np.searchsorted(true_src, src), len(true_src) - 1)
        hit = np.flatnonzero(true_src[at] == src)
        sizes = dict(zip(*np.unique(true_name, return_counts=True), strict=True))
        mine = dict(zip(*np.unique(named.astype(str), return_counts=True), strict=True))
        pairs, counts = np.unique(
            np.stack([true_name[at[hit]], named[hit].astype(str)], axis=1), axis=0, return_counts=True
        )
        for true, size in sizes.items():
            self.members.append(
                {"day": concluded.start, "true": str(true), "found": "", "both": 0, "of": int(size), "in": 0}
            )
        for (true, name), both in zip(pairs.tolist(), counts.tolist(), strict=True):
            self.members.append(
                {"day": concluded.start, "true": true, "found": name, "both": both, "of": int(sizes[true]),
                 "in": int(mine[name])}
            )  # fmt: skip

    def _save(self, reached: int) -> None:
        """A checkpoint at a midnight: all spans that ended by then are concluded."""
        folder = self.folder / f"at-{(reached - self.scenario.start_ns) // HOUR}h"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        c = self.conclusions
        keys = []
        for i, ((name, span), carry) in enumerate(c.carries.items()):
            keys.append([name, span, carry is not None])
            if carry is not None:
                (folder / f"carry-{i}").write_bytes(carry.to_bytes())
        open_states = []
        for i, windows in enumerate(c.windows):
            numbers, states = windows.state()
            open_states.append([numbers, list(states)])
            for j, data in enumerate(states.values()):
                (folder / f"open-{i}-{j}").write_bytes(data)
        for i, table in enumerate(c.newest.values()):
            pq.write_table(table, folder / f"newest-{i}.parquet")
        self._write_tables(folder)
        np.save(folder / "volume.npy", self.volume.counts)
        kept = {
            "reached": reached, "figures": self.figures, "carries": keys, "open": open_states,
            "newest": list(c.newest), "last_end": [[*k, v] for k, v in c.last_end.items()],
            "wake": [[*k, v] for k, v in c.wake.items()], "members": self.members, "tables": list(self.tables),
        }  # fmt: skip
        (folder / "state.json").write_text(json.dumps(kept))
        pointer = self.folder / "latest.new"
        pointer.write_text(folder.name)
        pointer.rename(self.folder / "latest")
        for old in self.folder.glob("at-*"):
            if old != folder:
                shutil.rmtree(old)

    def _restore(self) -> None:
        latest = self.folder / "latest"
        if not latest.exists():
            return
        folder = self.folder / latest.read_text()
        kept = json.loads((folder / "state.json").read_text())
        c = self.conclusions
        by_name = {engine.name: engine for engine in self.engines}
        self.reached, self.figures, self.members = kept["reached"], kept["figures"], kept["members"]
        for i, (name, span, there) in enumerate(kept["carries"]):
            data = (folder / f"carry-{i}").read_bytes() if there else b""
            c.carries[(name, span)] = by_name[name].carries.from_bytes(data) if there else None
        for i, (windows, (numbers, names)) in enumerate(zip(c.windows, kept["open"], strict=True)):
            windows.restore(
                numbers, {n: (folder / f"open-{i}-{j}").read_bytes() for j, n in enumerate(names)}
            )
        c.newest = {n: pq.read_table(folder / f"newest-{i}.parquet") for i, n in enumerate(kept["newest"])}
        c.last_end = {(a, b): v for a, b, v in kept["last_end"]}
        c.wake = {(a, b): v for a, b, v in kept["wake"]}
        self.volume.counts = np.load(folder / "volume.npy")
        self.tables = {name: [pq.read_table(folder / _file(name))] for name in kept["tables"]}

    def _write_tables(self, folder: Path) -> None:
        for name, parts in self.tables.items():
            pq.write_table(pa.concat_tables(parts), folder / _file(name), compression="zstd")

    def _finish(self) -> None:
        self._write_tables(self.folder)
        pq.write_table(self.events, self.folder / "events.parquet")
        pq.write_table(port_set_table(World(self.scenario)), self.folder / "port-sets.parquet")
        np.save(self.folder / "volume.npy", self.volume.counts)
        scenario = self.scenario
        result = {
            "job": asdict(self.job), "figures": self.figures, "start": scenario.start_ns, "end": scenario.end_ns,
            "calm": scenario.calm_ns, "members": self.members, "ports": [list(p) for p in self.volume.ports],
            "tables": list(self.tables),
        }  # fmt: skip
        (self.folder / "done.json").write_text(json.dumps(result))
        (self.folder / "latest").unlink(missing_ok=True)
        for old in self.folder.glob("at-*"):
            shutil.rmtree(old)


def _file(table: str) -> str:
    return table.replace(":", "-") + ".parquet"
