"""Address orders in words: one finding per kind of order, one per scan that several sources share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.evidence import dotted
from andon.detect.darknet.fingerprint.judged import number
from andon.detect.darknet.fingerprint.order import BITS, CYCLIC, STRIDE, OrderFound, Orders, shared_scans
from andon.detect.darknet.fingerprint.order_check import order_check
from andon.detect.darknet.fingerprint.sample import Sample
from andon.records.finding import Entity, Evidence, Finding
from andon.sketch.cyclic import LARGEST_GENERATOR, ORDER, P

_CHECKED = 3
_LISTED = 20
_TIME = pa.timestamp("ns", tz="UTC")
ORDERS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("src", pa.uint32()),
            ("port", pa.int32()),  # -1: all ports of the source together
            ("order", pa.string()),
            ("generator", pa.int64()),  # of a cyclic walk; 0 otherwise
            (
                "multiplier",
                pa.int64(),
            ),  # position = multiplier * value modulo the order; 0 where there is none
            ("pieces", pa.int32()),  # shards times threads that walk in step
            ("threads", pa.int32()),  # pieces seen from this source
            ("blocklist", pa.bool_()),
            ("down", pa.bool_()),
            ("bits", pa.float64()),  # of evidence, after all that was tried has been paid for
            ("in_order", pa.int64()),  # packets of the sample in order
            ("looked_at", pa.int64()),
            ("walked", pa.float64()),  # share of the order walked from the first to the last
            ("positions_per_second", pa.float64()),
            ("packets", pa.int64()),  # scaled up
            ("first", _TIME),
            ("last", _TIME),
        )
    ]
)


def order_findings(
    orders: Orders,
    sample: Sample,
    engine: tuple[str, int],
    window: tuple[int, int],
    carried: Families,
    again: bool = False,
) -> tuple[list[Finding], pa.Table]:
    """(findings, the table ``orders``). ``engine``: name and version; ``window``: start and end of the span (ns);
    ``carried``: notes which orders were seen, so that their names and ages last over days. ``again``: only orders that
    are news become findings."""
    groups: dict[str, list[OrderFound]] = {}
    for one in orders.found:
        groups.setdefault(one.order, []).append(one)
    ranked = sorted(groups.items(), key=lambda item: (-len({one.source for one in item[1]}), item[0]))
    shared = sorted(shared_scans(orders.found).items(), key=lambda item: (-len(item[1]), item[0]))
    findings = []
    for name, group in (*ranked, *shared[:_LISTED]):
        news = carried.is_news(name, window[0])
        found = _finding(name, group, orders, sample, engine, window, carried)
        if news or not again:
            findings.append(found)
    return findings, _table(orders.found, sample)


def packets_of(one: OrderFound, sample: Sample) -> int:
    """Packets of the source that belong to its scan, scaled up from its sample."""
    size = int(sample.starts[one.source + 1] - sample.starts[one.source])
    return max(len(one.rows), round(int(sample.packets[one.source]) * len(one.rows) / max(1, size)))


def rate(one: OrderFound, sample: Sample) -> float:
    """Positions of the order that the source passes in a second; 0 where that cannot be said."""
    ts = sample.columns["ts"][one.rows]
    seconds = float(ts[-1] - ts[0]) / 1e9
    if one.order != CYCLIC or seconds <= 0:
        return 0.0
    return max(0.0, one.turns / one.walk.pieces * ORDER / seconds * one.threads)


def _finding(
    name: str,
    group: Sequence[OrderFound],
    orders: Orders,
    sample: Sample,
    engine: tuple[str, int],
    window: tuple[int, int],
    carried: Families,
) -> Finding:
    packets: dict[int, int] = {}
    for one in group:
        packets[one.source] = packets.get(one.source, 0) + packets_of(one, sample)
    by_size = sorted(packets, key=lambda source: (-packets[source], int(sample.src[source])))
    times = np.concatenate([sample.columns["ts"][one.rows] for one in group])
    total = sum(packets.values())
    known = carried.see(name, "session", "scan-order", window[0], len(packets), total)
    count = number(len(packets), "source")
    visiting = f"visit{'' if len(packets) != 1 else 's'} addresses in this order"
    doing = visiting if name == group[0].order else "share one scan"
    chance = orders.series * 2.0**-BITS
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="scan-order",
        title=f"{name}: {count} {doing}",
        statement=_statement(name, group, packets, orders, sample, known.spans),
        confidence=0.99 * (1.0 - min(1.0, chance)),
        calibration=f"every source has at least {BITS:.0f} bits of evidence after all orders, multipliers and series "
        f"that were tried have been paid for: {chance:.2g} by chance among the {number(orders.sources, 'source')} "
        "judged; at most 0.99, because several programs may walk in the same order",
        window=window,
        subject=("fingerprint", name),
        first_seen=int(times.min()),
        last_seen=int(times.max()),
        count=total,
        entities=tuple(
            Entity("ipv4-addr", dotted(sample.src[source]), packets[source]) for source in by_size
        ),
        evidence=_evidence(group, sample),
        attack=("T1595.001",),
        attributes=_attributes(name, group, packets, orders, sample, known.born, known.spans),
    )


def _statement(
    name: str,
    group: Sequence[OrderFound],
    packets: dict[int, int],
    orders: Orders,
    sample: Sample,
    spans: int,
) -> str:
    count = number(len(packets), "source")
    if name != group[0].order:
        text = (
            f"{count} walk the group modulo 2^32 + 15 with one and the same generator, {group[0].walk.generator}: one "
            "scan, divided among them. "
        )
    elif name == CYCLIC:
        small = sum(one.walk.small for one in group)
        text = (
            f"{count} visited the telescope in ZMap's order: the next address is the last one times a generator, "
            "modulo 2^32 + 15. No header field is needed for this, so it holds for a ZMap that hides its marks. "
        )
        if small:
            text += f"In {number(small, 'scan')} the generator is below 2^22, as ZMap draws it now. "
        if len(group) > small:
            text += f"In {number(len(group) - small, 'scan')} it is larger: an older ZMap, or a copy of one. "
    elif name == STRIDE:
        text = f"{count} visited the telescope in steps of one constant length modulo 2^32, each source with its own. "
    else:
        down = sum(one.down for one in group)
        text = f"{count} visited the telescope in this order" + (
            f", {down} of them backwards. " if down else ". "
        )
    fit, looked = sum(len(one.rows) for one in group), sum(one.looked_at for one in group)
    text += f"Of {looked:,} packets looked at, {fit:,} come in order. "
    rates = sorted(r for one in group if (r := rate(one, sample)) > 0)
    if rates:
        middle = rates[len(rates) // 2]
        text += (
            f"They pass about {middle:,.0f} addresses of the Internet a second each (median), a whole pass in "
            f"{ORDER / middle / 3600:,.1f} h. "
        )
    if spans > 1:
        text += f"Seen in {spans} spans so far. "
    if orders.left_out:
        text += " ".join(orders.left_out) + ". "
    return text.strip()


def _evidence(group: Sequence[OrderFound], sample: Sample) -> tuple[Evidence, ...]:
    least = min(one.bits for one in group)
    items = [
        Evidence(
            f"{number(len(group), 'scan')}, each with at least {least:,.0f} bits of evidence for its order"
        )
    ]
    for one in group[:_CHECKED]:
        made = order_check(sample, one)
        if made is not None:
            where = f"{dotted(sample.src[one.source])}" + (f" at port {one.port}" if one.port >= 0 else "")
            items.append(
                Evidence(f"{where}: {made[0]} (SQL over packets.parquet as the table packets)", made[1])
            )
    return tuple(items)


def _attributes(
    name: str,
    group: Sequence[OrderFound],
    packets: dict[int, int],
    orders: Orders,
    sample: Sample,
    born: int,
    spans: int,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "order": group[0].order,
        "modulus": P if group[0].order == CYCLIC else 1 << 32,
        "sources": len(packets),
        "scans": len(group),
        "packets": sum(packets.values()),
        "packets_from": "scaled up from each source's sample",
        "least_bits": round(min(one.bits for one in group), 1),
        "expected_chance_sources": float(f"{orders.series * 2.0**-BITS:.3g}"),
        "sources_judged": orders.sources,
        "listed": [_scan(one, sample) for one in group[:_LISTED]],
        "born": born,
        "spans_seen": spans,
    }
    if group[0].order == CYCLIC:
        made["small_generators"] = sum(one.walk.small for one in group)
        made["largest_small_generator"] = LARGEST_GENERATOR
        made["with_default_blocklist"] = sum(one.blocklist for one in group)
    if name != group[0].order:
        made["generator"] = group[0].walk.generator
    return made


def _scan(one: OrderFound, sample: Sample) -> dict[str, Any]:
    made: dict[str, Any] = {
        "source": dotted(sample.src[one.source]),
        "port": one.port if one.port >= 0 else "all",
        "direction": "down" if one.down else "up",
        "bits": round(one.bits, 1),
        "in_order": len(one.rows),
        "looked_at": one.looked_at,
    }
    if one.order == CYCLIC:
        made |= {
            "generator": one.walk.generator or None,
            "threads": one.threads,
            "pieces": one.walk.pieces,
            "blocklist": "default" if one.blocklist else "none",
            "walked": round(one.turns / one.walk.pieces, 6),
            "addresses_per_second": round(rate(one, sample)),
        }
    elif one.order == STRIDE:
        u = one.walk.multiplier
        made |= {"multiplier": u, "step": pow(u, -1, 1 << 32) if u % 2 else None}
    return made


def _table(found: Sequence[OrderFound], sample: Sample) -> pa.Table:
    ts = sample.columns["ts"]
    rows = [
        (
            int(sample.src[one.source]), one.port, one.order, one.walk.generator, one.walk.multiplier, one.walk.pieces,
            one.threads, one.blocklist, one.down, one.bits, len(one.rows), one.looked_at, one.turns / one.walk.pieces,
            rate(one, sample), packets_of(one, sample), int(ts[one.rows].min()), int(ts[one.rows].max()),
        )
        for one in found
    ]  # fmt: skip
    return pa.Table.from_arrays(
        [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(ORDERS)], schema=ORDERS
    )
