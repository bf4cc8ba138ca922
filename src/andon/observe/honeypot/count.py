"""``count`` of a honeypot's log: what it holds, in numbers that can be had with jq and wc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.honeypot import sessions
from andon.observe.jsonlines import Skipped
from andon.records.finding import timestamp


def count(path: str | Path) -> dict[str, Any]:
    """Events, sessions, sources (IPv4), logins, credentials tried, commands, downloads, first and last time, and the
    lines that were skipped, by reason. Raises UnknownLog and OSError.

    >>> count("cowrie.json")["sessions"]     # doctest: +SKIP
    13154
    """
    skipped = Skipped()
    totals = dict.fromkeys(("events", "sessions", "logins", "credentials", "commands", "urls", "requests"), 0)
    sources = np.empty(0, np.int64)
    honeypot, first, last = "", None, None
    for batch in sessions(path, skipped):
        honeypot = batch.column("honeypot")[0].as_py()
        totals["events"] += pc.sum(batch.column("events")).as_py()
        totals["sessions"] += batch.num_rows
        totals["logins"] += pc.sum(batch.column("login")).as_py()
        for name in ("credentials", "commands", "urls", "requests"):
            totals[name] += pc.sum(pc.list_value_length(batch.column(name))).as_py() or 0
        sources = np.union1d(sources, batch.column("address").to_numpy())
        start = pc.min(batch.column("start").cast(pa.int64())).as_py()
        end = pc.max(batch.column("end").cast(pa.int64())).as_py()
        first = start if first is None else min(first, start)
        last = end if last is None else max(last, end)
    return {
        "kind": "honeypot-log",
        "honeypot": honeypot,
        **totals,
        "unique_src_v4": int(np.count_nonzero(sources >= 0)),
        "first_ts": None if first is None else timestamp(first),
        "last_ts": None if last is None else timestamp(last),
        "skipped": dict(skipped.reasons),
    }
