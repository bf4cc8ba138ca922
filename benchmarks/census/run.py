"""CPU cost, memory and accuracy of the census on a mix like a telescope's.

    python benchmarks/census/run.py [--packets 1000000] [--sources 60000] [--batches 8] [--pairs 1250000]

Prints one JSON object: ns of CPU per packet to summarise and to merge ten-minute tiles into a day, CPU of the two
kinds of conclusion, bytes held, and (with a low --pairs) the error of the estimated counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import pyarrow as pa

from andon.detect.darknet.census import CensusEngine, engine
from andon.records.contract import Context, Site
from andon.records.packet import IPV4, SCHEMA, SYN, TCP, UDP

_BLOCKS = np.array([0x0A000000, 0x2D404000, 0x2D41C000, 0xB4008000, 0xCB004000], np.int64)
_MINUTE = 60 * 10**9


def mix(rng: np.random.Generator, packets: int, sources: int, start: int, length: int) -> pa.RecordBatch:
    """Packets of ``sources`` scanners (heavy-tailed activity) to five /18, most to a few ports, in order of time."""
    pool = np.random.default_rng(7).integers(1 << 24, 223 << 24, sources).astype(np.uint32)
    weight = 1 / np.arange(1, sources + 1) ** 0.8
    src = rng.choice(pool, packets, p=weight / weight.sum())
    dst = (rng.choice(_BLOCKS, packets) + rng.integers(0, 1 << 14, packets)).astype(np.uint32)
    udp = rng.random(packets) < 0.12
    popular = rng.choice(np.array([23, 22, 80, 443, 8080, 445, 3389, 5555, 2323, 6379]), packets)
    port = np.where(rng.random(packets) < 0.6, popular, rng.integers(0, 65536, packets)).astype(np.uint16)
    columns = {
        "ts": np.sort(rng.integers(start, start + length, packets)),
        "src": src,
        "dst": dst,
        "dst_port": port,
        "proto": np.where(udp, 17, 6).astype(np.uint8),
        "tcp_flags": np.where(udp, 0, SYN).astype(np.uint8),
        "layers": np.where(udp, IPV4 | UDP, IPV4 | TCP).astype(np.uint8),
    }
    none = np.zeros(packets, np.uint8)
    fields = [field for field in SCHEMA if field.name in CensusEngine.columns]
    arrays = [pa.array(columns.get(field.name, none)).cast(field.type) for field in fields]
    return pa.record_batch(arrays, schema=pa.schema(fields))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=60_000)
    parser.add_argument("--batches", type=int, default=8, help="ten-minute tiles")
    parser.add_argument("--pairs", type=int, default=1_250_000)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    census = engine(Site(settings={"darknet.census.pairs": options.pairs}))
    day = 20_000 * 86_400 * 10**9
    began = time.process_time()
    warm = census.summarise(mix(rng, 1000, 100, day, _MINUTE), census.empty())
    census.conclude(census.merge(census.empty(), warm), None, Context("1d", day, day + 1440 * _MINUTE))
    compiled = time.process_time() - began
    whole, spent, merging, slots = census.empty(), 0.0, 0.0, 0.0
    exact_sources: list[np.ndarray] = []
    for n in range(options.batches):
        batch = mix(rng, options.packets, options.sources, day + n * 10 * _MINUTE, 10 * _MINUTE)
        if options.pairs < 1_250_000:
            pair = (
                batch.column("dst_port").to_numpy().astype(np.uint64) << 32 | batch.column("src").to_numpy()
            )
            exact_sources.append(np.unique(pair[batch.column("proto").to_numpy() == 6]))
        tile = census.empty()
        began = time.process_time()
        for at in range(0, options.packets, 65536):
            tile = census.summarise(batch.slice(at, 65536), tile)
        spent += time.process_time() - began
        began = time.process_time()
        census.conclude(tile, None, Context("10min", day, day + 10 * _MINUTE))
        slots += time.process_time() - began
        began = time.process_time()
        whole = census.merge(whole, tile)
        merging += time.process_time() - began
    began = time.process_time()
    outcome = census.conclude(whole, None, Context("1d", day, day + 1440 * _MINUTE))
    concluded = time.process_time() - began
    total = options.packets * options.batches
    result = {
        "packets": total,
        "summarise_ns": round(spent / total * 1e9, 1),
        "merge_ns": round(merging / total * 1e9, 1),
        "slot_conclusion_s": round(slots / options.batches, 3),
        "day_conclusion_s": round(concluded, 3),
        "first_call_s": round(compiled, 2),
        "tile_bytes": tile.nbytes,
        "day_bytes": whole.nbytes,
        "state_bytes": len(whole.to_bytes()),
        "levels": [whole.sources.level, whole.targets.level],
        "telescope": outcome.tables["telescope"].column("cidr").to_pylist(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if exact_sources:
        pairs = np.unique(np.concatenate(exact_sources))
        truth = np.bincount((pairs >> np.uint64(32)).astype(np.int64), minlength=65536)
        table = outcome.tables["ports"].to_pydict()
        guess = {
            p: n for q, p, n in zip(table["proto"], table["port"], table["sources"], strict=True) if q == 6
        }
        result["popular_port_errors"] = {
            port: round(guess[port] / int(truth[port]) - 1, 4) for port in (23, 80, 6379)
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
