"""A small telescope in a folder, and ``andon run`` on it as a process of its own that can be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from andon.observe import read
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, parse_family, simulate

COMMAND = [sys.executable, "-c", "from andon.cli import main; main()"]


def make_captures(folder: Path, packets: int = 60_000, parts: int = 6) -> int:
    """Captures of three simulated days, cut into parts; gives the number of rows in them."""
    config = InternetConfig(
        seed=11,
        packets=packets,
        duration=3 * 86400.0,
        extra=(parse_family("a:tcp.seq == ip.dst ^ 0x1234:120"),),
    )
    whole = folder.parent / "whole"
    simulate(config, whole)
    data = (whole / "capture.pcap").read_bytes()
    head, rest = data[:24], data[24:]
    at, edges = 0, [0]
    while at < len(rest):
        at += 16 + int.from_bytes(rest[at + 8 : at + 12], "little")
        edges.append(at)
    cuts = [edges[len(edges) * n // parts] for n in range(parts)] + [len(rest)]
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(parts):
        (folder / f"part-{n:03}.pcap").write_bytes(head + rest[cuts[n] : cuts[n + 1]])
    return sum(batch.num_rows for path in sorted(folder.iterdir()) for batch in read(path, columns=("ts",)))


def write_config(folder: Path, captures: Path, store: str, extra: str = "") -> Path:
    path = folder / f"{store}.toml"
    prefixes = ", ".join(f'"{prefix}"' for prefix in DEFAULT_TELESCOPE)
    path.write_text(
        f'[telescope]\nprefixes = [{prefixes}]\n[[source]]\nname = "sensor"\nkind = "folder"\npath = "{captures}"\n'
        f'settle = "1s"\n[store]\npath = "{folder / store}"\ncommit_rows = 2000\ncommit = "1s"\n'
        f'history_every = "1s"\ncheckpoint = "1s"\nretention = "3650d"\n{extra}'
    )
    return path


def start(config: Path, said: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config), "--once", "--log", "json"],
        stdout=subprocess.DEVNULL,
        stderr=said,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def killed(config: Path, after: float) -> bool:
    """Start, and SIGKILL after so many seconds; True if it was still running then."""
    process = start(config)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    return False


def finish(config: Path, timeout: float = 240.0) -> str:
    """Run to the end; gives what it said. Raises if it failed."""
    process = start(config)
    _, said = process.communicate(timeout=timeout)
    text = said.decode()
    assert process.returncode == 0, text
    return text


def findings(store: Path) -> dict[str, dict[str, Any]]:
    """Stored findings by id, without the runner's own."""
    with sqlite3.connect(store / "casebook.db") as connection:
        rows = connection.execute(
            "SELECT id, document FROM findings WHERE engine NOT LIKE 'run.%'"
        ).fetchall()
    return {name: json.loads(document) for name, document in rows}


def waits(seed: int, rounds: int) -> list[float]:
    """Seconds until each kill."""
    rng = random.Random(seed)
    return [rng.uniform(1.0, 6.0) for _ in range(rounds)]


def wait_until(condition: Any, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
