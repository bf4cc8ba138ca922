"""The openflow enforcer on a real switch: decision to enforced, ten thousand rules, restarts; its encoder.

    python benchmarks/contain/openflow.py [--tries 200] [--restarts 30] [--rules 10000] [--hand-over 5 1]
                                          [--peer PYTHON]

Needs root and Open vSwitch; runs in private namespaces (the lab of tests/lab). *Enforced* is the send time of the
last probe that still arrived minus the time of the decision, 0 where none sent after it arrived; the probe is UDP
from the infected client through switch and gateway, about 3,600 packets a second. *Acknowledged* is when ``plan`` and
``apply`` have returned. ``--hand-over``: after how many ms a thread that computes hands the interpreter over
(``sys.setswitchinterval``), each in turn, try by try, so that all see the same load. ``--peer``: a Python that has
os-ken 4.2.2, whose encoder is compared with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import struct
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

from andon.contain.contract import Unreachable  # noqa: E402
from andon.contain.enforcers.openflow import enforcer, oxm, wire  # noqa: E402
from andon.contain.enforcers.openflow.rule import Rule  # noqa: E402
from andon.records.intent import ADDRESS, BLOCK, BLOCK_PAIR, HOST, Intent, Party  # noqa: E402

PROBE = "c2-udp4"
BUSY = "andon, busy"  # another thread of the same process computes without pause
PEER = """
import sys, time
from os_ken.ofproto import ofproto_protocol, ofproto_v1_3_parser as p
dp = ofproto_protocol.ProtocolDesc(version=4)
any_ = {'out_port': 0xffffffff, 'out_group': 0xffffffff}
def one(i):
    m = p.OFPMatch(eth_type=0x800, ipv4_src='10.1.%d.%d' % (i >> 8, i & 255), ipv4_dst='192.0.2.1')
    r = p.OFPFlowMod(dp, cookie=i, table_id=2, priority=300, hard_timeout=60, flags=1, match=m, instructions=[], **any_)
    r.xid = i
    r.serialize()
    return bytes(r.buf)
start = time.process_time()
for i in range(10000):
    one(i)
print(time.process_time() - start)
from os_ken.ofproto import ofproto_parser
replies = [bytes.fromhex(line) for line in sys.stdin.read().split()]
start = time.process_time()
for reply in replies:
    assert len(ofproto_parser.msg(dp, *ofproto_parser.header(reply), reply).body) == 500
print(time.process_time() - start)
for i in range(0, 10000, 7):
    print(one(i).hex())
m = p.OFPMatch(in_port=3, eth_type=0x800, ip_proto=6, tcp_dst=80, ipv4_src=('10.0.0.0', '255.255.0.0'))
a = [p.OFPActionSetField(eth_dst='02:00:00:00:00:04'), p.OFPActionOutput(4, 0)]
i = [p.OFPInstructionActions(4, a), p.OFPInstructionGotoTable(9)]
r = p.OFPFlowMod(dp, cookie=1, table_id=2, priority=250, flags=1, match=m, instructions=i, **any_)
r.xid = 5
r.serialize()
print(bytes(r.buf).hex())
m = p.OFPMatch(eth_type=0x86dd, ip_proto=58, icmpv6_type=135, ipv6_src=('2001:db8::', 'ffff:ffff::'))
r = p.OFPFlowMod(dp, cookie=1, table_id=1, priority=1000, match=m, flags=1,
                 instructions=[p.OFPInstructionGotoTable(9)], **any_)
