"""Findings on links: those that are new or have doubled since they were last told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np

from andon.detect.darknet.link.clock import PEAK
from andon.detect.darknet.link.evidence import CALIBRATION, Judged
from andon.detect.darknet.link.history import Told
from andon.detect.darknet.link.lease import STRONG
from andon.detect.darknet.link.tables import NAME, SUBJECT, Link, subject
from andon.detect.darknet.link.versions import Analysed
from andon.records import joint
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding

VERSION: Final = 1
_DOUBLED: Final = 2.0
_NANO = 1_000_000_000
_LISTED = 20
_TECHNIQUES: Final = {
    joint.CREDENTIAL: ("T1110",),
    joint.EXPLOIT: ("T1190",),
    joint.URL: ("T1105",),
    joint.URL_BASE: ("T1105",),
    joint.PAYLOAD: ("T1105",),
}


@dataclass(frozen=True)
class Story:
    """A link to be told, and the links that say the same with another set of ports."""

    link: Link
    others: tuple[Link, ...]


def stories(found: list[Link]) -> list[Story]:
    """Links to tell, strongest first. What a fingerprint tells needs no telling by sets of ports; of several sets that
    go with one behaviour that of the most sources tells for all."""
    by_behaviour: dict[tuple[str, str], list[Link]] = {}
    for one in found:
        by_behaviour.setdefault((one.kind, one.value), []).append(one)
    made = []
    for group in by_behaviour.values():
        prints = [one for one in group if one.mark_kind == joint.MARK_FINGERPRINT]
        sets = sorted(
            (one for one in group if one.mark_kind != joint.MARK_FINGERPRINT),
            key=lambda one: (-one.sources, one.p, one.mark),
        )
        if prints:
            made += [Story(one, tuple(sets)) for one in prints]
        elif sets:
            made.append(Story(sets[0], tuple(sets[1:])))
    return sorted(made, key=lambda s: (s.link.p, -s.link.sources, s.link.series))


def shown(kind: str, value: str) -> str:
    """A value as a person may see it: control characters written out, URLs that nothing will follow.

    >>> shown("url", "http://198.51.100.7/a.sh"), shown("token", "A\\x1bB")
    ('hxxp://198[.]51[.]100[.]7/a.sh', 'A\\\\x1bB')
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    if "://" in text:
        scheme, rest = text.split("://", 1)
        host, slash, path = rest.partition("/")
        text = f"{scheme.replace('tt', 'xx')}://{host.replace('.', '[.]')}{slash}{path}"
    return text


def tell(
    made: Analysed, judged: Judged, found: list[Link], told: Told, most: int, left_out: str, ctx: Context[Any]
) -> tuple[tuple[Finding, ...], Told]:
    """(findings, what was told by now)."""
    every = stories(found)
    before = dict(zip(told.series, zip(told.sources.tolist(), told.at.tolist(), strict=True), strict=True))
    end = ctx.end // _NANO
    fresh = [
        story
        for story in every
        if story.link.series not in before or story.link.sources >= _DOUBLED * before[story.link.series][0]
    ]
    findings = tuple(
        _finding(made, judged, story, before.get(story.link.series), ctx) for story in fresh[:most]
    )
    if findings:
        more = len(fresh) - len(findings)
        told_later = f"{more:,} further new links are told on the next days; the table links has them all."
        said = " ".join(text for text in (told_later * bool(more), left_out) if text)
        if said:
            first = findings[0]
            findings = (replace(first, statement=f"{first.statement} {said}"), *findings[1:])
    current = {one.series for one in found}
    now = {series: (n, end if series in current else at) for series, (n, at) in before.items()}
    now |= {story.link.series: (story.link.sources, end) for story in fresh[:most]}
    kept = sorted(series for series, (_, at) in now.items() if at > end - 30 * 86400)
    return findings, Told(
        kept,
        np.array([now[series][0] for series in kept], np.int64),
        np.array([now[series][1] for series in kept], np.int64),
    )


def _finding(
    made: Analysed, judged: Judged, story: Story, before: tuple[int, int] | None, ctx: Context[Any]
) -> Finding:
    one = story.link
    text = shown(one.kind, one.value)
    mark = (
        f"fingerprint {shown(one.mark_kind, one.mark)}"
        if one.mark_kind == joint.MARK_FINGERPRINT
        else f"ports {one.mark}"
    )
    news = "" if before is None else f" Told before with {before[0]:,} sources."
    classes = ", ".join(
        f"{count:.1f} {name}"
        for count, name in zip(
            one.by_class,
            ("in the same /24", "in the same /20", "in the same /16", "at another time"),
            strict=True,
        )
        if not math.isnan(count)
    )
    target = made.target.pairings
    statement = (
        f"{one.sources:,} sources in {one.networks:,} /24s have {mark} in the darknet and the {one.kind} {text} at "
        f"honeypots, {one.effect:.1f} times as many as if the two had nothing to do with each other (p = {one.p:.1e} "
        f"among {target.matched:,} sources that both have seen). Decoys with both: {classes}. "
        f"Of links as good as this one an estimated {100 * one.fdr:.2g} % are false. Median lag from the darknet to "
        f"the honeypot: {_time(one.lag)}.{news}"
    )
    evidence = [_counted(one), *_more(made, judged, story)]
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="malware-link",
        title=f"{mark[0].upper()}{mark[1:]} goes with {one.kind} {text}",
        statement=statement,
        confidence=one.probability,
        calibration=CALIBRATION,
        window=(ctx.start, ctx.end),
        subject=(SUBJECT, subject(one.mark, one.kind, one.value)),
        first_seen=one.first * _NANO,
        last_seen=one.last * _NANO,
        count=one.sessions,
        entities=tuple(Entity("ipv4-addr", str(IPv4Address(src))) for src in one.src.tolist()),
        evidence=tuple(evidence),
        attack=_TECHNIQUES.get(one.kind, ()),
        attributes=_attributes(made, judged, story, ctx),
    )


