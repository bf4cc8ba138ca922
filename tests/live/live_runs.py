"""A small telescope in a folder, and ``andon run`` on it as a process of its own that can be killed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from andon.observe import read
from andon.run.live.status import read_status
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, parse_family, simulate

COMMAND = [sys.executable, "-c", "from andon.cli import main; main()"]


def make_captures(folder: Path, packets: int = 60_000, parts: int = 6, days: float = 3.0) -> int:
    """Captures of some simulated days, cut into parts; gives the number of rows in them."""
    config = InternetConfig(
        seed=11,
        packets=packets,
        duration=days * 86400.0,
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


def write_config(folder: Path, captures: Path, store: str, extra: str = "", commit_rows: int = 2000) -> Path:
    path = folder / f"{store}.toml"
    prefixes = ", ".join(f'"{prefix}"' for prefix in DEFAULT_TELESCOPE)
    path.write_text(
        f'[telescope]\nprefixes = [{prefixes}]\n[[source]]\nname = "sensor"\nkind = "folder"\npath = "{captures}"\n'
        f'settle = "1s"\n[store]\npath = "{folder / store}"\ncommit_rows = {commit_rows}\ncommit = "1s"\n'
        f'history_every = "1s"\ncheckpoint = "1s"\nretention = "3650d"\n{extra}'
    )
    return path


def start(config: Path, said: Any = subprocess.PIPE, once: bool = True) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config), "--log", "json", *(["--once"] if once else [])],
        stdout=subprocess.DEVNULL,
        stderr=said,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def killed(config: Path, store: Path, after: float, starting: bool) -> bool:
    """Start, and SIGKILL when it has used so many CPU seconds since it says that it runs (``starting``: since its
    start); True if it was still running then."""
    process = start(config, subprocess.DEVNULL)
    if not starting:
        wait_until(lambda: process.poll() is not None or _runs(store, process.pid), 60)
    end = after if starting else after + cpu_seconds(process.pid)
    return _killed_when(process, lambda: cpu_seconds(process.pid) >= end, 600, 0.005)


def killed_writing(config: Path, store: Path, more: int) -> bool:
    """Start, and SIGKILL once ``more`` journal segments have come, however fast the machine; True if it was still
    running then."""
    before = _segments(store)
    process = start(config, subprocess.DEVNULL)
    return _killed_when(process, lambda: _segments(store) >= before + more, 120, 0.002)


def _killed_when(
    process: subprocess.Popen[bytes], condition: Callable[[], bool], seconds: float, every: float
) -> bool:
    """SIGKILL when the condition comes true; False if the process was done before."""
    wait_until(lambda: process.poll() is not None or condition(), seconds, every)
    if process.poll() is not None:
        assert process.returncode == 0, f"the runner failed by itself: exit {process.returncode}"
        return False
    process.kill()
    process.wait()
    return True


def _segments(store: Path) -> int:
    """Number of the newest journal segment, 0 if there is none."""
    numbers = [path.stem for path in (store / "journal").glob("*.arrow")]
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _runs(store: Path, pid: int) -> bool:
    found = read_status(store)
    return found is not None and found["pid"] == pid and found["state"] == "running"


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


def metrics(port: int) -> str:
    """What the runner at this port of loopback tells Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def wait_until(condition: Any, seconds: float = 120.0, every: float = 0.05) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(every)
    return False
