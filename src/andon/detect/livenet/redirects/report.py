"""The table of chains, and findings ``redirect-chain``: one for a final host, however many came there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.livenet.redirects.classes import DRIVE_BY, SOCIAL, together
from andon.detect.livenet.redirects.ends import PRIOR, WEIGHTS
from andon.detect.livenet.redirects.memory import Memory
from andon.detect.livenet.redirects.rebuild import Told
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text
from andon.records.neutral import neutral

_TIME: Final = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("ts", _TIME, nullable=False),  # of the end
    pa.field("host", pa.string(), nullable=False),  # of the end
    pa.field("final", pa.string(), nullable=False),  # the end without its query
    pa.field("entry", pa.string(), nullable=False),
    pa.field("hops", pa.int64(), nullable=False),  # from the entry to the end
    pa.field("urls", pa.list_(pa.string()), nullable=False),  # the entry first
    pa.field("gaps", pa.list_(pa.float64()), nullable=False),  # s before each hop
    pa.field("signs", pa.list_(pa.string()), nullable=False),  # how each hop is known: see docs/redirects.md
    pa.field("certainty", pa.float64(), nullable=False),  # that the chain is put together rightly
    pa.field("outside", pa.string(), nullable=False),  # referer of the entry that the log does not show
    pa.field("kind", pa.string(), nullable=False),  # of the end: program, archive, document, page
    pa.field("black", pa.string(), nullable=False),  # the list that names the end; ""
    pa.field("probability", pa.float64(), nullable=False),  # that the end is malicious
    pa.field(
        "drive_by", pa.float64(), nullable=False
    ),  # probability of a drive-by against social engineering
]
CHAINS: Final = pa.schema(_FIELDS)
# What speaks for or against a malicious end (``ends.WEIGHTS``) in the words of a finding.
_WHY: Final = {
    "black": "a black list names it",
    "program": "a program was fetched",
    "archive": "an archive was fetched",
    "new host": "nobody here had been to the host before",
    "old host": "several terminals here knew the host before",
    "an address": "it is an address without a name",
    "URL": "its URL looks like those of phishing sites",
    "nobody clicked": "nobody clicked",
    "three domains": "the way goes over three domains",
    "several terminals": "several terminals came there",
}
_HOW: Final = {
    "location": "redirected",
    "status": "redirected, by the status before it",
    "referer": "by its referer",
    "origin": "by the site in its referer",
    "time": "by time alone",
    "pause": "by the same site a while before",
}


def table(chains: Sequence[Told]) -> pa.Table:
    rows = [
        {
            "terminal": one.terminal, "ts": one.times[-1], "host": one.host, "final": one.final, "entry": one.entry,
            "hops": len(one.gaps), "urls": list(one.urls), "gaps": list(one.gaps), "signs": list(one.signs),
            "certainty": one.certainty, "outside": one.outside, "kind": one.kind, "black": one.black,
            "probability": one.probability, "drive_by": together([one.odds], [one.certainty]),
        }
        for one in sorted(chains, key=lambda one: (one.terminal, one.times[-1], one.final))
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, CHAINS)


def findings(
    engine: tuple[str, int],
    chains: Sequence[Told],
    memory: Memory,
    ctx: Context[Any],
    least: float,
    most: int,
    left_out: str,
) -> tuple[Finding, ...]:
    """One for each final host whose end is malicious with at least this probability, the surest first."""
    by_host: dict[str, list[Told]] = {}
    for one in chains:
        by_host.setdefault(one.host, []).append(one)
    made = []
    for host, group in by_host.items():
        users = {one.terminal for one in group}
        before = memory.users(group[0].host_key)
        odds = max(np.log(one.probability / max(1 - one.probability, 1e-12)) for one in group)
        if len(users) + before > 1:
            odds += WEIGHTS["several terminals"]
        probability = float(1 / (1 + np.exp(-min(odds, 30))))
        # One way that is put together by time alone is a guess; that a listed host was met others say already.
        shown = any(sign not in ("time", "pause") for one in group for sign in one.signs)
        if probability >= least and (shown or len(users) > 1):
            made.append((probability, host, group, before))
    made.sort(key=lambda item: (-item[0], item[1]))
    more = f" {len(made) - most} more hosts with such chains are in the table." if len(made) > most else ""
    return tuple(
        _finding(engine, probability, host, group, before, ctx, f"{more} {left_out}".rstrip())
        for probability, host, group, before in made[:most]
    )


def _finding(
    engine: tuple[str, int],
    probability: float,
    host: str,
    group: list[Told],
    before: int,
    ctx: Context[Any],
    more: str,
) -> Finding:
    best = max(group, key=lambda one: (one.certainty * len(one.gaps) ** 0.5, -one.times[-1], one.terminal))
    drive_by = together([one.odds for one in group], [one.certainty for one in group])
    name, sure = (DRIVE_BY, drive_by) if drive_by >= 0.5 else (SOCIAL, 1 - drive_by)
    users = sorted({one.terminal for one in group})
    shown = neutral(host, "domain")
    others = f" ({before} more on earlier occasions)" if before else ""
    last, hops = best.times[-1] - best.times[0], len(best.gaps)
    unsure = sum(sign in ("time", "pause") for sign in best.signs)
    statement = (
        f"{len(users)} terminal{'s' * (len(users) != 1)}{others} came to {shown} over other sites"
        + (f"; {_list(best.black)} names it" if best.black else ", which no list names")
        + f". The clearest way: {_path(best)}; {hops} hop{'s' * (hops != 1)} in {max(last / 1e9, 0):.0f} s"
        + (f", {_of(unsure, hops)}joined by time alone, since the log gives no referer" if unsure else "")
        + (
            f"; the entry came from {neutral(best.outside, 'url')}, which the log does not show"
            if best.outside
            else ""
        )
        + f". {_class(name, sure)} {_malice(best.reasons, probability)}{more}"
    )
    quoted = sql_text(host)
    entries = sorted({one.entry for one in group})
    evidence = [
        Evidence(
            f"chains to {shown} in this hour, as published",
            Check(
                "",
                0.0,
                tool="sql",
                expression=f"SELECT count(*) FROM livenet_redirects_chains WHERE host = {quoted}",
            ),
        ),
        Evidence(
            "terminals that came there",
            Check(
                "",
                0.0,
                tool="sql",
                expression=f"SELECT count(DISTINCT terminal) FROM livenet_redirects_chains WHERE host = {quoted}",
            ),
        ),
        Evidence(_awk(best)),
    ]
    for number, (url, gap, sign) in enumerate(zip(best.urls[1:], best.gaps, best.signs, strict=True), 1):
        evidence.append(Evidence(f"hop {number}: {neutral(url, 'url')} after {gap:.1f} s, {_HOW[sign]}"))
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="redirect-chain",
        title=f"Redirect chain to {shown} ({name})",
        statement=statement,
        confidence=min(probability, 0.99),
        calibration="weights of judgement for malice; class by a logistic model on planted chains (docs/redirects.md)",
        window=(ctx.start, ctx.end),
        subject=(address_type(host, "domain-name"), host),
        first_seen=min(one.times[0] for one in group),
        last_seen=max(one.times[-1] for one in group),
        count=len(group),
        entities=(
            Entity("url", best.final),
            Entity(address_type(host, "domain-name"), host, len(group)),
            *(Entity("url", entry) for entry in entries[:20]),
            *(Entity(address_type(user, "user-account"), user) for user in users[:50]),
        ),
        evidence=tuple(evidence),
        attack=("T1189",) if name == DRIVE_BY else ("T1204.001", "T1566.002"),
        attributes={
            "class": name,
            "class_probability": round(sure, 4),
            "probability": round(probability, 4),
            "terminals": users[:50],
            "terminals_before": before,
            "hops": [
                {"url": url, "pause_s": round(gap, 3), "sign": sign}
                for url, gap, sign in zip(best.urls, (0.0, *best.gaps), ("entry", *best.signs), strict=True)
            ],
            "entries": entries[:20],
            "outside": best.outside,
            "certainty": round(best.certainty, 4),
            "kind": best.kind,
            "list": best.black,
            "prior": PRIOR,
            "reasons": [[text, weight] for text, weight in best.reasons],
        },
    )


def _class(name: str, sure: float) -> str:
    """
    >>> _class("drive-by", 0.876)
    'The way looks like a drive-by, pages that led on without a click (88%), rather than like social engineering.'
    """
    looks = {
        DRIVE_BY: ("a drive-by, pages that led on without a click", SOCIAL),
        SOCIAL: ("social engineering, a user who was lured and clicked", f"a {DRIVE_BY}"),
    }
    like, other = looks[name]
    return f"The way looks like {like} ({sure:.0%}), rather than like {other}."


def _malice(reasons: Sequence[tuple[str, float]], probability: float) -> str:
    """
    >>> _malice([("program", 2.5), ("three domains", 1.0)], 0.5)
    'That its end is malicious: 50%; for it: a program was fetched, the way goes over three domains.'
    """
    texts = [(_WHY.get(text, text), weight) for text, weight in reasons]
    for_it = ", ".join(text for text, weight in texts if weight > 0)
    against = ", ".join(text for text, weight in texts if weight <= 0)
    sure = "over 99%" if probability > 0.99 else f"{probability:.0%}"
    return (
        f"That its end is malicious: {sure}"
        + (f"; for it: {for_it}" if for_it else "")
        + (f"; against it: {against}" if against else "")
        + "."
    )


def _list(name: str) -> str:
    """
    >>> _list("maltrail"), _list("a black list")
    ('black list maltrail', 'a black list')
    """
    return neutral(name) if "black list" in name else f"black list {neutral(name)}"


def _of(some: int, hops: int) -> str:
    return "" if hops == 1 else "all of them " if some == hops else f"{some} of them "


def _path(one: Told) -> str:
    shown = [neutral(url if len(url) <= 80 else url[:77] + "...", "url") for url in one.urls]
    if len(shown) > 6:
        shown = [*shown[:3], f"({len(shown) - 5} more)", *shown[-2:]]
    return " > ".join(shown)


def _awk(one: Told) -> str:
    """A line of awk that shows the hops in a Squid log (times in the first field)."""
    first, last = one.times[0] // 10**9 - 1, one.times[-1] // 10**9 + 120
    who = one.terminal.replace("\\", "").replace('"', "").replace("/", "")
    return (
        "the rows in a Squid log (user in field 8, address in field 3; times there are ends): "
        f'awk \'$1 >= {first} && $1 <= {last} && ($8 == "{neutral(who)}" || $3 == "{neutral(who)}")\' access.log'
    )
