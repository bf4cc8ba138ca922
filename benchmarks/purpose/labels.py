"""Purpose on public labels of scanners: what the evidence allows on 144,316 honeypot probes, with and without lists.

    python benchmarks/purpose/labels.py [DATA]        DATA: folder with labels/, default ../shared/data/darknet-data

The probes (LemonHX25/ScannerGrouper, DNS, HTTP and TLS, eleven weeks) become packets to one address, day by day in
order of time; a source is what its last day with a decision said. They hold no negatives: label 27 is "unknown",
which is not "attack". The lists are dated: the DarkVec half is older than the probes, the list of acknowledged
scanners is of the month after, OpenFilters of sixteen months after, so only the first respects time. The labels
are used here and not shipped.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.detect.darknet import purpose
from andon.detect.darknet.purpose.lists import ScannerLists
from andon.records.contract import Context, Site
from andon.records.packet import IPV4, SCHEMA, SYN, TCP, UDP

DAY = 86_400_000_000_000
_PORTS = {"dns": (17, 53), "http": (6, 80), "tls": (6, 443)}
_TELESCOPE = ("cidr", "addresses", "seen", "given", "first", "last")


def probes(path: Path) -> tuple[pa.RecordBatch, np.ndarray, dict[int, str]]:
    """(packets in order of time, their days, label of each source)."""
    table = pq.read_table(path).to_pydict()
    ts = np.array(
        [int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9 for text in table["ts"]]
    )
    src = np.array([int(IPv4Address(text)) for text in table["src"]], np.uint32)
    proto, port = np.array([_PORTS[name] for name in table["service"]]).T
    names: dict[int, str] = {}
    for address, label in zip(src.tolist(), table["label"], strict=True):
        names[address] = label if names.get(address, "unknown") == "unknown" else names[address]
    order = np.argsort(ts, kind="stable")
    tcp = proto[order] == 6
    columns = {
        "ts": ts[order],
        "src": src[order],
        "dst": np.full(len(ts), 0xC0000201, np.uint32),
        "dst_port": port[order].astype(np.uint16),
        "proto": proto[order].astype(np.uint8),
        "tcp_flags": np.where(tcp, SYN, 0).astype(np.uint8),
        "layers": np.where(tcp, IPV4 | TCP, IPV4 | UDP).astype(np.uint8),
        "icmp_type": np.zeros(len(ts), np.uint8),
    }
    fields = [field for field in SCHEMA if field.name in columns]
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in fields]
    return pa.record_batch(arrays, schema=pa.schema(fields)), ts[order] // DAY, names


def decide(batch: pa.RecordBatch, days: np.ndarray, lists: dict[str, pa.Table]) -> dict[int, str]:
    """The last decided purpose of each source, "undecided" if none."""
    engine = purpose.engine(Site(lists=lists))
    carry, found = None, {}
    edges = np.flatnonzero(np.diff(days)) + 1
    before = None
    for start, end in zip(np.r_[0, edges], np.r_[edges, len(days)], strict=True):
        day = int(days[start])
        part = batch.slice(int(start), int(end - start))
        first, last = day * DAY, (day + 1) * DAY - 1
        telescope = pa.table(
            dict(zip(_TELESCOPE, (["192.0.2.1/32"], [1], [1], [True], [first], [last]), strict=True))
        )
        for name in ("first", "last"):
            at = telescope.schema.get_field_index(name)
            telescope = telescope.set_column(at, name, telescope[name].cast(pa.timestamp("ns", tz="UTC")))
        gap = 0 if before is None else day - before - 1
        context: Context[Any] = Context(
            "1d", day * DAY, (day + 1) * DAY, gap=gap, tables={"darknet.census:telescope": telescope}
        )
        outcome = engine.conclude(engine.summarise(part, engine.empty()), carry, context)
        carry, before = outcome.carry, day
        for row in outcome.tables["sources"].select(["src", "purpose"]).to_pylist():
            if row["purpose"] != "undecided" or row["src"] not in found:
                found[row["src"]] = row["purpose"]
    return found


def report(found: dict[int, str], names: dict[int, str]) -> dict[str, Any]:
    by_label: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for src, label in names.items():
        by_label[label][found[src]] += 1
    known = Counter()
    for label, counts in by_label.items():
        if label != "unknown":
            known += counts
    return {
        "survey recall over labelled sources": round(known["survey"] / known.total(), 4),
        "labelled called attack": known["attack"],
        "undecided share of labelled": round(known["undecided"] / known.total(), 4),
        "unknown": dict(by_label["unknown"]),
        "recall by organisation": {
            label: f"{counts['survey']}/{counts.total()}"
            for label, counts in sorted(by_label.items(), key=lambda item: -item[1].total())
            if label != "unknown"
        },
    }


def main() -> None:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/darknet-data") / "labels"
    batch, days, names = probes(data / "scannergrouper_probes_train.parquet")
    openfilters = pq.read_table(data / "internet_scanners_openfilters.parquet")
    acknowledged = pq.read_table(data / "acknowledged_scanners_rasterburn1.parquet")
    half = pq.read_table(data / "darkvec_ground_truth_half.parquet")
    darkvec = pa.table({"cidr": half["ip"], "organisation": half["class"]})
    without = decide(batch, days, {})
    result = {
        "probes": batch.num_rows,
        "sources": len(names),
        "labelled sources": sum(label != "unknown" for label in names.values()),
        "without lists": report(without, names),
        "darkvec half, older": report(decide(batch, days, {"darkvec half": darkvec}), names),
        "acknowledged 2025-03": report(decide(batch, days, {"acknowledged 2025-03": acknowledged}), names),
        "openfilters 2026-06": report(decide(batch, days, {"openfilters 2026-06": openfilters}), names),
    }
    everything = {"acknowledged 2025-03": acknowledged, "openfilters 2026-06": openfilters}
    address = np.array([int(IPv4Address(text)) for text in half["ip"].to_pylist()], np.uint32)
    classes = np.array(half["class"].to_pylist())
    recall: dict[str, Any] = {}
    for name, lists in (*((name, {name: table}) for name, table in everything.items()), ("both", everything)):
        listed = ScannerLists(lists).find(address).organisation >= 0
        recall[name] = {
            "all": round(float(listed.mean()), 4),
            **{
                c: f"{int(listed[classes == c].sum())}/{int((classes == c).sum())}"
                for c in np.unique(classes)
            },
        }
    result["lists against the DarkVec half"] = recall
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
