"""From a log of Squid and lists to tables, through the command line and the configuration."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from edges_world import START
from typer.testing import CliRunner

from andon.cli import app
from andon.observe.logs.pseudonyms import Pseudonyms, make_key, read_key
from andon.run.live.config import load
from andon.run.live.parts import site_of

SECONDS = START // 10**9 + 3600


def _log(path: Path) -> Path:
    lines = [
        f"{SECONDS + n}.000 100 10.0.0.{n % 3} TCP_TUNNEL/200 {n} CONNECT {host}:443 {user} DIRECT/198.51.100.7 -"
        for n, (host, user) in enumerate(
            [
                ("evil.example", "alice"),
                ("www.good.example", "bob"),
                ("gray.example", "-"),
                ("evil.example", "alice"),
            ]
            * 5
        )
    ]
    log = path / "access.log"
    log.write_text("\n".join(lines) + "\n")
    return log


def _table(out: Path, name: str) -> pa.Table:
    return pq.read_table(out / "tables" / f"livenet.edges.{name}.parquet")


def test_a_log_and_lists_become_tables_with_colours(tmp_path: Path) -> None:
    log = _log(tmp_path)
    (tmp_path / "black.txt").write_text("evil.example\n")
    (tmp_path / "rank.csv").write_text("1,good.example\n2,other.example\n")
    given = ["--black", f"c2={tmp_path / 'black.txt'}", "--white", str(tmp_path / "rank.csv")]
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["analyze", "--engine", "livenet.edges", str(log), *given, "--out", str(out)]
    )
    assert done.exit_code == 0, done.stderr
    found = {
        row["destination"]: row
        for row in _table(out, "destinations").select(["destination", "colour", "lists"]).to_pylist()
    }
    assert {name: row["colour"] for name, row in found.items()} == {
        "evil.example": "black", "gray.example": "gray", "www.good.example": "white",
    }  # fmt: skip
    assert found["evil.example"]["lists"] == ["c2: domain evil.example"]
    edges = _table(out, "edges").select(["terminal", "destination", "count"]).to_pylist()
    assert {(row["terminal"], row["destination"], row["count"]) for row in edges} >= {
        ("alice", "evil.example", 10)
    }
    assert sum(row["count"] for row in edges) == 20


def test_under_a_key_no_file_of_the_results_names_anybody(tmp_path: Path) -> None:
    log, key, out = _log(tmp_path), tmp_path / "k", tmp_path / "out"
    with log.open("a") as more:
        more.write(
            f"{SECONDS} broken 10.0.0.9 alice bob\n"
        )  # nor does what is said of a line that was not read
    make_key(key)
    arguments = [
        "analyze",
        "--engine",
        "livenet.edges",
        str(log),
        "--pseudonym-key",
        str(key),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    names = set(_table(out, "terminals")["terminal"].to_pylist())
    assert {Pseudonyms(read_key(key)).reveal(name)[1] for name in names} >= {"alice", "bob"}
    for name in ("edges", "destinations", "terminals"):
        said = _table(out, name).drop_columns(
            [c.name for c in _table(out, name).schema if pa.types.is_timestamp(c.type)]
        )
        assert not any(word in str(said.to_pylist()) for word in ("alice", "bob", "10.0.0."))
    told = (out / "findings.ndjson").read_text() + done.stdout + done.stderr
    assert "input-damage" in told and not any(word in told for word in ("alice", "bob", "10.0.0."))


def test_the_configuration_names_lists_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "black.txt").write_text("evil.example\ncom\n")
    (tmp_path / "white.txt").write_text("good.example\n")
    config = tmp_path / "andon.toml"
    config.write_text(
        '[store]\npath = "store"\n[[source]]\nname = "s"\nkind = "stdin"\n'
        '[lists]\nblack = { c2 = "black.txt" }\nwhite = { ours = "white.txt" }\n'
    )
    site, remarks = site_of(load(config), config)
    assert site.reputation is not None
    rows = site.reputation.select(["value", "colour", "list"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("evil.example", "black", "c2"),
        ("good.example", "white", "ours"),
    ]
    assert any("black.txt: 1 lines skipped" in remark for remark in remarks)
