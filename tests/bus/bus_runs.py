"""A sensor and an analyser as processes of their own, with a broker between them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.records.packet import COLUMNS
from andon.run.live.status import read_status
from andon.simulate.internet import DEFAULT_TELESCOPE
from andon.store.history import History
from andon.store.journal_segment import load

COMMAND = [sys.executable, "-c", "from andon.cli import main; main()"]
ENGINES = 'engines = ["darknet.census"]\n'


def write(folder: Path, name: str, source: str, extra: str = "", head: str = ENGINES) -> Path:
    """``andon.toml`` of a machine whose store is FOLDER/NAME. Its history keeps all."""
    path = folder / f"{name}.toml"
    prefixes = ", ".join(f'"{prefix}"' for prefix in DEFAULT_TELESCOPE)
    path.write_text(
        f'{head}[telescope]\nprefixes = [{prefixes}]\n{source}[store]\npath = "{folder / name}"\ncommit_rows = 1000\n'
        f'commit = "1s"\nhistory_every = "1s"\nretention = "3650d"\ncheckpoint = "1s"\n[triage]\ncases = false\n{extra}'
    )
    return path


def sensor(
    folder: Path, captures: Path, broker: str, name: str = "tokyo", topic: str = "andon", more: str = ""
) -> Path:
    source = f'[[source]]\nname = "tap"\nkind = "folder"\npath = "{captures}"\nsettle = "1s"\n'
    bus = f'[bus]\nbrokers = ["{broker}"]\ntopic = "{topic}"\nsensor = "{name}"\n{more}'
    return write(folder, name, source, bus)


def analyser(folder: Path, broker: str, name: str = "analyser", topic: str = "andon", more: str = "") -> Path:
    return write(
        folder,
        name,
        f'[[source]]\nname = "bus"\nkind = "kafka"\nbrokers = ["{broker}"]\ntopic = "{topic}"\n{more}',
    )


def start(config: Path, once: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config), "--log", "json", *(["--once"] if once else [])],
        stdout=subprocess.DEVNULL, stderr=(config.with_suffix(".log")).open("ab"), env={**os.environ},
    )  # fmt: skip


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(timeout=120) == 0


def status(folder: Path, name: str) -> dict[str, Any]:
    return read_status(folder / name) or {}


def segments(store: Path) -> int:
    """Number of the newest segment of a store that somebody may be writing to; 0 if there is none."""
    return max((int(path.stem) for path in (store / "journal").glob("*.arrow")), default=0)


def rows_of(store: Path) -> tuple[int, str]:
    """How many packets the history of a store has that has ended, and a digest of them in their order."""
    return digest(list(History(store / "history").read(0, 1 << 62, COLUMNS)))


def digest(batches: list[pa.RecordBatch]) -> tuple[int, str]:
    table = pa.Table.from_batches(batches).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return table.num_rows, hashlib.sha256(sink.getvalue()).hexdigest()


def count(store: Path) -> int:
    """Packets in a journal that somebody may be writing to: those of its newest segment and before."""
    last = segments(store)
    return load(store / "journal" / f"{last:012d}.arrow").end_row if last else 0