r.xid = 6
r.serialize()
print(bytes(r.buf).hex())
"""


def made_intent(number: int, action: str, subject: Party, target: Party | None = None) -> Intent:
    return Intent(
        id=number, action=action, subject=subject, target=target, ttl=3_600_000_000_000, reason="benchmark",
        requested_by="andon", created=time.time_ns(),
    )  # fmt: skip


def connected(lab: Any, rules: int = 2_000) -> Any:
    made = enforcer(
        "sw",
        {
            "connect": f"unix:{lab.switch.management}",
            "ovsdb": f"unix:{lab.switch.folder}/db.sock",
            "rules": rules,
        },
        Path(),
    )
    health = made.health()
    assert health.state == "ok", health
    return made


def spin(idle: Event) -> None:
    while not idle.is_set():
        sum(range(1000))


def address(text: str) -> Party:
    return Party(ADDRESS, text, (text,))


def latency(given: dict[str, Any]) -> dict[str, Any]:
    """Pair blocks of one host and its C2, on and off; then the same rule by a process for each change."""
    from parts.site import C2, C2_V4, Lab

    found: dict[str, Any] = {}
    with Lab(Path(given["folder"]), learning=False) as lab:
        made = connected(lab)
        host = Party(HOST, "c2", (C2.v4, C2.v6), mac=C2.mac, switch="sw", port=C2.port)
        lab.near.start(PROBE)
        time.sleep(0.5)
        number = 0

        def by_us() -> Callable[[], None]:
            nonlocal number
            number += 1
            intent = made_intent(number, BLOCK_PAIR, host, address(C2_V4[0]))
            return lambda: made.apply([made.plan(intent)])

        def by_process(*words: str) -> Callable[[], None]:
            rule = f"cookie=7,table=2,priority=300,ip,nw_src={C2.v4},nw_dst={C2_V4[0]},actions=drop"
            command = ["ovs-ofctl", "-O", "OpenFlow13", *words, f"unix:{lab.switch.management}", rule]
            return lambda: subprocess.run(command, check=True, capture_output=True) and None

        given_ms = 1e3 * sys.getswitchinterval()
        busy = {f"{BUSY}, {ms:g} ms": ms for ms in given["hand_over"]}
        tries = given["tries"]
        groups: list[tuple[dict[str, float], int, Callable[[], Callable[[], None]]]] = [
            ({"andon": given_ms}, tries, by_us),
            (busy, tries // 2, by_us),
            ({"ovs-ofctl": given_ms}, min(40, tries), lambda: by_process("add-flow")),
        ]
        for names, count, way in groups:
            before = os.getloadavg()[0]
            idle = Event()
            if names is busy:
                Thread(target=spin, args=(idle,), daemon=True).start()
            for name in names:
                found[name] = {"enforced": [], "acknowledged": []}
            for name, ms in [*names.items()] * count:
                sys.setswitchinterval(ms / 1e3)
                enforced, acknowledged = found[name]["enforced"], found[name]["acknowledged"]
                done = way()
                decided = time.time_ns()
                done()
                acknowledged.append((time.time_ns() - decided) / 1e6)
                sent, _ = lab.far.settled(PROBE, quiet=0.03)
                enforced.append(max(0, sent - decided) / 1e6)
                if name != "ovs-ofctl":
                    made.revoke([number])
                else:
                    lab.switch.ofctl("del-flows", "cookie=7/-1")
                opened = time.time_ns()
                while not lab.far.last(PROBE)[0] > opened:
                    time.sleep(0.005)
                time.sleep(0.01 + np.random.default_rng(len(enforced)).random() * 0.02)
            idle.set()
            for name in names:
                found[name]["load"] = [before, os.getloadavg()[0]]
        rate = lab.near.sent(PROBE) and lab.near.sent(PROBE, time.time_ns() - 10**9)
        found["rate"] = rate
        made.close()
    return found


def scale(given: dict[str, Any]) -> dict[str, Any]:
    """Many rules in one call, one more beside them, all taken away; then held again and a restart."""
    from parts.switch import Switch

    switch = Switch(Path(given["folder"]) / "ovs")
    count = given["rules"] // 2
    made = enforcer(
        "sw",
        {"connect": f"unix:{switch.management}", "fail_mode": "secure", "rules": 2 * count + 100},
        Path(),
    )
    made.health()
    intents = [
        made_intent(n, BLOCK, address(f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"))
        for n in range(1, count + 1)
    ]
    start, cpu = time.perf_counter(), time.process_time()
    plans = [made.plan(intent) for intent in intents]
    planned = time.perf_counter() - start
    receipts = made.apply(plans)
    applied = time.perf_counter() - start
    spent = time.process_time() - cpu
    there = len(switch.flows())
    start = time.perf_counter()
    held = made.actual()
    read = time.perf_counter() - start
    right = all(held.get(receipt.intent) == receipt.digest for receipt in receipts)
    one = []
    for n in range(count + 1, count + 101):
        start = time.perf_counter()
        made.apply(
            [
                made.plan(
                    made_intent(
                        n, BLOCK_PAIR, address("10.9.9.9"), address(f"203.0.{n >> 8 & 255}.{n & 255}")
                    )
                )
            ]
        )
        one.append((time.perf_counter() - start) * 1e3)
        made.revoke([n])
    start = time.perf_counter()
    again(switch)
    back = until_held(made, receipts, 20) - start
    start = time.perf_counter()
    made.revoke_all()
    revoked = time.perf_counter() - start
    left = len(switch.flows())
    made.close()
    return {"planned": planned, "applied": applied, "cpu": spent, "there": there, "right": right, "read": read,
            "one": one, "revoked": revoked, "left": left, "restart": back}  # fmt: skip


def again(switch: Any) -> None:
    """The daemon killed and started; the dying one may hold its lock for some more milliseconds."""
    switch.kill()
    end = time.perf_counter() + 2
    while True:
        try:
            switch._start()
        except RuntimeError:
            if time.perf_counter() > end:
                raise
            time.sleep(0.005)
        else:
            return


def until_held(made: Any, receipts: Any, seconds: float) -> float:
    """When everything was there again, as read back from the switch."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            held = made.actual()
        except Unreachable:
            time.sleep(0.002)
            continue
        if all(held.get(receipt.intent) == receipt.digest for receipt in receipts):
            return time.perf_counter()
        time.sleep(0.005)
    raise AssertionError("not held again")


