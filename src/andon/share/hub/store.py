"""What the hub keeps: members, reports by id, and what was seen of members' addresses. Nothing of other addresses.

Everything of a report (its id, its counts, the quota it uses) is one transaction that is on disk before the report is
acknowledged; so a member that got no answer sends again, and nothing is counted twice or lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from andon.records.finding import timestamp
from andon.share.hub.members import ACTIVE, SUSPENDED, WITHDRAWN, Member, Register
from andon.share.hub.protocol import HOUR, PORTS, Report
from andon.store.sqlite import SmallStore

DAY: Final = 24 * HOUR
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS members (name TEXT PRIMARY KEY, prefixes TEXT NOT NULL, named INTEGER NOT NULL,
    listed INTEGER NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports (member TEXT NOT NULL, id TEXT NOT NULL, digest BLOB NOT NULL,
    received INTEGER NOT NULL, sightings INTEGER NOT NULL, PRIMARY KEY (member, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reports_by_time ON reports (received);
CREATE TABLE IF NOT EXISTS seen (victim TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, hour INTEGER NOT NULL,
    reporter TEXT NOT NULL, packets INTEGER NOT NULL, ports TEXT NOT NULL, tool TEXT NOT NULL,
    PRIMARY KEY (victim, source, kind, hour, reporter)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_reporter ON seen (reporter, hour);
CREATE TABLE IF NOT EXISTS told (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, victim TEXT NOT NULL,
    source TEXT NOT NULL, kind TEXT NOT NULL, hour INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS told_by_victim ON told (victim, seq);
CREATE INDEX IF NOT EXISTS told_by_hour ON told (hour);
CREATE TABLE IF NOT EXISTS usage (member TEXT NOT NULL, day INTEGER NOT NULL, reports INTEGER NOT NULL,
    sightings INTEGER NOT NULL, matched INTEGER NOT NULL, refused INTEGER NOT NULL,
    PRIMARY KEY (member, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disputes (reporter TEXT NOT NULL, victim TEXT NOT NULL, id TEXT NOT NULL,
    at INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (reporter, victim, id)) WITHOUT ROWID
"""


class Conflict(ValueError):
    """The same report id was used for something else."""


class OverQuota(Exception):
    """A member has used up its day. ``wait``: seconds until the next."""

    def __init__(self, wait: int) -> None:
        super().__init__("quota of the day is used up")
        self.wait = wait


@dataclass(frozen=True)
class Rules:
    """Limits of a hub. ``cover_v4`` and ``cover_v6``: length of the blocks that hide prefixes in the cover."""

    reports: int = 5_000  # of a member, a day
    sightings: int = 100_000
    least_observers: int = 1  # of an address in an hour, before it is told
    least_packets: int = 2
    cover_v4: int = 8
    cover_v6: int = 20
    keep_days: int = 30
    disputes: int = 5  # a reporter is suspended by so many disputes
    disputing: int = 2  # of so many members
    within_days: int = 7

    def __post_init__(self) -> None:
        if not 8 <= self.cover_v4 <= 16 or not 16 <= self.cover_v6 <= 32:
            raise ValueError(
                "hub: cover_v4 is 8 to 16, cover_v6 is 16 to 32: longer ones would tell who is registered"
            )


def rules_from(given: Mapping[str, Any]) -> Rules:
    """``[hub]`` as read from TOML. Raises ValueError that names the setting.

    >>> rules_from({"least_observers": 2}).least_observers
    2
    """
    known = {field.name for field in fields(Rules)}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"hub: there is no setting {name!r}; there are {', '.join(sorted(known))}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"hub: {name} is a whole number above 0")
    return Rules(**given)


