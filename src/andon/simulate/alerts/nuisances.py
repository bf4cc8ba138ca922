"""Alerts that are not worth acting on, and why they come about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from andon.simulate.organisation.scenario import DAY, HOUR, SECOND

from .attacks import name_of
from .catalogue import (
    EXPLOITS,
    MANY_FAILED,
    ODD_SITE,
    PSEXEC,
    SCAN,
    SERVICE,
    SSH_SCAN,
    UPDATE,
    UPLOAD,
    WINDOWS_FAILED,
)
from .estate import BACKUP, stranger
from .stage import MINUTE, Stage, moment

UPDATES: Final = tuple(f"151.101.{n}.{7 * n % 250 + 1}" for n in range(6))  # hosts of software that many run


def update(stage: Stage, day: int) -> None:
    """A rule takes the updater of a common program for malware."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    ts = moment(stage.rng, day, working=True)
    cause = stage.book.cause("update traffic", False, ts, stage.estate.pcs[pc])
    n = int(stage.rng.integers(len(UPDATES)))
    for i in range(int(stage.rng.integers(1, 4))):
        at = ts + i * int(stage.rng.integers(1, 20)) * MINUTE
        stage.connect(
            at,
            stage.estate.pcs[pc],
            UPDATES[n],
            443,
            stage.bytes(900),
            stage.bytes(300_000, 1.5),
            stage.bytes(4000),
            service="ssl",
        )
        stage.alarm(
            at + 4,
            UPDATE[n % len(UPDATE)],
            cause,
            False,
            stage.estate.pcs[pc],
            UPDATES[n],
            443,
            name=f"cdn{n}.update.example",
        )


def spray(stage: Stage, day: int) -> None:
    """Somebody on the Internet tries an exploit on whatever answers. Where it works it is an attack."""
    rule = EXPLOITS[int(stage.rng.integers(len(EXPLOITS)))]
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    if stage.chance(0.4):
        stage.book.black.append(src)
    if stage.chance(0.25):
        targets = stage.estate.exposed
    else:
        number = int(stage.rng.integers(1, 4))
        targets = [
            stage.estate.exposed[n]
            for n in stage.rng.choice(len(stage.estate.exposed), number, replace=False).tolist()
        ]
    for server in targets:
        ts += int(stage.rng.integers(1, 120)) * SECOND
        web = {80, 443, 8080} & set(server.kind.exposed) or rule.exploits == "udp-agent"
        if not web:
            stage.connect(ts, src, server.address, 80, 0, 0, 0)
            continue
        if rule.exploits == "udp-agent" and 1900 not in server.ports:
            stage.connect(ts, src, server.address, 1900, 300, 0, 0, "udp")
            if stage.chance(0.5):  # the sensor sees what nobody answers
                cause = stage.book.cause("exploit of what is not there", False, ts, server.address)
                stage.alarm(ts + 5, rule, cause, False, src, server.address, 1900, protocol="udp")
            continue
        weak = rule.number in server.weak
        dropped = rule.number in stage.estate.dropping
        kind = "blocked exploit" if dropped else "exploit" if weak else "exploit of what is not there"
        cause = stage.book.cause(kind, weak and not dropped, ts, server.address)
        if stage.exploit(ts, src, server, rule, cause):
            stage.taken(ts, src, server, cause)
        elif weak and not dropped:  # it could have worked and did not
            stage.book.causes[cause] = replace(
                stage.book.causes[cause], kind="exploit that failed", true=False
            )


def knocking(stage: Stage, day: int) -> None:
    """Passwords are guessed from the Internet, in vain; at many servers of one rule the firewall lets nobody in."""
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    if stage.chance(0.4):
        stage.book.black.append(src)
    targets = [s for s in stage.estate.exposed if s.login]
    number = int(stage.rng.choice([1, 2, 8]))
    for n in stage.rng.choice(len(targets), min(number, len(targets)), replace=False).tolist():
        server = targets[n]
        cause = stage.book.cause("failed brute force", False, ts, server.address)
        shut = server.login not in server.kind.exposed
        if stage.chance(0.6):
            stage.alarm(ts + 2 * SECOND, SSH_SCAN, cause, False, src, server.address, server.login)
        tries = int(stage.rng.integers(3, 12)) if shut else int(stage.rng.integers(10, 300))
        stage.guesses(ts, src, server, tries, cause, False)


def shut_out(stage: Stage, day: int) -> None:
    """Ports are asked for that the firewall opens to nobody."""
    ts, src = moment(stage.rng, day), stranger(stage.rng)
    server = stage.estate.servers[int(stage.rng.integers(len(stage.estate.servers)))]
    cause = stage.book.cause("blocked by firewall", False, ts, server.address)
    for port in stage.rng.choice(
        [21, 23, 135, 445, 1433, 3389, 5900, 6379, 9200, 11211], 5, replace=False
    ).tolist():
        ts += SECOND
        if port not in server.kind.exposed:
            stage.connect(ts, src, server.address, port, 0, 0, 0)
            stage.alarm(ts, SCAN, cause, False, src, server.address, port)


