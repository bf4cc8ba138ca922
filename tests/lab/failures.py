"""What happens to a cut when something breaks: each function breaks one thing and tells what was seen.

Unless it says otherwise the product is a real ``andon run`` that holds a quarantine of the infected client on the
switch and on the gateway; people's wishes come from a second controller that stands by, as a terminal's does.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parts.containment import edl
from parts.desk import Desk
from parts.flows import CLEAN, TO_C2
from parts.near import opened
from parts.product import ANDON
from parts.site import C2_V4, CAP
from parts.spaces import run, run_in
from whole import LATE, Watched

LIGHT = 500  # datagrams a second of the fastest flow


@contextlib.contextmanager
def held(
    given: dict[str, Any], seconds: float = 600.0, more: str = ""
) -> Iterator[tuple[Watched, Desk, int, int]]:
    """A site with ``andon run``, a terminal, and a cut for ``seconds``: (site, terminal, intent, when applied)."""
    site = Watched(Path(given["folder"]), more)
    try:
        site.lab.near.start("c2-udp4", rate=LIGHT)
        site.lab.near.start(*(name for name in (*TO_C2, *CLEAN) if name != "c2-udp4"))
        site.andon.start()
        running(site, 1)
        with Desk(site.andon.config) as desk:
            cut = desk.intent(seconds=seconds)
            desk.propose(cut)
            applied = desk.applied(cut.id)
            desk.wait(cut.id, "verified")
            time.sleep(0.3)
            site.rules = len(ours(site))
            yield site, desk, cut.id, applied
    finally:
        site.close()


def running(site: Watched, times: int, seconds: float = 90.0) -> None:
    """Until the runner's controller has taken over so many times."""

    def taken() -> bool:
        return sum(any("took over" in why for why in one.reasons) for one in site.told()) >= times

    site.andon.wait("the controller", taken, seconds)


def state(desk: Desk, intent: int) -> str:
    desk.controller.log.refresh()
    found = desk.controller.log.get(intent)
    return "" if found is None else found.state


def outage(site: Watched, since: int, seconds: float = 60.0) -> float:
    """Seconds until the clean client's and the critical server's messages arrive again by every path."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.time_ns()
        recent = now - 150_000_000
        if recent > since and all(
            site.lab.far.arrived(name, recent)
            for name in ("c1-web-udp4", "c1-web-udp6", "web-c1-udp4", "web-good-udp4")
        ):
            first = min(site.lab.far.first(name, since) for name in ("c1-web-udp4", "web-good-udp4"))
            return max(0.0, (first - since) / 1e9)
        time.sleep(0.02)
    raise TimeoutError(f"the clean client has had no network for {seconds:g} s")


def ours(site: Watched) -> list[str]:
    """Flows of intents on the switch: those whose cookie has its highest bit set."""
    found = []
    for flow in site.lab.switch.flows():
        cookie = re.match(r"cookie=0x([0-9a-f]{16})\b", flow)
        if cookie is not None and int(cookie[1], 16) >> 63:
            found.append(flow)
    return found


def controller_killed(given: dict[str, Any]) -> dict[str, Any]:
    """kill -9: the cut holds, ends by the switch's own clock, and a restart goes on with what there is."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, cut, applied):
        desk.close()  # or it would take over
        before = sorted(site.lab.switch.flows())
        site.andon.kill()
        time.sleep(1.5)
        found["leaks while dead"] = site.leaks(applied + LATE, time.time_ns())
        site.andon.start()
        running(site, 2)
        again = Desk(site.andon.config)
        time.sleep(1.0)
        found["state after restart"] = state(again, cut)
        found["same flows after restart"] = sorted(site.lab.switch.flows()) == before
        found["leaks after restart"] = site.leaks(applied + LATE, time.time_ns())
        again.controller.revoke([cut], "alice", "cleaned")
        again.wait(cut, "revoked")
        short = again.intent(seconds=4.0)
        again.propose(short)
        since = again.applied(short.id)
        again.close()
        site.andon.kill()
        time.sleep(max(0.0, since / 1e9 + 5.5 - time.time()))
        found["not back after its time, nobody running"] = [
            name for name in site.flowing(since + 4_600_000_000) if "session" not in name
        ]
        found["flows of intents left"] = ours(site)
        site.andon.start()
        running(site, 3)
        end = Desk(site.andon.config)
        end.wait(short.id, "expired")
        found["state of the one that ended meanwhile"] = state(end, short.id)
        end.close()
        finish(site, found)
    return found


def finish(site: Watched, found: dict[str, Any]) -> None:
    """What the clean client and the critical server suffered, and what was alarmed."""
    site.lab.near.stop()
    time.sleep(0.4)
    found["harm"] = site.harm()
    found["alarms"] = site.andon.alarms()
    found["troubles"] = site.andon.troubles()


