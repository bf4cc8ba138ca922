"""How long things take, live: packet -> seen by the engines, and first packet of an infected host -> alert delivered.

    python benchmarks/live/lag.py [--rates 2000,10000] [--hosts 120]

Needs root (network namespaces of its own, removed at the end). Background of the simulated Internet is sent in real
time through a pair of virtual interfaces; every half second another host of an organisation begins to scan as Mirai
does (ten packets within a second). At the other end is the service of `andon run`, with all engines, history and a file
sink; its only addition is that it notes the clock after each segment. The time of a packet is the kernel's, of its
arrival; that an alert is delivered is seen by looking at the file every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from capture import RECEIVING, SENDING, down, frames_of, up

from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, simulate

OWN = "10.77.0.0/16"
BETWEEN, BURST = 0.5, 10  # seconds between two hosts, packets of one
BARS = {"seen": 2.0, "delivered": 5.0}


def config(folder: Path) -> Path:
    path = folder / "andon.toml"
    prefixes = ", ".join(f'"{prefix}"' for prefix in DEFAULT_TELESCOPE)
    path.write_text(
        f'[telescope]\nprefixes = [{prefixes}]\n[[source]]\nname = "tap"\nkind = "interface"\ninterface = "bench1"\n'
        f'[[organisation]]\nname = "Example"\nprefixes = ["{OWN}"]\nsinks = ["file"]\n'
        f'[[sink]]\nname = "file"\nkind = "file"\npath = "alerts.ndjson"\n'
        '[engine."darknet.daedalus"]\nalerts = 100000\nweak_alerts = 100000\n[store]\npath = "store"\n'
    )
    return path


def run(folder: Path) -> None:
    """In the receiving namespace: the service; what it noted goes to ``seen.json``."""
    from andon.records.columns import column
    from andon.run.live.config import load
    from andon.run.live.service import Service

    path = config(folder)
    service = Service(load(path), lambda event, values: None, path)
    ages: list[np.ndarray] = []
    lost = [0]
    take = service.ledger.take

    def noted(segment: Any) -> None:
        take(segment)
        now = time.time_ns()
        for _, batch in segment.batches():
            ages.append(now - column(batch, "ts")[::7])
        lost[0] += sum(event["rows"] for event in segment.events if event["type"] in ("lost", "shed"))

    service.ledger.take = noted  # type: ignore[method-assign]
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    begin = time.process_time()
    service.run()
    every = np.concatenate(ages) / 1e9
    (folder / "seen.json").write_text(
        json.dumps(
            {
                "p50": float(np.percentile(every, 50)), "p95": float(np.percentile(every, 95)),
                "max": float(every.max()), "packets": service.pump.counters.received, "sampled": len(every),
                "lost": lost[0], "cpu": time.process_time() - begin,
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
            }
        )
    )  # fmt: skip


def scan(number: int, at: int) -> bytes:
    """A SYN as Mirai sends it: the sequence number is the destination address."""
    source = socket.inet_aton(f"10.77.{number >> 8}.{number & 255}")
    first = int.from_bytes(socket.inet_aton("23.90.64.0"), "big")
    target = struct.pack(">I", first + (977 * number + 61 * at) % (1 << 14))
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 4711 + at, 0, 61, 6, 0, source, target)
    segment = struct.pack(">HH4sIBBHHH", 30000 + at, 23, target, 0, 0x50, 2, 14600, 0, 0)
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + header + segment


def send(capture: Path, rate: int, hosts: int) -> None:
    """In the sending namespace: the background at a steady rate, and the hosts; says when each one began."""
    frames = frames_of(capture)
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind(("bench0", 0))
    due = sorted((2.0 + host * BETWEEN + n / BURST, host, n) for host in range(hosts) for n in range(BURST))
    begin, sent, began = time.monotonic(), 0, {}
    end = 2.0 + hosts * BETWEEN + 8.0
    while (now := time.monotonic() - begin) < end:
        while due and due[0][0] <= now:
            _, host, n = due.pop(0)
            if not n:
                began[f"10.77.{host >> 8}.{host & 255}"] = time.time_ns()
            out.send(scan(host, n))
        for _ in range(min(200, int(now * rate) - sent)):
            out.send(frames[sent % len(frames)])
            sent += 1
        if sent >= int(now * rate):
            time.sleep(0.002)
    print(json.dumps({"sent": sent, "rate": sent / end, "began": began}))


def watch(path: Path, found: dict[str, int], stop: threading.Event) -> None:
    at = 0
    while not stop.wait(0.02):
        if not path.exists() or path.stat().st_size == at:
            continue
        now = time.time_ns()
        with path.open("rb") as file:
            file.seek(at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        at += len(whole)
        for line in whole.splitlines():
            for address in set(re.findall(rb"10\.77\.\d+\.\d+", line)):
                found.setdefault(address.decode(), now)


def measure(rate: int, hosts: int, capture: Path) -> bool:
    inside, me = ("ip", "netns", "exec"), (sys.executable, str(Path(__file__).resolve()))
    with TemporaryDirectory() as name:
        folder = Path(name)
        receiver = subprocess.Popen([*inside, RECEIVING, *me, "--run", name])
        while not (folder / "store" / "status.json").exists():
            time.sleep(0.1)
        found: dict[str, int] = {}
        stop = threading.Event()
        watcher = threading.Thread(target=watch, args=(folder / "alerts.ndjson", found, stop))
        watcher.start()
        loads = [os.getloadavg()[0]]
        said = subprocess.run(
            [*inside, SENDING, *me, "--send", str(capture), "--rate", str(rate), "--hosts", str(hosts)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        loads.append(os.getloadavg()[0])
        stop.set()
        watcher.join()
        receiver.send_signal(signal.SIGTERM)
        receiver.wait(timeout=120)
        seen = json.loads((folder / "seen.json").read_text())
        offered = json.loads(said)
    took = np.array(
        [(found[host] - began) / 1e9 for host, began in offered["began"].items() if host in found]
    )
    p50, p95 = np.percentile(took, 50), np.percentile(took, 95)
    print(
        f"{rate:,} packets/s (sent {offered['sent']:,} at {offered['rate']:,.0f}/s, received {seen['packets']:,}, "
        f"lost or shed {seen['lost']:,}); load {loads[0]:.1f} to {loads[1]:.1f}\n"
        f"  packet -> seen by the engines: p50 {seen['p50']:.2f} s, p95 {seen['p95']:.2f} s, most {seen['max']:.2f} s "
        f"({seen['sampled']:,} packets); bar p95 {BARS['seen']} s\n"
        f"  first packet -> alert delivered: p50 {p50:.2f} s, p95 {p95:.2f} s, most {took.max():.2f} s "
        f"({len(took)} of {hosts} hosts); bar p95 {BARS['delivered']} s\n"
        f"  receiver: {seen['cpu']:.1f} CPU s, {seen['rss']:.0f} MB",
        flush=True,
    )
    return len(took) == hosts and seen["p95"] <= BARS["seen"] and p95 <= BARS["delivered"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="2000,10000")
    parser.add_argument("--hosts", type=int, default=120)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run)
    elif options.send:
        send(options.send, options.rate, options.hosts)
    else:
        with TemporaryDirectory() as folder:
            simulate(InternetConfig(seed=1, packets=100_000), Path(folder))
            up()
            try:
                good = [
                    measure(int(rate), options.hosts, Path(folder) / "capture.pcap")
                    for rate in options.rates.split(",")
                ]
            finally:
                down()
        print("within the bars" if all(good) else "BELOW THE BAR")


if __name__ == "__main__":
    main()
