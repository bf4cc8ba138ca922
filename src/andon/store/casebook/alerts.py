"""Alerts of other products in SQL: stored once however often they are delivered, found under any filter.

An alert is the same if its series (site, host, address, product, rule, severity), its time and its product's uid are
the same; without a uid, if all that it says and its position in the source are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Connection, bindparam, func, select, text, update

from andon.store.casebook import alert_pages, alert_rows
from andon.store.casebook.alert_rows import COLUMNS, LENGTHS, Columns, Series, Wanted
from andon.store.casebook.basics import CHUNK, insert_into, take_numbers
from andon.store.casebook.case_records import AlertFilter
from andon.store.casebook.origins import GIVEN, Origin, Origins, note
from andon.store.casebook.schema_cases import alert_series, alerts
from andon.store.casebook.session import ALERTS, Session, hold

_ROWS: Final = 10_000  # in one transaction: a second of the write lock at most
_NAMED = ", ".join(f'"{name}"' for name in COLUMNS)
_INSERT = f"INSERT OR IGNORE INTO alerts ({_NAMED}) VALUES ({', '.join('?' * len(COLUMNS))})"
_COPY = f"COPY new_alerts ({_NAMED}) FROM STDIN"
_MOVE = f"INSERT INTO alerts ({_NAMED}) SELECT {_NAMED} FROM new_alerts ON CONFLICT DO NOTHING"


class Alerts:
    """``book.alerts``, or ``work.alerts`` within one transaction. Tables that come back are ALERT with ``id``, the
    number in the order of storing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.origins = Origins(session)

    def add(self, batch: pa.RecordBatch | pa.Table, origin: Origin = GIVEN) -> int:
        """Store alerts (columns of ALERT) that came through a source; how many were new. Outside of a ``work`` a long
        batch is several transactions: give it again after an error, and what is there already is left out.

        Raises ValueError for other columns or empty values. Cost: at most 0.1 ms of CPU an alert."""
        new = 0
        for at in range(0, batch.num_rows, _ROWS):
            columns = Columns(batch.slice(at, _ROWS))
            wanted, of = columns.series()
            keys = columns.keys(wanted, of)
            with self._session.write(ALERTS) as connection:
                if self._session.connection is not None:
                    hold(connection, ALERTS)
                held = _held(connection, columns, wanted)
                first = take_numbers(connection, "alert", columns.rows)
                _insert(connection, columns.values(first, keys, held, of))
                ids = [one.id for one in held]
                note(connection, origin, ids, of, columns.numbers["ts"], self._session.now(None))
                new += _count(connection, first)
        return new

    def get(self, ids: Sequence[int]) -> pa.Table:
        """Those that are there, newest first."""
        with self._session.read() as connection:
            return _read(connection, list(dict.fromkeys(ids)))

    def page(
        self, wanted: AlertFilter | None = None, limit: int = 50, before: tuple[int, int] | None = None
    ) -> pa.Table:
        """Newest first. ``before``: go on after the alert of this (ts, id)."""
        with self._session.read() as connection:
            found = alert_pages.keys(connection, wanted or AlertFilter(), limit, before)
            return _read(connection, [id for _, id in found])

    def count(self, wanted: AlertFilter | None = None) -> int:
        """How many there are. By host, rule, product, severity and site this costs nothing; with times, sources and
        the like an index is counted through."""
        with self._session.read() as connection:
            return alert_pages.count(connection, wanted or AlertFilter())

    def count_by(
        self, column: str, wanted: AlertFilter | None = None, limit: int = 20
    ) -> list[tuple[str, int]]:
        """(value, alerts) for each "site", "host", "address", "product", "rule" or "severity", most alerts first."""
        if column not in (*alert_rows.IDENTITY, "severity"):
            raise ValueError(f"alerts are not counted by {column!r}")
        with self._session.read() as connection:
            return alert_pages.count_by(connection, column, wanted or AlertFilter(), limit)

    def of_episode(self, id: str, limit: int = 100) -> pa.Table:
        """The newest alerts of an episode; none if there is no such episode."""
        return self.page(AlertFilter(episode=id), limit)

    def since(self, id: int, limit: int = 10_000) -> tuple[pa.Table, int]:
        """Alerts stored after number ``id``, in order, and the number to go on from."""
        a = alerts.c
        with self._session.read() as connection:
            query = select(a.id).where(a.id > id).order_by(a.id).limit(limit)
            ids = [int(found) for found in connection.execute(query).scalars()]
            found = _read(connection, ids)
        return found.sort_by("id"), ids[-1] if ids else id


