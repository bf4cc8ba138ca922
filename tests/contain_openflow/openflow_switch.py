"""What runs in the private place (tests/lab/parts/private.py): each function starts a switch of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openflow_made import C2, PC, PORTS, SECOND, intent
from parts.switch import Switch

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.openflow import OpenFlowEnforcer, keeper
from andon.records.intent import ADDRESS, ALLOW, BLOCK, HOST, MIRROR, PROXY, QUARANTINE, SINKHOLE, Party


def switch_in(given: dict[str, Any]) -> Switch:
    return Switch(Path(given["folder"]) / "ovs")


def enforcer_of(switch: Switch, name: str = "sw", **more: Any) -> OpenFlowEnforcer:
    settings = {"connect": f"unix:{switch.management}", "fail_mode": "secure", "check": 0.2, **more}
    if more.get("listen"):
        del settings["connect"]
    made = make_enforcer({"name": name, "kind": "openflow", **settings})
    assert isinstance(made, OpenFlowEnforcer)
    return made


def until(true: Callable[[], bool], seconds: float = 60.0) -> float:
    """Seconds until it was so. Raises AssertionError."""
    start = time.monotonic()
    while not true():
        if time.monotonic() - start > seconds:
            raise AssertionError("it did not come to that")
        time.sleep(0.01)
    return time.monotonic() - start


def started(switch: Switch) -> None:
    """Start the daemon that was killed; a dying one may hold its lock for some more milliseconds."""
    for tries in range(100):
        try:
            switch._start()
        except RuntimeError:
            if tries == 99:
                raise
            time.sleep(0.02)
        else:
            return


def typed(command: str) -> None:
    subprocess.run(shlex.split(command), check=True, timeout=20, capture_output=True)


def of_intents(switch: Switch) -> list[str]:
    return [flow for flow in switch.flows() if "cookie=0x8" in flow and "table=20" not in flow]


def of_pipeline(switch: Switch) -> list[str]:
    return [flow for flow in switch.flows() if "cookie=0x416e646f6e" in flow]


def life(given: dict[str, Any]) -> dict[str, Any]:
    """What the plan says, typed by hand; the same by the enforcer; and what belongs to others."""
    switch = switch_in(given)
    made = enforcer_of(switch, **PORTS)
    made.health()
    switch.ofctl("add-flow", "table=2,priority=7,cookie=0x5,ip,nw_dst=192.0.2.99,actions=drop")
    switch.ofctl("add-flow", "table=20,priority=7,cookie=0x8000000000000fff,ip,actions=drop")
    plans = [
        made.plan(intent(number, action, target=C2 if number == 7 else None))
        for number, action in enumerate((ALLOW, PROXY, MIRROR, BLOCK, QUARANTINE, SINKHOLE, "block-pair"), 1)
    ]
    found: dict[str, Any] = {"by hand": []}
    for plan in plans[4:]:
        for command in plan.commands:
            typed(command)
        found["by hand"].append(made.actual().get(plan.intent.id))
        for command in plan.inverse:
            typed(command)
    found["inverse left"] = of_intents(switch)
    receipts = made.apply(plans)
    found["digests"] = [receipt.digest for receipt in receipts]
    found["verified"] = [made.verify(receipt) for receipt in receipts]
    again = made.apply(plans[:2])
    found["again"] = [receipt.digest for receipt in again] == found["digests"][:2]
    made.revoke([1, 2, 4711])
    found["held"] = sorted(made.actual())
    switch.ofctl("mod-flows", f"cookie={1 << 63 | 5:#x}/-1,table=2,actions=goto_table:9")
    found["altered"] = made.verify(receipts[4])
    until(lambda: "others have rules in table 2" in made.health().statement)
    made.revoke_all()
    found["end"], found["pipeline"] = switch.flows(), of_pipeline(switch)
    found["fresh"] = make_and_read(switch)
    made.close()
    return found


def make_and_read(switch: Switch) -> dict[str, Any]:
    """A process that comes later finds what an earlier one left, and can take it away."""
    first = enforcer_of(switch)
    receipt = first.apply([first.plan(intent(99))])[0]
    first.close()
    second = enforcer_of(switch)
    found = {"same": second.actual().get(99) == receipt.digest}
    switch.ofctl("del-flows", "table=2")
    found["mended"] = until(lambda: second.verify(receipt)) < 5
    other = second.plan(intent(99, BLOCK))
    found["other plan"] = second.verify(second.apply([other])[0])
    second.revoke([99])
    found["left"] = len(of_intents(switch))
    second.close()
    return found


def trace(switch: Switch, flow: str) -> list[str]:
    """What the switch would do with a packet: outputs, NORMAL, rewritten addresses; empty if it drops it."""
    command = ["ovs-appctl", "-t", f"{switch.folder}/v.ctl", "ofproto/trace", "br0", flow]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
    return re.findall(r"^ +(output:\d+|NORMAL|set_field:\S+)$", said, re.MULTILINE)


V4 = "nw_src=10.0.0.2,nw_dst=192.0.2.66"
V6 = "ipv6_src=2001:db8::2,ipv6_dst=2001:db8:66::66"
BACK4 = "nw_src=192.0.2.66,nw_dst=10.0.0.2"
HERE = "in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01"
AWAY = "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
PACKETS = {
    "c2 http": f"tcp,{HERE},{V4},tcp_dst=80",
    "c2 tls": f"tcp,{HERE},{V4},tcp_dst=443",
    "c2 quic": f"udp,{HERE},{V4},udp_dst=443",
    "c2 http v6": f"tcp6,{HERE},{V6},tcp_dst=80",
    "c2 quic v6": f"udp6,{HERE},{V6},udp_dst=443",
    "c2 answer": f"tcp,{AWAY},{BACK4},tcp_src=80,tcp_flags=ack",
    "c2 from elsewhere": f"tcp,in_port=3,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01,{V4},tcp_dst=81",
    "other http": f"tcp,{HERE},nw_src=10.0.0.2,nw_dst=198.51.100.1,tcp_dst=80",
    "other tls": f"tcp,{HERE},nw_src=10.0.0.2,nw_dst=198.51.100.1,tcp_dst=443",
    "other v6": "tcp6," + HERE + ",ipv6_src=2001:db8::2,ipv6_dst=2001:db8:1::1,tcp_dst=443",
    "spoofed": f"tcp,{HERE},nw_src=10.0.0.77,nw_dst=198.51.100.1,tcp_dst=443",
    "protected": f"udp,{HERE},nw_src=10.0.0.2,nw_dst=10.0.0.53,udp_dst=53",
    "from protected": f"udp,{AWAY},nw_src=10.0.0.53,nw_dst=10.0.0.2,udp_src=53",
    "arp": f"arp,{HERE}",
    "nd": f"icmp6,{HERE},{V6},icmpv6_type=135,icmpv6_code=0",
    "dhcp": f"udp,{HERE},nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67",
    "dhcp answer": f"udp,{AWAY},nw_src=10.0.0.1,nw_dst=10.0.0.2,udp_src=67,udp_dst=68",
    "dhcp to c2": f"udp,{HERE},{V4},udp_src=68,udp_dst=67",
    "page": f"tcp,in_port=6,dl_src=02:00:00:00:00:06,dl_dst=02:00:00:00:00:02,{BACK4},tcp_src=80",
    "sink": f"tcp,in_port=7,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:02,{BACK4},tcp_src=80",
    "clean http": "tcp,in_port=3,dl_src=02:00:00:00:00:03,nw_src=10.0.0.3,nw_dst=192.0.2.66,tcp_dst=80",
    "lateral": "tcp,in_port=3,dl_src=02:00:00:00:00:03,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.3,nw_dst=10.0.0.2",
}


def packets(given: dict[str, Any]) -> dict[str, Any]:
    """What becomes of each packet under each intent, as the switch itself says."""
    switch = switch_in(given)
    words = []
    for port in range(1, 8):
        words += ["--", "add-port", "br0", f"p{port}", "--", "set", "interface", f"p{port}", "type=internal"]
        words += [f"ofport_request={port}"]
    switch.vsctl(*words[1:])
    made = enforcer_of(switch, protect=["10.0.0.53/32"], **PORTS)
    assert made.health().state == "ok", made.health()
    ground = intent(1, target=None, action=ALLOW)
    cases = {
        "nothing": [],
        "pair": [intent(1)],
        "mirror": [intent(1, MIRROR)],
        "mirror and pair": [intent(1, MIRROR), intent(2)],
        "proxy": [intent(1, PROXY)],
        "quarantine": [intent(1, QUARANTINE)],
        "block": [intent(1, BLOCK)],
        "block of the c2": [intent(1, BLOCK, subject=C2)],
        "block of a prefix": [intent(1, BLOCK, subject=Party("prefix", "192.0.2.0/24"))],
        "sinkhole": [intent(1, SINKHOLE, target=C2)],
        "allow and quarantine": [ground.with_(target=C2), intent(2, QUARANTINE)],
        "by address": [intent(1, subject=Party(HOST, "pc-2", PC.addresses))],
        "proxy by address": [intent(1, PROXY, subject=Party(HOST, "pc-2", PC.addresses))],
    }
    found: dict[str, Any] = {}
    for name, intents in cases.items():
        made.apply([made.plan(one) for one in intents])
        found[name] = {packet: trace(switch, flow) for packet, flow in PACKETS.items()}
        made.revoke([one.id for one in intents])
    strict = enforcer_of(switch, protect=["10.0.0.53/32"], quarantine_reaches_protected=False, **PORTS)
    strict.apply([strict.plan(intent(1, QUARANTINE))])
    found["strict quarantine"] = {packet: trace(switch, flow) for packet, flow in PACKETS.items()}
    strict.close()
    made.close()
    return found


def mending(given: dict[str, Any]) -> dict[str, Any]:
    """Restart, flush by hand, one rule deleted, a controller set, an answer that comes while nobody is there."""
    switch = switch_in(given)
    made = enforcer_of(switch)
    receipts = made.apply([made.plan(intent(1)), made.plan(intent(2, BLOCK))])
    whole = len(switch.flows())
    held = lambda: len(switch.flows()) == whole and all(map(made.verify, receipts))  # noqa: E731
    found: dict[str, Any] = {
        "held": held(),
        "epochs": [made.health().epoch],
        "gone": [list(made.tick(time.time_ns()))],
    }

    def after(name: str, act: Callable[[], object]) -> None:
        act()
        begun = time.monotonic()
        while time.monotonic() - begun < 8:
            try:
                if held():
                    break
            except Unreachable:
                time.sleep(0.01)
        found[name] = time.monotonic() - begun
        time.sleep(0.1)
        found["epochs"].append(made.health().epoch)
        found["gone"].append(sorted(made.tick(time.time_ns())))

    after("restart", lambda: (switch.kill(), started(switch)))
    after("flush", lambda: switch.ofctl("del-flows"))
    after(
        "one rule",
        lambda: switch.ofctl(
            "del-flows", "--strict", "table=2,priority=300,ip,nw_src=10.0.0.2,nw_dst=192.0.2.66"
        ),
    )
    after("pipeline", lambda: switch.ofctl("del-flows", "table=9"))
    after("controller", lambda: switch.controller("tcp:127.0.0.1:6699"))
    switch.kill()
    until(lambda: made.health().state == "down")
    found["down"] = made.health().statement
    try:
        made.revoke([2])
        found["revoked while down"] = "no error"
    except Unreachable as error:
        found["revoked while down"] = type(error).__name__
    started(switch)
    until(lambda: made.health().state != "down")
    found["after"] = sorted(made.actual())
    switch.kill()
    until(lambda: made.health().state == "down")
    ended: list[int] = []
    hour = time.time_ns() + 3600 * SECOND
    until(lambda: bool(ended.extend(made.tick(hour))) or bool(ended))
    found["ended while down"] = ended
    started(switch)
    until(lambda: made.health().state != "down")
    time.sleep(0.5)  # two checks
    found["after the end"] = [sorted(made.actual()), made.health().rules]
    made.tick(time.time_ns())
    made.apply([made.plan(intent(4))])
    switch.kill()
    try:
        made.revoke_all()
    except Unreachable:
        found["all while down"] = "Unreachable"
    started(switch)
    until(lambda: made.health().state != "down")
    found["after all"], found["pipeline left"] = sorted(made.actual()), len(of_pipeline(switch))
    made.close()
    return found


def clocks(given: dict[str, Any]) -> dict[str, Any]:
    """Time-outs of the switch, ends by our own clock, what holds longer than a time-out can, and shared rules."""
    switch = switch_in(given)
    made = enforcer_of(switch)
    found: dict[str, Any] = {}
    host = Party(ADDRESS, "10.0.0.7", ("10.0.0.7",))
    made.apply(
        [
            made.plan(intent(1, ttl=60)),
            made.plan(intent(2, ttl=600)),
            made.plan(intent(3, BLOCK, 10.0, subject=host)),
        ]
    )
    found["shared"] = [sorted(made.actual()), sorted({flow.split(",")[0] for flow in of_intents(switch)})]
    made.revoke([2])
    receipt = made.apply([made.plan(intent(2, ttl=30))])[0]
    found["handed on"] = [
        sorted(made.actual()),
        made.verify(receipt),
        sorted({f.split(",")[0] for f in of_intents(switch)}),
    ]
    found["timeouts"] = sorted(
        {int(n) for flow in of_intents(switch) for n in re.findall(r"hard_timeout=(\d+)", flow)}
    )
    gone: list[int] = []
    found["expired after"] = until(
        lambda: bool(gone.extend(made.tick(time.time_ns() - 10 * SECOND)) or gone), 30
    )
    found["expired"] = gone
    over: list[int] = []
    soon = time.time_ns() + 61 * SECOND
    # A tick waits for nobody: it may be the next one that tells.
    until(lambda: bool(over.extend(made.tick(soon))) or len(over) >= 2)
    found["by our clock"] = sorted(over)
    until(lambda: not of_intents(switch))
    made.tick(time.time_ns())
    try:
        made.apply([made.plan(intent(4, created=time.time_ns() - 700 * SECOND))])
    except Rejected as error:
        found["too late"] = str(error)
    # Somebody sets the clock a day ahead; the time that tick is told goes on as before.
    made.tick(now := time.time_ns())
    real, time.time_ns = time.time_ns, lambda: now + 86_400 * SECOND
    late = made.plan(intent(6, BLOCK, created=now))
    ahead = made.apply([late])[0]
    switch.ofctl("del-flows", "table=2")
    until(lambda: made.verify(ahead))
    found["clock set"] = [made.verify(made.apply([late])[0]), list(made.tick(now + SECOND))]
    time.time_ns = real
    made.revoke([6])
    keeper._LONGEST = 8
    made.apply([made.plan(intent(5, ttl=3600))])
    time.sleep(10)
    found["long"] = [sorted(made.actual()), list(made.tick(time.time_ns()))]
    made.close()
    # The same where nobody ever told the time: what was told once stays.
    made = enforcer_of(switch)
    plan = made.plan(intent(8, BLOCK, subject=host))
    made.apply([plan])
    time.time_ns = lambda: real() + 86_400 * SECOND
    found["told once"] = made.verify(made.apply([plan])[0])
    time.time_ns = real
    made.close()
    return found


def troubles(given: dict[str, Any]) -> dict[str, Any]:
    """Each thing that must not be called healthy, and what the switch says no to."""
    switch = switch_in(given)
    database = f"unix:{switch.folder}/db.sock"
    found: dict[str, Any] = {}
    made = enforcer_of(switch, ovsdb=database)
    found["ok"] = made.health().state, made.health().detail["fail_mode"], made.health().detail["role"]
    unknown = enforcer_of(switch, fail_mode="")
    found["unknown"] = unknown.health().state, unknown.health().statement
    until(lambda: "another controller" in made.health().statement)
    found["second"] = made.health().state, made.health().statement
    try:
        made.apply([made.plan(intent(1))])
    except Rejected as error:
        found["slave"] = str(error)
    unknown.close()
    made.close()
    switch.vsctl("set-fail-mode", "br0", "standalone")
    made = enforcer_of(switch, ovsdb=database)
    found["standalone"] = made.health().state, made.health().statement
    switch.vsctl("set-fail-mode", "br0", "secure")
    made.close()
    made = enforcer_of(switch, ovsdb=database, rules=40, **PORTS)
    found["ports"] = made.health().statement
    receipt = made.apply([made.plan(intent(1))])[0]
    switch.vsctl(
        "--", "--id=@t", "create", "Flow_Table", "flow_limit=14", "overflow_policy=refuse",
        "--", "set", "Bridge", "br0", "flow_tables:2=@t",
    )  # fmt: skip
    before = sorted(switch.flows())
    for name, number, bundles in (("full", 2, True), ("full, no bundles", 3, False)):
        made._keeper.session.bundles = bundles
        try:
            made.apply([made.plan(intent(number, BLOCK)), made.plan(intent(9, BLOCK, subject=C2))])
        except Rejected as error:
            found[name] = [
                str(error),
                sorted(switch.flows()) == before,
                made.verify(receipt),
                sorted(made.actual()),
            ]
    made._keeper.session.bundles = True
    crowd = "".join(f"add table=2,priority=9,ip,nw_dst=198.18.0.{n},actions=drop\n" for n in range(13))
    switch.ofctl("add-flows", "--bundle", "-", given=f"delete table=2\n{crowd}")
    until(lambda: "not as it is to be" in made.health().statement)
    epoch = made.health().epoch
    time.sleep(1.0)  # five checks
    found["no room to mend"] = [made.health().epoch - epoch, made.health().statement]
    switch.ofctl("del-flows", "table=2,ip,cookie=0/-1")
    until(lambda: made.verify(receipt))
    found["full health"] = made.health().state, made.health().statement
    switch.vsctl("clear", "Bridge", "br0", "flow_tables")
    many = [made.plan(intent(n, BLOCK, subject=Party(ADDRESS, f"198.51.100.{n}"))) for n in range(10, 30)]
    try:
        made.apply(many)
    except Rejected as error:
        found["cap"] = [str(error), sorted(made.actual())]
    made._keeper.session.bundles = False
    made.apply(many[:3])
    made.revoke([11])
    found["no bundles"] = sorted(made.actual())
    made.close()
    switch.vsctl("set", "bridge", "br0", "protocols=OpenFlow10")
    made = enforcer_of(switch)
    found["version"] = made.health().state, made.health().statement
    try:
        made.apply([made.plan(intent(1))])
    except Unreachable as error:
        found["version error"] = str(error)
    made.close()
    return found


def reached(made: OpenFlowEnforcer, switch: Switch) -> Any:
    """Whether an intent can be applied, seen and taken back over this connection."""
    until(lambda: made.health().state != "down")
    receipt = made.apply([made.plan(intent(1))])[0]
    right = made.verify(receipt) and len(of_intents(switch)) == receipt.detail["rules"]
    made.revoke([1])
    return right and not of_intents(switch) and made.health().detail["role"]


def called(switch: Switch, target: str) -> None:
    """The switch calls ``target``, and soon again if nobody answers."""
    switch.vsctl("set-controller", "br0", target, "--", "set", "controller", "br0", "max_backoff=1000")


def far(given: dict[str, Any]) -> dict[str, Any]:
    """TCP and TLS, we calling and the switch calling; strangers are not let in."""
    switch = switch_in(given)
    keys = Path(given["keys"])
    tls = {
        "ca_file": str(keys / "ca.pem"),
        "certificate": str(keys / "andon.pem"),
        "private_key": str(keys / "andon.key"),
    }
    found: dict[str, Any] = {}
    switch.vsctl("set-ssl", str(keys / "switch.key"), str(keys / "switch.pem"), str(keys / "ca.pem"))
    switch.controller("ptcp:6653:127.0.0.1")
    made = enforcer_of(switch, connect="tcp:127.0.0.1:6653")
    found["tcp"] = reached(made, switch)
    made.close()
    switch.controller("pssl:6654:127.0.0.1")
    made = enforcer_of(switch, connect="ssl:127.0.0.1:6654", **tls)
    found["ssl"] = reached(made, switch)
    made.close()
    other = {**tls, "ca_file": str(keys / "other.pem")}
    made = enforcer_of(switch, connect="ssl:127.0.0.1:6654", **other)
    found["wrong authority"] = made.health().state, made.health().statement
    made.close()
    made = enforcer_of(
        switch, listen="tcp:127.0.0.1:6655", ovsdb=f"unix:{switch.folder}/db.sock", bridge="br0"
    )
    found["nobody called"] = made.health().statement
    called(switch, "tcp:127.0.0.1:6655")
    found["listen tcp"] = reached(made, switch)
    found["listen health"] = made.health().state, made.health().statement
    made.close()
    made = enforcer_of(switch, listen="ssl:127.0.0.1:6656", **tls)
    made.health()
    called(switch, "ssl:127.0.0.1:6656")
    found["listen ssl"] = reached(made, switch)
    made.close()
    made = enforcer_of(switch, listen="tcp:0.0.0.0:6657", peers=["192.0.2.0/24"])
    made.health()
    called(switch, "tcp:127.0.0.1:6657")
    until(lambda: made._keeper._listener is not None and made._keeper._listener.refused > 0)
    found["stranger"] = made.health().state
    made.close()
    made = enforcer_of(switch, datapath="00:00:00:00:00:00:00:01")
    found["wrong datapath"] = made.health().statement
    made.close()
    return found
