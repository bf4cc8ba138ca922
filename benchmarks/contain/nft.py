"""The nft enforcer on a real gateway: decision to enforced, a hundred thousand elements, one more, the kill switch.

    python benchmarks/contain/nft.py [--tries 200] [--elements 100000]

Needs root and nftables; runs in private namespaces (the lab of tests/lab). *Enforced* is the send time of the last
probe that still arrived minus the time of the decision, 0 where none sent after it arrived; the probe is UDP from the
infected client through switch and gateway, about 3,600 packets a second. *Acknowledged* is when ``plan`` and ``apply``
have returned. Beside it: one ``nft`` process for each change, in the namespace already, and by ``ip netns exec``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "src")]

from parts.private import missing, privately  # noqa: E402
from parts.spaces import inside, made, run_in  # noqa: E402

from andon.contain.enforcers import make_enforcer  # noqa: E402
from andon.records.intent import ADDRESS, BLOCK, BLOCK_PAIR, HOST, Intent, Party  # noqa: E402

PROBE = "c2-udp4"
BUSY = "andon, busy"  # another thread of the same process computes without pause


def intent(number: int, action: str, subject: Party, target: Party | None = None) -> Intent:
    return Intent(
        id=number, action=action, subject=subject, target=target, ttl=3_600_000_000_000, reason="benchmark",
        requested_by="andon", created=time.time_ns(),
    )  # fmt: skip


def spin(idle: Event) -> None:
    while not idle.is_set():
        sum(range(1000))


def latency(given: dict[str, Any]) -> dict[str, Any]:
    """Pair blocks of one host and its C2, on and off; then the same element by a process for each change."""
    from parts.site import C2, C2_V4, C2_V6, Lab

    found: dict[str, Any] = {}
    with Lab(Path(given["folder"])) as lab:
        gateway = make_enforcer({"name": "gw", "kind": "nft", "netns": "gw"})
        host, other = Party(HOST, "c2", (C2.v4, C2.v6)), Party(HOST, "evil", (C2_V4[0], C2_V6[0]))
        gateway.apply([gateway.plan(intent(1, BLOCK, Party(ADDRESS, "192.0.2.1")))])
        lab.near.start(PROBE)
        time.sleep(0.5)
        number = 1
        element = ["inet", "andon", "pair4", f"{{ {C2.v4} . {C2_V4[0]} timeout 60s }}"]

        def by_us() -> None:
            gateway.apply([gateway.plan(intent(number, BLOCK_PAIR, host, other))])

        def by_process(*before: str) -> Callable[[], None]:
            def work() -> None:
                with inside("" if before else "gw"):
                    subprocess.run(
                        [*before, "nft", "add", "element", *element], check=True, capture_output=True
                    )

            return work

        ways: dict[str, tuple[int, Callable[[], None]]] = {
            "andon": (given["tries"], by_us),
            BUSY: (given["tries"] // 2, by_us),
            "nft process": (min(50, given["tries"]), by_process()),
            "ip netns exec": (min(50, given["tries"]), by_process("ip", "netns", "exec", "gw")),
        }
        for name, (tries, way) in ways.items():
            enforced, acknowledged = [], []
            before = os.getloadavg()[0]
            idle = Event()
            if name == BUSY:
                Thread(target=spin, args=(idle,), daemon=True).start()
            for _ in range(tries):
                number += 1
                decided = time.time_ns()
                way()
                acknowledged.append((time.time_ns() - decided) / 1e6)
                sent, _ = lab.far.settled(PROBE, quiet=0.03)
                enforced.append(max(0, sent - decided) / 1e6)
                if way is by_us:
                    gateway.revoke([number])
                else:
                    run_in(
                        "gw", "nft", "delete", "element", *element[:3], element[3].replace(" timeout 60s", "")
                    )
                opened = time.time_ns()
                while not lab.far.last(PROBE)[0] > opened:
                    time.sleep(0.005)
                time.sleep(0.01 + np.random.default_rng(len(enforced)).random() * 0.02)
            idle.set()
            found[name] = {
                "enforced": enforced, "acknowledged": acknowledged, "load": [before, os.getloadavg()[0]],
            }  # fmt: skip
        found["rate"] = lab.near.sent(PROBE, time.time_ns() - 10**9)
        gateway.close()
    return found


def scale(given: dict[str, Any]) -> dict[str, Any]:
    """Many blocked addresses in one call, one more beside them, read back, taken away; the same by ``nft -f``."""
    made("gw")
    count = given["elements"]
    gateway = make_enforcer(
        {"name": "gw", "kind": "nft", "netns": "gw", "max_elements": 2 * count + 1000, "patience": 60.0}
    )
    seen: dict[str, Any] = {"load": [os.getloadavg()[0]]}
    intents = [
        intent(n + 1, BLOCK, Party(ADDRESS, f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"))
        for n in range(count)
    ]
    start, cpu, memory = time.perf_counter(), time.process_time(), _resident()
    plans = [gateway.plan(one) for one in intents]
    seen["plan"] = time.perf_counter() - start
    start = time.perf_counter()
    receipts = gateway.apply(plans)
    seen["apply"], seen["cpu"] = time.perf_counter() - start, time.process_time() - cpu
    seen["memory"] = [memory, _resident()]
    del plans, intents
    more, ack = [], []
    for n in range(count + 1, count + 201):
        one = gateway.plan(intent(n, BLOCK, Party(ADDRESS, f"203.0.{n >> 8 & 255}.{n & 255}")))
        start = time.perf_counter()
        last = gateway.apply([one])[0]
        more.append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()
        assert gateway.verify(last)
        ack.append(1e3 * (time.perf_counter() - start))
    seen["more"], seen["verify"] = more, ack
    start = time.perf_counter()
    known = gateway.actual()
    seen["actual, unchanged"] = time.perf_counter() - start
    run_in("gw", "nft", "add table inet site")
    start = time.perf_counter()
    held = gateway.actual()
    seen["actual, read"] = time.perf_counter() - start
    seen["right"] = held == known and all(held[one.intent] == one.digest for one in receipts)
    ticks = []
    for _ in range(100):
        start = time.perf_counter()
        gateway.tick(time.time_ns())
        ticks.append(1e3 * (time.perf_counter() - start))
    seen["tick"] = ticks
    time.sleep(3)  # a look that a tick began
    start = time.perf_counter()
    gateway.revoke_all()
    seen["kill switch"] = time.perf_counter() - start
    seen["left"] = len(gateway.actual()) + run_in("gw", "nft", "list", "ruleset").count("198.")
    seen["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    keys = ", ".join(f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255} timeout 3600s" for n in range(count))
    text = "add table inet peer; add set inet peer s { type ipv4_addr; flags timeout; }; "
    text += f"add element inet peer s {{ {keys} }}"
    start = time.perf_counter()
    run_in("gw", "nft", "-f", "-", given=text)
    seen["nft -f"] = time.perf_counter() - start
    start = time.perf_counter()
    run_in("gw", "nft", "flush set inet peer s")
    seen["nft flush"] = time.perf_counter() - start
    seen["load"].append(os.getloadavg()[0])
    gateway.close()
    return seen


def _resident() -> float:
    """MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def row(name: str, values: list[float], load: list[float]) -> str:
    p50, p95 = np.percentile(values, [50, 95])
    return (
        f"{name:28} {len(values):5} {p50:9.2f} {p95:9.2f} {max(values):9.2f}   {load[0]:.2f} - {load[1]:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--elements", type=int, default=100_000)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args()
    if missing("nft"):
        sys.exit(missing("nft"))
    here = (ROOT / "tests" / "lab", Path(__file__).resolve().parent)
    with TemporaryDirectory() as folder:
        given = {"folder": folder, "tries": asked.tries}
        times = privately("nft:latency", given, seconds=400, paths=here)
        many = privately("nft:scale", {"elements": asked.elements}, seconds=200, paths=here)
    print(f"probe {times['rate']} packets/s through the gateway; times in ms")
    print(f"{'':28} {'tries':>5} {'p50':>9} {'p95':>9} {'max':>9}   load")
    for name in ("andon", BUSY, "nft process", "ip netns exec"):
        one = times[name]
        print(row(f"{name}: enforced", one["enforced"], one["load"]))
        print(row(f"{name}: acknowledged", one["acknowledged"], one["load"]))
    load = many["load"]
    print(
        f"\n{asked.elements:,} blocked addresses, each an intent of its own (load {load[0]:.2f} - {load[1]:.2f})"
    )
    print(
        f"planned in {many['plan']:.2f} s, applied in {many['apply']:.2f} s; together {many['cpu']:.2f} CPU s"
    )
    print(
        f"this process: {many['memory'][0]:.0f} MB before, {many['memory'][1]:.0f} MB after, {many['peak']:.0f} MB peak"
    )
    print(row("one more, ms", many["more"], load))
    print(row("its verification, ms", many["verify"], load))
    print(row("tick, ms", many["tick"], load))
    print(
        f"actual: {1e3 * many['actual, unchanged']:.0f} ms while nobody else changed rules,"
        f" {many['actual, read']:.2f} s read from the kernel; all right: {many['right']}"
    )
    print(f"kill switch {1e3 * many['kill switch']:.1f} ms; left: {many['left']}")
    print(
        f"nft -f of the same elements {many['nft -f']:.2f} s; nft flush set {1e3 * many['nft flush']:.1f} ms"
    )
    if asked.json:
        asked.json.write_text(json.dumps({"latency": times, "scale": many}))


if __name__ == "__main__":
    main()