def switch_restarted(given: dict[str, Any]) -> dict[str, Any]:
    """The forwarding daemon is killed and started again: no rule is left, and nothing passes until they are back."""
    found: dict[str, Any] = {"outages": [], "to the cut": []}
    with held(given) as (site, desk, cut, applied):
        for _ in range(given.get("tries", 1)):
            since = time.time_ns()
            site.lab.switch.restart()
            up = time.time_ns()
            found["outages"].append(outage(site, since))
            end = time.monotonic() + 60
            while len(ours(site)) < site.rules and time.monotonic() < end:
                time.sleep(0.02)
            found["to the cut"].append((time.time_ns() - up) / 1e9)
            time.sleep(1.0)
        found["leaks"] = site.leaks(applied + LATE, time.time_ns())
        found["state"] = state(desk, cut)
        finish(site, found)
    return found


def flows_flushed(given: dict[str, Any]) -> dict[str, Any]:
    """Somebody deletes flows by hand: all of them; those of the cut alone; one of the cut's."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, cut, _):
        for what, words in (
            ("all", ()),
            ("of the cut", (f"cookie=0x{cut | 1 << 63:x}/-1",)),
            ("one of the cut", ("--strict", "table=2,priority=420,in_port=2")),
        ):
            since = time.time_ns()
            site.lab.switch.ofctl("del-flows", *words)
            found[f"outage, {what}"] = outage(site, since)
            end = time.monotonic() + 60
            while len(ours(site)) < site.rules and time.monotonic() < end:
                time.sleep(0.02)
            mended = time.time_ns()
            time.sleep(2.0)
            open_for = [site.lab.far.last(name)[0] - since for name in TO_C2]
            found[f"open for ms, {what}"] = round(max(0, *open_for) / 1e6, 2)
            found[f"flows of the cut missing, {what}"] = site.rules - len(ours(site))
            now = time.time_ns()
            found[f"leaks once mended, {what}"] = site.leaks(mended + 1_000_000_000, now)
        found["state"] = state(desk, cut)
        finish(site, found)
    return found


def controller_set(given: dict[str, Any]) -> dict[str, Any]:
    """Somebody gives the bridge a controller of his own, which flushes every flow, and takes it away again."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, cut, applied):
        for what, target in (("set-controller", "tcp:127.0.0.1:16653"), ("del-controller", "")):
            since = time.time_ns()
            site.lab.switch.controller(target)
            found[f"outage, {what}"] = outage(site, since)
            time.sleep(2.0)
            found[f"open for ms, {what}"] = round(
                max(0, *(site.lab.far.last(name)[0] - since for name in TO_C2)) / 1e6, 2
            )
            found[f"health, {what}"] = status(site)["enforcers"]["br0"]
        found["leaks"] = site.leaks(applied + LATE, time.time_ns())
        found["state"] = state(desk, cut)
        finish(site, found)
    return found


def status(site: Watched) -> dict[str, Any]:
    """Of containment, as the product says it to others (a file in the store)."""
    told: dict[str, Any] = json.loads((site.andon.store / "status.json").read_text())["contain"]
    return told


def clock_jumps(given: dict[str, Any]) -> dict[str, Any]:
    """The time of day is set a day ahead, then two days back, while something is in force, and the switch loses its
    rules each time. The machine's clock cannot be set for one process: ``time.time_ns`` of this one is another then,
    which controller and enforcers read."""
    found: dict[str, Any] = {}
    real, off = time.time_ns, [0]
    site = Watched(Path(given["folder"]))
    time.time_ns = lambda: real() + off[0]
    try:
        site.lab.near.start("c2-udp4", rate=LIGHT)
        site.lab.near.start("c1-web-udp4", "c1-web-http4", "web-c1-udp4")
        with Desk(site.andon.config, time.time_ns) as desk:
            cut = desk.intent(seconds=8.0)
            desk.propose(cut)
            desk.wait(cut.id, "verified")
            applied, rules = real(), len(ours(site))
            for name, jump in (("ahead", 86_400 * 10**9), ("back", -2 * 86_400 * 10**9)):
                off[0] += jump
                time.sleep(1.0)
                found[f"state, {name}"] = state(desk, cut.id)
                site.lab.switch.ofctl("del-flows")
                time.sleep(1.5)
                found[f"flows of the cut missing, {name}"] = rules - len(ours(site))
            found["leaks"] = site.lab.far.arrived("c2-udp4", applied + LATE, applied + 7_500_000_000)
            desk.wait(cut.id, "expired", seconds=8)
            found["seconds in force"] = (real() - applied) / 1e9
            time.sleep(1.0)
            found["arrived afterwards"] = site.lab.far.arrived("c2-udp4", real() - 800_000_000)
            after = desk.intent(seconds=60.0)
            desk.propose(after)
            desk.wait(after.id, "verified", "failed")
            time.sleep(0.5)
            found["state of one proposed afterwards"] = state(desk, after.id)
            found["alarms"] = desk.alarms
            found["log is whole"] = desk.controller.log.verify().whole
        return found
    finally:
        time.time_ns = real
        site.close()


