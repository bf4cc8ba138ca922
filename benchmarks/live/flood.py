"""Memory of the live runner under packets from forged senders: every packet from another source.

    python benchmarks/live/flood.py [--sources 1000000,3000000,5000000] [--rate 4000] [--marked 0.5] [--bar MB]

SYN packets to the telescope, each from a random address, ``--marked`` of them with Mirai's mark (it passes most
quotas), go through journal, engines, casebook, checkpoints and history as in `andon run`. Said at each number of
sources: peak resident memory of the process (VmHWM), the largest open summary and carry of every engine, and the bytes
of a checkpoint; at last, after a packet of two days later, what concluding everything took. Exit code 1 if the growth
from the first number to the last is more than ``--bar`` megabytes.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from rate import Line, site, warm

from andon.records.contract import Site
from andon.records.packet import IPV4, NO_VLAN, SCHEMA, TCP

START = 1_767_225_600_000_000_000  # 2026-01-01
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def packets(
    number: int, first: int, rate: int, site: Site, marked: float, rng: np.random.Generator
) -> pa.RecordBatch:
    """``number`` SYN packets, the first of them the ``first`` of all."""
    networks = [ip_network(prefix) for prefix in site.telescope]
    starts = np.array([int(network.network_address) for network in networks], np.uint32)
    sizes = np.array([network.num_addresses for network in networks], np.int64)
    which = rng.integers(0, len(networks), number)
    target = starts[which] + (rng.random(number) * sizes[which]).astype(np.uint32)
    seq = np.where(rng.random(number) < marked, target, rng.integers(0, 1 << 32, number, np.uint32))
    given = {
        "ts": START + (np.arange(first, first + number) * (SECOND // rate)),
        "src": rng.integers(1 << 24, 224 << 24, number, np.uint32),
        "dst": target,
        "src_port": rng.integers(1024, 65536, number),
        "dst_port": rng.choice(np.array([23, 80, 443, 445, 2323, 8080, 60_000]), number),
        "tcp_seq": seq,
        "tcp_flags": np.full(number, 2),
        "tcp_window": rng.integers(1, 65536, number),
        "ip_id": rng.integers(0, 65536, number),
        "ttl": rng.integers(40, 250, number),
        "proto": np.full(number, 6),
        "ip_len": np.full(number, 40),
        "layers": np.full(number, IPV4 | TCP),
        "tcp_hlen": np.full(number, 20),
        "vlan_id": np.full(number, NO_VLAN),
        "cap_len": np.full(number, 54),
        "wire_len": np.full(number, 54),
    }
    columns = []
    for field in SCHEMA:
        if field.name in given:
            values = given[field.name]
            columns.append(pa.array(values.astype(_dtype(field.type))).cast(field.type))
        elif pa.types.is_fixed_size_binary(field.type):
            width = field.type.byte_width
            zeros = pa.py_buffer(bytes(width * number))
            columns.append(pa.Array.from_buffers(field.type, number, [None, zeros]))
        else:
            columns.append(pa.array(np.zeros(number, _dtype(field.type))).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _dtype(type: pa.DataType) -> np.dtype:
    return np.dtype(np.int64) if pa.types.is_timestamp(type) else np.dtype(type.to_pandas_dtype())


def memory() -> tuple[float, float]:
    """(peak, now) resident megabytes of this process."""
    text = Path("/proc/self/status").read_text()
    peak, now = (int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) for name in ("VmHWM", "VmRSS"))  # type: ignore[index]
    return peak / 1e3, now / 1e3


def states(line: Line) -> Iterator[tuple[str, int, int]]:
    """(engine, bytes of its largest open summary, bytes of its largest carry)."""
    ledger = line.ledger
    for windows in ledger.conclusions.windows:
        name = windows.engine.name
        open_ones = windows.state()[1].values()
        carries = [
            c for (engine, _), c in ledger.conclusions.carries.items() if engine == name and c is not None
        ]
        yield (
            name,
            max((len(data) for data in open_ones), default=0),
            max((len(carry.to_bytes()) for carry in carries), default=0),
        )  # fmt: skip


def flood(
    line: Line, wanted: Sequence[int], rate: int, marked: float, site: Site, told: bool = True
) -> list[dict[str, float]]:
    """Packets through the line; what was measured at each of the ``wanted`` numbers and after the end."""
    rng = np.random.default_rng(5)
    at, found = 0, []
    size = max(1000, min(50_000, rate))
    for number in wanted:
        begin = time.process_time()
        while at < number:
            rows = min(size, number - at)
            line.take(packets(rows, at, rate, site, marked, rng))
            at += rows
        line.checkpoint(START + at * (SECOND // rate))
        found.append(_measured(line, at, time.process_time() - begin, told))
    begin = time.process_time()
    last = packets(1000, at, rate, site, marked, rng)
    later = pa.array(np.full(1000, START + 2 * DAY)).cast(SCHEMA.field("ts").type)
    line.take(last.set_column(SCHEMA.get_field_index("ts"), SCHEMA.field("ts"), later))
    line.checkpoint(START + 2 * DAY)
    found.append(_measured(line, at, time.process_time() - begin, told))
    return found


def _measured(line: Line, at: int, cpu: float, told: bool) -> dict[str, float]:
    peak, now = memory()
    point = line.casebook.last_checkpoint()
    assert point is not None
    digests = set(point.states.values())
    saved = sum(line.ledger.states.path(digest).stat().st_size for digest in digests)
    each = {name: (summary, carry) for name, summary, carry in states(line)}
    if told:
        print(
            f"{at:>10,} sources: peak {peak:,.0f} MB, now {now:,.0f} MB, checkpoint {saved / 1e6:.1f} MB, "
            f"{line.ledger.findings} findings, {cpu:.1f} CPU s\n           "
            + ", ".join(f"{name.partition('.')[2]} {s / 1e6:.1f} + {c / 1e6:.2f}" for name, (s, c) in each.items())
            + " MB (summary + carry)",
            flush=True,
        )  # fmt: skip
    return {"sources": at, "peak": peak, "now": now, "checkpoint": saved / 1e6} | {
        name: summary + carry for name, (summary, carry) in each.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", default="1000000,3000000,5000000")
    parser.add_argument("--rate", type=int, default=4_000, help="packets a second, in their own time")
    parser.add_argument("--marked", type=float, default=0.5)
    parser.add_argument("--bar", type=float, default=150.0, help="megabytes")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    warm(options.folder)
    print(f"after warming up: peak {memory()[0]:,.0f} MB")
    place = site()
    with TemporaryDirectory(dir=options.folder) as folder:
        line = Line(Path(folder), place, True, options.rate)
        found = flood(line, [int(n) for n in options.sources.split(",")], options.rate, options.marked, place)
        line.end()
    grown = found[-2]["peak"] - found[0]["peak"]
    print(
        f"peak memory grew by {grown:.0f} MB from {found[0]['sources']:,} to {found[-2]['sources']:,} sources"
    )
    if grown > options.bar:
        print(f"ABOVE THE BAR of {options.bar:.0f} MB")
        sys.exit(1)


if __name__ == "__main__":
    main()
