"""AIT-ADS as episodes with truth: the alerts of the development networks through the engine, its table joined with
labels.

An episode is *true* if one of its alerts has a line-level label; *unclear* if it has none and lies inside an attack
by the clock: unclear ones are work for the analyst and never trained on. A *step* is a label of a network: 42 in all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.records.alert import ALERT
from andon.records.contract import Context, Site
from andon.records.kinds import marked
from andon.triage.screening import engine

DATA = Path(os.environ.get("ANDON_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FILE = DATA / "triage" / "ait_ads_dev.parquet"
DAY = 86_400_000_000_000
_PRODUCTS = {"W": "wazuh", "S": "suricata", "A": "aminer"}


def alerts(table: pa.Table) -> pa.Table:
    """Rows of the data set (columns as in its README) as records of alerts; ``position`` is the row."""
    n = table.num_rows
    words = pa.dictionary(pa.int32(), pa.string())

    def text(values: Any) -> pa.Array:
        return pa.array(values, pa.string()).dictionary_encode().cast(words)

    short = table["short"].cast(pa.string()).to_pylist()
    columns: dict[str, Any] = {
        "ts": pa.array(table["time"].to_numpy() * 1_000_000_000).cast(pa.timestamp("ns", tz="UTC")),
        "product": text([_PRODUCTS[code[0]] for code in short]),
        "rule": text(short),
        "title": text(table["name"].to_pylist()),
        "host": text(table["host"].to_pylist()),
        "address": text(table["ip"].to_pylist()),
        "site": text(table["scenario"].to_pylist()),
        "position": pa.array(np.arange(n)),
        "count": pa.array(np.ones(n, np.int64)),
        "severity": pa.array(np.zeros(n, np.int8)),
        "disposition": pa.array(np.zeros(n, np.int8)),
    }
    arrays = []
    for field in ALERT:
        if field.name in columns:
            arrays.append(columns[field.name])
        elif pa.types.is_integer(field.type):
            arrays.append(pa.array(np.full(n, -1)).cast(field.type))
        else:
            arrays.append(
                pa.array([""] * n, pa.string()).cast(field.type)
                if pa.types.is_string(field.type)
                else text([""] * n)
            )
    return pa.Table.from_arrays(arrays, schema=ALERT)


@dataclass(frozen=True)
class Network:
    """Episodes of one network, one row for each, as the day in which it ended knew it. ``steps``: labels of each;
    ``host``, ``signature``: keys; ``rules``: (product, rule, title); ``days``: of the network."""

    name: str
    features: np.ndarray
    first: np.ndarray
    host: np.ndarray
    signature: np.ndarray
    rules: list[tuple[str, str, str]]
    true: np.ndarray
    unclear: np.ndarray
    steps: list[frozenset[str]]
    alerts: np.ndarray
    days: int
    raw: int

    def __len__(self) -> int:
        return len(self.first)


def episodes(table: pa.Table, site: Site | None = None) -> pa.Table:
    """The table of the engine over all days of the alerts (one network), in time order."""
    return pa.concat_tables(by_day(table, site))


def by_day(table: pa.Table, site: Site | None = None) -> list[pa.Table]:
    """The tables of its days."""
    made = engine(site or Site(settings={"triage.screening.model": "rarity"}))
    ts = table["ts"].cast(pa.int64()).to_numpy()
    carry, out = None, []
    days = ts // DAY
    for day in np.unique(days).tolist():
        summary = made.empty()
        for batch in table.filter(pa.array(days == day)).combine_chunks().to_batches(max_chunksize=65_536):
            summary = made.summarise(marked(batch, "alert"), summary)
        outcome = made.conclude(summary, carry, Context("1d", day * DAY, (day + 1) * DAY))
        carry = outcome.carry
        out.append(outcome.tables["episodes"])
    return out


def network(
    name: str, table: pa.Table, made: pa.Table | None = None, labels: pa.Table | None = None
) -> Network:
    """``table``: rows of the data set of one network; ``made``: episodes of its alerts, if they are there already."""
    made = episodes(alerts(table)) if made is None else made
    labels = table if labels is None else labels
    last = {key: i for i, key in enumerate(made["id"].to_pylist())}  # the last row of an episode holds
    made = made.take(pa.array(sorted(last.values())))
    first = made["first"].cast(pa.int64()).to_numpy()
    end = made["last"].cast(pa.int64()).to_numpy()
    where: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(made["host"].to_pylist(), made["rule"].to_pylist(), strict=True)):
        where.setdefault(key, []).append(i)
    event = labels["event_label"].cast(pa.string())
    clock = labels["time_label"].cast(pa.string())
    told = labels.filter(pc.or_(pc.not_equal(event, "-"), pc.not_equal(clock, "false_positive")))
    steps: list[set[str]] = [set() for _ in range(len(first))]
    unclear = np.zeros(len(first), bool)
    columns = (told[column].to_pylist() for column in ("host", "short", "time", "event_label"))
    for host, rule, time, label in zip(*columns, strict=True):
        for i in where.get((str(host), str(rule)), ()):
            if first[i] <= time * 1_000_000_000 <= end[i]:
                if label == "-":
                    unclear[i] = True
                else:
                    steps[i].add(str(label))
                break
    true = np.array([bool(each) for each in steps])
    width = len(made["features"][0])
    features = np.array(made["features"].combine_chunks().flatten().to_numpy(), np.float32).reshape(-1, width)
    host_names, rule_names = made["host"].to_pylist(), made["rule"].to_pylist()
    rules = list(zip(made["product"].to_pylist(), rule_names, made["title"].to_pylist(), strict=True))
    ts = table["time"].to_numpy()
    return Network(
        name, features, first,
        np.unique(host_names, return_inverse=True)[1].astype(np.uint64),
        np.unique(rule_names, return_inverse=True)[1].astype(np.uint64),
        rules, true, unclear & ~true, [frozenset(each) for each in steps], made["alerts"].to_numpy(),
        int(ts.max() // 86400 - ts.min() // 86400) + 1, len(ts),
    )  # fmt: skip


def load() -> Mapping[str, pa.Table]:
    """Rows of the data set by network, in time order."""
    table = pq.read_table(FILE)
    names = table["scenario"].cast(pa.string())
    return {
        name: table.filter(pc.equal(names, name)).sort_by("time") for name in pc.unique(names).to_pylist()
    }


def with_noise(tables: Mapping[str, pa.Table], name: str, times: int) -> pa.Table:
    """The alerts of a network with ``times`` as much background: to each of its days come ``times`` - 1 whole days of
    background (no label of a line, outside every attack by the clock) of the other networks, at their time of day, on
    hosts of the same names. The recipe of AIT-ADS-A's "more noise" (AlertBERT, arXiv 2602.06534), made anew: days are
    taken in turn from the networks in turn."""
    own = tables[name]
    others = sorted(set(tables) - {name})
    quiet = {}
    for other in others:
        table = tables[other]
        plain = pc.and_(
            pc.equal(table["event_label"].cast(pa.string()), "-"),
            pc.equal(table["time_label"].cast(pa.string()), "false_positive"),
        )
        quiet[other] = table.filter(plain)
    days = np.unique(own["time"].to_numpy() // 86400).tolist()
    parts = [own]
    for copy in range(times - 1):
        for number, day in enumerate(days):
            table = quiet[others[(copy + number) % len(others)]]
            theirs = table["time"].to_numpy() // 86400
            there = np.unique(theirs)
            taken = int(there[(copy // len(others) + number) % len(there)])
            part = table.filter(pa.array(theirs == taken))
            part = part.set_column(
                part.schema.get_field_index("time"),
                "time",
                pa.array(part["time"].to_numpy() + (day - taken) * 86400),
            )
            same = pa.array([name] * part.num_rows, pa.string()).cast(part.schema.field("scenario").type)
            parts.append(part.set_column(part.schema.get_field_index("scenario"), "scenario", same))
    return pa.concat_tables(parts, promote_options="permissive").sort_by("time")
