"""Live capture through a pair of virtual interfaces: what was offered, what arrived, what it cost.

    python benchmarks/live/capture.py [--packets 500000] [--senders tcpreplay,socket] [--rates 0,100000]

Needs root (network namespaces of its own, removed at the end) and, for one sender, tcpreplay. The receiver is the
interface source as ``andon run`` uses it: ring, parser, batches. CPU seconds are those of the receiving process after
its first batch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from andon.observe.live.interface import InterfaceSource
from andon.simulate.internet import InternetConfig, simulate

SENDING, RECEIVING = "andon-bench-send", "andon-bench-receive"


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def up() -> None:
    for space in (SENDING, RECEIVING):
        subprocess.run(("ip", "netns", "del", space), check=False, stderr=subprocess.DEVNULL)
        run("ip", "netns", "add", space)
    run(
        "ip",
        "link",
        "add",
        "bench0",
        "netns",
        SENDING,
        "type",
        "veth",
        "peer",
        "name",
        "bench1",
        "netns",
        RECEIVING,
    )
    for space, name in ((SENDING, "bench0"), (RECEIVING, "bench1")):
        run("ip", "netns", "exec", space, "sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=1")
        run("ip", "netns", "exec", space, "ip", "link", "set", name, "up", "mtu", "9000")


def down() -> None:
    for space in (SENDING, RECEIVING):
        subprocess.run(("ip", "netns", "del", space), check=False, stderr=subprocess.DEVNULL)


def receive(expected: int) -> None:
    """In the receiving namespace: count until all have come or nothing comes for three seconds."""
    source = InterfaceSource("bench", "bench1")
    source.open(None)
    source.poll(0.1)
    print("ready", flush=True)
    rows, lost, last = 0, 0, time.monotonic() + 30
    begin, free = time.process_time(), 0
    while time.monotonic() < last:
        for piece in source.poll(0.2):
            if piece.batch.num_rows:
                if not rows:  # the first batch loads the compiled kernels
                    begin, free = time.process_time(), piece.batch.num_rows
                rows += piece.batch.num_rows
                last = time.monotonic() + 3
        lost += sum(event["rows"] for event in source.events() if event["type"] == "lost")
        if rows + lost >= expected:
            time.sleep(1.1)
            lost += sum(event["rows"] for event in source.events() if event["type"] == "lost")
            break
    cpu = time.process_time() - begin
    source.close()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "received": rows,
                "dropped": lost,
                "cpu_us_per_packet": cpu / max(rows - free, 1) * 1e6,
                "rss": rss,
            }
        )
    )


def frames_of(capture: Path) -> list[bytes]:
    """The frames of a plain pcap file."""
    data = capture.read_bytes()
    at, frames = 24, []
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return frames


def send_by_socket(capture: Path, rate: int) -> None:
    """In the sending namespace: frames of the capture, one system call each."""
    frames = frames_of(capture)
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind(("bench0", 0))
    begin = time.monotonic()
    for number, frame in enumerate(frames):
        while True:
            try:
                out.send(frame)
                break
            except OSError:
                time.sleep(0.0001)
        if rate and number % 256 == 0:
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
    took = time.monotonic() - begin
    print(json.dumps({"sent": len(frames), "rate": len(frames) / took}))


def measure(sender: str, rate: int, capture: Path, packets: int) -> None:
    inside = ("ip", "netns", "exec")
    me = (sys.executable, str(Path(__file__).resolve()))
    receiver = subprocess.Popen(
        [*inside, RECEIVING, *me, "--receive", str(packets)], stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdout is not None
    receiver.stdout.readline()
    if sender == "tcpreplay":
        pace = ["--topspeed"] if not rate else [f"--pps={rate}"]
        said = subprocess.run(
            [*inside, SENDING, "tcpreplay", "-q", "-K", *pace, "-i", "bench0", str(capture)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        offered = next((line.strip() for line in said.splitlines() if "pps" in line), said.strip()[-200:])
    else:
        offered = subprocess.run(
            [*inside, SENDING, *me, "--send", str(capture), "--rate", str(rate)],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    result = json.loads(receiver.communicate(timeout=120)[0])
    print(f"{sender:9} {'as fast as it can' if not rate else f'{rate:,}/s'}: offered {offered}")
    print(
        f"          received {result['received']:,} of {packets:,}, dropped by the kernel {result['dropped']:,}, "
        f"{result['cpu_us_per_packet']:.3f} CPU us a packet, {result['rss'] / 1e6:.0f} MB; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=500_000)
    parser.add_argument("--senders", default="tcpreplay,socket")
    parser.add_argument("--rates", default="0,50000")
    parser.add_argument("--receive", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        receive(options.receive)
        return
    if options.send:
        send_by_socket(options.send, options.rate)
        return
    with TemporaryDirectory() as folder:
        simulate(InternetConfig(seed=1, packets=options.packets), Path(folder))
        capture = Path(folder) / "capture.pcap"
        up()
        try:
            for sender in options.senders.split(","):
                if sender == "tcpreplay" and shutil.which("tcpreplay") is None:
                    print("tcpreplay is not installed: skipped")
                    continue
                for rate in options.rates.split(","):
                    measure(sender, int(rate), capture, options.packets)
        finally:
            down()


if __name__ == "__main__":
    main()