def log_damaged(given: dict[str, Any]) -> dict[str, Any]:
    """A byte in the log of intents is changed while nobody runs: the cut holds, nothing new is enforced, and the kill
    switch works."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, _, applied):
        desk.close()
        site.andon.kill()
        segment = max(
            (site.andon.store / "contain").glob("intents-*.ndjson"), key=lambda one: one.stat().st_size
        )
        data = bytearray(segment.read_bytes())
        place = len(data) // 2
        data[place] ^= 1
        segment.write_bytes(data)
        found["segment"] = segment.name
        site.andon.start()
        time.sleep(6.0)
        site.andon.alive()
        found["leaks"] = site.leaks(applied + LATE, time.time_ns())
        found["flows of the cut missing"] = site.rules - len(ours(site))
        again = Desk(site.andon.config)
        try:
            found["new proposal"] = again.propose(again.intent(seconds=60, host="ws-clean.lab.example")).state
        except Exception as error:
            found["new proposal"] = f"{type(error).__name__}: {error}"
        try:
            again.controller.kill_switch("alice", "give it up")
        except Exception as error:
            found["kill switch"] = f"{type(error).__name__}: {error}"
        pulled = time.time_ns()
        time.sleep(2.5)
        found["flows of intents after the kill switch"] = len(ours(site))
        found["not back after the kill switch"] = site.flowing(pulled + 500_000_000)
        again.close()
        finish(site, found)
    return found


def two_controllers(given: dict[str, Any]) -> dict[str, Any]:
    """A second runner on the same store; a second controller on the same log; the first one dies."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, cut, applied):
        second = subprocess.run(
            [*ANDON, "run", "--config", str(site.andon.config), "--log", "json"],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        found["second runner"] = [second.returncode, (second.stderr or second.stdout)[-300:]]
        found["active beside the runner"] = desk.controller.active
        site.andon.kill()
        since = time.monotonic()
        while not desk.controller.active and time.monotonic() - since < 10:
            time.sleep(0.005)
        found["seconds to take over"] = time.monotonic() - since
        time.sleep(1.0)
        found["state"] = state(desk, cut)
        found["leaks"] = site.leaks(applied + LATE, time.time_ns())
        site.lab.switch.ofctl("del-flows", f"cookie=0x{cut | 1 << 63:x}/-1")
        since = time.monotonic()
        while len(ours(site)) < site.rules and time.monotonic() - since < 30:
            time.sleep(0.01)
        found["seconds to mend a flush under the new one"] = time.monotonic() - since
        found["alarms of the one that stood by"] = desk.alarms
        finish(site, found)
    return found


def disk_full(given: dict[str, Any]) -> dict[str, Any]:
    """The store's disk is full: nothing new is enforced, what is in force stays and can be taken back."""
    found: dict[str, Any] = {}
    folder = Path(given["folder"])
    store = folder / "andon" / "store"
    store.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=64m", "none", str(store))
    with held(given) as (site, desk, cut, applied):
        filler = store / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)
        time.sleep(1.5)
        found["leaks"] = site.leaks(applied + LATE, time.time_ns())
        try:
            found["new proposal"] = desk.propose(desk.intent(seconds=60, host="ws-clean.lab.example")).state
        except Exception as error:
            found["new proposal"] = f"{type(error).__name__}: {error}"
        found["taken back"] = [f"{one:x}" for one in desk.controller.revoke([cut], "alice", "cleaned")]
        back = time.time_ns()
        time.sleep(2.5)
        found["not back"] = site.flowing(back + 500_000_000)
        found["state"] = state(desk, cut)
        filler.unlink()
        time.sleep(3.0)
        after = desk.intent(seconds=60)
        desk.propose(after)
        desk.applied(after.id)
        found["state of one proposed once there is room"] = state(desk, after.id)
        finish(site, found)
    return found


