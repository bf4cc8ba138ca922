"""One page of alerts under any filter, at a cost that does not grow with the number of alerts.

A filter is resolved to *paths*: one series, or one series of one source (destination, user), each of which the
database walks backwards in time along an index. The newest alert of each path is looked up; only the paths with the
``limit`` newest can contribute to a page of ``limit`` alerts, and their walks are merged. Where a filter has very
many paths its alerts are likely to be dense, and the newest alerts of all are looked through first.

Statements are written out because the choice of the index is the point. Whole numbers stand in the text, texts of
users are bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, select, text

from andon.store.casebook.basics import clean
from andon.store.casebook.case_records import AlertFilter
from andon.store.casebook.schema_cases import ADDRESS, HOST, PRODUCT, RULE, SITE, USER, episodes

Key = tuple[int, int]  # time, id: newest first
MANY: Final = 300  # paths whose newest alerts are looked up without a look at the newest alerts of all
_LOOKS: Final = (2_000, 20_000)  # alerts in the first and the second look
_FEW: Final = 2_000  # series that are asked one by one whether a source is in them
_EVER: Final = (-(2**63), 2**63 - 1)
_NAMES: Final = {"src": "src", "dst": "dst", "user": '"user"'}


@dataclass(frozen=True)
class Part:
    """A set of paths: the series under ``conditions``; with ``column`` of its alerts those that have ``value`` there,
    and in none of the columns ``but`` (another part has them)."""

    conditions: tuple[str, ...]
    column: str = ""
    but: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return " AND ".join(self.conditions) or "1 = 1"


@dataclass(frozen=True)
class Walk:
    """What a question is about: ``since`` <= time <= ``until``, after ``before``; parts that have no alert in common.
    ``named``: columns that must have the bound text of their name. ``bound``: texts by name."""

    since: int
    until: int
    before: Key | None
    named: tuple[str, ...]
    parts: tuple[Part, ...]
    bound: dict[str, Any]

    def where(self, part: Part) -> list[str]:
        """Conditions on alerts besides the series."""
        said = [f"{_NAMES[part.column]} = :value"] if part.column else []
        said += [f"ts BETWEEN {self.since:d} AND {self.until:d}"]
        said += [f"({_NAMES[name]} IS NULL OR {_NAMES[name]} <> :value)" for name in part.but]
        said += [f"{_NAMES[name]} = :{name}" for name in self.named]
        if self.before is not None:
            said.append(f"(ts < {self.before[0]:d} OR id < {self.before[1]:d})")
        return said


def keys(connection: Connection, wanted: AlertFilter, limit: int, before: Key | None) -> list[Key]:
    """(time, id) of the newest alerts of a filter, those after ``before`` only."""
    narrowed = of_episode(connection, wanted)
    if narrowed is None or limit <= 0:
        return []
    walk = _walk(narrowed, before)
    if walk.parts == (Part(()),):
        return _look(connection, walk, limit, limit)[0]
    if any(_is_broad(connection, walk, part) for part in walk.parts):
        for size in _LOOKS:
            found, whole = _look(connection, walk, size, limit)
            if len(found) == limit or whole:
                return found
    return _merged(connection, walk, limit)


def count(connection: Connection, wanted: AlertFilter) -> int:
    """How many alerts a filter has. Without times, sources and the like the series know it."""
    narrowed = of_episode(connection, wanted)
    if narrowed is None:
        return 0
    walk = _walk(narrowed, None)
    timeless = (walk.since, walk.until) == _EVER
    total = 0
    for part in walk.parts:
        where = " AND ".join(walk.where(part))
        if part.column:
            said = (
                f"SELECT count(*) FROM alerts WHERE {where} AND series IN "
                f"(SELECT s.id FROM alert_series s WHERE {part.where})"
            )
        elif timeless and not walk.named:
            said = f"SELECT sum(alerts) FROM alert_series s WHERE {part.where}"
        elif not part.conditions and not walk.named:
            said = f"SELECT count(*) FROM alerts WHERE {where}"
        else:
            said = (
                f"SELECT sum((SELECT count(*) FROM alerts WHERE series = s.id AND {where})) "
                f"FROM alert_series s WHERE {part.where}"
            )
        total += int(connection.execute(text(said), walk.bound).scalar() or 0)
    return total


def count_by(connection: Connection, column: str, wanted: AlertFilter, limit: int) -> list[tuple[str, int]]:
    """(value, alerts) for the values of a column of the series, most alerts first."""
    narrowed = of_episode(connection, wanted)
    if narrowed is None:
        return []
    walk = _walk(narrowed, None)
    counted: dict[str, int] = {}
    for part in walk.parts:
        where = " AND ".join(walk.where(part))
        simple = (walk.since, walk.until) == _EVER and not walk.named and not part.column
        number = "s.alerts" if simple else f"(SELECT count(*) FROM alerts WHERE series = s.id AND {where})"
        held = f"{_steps(part.column)} " if part.column else ""
        join = "JOIN held ON held.n = s.id " if part.column else ""
        said = (
            f"{held}SELECT s.{column}, sum({number}) FROM alert_series s {join}"
            f"WHERE {part.where} GROUP BY s.{column}"
        )
        for value, alerts in connection.execute(text(said), walk.bound):
            counted[str(value)] = counted.get(str(value), 0) + int(alerts or 0)
    order = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [(value, number) for value, number in order if number][:limit]


def of_episode(connection: Connection, wanted: AlertFilter) -> AlertFilter | None:
    """The filter with its episode resolved: what a signature said of a host between its first and its last alert.
    None if there is no such episode, or it is none of the rest of the filter."""
    if not wanted.episode:
        return wanted
    e = episodes.c
    row = connection.execute(select(episodes).where(e.id == wanted.episode)).first()
    if row is None or (wanted.site is not None and wanted.site != row.site):
        return None
    for name in ("host", "product", "rule"):
        if getattr(wanted, name) not in ("", getattr(row, name)):
            return None
    return replace(
        wanted,
        episode="",
        site=row.site,
        host=row.host,
        product=row.product,
        rule=row.rule,
        since=row.first if wanted.since is None else max(wanted.since, row.first),
        until=row.last + 1 if wanted.until is None else min(wanted.until, row.last + 1),
    )


def _walk(wanted: AlertFilter, before: Key | None) -> Walk:
    since = _EVER[0] if wanted.since is None else wanted.since
    until = _EVER[1] if wanted.until is None else wanted.until - 1
    if before is not None and before[0] <= until:
        until = before[0]
    else:
        before = None
    bound: dict[str, Any] = {}
    conditions: list[str] = []
    for name, value, length in (
        ("host", wanted.host, HOST),
        ("address", wanted.address, ADDRESS),
        ("product", wanted.product, PRODUCT),
        ("rule", wanted.rule, RULE),
    ):
        if value:
            conditions.append(f"s.{name} = :{name}")
            bound[name] = clean(value)[:length]
    if wanted.site is not None:
        conditions.append("s.site = :site")
        bound["site"] = clean(wanted.site)[:SITE]
    if wanted.severity:
        above = ", ".join(str(number) for number in range(wanted.severity, 7))
        conditions.append(f"s.severity IN ({above})")
    named = {
        name: clean(value)[:length]
        for name, value, length in (
            ("src", wanted.source, ADDRESS),
            ("dst", wanted.destination, ADDRESS),
            ("user", wanted.user, USER),
        )
        if value
    }
    bound.update(named)
    parts: tuple[Part, ...]
    if wanted.entity:
        bound["value"] = clean(wanted.entity)[:USER]
        about = (*conditions, "(s.host = :value OR s.address = :value)")
        other = (*conditions, "NOT (s.host = :value OR s.address = :value)")
        parts = (
            Part(about),
            Part(other, "src"),
            Part(other, "dst", ("src",)),
            Part(other, "user", ("src", "dst")),
        )
    elif named:
        column, *_ = named
        bound["value"] = named.pop(column)
        parts = (Part(tuple(conditions), column),)
    else:
        parts = (Part(tuple(conditions)),)
    return Walk(since, until, before, tuple(named), parts, bound)


def _steps(column: str, limit: int | None = None) -> str:
    """The series that a value occurs in: one step along the index for each, whatever the number of alerts."""
    name = _NAMES[column]
    return (
        f"WITH RECURSIVE step(n) AS (SELECT min(series) FROM alerts WHERE {name} = :value UNION ALL "
        f"SELECT (SELECT min(series) FROM alerts WHERE {name} = :value AND series > step.n) FROM step "
        "WHERE step.n IS NOT NULL), held(n) AS (SELECT n FROM step WHERE n IS NOT NULL"
        + (f" LIMIT {limit:d}" if limit else "")
        + ") "
    )


def _is_broad(connection: Connection, walk: Walk, part: Part) -> bool:
    """More paths than ``MANY``?"""
    if part.conditions and _number(connection, walk, part, MANY + 1) <= MANY:
        return False
    if not part.column:
        return True
    query = f"{_steps(part.column, MANY + 1)} SELECT count(*) FROM held"
    return int(connection.execute(text(query), walk.bound).scalar_one()) > MANY


def _number(connection: Connection, walk: Walk, part: Part, most: int) -> int:
    """How many series are under the conditions, counted up to ``most``."""
    query = (
        f"SELECT count(*) FROM (SELECT 1 FROM alert_series s WHERE {part.where} LIMIT {most:d}) AS counted"
    )
    return int(connection.execute(text(query), walk.bound).scalar_one())


def _look(connection: Connection, walk: Walk, size: int, limit: int) -> tuple[list[Key], bool]:
    """The page as far as the ``size`` newest alerts of all have it; True if there are no others."""
    said = f"ts BETWEEN {walk.since:d} AND {walk.until:d}"
    if walk.before is not None:
        said += f" AND (ts < {walk.before[0]:d} OR id < {walk.before[1]:d})"
    newest = f"SELECT ts, id, series FROM alerts WHERE {said} ORDER BY ts DESC, id DESC LIMIT {size:d}"
    if walk.parts == (Part(()),):
        rows = connection.execute(text(newest)).all()
        return [(int(row.ts), int(row.id)) for row in rows], True
    columns = sorted({part.column for part in walk.parts} | set(walk.named))
    if any(columns):
        also = "".join(f", {_NAMES[name]}" for name in ("src", "dst", "user"))
        newest = newest.replace("series FROM", f"series{also} FROM", 1)
    fits = []
    for part in walk.parts:
        own = [one for one in walk.where(part) if not one.startswith(("ts BETWEEN", "(ts <"))]
        fits.append(f"({' AND '.join([part.where, *own])})")
    query = (
        f"WITH newest AS ({newest}) SELECT newest.ts, newest.id FROM newest "
        "JOIN alert_series s ON s.id = newest.series "
        f"WHERE {' OR '.join(fits)} ORDER BY newest.ts DESC, newest.id DESC LIMIT {limit:d}"
    )
    found = [(int(ts), int(id)) for ts, id in connection.execute(text(query), walk.bound)]
    if len(found) == limit:
        return found, False
    seen = connection.execute(text(f"SELECT count(*) FROM ({newest}) AS seen"), walk.bound).scalar_one()
    return found, int(seen) < size


def _merged(connection: Connection, walk: Walk, limit: int) -> list[Key]:
    newest: list[tuple[int, int, int, Part]] = []
    for part in walk.parts:
        for series, ts, id in connection.execute(text(_newest(connection, walk, part, limit)), walk.bound):
            newest.append((int(ts), int(id), int(series), part))
    newest.sort(key=lambda one: one[:2], reverse=True)
    walks = [
        "SELECT * FROM (SELECT ts, id FROM alerts WHERE "
        + " AND ".join([f"series = {series:d}", *walk.where(part)])
        + f" ORDER BY ts DESC, id DESC LIMIT {limit:d}) AS p{number:d}"
        for number, (_, _, series, part) in enumerate(newest[:limit])
    ]
    found: list[Key] = []
    for at in range(0, len(walks), 100):
        said = " UNION ALL ".join(walks[at : at + 100])
        found += [(int(ts), int(id)) for ts, id in connection.execute(text(said), walk.bound)]
    return sorted(found, reverse=True)[:limit]


def _newest(connection: Connection, walk: Walk, part: Part, limit: int) -> str:
    """Asks for the paths with the newest alerts: (series, ts, id)."""
    own = " AND ".join(["series = s.id", *walk.where(part)])
    first = f"SELECT id FROM alerts WHERE {own} ORDER BY ts DESC, id DESC LIMIT 1"
    times = f"s.last >= {walk.since:d} AND s.first <= {walk.until:d}"
    tail = (
        f"JOIN alerts a ON a.id = ({first}) WHERE {times} AND {part.where} "
        f"ORDER BY a.ts DESC, a.id DESC LIMIT {limit:d}"
    )
    if part.column and (not part.conditions or _number(connection, walk, part, _FEW + 1) > _FEW):
        return f"{_steps(part.column)} SELECT s.id, a.ts, a.id FROM held JOIN alert_series s ON s.id = held.n {tail}"
    return f"SELECT s.id, a.ts, a.id FROM alert_series s {tail}"
