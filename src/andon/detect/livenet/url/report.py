"""Findings ``suspected-url``: few, with what in the URL made them, and a check that anybody can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Locator
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text, timestamp
from andon.records.neutral import neutral
from andon.sketch.urlscore import Reason

BASE_RATE = 1e-4  # of URLs that are malicious, where nothing else is known


@dataclass(frozen=True)
class Suspect:
    """A URL worth a finding. ``expected``: harmless URLs of this score that a day of this size has."""

    url: str
    host: str
    z: float
    score: float
    evidence: float
    false_share: float
    expected: float
    contacts: int
    refused: int
    visitors: int
    terminals: tuple[str, ...]
    first: int
    last: int
    reasons: tuple[Reason, ...]
    servers: tuple[str, ...]
    first_seen: int | None  # in the organisation, where that is known
    rank: int


def finding(
    engine: tuple[str, int], one: Suspect, ctx: Context[Any], locator: Locator | None, more: str
) -> Finding:
    shown = neutral(one.url, "url")
    words = ", ".join(f"{_feature(each.feature)} ({each.weight:+.2f})" for each in one.reasons)
    place = _places(one.servers, locator)
    new = one.first_seen is not None and one.first_seen >= ctx.start
    kind = "the host name alone" if one.url == one.host else "host and path"
    probability = 1 / (
        1 + np.exp(-(np.log(BASE_RATE / (1 - BASE_RATE)) + min(one.evidence, 9.0) + (0.7 if new else 0)))
    )
    statement = (
        f"{shown} reads like the URL of a phishing site ({kind}): about one in "
        f"{_round(1 / max(one.false_share, 1e-12)):,} harmless URLs scores as high, which in a day with as many URLs "
        f"as this one is {one.expected:.2g} by chance. "
        f"{one.visitors:,} terminal{'s' * (one.visitors != 1)} asked for it {_times(one.contacts)}"
        + (f", of which the proxy refused {one.refused:,}" if one.refused else "")
        + (
            "; nobody here had been to the host before this day"
            if new
            else f"; the host is known here since {timestamp(one.first_seen)[:10]}"
            if one.first_seen is not None
            else ""
        )
        + (f"; it is in {place}" if place else "")
        + f". What in it weighs most: {words}. The form of a URL is a hint, no proof: look at the page from a safe "
        f"place, or at what the terminal{'s' * (one.visitors != 1)} did next.{more}"
    )
    url, name = sql_text(one.url), sql_text(one.host)
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="suspected-url",
        title=f"Suspected phishing URL: {shown}",
        statement=statement,
        confidence=float(probability),
        calibration=f"tails of the model on unseen domains and days, own hosts' scores, base rate {BASE_RATE:g}",
        window=(ctx.start, ctx.end),
        subject=("url", one.url),
        first_seen=one.first,
        last_seen=one.last,
        count=one.contacts,
        entities=(
            Entity("url", one.url, one.contacts),
            Entity(address_type(one.host, "domain-name"), one.host, one.contacts),
            *(Entity(address_type(who, "user-account"), who) for who in one.terminals),
        ),
        evidence=(
            Evidence(
                "contacts with exactly this URL, as published",
                Check(
                    "",
                    0.0,
                    tool="sql",
                    expression=f"SELECT sum(contacts) FROM livenet_url_urls WHERE url = {url}",
                ),
            ),
            Evidence(
                "terminals that had to do with the host; in a log: grep -F with the host name",
                Check(
                    "",
                    0.0,
                    tool="sql",
                    expression=f"SELECT count(*) FROM livenet_edges_edges WHERE destination = {name}",
                ),
            ),
        ),
        attack=("T1566.002",),
        severity="medium" if probability >= 0.3 else "low",
        attributes={
            "rank": one.rank,
            "score": round(one.score, 6),
            "log_odds": round(one.z, 3),
            "evidence": round(one.evidence, 3),
            "false_share": float(f"{one.false_share:.3g}"),
            "expected_by_chance": float(f"{one.expected:.3g}"),
            "reasons": [[each.feature, each.weight] for each in one.reasons],
            "terminals": list(one.terminals),
            "servers": list(one.servers),
            "as": place,
        },
    )


def _feature(name: str) -> str:
    """A feature (``sketch.ngrams.described``) in words.

    >>> _feature("path words wp content"), _feature("host acco"), _feature("digits in the path")
    ("words 'wp content' in the path", "'acco' in the host", 'digits in the path')
    """
    part, _, rest = name.partition(" ")
    if part not in ("host", "path") or not rest:
        return neutral(name, "url")
    many, _, text = rest.partition(" ")
    if many in ("word", "words") and text:
        return f"{many} '{neutral(text, 'url')}' in the {part}"
    return f"'{neutral(rest, 'url')}' in the {part}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _round(number: float) -> int:
    """To one digit.

    >>> _round(101_833), _round(166_666)
    (100000, 200000)
    """
    return int(float(f"{number:.1g}"))


def _places(servers: Sequence[str], locator: Locator | None) -> str:
    """Country and AS of the first server that is an IPv4 address."""
    if locator is None:
        return ""
    for server in servers:
        parts = server.split(".")
        if len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts):
            number = int.from_bytes(bytes(map(int, parts)), "big")
            countries, owners = locator.locate(np.array([number], np.uint32))
            return " ".join(text for text in (owners[0], countries[0]) if text)
    return ""


def known(destinations: pa.Table | None) -> dict[str, dict[str, Any]]:
    """By destination: colour, servers, first_seen (None where its age is not known), visitors."""
    if destinations is None:
        return {}
    first = destinations["first_seen"].cast(pa.int64()).to_pylist()
    columns = zip(
        destinations["destination"].to_pylist(),
        destinations["colour"].to_pylist(),
        destinations["servers"].to_pylist(),
        first,
        destinations["age_known"].to_pylist(),
        destinations["visitors"].to_pylist(),
        strict=True,
    )
    return {
        name: {
            "colour": colour,
            "servers": servers,
            "first_seen": seen if aged else None,
            "visitors": visitors,
        }
        for name, colour, servers, seen, aged, visitors in columns
    }
