"""The answer of ``andon analyze`` as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from andon.cli.terminal import console, safe
from andon.records.finding import Finding, timestamp

if TYPE_CHECKING:
    from rich.console import Console

    from andon.run.batch import Analysis

_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "informational": "dim"}


def show(result: Analysis, findings: Sequence[Finding], masked: bool, given: Sequence[str]) -> None:
    """Files, telescope, then the findings of each window with their checks."""
    screen = console()
    _inputs(screen, result)
    if given and not masked:
        screen.print(f"Telescope (given): {', '.join(given)}")
    for window, group in groupby(findings, key=lambda finding: finding.window):
        screen.print()
        screen.rule(f"{timestamp(window[0])} to {timestamp(window[1])}", align="left")
        _window(screen, list(group))
    if not findings:
        screen.print("Nothing found.")


def _inputs(screen: Console, result: Analysis) -> None:
    good = [item for item in result.files if item.error is None]
    packets = sum(item.packets for item in good)
    rows = sum(item.rows for item in good)
    text = f"{packets:,} packets in {len(good)} file{'s' if len(good) != 1 else ''}"
    if packets != rows:
        text += f"; {rows:,} of them IP"
    outside = sum(item.outside for item in good)
    if outside:
        text += f"; {outside:,} not to the telescope"
    screen.print(text)
    skipped: dict[str, int] = {}
    for item in good:
        for reason, count in item.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    if skipped:
        parts = [
            f"{safe(reason)} {count:,}" for reason, count in sorted(skipped.items(), key=lambda s: -s[1])
        ]
        screen.print("Not decoded: " + ", ".join(parts[:8]) + (" ..." if len(parts) > 8 else ""))


def _window(screen: Console, findings: Iterable[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    for finding in findings:
        head = Table.grid(padding=(0, 1), expand=False)
        head.add_column(width=13)
        head.add_column(overflow="fold")
        colour = _COLOURS[finding.severity]
        head.add_row(Text(finding.severity, style=colour), Text(safe(finding.title), style="bold"))
        head.add_row(Text(finding.kind, style="dim"), Text(safe(finding.statement)))
        for item in finding.evidence:
            if item.check is None:
                head.add_row("", Text("- " + safe(item.statement), style="dim"))
            elif item.check.expression and item.check.expected is not None:
                chance = f"{item.check.by_chance:.2g} by chance"
                head.add_row(
                    Text("check", style="green"),
                    Text(
                        f"{item.check.tool} '{item.check.expression}' -> {item.check.expected:,} ({chance})"
                    ),
                )
        screen.print(head)
