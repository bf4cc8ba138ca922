"""What a store knows of the site that containment needs: who uses a destination, which addresses a name had.

Both come from tables that engines published (``livenet.edges``, ``triage.evidence``), so nobody is asked and nothing is
looked up. Tables are read by DuckDB under a cap of memory, in as many parts as that takes; those that retention took
away are not there, and that is all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from andon.store.casebook import Casebook

DAY: Final = 86_400 * 1_000_000_000
USED_DAYS: Final = 30
_MADE: Final = b"made"  # ns
_RECENT_DAYS: Final = 2  # conversations come by ten minutes: of so many days they are read
_NAMED_DAYS: Final = 7
_MOST: Final = 250_000  # destinations with more than one user; the least used go first
_PAIRS: Final = 4_000_000  # of destinations and hosts that are counted at once
_PARTS: Final = 256
_MEMORY: Final = "300MB"
COUNTED_EVERY: Final = 3_600 * 1_000_000_000  # ns; who uses what over 30 days is no other within an hour

_USED: Final = (
    ("livenet.edges:edges", "terminal", "destination", USED_DAYS),
    ("triage.evidence:conversations", "src", "dst", _RECENT_DAYS),
)


def used_by(book: Casebook, folder: Path, now: int) -> dict[str, int]:
    """Destination -> how many distinct hosts used it, of those that two did or more. ``folder``: of its tables.

    Terminals of logs are names and those of flows addresses, so they are counted apart and the larger count holds."""
    users: dict[str, int] = {}
    for name, host, destination, days in _USED:
        files = _files(book, folder, name, now - days * DAY, now)
        rows = _distinct(destination, host, [file for file, _ in files])
        for text, hosts in rows:
            users[text] = max(users.get(text, 0), hosts)
    if len(users) > _MOST:
        users = dict(sorted(users.items(), key=lambda one: (-one[1], one[0]))[:_MOST])
    return users


def _distinct(destination: str, host: str, files: Sequence[str]) -> list[tuple[str, int]]:
    """(destination, hosts), the most used ones. In parts by the hash of the destination, so that the pairs of one part
    fit into the memory there is; where they do not (long names), in more parts."""
    pairs = sum(pq.read_metadata(file).num_rows for file in files)
    parts, rows, part = max(1, -(-pairs // _PAIRS)), list[tuple[str, int]](), 0
    while part < parts:
        sql = (
            f'SELECT name, count(*) AS hosts FROM (SELECT DISTINCT "{destination}" AS name, hash("{host}") '
            f'FROM read_parquet($files) WHERE hash("{destination}") % {parts} = {part}) '
            f"GROUP BY ALL HAVING hosts > 1 ORDER BY hosts DESC, 1 LIMIT {_MOST}"
        )
        try:
            rows = sorted((*rows, *_query(sql, files)), key=lambda row: (-row[1], row[0]))[:_MOST]
        except _out_of_memory():
            if parts > _PARTS:
                raise
            parts, rows, part = 4 * parts, [], 0
            continue
        part += 1
    return rows


def _out_of_memory() -> type[Exception]:
    import duckdb

    return duckdb.OutOfMemoryException


def used_lately(book: Casebook, folder: Path, kept: Path, now: int) -> dict[str, int]:
    """``used_by`` as it was counted within the last hour, if that is in the file ``kept``; else counted now, and kept
    where its folder is there. Thirty days of a large site take half a minute to count."""
    with suppress(
        OSError, ValueError, KeyError, TypeError
    ):  # Arrow's are among them: what does not read is not there
        table = pq.read_table(kept)
        if 0 <= now - int((table.schema.metadata or {})[_MADE]) < COUNTED_EVERY:
            return dict(zip(table["destination"].to_pylist(), table["hosts"].to_pylist(), strict=True))
    users = used_by(book, folder, now)
    if kept.parent.is_dir():
        columns = {"destination": pa.array(users, pa.string()), "hosts": pa.array(users.values(), pa.int64())}
        with suppress(OSError):  # no room, or not ours to write: it is counted again
            part = kept.with_name(f"{kept.name}.{os.getpid()}.{threading.get_ident()}")
            try:
                pq.write_table(pa.table(columns).replace_schema_metadata({_MADE: str(now)}), part)
                part.replace(kept)
            finally:
                part.unlink(missing_ok=True)
    return users


def addresses_of_names(book: Casebook, folder: Path, now: int) -> dict[str, list[tuple[str, int]]]:
    """Name -> (address that answered for it, end of the last span in which it did, ns), of the last days' logs."""
    found: dict[str, dict[str, int]] = {}
    for file, end in _files(book, folder, "livenet.edges:destinations", now - _NAMED_DAYS * DAY, now):
        rows = _query(
            "SELECT DISTINCT destination, unnest(servers) FROM read_parquet($files) WHERE NOT is_address "
            f"ORDER BY ALL LIMIT {_MOST}",
            [file],
        )
        for name, address in rows:
            found.setdefault(name, {})[address] = min(end, now)
    return {name: sorted(addresses.items()) for name, addresses in found.items()}


def _files(book: Casebook, folder: Path, name: str, start: int, end: int) -> list[tuple[str, int]]:
    """(path, end of the span) in the order of their ends; of a table that comes by several lengths of span, those of
    the longest: the fewest files."""
    places = book.tables.between(name, start, end)
    longest = max((one.end - one.start for one in places), default=0)
    kept = [(folder / one.path, one.end) for one in places if one.end - one.start == longest]
    return [(str(path), end) for path, end in kept if path.exists()]


def _query(sql: str, files: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    if not files:
        return ()
    import duckdb

    values: Mapping[str, Any] = {"files": list(files)}
    # What does not fit goes to disk, beside the tables and not into the folder that the process was started in; DuckDB
    # makes the folder when it needs it, and takes it away.
    spill = Path(files[0]).parent / f".query-{os.getpid()}-{threading.get_ident()}"
    config: dict[str, Any] = {"memory_limit": _MEMORY, "threads": 1, "temp_directory": str(spill)}
    with duckdb.connect(config=config) as connection:
        rows: Sequence[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
    return rows
