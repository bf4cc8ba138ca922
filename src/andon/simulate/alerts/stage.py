"""How things go in this world: who reaches whom, when an exploit works, what a rule sees, what an intruder does next.

Whether something is an attack that matters is decided here by what happens, never by what could be noticed of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.simulate.organisation.scenario import DAY, HOUR, SECOND

from .book import Alarm, Book, Link
from .catalogue import (
    BEACON,
    DNS_C2,
    LOGIN,
    LOGIN_FAILED,
    MANY_FAILED,
    NEW_FILE,
    RESPONSE,
    SCAN,
    SURICATA,
    WINDOWS_FAILED,
    WINDOWS_LOGIN,
    Rule,
)
from .estate import RESOLVERS, Estate, Server, stranger

MINUTE: Final = 60 * SECOND


@dataclass
class Stage:
    estate: Estate
    book: Book
    rng: np.random.Generator
    length: int  # ms

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def bytes(self, median: float, spread: float = 0.7) -> int:
        return int(median * self.rng.lognormal(0, spread))

    def server_at(self, address: str) -> Server | None:
        return next((s for s in self.estate.servers if s.address == address), None)

    # Packets.

    def connect(
        self, ts: int, src: str, dst: str, port: int, out: int, back: int, duration: int, protocol: str = "tcp",
        service: str = "-", state: str = "",
    ) -> bool:  # fmt: skip
        """A connection is tried; True: the other side answered. ``state`` given: how it ends."""
        if ts >= self.length:
            return False
        server = self.server_at(dst)
        outside = not src.startswith("10.")
        dropped = False
        if not state:
            state = "SF"
            if server is not None:
                open_port = server.ports.get(port)
                if outside and port not in server.kind.exposed:
                    state, dropped = "S0", True
                elif open_port is None or open_port[0] != protocol:
                    state = "REJ" if protocol == "tcp" else "S0"
                else:
                    service = open_port[1]
        if state in ("S0", "REJ"):
            out = back = duration = 0
        if protocol == "udp" and state == "SF" and back == 0:
            state = "S0"
        self.book.link(ts, duration, src, dst, int(self.rng.integers(20_000, 64_000)), port, protocol, service, state,
                       out, back, dropped)  # fmt: skip
        return state == "SF"

    # Alerts.

    def alarm(
        self, ts: int, rule: Rule, cause: int, harm: bool, src: str = "", dst: str = "", port: int = -1,
        machine: Server | None = None, user: str = "", name: str = "", protocol: str = "tcp", blocked: bool = False,
        pc: int = -1,
    ) -> None:  # fmt: skip
        """``pc``: number of the terminal whose agent says it."""
        if ts >= self.length:
            return
        who = machine.name if machine else f"pc-{pc:05d}" if pc >= 0 else ""
        where = machine.address if machine else self.estate.pcs[pc] if pc >= 0 else ""
        sport = int(self.rng.integers(20_000, 64_000)) if rule.product == SURICATA else -1
        self.book.alarms.append(
            Alarm(ts, rule, who, where, src, sport, dst, port, protocol, name, user, blocked, cause, harm)
        )

    # What happens.

    def exploit(self, ts: int, src: str, server: Server, rule: Rule, cause: int) -> bool:
        """An exploit is sent. True: it worked."""
        ports = server.kind.exposed if not src.startswith("10.") else tuple(server.ports)
        port = int(self.rng.choice(ports)) if ports else 80
        if rule.exploits == "udp-agent":
            port = 1900
        protocol = server.ports.get(port, ("tcp", ""))[0]
        web = [p for p in ports if p in (80, 443, 8080)]
        if web and protocol == "tcp" and rule.exploits not in ("windows", "redis"):
            port = int(self.rng.choice(web))
        drop = rule.number in self.estate.dropping and not src.startswith("10.")
        works = not drop and rule.number in server.weak and (port in server.ports) and self.chance(0.9)
        state = "RSTO" if drop and port in server.ports and port in ports else ""
        big = works and self.chance(0.6)  # what comes back is more than a page; else the payload calls back
        back = self.bytes(90_000, 1.0) if big else self.bytes(900) if protocol == "tcp" else 0
        duration = int(self.rng.integers(30, 900)) * SECOND if big and self.chance(0.5) else self.bytes(400)
        out = self.bytes(1800)
        if state:
            back, out = 0, self.bytes(600)
        there = self.connect(ts, src, server.address, port, out, back, duration, protocol, "-", state)
        heard = there or bool(state) or protocol == "udp"
        if heard and self.chance(0.95):
            self.alarm(ts + 5, rule, cause, works, src, server.address, port, protocol=protocol, blocked=drop)
        return works and (there or protocol == "udp")

    def taken(self, ts: int, src: str, server: Server, cause: int) -> None:
        """What an intruder does with a server that is his. One in ten does nothing for days."""
        way = self.rng.choice(["shell", "fetch", "tunnel", "return", "sleep"], p=[0.4, 0.25, 0.07, 0.18, 0.1])
        begin = ts + int(self.rng.integers(1, 25)) * MINUTE
        home = src if self.chance(0.5) else stranger(self.rng)
        if home != src and self.chance(0.3):
            self.book.black.append(home)
        a = server.address
        if way == "shell":
            port = int(self.rng.choice([443, 4444, 8443, 53, 9001]))
            for n in range(int(self.rng.integers(1, 5))):
                at = begin + n * int(self.rng.integers(5, 40)) * MINUTE
                self.connect(at, a, home, port, self.bytes(60_000), self.bytes(20_000), self.bytes(400_000))
            if self.chance(0.5):
                self.alarm(begin + 20 * SECOND, RESPONSE, cause, True, a, home, port)
        elif way == "fetch":
            self.connect(begin, a, home, 80, 400, self.bytes(900_000), 2000, service="http")
            for n in range(6):
                at = begin + (n + 1) * int(self.rng.integers(8, 15)) * MINUTE
                self.connect(at, a, home, 443, self.bytes(900), self.bytes(700), 500, service="ssl")
            if self.chance(0.4):
                self.alarm(begin + 90 * SECOND, BEACON, cause, True, a, home, 443)
        elif way == "tunnel":
            for n in range(60):
                self.connect(begin + n * 20 * SECOND, a, RESOLVERS[0], 53, 160, 220, 30, "udp", "dns")
            if self.chance(0.5):
                self.alarm(begin + MINUTE, DNS_C2, cause, True, a, RESOLVERS[0], 53, protocol="udp")
        elif way == "return":
            port = next((p for p in (443, 80, 8080) if p in server.ports), server.login)
            for _ in range(int(self.rng.integers(3, 20))):
                at = begin + int(self.rng.integers(0, 3 * HOUR))
                self.connect(at, src, a, port, self.bytes(1200), self.bytes(9000, 1.2), self.bytes(3000))
        if way in ("fetch", "return") and server.agent and self.chance(0.4):
            self.alarm(begin + 30 * SECOND, NEW_FILE, cause, True, machine=server)
        if way in ("shell", "return") and self.chance(0.4):
            self.roam(begin + int(self.rng.integers(10, 90)) * MINUTE, a, cause)

    def roam(self, ts: int, src: str, cause: int) -> None:
        """A look around inside."""
        port = int(self.rng.choice([445, 22, 3389]))
        number = int(self.rng.integers(10, 60))
        targets = [s.address for s in self.estate.servers] + list(self.estate.pcs)
        for dst in self.rng.choice(targets, min(number, len(targets)), replace=False).tolist():
            ts += int(self.rng.integers(1, 20)) * SECOND
            if self.server_at(dst) is None:
                state = "S0" if self.chance(0.7) else "REJ"
                self.connect(ts, src, dst, port, 0, 0, 0, state=state)
            else:
                self.connect(ts, src, dst, port, 300, 400, 200)
        if self.chance(0.5):
            self.alarm(ts, SCAN, cause, True, src, dst, port)

    def guesses(
        self, ts: int, src: str, server: Server, number: int, cause: int, harm: bool, user: str = "root"
    ) -> int:
        """Failed log-ins one after another; the time of the last."""
        port = server.login
        ssh = port == 22
        step = max(int(self.rng.integers(1, 8)) * SECOND, 200)
        if not self.book.flows_too:
            number = min(number, 24)
        for n in range(number):
            at = ts + n * step
            there = self.connect(
                at, src, server.address, port, self.bytes(1400, 0.1), self.bytes(1900, 0.1), self.bytes(2500)
            )
            if not there:
                continue
            if server.agent and (n % 8 == 7):
                rule = MANY_FAILED if ssh else WINDOWS_FAILED
                self.alarm(at, rule, cause, harm, src, machine=server, user=user)
            elif server.agent and ssh:
                self.alarm(at, LOGIN_FAILED, cause, harm, src, machine=server, user=user)
        return ts + number * step

    def log_in(
        self, ts: int, src: str, server: Server, cause: int, harm: bool, user: str, long: bool
    ) -> None:
        """Somebody logs in."""
        duration = self.bytes(900_000) if long else self.bytes(8000)
        self.connect(ts, src, server.address, server.login, self.bytes(9000 if long else 3000),
                     self.bytes(60_000 if long else 4000), duration)  # fmt: skip
        if server.agent:
            rule = LOGIN if server.login == 22 else WINDOWS_LOGIN
            self.alarm(ts, rule, cause, harm, src, machine=server, user=user)

    def beacons(
        self, ts: int, src: str, home: str, port: int, every: int, cause: int, dead: bool, name: str
    ) -> None:
        """Malware calls home until the end, or for some hours."""
        end = min(ts + int(self.rng.integers(2, 12)) * HOUR, self.length)
        told = 0
        at = ts
        while at < end:
            state = "S0" if dead else ""
            self.connect(
                at,
                src,
                home,
                port,
                self.bytes(600),
                self.bytes(900),
                self.bytes(700),
                service="ssl",
                state=state,
            )
            if not dead and (told == 0 or self.chance(0.15)) and told < 40:
                self.alarm(at + 2, BEACON, cause, True, src, home, port, name=name)
                told += 1
            at += max(int(every * self.rng.uniform(0.8, 1.2)), SECOND)
        if dead:
            self.alarm(ts + 2, DNS_C2, cause, True, src, RESOLVERS[0], 53, protocol="udp", name=name)


def moment(rng: np.random.Generator, day: int, working: bool = False) -> int:
    """A time of a day, ms; ``working``: when people work."""
    if working:
        return day * DAY + int(rng.integers(8 * HOUR, 17 * HOUR))
    return day * DAY + int(rng.integers(0, DAY))


__all__ = ["Link", "Stage", "moment"]
