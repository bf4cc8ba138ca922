"""From a decision to the last packet that still arrived, by every path, with a real switch and a real gateway.

    python benchmarks/contain/lab.py --tries 100            # as root; about a minute
    python benchmarks/contain/lab.py --tries 100 --only br0 # the switch alone (or gateway)

In the lab of tests/lab an infected client sends to its C2 by UDP (3,600 packets a second), QUIC, HTTP, TLS, and over
sessions that are open, IPv4 and IPv6. Each try proposes a quarantine to the controller as an analyst does, waits until
it is verified, takes it back and waits until packets arrive again. Every message carries the time at which it was sent.

* decision to acknowledged: from the call until the log says APPLIED (log written and synced twice, every enforcer has
  acknowledged);
* decision to enforced: from the call until the last datagram that still arrived was sent, 0 if before the call;
* late: messages that were sent more than 50 ms after APPLIED and arrived, by any path (the bar: none);
* lost: messages of the clean client and the critical server that never arrived, and their connections that failed.

Baseline: the same flows by ``ovs-ofctl add-flow`` as a process for each of the two IP versions.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LAB = HERE.parent.parent / "tests" / "lab"
sys.path.insert(0, str(LAB))
DATAGRAMS = ("c2-udp4", "c2-udp6", "c2-quic4", "c2-quic6")
BAR = 50_000_000


def tries(given: dict[str, Any]) -> dict[str, Any]:
    """In the private place."""
    from parts.containment import nft, openflow, written
    from parts.desk import Desk
    from parts.flows import CLEAN_DIRECT, TO_C2_DIRECT
    from parts.product import Andon
    from parts.site import Lab

    acknowledged, enforced, late, failures = [], [], 0, []
    with Lab(Path(given["folder"])) as lab:
        chosen = {"br0": openflow(lab), "gateway": nft()}
        texts = [text for name, text in chosen.items() if given["only"] in ("", name)]
        andon = Andon(lab, ())
        andon.more(written(andon.folder, "".join(texts)))
        with Desk(andon.config) as desk:
            lab.near.start(*TO_C2_DIRECT, *CLEAN_DIRECT)
            time.sleep(1.0)
            for number in range(given["tries"]):
                intent = desk.intent()
                begun = time.time_ns()
                desk.propose(intent)
                desk.wait(intent.id, "verified")
                applied = desk.applied(intent.id)
                acknowledged.append((applied - begun) / 1e6)
                time.sleep(0.15)
                end = time.time_ns()
                last = max(lab.far.last(name, end)[0] for name in DATAGRAMS)
                enforced.append(max(0, last - begun) / 1e6)
                through = {n: lab.far.arrived(n, applied + BAR, end) for n in TO_C2_DIRECT}
                if any(through.values()):
                    late += sum(through.values())
                    failures.append((number, {name: n for name, n in through.items() if n}))
                desk.controller.revoke([intent.id], "alice", "next try")
                back = time.time_ns()
                while not all(lab.far.arrived(name, back) for name in DATAGRAMS):
                    time.sleep(0.01)
                    if time.time_ns() - back > 5e9:
                        failures.append((number, "not back after 5 s"))
                        break
            lab.near.stop()
            time.sleep(0.5)
            lost = {n: lab.near.sent(n) - lab.far.arrived(n) for n in CLEAN_DIRECT}
            failed = {n: lab.near.failed(n) for n in CLEAN_DIRECT}
            return {
                "acknowledged": acknowledged, "enforced": enforced, "late": late, "failures": failures,
                "sent": sum(lab.near.sent(n) for n in CLEAN_DIRECT),
                "lost": sum(lost.values()), "failed": sum(failed.values()), "alarms": desk.alarms,
            }  # fmt: skip


def baseline(given: dict[str, Any]) -> dict[str, Any]:
    """A process for each rule."""
    from parts.flows import CLEAN_DIRECT, TO_C2_DIRECT
    from parts.site import C2, Lab

    acknowledged, enforced = [], []
    with Lab(Path(given["folder"])) as lab:
        lab.near.start(*TO_C2_DIRECT, *CLEAN_DIRECT)
        time.sleep(1.0)
        rules = (f"ip,nw_src={C2.v4}", f"ipv6,ipv6_src={C2.v6}")
        for _ in range(given["tries"]):
            begun = time.time_ns()
            for rule in rules:
                lab.switch.ofctl("add-flow", f"priority=300,{rule},actions=drop")
            acknowledged.append((time.time_ns() - begun) / 1e6)
            time.sleep(0.15)
            last = max(lab.far.last(name)[0] for name in DATAGRAMS)
            enforced.append(max(0, last - begun) / 1e6)
            for rule in rules:
                lab.switch.ofctl("del-flows", rule)
            time.sleep(0.05)
    return {"acknowledged": acknowledged, "enforced": enforced}


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    p50, p95 = ordered[len(ordered) // 2], ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return f"{p50:8.2f} {p95:8.2f} {ordered[-1]:8.2f}"


def main() -> None:
    from parts.private import missing, privately

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--only", default="", choices=("", "br0", "gateway"))
    parser.add_argument("--baseline", type=int, default=40, help="tries with ovs-ofctl; 0: none")
    asked = parser.parse_args()
    if reason := missing("nft"):
        sys.exit(reason)
    print(
        f"load {' '.join(f'{one:.2f}' for one in os.getloadavg())} on {os.cpu_count()} CPUs; ms, p50 p95 max"
    )
    with tempfile.TemporaryDirectory() as folder:
        given = {"folder": f"{folder}/controller", "tries": asked.tries, "only": asked.only}
        found = privately("lab:tries", given, 60 + 3 * asked.tries, paths=(LAB, HERE))
        what = asked.only or "br0 and gateway"
        print(f"{what}, {asked.tries} tries: decision to acknowledged {quantiles(found['acknowledged'])}")
        print(f"{what}, {asked.tries} tries: decision to enforced     {quantiles(found['enforced'])}")
        print(
            f"late (any path, more than 50 ms after applied): {found['late']}; {found['failures'] or 'no failures'}"
        )
        print(
            f"clean client and critical server: {found['sent']:,} messages, {found['lost']} lost, "
            f"{found['failed']} connections failed; alarms: {found['alarms'] or 'none'}"
        )
        if asked.baseline:
            given = {"folder": f"{folder}/baseline", "tries": asked.baseline}
            found = privately("lab:baseline", given, 60 + 3 * asked.baseline, paths=(LAB, HERE))
            print(
                f"ovs-ofctl, {asked.baseline} tries: decision to acknowledged {quantiles(found['acknowledged'])}"
            )
            print(
                f"ovs-ofctl, {asked.baseline} tries: decision to enforced     {quantiles(found['enforced'])}"
            )
    print(f"load {' '.join(f'{one:.2f}' for one in os.getloadavg())}")


if __name__ == "__main__":
    main()
