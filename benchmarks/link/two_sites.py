"""Two sites on real data: how many sources both see, and how many would if only the neighbourhood were the same.

    python benchmarks/link/two_sites.py [DATA]         DATA: folder with darknet-data and joint, default ../shared/data

Site A: probes at honeypots of 2024-12-10 to 2025-02-25 (ScannerGrouper's training set); site B: all honeypots of one
T-Pot host, 2025-02-11 to 2025-04-08. Prints distinct sources of A seen at B within a window, and the same for decoys:
sources of A moved to another address of their /24, /20, /16 by the keyed hash of the engine, mean of ten draws. The
table is section 5.2 of the notes on the joint system; theirs drew decoys at random. And it estimates the clock offset
between the two sites as the engine does.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import zstandard

from andon.detect.darknet.link.clock import offsets
from andon.detect.darknet.link.decoys import CLASSES, DRAWS, moved
from andon.detect.darknet.link.history import Darknet, History, Sessions
from andon.detect.darknet.link.match import Side, Visits, candidates
from andon.observe.honeypot import sessions
from andon.observe.jsonlines import Skipped
from andon.records.columns import column
from andon.records.contract import Site

WINDOWS = {"1 h": 3600, "24 h": 86_400, "7 d": 7 * 86_400, "any": 10**9}
PUBLISHED = {  # exact, decoys in /24, /20, /16
    "all": {
        "1 h": (48, 4.7, 0.3, 0.3), "24 h": (289, 81, 7.2, 0.7), "7 d": (692, 288, 27, 1.6),
        "any": (1336, 709, 70, 4.9),
    },
    "survey organisations": {"any": (496, 162, 14, 0.7)},
    "unknown": {"any": (843, 544, 61, 4.2)},
}  # fmt: skip


def number(text: str) -> int:
    """IPv4 as a number, -1 for anything else."""
    try:
        return int(IPv4Address(text.removeprefix("::ffff:")))
    except ValueError:
        return -1


def seconds(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def site_a(path: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """(address, time) of each probe, label of each source."""
    table = pq.read_table(path).to_pydict()
    label: dict[int, str] = {}
    address, at = [], []
    for src, ts, of in zip(table["src"], table["ts"], table["label"], strict=True):
        one = number(src)
        if one >= 0:
            address.append(one)
            at.append(seconds(str(ts)))
            if label.get(one, "unknown") == "unknown":
                label[one] = of
    return np.array(address, np.uint32), np.array(at, np.int64), label


def site_b(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(address, time) of each session of the five honeypots."""
    address, at = [], []
    for name in ("ciscoasa", "dionaea", "heralding", "honeytrap_attackers"):
        path = folder / f"{name}.jsonl.zst"
        for batch in sessions(path, Skipped()):
            address.append(column(batch, "address"))
            at.append(column(batch, "start") // 10**9)
    with (folder / "cowrie_sessions.csv.zst").open("rb") as raw:
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw)
        rows = [row for row in csv.DictReader(io.TextIOWrapper(stream, "utf-8")) if row["start_time"]]
    address.append(np.array([number(row["src_ip"]) for row in rows]))
    at.append(np.array([seconds(row["start_time"]) for row in rows]))
    every, when = np.concatenate(address), np.concatenate(at)
    good = (every >= 0) & (when > 1_600_000_000)
    return every[good].astype(np.uint32), when[good].astype(np.int64)


def events(address: np.ndarray, at: np.ndarray) -> Darknet:
    """A row for each source and second."""
    key = np.unique(address.astype(np.int64) << 31 | at)
    second = (key & 0x7FFFFFFF).astype(np.uint32)
    none = np.full(len(key), -1, np.int32)
    return Darknet((key >> 31).astype(np.uint32), second, second, none, none, np.zeros(len(key), np.uint8))


def visits(address: np.ndarray, at: np.ndarray) -> tuple[Visits, np.ndarray]:
    order = np.lexsort((at, address))
    return Visits.of(address[order], at[order]), at[order]


def counted(side: Side, seen: Visits, at: np.ndarray, address: np.ndarray) -> dict[str, int]:
    """Distinct sources within each window."""
    found = {}
    owner = np.repeat(np.arange(len(seen.address)), seen.count)
    for name, window in WINDOWS.items():
        pairs = side.match(seen, address, at, np.full(len(side.address), window))
        found[name] = len(np.unique(owner[pairs.session]))
    return found


def table(dark: Darknet, seen: Visits, at: np.ndarray, salt: int) -> dict[str, dict[str, float]]:
    """{window: {"exact", "/24", "/20", "/16"}} of sources ``seen`` (moved) against those of ``dark``."""
    moves = {
        prefix: [moved(seen.address, prefix, draw, 0, salt)[0] for draw in range(DRAWS)] for prefix in CLASSES
    }
    every = [seen.address, *(one for draws in moves.values() for one in draws)]
    side = Side(dark, candidates(dark.src, every))
    exact = counted(side, seen, at, seen.address)
    made: dict[str, dict[str, float]] = {name: {"exact": float(count)} for name, count in exact.items()}
    for prefix, draws in moves.items():
        each = [counted(side, seen, at, one) for one in draws]
        for name in WINDOWS:
            made[name][f"/{prefix}"] = round(float(np.mean([one[name] for one in each])), 2)
    return made


def clock(dark: Darknet, address: np.ndarray, at: np.ndarray) -> dict[str, float | str]:
    """The engine's estimate of how far B's clock is ahead of A's."""
    order = np.lexsort((at, address))
    zero = np.zeros(len(order), np.int32)
    one = Sessions(
        address[order], at[order].astype(np.uint32), zero, zero - 1, zero.astype(np.uint8), zero.astype(np.uint8), zero,
        np.zeros(0, np.int32), [""] * len(order),
    )  # fmt: skip
    empty = History.empty()
    found = offsets(History(dark, one, [], [], [], [], empty.levels, empty.told))[0]
    return {
        "seconds": found.seconds, "method": found.method, "sources_in_peak": found.sources,
        "by_chance": round(found.expected, 2), "log10_p": round(found.log10_p, 1), "compared": found.compared,
    }  # fmt: skip


def main() -> None:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    begin = time.process_time()
    address_a, at_a, label = site_a(data / "darknet-data" / "labels" / "scannergrouper_probes_train.parquet")
    address_b, at_b = site_b(data / "joint" / "tpot_gcp_2025")
    read = time.process_time() - begin
    dark_b = events(address_b, at_b)
    salt = Site().hash_key
    begin = time.process_time()
    parts = {
        "all": np.ones(len(address_a), np.bool_),
        "survey organisations": np.array([label[a] != "unknown" for a in address_a.tolist()]),
        "unknown": np.array([label[a] == "unknown" for a in address_a.tolist()]),
    }
    for name, part in parts.items():
        seen, at = visits(address_a[part], at_a[part])
        print(json.dumps({
            "sources_a": len(seen.address), "sources_b": len(np.unique(address_b)), "part": name,
            "measured": table(dark_b, seen, at, salt), "notes": PUBLISHED[name],
        }))  # fmt: skip
    print(json.dumps({"clock": clock(events(address_a, at_a), address_b, at_b)}))
    print(json.dumps({"cpu_read": round(read, 2), "cpu_tables": round(time.process_time() - begin, 2)}))


if __name__ == "__main__":
    main()