def _held(connection: Connection, columns: Columns, wanted: Sequence[Wanted]) -> list[Series]:
    """The series of a batch, made where they are new."""
    found = _known(connection, wanted)
    new = [one for one in wanted if one.digest not in found]
    if new:
        first = take_numbers(connection, "alert-series", len(new))
        rows: list[dict[str, Any]] = []
        for at, one in enumerate(new):
            named = zip(alert_rows.IDENTITY, one.identity, strict=True)
            rows.append(
                {
                    "id": first + at,
                    "digest": one.digest,
                    **{name: value[: LENGTHS[name]] for name, value in named},
                    "severity": one.severity,
                    **{name: columns.texts[name][one.row] for name in ("title", "category")},
                    "source": columns.texts["source"][one.row][:64],
                    "alerts": 0,
                    "first": columns.numbers["ts"][one.row],
                    "last": columns.numbers["ts"][one.row],
                }
            )
        connection.execute(insert_into(connection, alert_series), rows)
        found.update(
            (one.digest, Series(row["id"], row["title"], row["category"], row["source"]))
            for one, row in zip(new, rows, strict=True)
        )
    return [found[one.digest] for one in wanted]


def _known(connection: Connection, wanted: Sequence[Wanted]) -> dict[str, Series]:
    s = alert_series.c
    found: dict[str, Series] = {}
    digests = [one.digest for one in wanted]
    for at in range(0, len(digests), CHUNK):
        query = select(s.digest, s.id, s.title, s.category, s.source).where(
            s.digest.in_(digests[at : at + CHUNK])
        )
        for digest, *rest in connection.execute(query):
            found[digest] = Series(*rest)
    return found


def _insert(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_INSERT, rows)
        return
    # Row by row costs several times as much here.
    connection.execute(
        text("CREATE TEMPORARY TABLE IF NOT EXISTS new_alerts (LIKE alerts) ON COMMIT DELETE ROWS")
    )
    connection.execute(text("TRUNCATE new_alerts"))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(text(_MOVE))


def _count(connection: Connection, first: int) -> int:
    """Add what was stored from number ``first`` on to its series; how many alerts."""
    a, s = alerts.c, alert_series.c
    query = (
        select(a.series, func.count(), func.min(a.ts), func.max(a.ts)).where(a.id >= first).group_by(a.series)
    )
    rows = [
        {"of": series, "n": number, "begin": begin, "end": end}
        for series, number, begin, end in connection.execute(query)
    ]
    if rows:
        low, high = (
            (func.least, func.greatest) if connection.dialect.name == "postgresql" else (func.min, func.max)
        )
        change = update(alert_series).where(s.id == bindparam("of"))
        connection.execute(
            change.values(
                alerts=s.alerts + bindparam("n"),
                first=low(s.first, bindparam("begin")),
                last=high(s.last, bindparam("end")),
            ),
            rows,
        )
    return sum(row["n"] for row in rows)


def _read(connection: Connection, ids: Sequence[int]) -> pa.Table:
    a, s = alerts.c, alert_series.c
    columns = [column for column in a if column.name not in ("key", "series")]
    of_series = [s.site, s.host, s.address, s.product, s.rule, s.severity, s.title, s.category, s.source]
    rows: list[Any] = []
    for at in range(0, len(ids), CHUNK):
        query = select(*columns, *of_series).join(alert_series, a.series == s.id)
        rows += connection.execute(query.where(a.id.in_(ids[at : at + CHUNK]))).all()
    rows.sort(key=lambda row: (row.ts, row.id), reverse=True)
    return alert_rows.table(rows)