def sanctioned(stage: Stage, day: int) -> None:
    """The organisation's own scanner looks for holes."""
    if not stage.estate.scanner:
        return
    src = stage.estate.scanner[0]
    ts = day * DAY + 19 * HOUR + int(stage.rng.integers(0, 3 * HOUR))
    for n in stage.rng.choice(len(stage.estate.servers), 3, replace=False).tolist():
        server = stage.estate.servers[n]
        cause = stage.book.cause("sanctioned scanner", False, ts, server.address)
        for port in (21, 22, 23, 80, 443, 445, 3306, 3389, 8080):
            ts += SECOND
            stage.connect(ts, src, server.address, port, 800, 1500, 300)
        for rule in (EXPLOITS[i] for i in stage.rng.choice(len(EXPLOITS), 3, replace=False).tolist()):
            ts += 5 * SECOND
            web = next((p for p in (80, 443, 8080) if p in server.ports), 0)
            if web:
                stage.connect(ts, src, server.address, web, 1800, stage.bytes(900), 300)
                stage.alarm(ts, rule, cause, False, src, server.address, web)
        stage.alarm(ts, SCAN, cause, False, src, server.address, 80)
        if server.agent and server.login:
            stage.guesses(ts + MINUTE, src, server, 9, cause, False)


def backup(stage: Stage, day: int) -> None:
    """The backup asks every night with a password that was changed."""
    with_login = [s for s in stage.estate.inner if s.agent and s.login]
    for server in with_login[:4]:
        ts = day * DAY + 2 * HOUR + server.number * 7 * MINUTE
        cause = stage.book.cause("misconfigured backup", False, ts, server.address)
        rule = MANY_FAILED if server.login == 22 else WINDOWS_FAILED
        for n in range(6):
            at = ts + n * 10 * MINUTE
            stage.connect(at, BACKUP, server.address, server.login, 1400, 1900, 2500)
            stage.alarm(at, rule, cause, False, BACKUP, machine=server, user="svc_backup")


def administration(stage: Stage, day: int) -> None:
    """An administrator uses tools that intruders use too."""
    pc = stage.estate.admins[int(stage.rng.integers(len(stage.estate.admins)))]
    src = stage.estate.pcs[pc]
    windows = [s for s in stage.estate.servers if 445 in s.ports]
    server = windows[int(stage.rng.integers(len(windows)))]
    ts = moment(stage.rng, day, working=True)
    cause = stage.book.cause("administration", False, ts, server.address)
    stage.connect(
        ts, src, server.address, 445, stage.bytes(300_000), stage.bytes(40_000), stage.bytes(60_000)
    )
    stage.alarm(ts + SECOND, PSEXEC, cause, False, src, server.address, 445)
    if server.agent:
        stage.alarm(ts + 2 * SECOND, SERVICE, cause, False, src, machine=server, user="administrator")


def forgetful(stage: Stage, day: int) -> None:
    """A user mistypes a password, and then does not."""
    with_login = [s for s in stage.estate.servers if s.agent and s.login]
    server = with_login[int(stage.rng.integers(len(with_login)))]
    pc = int(stage.rng.choice(stage.estate.regulars[server.number]))
    ts = moment(stage.rng, day, working=True)
    cause = stage.book.cause("mistyped password", False, ts, server.address)
    end = stage.guesses(ts, stage.estate.pcs[pc], server, 8, cause, False, stage.estate.users[pc])
    stage.log_in(
        end + 20 * SECOND, stage.estate.pcs[pc], server, cause, False, stage.estate.users[pc], long=True
    )


def odd_site(stage: Stage, day: int) -> None:
    """A user meets a page that a generic rule dislikes."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    ts, home = moment(stage.rng, day, working=True), stranger(stage.rng)
    cause = stage.book.cause("harmless new site", False, ts, stage.estate.pcs[pc])
    rule = ODD_SITE[int(stage.rng.integers(len(ODD_SITE)))]
    for n in range(int(stage.rng.integers(1, 12))):
        stage.connect(
            ts + n * int(stage.rng.integers(5, 200)) * SECOND,
            stage.estate.pcs[pc],
            home,
            443,
            stage.bytes(1500),
            stage.bytes(60_000, 1.2),
            stage.bytes(6000),
            service="ssl",
        )
    stage.alarm(ts + 9 * SECOND, rule, cause, False, stage.estate.pcs[pc], home, 443, name=name_of(stage.rng))


def big_upload(stage: Stage, day: int) -> None:
    """A user sends a film to a customer."""
    pc = int(stage.rng.integers(len(stage.estate.pcs)))
    ts, home = moment(stage.rng, day, working=True), stranger(stage.rng)
    cause = stage.book.cause("harmless upload", False, ts, stage.estate.pcs[pc])
    stage.connect(
        ts,
        stage.estate.pcs[pc],
        home,
        443,
        stage.bytes(1.5e8),
        stage.bytes(90_000),
        3 * MINUTE,
        service="ssl",
    )
    stage.alarm(ts + MINUTE, UPLOAD, cause, False, stage.estate.pcs[pc], home, 443, name=name_of(stage.rng))


# How many of a hundred, in causes that are drawn (one may bother several hosts).
NUISANCES: Final[tuple[tuple[Callable[[Stage, int], None], float], ...]] = (
    (update, 0.24), (spray, 0.05), (knocking, 0.10), (shut_out, 0.14), (sanctioned, 0.06), (backup, 0.01),
    (administration, 0.09), (forgetful, 0.09), (odd_site, 0.16), (big_upload, 0.04),
)  # fmt: skip
