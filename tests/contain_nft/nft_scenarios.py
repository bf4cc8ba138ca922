"""What the tests of the nft enforcer do inside private namespaces; each function gives back what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from nft_site import (
    C2,
    C26,
    CAPTURE,
    CAPTURE6,
    CLEAN,
    CLEAN6,
    INFECTED,
    INFECTED6,
    MAC,
    OTHER,
    OTHER6,
    SINK,
    Frames,
    Servers,
    address,
    build,
    connected,
    host,
    intent,
    made_enforcer,
    nft,
    said,
    tcp,
    udp,
)  # fmt: skip
from parts.spaces import made, run_in

from andon.contain.enforcers.nft import NftEnforcer, Settings
from andon.records.intent import Party


def pair_block(given: dict[str, Any]) -> dict[str, Any]:
    build()
    gateway = made_enforcer()
    with Servers(), connected(INFECTED, C2) as open4, connected(INFECTED6, C26) as open6:
        # The gateway's own filter lets open connections pass, as most do.
        nft("add table inet site; add chain inet site f { type filter hook forward priority 0; }; "
            "add rule inet site f ct state established accept")  # fmt: skip
        before = [udp(INFECTED, C2), udp(INFECTED6, C26), bool(said(open4)), bool(said(open6))]
        wanted = intent(7, "block-pair", host(INFECTED, INFECTED6), Party("host", "c2", (C2, C26)))
        plan = gateway.plan(wanted)
        receipt = gateway.apply([plan])[0]
        cut = [
            udp(INFECTED, C2),
            udp(INFECTED6, C26),
            udp(INFECTED, C2, 443),
            said(open4),
            said(open6),
            tcp(INFECTED, C2),
        ]
        back = udp(C2, INFECTED, 5000, "out")
        clean = [udp(CLEAN, C2), udp(CLEAN6, C26), udp(INFECTED, OTHER), udp(INFECTED6, OTHER6)]
        seen = {
            "verify": gateway.verify(receipt), "actual": gateway.actual(), "health": gateway.health().state,
            "digest": receipt.digest, "listing": nft("list", "table", "inet", "andon"),
        }  # fmt: skip
        gateway.revoke([7, 99])
        after = [udp(INFECTED, C2), udp(INFECTED6, C26)]
        gone = {"verify": gateway.verify(receipt), "actual": gateway.actual()}
    gateway.close()
    return {
        "before": before,
        "cut": cut,
        "back": back,
        "clean": clean,
        "seen": seen,
        "after": after,
        "gone": gone,
    }


def quarantine(given: dict[str, Any]) -> dict[str, Any]:
    build()
    gateway = made_enforcer(
        quarantine_page=[f"{OTHER}:80"], quarantine_reach=[f"{SINK}/32"], protect=[CLEAN], match_mac=True
    )
    with Servers(), connected(INFECTED, C2, 4444) as open4:
        # The host has an IPv6 address that nobody told the enforcer of.
        wanted = intent(11, "quarantine", host(INFECTED, mac=MAC), address(C2))
        by_address = intent(12, "quarantine", host(INFECTED))
        paths = [list(gateway.plan(one).open_paths) for one in (wanted, by_address)]
        gateway.apply([gateway.plan(by_address)])
        unknown = udp(INFECTED6, C26)
        gateway.revoke([12])
        gateway.apply([gateway.plan(wanted)])
        seen = {
            "page": tcp(INFECTED, C2, 80), "other port": tcp(INFECTED, C2, 4444), "open": said(open4),
            "reach": [udp(INFECTED, SINK), tcp(INFECTED, SINK, 80)], "unknown6": udp(INFECTED6, C26),
            "from outside": udp(C2, INFECTED, 5000, "out"),
        }  # fmt: skip
    gateway.close()
    return {"paths": paths, "unknown before": unknown, "seen": seen}


def redirects(given: dict[str, Any]) -> dict[str, Any]:
    build()
    gateway = made_enforcer(proxy=[":3128"], sinkhole=[SINK], ipv6=True)
    local = ("10.9.0.1", "2001:db8:9::1")
    with (
        Servers(),
        Servers("gw", local, tcp=(3128,), udp=()),
        connected(INFECTED, C2) as web,
        connected(INFECTED, OTHER) as other,
    ):
        gateway.apply([gateway.plan(intent(21, "proxy", host(INFECTED, INFECTED6), address(C2)))])
        gateway.apply([gateway.plan(intent(22, "proxy", host(CLEAN6)))])
        proxy = {
            "to the proxy": tcp(INFECTED, C2, 80).endswith(" 3128"), "other target": tcp(INFECTED, OTHER, 80),
            "other port": tcp(INFECTED, C2, 4444), "quic": udp(INFECTED, C2, 443), "udp": udp(INFECTED, C2),
            "open": said(web), "all6": tcp(CLEAN6, C26, 80).endswith(" 3128"), "quic6": udp(CLEAN6, OTHER6, 443),
        }  # fmt: skip
        gateway.revoke_all()
        plans = [
            gateway.plan(intent(23, "sinkhole", Party("domain", "c2.example", (OTHER, OTHER6)))),
            gateway.plan(intent(24, "sinkhole", host(INFECTED), address(C2))),
        ]
        gateway.apply(plans)
        sink = {
            "to": tcp(CLEAN, OTHER, 80), "no sinkhole for IPv6": udp(CLEAN6, OTHER6), "pair": tcp(INFECTED, C2, 4444),
            "pair of others": tcp(CLEAN, C2, 4444), "open": said(other), "paths": list(plans[0].open_paths),
        }  # fmt: skip
        gateway.revoke([24])
        gateway.apply([gateway.plan(intent(25, "sinkhole", host(CLEAN)))])
        sink["host"] = [tcp(CLEAN, C2, 80), tcp(INFECTED, C2, 80)]
    gateway.close()
    return {"proxy": proxy, "sink": sink}


def prefixes(given: dict[str, Any]) -> dict[str, Any]:
    build()
    gateway = made_enforcer(protect=["203.0.113.9/32"])
    wide, narrow = Party("prefix", "203.0.113.0/24"), Party("prefix", "203.0.113.0/29")
    with Servers():
        gateway.apply([gateway.plan(intent(31, "block", wide)), gateway.plan(intent(32, "block", narrow))])
        gateway.apply([gateway.plan(intent(33, "allow", host(CLEAN), address(OTHER)))])
        seen = {
            "blocked": [udp(INFECTED, C2), udp(INFECTED, OTHER)], "protected": udp(INFECTED, SINK),
            "allowed": [udp(CLEAN, OTHER), udp(CLEAN, C2)],
        }  # fmt: skip
        gateway.revoke([31])
        narrow_left = [udp(INFECTED, C2), udp(INFECTED, OTHER)]
        gateway.revoke([32])
        pair = intent(
            34, "block-pair", Party("prefix", "2001:db8:9::/64"), Party("prefix", "2001:db8:f::/64")
        )
        plan = gateway.plan(pair)
        receipt = gateway.apply([plan])[0]
        seen["pair"] = [udp(CLEAN6, OTHER6), udp(CLEAN, OTHER)]
        seen["verify"] = gateway.verify(receipt)
        again = made_enforcer(protect=["203.0.113.9/32"])
        seen["read by another"] = (
            again.actual() == gateway.actual() == {33: gateway.actual()[33], 34: receipt.digest}
        )
        again.close()
    gateway.close()
    return {"seen": seen, "narrow": narrow_left, "health": gateway.health().state}


def mirrored(given: dict[str, Any]) -> dict[str, Any]:
    build()
    gateway = made_enforcer(mirror=[CAPTURE, CAPTURE6])
    with Servers(), Frames() as frames:
        gateway.apply(
            [
                gateway.plan(intent(41, "mirror", host(INFECTED, INFECTED6))),
                gateway.plan(intent(42, "block-pair", host(INFECTED), address(C2))),
            ]
        )
        seen = {"cut": udp(INFECTED, C2), "open": [udp(INFECTED, OTHER), udp(INFECTED6, C26), udp(CLEAN, C2)]}
        seen["copies"] = sorted(frames.seen())
        seen["actual"] = len(gateway.actual())
        gateway.revoke_all()
        udp(INFECTED, OTHER)
        seen["after"] = sorted(frames.seen())
    gateway.close()
    return seen


def shared(given: dict[str, Any]) -> dict[str, Any]:
    """Several intents for one element; ends that the kernel sees to."""
    build()
    gateway = made_enforcer()
    with Servers():
        short = intent(51, "block", address(C2), ttl=10)
        long = intent(52, "block", address(C2), ttl=600)
        gateway.apply([gateway.plan(long)])
        gateway.apply([gateway.plan(short)])
        gateway.apply([gateway.plan(short)])
        both = sorted(gateway.actual())
        gateway.revoke([52])
        left = [sorted(gateway.actual()), udp(INFECTED, C2)]
        end = time.monotonic() + 60
        ended: list[int] = []
        while time.monotonic() < end and not ended:
            time.sleep(0.05)
            ended += gateway.tick(time.time_ns())
        expired = [ended, udp(INFECTED, C2), gateway.actual(), nft("list", "set", "inet", "andon", "drop4")]
        receipts = gateway.apply([gateway.plan(intent(60 + n, "block", address(C2))) for n in range(7)])
        verified = all(gateway.verify(one) for one in receipts)
        try:
            gateway.apply([gateway.plan(intent(67, "block", address(C2)))])
            eighth = ""
        except Exception as error:
            eighth = f"{type(error).__name__}: {error}"
        gateway.revoke([60, 61, 62, 63, 64, 65])
        last = [udp(INFECTED, C2), sorted(gateway.actual())]
        gateway.apply(
            [gateway.plan(intent(70, "block", address(OTHER), ttl=1, created=time.time_ns() - 2 * 10**9))]
        )
        too_late = [udp(INFECTED, OTHER), sorted(gateway.actual())]
    gateway.close()
    return {
        "both": both, "left": left, "expired": expired, "verified": verified, "eighth": eighth, "last": last,
        "too late": too_late,
    }  # fmt: skip


def by_hand(given: dict[str, Any]) -> dict[str, Any]:
    """Others change, flush, delete; another Andon comes after this one."""
    build()
    gateway = made_enforcer()
    plans = [
        gateway.plan(intent(81, "block-pair", host(INFECTED), address(C2))),
        gateway.plan(intent(82, "block", address(OTHER))),
    ]
    seen: dict[str, Any] = {"at first": gateway.health().statement}
    with Servers():
        digests = {one.intent: one.digest for one in gateway.apply(plans)}
        epoch = gateway.health().epoch
        for word, commands in {
            "others": ("add table inet site",),
            "set": ("flush", "set", "inet", "andon", "pair4"),
            "chain": ("flush", "chain", "inet", "andon", "cut"),
            "hook": ("delete chain inet andon forward_first",),
            "table": ("delete", "table", "inet", "andon"),
            "everything": ("flush", "ruleset"),
        }.items():
            if word == "hook":
                commands = ("flush chain inet andon forward_first; delete chain inet andon forward_first",)
            nft(*commands)
            there, health = gateway.actual(), gateway.health()
            row = {
                "right": sorted(one for one in there if there[one] == digests[one]), "there": sorted(there),
                "state": health.state, "epoch": health.epoch - epoch, "reaches": udp(INFECTED, C2),
            }  # fmt: skip
            epoch = health.epoch
            receipts = gateway.apply(plans)
            row["mended"] = (
                gateway.actual() == digests and not udp(INFECTED, C2) and gateway.health().state == "ok"
            )
            row["verified"] = all(gateway.verify(one) for one in receipts)
            seen[word] = row
        nft("flush", "set", "inet", "andon", "drop4")
        ended: list[int] = []
        nft("delete", "table", "inet", "andon")
        end = time.monotonic() + 60
        while time.monotonic() < end and not ended:
            time.sleep(0.05)
            ended += gateway.tick(time.time_ns())
        seen["told by tick"] = sorted(ended)
        gateway.apply(plans)
        later = made_enforcer()
        seen["another"] = [later.actual() == digests, later.health().state]
        later.revoke([81])
        seen["one revoked by another"] = [sorted(gateway.actual()), udp(INFECTED, C2)]
        other_settings = made_enforcer(protect=[CLEAN])
        seen["other settings"] = [other_settings.health().state, sorted(other_settings.actual())]
        other_settings.apply(plans)
        seen["taken over"] = [other_settings.health().state, other_settings.actual() == digests]
        nft(
            "add table inet site; add set inet site s { type ipv4_addr; }; add element inet site s { 192.0.2.1 }"
        )
        gateway.revoke_all()
        seen["cleared"] = [gateway.actual(), udp(INFECTED, C2), nft("list", "ruleset").count("192.0.2.1")]
        gateway.revoke_all()
        gateway.revoke([81])
    for one in (gateway, later, other_settings):
        one.close()
    return seen


def typed(given: dict[str, Any]) -> dict[str, Any]:
    """The plan's commands typed into a shell do what apply does, and their inverse undoes it."""
    build()
    gateway = made_enforcer(sinkhole=[SINK], proxy=[f"{SINK}:3128"], mirror=[CAPTURE])
    wanted = [
        intent(91, "block-pair", host(INFECTED, INFECTED6), Party("host", "c2", (C2, C26))),
        intent(92, "quarantine", host(CLEAN)),
        intent(93, "block", Party("prefix", "198.51.100.0/24")),
        intent(94, "sinkhole", Party("domain", "c2.example", (OTHER,))),
        intent(95, "mirror", host(CLEAN)),
        intent((1 << 63) - 1, "proxy", host(CLEAN)),
    ]
    plans = [gateway.plan(one) for one in wanted]
    gateway.apply(plans)
    applied = _elements()
    gateway.revoke([one.intent.id for one in plans])
    empty = _elements()
    gateway.revoke_all()
    for command in gateway.base():
        run_in("gw", "sh", "-c", command)
    base = _elements()
    for plan in plans:
        for command in plan.commands:
            run_in("gw", "sh", "-c", command)
    by_hand_there = _elements()
    for plan in plans:
        for command in plan.inverse:
            run_in("gw", "sh", "-c", command)
    gateway.close()
    return {
        "same": applied == by_hand_there, "elements": len(applied), "empty": [empty, base, _elements()],
    }  # fmt: skip


def _elements() -> list[str]:
    made = []
    for one in json.loads(nft("-j", "list", "ruleset"))["nftables"]:
        for entry in one.get("set", {}).get("elem", ()):
            element = entry["elem"]
            if one["set"]["name"] != "intents" or element["val"]["concat"] != [0, 0]:
                made.append(
                    f"{one['set']['family']} {one['set']['name']} {element['val']} {element.get('comment')}"
                )
    return sorted(made)


def errors(given: dict[str, Any]) -> dict[str, str]:
    made("gw")
    seen = {}

    def said_by(name: str, work: Any) -> None:
        try:
            work()
            seen[name] = "nothing"
        except Exception as error:
            seen[name] = f"{type(error).__name__}: {error}"

    absent = made_enforcer(netns="nowhere")
    plan = absent.plan(intent(1, "block", address(C2)))
    said_by("no namespace", lambda: absent.apply([plan]))
    seen["no namespace, health"] = absent.health().state
    made("nowhere")
    said_by("namespace comes", lambda: absent.apply([plan]))
    first = absent.health()
    run_in("", "ip", "netns", "del", "nowhere")
    made("nowhere")
    second = absent.health()
    seen["namespace anew"] = f"{second.state} {second.epoch - first.epoch} {len(absent.actual())}"
    no_library = made_enforcer(library="libnothing.so.9")
    said_by("no library", lambda: no_library.apply([plan]))
    small = made_enforcer(max_elements=3)
    said_by(
        "full", lambda: small.apply([small.plan(intent(n, "block", address(f"192.0.2.{n}"))) for n in (1, 2)])
    )
    seen["full, nothing done"] = str(small.actual())
    said_by("one fits", lambda: small.apply([small.plan(intent(1, "block", address("192.0.2.1")))]))
    for one in (absent, no_library, small):
        one.close()
    return seen


