"""Checks by SQL over the tables that engines publish: run, counted, and written so that anybody can run them again.

An engine gives ``Check(relation="", tool="sql", expression=SQL)``: one SELECT that gives one whole number, over tables
of the span it concludes, named as in ``andon query``: ``darknet.link:matches`` is ``darknet_link_matches``. The runner
puts the places of these tables before it, runs the whole with DuckDB on the very Parquet files that it writes, and
fills in ``expected``, ``expression`` (now complete: ``duckdb -c "EXPRESSION"`` in the folder of the results) and
``input``. A check that cannot be run keeps no expected count, and its evidence says why.

Checks of a span that count the rows of one table where columns equal values (``SELECT count(*) FROM T WHERE A = 1 AND
B = 'x'``) are put to DuckDB as one question for each table and set of columns; the answers are the same.

DuckDB is fenced in: memory and time are bounded, it opens those files alone and fetches nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from andon.records.finding import Check, Evidence, Finding, sql_text

if TYPE_CHECKING:
    import duckdb

MEMORY: Final = "512MB"
SECONDS: Final = 60.0
AT_ONCE: Final = 2000  # counts of one question
# A count of rows by values of columns: whole numbers that fit 64 bits, texts without a quote in them.
_ONE: Final = r"[a-z0-9_]+ = (?:\d{1,18}|'[^']*')"
_COUNT: Final = re.compile(rf"SELECT count\(\*\) FROM ([a-z0-9_]+) WHERE ({_ONE}(?: AND {_ONE})*)")
_EQUAL: Final = re.compile(r"([a-z0-9_]+) = (\d{1,18}|'[^']*')")


class CheckFailed(ValueError):
    """The SQL of a check gives no number; the text says why."""


@dataclass(frozen=True)
class Place:
    """Where a span's table is: ``path`` of a Parquet file below the folder of the results, and which of its rows are
    the span's (None: all). ``schema`` stands for a table without rows, of which there may be no file."""

    path: str
    schema: pa.Schema
    rows: tuple[int, int] | None = None
    empty: bool = False


@lru_cache(maxsize=1024)
def sql_name(table: str) -> str:
    """The name of a table in SQL.

    >>> sql_name("darknet.link:matches")
    'darknet_link_matches'
    """
    return re.sub(r"[^a-z0-9]+", "_", table.lower()).strip("_")


def wants_tables(finding: Finding) -> bool:
    """Has it a check over tables?"""
    return any(item.check is not None and _over_tables(item.check) for item in finding.evidence)


def count_all(findings: Sequence[tuple[Finding, Mapping[str, Place]]], answers: Answers) -> list[Finding]:
    """``count_checks`` of many findings, each with the tables of its span; what can be is asked in one go."""
    answers.ask(
        (check.expression, sql_name(name), place)
        for finding, places in findings
        for check in _table_checks(finding)
        for name, place in places.items()
    )
    return [
        count_checks(finding, places, answers) if places or wants_tables(finding) else finding
        for finding, places in findings
    ]


def count_checks(finding: Finding, places: Mapping[str, Place], answers: Answers) -> Finding:
    """The finding with its checks over tables run. ``places``: tables of its span, by ``ENGINE:TABLE``."""
    return finding.with_evidence(
        tuple(
            _counted(item, item.check, places, answers)
            if item.check is not None and _over_tables(item.check)
            else item
            for item in finding.evidence
        )
    )


def _table_checks(finding: Finding) -> list[Check]:
    return [item.check for item in finding.evidence if item.check is not None and _over_tables(item.check)]


@lru_cache(maxsize=1024)
def _words(sql: str) -> frozenset[str]:
    """Every name in it, and more."""
    return frozenset(re.findall(r"\w+", sql))


def _over_tables(check: Check) -> bool:
    return check.tool == "sql" and not check.relation and bool(check.expression)


def _counted(item: Evidence, check: Check, places: Mapping[str, Place], answers: Answers) -> Evidence:
    named = {sql_name(table): place for table, place in places.items()}
    used = named.keys() & _words(check.expression)
    try:
        number = answers.number(check.expression, {name: named[name] for name in used})
    except CheckFailed as error:
        return replace(item, statement=f"{item.statement} (not counted: {error})")
    paths = tuple(sorted({named[name].path for name in used if not named[name].empty}))
    whole = _complete(check.expression, {name: _source(named[name], "") for name in used})
    return replace(item, check=replace(check, expression=whole, expected=number, input=paths))


