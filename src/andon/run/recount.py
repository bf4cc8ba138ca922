"""Exact figures for checks: a second read of the files counts what each relation selects in its span.

Bounded summaries cannot give exact counts, so no engine states one. Whatever stands in ``check.expected`` was
counted here, over the packets of the finding's window (and of the telescope given, if one was given).

A finding can ask for more: ``attributes["exact"] = {"relation": TEXT}`` is filled with the packets, sources, ports and
times of that relation, and the finding's ``count``, ``first_seen`` and ``last_seen`` become those. A check whose
relation has a session key is answered with its number of sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

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
from andon.records.expression.ast import keys_of
from andon.records.finding import Finding
from andon.records.packet import SCHEMA
from andon.run.exact import Exact, Sessions
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
    exact: Exact | None = None
    sessions: Sessions | None = None

    @property
    def expected(self) -> int | None:
        return self.packets if self.sessions is None else self.sessions.sessions


@dataclass(frozen=True)
class _Group:
    """Relations of one window, up to 32 programs evaluated together."""

    window: tuple[int, int]
    wanted: list[_Wanted]
    bundle: Bundle


class Input(Protocol):
    """Something rows were read from."""

    path: str
    vlan_depth: int


# Given the columns that are looked at, batches as (number of the input, batch, times in ns).
Rows = Callable[[tuple[str, ...]], Iterable[tuple[int, Any, np.ndarray]]]


def recount(
    findings: Sequence[Finding], paths: Sequence[str], telescope: Telescope | None, progress: Any = None
) -> list[Finding]:
    """The findings with every check translated and counted in capture files."""
    reports: list[Input] = []

    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, Any, np.ndarray]]:
        feed = Feed(paths, columns, telescope)
        reports.extend(feed.reports)
        for number, batch, ts, _ in feed:
            if progress is not None:
                progress(batch.num_rows)
            yield number, batch, ts

    return recount_rows(findings, rows, reports, telescope)


def recount_rows(
    findings: Sequence[Finding], rows: Rows, inputs: Sequence[Input], telescope: Telescope | None
) -> list[Finding]:
    """The findings with every check translated and counted in rows from anywhere.

    ``inputs`` are looked at when ``rows`` has ended. A check whose relation the tool cannot express keeps an empty
    ``expression``; its ``expected`` is still exact. Only findings that ask for exact figures get another ``count``,
    ``first_seen`` and ``last_seen``."""
    wanted: dict[tuple[str, tuple[int, int]], _Wanted] = {}
    for finding in findings:
        for item in finding.evidence:
            if item.check is not None and item.check.relation:
                _want(wanted, item.check.relation, finding.window)
        if _asks(finding):
            _want(wanted, _asks(finding), finding.window).exact = Exact()
    keyed = [item for item in wanted.values() if item.sessions is not None]
    groups = _grouped([item for item in wanted.values() if item.sessions is None])
    if not groups and not keyed:
        return list(findings)
    fields = {name for group in groups for name in group.bundle.match.columns}
    fields |= {name for item in keyed if item.sessions is not None for name in item.sessions.columns}
    if any(item.exact is not None for item in wanted.values()):
        fields |= {"src", "dst_port"}
    for number, batch, ts in rows(tuple(name for name in SCHEMA.names if name in fields)):
        for group in groups:
            _count(group, number, batch, ts)
        for session in keyed:
            _count_sessions(session, number, batch, ts)
    return [_filled(finding, wanted, inputs, telescope) for finding in findings]


def _asks(finding: Finding) -> str:
    """The relation whose exact figures a finding asks for, or ""."""
    asked = finding.attributes.get("exact")
    return str(asked.get("relation", "")) if isinstance(asked, Mapping) else ""


def _want(
    wanted: dict[tuple[str, tuple[int, int]], _Wanted], relation: str, window: tuple[int, int]
) -> _Wanted:
    item = wanted.get((relation, window))
    if item is None:
        item = wanted[(relation, window)] = _Wanted(relation, window)
        if keys_of(parse(relation)):
            item.sessions = Sessions(relation)
    return item


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
        if item.exact is not None:
            item.exact.add(columns["src"][rows], columns["dst_port"][rows], times)


def _count_sessions(item: _Wanted, number: int, batch: Any, ts: np.ndarray) -> None:
    start, end = item.window
    inside = (ts >= start) & (ts < end)
    if item.sessions is None or not inside.any():
        return
    columns = {name: column(batch, name) for name in batch.schema.names if name != "ts"}
    item.sessions.add(columns, None if inside.all() else inside)
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
                expected=result.expected,
                expression=_tcpdump(
                    check.relation, max((reports[n].vlan_depth for n in files), default=0), telescope
                )
                if check.tool == "tcpdump"
                else check.expression,
                input=tuple(sorted(reports[n].path for n in files)),
            )
        evidence.append(replace(item, check=check))
    return _with_exact(finding.with_evidence(tuple(evidence)), wanted)


def _with_exact(finding: Finding, wanted: Any) -> Finding:
    relation = _asks(finding)
    exact = wanted[(relation, finding.window)].exact if relation else None
    if exact is None:
        return finding
    finding = replace(finding, attributes={**finding.attributes, "exact": exact.to_dict(relation)})
    if exact.first is None or exact.last is None:
        return finding
    return replace(finding, count=exact.packets, first_seen=exact.first, last_seen=exact.last)


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
