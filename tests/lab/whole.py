"""The whole scenario, without a human until the roll-back: detected, judged, cut, mirrored, expired, revoked."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from parts.capture import Capture
from parts.containment import nft, openflow, rpz, squid, written
from parts.flows import CLEAN, TO_C2
from parts.near import fetched
from parts.past import Sensor
from parts.product import Andon
from parts.services import Proxy, Resolver, parents_open
from parts.site import C1, C2, C2_NAME, C2_V4, GOOD_NAME, PX, WEB, Lab
from parts.spaces import started
from parts.told import Told, told

LATE = 50_000_000  # ns after "applied" from which on nothing may arrive
FROM_C2 = f"(src host {C2.v4} or src host {C2.v6})"
INFECTED = "ws-infected.lab.example"


class Watched:
    """The lab with the product in it, and what is measured of a cut."""

    def __init__(self, folder: Path, more: str = "", **rules: Any) -> None:
        parents_open(folder.parent)
        self.lab = Lab(folder)
        self.resolver, self.proxy = Resolver(self.lab), Proxy(self.lab)
        self.sensor = Sensor(folder / "eve.json")
        logs = [("eve", self.sensor.path), ("proxy", self.proxy.log)]
        self.andon = Andon(self.lab, logs)
        lines = written(
            self.andon.folder,
            openflow(self.lab) + nft() + rpz(self.resolver) + squid(self.proxy) + more,
            **rules,
        )
        self.andon.more(lines)
        self.rules = 0  # flows of the cut on the switch, once there is one
        self.c2srv = Capture("c2srv", "e0", folder / "c2srv.pcap")
        self.mirror = Capture("cap", "m0", folder / "mirror.pcap")

    def close(self) -> None:
        self.sensor.stop()
        self.c2srv.stop()
        self.mirror.stop()
        self.lab.close()

    def told(self) -> list[Told]:
        return told(self.andon.store)

    def first(self, action: str, state: str, after: int = 0) -> Told | None:
        """The first event of an intent of this action into this state after a time."""
        return next(
            (one for one in self.told() if (one.action, one.state) == (action, state) and one.time > after),
            None,
        )

    def wait(self, action: str, state: str, seconds: float, after: int = 0) -> Told:
        found: Told = self.andon.wait(f"{action} {state}", lambda: self.first(action, state, after), seconds)
        return found

    def leaks(self, since: int, until: int) -> dict[str, Any]:
        """What the infected client got to its C2 between two times, by every path and by the packets on the wire."""
        flows = {name: self.lab.far.arrived(name, since, until) for name in TO_C2}
        return {
            "arrived": {name: number for name, number in flows.items() if number},
            "on the wire": len(self.c2srv.packets(FROM_C2, since, until)),
            "sent": sum(self.lab.near.sent(name, since, until) for name in TO_C2),
        }

    def flowing(self, since: int, seconds: float = 40.0) -> list[str]:
        """Paths by which nothing sent since then has arrived after so many seconds. A session that was cut tries again
        after 0.2, 0.4, 0.8, ... seconds, as TCP does."""
        end = time.monotonic() + seconds
        closed = list(TO_C2)
        while closed and time.monotonic() < end:
            time.sleep(0.1)
            closed = [name for name in closed if not self.lab.far.arrived(name, since)]
        return closed

    def harm(self) -> dict[str, Any]:
        """Messages of the clean client and the critical server that never arrived; connections that failed. To be
        asked when nobody sends any more; what is on its way is waited for."""
        end = time.monotonic() + 20
        while time.monotonic() < end and any(
            self.lab.near.sent(name) > self.lab.far.arrived(name) for name in CLEAN
        ):
            time.sleep(0.1)
        lost = {name: self.lab.near.sent(name) - self.lab.far.arrived(name) for name in CLEAN}
        failed = {name: self.lab.near.failed(name) for name in CLEAN if name != "c1-proxy"}
        return {
            "sent": sum(self.lab.near.sent(name) for name in CLEAN),
            "lost": {name: number for name, number in lost.items() if number},
            "failed": {name: number for name, number in failed.items() if number},
            # Squid closes its port for a moment when it is told to read its lists again.
            "by the proxy": [self.lab.near.sent("c1-proxy"), self.lab.near.failed("c1-proxy")],
        }


def whole(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    begun = time.monotonic()
    site = Watched(Path(given["folder"]), quarantine="6s")
    try:
        lab, andon = site.lab, site.andon
        lab.near.start("c2-udp4", rate=1000)
        lab.near.start(*(name for name in (*TO_C2, *CLEAN) if name != "c2-udp4"))
        site.sensor.past(time.time_ns())
        site.sensor.live()
        andon.start()
        mirrored = site.wait("mirror", "verified", 60)
        found["seconds to the mirror"] = time.monotonic() - begun
        time.sleep(0.5)
        found["flowing before"] = site.flowing(time.time_ns() - 400_000_000)
        # The infected client turns to the dark part of its own network, and nobody touches anything.
        scanned = time.time_ns()
        started("c2", [sys.executable, "-m", "parts.scan", "1", "150"])
        cut = site.wait("quarantine", "applied", 60)
        found["seconds from scan to cut"] = (cut.time - scanned) / 1e9
        time.sleep(1.5)
        checked = time.time_ns()
        found["leaks"] = site.leaks(cut.time + LATE, checked)
        found["actor"], found["rule"], found["fields"] = cut.actor, cut.rule, list(cut.fields)
        found["page"] = fetched("c2", C2_V4[0])
        found["page of the clean client"] = fetched("c1", C2_V4[0])
        found["critical server for the infected"] = fetched("c2", WEB.v4)
        found["mirror before"] = len(site.mirror.packets(FROM_C2, mirrored.time, cut.time))
        found["mirror after"] = len(site.mirror.packets(FROM_C2, cut.time, checked))
        found["mirror of others"] = len(site.mirror.packets(f"src host {C1.v4} and not host {C2.v4}"))
        found["status"] = json.loads(andon.contain("status", "--format", "json"))
        expired = site.wait("quarantine", "expired", 30)
        found["seconds in force"] = (expired.time - cut.time) / 1e9
        found["leaks until the end"] = site.leaks(cut.time + LATE, cut.until - 300_000_000)
        found["not back after expiry"] = site.flowing(expired.time)
        found |= rolled_back(site)
        lab.near.stop()
        time.sleep(0.5)
        found["harm"] = site.harm()
        if given.get("names"):
            found["name"] = name_blocked(site)
        found["dropped by the switch"] = lab.switch.dropped()
        found["exit"] = andon.stop()
        found["events"] = [one.to_dict() for one in site.told()]
        found["seconds"] = time.monotonic() - begun
        found["CPU seconds"] = spent()
        return found
    finally:
        site.close()


def pair(given: dict[str, Any]) -> dict[str, Any]:
    """The policy wants the pair of client and C2 blocked; the alert knows one address of the C2, which has more."""
    found: dict[str, Any] = {}
    site = Watched(Path(given["folder"]), quarantine="10min", pair=True, by=given["by"])
    try:
        site.lab.near.start("c2-udp4", rate=500)
        site.lab.near.start(*(name for name in (*TO_C2, *CLEAN) if name != "c2-udp4"))
        site.sensor.past(time.time_ns())
        site.sensor.live()
        site.andon.start()
        site.wait("mirror", "verified", 60)
        started("c2", [sys.executable, "-m", "parts.scan", "1", "150"])
        cut = site.andon.wait(
            "a cut", lambda: site.first("quarantine", "applied") or site.first("block-pair", "applied"), 60
        )
        time.sleep(1.5)
        found["leaks"] = site.leaks(cut.time + LATE, time.time_ns())
        found["action"], found["escalated"] = cut.action, cut.escalated
        site.lab.near.stop()
        time.sleep(0.4)
        found["harm"] = site.harm()
        return found
    finally:
        site.close()


def name_blocked(site: Watched) -> dict[str, Any]:
    """Somebody blocks the C2's name for everybody: resolver and proxy know it no more."""
    found: dict[str, Any] = {}
    at = time.time_ns()
    site.andon.contain("release", "--reason", "all is well")
    site.lab.near.start("c1-proxy", rate=100)
    site.andon.contain(
        "propose", "--action", "block", "--subject", f"domain:{C2_NAME}", "--ttl", "10min", "--reason", "ticket 4711",
        "--enforcers", "names,web-proxy",
    )  # fmt: skip
    blocked = site.wait("block", "verified", 20, at)
    time.sleep(1.0)
    found["addresses while blocked"] = site.resolver.addresses(C2_NAME)
    found["by the proxy while blocked"] = fetched("c1", PX.v4, 3128, f"http://{C2_NAME}/", C2_NAME)[:40]
    found["other names while blocked"] = site.resolver.addresses(GOOD_NAME)
    site.andon.contain("revoke", blocked.intent, "--reason", "sold to somebody else")
    site.wait("block", "revoked", 20, at)
    time.sleep(1.5)
    found["addresses afterwards"] = site.resolver.addresses(C2_NAME)
    found["by the proxy afterwards"] = fetched("c1", PX.v4, 3128, f"http://{C2_NAME}/", C2_NAME)[:40]
    site.lab.near.stop()
    # Squid closes its port for a moment when it reads its lists again.
    found["requests through the proxy"] = site.lab.near.sent("c1-proxy", at)
    found["refused by the proxy"] = site.lab.near.failed("c1-proxy", at)
    return found


def spent() -> float:
    """CPU seconds of everything in this private place so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, path.read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def rolled_back(site: Watched) -> dict[str, Any]:
    """Somebody cuts by hand, takes it back, cuts again, and pulls the kill switch."""
    found: dict[str, Any] = {}
    for way in ("revoke", "kill-switch"):
        at = time.time_ns()
        site.andon.contain(
            "propose", "--action", "quarantine", "--host", INFECTED, "--ttl", "10min",
            "--reason", "seen by the helpdesk", "--enforcers", "br0,gateway",
        )  # fmt: skip
        cut = site.wait("quarantine", "applied", 60, at)
        time.sleep(0.6)
        found[f"leaks before {way}"] = site.leaks(cut.time + LATE, time.time_ns())
        words = [cut.intent] if way == "revoke" else []
        site.andon.contain(way, *words, "--reason", "the host was cleaned")
        back = site.wait("quarantine", "revoked", 60, at)
        found[f"not back after {way}"] = site.flowing(back.time)
    return found