class Answers:
    """DuckDB over the Parquet files below a folder, behind a fence; a context manager. Opening it takes some
    milliseconds, so it stays open while no other files are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: set[str] = set()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._known: dict[tuple[str, Place], int] = {}  # by SQL and its table's place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def ask(self, asked: Iterable[tuple[str, str, Place]]) -> None:
        """Take in one go what can be: (SQL, its only table's name, the table's place). ``number`` then knows it. What
        cannot be taken together, or fails, is left to ``number``."""
        groups: dict[tuple[str, Place, tuple[str, ...]], dict[tuple[int | str, ...], list[str]]] = {}
        for sql, name, place in asked:
            found = _values(sql, name, place.schema)
            if found is not None:
                columns, values = found
                groups.setdefault((name, place, columns), {}).setdefault(values, []).append(sql)
        for (name, place, columns), wanted in groups.items():
            every = list(wanted)
            for begin in range(0, len(every), AT_ONCE):
                part = every[begin : begin + AT_ONCE]
                try:
                    counts = self._counts(name, place, columns, part)
                except CheckFailed:
                    continue
                for values in part:
                    self._known |= {(sql, place): counts.get(values, 0) for sql in wanted[values]}

    def _counts(
        self, name: str, place: Place, columns: tuple[str, ...], wanted: Sequence[tuple[int | str, ...]]
    ) -> dict[tuple[int | str, ...], int]:
        """How many rows have these values in the columns; none where a tuple is not in it."""
        named = ", ".join(f'"{column}"' for column in columns)
        rows = ", ".join(f"({', '.join(map(_literal, values))})" for values in wanted)
        sql = f"SELECT {named}, count(*) FROM {name} WHERE ({named}) IN (VALUES {rows}) GROUP BY {named}"
        answers = self._run(sql, {name: place}, len(wanted) + 1)
        return {tuple(values): count for *values, count in answers}

    def number(self, sql: str, places: Mapping[str, Place]) -> int:
        """What the SQL gives over these tables, by their names in it. Raises CheckFailed."""
        if len(places) == 1:
            (place,) = places.values()
            known = self._known.get((sql, place))
            if known is not None:
                return known
        rows = self._run(sql, places, 2)
        good = len(rows) == 1 and len(rows[0]) == 1
        if not good or isinstance(rows[0][0], bool) or not isinstance(rows[0][0], int):
            raise CheckFailed("it gives something else than one whole number")
        return rows[0][0]

    def _run(self, sql: str, places: Mapping[str, Place], most: int) -> list[tuple[Any, ...]]:
        import duckdb

        files = {str(self._folder / place.path) for place in places.values() if not place.empty}
        whole = _complete(sql, {name: _source(place, f"{self._folder}/") for name, place in places.items()})
        try:
            connection = self._opened(files)
            _only_select(connection, sql)
            timer = threading.Timer(SECONDS, connection.interrupt)
            timer.start()
            try:
                return connection.execute(whole).fetchmany(most)
            finally:
                timer.cancel()
        except duckdb.Error as error:
            raise CheckFailed(str(error).strip().splitlines()[0][:200]) from error

    def _opened(self, files: set[str]) -> duckdb.DuckDBPyConnection:
        """A connection that may read these files and nothing else."""
        import duckdb

        if self._connection is not None:
            if files <= self._files:
                return self._connection
            self._connection.close()
        self._files |= files
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "threads": 1,
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._connection = duckdb.connect(":memory:", config=settings)
        self._connection.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(sql_text(path) for path in sorted(self._files))
        self._connection.execute(f"SET allowed_paths = [{listed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        return self._connection


def _values(sql: str, name: str, schema: pa.Schema) -> tuple[tuple[str, ...], tuple[int | str, ...]] | None:
    """(columns, values) of a count of the table's rows by values of columns of whole numbers and texts; else None."""
    match = _COUNT.fullmatch(sql)
    if match is None or match[1] != name:
        return None
    found: dict[str, int | str] = {}
    for column, value in _EQUAL.findall(match[2]):
        if column in found or column not in schema.names:
            return None
        kind = schema.field(column).type
        if not (pa.types.is_string(kind) if value.startswith("'") else pa.types.is_integer(kind)):
            return None
        found[column] = value[1:-1] if value.startswith("'") else int(value)
    columns = tuple(sorted(found))
    return columns, tuple(found[column] for column in columns)