def restarts(given: dict[str, Any]) -> dict[str, Any]:
    """The daemon killed (SIGKILL) and started: when 100 intents are held again, and whether a probe got through."""
    from parts.site import C2, C2_V4, Lab

    rows = []
    with Lab(Path(given["folder"]), learning=False) as lab:
        made = connected(lab)
        host = Party(HOST, "c2", (C2.v4, C2.v6), mac=C2.mac, switch="sw", port=C2.port)
        intents = [made_intent(1, BLOCK_PAIR, host, address(C2_V4[0]))]
        intents += [
            made_intent(n, BLOCK_PAIR, address(f"10.10.1.{n}"), address("192.0.2.1")) for n in range(2, 101)
        ]
        receipts = made.apply([made.plan(intent) for intent in intents])
        lab.near.start(PROBE, "c1-web-udp4")
        time.sleep(0.3)
        for _ in range(given["restarts"]):
            since = time.time_ns()
            start = time.perf_counter()
            again(lab.switch)
            up = time.perf_counter()
            back = until_held(made, receipts, 10)
            while (
                not lab.far.last("c1-web-udp4")[0] > since
                or time.time_ns() - lab.far.last("c1-web-udp4")[1] > 50e6
            ):
                time.sleep(0.005)
            clean = (lab.far.last("c1-web-udp4")[0] - since) / 1e9
            rows.append([back - start, back - up, lab.far.arrived(PROBE, since), clean])
            time.sleep(0.1)
        made.close()
    return {"rows": rows}


def encoded(count: int = 10_000) -> tuple[float, list[str]]:
    """CPU seconds for ten thousand flow mods, and the octets of those that the peer encodes too."""

    def one(i: int) -> bytes:
        terms = oxm.match(eth_type=0x800, ipv4_src=f"10.1.{i >> 8}.{i & 255}", ipv4_dst="192.0.2.1")
        return wire.flow_mod(i, Rule(2, 300, terms), i, seconds=60)

    start = time.process_time()
    for i in range(count):
        one(i)
    spent = time.process_time() - start
    from andon.contain.enforcers.openflow.rule import Output, SetField

    steer = oxm.match(in_port=3, eth_type=0x800, ip_proto=6, tcp_dst=80, ipv4_src="10.0.0.0/16")
    acts = (SetField(oxm.set_field("eth_dst", "02:00:00:00:00:04")), Output(4))
    others = [wire.flow_mod(5, Rule(2, 250, steer, acts, 9), 1)]
    solicit = oxm.match(eth_type=0x86DD, ip_proto=58, icmpv6_type=135, ipv6_src="2001:db8::/32")
    others.append(wire.flow_mod(6, Rule(1, 1000, solicit, goto=9), 1))
    return spent, [one(i).hex() for i in range(0, count, 7)] + [other.hex() for other in others]


