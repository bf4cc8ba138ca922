"""A day of alerts with attacks in it, logs of it that grow, and ``andon run`` that makes cases of them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from live_runs import COMMAND

from andon.simulate.alerts import Scenario, simulate

LOGS = ("eve.json", "wazuh.json", "conn.log")
INSIDE = ("10.0.0.0/8", "203.0.113.0/24")
ENGINES = ("triage.screening", "triage.evidence")
DAY = 86_400 * 10**9
NEXT_DAY = 1_775_520_000 * 10**9  # 2026-04-07


def make_day(folder: Path) -> None:
    """A day of 2026-04-06, and one line of each log from the next one, so that the day is over."""
    simulate(Scenario(seed=5, days=1, terminals=20, alerts=1500, true=8, false=6), folder)
    for name in LOGS:
        text = (folder / name).read_text()
        lines = text.splitlines()
        at = next(n for n in range(len(lines) - 1, 0, -1) if lines[n] and not lines[n].startswith("#"))
        last = lines[at]
        if name == "conn.log":
            last = f"{NEXT_DAY // 10**9 + 9000}.000\t" + last.partition("\t")[2]
        else:
            last = last.replace("2026-04-06", "2026-04-07").replace("T23:", "T02:")
        (folder / name).write_text(text + last + "\n")


def parts(folder: Path, number: int) -> Iterator[dict[str, bytes]]:
    """The logs cut into so many parts, by lines."""
    whole = {name: (folder / name).read_bytes().splitlines(keepends=True) for name in LOGS}
    for n in range(number):
        yield {
            name: b"".join(lines[len(lines) * n // number : len(lines) * (n + 1) // number])
            for name, lines in whole.items()
        }


def write_config(folder: Path, logs: Path, assets: Path, casebook: str = "", more: str = "") -> Path:
    """``folder/andon.toml`` of a store in ``folder/store``; messages go to ``folder/told.ndjson``."""
    sources = "".join(
        f'[[source]]\nname = "{name.partition(".")[0]}"\nkind = "log"\npath = "{logs / name}"\nsettle = "1s"\n'
        for name in LOGS
    )
    inside, engines = json.dumps(list(INSIDE)), json.dumps(list(ENGINES))
    kept = f'casebook = "{casebook}"\n' if casebook else ""
    path = folder / "andon.toml"
    path.write_text(
        f'engines = {engines}\ninside = {inside}\n{sources}[[assets]]\npath = "{assets}"\n'
        f'[store]\npath = "{folder / "store"}"\ncommit = "1s"\ncheckpoint = "1s"\ncommit_rows = 3000\n'
        f'history = false\nhistory_every = "1s"\n{kept}[[sink]]\nname = "soc"\nkind = "file"\n'
        f'path = "{folder / "told.ndjson"}"\n[triage]\nevery = "1s"\nsinks = ["soc"]\n{more}'
    )
    return path


def analysed(folder: Path, out: Path) -> None:
    """``andon analyze --cases`` on the same logs."""
    chosen = [word for engine in ENGINES for word in ("--engine", engine)]
    subprocess.run(
        [*COMMAND, "analyze", "--inside", ",".join(INSIDE), *chosen, "--assets", str(folder / "assets.csv"),
         "--cases", str(out), *(str(folder / name) for name in LOGS)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    """From a casebook that somebody may be writing to."""
    try:
        with closing(sqlite3.connect(f"file:{store / 'casebook.db'}?mode=ro", uri=True, timeout=10)) as book:
            return list(book.execute(query))
    except sqlite3.OperationalError:
        return []  # not there yet


def cursors(store: Path) -> dict[str, int]:
    return dict(rows(store, "SELECT name, value FROM cursors"))


def settled(store: Path) -> bool:
    """Has casework done all there is to do for the day?"""
    held = cursors(store)
    newest = rows(store, "SELECT max(seq) FROM episodes")
    spans = rows(
        store,
        "SELECT span, max(\"end\") FROM engine_tables WHERE name = 'triage.screening:episodes' GROUP BY 1",
    )
    return (
        held.get("casework.tables.1d", 0) >= NEXT_DAY
        and all(held.get(f"casework.tables.{span}", 0) >= end for span, end in spans)
        and held.get("casework.episodes", 0) >= ((newest or [(0,)])[0][0] or 0)
    )


def cases(store: Path) -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """id -> (tier, items)."""
    items: dict[str, list[tuple[str, str]]] = {}
    for case, kind, item in rows(store, "SELECT case_id, kind, item FROM case_items"):
        items.setdefault(case, []).append((kind, item))
    found = rows(store, "SELECT id, tier FROM cases")
    return {id: (tier, tuple(sorted(items.get(id, ())))) for id, tier in found}


def alerts(store: Path) -> list[tuple[Any, ...]]:
    """One row an alert, by what the sensor says of it."""
    return sorted(
        rows(
            store, "SELECT s.host, s.rule, a.ts, a.body FROM alerts a JOIN alert_series s ON s.id = a.series"
        )
    )


def episodes(store: Path) -> list[tuple[Any, ...]]:
    return sorted(rows(store, "SELECT id, alerts, tier, first, last, digest FROM episodes"))


def told(folder: Path) -> list[dict[str, Any]]:
    path = folder / "told.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