def _literal(value: int | str) -> str:
    return sql_text(value) if isinstance(value, str) else str(value)


def _only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise CheckFailed("it is not one SELECT")


def _complete(sql: str, sources: Mapping[str, str]) -> str:
    """The SQL with its tables named before it."""
    if not sources:
        return sql
    named = ", ".join(f"{name} AS ({source})" for name, source in sorted(sources.items()))
    return f"WITH {named} SELECT * FROM ({sql.strip().rstrip(';')})"


def _source(place: Place, prefix: str) -> str:
    """SELECT of a span's table."""
    if place.empty:
        return _no_rows(place.schema)
    path = sql_text(prefix + place.path)
    if place.rows is None:
        return f"SELECT * FROM read_parquet({path})"
    first, end = place.rows
    return (
        f"SELECT * EXCLUDE (file_row_number) FROM read_parquet({path}, file_row_number = true) "
        f"WHERE file_row_number >= {first} AND file_row_number < {end}"
    )


@lru_cache(maxsize=64)
def _no_rows(schema: pa.Schema) -> str:
    """SELECT of a table without rows."""
    import duckdb

    connection = duckdb.connect(":memory:")
    kinds = connection.from_arrow(schema.empty_table()).types
    columns = ", ".join(
        f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in zip(schema.names, kinds, strict=True)
    )
    connection.close()
    return f"SELECT {columns} WHERE false"


class SpanParts:
    """Which rows of each table's file are of which span, where one file holds the tables of all spans one after another
    (``run.results``).

    ``add`` every conclusion's tables in the order in which they are written."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._parts: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}

    def add(self, span: str, start: int, tables: Mapping[str, pa.Table]) -> None:
        for name, table in tables.items():
            first = self._rows.get(name, 0)
            self._rows[name] = first + table.num_rows
            self._parts.setdefault((span, start), {})[name] = (first, first + table.num_rows)

    def count(
        self,
        findings: Sequence[Finding],
        spans: Sequence[tuple[str, int]],
        tables: Mapping[str, Sequence[pa.Table]],
    ) -> list[Finding]:
        """The findings with their checks over tables run; ``spans``: the (span, start) of each, ``tables``: all."""
        if not any(map(wants_tables, findings)):
            return list(findings)
        import tempfile

        from andon.store.parquet import write_table

        with (
            tempfile.TemporaryDirectory(prefix="andon-tables-") as temporary,
            Answers(Path(temporary)) as answers,
        ):
            folder = Path(temporary)
            (folder / "tables").mkdir()
            places = [self._places(*each, tables) for each in zip(findings, spans, strict=True)]
            for name in sorted({name for every in places for name in every}):
                write_table(tables[name], folder / table_path(name))
            return count_all(list(zip(findings, places, strict=True)), answers)

    def _places(
        self, finding: Finding, turn: tuple[str, int], tables: Mapping[str, Sequence[pa.Table]]
    ) -> dict[str, Place]:
        """The tables of its span that its checks name."""
        words = frozenset[str]().union(*(_words(check.expression) for check in _table_checks(finding)))
        return {
            name: self._place(name, part, tables[name][0].schema)
            for name, part in self._parts.get(turn, {}).items()
            if sql_name(name) in words
        }

    def _place(self, name: str, part: tuple[int, int], schema: pa.Schema) -> Place:
        every = self._rows[name]
        rows = None if part[1] - part[0] == every else part
        return Place(table_path(name), schema, rows, empty=not every)


def table_path(name: str) -> str:
    """Where a published table is, below the folder of the results.

    >>> table_path("darknet.link:matches")
    'tables/darknet.link.matches.parquet'
    """
    return f"tables/{name.replace(':', '.')}.parquet"
