"""A profile of malware as plain values, put together from the tables and findings of an analysis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from andon.records.expression import ExpressionError, NotExpressible, parse, to_bpf

SCHEMA_NAME: Final = "andon.profile/1"
MOST: Final = 50
_SYN: Final = "tcp.flags & 0x3f == 2"
COPIES: Final = (
    "A token, a password or a scanner is part of the source code, and source code is copied: what is told here "
    "says that two things look alike, not that one person is behind both."
)


@dataclass(frozen=True)
class Profile:
    """A row of ``records.joint.PROFILES`` with its reports and its curve, as plain values."""

    row: Mapping[str, Any]
    reports: Sequence[Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    details: Mapping[str, Any]  # attributes of its newest finding, {} without one

    @property
    def name(self) -> str:
        return str(self.row["family"])

    @property
    def slug(self) -> str:
        """A file name: letters, digits and a hyphen, with the beginning of the series so that no two are alike."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-").lower()[:40] or "family"
        return f"{plain}-{self.row['series'][:6]}"


def profiles(
    tables: Mapping[str, Sequence[pa.Table]], findings: Sequence[Mapping[str, Any]] = ()
) -> list[Profile]:
    """The newest profiles among the tables of an analysis (``Analysis.tables``). ``findings``: their JSON form, from
    which the figures that no table holds are taken."""
    newest = [table for table in tables.get("intel.profile:profiles", ()) if table.num_rows]
    if not newest:
        return []
    details: dict[str, Mapping[str, Any]] = {}
    for body in findings:
        if body.get("kind") == "malware-profile":
            details[str(body["attributes"].get("series"))] = body["attributes"]
    reports: dict[str, list[dict[str, Any]]] = {}
    told = [table for table in tables.get("intel.profile:reports", ()) if table.num_rows]
    for row in told[-1].to_pylist() if told else ():
        reports.setdefault(row["series"], []).append(row)
    curve: dict[str, dict[Any, dict[str, Any]]] = {}
    for table in tables.get("intel.profile:curve", ()):
        for row in table.to_pylist():
            curve.setdefault(row["series"], {})[row["day"]] = row
    return [
        Profile(
            row, reports.get(row["series"], []), [day for _, day in sorted(curve.get(row["series"], {}).items())],
            details.get(row["series"], {}),
        )
        for row in newest[-1].to_pylist()
    ]  # fmt: skip


def as_json(one: Profile) -> dict[str, Any]:
    """The profile as a dictionary of JSON values; dates are RFC 3339, "" for never."""
    body: dict[str, Any] = {"schema": SCHEMA_NAME}
    for name, value in one.row.items():
        body[name] = time(value) if isinstance(value, datetime) else value
    known = {name: value for name, value in one.details.items() if name not in body}
    body |= {name: known[name] for name in sorted(known)}
    body["reports"] = [{**report, "published": time(report["published"])} for report in one.reports]
    body["curve"] = [{**day, "day": time(day["day"])[:10]} for day in one.curve]
    for row in (*body["reports"], *body["curve"]):
        row.pop("family", None)
        row.pop("series", None)
    return body


def time(value: datetime) -> str:
    """RFC 3339 in whole seconds, "" for never."""
    return "" if value.timestamp() <= 0 else f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def device(target: str) -> str:
    """A target as it is shown.

    >>> device("DrayTek|Vigor2960|Router")
    'DrayTek Vigor2960 (Router)'
    """
    vendor, product, kind = [*target.split("|"), "", ""][:3]
    return f"{vendor} {product}".strip() + (f" ({kind})" if kind else "")


def bpf(fingerprint: str) -> str:
    """The filter for a fingerprint in SYN packets, "" if it is no relation or BPF cannot say it."""
    try:
        return to_bpf(parse(f"{_SYN} and ({fingerprint})"))
    except (ExpressionError, NotExpressible):
        return ""
