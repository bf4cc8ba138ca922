"""What ``darknet.synchrony`` costs: CPU ns a packet, CPU ms a conclusion, bytes of summary and carry.

    python benchmarks/synchrony/cost.py [--telescope 198.18.0.0/24] [--days 1]

Packets come from ``andon.simulate.coordination`` and are made before the clock starts; the first batch warms the
kernels. CPU seconds of this thread, never wall time.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from andon.detect.darknet.synchrony import engine
from andon.detect.darknet.synchrony.carry import Carry
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.run.conclusions import Concluded, Conclusions
from andon.simulate.coordination import Scenario, packets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--telescope", default="198.18.0.0/24", help="prefixes, separated by commas")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    made = engine(Site())
    scenario = Scenario(seed=asked.seed, telescope=tuple(asked.telescope.split(",")), days=asked.days)
    batches = [batch.select(list(made.columns)) for batch in packets(scenario)]
    made.conclude(made.summarise(batches[0], made.empty()), None, _context(scenario.start_ns))
    spent: list[float] = []

    def told(concluded: Concluded) -> None:
        spent.append(concluded.cpu_seconds)

    conclusions = Conclusions([made], told)
    rows, seconds, largest = 0, 0.0, 0
    for batch in batches:
        ts = column(batch, "ts")
        begin = time.thread_time()
        conclusions.windows[0].add(batch, ts)
        seconds += time.thread_time() - begin
        rows += batch.num_rows
        largest = max(largest, *(tile.rows.nbytes for tile in conclusions.windows[0].tiles.values()))
        conclusions.until(int(ts.max()))
    conclusions.until(None)
    carry = next(iter(conclusions.carries.values()))
    low, high = np.quantile(spent, [0.5, 0.95]) * 1000
    print(f"{rows:,} packets, {len(spent)} spans, telescope {asked.telescope}")
    print(f"summarise: {seconds / rows * 1e9:.0f} CPU ns a packet; largest tile {largest / 2**20:.1f} MiB")
    print(
        f"conclude: {low:.0f} CPU ms (median), {high:.0f} (95 %); carry {len(carry.to_bytes()) / 2**20:.1f} MiB"
    )


def _context(start: int) -> Context[Carry]:
    return Context(span="10min", start=start, end=start + 600_000_000_000)


if __name__ == "__main__":
    main()