class HubStore:
    """The hub's file in ``folder`` (STORE/hub). Raises StoreError and its kin."""

    def __init__(self, folder: Path, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._store = SmallStore(folder / "hub.db", _TABLES)
        self._held: tuple[Any, Register] = (None, Register(()))

    def members(self) -> list[Member]:
        """All members, withdrawn ones too."""
        with self._store.read() as connection:
            rows = connection.execute("SELECT * FROM members ORDER BY name").fetchall()
        return [
            Member(
                row["name"],
                tuple(ip_network(text) for text in json.loads(row["prefixes"])),
                bool(row["named"]),
                bool(row["listed"]),
                row["state"],
            )
            for row in rows
        ]

    def register(self) -> Register:
        """The members as they are now; read anew when another process has changed them."""
        with self._store.read() as connection:
            found = connection.execute("SELECT count(*), max(since), total(state = 'active') FROM members")
            mark = tuple(found.fetchone())
        if self._held[0] != mark:
            self._held = (mark, Register(self.members()))
        return self._held[1]

    def add_member(self, new: Member, now: int) -> None:
        """A new member, or new settings of one. Raises ValueError for a prefix that another one has."""
        known = self.members()
        held = next((one for one in known if one.name == new.name), None)
        state = SUSPENDED if held is not None and held.state == SUSPENDED else new.state
        Register([*(one for one in known if one.name != new.name), new])
        with self._store.write() as connection:
            prefixes = json.dumps([str(prefix) for prefix in new.prefixes])
            connection.execute(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?)",
                (new.name, prefixes, new.named, new.listed, state, now),
            )

    def withdraw(self, name: str, now: int) -> None:
        """A member leaves: what it reported and what was reported of it is deleted."""
        with self._store.write() as connection:
            connection.execute(
                "UPDATE members SET state = ?, since = ? WHERE name = ?", (WITHDRAWN, now, name)
            )
            for table, column in (
                ("seen", "reporter"), ("seen", "victim"), ("told", "victim"), ("reports", "member"),
                ("disputes", "reporter"), ("disputes", "victim"),
            ):  # fmt: skip
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))

    def resume(self, name: str, now: int) -> None:
        """Believe a suspended member again."""
        with self._store.write() as connection:
            connection.execute(
                "UPDATE members SET state = ?, since = ? WHERE name = ? AND state = ?",
                (ACTIVE, now, name, SUSPENDED),
            )
            connection.execute("DELETE FROM disputes WHERE reporter = ?", (name,))

    def take(self, name: str, report: Report, now: int) -> bool:
        """Store a report; False if it was held already. Raises Conflict, OverQuota."""
        digest = hashlib.sha256(report.to_json().encode()).digest()
        register = self.register()
        own = [(one, register.owner(one.source)) for one in report.sightings]
        matched = [(one, victim) for one, victim in own if victim and victim != name]
        day = now // DAY
        over = False
        with self._store.write() as connection:
            held = connection.execute(
                "SELECT digest FROM reports WHERE member = ? AND id = ?", (name, report.id)
            ).fetchone()
            if held is not None:
                if held["digest"] != digest:
                    raise Conflict(f"report {report.id} was another one")
                return False
            used = connection.execute(
                "SELECT reports, sightings FROM usage WHERE member = ? AND day = ?", (name, day)
            ).fetchone()
            size = len(report.sightings)
            over = used is not None and (
                used["reports"] + 1 > self.rules.reports or used["sightings"] + size > self.rules.sightings
            )
            connection.execute(
                "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " reports = reports + excluded.reports, sightings = sightings + excluded.sightings,"
                " matched = matched + excluded.matched,"
                " refused = refused + excluded.refused",
                (name, day, *((0, 0, 0, 1) if over else (1, size, len(matched), 0))),
            )
            if not over:
                new = (name, report.id, digest, now, size)
                connection.execute("INSERT INTO reports VALUES (?, ?, ?, ?, ?)", new)
                for one, victim in matched:
                    self._count(connection, name, victim, one)
        if over:
            raise OverQuota((day + 1) * DAY // 10**9 - now // 10**9 + 1)
        return True

    def _count(self, connection: Any, reporter: str, victim: str, one: Any) -> None:
        key = (victim, one.source, one.kind, one.hour, reporter)
        held = connection.execute(
            "SELECT packets, ports, tool FROM seen WHERE victim = ? AND source = ? AND kind = ? AND hour = ?"
            " AND reporter = ?",
            key,
        ).fetchone()
        ports = {(proto, port): n for proto, port, n in (json.loads(held["ports"]) if held else ())}
        for proto, port, n in one.ports:
            ports[proto, port] = ports.get((proto, port), 0) + n
        most = sorted(ports.items(), key=lambda item: (-item[1], item[0]))[:PORTS]
        packets = min(one.packets + (held["packets"] if held else 0), 1 << 60)
        connection.execute(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, packets, json.dumps([[*place, n] for place, n in most]),
             one.tool or (held["tool"] if held else "")),
        )  # fmt: skip
        connection.execute(
            "INSERT OR REPLACE INTO told (id, victim, source, kind, hour) VALUES (?, ?, ?, ?, ?)",
            (_identity(*key[:4]), *key[:4]),
        )

    def seen_of(self, name: str, since: int, limit: int) -> tuple[list[dict[str, Any]], int, bool]:
        """What others saw of a member's addresses after a cursor: (sightings, next cursor, whether there are more).

        An address whose counts have grown comes again, with its id. Counts are rounded, hours are all the time that is
        told, and names are those of members that agreed."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT * FROM told WHERE victim = ? AND seq > ? ORDER BY seq LIMIT ?",
                (name, since, limit + 1),
            ).fetchall()
            more, rows = len(rows) > limit, rows[:limit]
            made = [one for row in rows if (one := self._told(connection, row)) is not None]
        return made, rows[-1]["seq"] if rows else since, more

    def _told(self, connection: Any, row: Any) -> dict[str, Any] | None:
        found = connection.execute(
            "SELECT seen.*, members.named FROM seen JOIN members ON members.name = seen.reporter AND members.state = ?"
            " WHERE victim = ? AND source = ? AND kind = ? AND hour = ? ORDER BY reporter",
            (ACTIVE, row["victim"], row["source"], row["kind"], row["hour"]),
        ).fetchall()
        packets = sum(one["packets"] for one in found)
        if len(found) < self.rules.least_observers or packets < self.rules.least_packets:
            return None
        ports: dict[tuple[str, int], int] = {}
        for one in found:
            for proto, port, n in json.loads(one["ports"]):
                ports[proto, port] = ports.get((proto, port), 0) + n
        most = sorted(ports.items(), key=lambda item: (-item[1], item[0]))[:PORTS]
        return {
            "id": row["id"],
            "source": row["source"],
            "kind": row["kind"],
            "hour": timestamp(row["hour"]),
            "packets": rounded(packets),
            "ports": [[*place, rounded(n)] for place, n in most],
            "tools": sorted({one["tool"] for one in found if one["tool"]}),
            "observers": len(found),
            "observed_by": [one["reporter"] for one in found if one["named"]],
        }

    def dispute(self, name: str, id: str, reason: str, now: int) -> bool:
        """A member says that a sighting of its address is false. False if there is none of this id. Reporters whom
        several members dispute are suspended."""
        with self._store.write() as connection:
            row = connection.execute("SELECT * FROM told WHERE id = ? AND victim = ?", (id, name)).fetchone()
            if row is None:
                return False
            reporters = connection.execute(
                "SELECT reporter FROM seen WHERE victim = ? AND source = ? AND kind = ? AND hour = ?",
                (name, row["source"], row["kind"], row["hour"]),
            ).fetchall()
            for one in reporters:
                entry = (one["reporter"], name, id, now, reason)
                connection.execute("INSERT OR IGNORE INTO disputes VALUES (?, ?, ?, ?, ?)", entry)
                found = connection.execute(
                    "SELECT count(*) AS n, count(DISTINCT victim) AS who FROM disputes WHERE reporter = ? AND at > ?",
                    (one["reporter"], now - self.rules.within_days * DAY),
                ).fetchone()
                if found["n"] >= self.rules.disputes and found["who"] >= self.rules.disputing:
                    connection.execute(
                        "UPDATE members SET state = ?, since = ? WHERE name = ? AND state = ?",
                        (SUSPENDED, now, one["reporter"], ACTIVE),
                    )
        return True

    def usage(self, now: int) -> dict[str, Mapping[str, int]]:
        """Of each member: reports, sightings, matched and refused of the last 30 days, those of today, disputes."""
        day = now // DAY
        sums = ", ".join(
            f"total({name}) AS {name}" for name in ("reports", "sightings", "matched", "refused")
        )
        with self._store.read() as connection:
            month = connection.execute(
                f"SELECT member, {sums}, total(reports * (day = ?)) AS reports_today,"
                " total(sightings * (day = ?)) AS sightings_today FROM usage WHERE day > ? GROUP BY member",
                (day, day, day - 30),
            ).fetchall()
            disputed = connection.execute(
                "SELECT reporter, count(*) AS n FROM disputes GROUP BY reporter"
            ).fetchall()
        made = {row["member"]: {key: int(row[key]) for key in row.keys() if key != "member"} for row in month}  # noqa: SIM118
        for row in disputed:
            made.setdefault(row["reporter"], {})["disputed"] = int(row["n"])
        return dict(made)

    def forget(self, now: int) -> None:
        """Delete what is older than ``keep_days``."""
        before = now - self.rules.keep_days * DAY
        with self._store.write() as connection:
            connection.execute("DELETE FROM told WHERE hour < ?", (before,))
            connection.execute("DELETE FROM seen WHERE hour < ?", (before,))
            connection.execute("DELETE FROM reports WHERE received < ?", (before,))
            connection.execute("DELETE FROM usage WHERE day < ?", (before // DAY,))
            connection.execute("DELETE FROM disputes WHERE at < ?", (before,))

    def close(self) -> None:
        """Close the file."""
        self._store.close()


def _identity(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def rounded(count: int) -> int:
    """A count with two digits that mean something: exact ones would measure the telescope that counted.

    >>> rounded(99), rounded(1234), rounded(8_765_432)
    (99, 1200, 8800000)
    """
    step = int(10 ** max(0, len(str(count)) - 2))
    return (2 * count + step) // (2 * step) * step
