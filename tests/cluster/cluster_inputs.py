"""Small inputs for the tests of the cluster runner, and what is compared."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from andon.records.contract import Organisation, Site
from andon.run.batch import Analysis, analyze
from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.executors import Executor
from andon.run.cluster.executors.local import Local
from andon.run.digests import Recorder, of_findings, of_tables
from andon.run.engines import load_engines
from andon.run.inputs import Inputs, with_assets
from andon.simulate.internet import InternetConfig, simulate

PREFIXES = ("192.0.2.0/24", "198.51.100.0/24")
ENGINES = ("darknet.census", "darknet.daedalus", "darknet.tools", "darknet.changefinder")  # cheap ones
START = 1_772_323_200  # 2026-03-01, s
ORGANISATION = Organisation("example", ("203.0.113.0/24",))
SITE = Site(telescope=PREFIXES, organisations=(ORGANISATION,))
SECOND = 1_000_000_000
DAY = 86_400

Packet = tuple[int, int, bytes]  # s, µs, bytes


def capture(path: Path, packets: int = 3000, hours: float = 23.0, seed: int = 11) -> Path:
    """Simulated packets to a telescope of two /24, in time order, from noon of one day to the next."""
    begin = datetime.fromtimestamp(START + DAY // 2, UTC)
    config = InternetConfig(
        seed=seed, packets=packets, duration=hours * 3600.0, start=begin, telescope=PREFIXES
    )
    simulate(config, path.parent / f"{path.name}.made")
    (path.parent / f"{path.name}.made" / "capture.pcap").rename(path)
    return path


def packets_of(path: Path) -> list[Packet]:
    """Records of a capture as ``simulate`` writes it."""
    data = path.read_bytes()
    found, at = [], 24
    while at < len(data):
        second, fraction, length = struct.unpack_from("<III", data, at)
        found.append((second, fraction, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return found


def write_capture(path: Path, packets: Iterable[Packet], like: Path) -> Path:
    """A capture of these packets with the header of another."""
    parts = [like.read_bytes()[:24]]
    parts += [struct.pack("<IIII", s, us, len(data), len(data)) + data for s, us, data in packets]
    path.write_bytes(b"".join(parts))
    return path


@dataclass
class Ran:
    """An analysis with its digests. ``told``: of the cluster runner."""

    analysis: Analysis
    recorder: Recorder
    told: Told = field(default_factory=Told)

    @property
    def digests(self) -> dict[tuple[str, str, int], Any]:
        return self.recorder.seen

    @property
    def summaries(self) -> dict[tuple[str, str, int], str]:
        """Of what was read alone: findings and carries may speak of the end of the input, and of files."""
        return {key: one.summary for key, one in self.recorder.seen.items() if one.summary}

    @property
    def answer(self) -> tuple[str, str, list[dict[str, Any]]]:
        """All that a user gets: findings with exact figures, tables, reports of the files."""
        tables = {f"{name}/{n}": table for name, all_of in self.analysis.tables.items()
                  for n, table in enumerate(all_of)}  # fmt: skip
        reports = [vars(report) for report in self.analysis.files]
        return of_findings(self.analysis.findings), of_tables(tables), reports


def threads(
    paths: Sequence[Path] | Inputs,
    site: Site | None = None,
    engines: Sequence[str] | None = ENGINES,
    also: Sequence[str] = (),
    number: int = 2,
) -> Ran:
    """On the threads runner."""
    inputs, site, loaded = _prepared(paths, site, engines, also)
    recorder = Recorder()
    return Ran(analyze(inputs, site, loaded, threads=number, witness=recorder), recorder)


def cluster(
    work: Path,
    paths: Sequence[Path] | Inputs,
    site: Site | None = None,
    engines: Sequence[str] | None = ENGINES,
    also: Sequence[str] = (),
    executor: Executor | None = None,
    options: dict[str, Any] | None = None,
) -> Ran:
    """On the cluster runner; its tasks in threads of this process if no executor is given."""
    inputs, site, loaded = _prepared(paths, site, engines, also)
    recorder, told = Recorder(), Told()
    if executor is not None:
        made = analyze_on(executor, work, inputs, site, loaded, witness=recorder, told=told, options=options)
        return Ran(made, recorder, told)
    with Local(2) as local:
        made = analyze_on(local, work, inputs, site, loaded, witness=recorder, told=told, options=options)
    return Ran(made, recorder, told)


def _prepared(
    paths: Sequence[Path] | Inputs, site: Site | None, engines: Sequence[str] | None, also: Sequence[str]
) -> tuple[Inputs, Site, list[Any]]:
    inputs = paths if isinstance(paths, Inputs) else Inputs.of([str(path) for path in paths])
    site = with_assets(site or SITE, inputs)
    return inputs, site, load_engines(site, engines, also)


def made_by_stage(told: Told) -> dict[str, int]:
    """How many tasks of each stage did anything."""
    return {name: cost.made for name, cost in told.costs.items()}
