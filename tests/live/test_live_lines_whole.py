"""``andon run`` over a proxy's log: killed and started again, it ends where a batch run over the whole file does."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from live_runs import COMMAND, findings, finish, killed_writing

T = 1_767_225_600  # 2026-01-01
DAYS = 3
OVER = (T + DAYS * 86_400) * 1_000_000_000  # ns: what begins later is in a day that is not over
TABLES = ("edges", "destinations", "terminals")


def write_log(folder: Path, lines: int = 6000, files: int = 4) -> list[Path]:
    """Lines of three days and an hour, in the order in which transactions ended, in files as rotation leaves them."""
    rng = random.Random(5)
    made = []
    for number in range(lines):
        end = T + number * (DAYS * 86_400 + 3600) / lines + rng.random()
        user, host = rng.randrange(40), rng.randrange(60)
        if number % 20 == 0:
            user, host = 3, 999  # one that calls home
        elapsed = rng.choice((20, 300, 4000, 100_000))
        made.append(
            (
                end,
                f"{end:.3f} {elapsed:6} 10.0.{user // 20}.{user} TCP_TUNNEL/200 {rng.randrange(200, 9000)} CONNECT "
                f"h{host}.example:443 user{user} HIER_DIRECT/192.0.2.{host % 250} -\n",
            )
        )
    text = [line for _, line in sorted(made)]
    folder.mkdir()
    paths = []
    for part in range(files):
        path = folder / ("access.log" if part == files - 1 else f"access.log.{files - 1 - part}")
        path.write_text("".join(text[lines * part // files : lines * (part + 1) // files]))
        os.utime(path, (T + part, T + part))
        paths.append(path)
    return paths


def write_config(folder: Path, store: str) -> Path:
    path = folder / f"{store}.toml"
    path.write_text(
        f'engines = ["livenet.beacon"]\n[[source]]\nname = "proxy"\nkind = "log"\npath = "{folder}/log/access.log"\n'
        f'[store]\npath = "{folder / store}"\ncommit = "1s"\nhistory_every = "1s"\ncheckpoint = "1s"\n'
        'retention = "3650d"\nkeep_tables = "3650d"\nhistory = false\n'
    )
    return path


def tables_of(folder: Path) -> dict[str, Counter[str]]:
    """Rows of the tables that edges publishes; where they have a time, of the days that are over."""
    found: dict[str, Counter[str]] = {}
    for name in TABLES:
        rows: list[dict[str, Any]] = []
        for path in sorted((folder / "tables").glob(f"livenet.edges.{name}*")):
            for file in [path] if path.is_file() else sorted(path.glob("*.parquet")):
                table = pq.read_table(file)
                rows += table.cast(_plain(table.schema)).to_pylist()
        found[name] = Counter(repr(row) for row in rows if row.get("first", 0) < OVER)
    return found


def _plain(schema: pa.Schema) -> pa.Schema:
    """Times as numbers: Python's have no nanoseconds."""

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(kind):
            return pa.int64()
        if pa.types.is_list(kind):
            return pa.list_(plain(kind.value_type))
        return pa.string() if pa.types.is_dictionary(kind) else kind

    return pa.schema([pa.field(field.name, plain(field.type)) for field in schema])


def test_a_killed_runner_knows_of_a_log_what_a_batch_run_does(tmp_path: Path) -> None:
    paths = write_log(tmp_path / "log")
    config = write_config(tmp_path, "store")
    rng, kills = random.Random(1), 0
    for _ in range(2):
        kills += killed_writing(config, tmp_path / "store", rng.randrange(1, 3))
    finish(config)
    told = subprocess.run(
        [
            *COMMAND,
            "analyze",
            *map(str, paths),
            "--engine",
            "livenet.beacon",
            "--out",
            str(tmp_path / "batch"),
            "--format",
            "json",
        ],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout.decode()
    live, batch = tables_of(tmp_path / "store"), tables_of(tmp_path / "batch")
    assert kills and batch["edges"].total() > 3000 and len(batch["terminals"]) == 40 * DAYS
    assert live["edges"] == batch["edges"] and live["terminals"] == batch["terminals"]
    # This one has no time: live there are the three days, and nothing of the fourth, which is not over.
    assert live["destinations"].total() == 61 * DAYS and not live["destinations"] - batch["destinations"]
    over = {
        one["id"]: one
        for one in map(json.loads, told.splitlines())
        if one["window"]["end"] <= "2026-01-04T00:00:00Z"
    }
    found = findings(tmp_path / "store")
    assert over and found.keys() == over.keys()
    assert all(found[name]["statement"] == over[name]["statement"] for name in over)
