"""SQL over the history: right answers, bounded memory, and no way out of the fence."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_traffic import START, filled, numbered
from typer.testing import CliRunner

from andon.cli import app
from andon.store.errors import StoreError
from andon.store.history_query import QueryError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    filled(folder, 4, rows=2500, step=10**10)
    tables = folder / "tables/darknet.census/ports"
    tables.mkdir(parents=True)
    for n in range(2):
        pq.write_table(pa.table({"port": [n, n + 10]}), tables / f"{n}.parquet")
    return folder


def _rows(store: Path, sql: str, memory: str = "500MB") -> list[dict[str, object]]:
    from andon.store.history import History

    with History(store / "history").query(sql, memory, store / "tables") as answer:
        return answer.read_all().to_pylist()


def test_sums_over_all_columns_equal_those_of_what_went_in(store: Path) -> None:
    whole = numbered(0, 10_000, step=10**10)
    names = ["src", "dst_port", "tcp_seq", "vlan_id", "ttl"]
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in names)
    expected = {name: int(whole.column(name).to_numpy().astype(np.uint64).sum()) for name in names}
    assert _rows(store, f"SELECT {sums} FROM packets") == [expected]


def test_addresses_as_text_and_back(store: Path) -> None:
    whole = numbered(0, 10_000)
    src = whole.column("src")[5].as_py()
    text = ".".join(str(src >> shift & 255) for shift in (24, 16, 8, 0))
    got = _rows(
        store,
        f"SELECT ip4(src) AS t, ip6(src6) AS six, address(src, src6) AS a, address(src, repeat('\\x00', 16)::BLOB)"
        f" AS b, ip4_number('{text}') = src AS back, in_prefix(src, '{text}/32') AS own,"
        f" in_prefix(src, '0.0.0.0/0') AS world, in_prefix(src, '1.2.3.4/31') AS other FROM packets WHERE row = 5",
    )
    six = whole.column("src6")[5].as_py().hex()
    six_text = ":".join(six[n : n + 4] for n in range(0, 32, 4))
    assert got == [
        {
            "t": text,
            "six": six_text,
            "a": six_text,
            "b": text,
            "back": True,
            "own": True,
            "world": True,
            "other": False,
        }
    ]


def test_times_and_dates_are_utc(store: Path) -> None:
    got = _rows(
        store,
        "SELECT count(*) AS n, min(ts)::VARCHAR AS first FROM packets "
        "WHERE ts >= '2026-01-01 12:00:00' AND ts < '2026-01-01 13:00:00' AND date = '2026-01-01'",
    )
    assert got == [{"n": 360, "first": "2026-01-01 12:00:00+00"}]
    assert START == 1_767_225_600 * 10**9


def test_tables_of_the_engines_are_views(store: Path) -> None:
    assert _rows(store, "SELECT sum(port)::INT AS s FROM darknet_census_ports") == [{"s": 22}]
    assert [row["name"] for row in _rows(store, "SHOW TABLES")] == ["darknet_census_ports", "packets"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('https://192.0.2.1/x.parquet')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM sqlite_scan('/x.db', 't')",
        "SELECT * FROM query('COPY packets TO ''/tmp/out.csv''')",
        "SELECT * FROM history",
        "SELECT getenv('HOME')",
        "COPY packets TO '/tmp/out.csv'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW packets",
        "INSERT INTO packets SELECT * FROM packets",
        "DELETE FROM packets",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "EXPORT DATABASE '/tmp/x'",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW packets",
        "PREPARE x AS SELECT 1",
        "",
        "   -- nothing",
        "not sql at all",
        "SELECT \x00",
    ],
)
def test_nothing_but_one_select_over_the_store_is_answered(store: Path, sql: str) -> None:
    history = [1]  # a variable of this name must not be seen from the SQL
    with pytest.raises((QueryError, StoreError)):
        _rows(store, sql)
    assert history == [1]
    assert not Path("/tmp/out.csv").exists()


def test_a_sort_larger_than_its_memory_spills_and_cleans_up(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 4, rows=150_000, step=10**6)
    sql = "SELECT *, row_number() OVER (ORDER BY tcp_seq, src6, ip_id) AS n FROM packets ORDER BY src6 DESC, dst6"
    with history.query(sql, "120MB") as answer:
        rows = sum(batch.num_rows for batch in answer)
    assert rows == 600_000
    with pytest.raises(StoreError, match="needs more than its memory"), history.query(sql, "2MB") as answer:
        list(answer)
    assert [path.name for path in (tmp_path / "history").iterdir()] == ["packets"]


def test_an_answer_left_half_read_leaves_no_temporary_folder(store: Path) -> None:
    from andon.store.history import History

    with History(store / "history").query("SELECT a.src FROM packets a, packets b LIMIT 5000000") as answer:
        next(iter(answer))
    del answer
    assert [path.name for path in (store / "history").iterdir()] == ["packets"]


def test_query_command_in_three_formats(store: Path) -> None:
    sql = (
        "SELECT row, ts + INTERVAL 1 MICROSECOND AS ts, ip4(src) AS src, src6, sum(ttl) OVER () AS all_ttl "
        + ("FROM packets WHERE row < 3 ORDER BY row")
    )
    found = _andon("query", sql, "--store", str(store), "--format", "json")
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line["row"] for line in lines] == [0, 1, 2]
    assert lines[1]["ts"] == "2026-01-01T00:00:10.000001Z"
    assert isinstance(lines[0]["all_ttl"], int)
    cells = list(csv.DictReader(io.StringIO(_andon("query", sql, "--store", str(store), "--format", "csv"))))
    assert [cell["src6"] for cell in cells] == [line["src6"] for line in lines]
    table = _andon("query", sql, "--store", str(store))
    assert lines[2]["src"] in table and max(map(len, table.splitlines())) <= 100
    wide = _andon("query", "SELECT * FROM packets WHERE row < 2", "--store", str(store))
    assert "row 2" in wide and "tcp_options" in wide


def test_query_command_answers_null_infinity_and_markup_as_data(store: Path) -> None:
    sql = "SELECT NULL AS n, 'inf'::DOUBLE AS i, '[red]x' AS m, chr(27) || '[2J' AS e, {'a': [1.5]} AS s"
    line = json.loads(_andon("query", sql, "--store", str(store), "--format", "json"))
    assert line == {"n": None, "i": None, "m": "[red]x", "e": "\x1b[2J", "s": {"a": [1.5]}}
    table = _andon("query", sql, "--store", str(store))
    assert "[red]x" in table and "\x1b" not in table


def test_wrong_sql_is_usage_and_a_missing_store_is_nothing_readable(store: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["query", "SELEC 1", "--store", str(store)])
    assert result.exit_code == 2 and "syntax error" in result.output
    result = CliRunner().invoke(app, ["query", "SELECT 1", "--store", str(store), "--memory", "plenty"])
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["query", "SELECT 1", "--store", str(tmp_path / "none")])
    assert result.exit_code == 1 and "no such store folder" in result.output


def test_history_commands_verify_compact_expire(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 9)
    store = ["--store", str(tmp_path), "--format", "json"]
    assert json.loads(_andon("history", "verify", *store))["problems"] == []
    assert json.loads(_andon("history", "compact", *store))["files_after"] == 1
    assert json.loads(_andon("history", "expire", "--keep-bytes", "1GB", *store))["files"] == 0
    assert CliRunner().invoke(app, ["history", "expire", *store]).exit_code == 2
    history.refresh()
    (history.log.root / history.files()[0].path).unlink()
    result = CliRunner().invoke(app, ["history", "verify", "--store", str(tmp_path)])
    assert result.exit_code == 1 and "damaged" in result.output and "No such file" in result.output
    assert journal.last == 9


def test_history_commands_that_change_it_wait_for_the_runner_to_stop(tmp_path: Path) -> None:
    from andon.store.journal_lock import StoreLock

    filled(tmp_path, 1)
    with StoreLock(tmp_path, START):
        result = CliRunner().invoke(app, ["history", "compact", "--store", str(tmp_path)])
    assert result.exit_code == 1 and f"in use by process {os.getpid()}" in result.output


def test_a_closed_pipe_ends_the_query_quietly(store: Path) -> None:
    script = "from andon.cli import main; main()"
    sql = "SELECT a.* FROM packets a, packets b"
    with subprocess.Popen(
        [sys.executable, "-c", script, "query", sql, "--store", store, "--format", "csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


def _andon(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout
