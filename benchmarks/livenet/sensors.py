"""How fast Zeek's and Suricata's logs and exports of flows become records, beside plain loops over the same input.

    python benchmarks/livenet/sensors.py [--lines 200000] [--only zeek,eve,netflow,live]

CPU seconds of this process (best of three), not wall time; the input is in memory (``live``: in a file). Logs are those
of ``ANDON_DATA`` (RITA, Slips), repeated up to ``--lines``; repeating makes hosts repeat more than they do, so
``distinct`` gives every line a host, URL and agent of its own, the worst there is for dictionaries. Baselines: a loop
over ``split("\\t")`` or ``json.loads`` that makes tuples of the same fields; for exports ``struct.iter_unpack``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from andon.observe.jsonlines import Skipped
from andon.observe.live.lines import LineSource
from andon.observe.logs import Options, eve, zeek
from andon.observe.netflow.decoder import Decoder

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ANDON_DATA", ROOT.parent / "shared" / "data")) / "livenet" / "zeek"
sys.path.insert(0, str(ROOT / "tests" / "netflow"))
CHUNK = 4 << 20
T = 1_767_225_600


def best(work: Callable[[], int], times: int = 3) -> tuple[int, float]:
    found, spent = 0, 1e9
    for _ in range(times):
        begin = time.process_time()
        found = work()
        spent = min(spent, time.process_time() - begin)
    return found, spent


def log(name: str, lines: int, distinct: bool = False) -> bytes:
    whole = gzip.decompress((DATA / name).read_bytes()).split(b"\n")
    head = [one for one in whole[:12] if one.startswith(b"#")]
    body = [one for one in whole if one and not one.startswith(b"#")]
    body = (body * (lines // len(body) + 1))[:lines]
    if distinct:
        body = [_made_distinct(one, n) for n, one in enumerate(body)]
    return b"\n".join([*head, *body]) + b"\n"


def _made_distinct(line: bytes, number: int) -> bytes:
    fields = line.split(b"\t")
    for place, text in ((8, b"h%d.example"), (9, b"/path/%d"), (11, b"agent %d")):
        fields[place] = text % number + fields[place][-20:] if place > 8 else text % number
    return b"\t".join(fields)


def read(module: Any, data: bytes) -> int:
    reader, skipped, at, rows = module.lines(data[:65_536], Options(), None), Skipped(), 0, 0
    while at < len(data):
        stop = data.rfind(b"\n", at, at + CHUNK) + 1
        rows += sum(batch.num_rows for _, batch in reader.read(data[at:stop], skipped))
        at = stop
    return rows


def by_split(data: bytes) -> int:
    found, at = [], 0
    for line in data.decode().split("\n"):
        if line.startswith("#fields"):
            at = line.split("\t").index("ts") - 1
        elif line and not line.startswith("#"):
            fields = line.split("\t")[at:]
            found.append((float(fields[0]), fields[2], fields[4], fields[7], fields[8], fields[9]))
    return len(found)


def by_json(data: bytes) -> int:
    found = []
    for line in data.split(b"\n"):
        if line:
            held = json.loads(line)
            found.append(
                (held.get("ts") or held.get("timestamp"), held.get("id.orig_h") or held.get("src_ip"), held)
            )
    return len(found)


def row(what: str, lines: int, size: int, records: int, spent: float) -> None:
    print(f"{what:<46} {lines / spent / 1e3:>9,.0f} {size / spent / 1e6:>8,.0f} {records:>10,}")


def logs(module: Any, what: str, data: bytes, plain: Callable[[bytes], int]) -> None:
    lines = data.count(b"\n")
    read(module, data[: data.find(b"\n", 1 << 18) + 1])  # compiled
    row(what, lines, len(data), *best(lambda: read(module, data)))
    row("    a plain loop of Python", lines, len(data), *best(lambda: plain(data), 1))


def exports(count: int) -> None:
    from exports import flowset, ipfix, template, v5, v9

    rng = np.random.default_rng(1)
    src = rng.integers(0, 1 << 32, count, np.uint32).astype(">u4").tobytes()
    per = 28
    records = [
        src[4 * n : 4 * n + 4]
        + struct.pack(">IHHBBIIII", 0xC0000200 + n % 250, 40_000, 443, 6, 27, 3, 180, 999_000, 999_500)
        for n in range(count)
    ]
    fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4), (22, 4), (21, 4)]
    variable = [(82, 65_535), *fields[:8], (152, 8), (153, 8)]
    stamp = struct.pack(">QQ", T * 1000, T * 1000 + 500)
    old = [
        one[:4]
        + one[4:8]
        + bytes(8)
        + struct.pack(">IIIIHHBBBBHHBBH", 3, 180, 999_000, 999_500, 40_000, 443, 0, 27, 6, 0, 0, 0, 0, 0, 0)
        for one in records
    ]
    kinds = {
        "NetFlow 5": [v5(old[n : n + per], n) for n in range(0, count, per)],
        "NetFlow 9": [v9(template(256, fields, 9))]
        + [
            v9(flowset(256, b"".join(records[n : n + per])), sequence=1 + n // per)
            for n in range(0, count, per)
        ],
        "IPFIX, a field of variable length": [ipfix(template(256, variable))]
        + [
            ipfix(
                flowset(256, b"".join(b"\4eth0" + one[:22] + stamp for one in records[n : n + per])),
                sequence=n,
            )
            for n in range(0, count, per)
        ],
    }
    for what, packets in kinds.items():
        size = sum(map(len, packets))

        def work(packets: list[bytes] = packets) -> int:
            decoder, rows = Decoder(), 0
            for one in packets:
                decoder.add(one, "192.0.2.1")
                if decoder.size > 4 << 20:
                    rows += sum(batch.num_rows for batch in decoder.take())
            rows += sum(batch.num_rows for batch in decoder.finish())
            assert not decoder.skipped.reasons and not decoder.lost
            return rows

        row(f"{what}, {per} records a packet", count, size, *best(work))
    old_format = struct.Struct(">4s4s4sHHIIIIHHBBBBHHBBH")

    def plain() -> int:
        return sum(
            len([(r[0], r[1], r[9], r[10], r[5], r[6]) for r in old_format.iter_unpack(one[24:])])
            for one in kinds["NetFlow 5"]
        )

    row("    NetFlow 5 by struct.iter_unpack", count, 48 * count, *best(plain, 1))


def live(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "http.log"
        path.write_bytes(data)

        def work() -> int:
            source = LineSource("zeek", path, once=True)
            source.open(None)
            rows = 0
            while not source.finished:
                rows += sum(piece.batch.num_rows for piece in source.poll(0.0))
            return rows

        row("Zeek http, text, by a live source", data.count(b"\n"), len(data), *best(work))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--only", default="zeek,eve,netflow,live")
    given = parser.parse_args()
    print(f"{'':<46} {'k lines/s':>9} {'MB/s':>8} {'records':>10}   (CPU seconds)")
    if "zeek" in given.only:
        for name in ("rita_valid_http", "rita_mh_day1_conn", "rita_mh_day1_dns"):
            logs(zeek, f"Zeek {name}, text", log(f"{name}.log.gz", given.lines), by_split)
        logs(
            zeek,
            "Zeek rita_valid_http, text, distinct",
            log("rita_valid_http.log.gz", given.lines, True),
            by_split,
        )
        for name in ("slips_test9_http", "slips_test9_conn"):
            logs(zeek, f"Zeek {name}, JSON", log(f"{name}.log.gz", given.lines), by_json)
    if "eve" in given.only:
        logs(eve, "EVE slips_test6", log("slips_test6_suricata_eve.json.gz", given.lines), by_json)
    if "netflow" in given.only:
        exports(given.lines)
    if "live" in given.only:
        live(log("rita_valid_http.log.gz", given.lines))


if __name__ == "__main__":
    main()
