"""Attacks that matter: each begins somewhere, succeeds, and is told of by whatever rules happen to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from andon.simulate.organisation.names import words
from andon.simulate.organisation.scenario import HOUR, SECOND

from .catalogue import (
    EXPLOITS,
    INSIDE_EXPLOITS,
    NEW_FILE,
    PHISHING,
    PSEXEC,
    SERVICE,
    SSH_SCAN,
    UPLOAD,
    WEBSHELL,
)
from .estate import RESOLVERS, stranger
from .stage import MINUTE, Stage, moment


def name_of(rng: np.random.Generator) -> str:
    """A domain nobody has heard of."""
    return f"{words(rng.integers(0, 1 << 20, 1), 3)[0]}.example"


def exploit(stage: Stage, day: int) -> None:
    """A server on the Internet that is not patched is broken into."""
    known = [
        (s, r)
        for s in stage.estate.exposed
        for r in EXPLOITS
        if r.number in s.weak and r.number not in stage.estate.dropping
    ]
    if not known:
        return brute(stage, day)
    server, rule = known[int(stage.rng.integers(len(known)))]
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    cause = stage.book.cause("exploit", True, ts, server.address)
    if stage.chance(0.5):  # a look at its other ports first
        for n, port in enumerate(
            stage.rng.choice([21, 22, 23, 25, 80, 443, 3306, 8080, 8443], 6, replace=False).tolist()
        ):
            stage.connect(ts - MINUTE + n * SECOND, src, server.address, port, 200, 300, 100)
    for n in range(int(stage.rng.integers(1, 4))):
        if stage.exploit(ts + n * 20 * SECOND, src, server, rule, cause):
            stage.taken(ts + n * 20 * SECOND, src, server, cause)
            return None
    # The last try works in any case: this is an attack that succeeds.
    port = server.kind.exposed[0]
    stage.connect(ts + MINUTE, src, server.address, port, 1800, 40_000, 60 * SECOND, server.ports[port][0])
    stage.alarm(ts + MINUTE, rule, cause, True, src, server.address, port, protocol=server.ports[port][0])
    stage.taken(ts + MINUTE, src, server, cause)
    return None


def brute(stage: Stage, day: int) -> None:
    """A password is guessed."""
    targets = [s for s in stage.estate.exposed if s.login in s.kind.exposed and s.login]
    server = targets[int(stage.rng.integers(len(targets)))]
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    cause = stage.book.cause("brute-force", True, ts, server.address)
    if stage.chance(0.7):
        stage.alarm(ts + 3 * SECOND, SSH_SCAN, cause, True, src, server.address, server.login)
    end = stage.guesses(ts, src, server, int(stage.rng.integers(20, 500)), cause, True)
    stage.log_in(end, src, server, cause, True, "root", long=stage.chance(0.7))
    stage.taken(end, src, server, cause)


def call_back(stage: Stage, day: int) -> None:
    """A terminal is infected and calls home; at some the server is gone already."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    ts, home = moment(stage.rng, day, working=True), stranger(stage.rng)
    cause = stage.book.cause("call-back", True, ts, stage.estate.pcs[pc])
    if stage.chance(0.3):
        stage.book.black.append(home)
    port = int(stage.rng.choice([443, 80, 8080, 8443, 4443]))
    every = int(stage.rng.choice([60, 300, 600, 3600])) * SECOND
    stage.beacons(ts, stage.estate.pcs[pc], home, port, every, cause, stage.chance(0.1), name_of(stage.rng))


