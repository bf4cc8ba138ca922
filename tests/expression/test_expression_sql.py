"""DuckDB, given our condition, selects exactly the rows that the predicate selects, over Parquet in stored types."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from expression_reference import constants, expressions, fields, random_columns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon.records.expression import (
    NotExpressible,
    compile_program,
    count_sql,
    evaluate,
    parse,
    session_key,
    session_sql,
    to_sql,
)

STORED = {np.dtype("u1"): pa.int16(), np.dtype("u2"): pa.int32(), np.dtype("u4"): pa.int64()}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    columns = random_columns(np.random.default_rng(7), 2000)
    wire = pa.table({"row": np.arange(2000)} | columns)
    stored = pa.table(
        [wire["row"]] + [wire[name].cast(STORED[column.dtype]) for name, column in columns.items()],
        names=["row", *columns],
    )
    database = duckdb.connect()
    for name, table in (("wire", wire), ("packets", stored)):
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder / name}.parquet')")
    yield columns, database
    database.close()


@pytest.mark.parametrize("table", ["packets", "wire"])
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(expr=expressions(st.one_of(fields, fields, constants), depth=8))
def test_duckdb_selects_what_the_predicate_selects(tables, table, expr):
    columns, database = tables
    try:
        condition = to_sql(expr)
    except NotExpressible:
        return
    found = database.execute(f"SELECT row FROM {table} WHERE {condition} ORDER BY row").fetchnumpy()["row"]
    assert found.tolist() == np.flatnonzero(evaluate(compile_program(expr), columns)).tolist()


def test_count_query_counts(tables):
    columns, database = tables
    expr = parse("ip.id == lo16(tcp.seq)")
    expected = int(evaluate(compile_program(expr), columns).sum())
    assert expected > 0
    assert database.execute(count_sql(expr)).fetchone() == (expected,)
    assert database.execute(f"SELECT count(*) FROM packets p WHERE {to_sql(expr, 'p')}").fetchone() == (
        expected,
    )


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("hi16(tcp.seq) ^ lo16(tcp.seq) == key16", 4),  # 16 bits a packet: 40 bits need three after the first
        ("tcp.seq == key32 ^ ip.dst ^ tcp.srcport ^ (tcp.dstport << 16)", 3),
        ("tcp.seq == key16 ^ ip.dst and tcp.window == 1024", 3),
    ],
)
def test_session_query_finds_sessions_with_enough_evidence(text, least):
    rng = np.random.default_rng(3)
    columns = random_columns(rng, 3000, layers=(5,))
    expr = parse(text)
    program = compile_program(expr)
    from andon.records.expression import apply, solve

    columns["src"] = rng.integers(1, 900, 3000).astype(np.uint32)
    keys = (columns["src"] * np.uint32(2654435761) >> np.uint32(32 - program.key_bits)).astype(np.uint32)
    columns = apply(solve(expr), columns, keys)
    noise = rng.random(3000) < 0.5
    columns["tcp_seq"][noise] = rng.integers(0, 2**32, int(noise.sum()), dtype=np.uint32)
    key, valid = session_key(program, columns)
    sessions: dict[tuple[int, int], int] = {}
    for source, value, good in zip(columns["src"].tolist(), key.tolist(), valid.tolist(), strict=True):
        if good:
            sessions[source, value] = sessions.get((source, value), 0) + 1
    strong = [n for n in sessions.values() if n >= least]
    assert strong
    with duckdb.connect() as database:
        database.register("packets", pa.table(columns))
        assert database.execute(session_sql(expr)).fetchone() == (len(strong), sum(strong))


def test_a_table_name_cannot_smuggle_sql():
    with pytest.raises(ValueError, match="not a plain name"):
        count_sql(parse("ip.id == 1"), "packets; DROP TABLE x")
    with pytest.raises(ValueError, match="not a plain name"):
        session_sql(parse("tcp.seq == key32 ^ ip.dst"), 'x"')


def test_keyed_expressions_need_the_session_query():
    with pytest.raises(NotExpressible, match="session_sql"):
        to_sql(parse("tcp.seq == key32 ^ ip.dst"))
    with pytest.raises(NotExpressible, match="no evidence"):
        session_sql(parse("tcp.window == key16"))
