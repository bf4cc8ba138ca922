"""The answer of ``andon analyze`` as a person reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from andon.cli.fingerprints import coverage_lines
from andon.cli.terminal import console, safe
from andon.records.finding import SEVERITIES, Check, Finding, timestamp
from andon.records.kinds import PACKET

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from andon.run.batch import Analysis

_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "informational": "dim"}


_NOUNS = {
    "honeypot-session": "honeypot sessions",
    "darknet-source": "darknet sources",
    "report": "reports",
    "asset": "assets",
    "contact": "log records (contacts, flows, alerts of EVE)",
    "flow": "flows",
    "alert": "alerts",
}
_LONG = 200  # characters of a query that are shown
# What a person asks first: how much, who with which tool, for what, who suffers.
_ORDER = (
    "census",
    "coordinated-activity",
    "port-set-birth",
    "campaign",
    "known-tool",
    "scanner-fingerprint",
    "scan-order",
    "multiple-infection",
    "scanner-purpose",
    "backscatter-victim",
    "port-set",
    "infected-terminal",
    "suspected-terminal",
    "suspected-destination",
    "redirect-chain",
    "beacon",
    "suspected-url",
    "flow-anomaly",
    "user-at-risk",
)
# Findings over the graph of so many days (``livenet.proxygraph.days``): the newest window judges all of it anew, and
# what it no longer tells it no longer believes.
_ANEW = frozenset(("infected-terminal", "suspected-terminal", "suspected-destination"))
_REMEMBERED = 14 * 86_400_000_000_000
# Of these a later window tells all that an earlier one told of the same subject.
_RETOLD = _ANEW | {"beacon", "user-at-risk"}


def show(
    result: Analysis, findings: Sequence[Finding], masked: bool, given: Sequence[str], top: int = 5
) -> None:
    """Files, telescope, then the findings of each window with their checks, about ``top`` of a kind."""
    screen = console()
    _inputs(screen, result)
    if given and not masked:
        screen.print(f"Telescope (given): {', '.join(given)}")
    newest = {_about(finding): finding.window for finding in findings if _retold(finding)}
    judged = max((finding.window for finding in findings if finding.kind in _ANEW), default=(0, 0))
    for window, group in groupby(findings, key=lambda finding: finding.window):
        every = list(group)
        again = window < judged and judged[0] - window[0] < _REMEMBERED
        mine = [
            one
            for one in every
            if newest.get(_about(one), window) == window and not (again and one.kind in _ANEW)
        ]
        screen.print()
        screen.rule(f"{timestamp(window[0])} to {timestamp(window[1])}", align="left")
        _window(screen, mine, top)
        if folded := len(every) - len(mine):
            one = f"finding{'s' * (folded != 1)} that a later window tells or judges again"
            screen.print(f"{'':14}and {folded} {one}: --format json or --out")
    if not findings:
        screen.print("Nothing found.")
    coverage = coverage_lines(result)
    if coverage:
        screen.print()
    for line in coverage:
        screen.print(line)


def _inputs(screen: Console, result: Analysis) -> None:
    good = [item for item in result.files if item.error is None and item.kind == PACKET]
    others = [item for item in result.files if item.error is None and item.kind != PACKET]
    for kind in dict.fromkeys(item.kind for item in others):
        same = [item for item in others if item.kind == kind]
        records, files = sum(item.records for item in same), len(same)
        reasons: Counter[str] = Counter()
        for item in same:
            reasons.update(item.skipped)
        lines = reasons.total()
        text = f"{records:,} {safe(_NOUNS.get(kind, kind + ' records'))} in {files} file{'s' * (files != 1)}"
        if lines:
            text += f"; {lines:,} left aside: "
            text += ", ".join(f"{safe(reason)} {count:,}" for reason, count in reasons.most_common(4))
            text += " ..." * (len(reasons) > 4)
        screen.print(text)
    if others and not good:
        return
    packets = sum(item.packets for item in good)
    rows = sum(item.rows for item in good)
    text = f"{packets:,} packet{'s' * (packets != 1)} in {len(good)} file{'s' * (len(good) != 1)}"
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


def _retold(finding: Finding) -> bool:
    return finding.kind in _RETOLD or (finding.kind == "flow-anomaly" and finding.severity == "informational")


def _about(finding: Finding) -> str:
    """What a finding tells of: its series, but one for a terminal, which is suspected today and infected tomorrow."""
    return finding.subject[1] if finding.kind.endswith("-terminal") else finding.series


def _rank(finding: Finding) -> tuple[int, float]:
    """Sorts by severity, then as the engine ranked them, where it did."""
    rank = finding.attributes.get("rank")
    return -SEVERITIES.index(finding.severity), float(rank) if isinstance(rank, int) else 0.0


def _window(screen: Console, findings: Sequence[Finding], top: int) -> None:
    kinds = dict.fromkeys((*_ORDER, *(finding.kind for finding in findings)))
    for kind in kinds:
        same = sorted((finding for finding in findings if finding.kind == kind), key=_rank)
        shown = same if len(same) <= 2 * top else same[:top]  # a few more are no bother
        for finding in shown:
            _finding(screen, finding)
        if len(shown) < len(same):
            left = len(same) - len(shown)
            screen.print(f"{'':14}... and {left} more of kind {kind}: --top, --format json or --out")


def _finding(screen: Console, finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    block = Table.grid(padding=(0, 1))
    block.add_column(width=13)
    block.add_column(overflow="fold")
    title = Text.assemble((safe(finding.title), "bold"), (f"  [{finding.kind}]", "dim"))
    block.add_row(Text(finding.severity, style=_COLOURS[finding.severity]), title)
    block.add_row("", Text(safe(finding.statement)))
    checks = [item.check for item in finding.evidence if item.check and item.check.expression]
    checks.sort(key=_says_most)
    for check in checks[:1]:
        block.add_row(Text("check", style="green"), _check(check))
    if len(checks) > 1:
        more = f"and {len(checks) - 1} more check{'s' if len(checks) > 2 else ''} with --format json"
        block.add_row("", Text(more, style="dim"))
    screen.print(block)


def _says_most(check: Check) -> float:
    """Sorts checks that chance could pass behind those it could not, otherwise as they were."""
    return 1.0 if (check.expected or 0) < 2 * check.by_chance else 0.0


def _check(check: Check) -> Text:
    from rich.text import Text

    chance = f"; {_few(check.by_chance)} by chance" if check.by_chance else ""
    counted = "?" if check.expected is None else f"{check.expected:,}"
    if check.tool != "tcpdump":
        query = _asked(check.expression)
        query = query if len(query) <= _LONG else query[:_LONG] + " ..."
        whole = "" if query == check.expression else " (whole with --format json)"
        return Text(f"{check.tool}: {safe(query)} -> {counted}{chance}{whole}", style="dim")
    noun = "packet" if check.expected == 1 else "packets"
    files = " ".join(f"-r {safe(name)}" for name in check.input) if len(check.input) == 1 else "-r FILE"
    text = f"{check.tool} -O --count {files} '{check.expression}' -> {counted} {noun}{chance}"
    return Text(text, style="dim")


def _asked(sql: str) -> str:
    """What a query over tables asks, without the places of the tables before it (``run.table_checks``)."""
    _, found, asked = sql.partition(" SELECT * FROM (")
    return asked.removesuffix(")") if found and sql.startswith("WITH ") else sql


def _few(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