def other_site(given: dict[str, Any]) -> dict[str, Any]:
    """Two products with stores of their own at one switch: neither takes away what is the other's for long, and both
    say that they are not alone."""
    found: dict[str, Any] = {}
    with held(given) as (site, desk, cut, applied):
        other = site.lab.folder / "other"
        other.mkdir()
        for name in ("policy.yaml", "places.csv", "chain.key", "assets.csv", "black.csv"):
            (other / name).write_bytes((site.andon.folder / name).read_bytes())
        (other / "chain.key").chmod(0o600)
        text = site.andon.config.read_text().replace(str(site.andon.store), str(other / "store"))
        (other / "andon.toml").write_text(text)
        with Desk(other / "andon.toml") as second:
            time.sleep(3.0)
            found["flows of intents"] = len(ours(site))
            found["open for ms"] = round(
                max(0, *(site.lab.far.last(name)[0] - applied - LATE for name in TO_C2)) / 1e6, 2
            )
            found["state"] = state(desk, cut)
            found["alarms of the second"] = second.alarms
            found["status of the second"] = second.controller.status()["enforcers"]
        finish(site, found)
    return found


class Firewall:
    """A firewall as such things are: it fetches a list every half second and drops what is in it; when the server is
    away or says no, it goes on with what it has."""

    def __init__(self, site: Watched, path: str) -> None:
        self.answers: list[int] = []
        self._path, self._tag, self._site = path, "", site
        self._stopping = threading.Event()
        run_in(
            "gw", "nft", "-f", "-",
            given="table inet fw { set listed { type ipv4_addr; flags interval; }; "
            "chain c { type filter hook forward priority 10; ip daddr @listed drop; }; }",
        )  # fmt: skip
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        while not self._stopping.wait(0.5):
            status, text = self._fetch()
            self.answers.append(status)
            if status == 200:
                entries = [line for line in text.split() if line[0].isdigit()]
                lines = "flush set inet fw listed\n"
                lines += f"add element inet fw listed {{ {', '.join(entries)} }}\n" if entries else ""
                run_in("gw", "nft", "-f", "-", given=lines)

    def _fetch(self) -> tuple[int, str]:
        """Status (0: no answer) and body."""
        token = (self._site.andon.folder / "fw1-token").read_text().strip()
        head = f"GET {self._path} HTTP/1.1\r\nHost: andon\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        if self._tag:
            head += f"If-None-Match: {self._tag}\r\n"
        answer = b""
        try:
            with opened("gw", CAP.v4, socket.SOCK_STREAM) as asking:
                asking.settimeout(2.0)
                asking.connect((CAP.v4, 8080))
                asking.sendall(head.encode() + b"\r\n")
                while data := asking.recv(1 << 16):
                    answer += data
        except OSError:
            return 0, ""
        top, _, body = answer.decode("latin-1").partition("\r\n\r\n")
        for line in top.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "etag":
                self._tag = value.strip()
        return int(top.split()[1]) if top.startswith("HTTP/") else 0, body

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)


def list_server_down(given: dict[str, Any]) -> dict[str, Any]:
    """The server of the lists dies while a firewall lives by them; it comes back; then the firewall stays away."""
    found: dict[str, Any] = {}
    site = Watched(Path(given["folder"]), edl(Path(given["folder"]) / "andon"))
    try:
        site.lab.near.start("c2-udp4", rate=LIGHT)
        site.lab.near.start("c1-web-udp4", "web-c1-udp4", "web-good-udp4", "c1-good4")
        site.andon.start()
        running(site, 1)
        firewall = Firewall(site, "/edl/perimeter/ip")
        site.andon.contain(
            "propose", "--action", "block", "--subject", f"address:{C2_V4[0]}", "--enforcers", "perimeter",
            "--ttl", "10min", "--reason", "seen by the helpdesk",
        )  # fmt: skip
        # It would be cut for everybody, so a second person agrees.
        waiting = site.wait("block", "waiting", 10)
        site.andon.contain("approve", waiting.intent, "--as", "bob")
        site.wait("block", "applied", 20)
        end = time.monotonic() + 20
        while time.time_ns() - site.lab.far.last("c2-udp4")[0] < 1_000_000_000 and time.monotonic() < end:
            time.sleep(0.1)
        found["blocked"] = time.time_ns() - site.lab.far.last("c2-udp4")[0] > 900_000_000
        since = time.time_ns()
        site.andon.kill()
        del firewall.answers[:]
        time.sleep(3.0)
        found["answers while down"] = sorted(set(firewall.answers))
        found["arrived while down"] = site.lab.far.arrived("c2-udp4", since)
        site.andon.start()
        running(site, 2)
        del firewall.answers[:]
        time.sleep(3.0)
        found["answers after the restart"] = sorted(set(firewall.answers))
        found["arrived after the restart"] = site.lab.far.arrived("c2-udp4", since)
        firewall.stop()
        time.sleep(8.0)
        found["health without its reader"] = status(site)["enforcers"]["perimeter"]
        finish(site, found)
        return found
    finally:
        site.close()
