"""A family laid on the sample: which packets carry it, how many of whom, to which ports, how surely.

The search says which sources share a relation; here it is evaluated once more on every sampled packet, so that
whatever found it (a layer, the genetic search, yesterday) is judged by the same measure. Figures for the whole span
are scaled up from each source's sample; exact ones come from the runner's second read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from andon.detect.darknet.fingerprint.proof import GLOBAL_BITS, SESSION_BITS, log2_choose
from andon.detect.darknet.fingerprint.sample import COLUMNS, Family, Sample
from andon.detect.darknet.fingerprint.verify import Counted
from andon.records.expression import (
    Comparison,
    Expression,
    ExpressionError,
    chance_rate,
    compile_program,
    evaluate,
    parse,
    session_key,
)
from andon.records.expression.ast import fields_of, keys_of
from andon.records.expression.evaluate import execute
from andon.records.expression.fields import FIELDS
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_value
from andon.records.packet import IPV4, SYN, TCP

_CHANCE_SHARE = 0.01
_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Measured:
    """A family and its figures. Arrays are parallel to ``family.sources``; ``rows`` are the indices of the sampled
    packets of these sources that carry the relation; ``others`` counts such packets of other sources (scaled up).
    ``slow`` are those of the sources that are no proof by themselves, but so many that chance gives at most one in a
    hundred of them (``slow_by_chance`` in all); ``unproven`` are other sources with such packets, among ``looked_at``
    packets."""

    family: Family
    hits: np.ndarray  # sampled packets with the relation
    sampled: np.ndarray  # sampled packets
    sent: np.ndarray  # SYN packets in all
    packets: np.ndarray  # with the relation, scaled up
    keys: np.ndarray  # of sessions; else empty
    rows: np.ndarray
    ports: Mapping[int, float]  # scaled packets per destination port
    others: float
    first: int
    last: int
    proven: Mapping[str, int]
    slow: np.ndarray
    slow_by_chance: float
    unproven: np.ndarray
    looked_at: int

    @property
    def total(self) -> int:
        """Packets of the span that carry the family, estimated."""
        return int(self.packets.sum())

    def chance(self, packets: int) -> float:
        """How many of so many unrelated packets would satisfy the relation by chance."""
        return float(packets * 2.0**-self.family.bits)

    def precision(self) -> tuple[float, float, float]:
        """(share, low, high) of the packets that satisfy a global relation that come from the sources named: what a
        filter would catch of the family. 95 % Wilson interval on the sampled packets. For a session the share of the
        sampled packets of these sources."""
        if len(self.keys):
            good, every = float(self.hits.sum()), float(self.sampled.sum())
            return wilson(good / max(1.0, every), every)
        share = self.total / max(1.0, self.total + self.others)
        return wilson(share, float(len(self.rows)) / max(share, 1e-9))


def wilson(share: float, n: float) -> tuple[float, float, float]:
    """(share, low, high): the 95 % score interval of a share seen in n trials (Wilson, JASA 22, 1927).

    >>> [round(x, 3) for x in wilson(1.0, 100)]
    [1.0, 0.963, 1.0]
    """
    if n <= 0:
        return share, 0.0, 1.0
    z2 = _Z * _Z / n
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(max(0.0, share * (1 - share) / n + z2 / (4 * n)))
    return share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


class Packets:
    """The sampled packets as columns for evaluation, with the weight of each in the whole span."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.of_row = sample.of_row
        self.sizes = np.diff(sample.starts)
        self.columns: dict[str, np.ndarray] = {name: sample.columns[name] for name in COLUMNS}
        self.columns["src"] = sample.src[self.of_row]
        self.columns["layers"] = np.full(sample.rows, IPV4 | TCP, np.uint8)
        self.columns["tcp_flags"] = np.full(sample.rows, SYN, np.uint8)
        self.weight = sample.packets / np.maximum(1, self.sizes)

    def carried(self, relation: str, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(rows that carry a relation, their keys or empty): of a session relation the largest group of packets with
        one key of each source, and other groups that prove themselves (a scanner that was started again).
        ``among`` (bool per row): no other rows. Raises ExpressionError for a text that is no relation."""
        program = compile_program(parse(relation))
        if not program.key_bits:
            hit = evaluate(program, self.columns)
            return np.flatnonzero(hit if among is None else hit & among), np.empty(0, np.uint32)
        keys, valid = session_key(program, self.columns)
        rows = np.flatnonzero(valid if among is None else valid & among)
        pair = (self.of_row[rows].astype(np.uint64) << np.uint64(32)) | keys[rows].astype(np.uint64)
        groups, at, counts = np.unique(pair, return_inverse=True, return_counts=True)
        source = (groups >> np.uint64(32)).astype(np.int64)
        order = np.lexsort((groups, -counts, source))
        first = order[np.r_[True, np.diff(source[order]) != 0]] if len(order) else order
        largest = np.zeros(len(groups), np.bool_)
        largest[first] = True
        bits = -math.log2(chance_rate(program.expression))
        rows = rows[(largest | ((counts - 1) * bits >= SESSION_BITS))[at]]
        return rows, keys[rows]

    def measure(self, family: Family) -> Measured:
        """The figures of a family; every packet of its sources if its relation is not of the language (an order)."""
        count = len(self.sample.src)
        in_language = True
        try:
            rows, keys = self.carried(family.relation)
            fields = fields_of(parse(family.relation))
        except ExpressionError:
            rows, keys = np.arange(self.sample.rows), np.empty(0, np.uint32)
            fields, in_language = frozenset({"ip.dst"}), False
        of = self.of_row[rows]
        hits = np.bincount(of, minlength=count)
        mine = np.zeros(count, np.bool_)
        mine[family.sources] = True
        by_itself = in_language and not len(keys)
        slow, by_chance = self._slow(hits, mine, family.bits) if by_itself else (np.empty(0, np.int64), 0.0)
        if len(slow):
            mine[slow] = True
            family = replace(family, sources=np.flatnonzero(mine))
        inside = mine[of]
        kept = rows[inside]
        key_of = np.zeros(count, np.uint32)
        if len(keys):
            key_of[of[inside]] = _commonest(of[inside], keys[inside])
        sources = family.sources
        ts = self.sample.columns["ts"][kept]
        return Measured(
            family=family,
            hits=hits[sources],
            sampled=self.sizes[sources],
            sent=self.sample.packets[sources],
            packets=np.rint(hits[sources] * self.weight[sources]).astype(np.int64),
            keys=key_of[sources] if len(keys) else keys,
            rows=kept,
            ports=self._ports(kept),
            others=float((hits * self.weight)[~mine].sum()) if by_itself else 0.0,
            first=int(ts.min()) if len(ts) else 0,
            last=int(ts.max()) if len(ts) else 0,
            proven=dict(family.proven) or self._proven(fields, kept, within=bool(len(keys))),
            slow=slow,
            slow_by_chance=by_chance,
            unproven=np.flatnonzero((hits > 0) & ~mine) if by_itself else np.empty(0, np.int64),
            looked_at=int(self.sizes[~mine].sum()),
        )

    def _slow(self, hits: np.ndarray, mine: np.ndarray, bits: float) -> tuple[np.ndarray, float]:
        """(sources that are members by their number, how many of them are so by chance).

        Sources that satisfy a relation in at least half of their packets and that prove nothing by themselves. With
        rate p chance gives p for a source of one packet and 2 p for one of two; larger ones hardly ever. If that is
        at most 1 % of what is seen, a member is one by chance with at most that probability (false discovery rate).
        """
        rate = 2.0**-bits
        some = (hits > 0) & (2 * hits >= self.sizes) & ~mine
        found = np.flatnonzero(some)
        sizes = np.minimum(self.sizes[~mine], 5)
        n = np.bincount(sizes, minlength=6)
        expected = rate * (n[1] + 2 * n[2]) + rate**2 * (3 * n[3] + 6 * n[4] + 10 * n[5])
        if bits < 6 or len(found) <= 10 or expected > _CHANCE_SHARE * len(found):
            return np.empty(0, np.int64), 0.0
        return found, float(expected)

    def _ports(self, rows: np.ndarray) -> dict[int, float]:
        counts = np.bincount(
            self.columns["dst_port"][rows], self.weight[self.of_row[rows]], minlength=65536
        ).round(6)
        top = np.lexsort((np.arange(65536), -counts))[:50]
        return {int(port): float(counts[port]) for port in top if counts[port] > 0}

    def _proven(self, fields: frozenset[str] | set[str], rows: np.ndarray, within: bool) -> dict[str, int]:
        """For each field the bits that took both values; ``within``: among packets of one source."""
        proven: dict[str, int] = {}
        of = self.of_row[rows]
        begins = np.flatnonzero(np.r_[True, np.diff(of) != 0]) if len(rows) else np.empty(0, np.int64)
        for name in sorted(fields):
            values = self.columns[FIELDS[name].column][rows].astype(np.uint32)
            if not len(values):
                proven[name] = 0
            elif within:
                base = np.repeat(values[begins], np.diff(np.r_[begins, len(values)]))
                proven[name] = int(np.bitwise_or.reduce(values ^ base))
            else:
                proven[name] = int(np.bitwise_or.reduce(values ^ values[0]))
        return proven


def _commonest(source: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each row the key that most rows of its source have (the lowest of those)."""
    pair = (source.astype(np.uint64) << np.uint64(32)) | keys.astype(np.uint64)
    groups, counts = np.unique(pair, return_counts=True)
    of = (groups >> np.uint64(32)).astype(np.int64)
    order = np.lexsort((groups, -counts, of))
    first = order[np.r_[True, np.diff(of[order]) != 0]]
    found: np.ndarray = groups[first].astype(np.uint32)[np.searchsorted(of[first], source)]
    return found


def recognise(
    packets: Packets, relation: str, scope: str, least: int, among: np.ndarray | None = None
) -> tuple[Family, np.ndarray] | None:
    """(a relation known beforehand with its sources, the rows that carry it); None if fewer than ``least`` sources do.
    ``among`` (bool per row): only these rows are looked at.

    The evidence is that of the search (``verify``): h r - log2 C(n, h) bits, 24 for a global relation; for a session
    40, from three packets on, with one packet less and r no more than the bits that varied. Packets in which the
    compared field repeats a value do not count again."""
    try:
        expression = parse(relation)
        rate = chance_rate(expression)
    except ExpressionError:
        return None
    if rate >= 2.0**-6:
        return None
    bits = -math.log2(rate)
    rows, keys = packets.carried(relation, among)
    count = len(packets.sample.src)
    session = scope == "session"
    sizes = packets.sizes if among is None else np.bincount(packets.of_row[among], minlength=count)
    key = keys if len(keys) else np.zeros(len(rows), np.uint32)
    groups = Counted.of(packets.of_row[rows], key, _compared(packets, expression, rows))
    each = np.minimum(bits, np.bitwise_count(groups.varied)) if session else bits
    evidence = (groups.hits - session) * each - log2_choose(
        np.maximum(sizes[groups.source], groups.hits), groups.hits
    )
    strong = (evidence >= (SESSION_BITS if session else GLOBAL_BITS)) & (groups.hits >= (3 if session else 1))
    sources = np.unique(groups.source[strong])
    if len(sources) < least:
        return None
    mine = np.zeros(count, np.bool_)
    mine[sources] = True
    kept = strong[groups.of_row] if session else mine[packets.of_row[rows]]
    return Family(relation, scope, sources, bits, "carried", {}), rows[kept]


def _compared(packets: Packets, expression: Expression, rows: np.ndarray) -> np.ndarray:
    """For each row (uint32) what the relation compares; for a constant something that differs from packet to packet."""
    part = next((p for p in conjuncts(expression) if isinstance(p, Comparison)), None)
    if part is not None and (fields_of(part.right) or keys_of(part.right)) and fields_of(part.left):
        left: np.ndarray = execute(compile_value(part.left), packets.columns, values=True)[1][rows]
        return left
    c = packets.columns
    mixed: np.ndarray = c["dst"] ^ (c["tcp_seq"] * np.uint32(0x9E3779B1)) ^ c["src_port"].astype(np.uint32)
    chosen: np.ndarray = mixed[rows]
    return chosen


def without_rows(sample: Sample, gone: np.ndarray) -> tuple[Sample, np.ndarray]:
    """(the sample without the rows marked, for each source left its index in the old one)."""
    keep = ~gone
    sizes = np.bincount(sample.of_row[keep], minlength=len(sample.src))
    left = np.flatnonzero(sizes)
    return Sample(
        src=sample.src[left],
        starts=np.r_[0, np.cumsum(sizes[left])].astype(np.int64),
        columns={name: array[keep] for name, array in sample.columns.items()},
        packets=sample.packets[left],
    ), left


def earliest(sample: Sample, rows: int) -> tuple[Sample, int]:
    """(the sample with at most about so many rows, how many of each source at most): the earliest of each."""
    sizes = np.diff(sample.starts)
    most = int(sizes.max(initial=0))
    if sample.rows <= rows:
        return sample, most
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= rows:
            low = middle
        else:
            high = middle - 1
    rank = np.arange(sample.rows) - np.repeat(sample.starts[:-1], sizes)
    return without_rows(sample, rank >= low)[0], low


def evidence_of(family: Family, hits: np.ndarray) -> np.ndarray:
    """Whether so many packets with a family's relation, and no other's, prove it for a source (bool)."""
    if family.scope == "session":
        return np.asarray((hits - 1) * family.bits >= SESSION_BITS)
    return np.asarray(hits * family.bits >= GLOBAL_BITS)
