"""What goes on besides: terminals on the web and inside, servers and those who use them, and alerts that mean nothing.

Terminals' traffic is that of ``simulate.organisation``; servers get clients from the Internet and from inside, are
monitored every hour, resolve names, and fetch updates from content networks whose addresses change.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.simulate.organisation import flows as inside
from andon.simulate.organisation import sites as where
from andon.simulate.organisation.build import World, blocks, happenings
from andon.simulate.organisation.people import shift
from andon.simulate.organisation.scenario import DAY, HOUR, SECOND

from .book import Alarm, Book, Link
from .catalogue import BULK, LOGIN, SURICATA, WINDOWS_LOGIN
from .estate import MONITOR, NAT, RESOLVERS, Estate
from .nuisances import UPDATES
from .scenario import Scenario
from .stage import Stage

_TOGETHER: Final = 15_000  # ms: lines of one terminal to one host share a connection
_REPOSITORIES: Final = ("91.189.91.81", "151.101.66.132", "23.45.173.10")
LINKS: Final = pa.schema(
    [
        ("ts", pa.int64()), ("duration", pa.int64()), ("src", pa.string()), ("dst", pa.string()),
        ("sport", pa.int64()), ("dport", pa.int64()), ("protocol", pa.string()), ("service", pa.string()),
        ("state", pa.string()), ("out", pa.int64()), ("back", pa.int64()), ("dropped", pa.bool_()),
    ]
)  # fmt: skip


def terminals(world: World) -> pa.Table:
    """Connections of the terminals, as ``LINKS``."""
    parts = []
    days = []
    for number in range(world.scenario.days):
        day = happenings(world, number)
        days.append(day)
        made = [
            inside.usual(world.scenario, world.who, shift(world.scenario, world.who, n), n)
            for n in (number - 1, number)
            if n >= 0
        ]
        rows = np.concatenate(made)
        parts.append(_inside(world, rows[rows["ts"] // DAY == number]))
    parts += [_web(world, block) for block in blocks(world, iter(days)) if len(block)]
    return pa.concat_tables(parts)


def _inside(world: World, rows: np.ndarray) -> pa.Table:
    quiet = (rows["state"] == inside.S0) | (rows["state"] == inside.REJ)
    return _table(
        rows["ts"], rows["duration"], np.array(world.who.addresses(0), object)[rows["terminal"]],
        where.dotted(rows["dst"]), rows["sport"], rows["dport"],
        np.array(["tcp", "udp"], object)[rows["protocol"]], np.array(inside.SERVICES, object)[rows["service"]],
        np.array(inside.STATES, object)[rows["state"]], np.where(quiet, 0, rows["out"]),
        np.where(quiet, 0, rows["back"]),
    )  # fmt: skip


def _web(world: World, block: np.ndarray) -> pa.Table:
    rows = block[block["elapsed"] >= 0]
    rows = rows[np.lexsort((rows["ts"], rows["host"], rows["terminal"]))]
    opens = (np.diff(rows["ts"], prepend=-(1 << 60)) > _TOGETHER) | (
        np.diff(rows["terminal"], prepend=-1) != 0
    )
    opens |= np.diff(rows["host"], prepend=-1) != 0
    at = np.flatnonzero(opens)
    first = rows[at]
    ends = np.maximum.reduceat(rows["ts"] + rows["elapsed"], at)
    tls = world.dest.via[first["host"]] < where.PLAIN
    return _table(
        first["ts"], ends - first["ts"], np.array(world.who.addresses(0), object)[first["terminal"]],
        where.dotted(world.dest.server[first["host"]]), 1024 + (first["ts"] * 2_654_435_761 >> 7) % 64_000,
        np.where(tls, 443, 80), np.full(len(at), "tcp", object),
        np.where(tls, "ssl", "http").astype(object), np.full(len(at), "SF", object),
        np.add.reduceat(rows["sent"].astype(np.int64), at), np.add.reduceat(rows["size"].astype(np.int64), at),
    )  # fmt: skip


def _table(*columns: Any) -> pa.Table:
    rows = len(columns[0])
    arrays = [pa.array(c, f.type) for c, f in zip((*columns, np.zeros(rows, np.bool_)), LINKS, strict=True)]
    return pa.table(arrays, schema=LINKS)


def linked(links: list[Link]) -> pa.Table:
    """The connections of a book, as ``LINKS``."""
    columns = list(zip(*links, strict=True)) if links else [()] * len(LINKS)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, LINKS, strict=True)], schema=LINKS)


def servers(stage: Stage, days: int) -> None:
    """Who uses the servers, and what these do by themselves."""
    rng, estate = stage.rng, stage.estate
    clients = [
        f"{rng.integers(60, 99)}.{rng.integers(0, 256)}.{rng.integers(0, 256)}.{rng.integers(1, 255)}"
        for _ in range(4000)
    ]
    network = [f"104.16.{rng.integers(0, 64)}.{rng.integers(1, 255)}" for _ in range(60)]
    cause = -1
    for server in estate.servers:
        own = [network[i] for i in rng.choice(len(network), 4).tolist()]
        for day in range(days):
            for port, (transport, service) in server.ports.items():
                for hour in range(24):  # the monitoring looks whether it answers
                    at = day * DAY + hour * HOUR + server.number * 3 * SECOND
                    stage.connect(at, MONITOR, server.address, port, 200, 400, 30, transport, service)
            for port in server.kind.exposed:
                transport, service = server.ports[port]
                if port == server.login:
                    continue
                for _ in range(int(rng.poisson(120))):
                    at = day * DAY + int(rng.integers(0, DAY))
                    stage.connect(at, clients[int(rng.integers(len(clients)))], server.address, port, stage.bytes(1200),
                                  stage.bytes(9000, 1.3), stage.bytes(900, 1.2), transport, service)  # fmt: skip
            for _ in range(int(rng.poisson(30))):
                at = day * DAY + int(rng.integers(0, DAY))
                dst = (
                    str(rng.choice(_REPOSITORIES)) if rng.random() < 0.6 else own[int(rng.integers(len(own)))]
                )
                if rng.random() < 0.03:
                    dst = network[int(rng.integers(len(network)))]
                stage.connect(
                    at,
                    server.address,
                    dst,
                    443,
                    stage.bytes(900),
                    stage.bytes(60_000, 1.5),
                    900,
                    service="ssl",
                )
            for _ in range(int(rng.poisson(40))):
                at = day * DAY + int(rng.integers(0, DAY))
                stage.connect(at, server.address, RESOLVERS[0], 53, 60, 180, 20, "udp", "dns")
            if server.login:
                for _ in range(int(rng.poisson(4))):
                    pc = estate.admins[int(rng.integers(len(estate.admins)))]
                    at = day * DAY + int(rng.integers(8 * HOUR, 18 * HOUR))
                    stage.log_in(
                        at, estate.pcs[pc], server, cause, False, estate.users[pc], rng.random() < 0.5
                    )
                for pc in estate.regulars[server.number]:
                    for _ in range(int(rng.poisson(1.5))):
                        at = day * DAY + int(rng.integers(8 * HOUR, 18 * HOUR))
                        stage.log_in(
                            at, estate.pcs[pc], server, cause, False, estate.users[pc], rng.random() < 0.5
                        )
    for terminal in estate.pcs:  # everybody's programs ask for updates
        for day in range(days):
            for _ in range(int(rng.poisson(3))):
                at = day * DAY + int(rng.integers(7 * HOUR, 19 * HOUR))
                stage.connect(
                    at,
                    terminal,
                    UPDATES[int(rng.integers(len(UPDATES)))],
                    443,
                    stage.bytes(900),
                    stage.bytes(9000),
                    900,
                    service="ssl",
                )


def bulk(scenario: Scenario, estate: Estate, links: pa.Table, book: Book) -> None:
    """Alerts that mean nothing, until there are as many as were asked for."""
    rng = scenario.rng("bulk")
    number = max(scenario.alerts * scenario.days - len(book.alarms), 0)
    web = links.filter(pa.compute.equal(links.column("service"), "ssl"))
    row = rng.integers(0, web.num_rows, number)
    src, dst, port, ts = (
        web.column(n).take(pa.array(row)).to_pylist() for n in ("src", "dst", "dport", "ts")
    )
    share = rng.dirichlet(np.full(len(BULK), 0.7))
    rules = rng.choice(len(BULK), number, p=share).tolist()
    agents = [s for s in estate.servers if s.agent]
    which, who = rng.integers(0, len(agents), number).tolist(), rng.zipf(1.6, number)
    pcs = (who % len(estate.pcs)).tolist()
    ports = rng.integers(20_000, 64_000, number).tolist()
    for n in range(number):
        rule = BULK[rules[n]]
        if rule.product == SURICATA:
            book.alarms.append(
                Alarm(ts[n], rule, "", "", src[n], ports[n], dst[n], port[n], "tcp", "", "", False, -1, False)
            )
            continue
        server, pc = agents[which[n]], pcs[n]
        login = rule in (LOGIN, WINDOWS_LOGIN) or rule.number == "5501"
        if login and (server.login == 22) == (rule is WINDOWS_LOGIN):
            rule = LOGIN if server.login == 22 else WINDOWS_LOGIN
        # Only administrators log in to servers.
        admin = estate.admins[pc % len(estate.admins)]
        came = estate.pcs[admin] if login else ""
        book.alarms.append(
            Alarm(
                ts[n],
                rule,
                server.name,
                server.address,
                came,
                -1,
                "",
                -1,
                "",
                "",
                estate.users[admin] if login else "",
                False,
                -1,
                False,
            )
        )


def at_outer_sensor(estate: Estate, src: str, dst: str) -> tuple[str, str]:
    """Addresses as the Suricata outside sees them: translated, where the firewall does so."""
    public = {s.address: s.public for s in estate.servers if s.public}
    if not dst.startswith("10.") and src in estate.branch:
        src = NAT
    if not src.startswith("10."):
        dst = public.get(dst, dst)
    elif not dst.startswith("10."):
        src = public.get(src, src)
    return src, dst
