"""What purpose costs: CPU per packet, bytes, and the conclusion of a day; ``simulated.py`` and ``labels.py`` beside
this file say how right it is.

    python benchmarks/purpose/run.py [--packets 1000000] [--sources 60000] [--batches 4]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from andon.detect.darknet.purpose import engine
from andon.records.contract import Context, Site

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "census"))
from run import mix  # type: ignore[import-not-found]

DAY = 86_400_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=60_000)
    parser.add_argument("--batches", type=int, default=4)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    purpose = engine(Site())
    start = 20_000 * DAY
    began = time.process_time()
    warm = purpose.summarise(mix(rng, 5000, 100, start, DAY // 24), purpose.empty())
    purpose.conclude(purpose.merge(purpose.empty(), warm), None, Context("1d", start, start + DAY))
    compiled = time.process_time() - began
    whole, spent = purpose.empty(), 0.0
    for n in range(options.batches):
        batch = mix(
            rng, options.packets, options.sources, start + n * DAY // options.batches, DAY // options.batches
        )
        began = time.process_time()
        for at in range(0, options.packets, 65536):
            whole = purpose.summarise(batch.slice(at, 65536), whole)
        spent += time.process_time() - began
    other = type(whole).from_bytes(whole.to_bytes())
    began = time.process_time()
    whole = purpose.merge(whole, other)
    merged = time.process_time() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    outcome = purpose.conclude(whole, None, Context("1d", start, start + DAY))
    concluded = time.process_time() - began
    total = options.packets * options.batches
    result = {
        "packets": total,
        "sources": whole.rows.used,
        "level": whole.rows.level,
        "summarise_ns": round(spent / total * 1e9, 1),
        "merge_s": round(merged, 3),
        "day_conclusion_s": round(concluded, 2),
        "first_call_s": round(compiled, 2),
        "summary_bytes": whole.rows.nbytes,
        "state_bytes": len(whole.to_bytes()),
        "carry_bytes": len(outcome.carry.to_bytes()) if outcome.carry else 0,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "of_that_by_conclusion_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
