"""Packets made by hand for the DAEDALUS tests, and a runner that hands spans to the engine in time order."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.daedalus import Daedalus
from andon.detect.darknet.daedalus.state import Remembered
from andon.records import packet
from andon.records.columns import column
from andon.records.contract import Context, Organisation, Site
from andon.records.finding import Finding

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
SPAN = 2 * SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01
DARK = ("203.0.112.0/20", "198.18.40.0/21", "2001:db8:dead::/48")
FIRST_DARK, INSIDE_DARK = 0xCB007000, 0xC6122800
UNI = Organisation("Uni", ("198.18.0.0/16", "2001:db8::/32"), ("mail",))
CITY = Organisation("City", ("192.0.2.0/24",), ("mail", "hook"))
RELATIONS = {"mirai": "tcp.seq == ip.dst", "masscan": "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)"}
SITE = Site(telescope=DARK, organisations=(UNI, CITY), relations=RELATIONS)


def v4(text: str) -> int:
    return int(ip_address(text))


def v6(text: str) -> bytes:
    return ip_address(text).packed


def packets(ts: Any, src: Any, dst: Any, **fields: Any) -> pa.RecordBatch:
    """A batch of all columns; scalars are repeated. By default TCP SYN to port 23; IPv4 as numbers, IPv6 as bytes."""
    n = max(
        np.size(ts),
        1 if isinstance(src, bytes) else np.size(src),
        1 if isinstance(dst, bytes) else np.size(dst),
    )
    six = isinstance(src, bytes)
    rng = np.random.default_rng(int(np.ravel(ts)[0]) % 1_000_003)
    values: dict[str, Any] = {
        "src_port": 40_000, "dst_port": 23, "proto": 6, "tcp_flags": packet.SYN, "tcp_seq": rng.integers(0, 1 << 32, n),
        "ip_id": rng.integers(0, 1 << 16, n), "ttl": 50, "tcp_window": 1024, "ip_len": 40,
        "layers": (packet.IPV6 if six else packet.IPV4) | packet.TCP, "vlan_id": packet.NO_VLAN,
        "src": 0 if six else src, "dst": 0 if six else dst, **fields,
    }  # fmt: skip
    arrays = []
    for field in packet.SCHEMA:
        if field.name == "ts":
            whole = np.broadcast_to(np.asarray(ts, np.int64), n)
            arrays.append(pa.array(np.ascontiguousarray(whole), pa.int64()).cast(field.type))
        elif field.name in ("src6", "dst6"):
            given = (src if field.name == "src6" else dst) if six else bytes(16)
            items = [given] * n if isinstance(given, bytes) else list(given)
            arrays.append(pa.array(items, field.type))
        else:
            whole = np.broadcast_to(np.asarray(values.get(field.name, 0)), n)
            arrays.append(pa.array(np.ascontiguousarray(whole.astype(field.type.to_pandas_dtype()))))
    return pa.RecordBatch.from_arrays(arrays, schema=packet.SCHEMA)


def mirai(ts: Any, src: Any, dst: Any, **fields: Any) -> pa.RecordBatch:
    return packets(ts, src, dst, **{"tcp_seq": dst, **fields})


def dark(n: int, seed: int = 0) -> np.ndarray:
    """Dark addresses outside the members' prefixes."""
    return np.random.default_rng(seed).choice(4096, n, replace=False).astype(np.int64) + FIRST_DARK


class Live:
    """Runs the engine span by span. ``wake`` False: the runner that never wakes an engine."""

    def __init__(
        self, site: Site = SITE, wake: bool = True, tables: dict[str, pa.Table] | None = None
    ) -> None:
        self.engine = Daedalus(site)
        self.carry: Remembered | None = None
        self.wake = wake
        self.wake_at: int | None = None
        self.end = START
        self.found: list[Finding] = []
        self.tables = tables or {}
        self.conclusions = 0

    def run(self, *batches: pa.RecordBatch, until: int | None = None) -> list[Finding]:
        """Findings of all packets, then of the timers up to ``until``."""
        before = len(self.found)
        spans: dict[int, list[pa.RecordBatch]] = {}
        for batch in batches:
            ts = column(batch, "ts")
            begins = ts // SPAN * SPAN
            if np.all(begins[1:] >= begins[:-1]):
                edges = [0, *(np.flatnonzero(np.diff(begins)) + 1).tolist(), len(begins)]
                for low, high in pairwise(edges):
                    spans.setdefault(int(begins[low]), []).append(batch.slice(low, high - low))
                continue
            for start in np.unique(begins).tolist():
                rows = np.flatnonzero(begins == start)
                spans.setdefault(start, []).append(batch.take(pa.array(rows)))
        for start in sorted(spans):
            self._wake(start)
            summary = self.engine.empty()
            for batch in spans[start]:
                summary = self.engine.summarise(batch.select(list(self.engine.columns)), summary)
            self._conclude(summary, start)
        if until is not None:
            self._wake(until)
        return self.found[before:]

    def _wake(self, before: int) -> None:
        while self.wake and self.wake_at is not None and self.wake_at // SPAN * SPAN + SPAN <= before:
            start = max(self.wake_at // SPAN * SPAN, self.end)
            assert start == self.wake_at // SPAN * SPAN, "a timer may not lie in a span that is concluded"
            self._conclude(self.engine.empty(), start)

    def _conclude(self, summary: Any, start: int) -> None:
        if self.carry is not None:  # as after a restart
            self.carry = Remembered.from_bytes(self.carry.to_bytes())
        context: Context[Any] = Context(
            "2s", start, start + SPAN, gap=(start - self.end) // SPAN, tables=self.tables
        )
        outcome = self.engine.conclude(summary, self.carry, context)
        self.carry, self.wake_at, self.end = outcome.carry, outcome.wake_at, start + SPAN
        self.found += outcome.findings
        self.conclusions += 1


def told(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """(subject, kind of alert, state) of each."""
    return [(f.subject[1], f.attributes["alert_kind"], f.attributes["state"]) for f in findings]
