"""What discovery costs: CPU and memory of summarise, merge and conclude, and how they grow with the packets.

    python benchmarks/fingerprint/cost.py --packets 10000000 [--mix families|flood|default] [--seed 1]
    python benchmarks/fingerprint/cost.py --packets 100000000 --folder /var/tmp

Packets come from the simulator in batches and are never stored. *families*: the sixteen planted fingerprints and as
many sources of noise, sources in proportion to the packets, heavy-tailed packets per source. *flood*: the same with
30 % of the packets from a flood that makes up a new source for each. *default*: the simulator's default world.

Three fresh processes, so that each phase's peak memory is its own. *summarise*: nanoseconds of CPU per packet
(generation is not counted), beside a copy of the same columns and the engine ``darknet.tools`` on the same batches.
*merge*: two summaries, of every other batch each, into one; it must equal the one that took in all. *conclude*: CPU
seconds by layer. Compilation is not counted. Bars: conclude <= 60 CPU s and <= 2 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import thread_time
from typing import Any, TypeVar

import pyarrow as pa

from andon.detect.darknet.fingerprint import discover as search
from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.detect.darknet.fingerprint.summary import FingerprintSummary
from andon.detect.darknet.tools import ToolsEngine
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.simulate.fingerprints import benchmark_config
from andon.simulate.internet import Family, InternetConfig, packets

MIXES = ("families", "flood", "default")
FLOOD = 0.3  # of all packets
DAY = 86_400_000_000_000
HALVES = ("even", "odd")
T = TypeVar("T")


def configured(mix: str, seed: int, count: int) -> InternetConfig:
    """The simulation of a mix."""
    if mix == "default":
        return InternetConfig(seed=seed, packets=count, contamination=0.05)
    config = benchmark_config(seed, count, 0.05)
    if mix == "families":
        return config
    noise = config.noise * (1 - FLOOD)
    weights = sum(family.weight for family in config.families or ())
    flood = Family(
        name="flood", tool="flood", kind="flood", purpose="none", sources=1,
        weight=weights * FLOOD / (1 - noise - FLOOD), ports=((80, 1),),
    )  # fmt: skip
    return replace(config, noise=noise, extra=(flood,))


def memory(reset: bool = False) -> dict[str, int]:
    """Resident memory now and at its peak since the last reset, in MB (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    lines = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text("ascii").splitlines()
        if ":" in line
    )
    return {name: int(lines[key].split()[0]) // 1024 for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))}


def timed(spent: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """What ``work`` gives; its CPU seconds are added to ``spent[name]``."""
    begin = thread_time()
    made = work()
    spent[name] = spent.get(name, 0.0) + thread_time() - begin
    return made


def copied(batch: pa.RecordBatch, names: tuple[str, ...]) -> int:
    """Copy these columns of a batch; gives their bytes."""
    return sum(column(batch, name).copy().nbytes for name in names)


def warmed(mix: str) -> Iterator[pa.RecordBatch]:
    """A few packets of the same mix, to compile what the measured run will use."""
    return packets(configured(mix, 0, 30_000))


def summarise(mix: str, seed: int, count: int, folder: Path) -> dict[str, Any]:
    """Stream the packets through the engine; its summaries go to the folder."""
    ours, tools = FingerprintEngine(Site()), ToolsEngine(Site())
    for batch in warmed(mix):
        other = ours.summarise(batch, ours.empty())
        ours.merge(ours.empty(), other)
        tools.summarise(batch, tools.empty())
    whole, halves, beside = ours.empty(), [ours.empty(), ours.empty()], tools.empty()
    spent: dict[str, float] = {}
    apart = {"apart": 0.0}
    progress: list[dict[str, float]] = []
    size = done = 0
    before = 0.0
    mark = max(1, count // 8)
    stream = iter(packets(configured(mix, seed, count)))
    timed(spent, "generate", lambda: next(packets(configured(mix, seed, 1))))
    memory(reset=True)
    at = 0
    while True:
        batch = timed(spent, "generate", lambda: next(stream, None))
        if batch is None:
            break
        done += batch.num_rows
        size += timed(spent, "copy", lambda batch=batch: copied(batch, ours.columns))  # type: ignore[misc]
        timed(spent, "tools", lambda batch=batch: tools.summarise(batch, beside))  # type: ignore[misc]
        timed(spent, "fingerprint", lambda batch=batch: ours.summarise(batch, whole))  # type: ignore[misc]
        timed(apart, "apart", lambda batch=batch, at=at: ours.summarise(batch, halves[at % 2]))  # type: ignore[misc]
        at += 1
        if done // mark > (done - batch.num_rows) // mark:
            now = spent["fingerprint"]
            progress.append({"packets": done, "ns": (now - before) / mark * 1e9, "position": whole.position})
            before = now
    per = {name: value / done * 1e9 for name, value in spent.items()}
    state = whole.to_bytes()
    (folder / "whole").write_bytes(state)
    for name, half in zip(HALVES, halves, strict=True):
        (folder / name).write_bytes(half.to_bytes())
    return {
        "packets": done,
        "syn": whole.packets,
        "ns_per_packet": {name: round(value, 1) for name, value in per.items()} | {
            "fingerprint, halves": round(apart["apart"] / done * 1e9, 1)
        },
        "ns_per_eighth": [f"{p['ns']:.0f} at position {p['position']}" for p in progress],
        "times_a_copy": round(per["fingerprint"] / per["copy"], 1),
        "times_tools": round(per["fingerprint"] / per["tools"], 2),
        "bytes_copied_per_packet": round(size / done, 1),
        "summary_mb": round(whole.nbytes / 1e6, 1),
        "state_mb": round(len(state) / 1e6, 1),
        "position": whole.position,
        "one_source_in": 2**whole.level,
        "process_peak_mb": memory()["peak"],
    }  # fmt: skip


def merge(folder: Path) -> dict[str, Any]:
    """Merge the halves; the outcome must be the summary of the whole."""
    data = [(folder / name).read_bytes() for name in HALVES]
    warm = FingerprintSummary.from_bytes(data[0])
    warm.merge(FingerprintSummary(warm.key))
    del warm
    spent: dict[str, float] = {}
    first = timed(spent, "restore", lambda: FingerprintSummary.from_bytes(data[0]))
    second = FingerprintSummary.from_bytes(data[1])
    memory(reset=True)
    timed(spent, "merge", lambda: first.merge(second))
    peak = memory()["peak"]
    made = timed(spent, "to_bytes", first.to_bytes)
    same = made == (folder / "whole").read_bytes()
    return {
        "cpu_seconds": {name: round(value, 2) for name, value in spent.items()},
        "equal_to_the_whole": same,
        "process_peak_mb": peak,
    }


def conclude(mix: str, folder: Path) -> dict[str, Any]:
    """Conclude the summary in this process."""
    spent: list[dict[str, float]] = []
    original = search.discover

    def recorded(*given: Any, **named: Any) -> Any:
        made = original(*given, **named)
        spent.append(made.spent)
        return made

    search.discover = recorded
    engine = FingerprintEngine(Site())
    small = engine.empty()
    for batch in warmed(mix):
        engine.summarise(batch, small)
    engine.conclude(small, None, Context("1d", 0, DAY))
    spent.clear()
    parts: dict[str, float] = {}
    summary = timed(parts, "restore", lambda: FingerprintSummary.from_bytes((folder / "whole").read_bytes()))
    before = memory(reset=True)["now"]
    rows = timed(parts, "sample", lambda: summary.sample().rows)
    sources = len(summary.sample().src)
    outcome = timed(parts, "conclude", lambda: engine.conclude(summary, None, Context("1d", 0, DAY)))
    layers = spent[0] if spent else {}
    return {
        "sample_packets": rows,
        "sample_sources": sources,
        "cpu_seconds": round(parts["conclude"], 1),
        "by_layer": {name: round(value, 2) for name, value in layers.items()},
        "sample_cpu_seconds": round(parts["sample"], 2),
        "report_cpu_seconds": round(parts["conclude"] - parts["sample"] - sum(layers.values()), 2),
        "families": [
            f"{f.subject[1]}: {f.attributes.get('sources', '')}"
            for f in outcome.findings
            if f.kind == "scanner-fingerprint"
        ],
        "left_out": outcome.tables["coverage"].to_pylist()[0].get("left_out", ""),
        "process_mb": {"before": before, "peak": memory()["peak"]},
    }


def phase(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Carry out a phase in a fresh process."""
    command = [
        sys.executable, __file__, "--phase", name, "--mix", options.mix, "--seed", str(options.seed),
        "--packets", str(options.packets), "--folder", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--mix", choices=MIXES, default="families")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default="summarise,merge,conclude")
    parser.add_argument(
        "--folder", type=Path, help="where summaries go (250 MB); they stay there if it is given"
    )
    parser.add_argument("--phase", choices=("summarise", "merge", "conclude"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase == "summarise":
        print(json.dumps(summarise(options.mix, options.seed, options.packets, options.folder)))
    elif options.phase == "merge":
        print(json.dumps(merge(options.folder)))
    elif options.phase == "conclude":
        print(json.dumps(conclude(options.mix, options.folder)))
    if options.phase:
        return 0
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.phases.split(","):
            made = phase(name, options, folder)
            print(json.dumps({name: made}, indent=1), flush=True)
            good &= made.get("equal_to_the_whole", True)
            if name == "conclude":
                good &= made["cpu_seconds"] <= 60 and made["process_mb"]["peak"] <= 2048
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
