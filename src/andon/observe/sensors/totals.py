"""``andon count`` of files that are no captures: what they hold, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.sensors import ASSETS, Sensor
from andon.records.finding import timestamp
from andon.records.kinds import ALERT, CONTACT, DARKNET_SOURCE, FLOW, KINDS, REPORT, kind_of
from andon.sketch.rows import KeyedRows
from andon.sketch.texts import text_keys

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

Totals = dict[str, Any]


def totals(sensor: Sensor, path: str | Path) -> Totals:
    """What the sensor itself counts, else ``kind``, ``records``, first and last time, lines that were skipped by
    reason (of logs with a few ``examples``), and what is worth counting of that kind of record. Raises OSError and
    ValueError."""
    own: Callable[[str | Path], Totals] | None = getattr(sensor, "count", None)
    if own is not None:
        return own(path)
    from andon.observe.jsonlines import Skipped

    skipped: Skipped = Skipped()
    records, seen = 0, _Seen()
    several = len(getattr(sensor, "kinds", ())) > 1
    for batch in sensor.read(path, skipped):
        records += batch.num_rows
        if batch.num_rows:
            seen.add(kind_of(batch) if several else sensor.kind, batch)
    examples = [f"line {line:,}: {what}" for line, what in skipped.examples] if several else []
    return {
        "kind": sensor.name,
        "records": records,
        **seen.numbers(sensor.kind),
        "first_ts": None if seen.first is None else timestamp(seen.first),
        "last_ts": None if seen.last is None else timestamp(seen.last),
        "skipped": dict(skipped.reasons + skipped.passed),
        **({"examples": examples} if examples else {}),
    }


class _Seen:
    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.sums: Counter[str] = Counter()
        self.parts: Counter[str] = Counter()
        self.sets: dict[str, set[Any]] = {}
        self.texts: dict[str, KeyedRows] = {}

    def add(self, kind: str, batch: pa.RecordBatch) -> None:
        if kind in KINDS:
            ts = batch.column(KINDS[kind].time).view(pa.int64()).to_numpy(zero_copy_only=False)
            low, high = int(ts.min()), int(ts.max())
            self.first = low if self.first is None else min(low, self.first)
            self.last = high if self.last is None else max(high, self.last)
        if kind in _TAKE:
            _TAKE[kind](self, batch)

    def numbers(self, kind: str) -> Totals:
        distinct = {name: len(values) for name, values in self.sets.items()}
        distinct |= {name: keys.used << keys.level for name, keys in self.texts.items()}
        return {**self.sums, **distinct, **({_PARTS[kind]: dict(self.parts)} if kind in _PARTS else {})}

    def distinct(self, name: str, values: Any) -> None:
        self.sets.setdefault(name, set()).update(values)

    def distinct_texts(self, name: str, column: pa.Array) -> None:
        """Exact up to ``_TEXTS``, an estimate beyond."""
        words = column.dictionary.filter(pc.not_equal(column.dictionary, ""))
        self.texts.setdefault(name, KeyedRows({}, _TEXTS)).add(text_keys(words))

    def contacts(self, batch: pa.RecordBatch) -> None:
        self.sums["contacts"] += batch.num_rows
        self.sums["refused"] += pc.sum(batch.column("refused")).as_py()
        self.distinct_texts("hosts", batch.column("host"))
        self._lines(batch)

    def flows(self, batch: pa.RecordBatch) -> None:
        self.sums["flows"] += batch.num_rows
        self.distinct_texts("addresses", batch.column("dst"))
        self._lines(batch)

    def alerts(self, batch: pa.RecordBatch) -> None:
        self.sums["alerts"] += batch.num_rows
        self.distinct_texts("alert_hosts", batch.column("host"))
        product, rule = batch.column("product"), batch.column("rule")
        pairs = np.asarray(product.indices, np.int64) << 32 | np.asarray(rule.indices, np.int64)
        pairs = np.unique(pairs)
        both = pc.binary_join_element_wise(
            product.dictionary.take(pa.array(pairs >> 32)),
            rule.dictionary.take(pa.array(pairs & 0xFFFFFFFF)),
            "\x1f",
        )
        self.distinct_texts("signatures", both.dictionary_encode())
        held = batch.column("source").value_counts()
        self.parts.update({item["values"]: item["counts"] for item in held.to_pylist()})

    def _lines(self, batch: pa.RecordBatch) -> None:
        self.distinct_texts("terminals", batch.column("terminal"))
        for name in ("bytes_in", "bytes_out"):
            self.sums[name] += int(np.maximum(batch.column(name).to_numpy(), 0).sum())
        held = batch.column("source").value_counts()
        self.parts.update({item["values"]: item["counts"] for item in held.to_pylist()})

    def sources(self, batch: pa.RecordBatch) -> None:
        self.sums["packets"] += pc.sum(batch.column("packets")).as_py()
        self.distinct("unique_src_v4", np.unique(batch.column("src").to_numpy()).tolist())
        self.distinct("ports", np.unique(batch.column("dst_port").to_numpy()).tolist())
        self.distinct("fingerprints", set(pc.unique(batch.column("fingerprint")).to_pylist()) - {""})

    def reports(self, batch: pa.RecordBatch) -> None:
        self.sums["undated"] += batch.num_rows - pc.sum(batch.column("dated")).as_py()
        held = pc.struct_field(pc.list_flatten(batch.column("mentions")), "type").value_counts()
        self.parts.update({item["values"]: item["counts"] for item in held.to_pylist()})

    def assets(self, batch: pa.RecordBatch) -> None:
        for name, column in (("vendors", "vendor"), ("devices", "device"), ("owners", "owner")):
            self.distinct(name, set(pc.unique(batch.column(column)).to_pylist()) - {""})
        held = batch.column("basis").value_counts()
        self.parts.update({item["values"]: item["counts"] for item in held.to_pylist()})


_TAKE: Final[Mapping[str, Callable[[_Seen, pa.RecordBatch], None]]] = MappingProxyType(
    {DARKNET_SOURCE: _Seen.sources, REPORT: _Seen.reports, ASSETS: _Seen.assets,
     CONTACT: _Seen.contacts, FLOW: _Seen.flows, ALERT: _Seen.alerts}
)  # fmt: skip
_PARTS: Final = MappingProxyType(
    {REPORT: "mentions", ASSETS: "basis", CONTACT: "formats", FLOW: "formats", ALERT: "formats"}
)
_TEXTS: Final = 1 << 20
