"""The tables of a span: profiles, their reports, the daily counts."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from andon.detect.intel.profile.page import DAY, Page
from andon.records.finding import series_of
from andon.records.joint import PROFILES

NAME: Final = "intel.profile"
_TIME = pa.timestamp("ns", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


CURVE: Final = (
    _schema(  # a row for each family and day; the days before come when they are first told, or anew
        ("family", pa.string()),
        ("series", pa.string()),
        ("day", _TIME),
        ("darknet", pa.int64()),  # distinct sources with its marks
        ("honeypot", pa.int64()),  # distinct addresses of bots with its behaviours
        ("sessions", pa.int64()),  # at honeypots, with its busiest behaviour
        ("loaders", pa.int64()),  # distinct addresses
    )
)
REPORTS: Final = _schema(
    ("family", pa.string()),
    ("series", pa.string()),
    ("report", pa.string()),
    ("published", _TIME),
    ("title", pa.string()),
    ("score", pa.float64()),  # bits
    ("chance", pa.float64()),  # share of shuffled reports that score as much
    ("direct", pa.bool_()),  # a hash, URL, address or token that only this family has
    ("early", pa.bool_()),  # written before the family was first seen
    ("why", pa.string()),
)


def series(page: Page) -> str:
    return series_of(NAME, "malware", page.number)


def profiles_table(pages: list[Page]) -> pa.Table:
    rows = []
    for page in pages:
        row: dict[str, Any] = {
            name: list(getattr(page, name))
            for name in ("aliases", "fingerprints", "port_sets", "tokens", "credentials", "cves", "targets",
            "url_bases",
                         "payloads", "loaders", "controllers")
        }  # fmt: skip
        row |= {
            "family": page.family,
            "reports": [found.report for found in page.reports],
            "state": page.life.state,
            "first_darknet": page.first["darknet"],
            "first_honeypot": page.first["honeypot"],
            "first_report": page.first["report"],
            "probability": round(page.probability, 6),
            "series": series(page),
        }
        rows.append(row)
    return pa.Table.from_pylist(rows, PROFILES)


def reports_table(pages: list[Page]) -> pa.Table:
    rows = [
        {
            "family": page.family, "series": series(page), "report": found.report, "published": found.published,
            "title": found.title, "score": found.score, "chance": found.chance, "direct": found.direct,
            "early": found.early,
            "why": "; ".join(found.why)[:2000],
        }
        for page in pages for found in page.reports
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, REPORTS)


def curve_table(pages: list[Page], today: int) -> pa.Table:
    rows = [
        {
            "family": page.family, "series": series(page), "day": one.day * DAY, "darknet": one.darknet,
            "honeypot": one.honeypot, "sessions": one.sessions, "loaders": one.loaders,
        }
        for page in pages
        for one in page.life.days
        if one.day == today or page.known.get("marks") != list(page.life.marks)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, CURVE)
