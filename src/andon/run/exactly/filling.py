"""Findings with their checks written out and counted, from what the second read counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from andon.records.expression import NotExpressible, to_bpf
from andon.records.finding import Check, Finding
from andon.run.exactly.counted import Counted, Tally
from andon.run.exactly.figures import Exact, least_packets
from andon.run.exactly.wanted import Wanted, asks, parsed

if TYPE_CHECKING:
    from andon.run.feed import Telescope

_NAMED: Final = 16  # files of a history that a check names


def filled(
    findings: Sequence[Finding],
    wanted: Wanted,
    counted: Counted,
    inputs: Sequence[str],
    telescope: Telescope | None,
    within: Mapping[str, str] = MappingProxyType({}),
) -> list[Finding]:
    """The findings that ``wanted`` was made from, with every check translated and its count given.

    ``inputs``: paths of all files of the job as they were given; one that was given twice is named twice. ``within``:
    of files of a history, the folder of its table, which a check names instead of more than 16 of them. A check whose
    relation the tool cannot express keeps an empty ``expression``; its ``expected`` is still exact. Only findings that
    ask for exact figures get another ``count``, ``first_seen`` and ``last_seen``. Raises ValueError for figures of
    other relations or inputs."""
    if not counted.fits(wanted):
        raise ValueError("these figures were counted for other findings")
    known = set(inputs)
    for tally in counted.tallies.values():
        if not tally.inputs <= known:
            raise ValueError(f"counted in a file that is not of this job: {min(tally.inputs - known)}")
    return [_filled(finding, wanted, counted, inputs, telescope, within) for finding in findings]


def _filled(
    finding: Finding,
    wanted: Wanted,
    counted: Counted,
    inputs: Sequence[str],
    telescope: Telescope | None,
    within: Mapping[str, str],
) -> Finding:
    evidence = []
    for item in finding.evidence:
        check = item.check
        if check is not None and check.relation:
            tally = _tally(finding, check.relation, wanted, counted)
            check = replace(
                check,
                expected=_expected(tally, check.relation),
                expression=_expression(check, tally, counted, telescope),
                input=_named([path for path in inputs if path in tally.inputs], within),
            )
        evidence.append(replace(item, check=check))
    return _with_exact(finding.with_evidence(tuple(evidence)), wanted, counted)


def _named(paths: Sequence[str], within: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of the inputs; of many files of one history its folder, or each of a thousand findings of a month would
    name thousands of files."""
    counted = Counter(within[path] for path in paths if path in within)
    many = {folder for folder, files in counted.items() if files > _NAMED}
    folders = {within[path] for path in paths if within.get(path) in many}
    return tuple(sorted([path for path in paths if within.get(path) not in many] + list(folders)))


def _tally(finding: Finding, relation: str, wanted: Wanted, counted: Counted) -> Tally:
    return counted.tallies.get(wanted.numbers[relation, finding.window], Tally())


def _expected(tally: Tally, relation: str) -> int | None:
    return tally.packets if tally.sessions is None else tally.sessions.number(least_packets(parsed(relation)))


def _expression(check: Check, tally: Tally, counted: Counted, telescope: Telescope | None) -> str:
    if check.tool != "tcpdump":
        return check.expression
    depth = max((counted.depth.get(path, 0) for path in tally.inputs), default=0)
    return _tcpdump(check.relation, depth, telescope)


def _with_exact(finding: Finding, wanted: Wanted, counted: Counted) -> Finding:
    relation = asks(finding)
    if not relation:
        return finding
    tally = _tally(finding, relation, wanted, counted)
    exact = (tally.exact or Exact()).to_dict(relation, tally.packets, tally.first, tally.last)
    finding = replace(finding, attributes={**finding.attributes, "exact": exact})
    if tally.first is None or tally.last is None:
        return finding
    return replace(finding, count=tally.packets, first_seen=tally.first, last_seen=tally.last)


def _tcpdump(relation: str, vlan_depth: int, telescope: Telescope | None) -> str:
    try:
        text = to_bpf(parsed(relation))
    except NotExpressible:
        return ""
    if telescope is not None:
        text = f"({text}) and ({telescope.bpf()})"
    # `vlan` moves all later offsets behind the tag, so each depth of tags needs an arm of its own.
    nested = text
    for _ in range(vlan_depth):
        nested = f"({text}) or (vlan and ({nested}))"
    return nested
