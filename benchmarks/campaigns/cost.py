"""What tracing campaigns costs: CPU per packet, the conclusion of a day, bytes and memory.

    python benchmarks/campaigns/cost.py [--packets 2000000] [--sources 60000]

At 20,000 packets/s a day is 1.728 G packets from far more packets per source than here; ``heavy`` repeats the batch so
that most packets come from sources known already, as they do then.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

from andon.detect.darknet import campaigns
from andon.records.contract import Context, Site
from andon.simulate.internet import InternetConfig, packets

DAY = 86_400_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--sources", type=int, default=60_000)
    given = parser.parse_args()
    config = InternetConfig(
        seed=1, packets=given.packets, duration=86_399, noise_sources=given.sources, contamination=0.05
    )
    engine = campaigns.engine(Site())
    batches = [batch.select(list(engine.columns)) for batch in packets(config)]
    began = time.process_time()
    engine.summarise(batches[0], engine.empty())
    compiled = time.process_time() - began
    summary = engine.empty()
    spent = []
    for _ in range(4):
        began = time.process_time()
        for batch in batches:
            summary = engine.summarise(batch, summary)
        spent.append((time.process_time() - began) / given.packets * 1e9)
    other = type(summary).from_bytes(summary.to_bytes())
    began = time.process_time()
    merged = engine.merge(engine.empty(), other)
    merging = time.process_time() - began
    start = config.start_ns // DAY * DAY
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    carry: Any = None
    concluded = []
    for day in range(3):
        began = time.process_time()
        outcome = engine.conclude(merged, carry, Context("1d", start + day * DAY, start + (day + 1) * DAY))
        concluded.append(round(time.process_time() - began, 2))
        carry = outcome.carry
    result = {
        "sources": summary.rows.used,
        "one in": 1 << summary.rows.level,
        "ns a packet, first read": round(spent[0], 1),
        "ns a packet, heavy": round(min(spent[1:]), 1),
        "cpu seconds a day at 20,000 packets/s": round(min(spent[1:]) * 1.728 + concluded[-1], 0),
        "first batch with compilation or its cache, s": round(compiled, 2),
        "merge, s": round(merging, 2),
        "conclusions of three days, s": concluded,
        "campaigns": outcome.tables["campaigns"].num_rows,
        "summary MB": round(len(summary.to_bytes()) / 1e6, 1),
        "carry kB": len(carry.to_bytes()) // 1000,
        "peak MB before and after concluding": [
            before // 1024,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        ],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