def replies() -> list[bytes]:
    """Ten thousand rules as a switch gives them, 500 in each of twenty messages."""
    terms = oxm.encode_match(oxm.match(eth_type=0x800, ipv4_src="10.1.0.1", ipv4_dst="192.0.2.1"))
    one = struct.pack("!HBxIIHHHHxxxxQQQ", 48 + len(terms), 2, 1, 0, 300, 0, 60, 1, 5, 6, 7) + terms
    head = struct.pack("!HH4x", wire.STATS_FLOW, 0)
    return [wire.encode(wire.MULTIPART_REPLY, 1, head + one * 500) for _ in range(20)]


def against(peer: str) -> None:
    spent, ours = encoded()
    answers = replies()
    start = time.process_time()
    for message in wire.Framer().feed(b"".join(answers)):
        assert len(list(wire.flow_stats(wire.multipart(message.body)[2]))) == 500
    read = time.process_time() - start
    given = "\n".join(answer.hex() for answer in answers)
    said = subprocess.run(
        [*shlex.split(peer), "-c", PEER], check=True, capture_output=True, text=True, input=given
    )
    encode, decode, *theirs = said.stdout.split()
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    print(f"\nencoder: {same:,} of {len(ours):,} messages are the same octets as os-ken's")
    print(f"10,000 flow mods: {spent:.2f} CPU s, os-ken {float(encode):.2f} CPU s")
    print(f"10,000 rules read: {read:.2f} CPU s, os-ken {float(decode):.2f} CPU s")


def figures(values: list[float]) -> str:
    p50, p95 = np.percentile(values, [50, 95])
    return f"{p50:8.2f} {p95:8.2f} {max(values):8.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--hand-over", type=float, nargs="+", default=[5.0], help="ms")
    parser.add_argument("--peer", default="")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    why = missing()
    if why:
        sys.exit(why)
    whole: dict[str, Any] = {}
    with TemporaryDirectory() as folder:

        def run(function: Callable[..., Any], **values: Any) -> Any:
            where = {"folder": str(Path(folder) / function.__name__), **values}
            paths = (ROOT / "tests" / "lab", ROOT / "src", Path(__file__).parent)
            whole[function.__name__] = privately(f"openflow:{function.__name__}", where, 500, paths=paths)
            return whole[function.__name__]

        if given.tries:
            found = run(latency, tries=given.tries, hand_over=given.hand_over)
            print(f"decision to enforced, ms (probe {found['rate']:,}/s)")
            print(f"{'':34s}    n      p50      p95      max   load")
            for name in (name for name in found if name != "rate"):
                for what in ("enforced", "acknowledged"):
                    values = found[name][what]
                    load = "-".join(f"{one:.1f}" for one in found[name]["load"])
                    print(f"{name + ' ' + what:34s} {len(values):4d} {figures(values)}   {load}")
        if given.rules:
            found = run(scale, rules=given.rules)
            print(f"\n{given.rules:,} rules: planned {found['planned']:.2f} s, held after {found['applied']:.2f} s "
                  f"({found['cpu']:.2f} CPU s of ours); the switch shows {found['there']:,} with the pipeline's; "
                  f"read back right: {found['right']} in {found['read']:.2f} s")  # fmt: skip
            print(f"one more beside them, ms (n = 100): {figures(found['one'])}")
            print(f"held again after a restart: {found['restart']:.2f} s")
            print(f"kill switch: {found['revoked']:.3f} s, {found['left']} rules left (the pipeline)")
        if given.restarts:
            rows = np.array(run(restarts, restarts=given.restarts)["rows"])
            print(
                f"\nrestarts of the switch (n = {len(rows)}, 100 intents), s: p50, p95, max;"
                f" load {os.getloadavg()[0]:.1f}"
            )
            print(f"{'killed -> held again':34s} {figures(rows[:, 0].tolist())}")
            print(f"{'started -> held again':34s} {figures(rows[:, 1].tolist())}")
            print(f"{'killed -> clean client served':34s} {figures(rows[:, 3].tolist())} (at most)")
            print(f"probes of the contained host that got through: {int(rows[:, 2].sum())}")
    if given.peer:
        against(given.peer)
    if given.json:
        given.json.write_text(json.dumps(whole))


if __name__ == "__main__":
    main()
