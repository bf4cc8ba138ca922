"""Findings: one for each episode that is to be inspected or audited today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text
from andon.records.neutral import neutral
from andon.records.triage import AUDIT, INSPECT
from andon.triage.screening.conformal import Promise

_SOURCES: Final = 8
_SURE: Final = 0.9


@dataclass(frozen=True)
class Said:
    """What every finding of a span says too. ``note``: of the promise, or that there are no labels; ``left_out``: what
    bounds left out, "" if nothing."""

    engine: tuple[str, int]
    promise: Promise | None
    note: str
    left_out: str
    labelled: bool


def findings(
    table: pa.Table, worth: np.ndarray, weight: np.ndarray, most: int, said: Said, ctx: Context[Any]
) -> tuple[Finding, ...]:
    """Of a table of episodes (``worth``: of a look at each, as the queue sees it; ``weight``: log-odds that its
    severity added) those to inspect, by rank, then those to audit; at most ``most`` of both."""
    asked = table.append_column("worth", pa.array(worth)).append_column("severity weight", pa.array(weight))
    asked = asked.filter(pc.is_in(table["tier"], pa.array([INSPECT, AUDIT])))
    for name in ("first", "last"):
        asked = asked.set_column(asked.schema.get_field_index(name), name, asked[name].cast(pa.int64()))
    chosen = asked.drop_columns(["features"]).to_pylist()
    chosen.sort(key=lambda row: (row["tier"] == AUDIT, row["rank"], row["site"], row["id"]))
    more = len(chosen) - most
    left_out = said.left_out
    if more > 0:
        left_out += f" {more:,} more episodes of the day are in the table alone (triage.screening.findings)."
    return tuple(_finding(row, said, left_out.strip(), ctx) for row in chosen[:most])


def _finding(row: dict[str, Any], said: Said, left_out: str, ctx: Context[Any]) -> Finding:
    host, rule = neutral(row["host"]), neutral(row["title"] or row["rule"])
    audit = row["tier"] == AUDIT
    probability = row["probability"]
    known = not math.isnan(probability)
    reasons = row["reasons"]
    why = "; ".join(neutral(reason) for reason in reasons) or "nothing stands out"
    place = f" of site {neutral(row['site'])}" if row["site"] else ""
    statement = f"{host}{place}: {row['alerts']:,} alert{'s' * (row['alerts'] != 1)} “{rule}”: {why}. "
    if audit:
        statement += (
            f"It was screened out and drawn by chance ({row['audit_probability']:.2g} was the chance), to measure what "
            "screening misses. "
        )
    elif row["why_tier"] == "budget":
        statement += f"It is number {row['rank']:,} of its day. "
    else:
        statement += f"It is number {row['rank']:,} of its day and above the threshold. "
    weight = row["severity weight"]
    ranked = probability / (probability + (1 - probability) * math.exp(weight)) if weight else probability
    if known and weight:
        statement += (
            f"Episodes that ranked like it were true in {ranked:.1%} of cases; what its product says of severity "
            f"and blocking counts for {weight:+.1f} log-odds, which makes it {probability:.0%} at most (uncalibrated). "
        )
    elif known:
        statement += f"Episodes with such a score were true in {probability:.0%} of cases. "
    statement += said.note + (f" {left_out}" if left_out else "")
    promise = said.promise
    promised = promise is not None and promise.kept
    columns = {"alerts": row["alerts"], "id": row["id"]} | {
        name: row[name] for name in ("host", "product", "rule", "site")
    }
    where = " AND ".join(
        f"{name} = {sql_text(value) if isinstance(value, str) else value}" for name, value in columns.items()
    )
    address = row["address"] or row["host"]
    entities = [Entity(address_type(address, "x-host"), address, row["alerts"])]
    entities += [
        Entity(address_type(source, "domain-name"), source)
        for source in row["sources"][:_SOURCES]
        if source != address
    ]
    entities += [Entity("user-account", user) for user in row["users"]]
    name, version = said.engine
    return Finding(
        engine=name,
        engine_version=version,
        kind="alert-episode",
        title=f"{'Audit' if audit else 'Inspect'}: {rule} on {host}"[:200],
        statement=statement.strip(),
        severity=_severity(row, audit, ranked),
        confidence=min(max(ranked, 0.0), 1.0) if known else 0.0,
        calibration="share of true episodes at this score, out of network (model card)"
        + "; severity not counted in" * bool(weight)
        if known
        else "none: no labels yet",
        window=(ctx.start, ctx.end),
        subject=(
            "alert-episode",
            " ".join(filter(None, (row["site"], row["host"], row["product"], row["rule"]))),
        ),
        aspect=row["id"],
        first_seen=row["first"],
        last_seen=row["last"],
        count=row["alerts"],
        entities=tuple(entities),
        evidence=(
            Evidence(
                f"the episode is in the table, with {row['alerts']:,} alerts of the rule on the host",
                Check(
                    "",
                    0.0,
                    tool="sql",
                    expression=f"SELECT count(*) FROM triage_screening_episodes WHERE {where}",
                ),
            ),
            *(
                Evidence(f"{neutral(reason)} ({weight:+.2f} log-odds)")
                for reason, weight in zip(reasons, row["weights"], strict=True)
            ),
        ),
        attack=tuple(row["attack"]),
        attributes={
            "episode": row["id"],
            "site": row["site"],
            "host": row["host"],
            "address": row["address"],
            "product": row["product"],
            "rule": row["rule"],
            "alert_title": row["title"],
            "alerts": row["alerts"],
            "score": round(row["score"], 6),
            "worth": round(row["worth"], 6),
            "severity_weight": round(weight, 4),
            "probability": round(probability, 6) if known else None,
            "probability_without_severity": round(ranked, 6) if known else None,
            "rank": row["rank"],
            "tier": row["tier"],
            "why_tier": row["why_tier"],
            "reasons": reasons,
            "audit_probability": row["audit_probability"],
            "n": promise.n if promise else 0,
            "networks": promise.networks if promise else 0,
            "alpha": promise.alpha if promise else None,
            "k": promise.k if promise else 0,
            "confidence": promise.confidence if promise and not math.isnan(promise.confidence) else None,
            "threshold": round(promise.threshold, 6) if promise and promised else None,
            "model": row["model"],
        },
    )


def _severity(row: dict[str, Any], audit: bool, probability: float) -> str:
    if audit:
        return "informational"
    if probability >= _SURE and row["rank"] <= 10:
        return "high"
    return "medium" if row["why_tier"] == "conformal" or row["rank"] <= 10 else "low"
