"""The demonstration: simulate, analyse, and lay the answer beside the truth."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from time import process_time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.records.finding import Finding
from andon.run.batch import Analysis, analyze
from andon.run.results import write_results
from andon.simulate.internet import demo_config, simulate, small_config
from andon.simulate.score import TOOL_OF_STACK, Score

# A relation of 16 bits can be told from chance on two packets at the earliest.
_ENOUGH = 2


@dataclass(frozen=True)
class Demo:
    """What the demonstration showed. ``right``: of every tool that was there at least half of the sources were
    named, of those named at least nine in ten rightly, and no other tool was."""

    packets: int
    seconds: dict[str, float]  # CPU
    peak_mb: float
    tools: list[Score]
    purposes: list[Score]
    victims: Score
    floods: Score
    analysis: Analysis

    @property
    def right(self) -> bool:
        return all((s.recall or 0.0) >= 0.5 and (s.precision or 0.0) >= 0.9 for s in self.tools)

    def show(self, as_json: bool) -> None:
        """Print the comparison to stdout: one JSON object, or tables."""
        if as_json:
            print(json.dumps(self.to_dict()))
            return
        _print(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "packets": self.packets,
            "cpu_seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "peak_mb": round(self.peak_mb),
            "tools": [score.to_dict() for score in self.tools],
            "purpose": [score.to_dict() for score in self.purposes],
            "victims": self.victims.to_dict(),
            "floods": self.floods.to_dict(),
            "right": self.right,
        }


def run_demo(folder: Path, seed: int, small: bool, progress: Callable[[str, int], None]) -> Demo:
    """Simulate into ``folder``, analyse without telling the telescope, score. Raises OSError if the disk is full."""
    config = small_config(seed) if small else demo_config(seed)
    start = process_time()
    made = simulate(config, folder, lambda packets: progress("simulate", packets))
    simulated = process_time()
    result = analyze([made.capture], progress=progress)
    analysed = process_time()
    write_results(result, folder)
    truth = pq.read_table(made.truth)
    return Demo(
        packets=made.packets,
        seconds={"simulate": simulated - start, "analyse": analysed - simulated},
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        tools=_tools(result, truth),
        purposes=_purposes(result, truth),
        victims=_victims(result, truth),
        floods=_floods(result.findings, made.events),
        analysis=result,
    )


def _addresses(finding: Finding) -> list[int]:
    return [int(IPv4Address(entity.value)) for entity in finding.entities if entity.type == "ipv4-addr"]


def _tools(result: Analysis, truth: pa.Table) -> list[Score]:
    """One score per tool that was there or was named; truth: sources with two or more packets of the tool."""
    found: dict[str, set[int]] = {}
    for finding in result.findings:
        if finding.kind == "known-tool":
            found.setdefault(finding.subject[1], set()).update(_addresses(finding))
    true: dict[str, set[int]] = {}
    for row in truth.select(["src", "stack", "packets"]).to_pylist():
        tool = TOOL_OF_STACK.get(row["stack"])
        if tool and row["packets"] >= _ENOUGH:
            true.setdefault(tool, set()).add(row["src"])
    return [Score.of(tool, true.get(tool, ()), found.get(tool, ())) for tool in sorted({*true, *found})]


def _purposes(result: Analysis, truth: pa.Table) -> list[Score]:
    """Survey and attack. A source is a survey's if only a survey sends from it, an attacker's if any attack does;
    made-up senders of floods are not sources."""
    attack: set[int] = set()
    survey: set[int] = set()
    for row in truth.select(["src", "purpose", "kind"]).to_pylist():
        if row["kind"] == "flood":
            continue
        if row["purpose"] == "attack":
            attack.add(row["src"])
        elif row["purpose"] == "survey":
            survey.add(row["src"])
    survey -= attack
    said: dict[str, set[int]] = {}
    for table in result.tables.get("darknet.purpose:sources", ()):
        for src, purpose in zip(table["src"].to_pylist(), table["purpose"].to_pylist(), strict=True):
            said.setdefault(purpose, set()).add(src)
    return [
        Score.of("survey", survey, said.get("survey", ())),
        Score.of("attack", attack, said.get("attack", ())),
    ]


def _victims(result: Analysis, truth: pa.Table) -> Score:
    true = truth.filter(pc.equal(truth["purpose"], "backscatter"))["src"].to_pylist()
    found = [
        address
        for table in result.tables.get("darknet.backscatter:victims", ())
        for address in table.filter(pc.equal(table["class"], "spoofed-dos-victim"))["address"].to_pylist()
    ]
    return Score.of("victims of spoofed floods", true, found)


def _floods(findings: Sequence[Finding], events: Path) -> Score:
    table = pq.read_table(events)
    flooded = table.filter(pc.equal(table["event"], "attack-begin"))["dst"].to_pylist()
    found = [
        int(IPv4Address(finding.subject[1]))
        for finding in findings
        if finding.attributes.get("class") in {"spoofed-flood-target", "reflection-target"}
    ]
    return Score.of("addresses flooded", [address for address in flooded if address], found)


def _print(demo: Demo) -> None:
    from rich.console import Console
    from rich.table import Table

    screen = Console(width=100, highlight=False)
    screen.print(f"{demo.packets:,} simulated packets, an hour on five /18 telescopes. What Andon says:")
    for finding in demo.analysis.findings:
        screen.print(f"  {finding.kind:19} {finding.title}", overflow="ellipsis", no_wrap=True)
    screen.print()
    table = Table(title="The answer beside the truth", title_justify="left", box=None, pad_edge=False)
    for name in ("", "truth", "found", "right", "precision", "recall"):
        table.add_column(name, justify="left" if not name else "right")
    groups = [
        ("tool", demo.tools),
        ("purpose", demo.purposes),
        ("backscatter", [demo.victims, demo.floods]),
    ]
    for group, scores in groups:
        for score in scores:
            table.add_row(
                f"{group}: {score.name}",
                f"{score.true:,}",
                f"{score.found:,}",
                f"{score.right:,}",
                "-" if score.precision is None else f"{score.precision:.1%}",
                "-" if score.recall is None else f"{score.recall:.1%}",
            )
    screen.print(table)
    screen.print("Tools: sources with two or more packets of the relation. Purpose: all sources of scans.")
    rate = demo.packets / 1e6 / demo.seconds["analyse"]
    screen.print(
        f"CPU: simulate {demo.seconds['simulate']:.1f} s, analyse {demo.seconds['analyse']:.1f} s "
        f"({rate:.2f} M packets a second, both reads); peak memory {demo.peak_mb:,.0f} MB."
    )