def _counted(one: Link) -> Evidence:
    """The check: anyone can count the sources in the table of matches."""
    text = f"{one.sources:,} sources match; {one.decoys:.1f} do by chance, as moved addresses tell"
    if not (one.mark + one.value).isprintable():
        return Evidence(f"{text}. The value cannot be written in SQL: see the table links")
    where = " AND ".join(
        f"{name} = '{value.replace(chr(39), chr(39) * 2)}'"
        for name, value in (
            ("mark_kind", one.mark_kind),
            ("mark", one.mark),
            ("kind", one.kind),
            ("value", one.value),
        )
    )
    sql = f"SELECT count(DISTINCT src) FROM darknet_link_matches WHERE {where}"
    return Evidence(text, Check("", one.decoys, "sql", sql))


def _more(made: Analysed, judged: Judged, story: Story) -> list[Evidence]:
    one = story.link
    found = [
        Evidence(
            f"Weight of the evidence {one.weight:.1f} bits: address and time against decoys, association, lag, port"
        )
    ]
    if one.weak > one.sources:
        found.append(
            Evidence(
                f"With matches up to seven days apart, where an address is kept for so long, {one.weak:,} sources; the "
                "link does not rest on them"
            )
        )
    reach = made.leases.reach(one.src)
    short = int((reach < STRONG).sum())
    if short:
        found.append(
            Evidence(
                f"{short:,} of the sources are in networks where an address is kept for less than a day; there only "
                f"matches within that time count ({_time(int(reach.min()))} at least)"
            )
        )
    carried = _delivered(made, one)
    if carried:
        found.append(
            Evidence(
                f"{carried:,} of the sources have it by a loader that came with the bot's password within an hour; "
                f"at another hour {100 * made.deliveries.by_chance:.0f} % of the loaders would find a bot too"
            )
        )
    if story.others:
        sets = ", ".join(f"{other.mark} ({other.sources:,})" for other in story.others[:_LISTED])
        found.append(Evidence(f"Sets of ports that go with it as well, with their sources: {sets}"))
    clock = made.offsets[0]
    if clock.found:
        found.append(
            Evidence(
                f"The honeypots' clock is {clock.seconds:+,} s off the darknet's ({clock.low:+,} to {clock.high:+,}): "
                + (
                    f"{clock.sources:,} sources came to both within a minute of that, {clock.expected:.1f} by chance"
                    if clock.method == PEAK
                    else f"median of {clock.sources:,} sources known for less than a day"
                )
                + "; corrected"
            )
        )
    return found


def _delivered(made: Analysed, one: Link) -> int:
    """Sources that show the behaviour only by a loader."""
    history = made.history
    code = made.target.pairings.behaviour[one.row]
    sessions = history.sessions
    if not len(made.deliveries.bot):
        return 0
    own = np.repeat(np.arange(len(sessions)), sessions.count)[sessions.behaviour == code]
    direct = np.unique(sessions.address[own])
    followed = np.unique(sessions.address[made.deliveries.bot])
    return int(np.isin(one.src, followed).sum() - np.isin(one.src, np.intersect1d(direct, followed)).sum())


def _attributes(made: Analysed, judged: Judged, story: Story, ctx: Context[Any]) -> dict[str, Any]:
    one = story.link
    other_time = one.by_class[3]
    clock = made.offsets[0]
    return {
        one.mark_kind.replace("-", "_"): one.mark,
        "behaviour": {"kind": one.kind, "value": one.value},
        "cve": one.value if one.kind == joint.EXPLOIT and one.value.startswith("CVE-") else "",
        "token": one.value if one.kind == joint.TOKEN else "",
        "sources": one.sources,
        "networks_24": one.networks,
        "decoys": round(one.decoys, 3),
        "decoys_24": round(one.by_class[0], 3),
        "decoys_20": round(one.by_class[1], 3),
        "decoys_16": round(one.by_class[2], 3),
        "decoys_at_another_time": None if math.isnan(other_time) else round(other_time, 3),
        "fdr": one.fdr,
        "fdr_at_another_time": None if math.isnan(judged.fdr_time) else round(judged.fdr_time, 4),
        "p_value": one.p,
        "effect": round(one.effect, 4),
        "probability": round(one.probability, 6),
        "weight_bits": round(one.weight, 3),
        "lag_median_s": one.lag,
        "honeypot_ports": list(one.ports),
        "sessions": one.sessions,
        "matched_sources": made.target.pairings.matched,
        "ambiguous_sessions": len(made.target.marked.ambiguous),
        "clock_offset_s": clock.seconds if clock.found else None,
        "sources_within_7d": one.weak,
        "window_s": STRONG,
        "remembered_from": int(made.history.levels[:, 0].min(initial=ctx.start // _NANO // 86400)) * 86400,
        "port_sets": [other.mark for other in story.others[:_LISTED]],
    }


def _time(seconds: int) -> str:
    size = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if size < 120:
        return f"{sign}{size} s"
    if size < 7200:
        return f"{sign}{size / 60:.0f} min"
    return f"{sign}{size / 3600:.1f} h"
