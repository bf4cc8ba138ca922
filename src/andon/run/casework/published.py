"""Published tables of a stretch of time: of an analysis in memory, or of a store on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.store.casebook import Casebook
from andon.store.casebook.records import EngineTable

_ROOM: Final = 256 * 2**20  # bytes of tables that are kept in memory
_CONVERSATIONS: Final = "triage.evidence:conversations"
_TOUCHING: Final = {
    _CONVERSATIONS: ("src", "dst"),
    "triage.evidence:services": ("address",),
}


class Published(Protocol):
    def between(self, name: str, start: int, end: int, addresses: frozenset[str]) -> pa.Table | None:
        """Rows of ``ENGINE:TABLE`` of the spans that overlap [start, end) ns, one span after another; of tables about
        addresses those that touch one of them. None where there is no such table."""


class InMemory:
    """Of a batch analysis; it holds everything, so time is no matter."""

    def __init__(self, tables: Mapping[str, Sequence[pa.Table]]) -> None:
        self._tables = {name: pa.concat_tables(kept) for name, kept in tables.items() if kept}

    def between(self, name: str, start: int, end: int, addresses: frozenset[str]) -> pa.Table | None:
        table = self._tables.get(name)
        return None if table is None else touching(name, [table], addresses)


class Stored:
    """Of a store: ``folder`` is where the paths of its tables begin. A file that retention took away is not there any
    more, and that is all. Three days of spans of ten minutes are 432 small files for each table, and every step asks
    for nearly the same: the newest are kept in memory, at most ``room`` bytes of them."""

    def __init__(self, book: Casebook, folder: Path, room: int = _ROOM) -> None:
        self._book, self._folder, self._room = book, folder, room
        self._kept: dict[str, tuple[int, pa.Table]] = {}  # path -> (end of the span, the table)
        self._bytes = 0

    def between(self, name: str, start: int, end: int, addresses: frozenset[str]) -> pa.Table | None:
        places = self._book.tables.between(name, start, end)
        # Of a table that comes by shorter and by longer spans the shorter ones: nothing is counted twice.
        shortest = min((place.end - place.start for place in places), default=0)
        return touching(
            name, _Files(self, [one for one in places if one.end - one.start == shortest]), addresses
        )

    def read(self, path: str) -> pa.Table | None:
        """A table by its path."""
        try:
            return pq.read_table(self._folder / path)
        except FileNotFoundError:
            return None

    def kept(self, place: EngineTable) -> pa.Table | None:
        """The table at a place; a file is never written again, so what was read of it holds."""
        held = self._kept.get(place.path)
        if held is not None:
            return held[1]
        table = self.read(place.path)
        if table is not None:
            self._keep(place, table)
        return table

    def _keep(self, place: EngineTable, table: pa.Table) -> None:
        """Rather new ones than old ones: those are asked for again."""
        self._kept[place.path] = (place.end, table)
        self._bytes += table.nbytes
        while self._bytes > self._room:
            oldest = min(self._kept, key=lambda path: self._kept[path][0])
            self._bytes -= self._kept.pop(oldest)[1].nbytes


@dataclass(frozen=True)
class _Files:
    """The tables at some places, as often as they are asked for."""

    stored: Stored
    places: Sequence[EngineTable]

    def __iter__(self) -> Iterator[pa.Table]:
        for place in self.places:
            table = self.stored.kept(place)
            if table is not None:
                yield table


def touching(name: str, tables: Iterable[pa.Table], addresses: frozenset[str]) -> pa.Table | None:
    """The rows that say something of one of the addresses, of tables that have columns of them; all of them of others.
    ``tables`` is gone through twice. None if there are none."""
    columns = _TOUCHING.get(name)
    if columns is None:
        return _joined(tables)
    wanted = pa.array(sorted(addresses), pa.string())
    others = pa.array([], pa.string())
    if name == _CONVERSATIONS:
        # Whoever else talked to those they talked to: a destination that everybody uses is to be known as one.
        met = [pc.unique(table.column("dst").filter(_any_of(table, columns, wanted))) for table in tables]
        others = pc.unique(pa.chunked_array([one.cast(pa.string()) for one in met], pa.string()))
    return _joined(
        table.filter(
            _any_of(table, columns, wanted) if not len(others) else _of_either(table, wanted, others)
        )
        for table in tables
    )


def _any_of(table: pa.Table, columns: Sequence[str], wanted: pa.Array) -> pa.ChunkedArray:
    kept = pc.is_in(table.column(columns[0]), wanted)
    for column in columns[1:]:
        kept = pc.or_(kept, pc.is_in(table.column(column), wanted))
    return kept


def _of_either(table: pa.Table, sources: pa.Array, targets: pa.Array) -> pa.ChunkedArray:
    """``targets`` has every target of the sources, and every one of the sources that is a target."""
    return pc.or_(pc.is_in(table.column("src"), sources), pc.is_in(table.column("dst"), targets))


def _joined(tables: Iterable[pa.Table]) -> pa.Table | None:
    found = list(tables)
    return pa.concat_tables(found) if found else None
