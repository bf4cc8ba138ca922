"""Episodes: put in as engines publish them, the newest row of an id holds; read as Arrow tables.

A row with fewer alerts than the one held is an earlier state of it (a span read again after a crash) and is left
out; one that says the same as before is not written again. Every row that was written has a new number, so that a
follower sees each change once and misses none.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update

from andon.records.triage import EPISODES
from andon.store.casebook.basics import CHUNK, clean, dump, take_numbers
from andon.store.casebook.case_records import EpisodeFilter
from andon.store.casebook.schema_cases import HOST, PRODUCT, RULE, SITE, episodes, suppressions
from andon.store.casebook.session import Session

_OWN = {column.name for column in episodes.c} & set(
    EPISODES.names
)  # columns of both; the others go into the body
_REST = [name for name in EPISODES.names if name not in _OWN]
_NAN = ("probability", "audit_probability")  # may be "not a number": NULL
STORED_EPISODES: Final = EPISODES.append(pa.field("seq", pa.int64())).append(
    pa.field("suppressed", pa.int64())
)
_PARTS = 1000  # episodes in one statement


class Episodes:
    """``book.episodes``, or ``work.episodes`` within one transaction. Tables that come back are EPISODES with
    ``seq`` (number of the last change) and ``suppressed`` (the suppression that hides it, 0 for none)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, table: pa.Table, suppressed: Sequence[int] | None = None, now: int | None = None) -> int:
        """Store rows of EPISODES; how many were new or changed. Of several rows of one id in the table the last holds.

        ``suppressed``: for each row the suppression that hides it (``book.suppressions.match``), 0 for none; each
        counts an episode once. None leaves what an episode had. Raises ValueError for a table of other columns."""
        missing = [name for name in EPISODES.names if name not in table.column_names]
        if missing:
            raise ValueError(f"not a table of episodes: it has no {', '.join(missing)}")
        if suppressed is not None and len(suppressed) != table.num_rows:
            raise ValueError(f"{len(suppressed)} marks of suppression for {table.num_rows} episodes")
        when = self._session.now(now)
        rows: dict[str, dict[str, Any]] = {}
        for at, row in enumerate(_rows(table)):
            row["suppressed"] = None if suppressed is None else int(suppressed[at])
            rows.pop(row["id"], None)
            rows[row["id"]] = row
        with self._session.write() as connection:
            new = list(rows.values())
            return sum(
                _store(connection, new[at : at + _PARTS], when, suppressed is not None)
                for at in range(0, len(new), _PARTS)
            )

    def get(self, ids: Sequence[str]) -> pa.Table:
        """Those that are there, in the order of ``ids``."""
        wanted = list(dict.fromkeys(ids))
        held: dict[str, Any] = {}
        with self._session.read() as connection:
            for at in range(0, len(wanted), CHUNK):
                query = select(episodes).where(episodes.c.id.in_(wanted[at : at + CHUNK]))
                held.update((row.id, row) for row in connection.execute(query))
        return _table([held[id] for id in wanted if id in held])

    def page(
        self,
        wanted: EpisodeFilter | None = None,
        limit: int = 50,
        before: tuple[int, int] | None = None,
    ) -> pa.Table:
        """Newest (last alert) first. ``before``: go on after the episode of this (last, seq)."""
        e = episodes.c
        query = _wanted(select(episodes), wanted or EpisodeFilter())
        if before is not None:
            last, seq = before
            query = query.where(e.last <= last).where(or_(e.last < last, and_(e.last == last, e.seq < seq)))
        query = query.order_by(e.last.desc(), e.seq.desc()).limit(limit)
        return self._read(query)

    def count(self, wanted: EpisodeFilter | None = None) -> int:
        """How many there are."""
        query = _wanted(select(func.count()).select_from(episodes), wanted or EpisodeFilter())
        with self._session.read() as connection:
            return int(connection.execute(query).scalar_one())

    def since(self, seq: int, limit: int = 1000) -> tuple[pa.Table, int]:
        """Episodes written after number ``seq``, in order, and the number to go on from."""
        e = episodes.c
        found = self._read(select(episodes).where(e.seq > seq).order_by(e.seq).limit(limit))
        return found, int(found["seq"][-1].as_py()) if found.num_rows else seq

    def near(
        self, site: str, host: str, since: int, until: int, limit: int = 100, address: str = ""
    ) -> pa.Table:
        """Episodes of a host (or of its address, where given) that have something in ``since`` <= time < ``until``,
        newest first."""
        e = episodes.c
        who = e.host == clean(host)[:HOST]
        if address:
            who = or_(who, and_(e.address == clean(address)[:64]))
        query = select(episodes).where(who, e.site == clean(site)[:SITE], e.last >= since, e.first < until)
        return self._read(query.order_by(e.last.desc(), e.seq.desc()).limit(limit))

    def _read(self, query: Any) -> pa.Table:
        with self._session.read() as connection:
            return _table(connection.execute(query).all())


