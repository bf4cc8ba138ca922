"""Through which [[source]] alerts and other records came, and whether anybody can send to it.

An alert says itself which product raised it; that proves nothing where whoever reaches a port can write it. So beside
the alerts is kept what came through what: for each series, source and 300 s of UTC the first and the last alert. Two
alerts of a series in 300 s are of one episode (gaps of an episode are no longer), so whether an episode has an alert of
a source can be told exactly, by a few rows, whatever floods of alerts there were.

What an operator gives by hand (`andon analyze --cases`) comes through no source: ``GIVEN``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, func, select

from andon.store.casebook.basics import clean, insert_into
from andon.store.casebook.schema_cases import HOST, PRODUCT, RULE, SITE, alert_origins, alert_series, origins
from andon.store.casebook.session import ALERTS, Session, hold

SLOT: Final = 300 * 1_000_000_000  # ns: at most the gap that ends an episode
UNKNOWN: Final = "a source that was not written down"
_ALERT: Final = "alert"
_NAMES: Final = 8  # that are told


@dataclass(frozen=True)
class Origin:
    """``name`` of a [[source]]; "" for what was given by hand. ``forgeable``: whoever reaches its port can send what he
    likes, under any name (no certificate or token is asked for)."""

    name: str = ""
    forgeable: bool = False


GIVEN: Final = Origin()


class Origins:
    """``book.alerts.origins``, or ``work.alerts.origins`` within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def heard(self, kind: str, origin: Origin, now: int | None = None) -> None:
        """Records of a kind ("contact", "flow") came through a source."""
        when = self._session.now(now)
        with self._session.write(ALERTS) as connection:
            if self._session.connection is not None:
                hold(connection, ALERTS)
            number_of(connection, kind, origin, when)

    def forgeable(self, kinds: Sequence[str], since: int) -> tuple[str, ...]:
        """Sources that anybody can send to and that gave records of one of these kinds after ``since`` (ns): at most
        eight names, in order."""
        o = origins.c
        query = select(o.name).distinct().where(o.kind.in_(list(kinds)), o.forgeable, o.last >= since)
        with self._session.read() as connection:
            return tuple(connection.execute(query.order_by(o.name).limit(_NAMES)).scalars())

    def of_episodes(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
        """Of those episodes (rows with id, site, host, product, rule, first and last in ns) of which every alert came
        through sources that anybody can send to: which, by id. One alert through another source, or given by hand, is
        enough not to be in it.

        Of alerts that an older Andon stored no source is known. Where any forgeable source gave alerts since, they may
        have come through it, and ``UNKNOWN`` stands for it; else they count as given by hand."""
        found: dict[str, tuple[str, ...]] = {}
        with self._session.read() as connection:
            o = origins.c
            newest = select(func.max(o.last)).where(o.kind == _ALERT, o.forgeable)
            latest = connection.execute(newest).scalar()
            if latest is None:
                return {}
            for row in rows:
                if self._has(connection, row, False):
                    continue
                if names := self._has(connection, row, True):
                    found[str(row["id"])] = names
                elif int(row["first"]) <= int(latest):
                    found[str(row["id"])] = (UNKNOWN,)
        return found

    @staticmethod
    def _has(connection: Connection, row: Mapping[str, Any], forgeable: bool) -> tuple[str, ...]:
        """Names of the sources of an episode that are forgeable, or those that are not ("" among them)."""
        s, a, o = alert_series.c, alert_origins.c, origins.c
        first, last = int(row["first"]), int(row["last"])
        query = (
            select(o.name)
            .join(alert_origins, a.origin == o.id)
            .join(alert_series, s.id == a.series)
            .where(s.host == clean(str(row["host"]))[:HOST], s.site == clean(str(row["site"]))[:SITE])
            .where(
                s.product == clean(str(row["product"]))[:PRODUCT], s.rule == clean(str(row["rule"]))[:RULE]
            )
            .where(a.slot >= first // SLOT, a.slot <= last // SLOT, a.last >= first, a.first <= last)
            .where(o.forgeable if forgeable else ~o.forgeable)
        )
        if not forgeable:
            return tuple(connection.execute(query.limit(1)).scalars())
        return tuple(connection.execute(query.distinct().order_by(o.name).limit(_NAMES)).scalars())


def number_of(connection: Connection, kind: str, origin: Origin, now: int) -> int:
    """Number of a source for a kind of records, which were heard of it at ``now`` (ns)."""
    o = origins.c
    named = {"name": clean(origin.name)[:64], "kind": kind[:32], "forgeable": origin.forgeable}
    put = insert_into(connection, origins).values(**named, last=now)
    later = _larger(connection)(o.last, put.excluded.last)
    put = put.on_conflict_do_update(index_elements=["name", "kind", "forgeable"], set_={"last": later})
    return int(connection.execute(put.returning(o.id)).scalar_one())


def note(
    connection: Connection,
    origin: Origin,
    series: Sequence[int],
    of: np.ndarray,
    times: Sequence[int],
    now: int,
) -> None:
    """Alerts (their series as an index into ``series``, and their times in ns) came through a source; also those that
    were there already: they came another way too."""
    if not len(times):
        return
    number = number_of(connection, _ALERT, origin, now)
    ts = np.asarray(times, np.int64)
    slot = ts // SLOT
    order = np.lexsort((ts, slot, of))
    of, slot, ts = of[order], slot[order], ts[order]
    begins = np.flatnonzero(np.r_[True, (of[1:] != of[:-1]) | (slot[1:] != slot[:-1])])
    ends = np.r_[begins[1:], len(ts)] - 1
    a = alert_origins.c
    put = insert_into(connection, alert_origins)
    smaller, larger = _smaller(connection), _larger(connection)
    put = put.on_conflict_do_update(
        index_elements=["series", "slot", "origin"],
        set_={"first": smaller(a.first, put.excluded.first), "last": larger(a.last, put.excluded.last)},
    )
    columns = (of[begins], slot[begins], ts[begins], ts[ends])
    connection.execute(
        put,
        [
            {"series": series[at], "slot": where, "origin": number, "first": first, "last": last}
            for at, where, first, last in zip(*(column.tolist() for column in columns), strict=True)
        ],
    )


def _larger(connection: Connection) -> Any:
    return func.greatest if connection.dialect.name == "postgresql" else func.max


def _smaller(connection: Connection) -> Any:
    return func.least if connection.dialect.name == "postgresql" else func.min
