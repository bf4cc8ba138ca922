"""SQL over the history, answered by DuckDB within a memory limit and a fence.

One SELECT, nothing else. DuckDB may open the table's own files and its temporary folder, and nothing else on this
machine or the network; it never fetches an extension. Views: ``packets`` (the stored columns, see
``andon.store.history_schema``) and one per table of the engines. Macros:

* ``ip4(src)`` dotted text, ``ip4_number('192.0.2.1')`` the way back, ``in_prefix(src, '192.0.2.0/24')``
* ``ip6(src6)`` text, ``address(src, src6)`` whichever of the two the packet has
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.records.finding import sql_text
from andon.store.errors import StoreError
from andon.store.history_schema import TABLE

if TYPE_CHECKING:
    import duckdb

    from andon.store.history import History

_MACROS = """
CREATE MACRO ip4(a) AS (a >> 24)::VARCHAR || '.' || ((a >> 16) & 255)::VARCHAR || '.' ||
    ((a >> 8) & 255)::VARCHAR || '.' || (a & 255)::VARCHAR;
CREATE MACRO ip4_number(t) AS (split_part(t, '.', 1)::BIGINT << 24) + (split_part(t, '.', 2)::BIGINT << 16) +
    (split_part(t, '.', 3)::BIGINT << 8) + split_part(t, '.', 4)::BIGINT;
CREATE MACRO in_prefix(a, p) AS (a >> (32 - split_part(p, '/', 2)::INTEGER)) =
    (ip4_number(split_part(p, '/', 1)) >> (32 - split_part(p, '/', 2)::INTEGER));
CREATE MACRO ip6(b) AS rtrim(regexp_replace(lower(hex(b)), '(.{4})', '\\1:', 'g'), ':');
CREATE MACRO address(a, b) AS CASE WHEN hex(b) = repeat('0', 32) THEN ip4(a) ELSE ip6(b) END;
"""
_TYPES = {
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.date32(): "DATE",
    pa.binary(): "BLOB",
}


class QueryError(ValueError):
    """The SQL is not one SELECT that can be answered: what DuckDB says about it."""


def query(
    history: History, sql: str, memory_limit: str = "1GB", tables: Path | None = None
) -> pa.RecordBatchReader:
    """The answer as a stream of batches; closing or ending it frees everything.

    ``memory_limit``: as DuckDB writes it ("1GB"); what does not fit spills to a temporary folder under the store.
    ``tables``: folder of the engines' tables. Raises QueryError, StoreError."""
    import duckdb

    spill = _spill(history.folder)
    connection: duckdb.DuckDBPyConnection | None = None
    try:
        connection = _connect(history, memory_limit, tables, spill)
        _only_select(connection, sql)
        answer: Any = connection.sql(sql).to_arrow_reader(65_536)
    except duckdb.Error as error:
        _end(connection, spill)
        raise _said(error) from error
    except BaseException:
        _end(connection, spill)
        raise
    return pa.RecordBatchReader.from_batches(answer.schema, _streamed(answer, connection, spill))


def _streamed(
    answer: Any, connection: duckdb.DuckDBPyConnection, spill: Path | None
) -> Iterator[pa.RecordBatch]:
    try:
        yield from answer
    finally:
        _end(connection, spill)


def _end(connection: duckdb.DuckDBPyConnection | None, spill: Path | None) -> None:
    if connection is not None:
        connection.close()
    if spill is not None:
        shutil.rmtree(spill, ignore_errors=True)


def _spill(folder: Path) -> Path | None:
    """A temporary folder of this query; None where the store is read-only: then nothing spills."""
    try:
        return Path(tempfile.mkdtemp(prefix="query-", dir=folder))
    except OSError:
        return None


def _connect(
    history: History, memory_limit: str, tables: Path | None, spill: Path | None
) -> duckdb.DuckDBPyConnection:
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": memory_limit,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": "" if spill is None else str(spill),
        "preserve_insertion_order": False,
        "python_enable_replacements": False,  # a name in the SQL never means a variable of this process
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(_MACROS)
    paths = [str(history.log.root / file.path) for file in history.files()]
    connection.execute(f"CREATE VIEW packets AS {_packets(paths)}")
    for name, parts in _published(tables):
        connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({_listed(parts)})')
        paths.extend(parts)
    connection.execute(f"SET allowed_paths = {_listed(paths)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _packets(paths: Sequence[str]) -> str:
    if not paths:
        empty = ", ".join(f"NULL::{_TYPES.get(field.type, 'TIMESTAMPTZ')} AS {field.name}" for field in TABLE)
        return f"SELECT {empty} WHERE false"
    return f"SELECT * FROM read_parquet({_listed(paths)}, hive_partitioning = true, hive_types = {{'date': DATE}})"


def _published(tables: Path | None) -> Iterator[tuple[str, list[str]]]:
    """(view, files) for each folder with Parquet files: ``darknet.census/telescope`` is darknet_census_telescope."""
    if tables is None or not tables.is_dir():
        return
    for folder in sorted({path.parent for path in tables.rglob("*.parquet")}):
        name = re.sub(r"[^a-z0-9]+", "_", folder.relative_to(tables).as_posix().lower()).strip("_")
        yield name or "tables", sorted(str(path) for path in folder.glob("*.parquet"))


def _listed(paths: Sequence[str]) -> str:
    return "[" + ", ".join(sql_text(path) for path in paths) + "]"


def _only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("the history is read only: give exactly one SELECT statement")


def _said(error: Exception) -> Exception:
    import duckdb

    text = str(error).strip()
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"the query needs more than its memory or its temporary folder has: {text}")
    if isinstance(error, duckdb.IOException):
        return StoreError(f"the history could not be read: {text}")
    return QueryError(text)