def lateral(stage: Stage, day: int) -> None:
    """From a terminal that is no longer its user's to a server."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    src = stage.estate.pcs[pc]
    windows = [s for s in stage.estate.servers if 445 in s.ports]
    server = windows[int(stage.rng.integers(len(windows)))]
    ts = moment(stage.rng, day)
    cause = stage.book.cause("lateral movement", True, ts, server.address, src)
    if stage.chance(0.5):
        stage.roam(ts - 20 * MINUTE, src, cause)
    stage.connect(
        ts, src, server.address, 445, stage.bytes(300_000), stage.bytes(40_000), stage.bytes(60_000)
    )
    rule = PSEXEC if stage.chance(0.7) else INSIDE_EXPLOITS[0]
    stage.alarm(ts + SECOND, rule, cause, True, src, server.address, 445)
    if server.agent and stage.chance(0.7):
        stage.alarm(
            ts + 2 * SECOND,
            SERVICE,
            cause,
            True,
            src,
            machine=server,
            user=str(stage.rng.choice(["administrator", "svc_deploy"])),
        )
    if stage.chance(0.6):
        stage.taken(ts + MINUTE, src, server, cause)


def exfiltration(stage: Stage, day: int) -> None:
    """Much goes out."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    src, home = stage.estate.pcs[pc], stranger(stage.rng)
    ts = moment(stage.rng, day)
    cause = stage.book.cause("exfiltration", True, ts, src)
    if stage.chance(0.75):
        for n in range(int(stage.rng.integers(2, 12))):
            stage.connect(
                ts + n * 4 * MINUTE,
                src,
                home,
                443,
                stage.bytes(9e7),
                stage.bytes(90_000),
                3 * MINUTE,
                service="ssl",
            )
        stage.alarm(ts + 2 * MINUTE, UPLOAD, cause, True, src, home, 443, name=name_of(stage.rng))
    else:  # through the name server
        for n in range(1500):
            stage.connect(ts + n * 2 * SECOND, src, RESOLVERS[0], 53, 210, 140, 20, "udp", "dns")
        from .catalogue import DNS_C2

        for n in range(12):
            stage.alarm(
                ts + n * 4 * MINUTE,
                DNS_C2,
                cause,
                True,
                src,
                RESOLVERS[0],
                53,
                protocol="udp",
                name=name_of(stage.rng),
            )


def web_shell(stage: Stage, day: int) -> None:
    """A script that was put there before is used."""
    web = [s for s in stage.estate.exposed if {80, 443, 8080} & set(s.kind.exposed)]
    server = web[int(stage.rng.integers(len(web)))]
    port = next(p for p in (80, 8080, 443) if p in server.kind.exposed)
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    cause = stage.book.cause("web shell", True, ts, server.address)
    for n in range(int(stage.rng.integers(3, 25))):
        at = ts + n * int(stage.rng.integers(5, 90)) * SECOND
        stage.connect(
            at, src, server.address, port, stage.bytes(900), stage.bytes(7000, 1.3), stage.bytes(900)
        )
        if n == 0 or stage.chance(0.4):
            stage.alarm(at + 5, WEBSHELL, cause, True, src, server.address, port)
    if server.agent and stage.chance(0.3):
        stage.alarm(ts + 2 * MINUTE, NEW_FILE, cause, True, machine=server)
    if stage.chance(0.7):
        stage.taken(ts + 5 * MINUTE, src, server, cause)


def phishing(stage: Stage, day: int) -> None:
    """Somebody gives his password to a page; it is used from elsewhere, or not yet."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    ts, home = moment(stage.rng, day, working=True), stranger(stage.rng)
    cause = stage.book.cause("phishing", True, ts, stage.estate.pcs[pc])
    if stage.chance(0.25):
        stage.book.black.append(home)
    for n in range(int(stage.rng.integers(1, 4))):
        stage.connect(
            ts + n * 15 * SECOND,
            stage.estate.pcs[pc],
            home,
            443,
            stage.bytes(3000),
            stage.bytes(50_000),
            9000,
            service="ssl",
        )
    stage.alarm(
        ts + 10 * SECOND, PHISHING, cause, True, stage.estate.pcs[pc], home, 443, name=name_of(stage.rng)
    )
    if stage.chance(0.3):
        targets = [s for s in stage.estate.exposed if s.login in s.kind.exposed]
        server = targets[int(stage.rng.integers(len(targets)))]
        stage.log_in(
            ts + int(stage.rng.integers(1, 5)) * HOUR,
            home,
            server,
            cause,
            True,
            stage.estate.users[pc],
            long=True,
        )


ATTACKS: Final[tuple[tuple[Callable[[Stage, int], None], float], ...]] = (
    (exploit, 0.25), (brute, 0.15), (call_back, 0.2), (lateral, 0.15), (exfiltration, 0.08), (web_shell, 0.1),
    (phishing, 0.07),
)  # fmt: skip
