"""Episodes with a truth that is known, and analysts who err as much as they are told to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from andon.records.case import Verdict
from andon.records.triage import EPISODES, episode_id
from andon.triage.screening.features import FEATURES

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
START = 1_760_000_000_000_000_000


def episodes(days=20, per_day=40, share=0.1, seed=1, sites=("",), signal=1.5, start=START, audits=0.0):
    """(table of EPISODES, truth bool[n]). True ones lie ``signal`` deviations up in every fourth feature, and a rule
    says a little too."""
    rng = np.random.default_rng(seed)
    n = days * per_day
    truth = rng.random(n) < share
    x = rng.normal(3.0, 1.0, (n, len(FEATURES)))
    x[truth, ::4] += signal
    x = np.maximum(x, 0).astype(np.float32)
    first = start + np.sort(rng.integers(0, days * DAY, n))
    rule = np.where(truth, rng.integers(0, 6, n), rng.integers(0, 12, n))
    score = 1 / (1 + np.exp(-(x[:, ::4].mean(1) - 3.4) * 2))
    tier = np.where(score > np.quantile(score, 0.5), "inspect", "screened").astype(object)
    drawn = (tier == "screened") & (rng.random(n) < audits)
    tier[drawn] = "audit"
    rows = []
    for k in range(n):
        site, host = sites[k % len(sites)], f"host{k % 17}"
        row = {field.name: "" for field in EPISODES if pa.types.is_string(field.type)}
        row |= {field.name: [] for field in EPISODES if pa.types.is_list(field.type)}
        row |= {
            "id": episode_id(site, host, "suricata", str(rule[k]), int(first[k])), "site": site, "host": host,
            "product": "suricata", "rule": str(rule[k]), "title": f"rule {rule[k]}", "severity": 3,
            "first": int(first[k]), "last": int(first[k]) + HOUR // 60, "alerts": 3, "over": True, "disposition": 0,
            "score": float(score[k]), "probability": float("nan"), "rank": 1, "tier": tier[k],
            "why_tier": "audit" if drawn[k] else "below", "features": x[k].tolist(), "model": "first-seen",
            "audit_probability": audits if drawn[k] else float("nan"),
        }  # fmt: skip
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=EPISODES), truth


def verdicts(
    table, truth, analysts=3, noise=0.0, twice=0.2, liar="", rows=None, seed=1, shown="top", wait=HOUR
):
    """One verdict per row, on a share of them two. ``liar``: "" or what analyst 0 does: "denies" (all are false),
    "inverts"."""
    rng = np.random.default_rng(seed)
    out = []
    ids, last = table["id"].to_pylist(), table["last"].cast(pa.int64()).to_pylist()
    for k in range(len(truth)) if rows is None else rows:
        people = rng.permutation(analysts)[: 2 if analysts > 1 and rng.random() < twice else 1]
        for a in people:
            said = bool(truth[k]) != bool(rng.random() < noise)
            if a == 0 and liar:
                said = False if liar == "denies" else not truth[k]
            label = "true-positive" if said else "false-positive"
            out.append(
                Verdict(
                    ("episode", ids[k]),
                    label,
                    f"analyst{a}",
                    shown=shown,
                    time=last[k] + wait,
                    id=len(out) + 1,
                )
            )
    return out
