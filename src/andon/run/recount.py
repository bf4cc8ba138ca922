"""Exact figures for checks: a second read of the files counts what each relation selects in its span.

Bounded summaries cannot give exact counts, so no engine states one. Whatever stands in ``check.expected`` was
counted here, over the packets of the finding's window (and of the telescope given, if one was given).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from andon.records.columns import column
from andon.records.expression import (
    Bundle,
    NotExpressible,
    compile_bundle,
    evaluate_many,
    parse,
    to_bpf,
)
from andon.records.finding import Finding
from andon.records.packet import SCHEMA
from andon.run.feed import Feed, Telescope

_PER_PASS = 32  # programs that one evaluation answers as bits of one word


@dataclass
class _Wanted:
    """One relation in one window."""

    relation: str
    window: tuple[int, int]
    packets: int = 0
    first: int | None = None
    last: int | None = None
    files: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _Group:
    """Relations of one window, up to 32 programs evaluated together."""

    window: tuple[int, int]
    wanted: list[_Wanted]
    bundle: Bundle


def recount(
    findings: Sequence[Finding], paths: Sequence[str], telescope: Telescope | None, progress: Any = None
) -> list[Finding]:
    """The findings with every check translated and counted.

    A check whose relation the tool cannot express keeps an empty ``expression``; its ``expected`` is still
    exact. ``count``, ``first_seen`` and ``last_seen`` are the engine's own and are not changed."""
    wanted: dict[tuple[str, tuple[int, int]], _Wanted] = {}
    for finding in findings:
        for item in finding.evidence:
            if item.check is not None and item.check.relation:
                key = (item.check.relation, finding.window)
                wanted.setdefault(key, _Wanted(*key))
    groups = _grouped(list(wanted.values()))
    if not groups:
        return list(findings)
    fields = {name for group in groups for name in group.bundle.match.columns}
    feed = Feed(paths, tuple(name for name in SCHEMA.names if name in fields), telescope)
    for number, batch, ts, _ in feed:
        if progress is not None:
            progress(batch.num_rows)
        for group in groups:
            _count(group, number, batch, ts)
    reports = feed.reports
    return [_filled(finding, wanted, reports, telescope) for finding in findings]


def _grouped(wanted: list[_Wanted]) -> list[_Group]:
    groups: list[_Group] = []
    for window in sorted({item.window for item in wanted}):
        same = [item for item in wanted if item.window == window]
        for at in range(0, len(same), _PER_PASS):
            part = same[at : at + _PER_PASS]
            groups.append(_Group(window, part, compile_bundle([parse(item.relation) for item in part])))
    return groups


def _count(group: _Group, number: int, batch: Any, ts: np.ndarray) -> None:
    start, end = group.window
    low, high = int(ts.min()) if len(ts) else end, int(ts.max()) if len(ts) else start
    if low >= end or high < start:
        return
    columns = {name: column(batch, name) for name in batch.schema.names if name != "ts"}
    bits = evaluate_many(group.bundle, columns)
    if low < start or high >= end:
        bits = np.where((ts >= start) & (ts < end), bits, np.uint32(0))
    seen = int(np.bitwise_or.reduce(bits)) if len(bits) else 0
    for position, item in enumerate(group.wanted):
        if not seen >> position & 1:
            continue
        rows = np.flatnonzero(bits & np.uint32(1 << position))
        times = ts[rows]
        item.packets += len(rows)
        item.first = min(int(times.min()), item.first if item.first is not None else int(times.min()))
        item.last = max(int(times.max()), item.last if item.last is not None else int(times.max()))
        item.files.add(number)


def _filled(finding: Finding, wanted: Any, reports: Any, telescope: Telescope | None) -> Finding:
    evidence = []
    for item in finding.evidence:
        check = item.check
        if check is not None and check.relation:
            result = wanted[(check.relation, finding.window)]
            files = sorted(result.files)
            check = replace(
                check,
                expected=result.packets,
                expression=_tcpdump(
                    check.relation, max((reports[n].vlan_depth for n in files), default=0), telescope
                )
                if check.tool == "tcpdump"
                else check.expression,
                input=tuple(sorted(reports[n].path for n in files)),
            )
        evidence.append(replace(item, check=check))
    return finding.with_evidence(tuple(evidence))


def _tcpdump(relation: str, vlan_depth: int, telescope: Telescope | None) -> str:
    try:
        text = to_bpf(parse(relation))
    except NotExpressible:
        return ""
    if telescope is not None:
        text = f"({text}) and ({telescope.bpf()})"
    # `vlan` moves all later offsets behind the tag, so each depth of tags needs an arm of its own.
    nested = text
    for _ in range(vlan_depth):
        nested = f"({text}) or (vlan and ({nested}))"
    return nested
