"""A scenario written to a folder, in the file names and native formats that readers expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .build import Day, World, blocks, happenings, lists
from .flows import anomaly_table, usual
from .leases import write_leases
from .people import shift
from .scenario import DAY, FORMATS, Scenario
from .squid import Squid
from .truth import Ledger
from .zeek import COLUMNS, Zeek

LOGS: Final = ("squid", "zeek", "flows")


@dataclass(frozen=True)
class Made:
    """What was written, and how much of what. ``logs``: files to analyse; the truth is not among them."""

    folder: Path
    logs: tuple[Path, ...]
    lines: int
    flows: int
    terminals: int
    destinations: int
    malicious: int
    infected: int
    hidden: int


def simulate(
    scenario: Scenario,
    out: Path,
    logs: tuple[str, ...] = ("squid", "flows"),
    log_format: str = "native",
    progress: Callable[[int], None] = lambda lines: None,
) -> Made:
    """Write the scenario into ``out`` and the truth into ``out/truth``; folders are made if absent.

    Logs of an earlier scenario in ``out`` are removed. ``logs``: "squid" is ``access.log`` in ``log_format``; "zeek"
    is ``zeek/{conn,http,dns,ssl}.log``; "flows" is ``zeek/conn.log`` alone. Raises OSError, and ValueError for an
    unknown log or format.
    """
    if unknown := set(logs) - set(LOGS):
        raise ValueError(f"no log {', '.join(sorted(unknown))}; there are {', '.join(LOGS)}")
    if log_format not in FORMATS:
        raise ValueError(f"the format is one of {', '.join(FORMATS)}, not {log_format!r}")
    out.mkdir(parents=True, exist_ok=True)
    for old in ("access.log", "dhcpd.leases", *(f"zeek/{name}.log" for name in COLUMNS)):
        (out / old).unlink(missing_ok=True)  # of another scenario: logs of two would not fit together
    world = World(scenario)
    ledger = Ledger(world)
    lists(world, out / "lists")
    write_leases(scenario, world.who, out / "dhcpd.leases")
    squid = Squid(scenario, world.who, world.dest, world.pool, log_format == "combined")
    paths: list[Path] = []
    with ExitStack() as stack:
        file = zeek = None
        if "squid" in logs:
            paths.append(out / "access.log")
            file = stack.enter_context(paths[-1].open("wb"))
        if "zeek" in logs or "flows" in logs:
            zeek = Zeek(scenario, world.who, world.dest, world.pool, out / "zeek", "zeek" in logs)
            stack.callback(zeek.close)
            paths += [Path(f.name) for f in zeek.files.values()]

        def days() -> Iterator[Day]:
            for number in range(scenario.days):
                day = happenings(world, number)
                ledger.day(day)
                if zeek is not None:
                    _inside(zeek, world, day)
                yield day

        for block in blocks(world, days()):
            ledger.take(block)
            if file is not None:
                file.write(squid.text(block))
            if zeek is not None:
                zeek.web(block)
            progress(len(block))
    anomalies = anomaly_table(scenario, ledger.names(), world.who, world.wrong.truth)
    counts = ledger.write(out / "truth", anomalies)
    return Made(
        out, tuple(paths), ledger.lines, zeek.rows if zeek else 0, scenario.terminals, world.dest.count,
        counts["malicious"], counts["infected"], counts["hidden"],
    )  # fmt: skip


def _inside(zeek: Zeek, world: World, day: Day) -> None:
    """The day's flows inside. Those of a night shift that began the evening before are among them."""
    made = [
        usual(world.scenario, world.who, shift(world.scenario, world.who, n), n)
        for n in (day.number - 1, day.number)
        if n >= 0
    ]
    every = np.concatenate([*made, world.wrong.flows])
    mine = every[every["ts"] // DAY == day.number]
    zeek.inside(mine[np.argsort(mine["ts"], kind="stable")])
