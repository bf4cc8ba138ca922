"""Speed and memory of the Internet simulator.

    python benchmarks/simulate/run.py [--packets 11000000] [--out DIR]

Prints packets per CPU second (user and system time of this process, compiled kernels warmed first), peak resident
memory, and the share of the parts. Writes and removes about 82 bytes a packet.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

from andon.simulate.internet import demo_config, packets, simulate, small_config
from andon.simulate.internet.population import populate
from andon.simulate.internet.stream import Stream


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=demo_config().packets)
    parser.add_argument(
        "--out", type=Path, default=None, help="folder to write to (default: a temporary one)"
    )
    given = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix="andon-simulate-", dir=given.out))
    try:
        begin = time.process_time()
        simulate(small_config(1, 5000), out)
        warm = time.process_time() - begin
        config = small_config(1, given.packets)
        begin = time.process_time()
        result = simulate(config, out)
        written = time.process_time() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin = time.process_time()
        for _ in Stream(populate(config)):
            pass
        rows = time.process_time() - begin
        begin = time.process_time()
        for _ in packets(config):
            pass
        batches = time.process_time() - begin
    finally:
        shutil.rmtree(out)
    print(
        json.dumps(
            {
                "packets": result.packets,
                "bytes": result.bytes,
                "sources": result.sources,
                "capture_mpackets_per_cpu_second": round(result.packets / written / 1e6, 2),
                "rows_mpackets_per_cpu_second": round(result.packets / rows / 1e6, 2),
                "batches_mpackets_per_cpu_second": round(result.packets / batches / 1e6, 2),
                "peak_mb": round(peak),
                "first_call_cpu_seconds": round(warm, 2),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