def _store(connection: Connection, new: Sequence[dict[str, Any]], now: int, marked: bool) -> int:
    e = episodes.c
    held: dict[str, Any] = {}
    ids = [row["id"] for row in new]
    for at in range(0, len(ids), CHUNK):
        query = select(e.id, e.seq, e.alerts, e.digest, e.suppressed).where(e.id.in_(ids[at : at + CHUNK]))
        held.update((row.id, row) for row in connection.execute(query))
    kept = []
    for row in new:
        old = held.get(row["id"])
        if not marked:
            row["suppressed"] = old.suppressed if old is not None else None
        row["suppressed"] = row["suppressed"] or None
        same = old is not None and old.digest == row["digest"] and old.suppressed == row["suppressed"]
        if not same and (old is None or old.alerts <= row["alerts"]):
            kept.append(row)
    if not kept:
        return 0
    first = take_numbers(connection, "episode", len(kept))
    gone = [held[row["id"]].seq for row in kept if row["id"] in held]
    for at in range(0, len(gone), CHUNK):
        connection.execute(delete(episodes).where(e.seq.in_(gone[at : at + CHUNK])))
    connection.execute(
        insert(episodes), [{**row, "seq": first + at, "stored": now} for at, row in enumerate(kept)]
    )
    hits: dict[int, int] = {}
    for row in kept:
        before = held[row["id"]].suppressed if row["id"] in held else None
        if row["suppressed"] and before != row["suppressed"]:
            hits[row["suppressed"]] = hits.get(row["suppressed"], 0) + 1
    for id, number in sorted(hits.items()):
        s = suppressions.c
        connection.execute(update(suppressions).where(s.id == id).values(hits=s.hits + number))
    return len(kept)


def _wanted(query: Select[Any], wanted: EpisodeFilter) -> Select[Any]:
    e = episodes.c
    for column, value, length in (
        (e.host, wanted.host, HOST),
        (e.product, wanted.product, PRODUCT),
        (e.rule, wanted.rule, RULE),
        (e.tier, wanted.tier, 16),
    ):
        if value:
            query = query.where(column == clean(value)[:length])
    if wanted.site is not None:
        query = query.where(e.site == clean(wanted.site)[:SITE])
    if wanted.severity:
        query = query.where(e.severity >= wanted.severity)
    if wanted.suppressed is not None:
        query = query.where(e.suppressed.is_not(None) if wanted.suppressed else e.suppressed.is_(None))
    if wanted.since is not None:
        query = query.where(e.last >= wanted.since)
    if wanted.until is not None:
        query = query.where(e.last < wanted.until)
    return query


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows of ``episodes`` but for seq, suppressed and stored. Raises ValueError for what must not be stored."""
    columns: dict[str, list[Any]] = {}
    for field in EPISODES:
        column = table[field.name]
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
        columns[field.name] = column.to_pylist()
    made = []
    for at in range(table.num_rows):
        row: dict[str, Any] = {}
        for name in _OWN:
            value = columns[name][at]
            row[name] = clean(value) if isinstance(value, str) else value
        for name, length in (
            ("site", SITE),
            ("host", HOST),
            ("address", 64),
            ("product", PRODUCT),
            ("rule", RULE),
        ):
            row[name] = row[name][:length]
        for name in _NAN:
            if not math.isfinite(row[name]):
                row[name] = None
        if not math.isfinite(row["score"]):
            raise ValueError(f"episode {row['id']}: score {row['score']} is not a number")
        row["features"] = np.asarray(columns["features"][at] or [], "<f4").tobytes()
        row["body"] = dump({name: _plain(columns[name][at]) for name in _REST})
        text = repr(sorted(row.items())).encode("utf-8", "replace")
        row["digest"] = hashlib.blake2b(text, digest_size=16).hexdigest()
        made.append(row)
    return made


def _plain(value: Any) -> Any:
    """JSON has no "not a number"."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _empty(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else math.nan if pa.types.is_floating(kind) else 0


def _table(rows: Sequence[Any]) -> pa.Table:
    bodies = [json.loads(row.body) for row in rows]
    columns: list[pa.Array] = []
    for field in STORED_EPISODES:
        name = field.name
        values: list[Any]
        if name == "features":
            values = [np.frombuffer(row.features, "<f4") for row in rows]
        elif name in _REST:
            empty = _empty(field.type)  # a column that is younger than the row
            values = [body.get(name, empty) for body in bodies]
        else:
            values = [getattr(row, name) for row in rows]
        if name in _NAN:
            values = [math.nan if value is None else value for value in values]
        elif name == "suppressed":
            values = [value or 0 for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=STORED_EPISODES)
