"""Episodes as rows of ``records.triage.EPISODES``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.triage import EPISODES, episode_id
from andon.triage.screening.episodes import Episodes
from andon.triage.screening.summary import (
    ADDRESS,
    ATTACK,
    CATEGORY,
    COMMAND,
    CVE,
    DIGEST,
    NAME,
    PATH,
    SRC,
    TARGET,
    TITLE,
    USER,
    starts_of,
    within,
)  # fmt: skip

BLOCKED: Final = 2
_LISTS: Final = {  # column -> (kind, most)
    "sources": (SRC, 16), "targets": (TARGET, 16), "users": (USER, 8), "names": (NAME, 16), "paths": (PATH, 16),
    "digests": (DIGEST, 8), "commands": (COMMAND, 8),
}  # fmt: skip
_SPLIT: Final = {"attack": ATTACK, "cves": CVE}
_ONE: Final = {"address": ADDRESS, "title": TITLE, "category": CATEGORY}


def words(made: Episodes, name: str) -> list[str]:
    """Site, host, product or rule of each episode."""
    return [made.texts[key] for key in made.pairs[name][made.table["row"]].tolist()]


def ids(made: Episodes) -> list[str]:
    columns = [words(made, name) for name in ("site", "host", "product", "rule")]
    return [episode_id(*each) for each in zip(*columns, made.table["first"].tolist(), strict=True)]


def single(made: Episodes, kind: int) -> list[str]:
    """The one value of a kind that each episode has; "" if none."""
    out = [""] * len(made)
    chosen = made.values["kind"] == kind
    for at, key in zip(
        made.values["slot"][chosen].tolist(), made.values["value"][chosen].tolist(), strict=True
    ):
        out[at] = made.texts[key]
    return out


def _none(n: int) -> pa.Array:
    """Empty lists."""
    return pa.ListArray.from_arrays(pa.array(np.zeros(n + 1, np.int32)), pa.array([], pa.string()))


def _listed(made: Episodes, kind: int, most: int) -> pa.Array:
    """Texts of a kind, most alerts first, for each episode. Values are in that order already."""
    values = made.values
    at = np.flatnonzero(values["kind"] == kind)
    at = at[within(starts_of((values["slot"][at],)), len(at)) < most]
    counts = np.bincount(values["slot"][at], minlength=len(made))
    texts = pa.array([made.texts[key] for key in values["value"][at].tolist()], pa.string())
    return pa.ListArray.from_arrays(pa.array(np.r_[0, np.cumsum(counts)], pa.int32()), texts)


def _split(made: Episodes, kind: int) -> pa.Array:
    """Texts that hold several with commas between, apart."""
    values = made.values
    chosen = values["kind"] == kind
    out: list[list[str]] = [[] for _ in range(len(made))]
    for at, key in zip(values["slot"][chosen].tolist(), values["value"][chosen].tolist(), strict=True):
        for one in made.texts[key].split(","):
            one = one.strip()
            if one and one not in out[at] and len(out[at]) < 32:
                out[at].append(one)
    return pa.array(out, pa.list_(pa.string()))


def table(made: Episodes, judged: dict[str, Any], shown: Callable[[], np.ndarray]) -> pa.Table:
    """``judged``: the columns from "score" on, and ``id`` and ``over``; rows where ``shown()`` is false are left
    out."""
    t = made.table
    columns: dict[str, Any] = {name: words(made, name) for name in ("site", "host", "product", "rule")}
    columns |= {name: single(made, kind) for name, kind in _ONE.items()}
    there = set(np.unique(made.values["kind"]).tolist())
    nothing = _none(len(made))  # most products fill few of the lists
    for name, (kind, most) in _LISTS.items():
        columns[name] = _listed(made, kind, most) if kind in there else nothing
    for name, kind in _SPLIT.items():
        columns[name] = _split(made, kind) if kind in there else nothing
    columns |= {
        "severity": t["severity"].astype(np.int8),
        "first": t["first"],
        "last": t["last"],
        "alerts": t["alerts"],
        "disposition": np.where(t["open"] == 0, BLOCKED, 0).astype(np.int8),
    }
    columns |= judged
    arrays = []
    for column in EPISODES:
        values = columns[column.name]
        if isinstance(values, pa.Array):
            arrays.append(values)
        elif pa.types.is_timestamp(column.type):
            arrays.append(pa.array(values, pa.int64()).cast(column.type))
        else:
            arrays.append(pa.array(values, column.type))
    made_table = pa.Table.from_arrays(arrays, schema=EPISODES)
    kept = shown()
    return made_table if kept.all() else made_table.filter(pa.array(kept))
