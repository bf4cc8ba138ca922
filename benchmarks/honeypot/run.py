"""How fast honeypot logs become sessions, beside Python's own JSON and Arrow's.

    python benchmarks/honeypot/run.py [--data ../shared/data]

Bar: >= 1 M Cowrie lines per CPU second, folding into sessions included. Each log is repeated to at least 40 MB and read
from memory; the better of two runs counts, compilation not. ``json`` only parses the lines and folds nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path
from time import process_time

import pyarrow as pa
import pyarrow.json as pj
import zstandard

from andon.observe.honeypot import cowrie, mapped, recognise
from andon.observe.jsonlines import Skipped

BAR = 1e6
COWRIE = ("cowrie_ssh_2018/cowrie.json.zst", "cowrie_ssh_2017/cowrie.json.zst", "scenario/cowrie.json.zst")
OTHERS = (
    "tpot_gcp_2025/heralding.jsonl.zst",
    "tpot_gcp_2025/ciscoasa.jsonl.zst",
    "tpot_gcp_2025/dionaea.jsonl.zst",
)


def ours(data: bytes) -> int:
    chart = recognise(data[: 1 << 18])
    stream = io.BytesIO(data)
    batches = (
        cowrie.sessions(stream, Skipped()) if chart is None else mapped.sessions(stream, chart, Skipped())
    )
    return sum(batch.num_rows for batch in batches)


def python(data: bytes) -> int:
    return sum(1 for line in data.splitlines() if json.loads(line))


def arrow(data: bytes) -> int:
    """The members that ``cowrie`` reads, as strings, with one thread."""
    schema = pa.schema([(name, pa.string()) for name in cowrie.PATHS.names if not name.endswith("_port")])
    parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return int(pj.read_json(io.BytesIO(data), pj.ReadOptions(use_threads=False), parse).num_rows)


def rate(work: object, data: bytes, lines: int) -> float:
    best = 0.0
    for _ in range(2):
        begin = process_time()
        work(data)  # type: ignore[operator]
        best = max(best, lines / (process_time() - begin))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ANDON_DATA", "../shared/data")))
    folder = parser.parse_args().data / "joint"
    met = True
    print(f"{'million lines per CPU second':34}{'ours':>8}{'json':>8}{'Arrow':>8}")
    for name in (*COWRIE, *OTHERS):
        with (folder / name).open("rb") as file:
            raw = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
        data = raw * (1 + 40_000_000 // len(raw))
        lines = data.count(b"\n")
        fast = rate(ours, data, lines)
        try:
            peer = f"{rate(arrow, data, lines) / 1e6:8.2f}" if name in COWRIE else f"{'-':>8}"
        except pa.ArrowInvalid:
            peer = f"{'refused':>8}"
        print(f"{name:34}{fast / 1e6:8.2f}{rate(python, data, lines) / 1e6:8.2f}{peer}", flush=True)
        met &= fast >= BAR or name not in COWRIE
    print(f"bar for Cowrie {BAR / 1e6:.0f} M: {'met' if met else 'NOT met'}")
    sys.exit(not met)


if __name__ == "__main__":
    main()
