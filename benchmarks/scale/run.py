"""Throughput and peak memory of reading and summarising with all engines.

    python benchmarks/scale/run.py --packets 2000000
    python benchmarks/scale/run.py --packets 100000000 --folder /var/tmp     # needs 9 GB of disk

Bars: >= 2 M packets per CPU second for read and summarise of all engines; peak memory <= 1 GB at 100 M packets.
The measured process is a fresh one, so that the peak is its own. Compilation is not counted (kernels are
warmed on the first batch); conclusions and the second read are reported apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

from andon.observe import read
from andon.records.columns import column
from andon.records.contract import Site
from andon.run.engines import load_engines
from andon.run.windows import EngineWindows
from andon.simulate.internet import InternetConfig, simulate

LATENESS = 60_000_000_000


def measure(capture: Path) -> dict[str, object]:
    """Read and summarise one capture in this process, engine after engine, tiles closed as the runner does."""
    engines = load_engines(Site())
    columns = tuple(dict.fromkeys(name for engine in engines for name in engine.columns))
    warm = next(iter(read(capture, columns=columns)))
    for engine in engines:
        summary = engine.summarise(warm.slice(0, 1000), engine.empty())
        engine.merge(engine.empty(), summary)
    windows = [EngineWindows(engine) for engine in engines]
    cpu = {"read": 0.0} | {engine.name: 0.0 for engine in engines}
    batches = iter(read(capture, columns=columns))
    packets = 0
    while True:
        start = process_time()
        batch = next(batches, None)
        cpu["read"] += process_time() - start
        if batch is None:
            break
        packets += batch.num_rows
        ts = column(batch, "ts")
        for one in windows:
            start = process_time()
            one.add(batch, ts)
            one.close_until(int(ts[0]) - LATENESS)
            list(one.take_closed(int(ts[0]) - LATENESS))
            cpu[one.engine.name] += process_time() - start
    total = sum(cpu.values())
    sizes = {}
    for one in windows:
        one.close_until(None)
        for span, _, _, summary in one.take_closed(None):
            sizes[f"{one.engine.name} {span}"] = len(summary.to_bytes())
    return {
        "packets": packets,
        "cpu_seconds": round(total, 2),
        "million_packets_per_cpu_second": round(packets / total / 1e6, 2),
        "nanoseconds_per_packet": {name: round(value / packets * 1e9, 1) for name, value in cpu.items()},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "summary_bytes": sizes,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument(
        "--hours", type=float, default=0.0, help="length of the capture; default 3,000 packets/s"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the capture goes")
    parser.add_argument("--capture", type=Path, default=None, help="measure this file and nothing else")
    arguments = parser.parse_args()
    if arguments.capture is not None:
        print(json.dumps(measure(arguments.capture)))
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        duration = arguments.hours * 3600 or arguments.packets / 3000
        config = InternetConfig(seed=1, packets=arguments.packets, duration=duration, contamination=0.05)
        made = simulate(config, Path(folder))
        command = [sys.executable, __file__, "--capture", str(made.capture)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps(result, indent=1))
    fast = result["million_packets_per_cpu_second"] >= 2
    small = result["peak_mb"] <= 1000
    print(
        f"throughput {'reaches' if fast else 'MISSES'} 2 M packets per CPU second; "
        f"peak memory {'is within' if small else 'EXCEEDS'} 1 GB"
    )
    return 0 if fast and small else 1


if __name__ == "__main__":
    sys.exit(main())
