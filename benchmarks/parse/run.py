"""How fast captures become columns, beside copying the bytes and beside other tools, in CPU seconds.

    python benchmarks/parse/run.py [--packets 10000000] [--json] [--folder DIR]

Everything runs one after the other on one core, files in the page cache, best of several repetitions; the
competing measurements are interleaved, because a shared machine changes its speed from minute to minute.
``memcpy`` copies the mapped file into memory that was touched before. Needs gcc and the libpcap headers for
the C loop, dpkt, scapy and tshark for the other rows; what is not there is left out and said.
"""

from __future__ import annotations

import argparse
import gzip
import json
import mmap
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from generate import generate

from andon.observe import read
from andon.observe.count import count
from andon.records import packet

HERE = Path(__file__).parent
SAMPLE = 100_000


def best(actions: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Smallest CPU seconds of each action over ``times`` rounds, all actions in each round."""
    found = dict.fromkeys(actions, float("inf"))
    for _ in range(times):
        for name, action in actions.items():
            begin = time.process_time()
            action()
            found[name] = min(found[name], time.process_time() - begin)
    return found


def consume(path: Path, columns: tuple[str, ...] | None, reuse: bool) -> int:
    rows = 0
    for batch in read(path, columns, reuse):
        rows += batch.num_rows
    return rows


def head(path: Path, packets: int, out: Path) -> None:
    """The first ``packets`` packets of a little-endian capture as a file of their own."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        at = 24
        for _ in range(packets):
            if at + 16 > len(data):
                break
            at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        out.write_bytes(data[:at])


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def libpcap(folder: Path, capture: Path, times: int) -> float | None:
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    binary = folder / "libpcap_columns"
    source = HERE / "libpcap_columns.c"
    built = subprocess.run(
        [gcc, "-O3", "-march=native", "-o", binary, source, "-lpcap"], check=False, capture_output=True
    )
    if built.returncode:
        print(f"libpcap loop left out: {built.stderr.decode()[:200]}", file=sys.stderr)
        return None
    said = subprocess.run([binary, capture, str(times)], check=True, capture_output=True)
    return float(said.stdout.split()[1])


def dpkt_objects(path: Path) -> int:
    import dpkt

    n = 0
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            frame = dpkt.ethernet.Ethernet(data)
            n += isinstance(frame.data, dpkt.ip.IP)
    return n


def scapy_objects(path: Path) -> int:
    from scapy.utils import PcapReader

    with PcapReader(str(path)) as packets:
        return sum(1 for _ in packets)


def tshark_fields(path: Path) -> float | None:
    tshark = shutil.which("tshark")
    if tshark is None:
        return None
    fields = ["frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "ip.proto", "tcp.flags"]
    fields += ["tcp.seq", "tcp.ack", "ip.id", "ip.ttl", "tcp.window_size_value", "ip.len"]
    begin = children()
    subprocess.run(
        [tshark, "-n", "-r", path, "-T", "fields", *(part for field in fields for part in ("-e", field))],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return children() - begin


def measure(folder: Path, packets: int, times: int) -> list[dict[str, float | int | str]]:
    capture = folder / "benchmark.pcap"
    size = generate(capture, packets)
    sample, small = folder / "sample.pcap", folder / "small.pcap"
    head(capture, SAMPLE, sample)
    head(capture, SAMPLE // 10, small)
    middle = folder / "middle.pcap"
    head(capture, min(packets, 2_000_000), middle)
    zipped = folder / "middle.pcap.gz"
    with middle.open("rb") as raw, gzip.open(zipped, "wb", compresslevel=6) as out:
        shutil.copyfileobj(raw, out, 1 << 20)
    consume(small, packet.CORE, True)
    consume(small, None, True)
    count(small)
    with capture.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
    source = np.frombuffer(mapped, dtype=np.uint8)
    target = np.ones_like(source)
    found = best(
        {
            "memcpy": lambda: np.copyto(target, source),
            "core": lambda: consume(capture, packet.CORE, True),
            "full": lambda: consume(capture, None, True),
            "core_owned": lambda: consume(capture, packet.CORE, False),
            "full_owned": lambda: consume(capture, None, False),
            "count": lambda: count(capture),
        },
        times,
    )
    buffer = memoryview(bytearray(8 << 20))

    def inflate() -> None:
        with gzip.open(zipped) as stream:
            while stream.readinto(buffer):
                pass

    def inflate_and_read() -> None:
        with gzip.open(zipped) as stream:
            for _ in read(stream, packet.CORE, True):  # type: ignore[arg-type]
                pass

    gz = best(
        {
            "read": lambda: consume(zipped, packet.CORE, True),
            "standard": inflate_and_read,
            "inflate": inflate,
        },
        max(3, times // 2),
    )
    memcpy = found["memcpy"]
    rows: list[dict[str, float | int | str]] = []

    def add(what: str, seconds: float | None, n: int, bar: str = "", ratio: str = "") -> None:
        if seconds is not None:
            rate = n / seconds / 1e6
            times_core = seconds / n / (found["core"] / packets)
            rows.append(
                {
                    "what": what,
                    "cpu_s": seconds,
                    "packets": n,
                    "mpackets_per_cpu_s": rate,
                    "slower_than_core": times_core,
                    "ratio": ratio,
                    "bar": bar,
                }
            )

    def against(name: str) -> str:
        return f"{found[name] / memcpy:.2f}x memcpy"

    loop = libpcap(folder, capture, 3)
    add("memcpy of the file", memcpy, packets)
    add("read, 13 columns, reuse", found["core"], packets, "<= 1.5x memcpy", against("core"))
    add("read, all columns, reuse", found["full"], packets, "<= 3x memcpy", against("full"))
    add("read, 13 columns, owned", found["core_owned"], packets, "", against("core_owned"))
    add("read, all columns, owned", found["full_owned"], packets, "", against("full_owned"))
    add("count", found["count"], packets, "", against("count"))
    if loop:
        add("libpcap loop in C, 13 columns", loop, packets, "read >= 8x", f"read {loop / found['core']:.1f}x")
    n = min(packets, 2_000_000)
    add("read of .gz, 13 columns", gz["read"], n, ">= 1.7x", f"{gz['standard'] / gz['read']:.2f}x")
    add("the same over gzip of the standard library", gz["standard"], n)
    add("gzip of the standard library alone", gz["inflate"], n)
    for name, action, path, amount in (
        ("dpkt, Ethernet and IP objects", dpkt_objects, sample, SAMPLE),
        ("scapy PcapReader", scapy_objects, small, SAMPLE // 10),
    ):
        try:
            seconds = best({name: lambda action=action, path=path: action(path)}, 1)[name]  # type: ignore[misc]
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        add(name, seconds, min(amount, packets))
    add("tshark -T fields, 13 fields", tshark_fields(sample), min(SAMPLE, packets))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=9, help="rounds; the best of them counts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write the captures (removed afterwards)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="andon-parse-") as folder:
        rows = measure(Path(folder), options.packets, options.times)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'':44}{'CPU s':>9}{'Mpkt/s':>9}{'slower':>9}  ratio (bar)")
    for row in rows:
        bar = f" ({row['bar']})" if row["bar"] else ""
        print(
            f"{row['what']:44}{row['cpu_s']:9.4f}{row['mpackets_per_cpu_s']:9.3f}"
            f"{row['slower_than_core']:8.1f}x  {row['ratio']}{bar}"
        )


if __name__ == "__main__":
    main()