def own_host(given: dict[str, Any]) -> dict[str, Any]:
    build()
    agent = made_enforcer(mode="host", netns="in", proxy=[f"{SINK}:80"], sinkhole=[SINK])
    with Servers(), connected(INFECTED, C2) as web:
        agent.apply([agent.plan(intent(1, "block-pair", host(INFECTED), address(C2)))])
        seen = {
            "cut": [udp(INFECTED, C2), said(web), udp(C2, INFECTED, 5000, "out")],
            "open": udp(INFECTED, OTHER),
        }
        agent.revoke([1])
        agent.apply([agent.plan(intent(2, "proxy", host(INFECTED)))])
        seen["proxy"] = [tcp(INFECTED, C2, 80), tcp(INFECTED, C2, 4444), udp(INFECTED, C2, 443)]
        agent.revoke([2])
        agent.apply([agent.plan(intent(3, "sinkhole", host(INFECTED), address(C2)))])
        seen["sinkhole"] = [tcp(INFECTED, C2, 4444), tcp(INFECTED, OTHER, 4444)]
    agent.close()
    return seen


def set_clock(given: dict[str, Any]) -> dict[str, Any]:
    """Somebody sets the clock a day ahead, then flushes the rules; the controller's ticks know nothing of the first."""
    build()
    ahead = 0
    gateway = NftEnforcer("gateway", Settings(netns="gw"), lambda: time.time_ns() + ahead)
    wanted = [
        gateway.plan(intent(1, "block", address(C2))),
        gateway.plan(intent(2, "block", address(OTHER), ttl=10)),
    ]
    steady = time.time_ns() - time.monotonic_ns()
    with Servers():
        gateway.apply(wanted)
        gateway.tick(steady + time.monotonic_ns())
        ahead = 86_400 * 10**9
        nft("flush", "ruleset")
        gateway.apply(wanted)
        seen = {"put back": [udp(INFECTED, C2), udp(INFECTED, OTHER), sorted(gateway.actual())]}
        gateway.apply([gateway.plan(intent(3, "block", address(SINK)))])
        seen["new"] = [udp(INFECTED, SINK), sorted(gateway.actual())]
        ended: list[int] = []
        end = time.monotonic() + 60
        while time.monotonic() < end and not ended:
            time.sleep(0.05)
            ended += gateway.tick(steady + time.monotonic_ns())
        seen["ended"] = [ended, udp(INFECTED, OTHER), sorted(gateway.actual())]
    gateway.close()
    return seen


def unprivileged(given: dict[str, Any]) -> dict[str, Any]:
    """What a process without rights is told."""
    said = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", _UNPRIVILEGED],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return {"said": said.stdout + said.stderr}


_UNPRIVILEGED = """
from andon.contain.enforcers import make_enforcer
gateway = make_enforcer({"name": "gateway", "kind": "nft"})
print(gateway.health().state, gateway.health().statement)
"""
