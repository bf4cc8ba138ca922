"""From a day's summary to the sources of each global signature.

Hits of packets, counted exactly, against the binomial tail (``chance``). Shares play no part: a host that sends a
tool's packets among many others (several infections, a NAT, a fifth of foreign packets) keeps its hits. Only
distinct hits count, by the fields in ``identity``: a retransmission, or a relation between fields that never
change, is one hit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from andon.detect.darknet.tools.catalogue import Signature
from andon.detect.darknet.tools.chance import distinct_hits, expected_by_chance, log_tail
from andon.detect.darknet.tools.ports import named_by_ports
from andon.detect.darknet.tools.sample import Sample
from andon.detect.darknet.tools.summary import ToolsSummary
from andon.records.expression.evaluate import execute
from andon.records.expression.program import Code


@dataclass(frozen=True)
class Judged:
    """The sources that a signature names. Arrays are parallel, ordered by source.

    ``tested`` sources were looked at, of which ``expected`` would be named by chance; ``sampled`` is the share of
    sources that could be looked at (1 unless a table was full)."""

    signature: Signature
    sources: np.ndarray  # uint32
    packets: np.ndarray  # int64: hits; for a session an estimate from the sample
    confidence: np.ndarray  # float64
    first: np.ndarray  # int64 ns
    last: np.ndarray
    tested: int
    expected: float
    sampled: float = 1.0
    single: int = 0  # how many are named on one packet
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))  # of sessions
    ports: Mapping[int, int] = field(
        default_factory=dict
    )  # sampled packets per destination port, of sessions
    looked_at: int = 0  # packets the relation was tried on
    by_ports: int = 0  # how many are named by their ports, not by the relation
    favoured: tuple[int, ...] = ()  # ports that named sources share and ordinary ones do not


def tested_sources(summary: ToolsSummary, lane: int) -> int:
    """How many sources sent packets in a lane: linear counting, never above the number of packets."""
    packets = int(summary.packets[lane])
    estimate = summary.lanes[lane].distinct()
    return packets if math.isinf(estimate) else min(packets, math.ceil(estimate * 1.02) + 2)


def judge_global(
    signature: Signature,
    code: Code | None,
    summary: ToolsSummary,
    samples: Sequence[Sample],
    budget: float,
    least: int = 1,
) -> Judged:
    """Sources of a global signature. ``code`` is its ``value_code``, ``samples`` are the summary's two samples,
    ``budget`` the chance sources allowed, ``least`` the distinct hits asked for."""
    keys, columns = summary.hits.table()
    rows = (keys >> np.uint64(32)) == np.uint64(signature.number)
    sources = (keys[rows] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    columns = {name: array[rows] for name, array in columns.items()}
    tried, hits, also = columns["counts"].T
    scale = 2**summary.hits.level
    distinct = distinct_hits(columns["distinct"], hits)
    if signature.trials == "guard":
        trials, tested = tried, max(1, len(sources) * scale)
        looked_at = int(trials.sum()) * scale
        spread = trials
    else:
        trials = summary.lanes[signature.lane].at_most(sources.astype(np.uint64))
        tested = max(1, tested_sources(summary, signature.lane))
        looked_at = int(summary.packets[signature.lane])
        spread = summary.lanes[signature.lane].row.reshape(-1)
    trials = np.maximum(trials, hits)
    limit = math.log(budget / tested)
    tail = log_tail(trials, distinct, signature.rate)
    named = (tail <= limit) & (distinct >= least)
    expected = expected_by_chance(spread, signature.rate, budget / tested) if looked_at else 0.0
    trust = np.full(len(sources), signature.trust)
    if signature.also:
        has = also * 2 >= hits
        trust[~has] = signature.trust_without_also
    extra = _constant_by_chance(signature, code, samples)
    if expected + extra > budget and signature.also:
        named &= also * 2 >= hits
    expected += extra
    ports: list[int] = []
    several = np.zeros(len(sources), np.bool_)
    if signature.min_ports:
        found, by_ports, ports = named_by_ports(signature, samples[-1], budget)
        several = ~named & np.isin(sources, found)
        trust[several] = by_ports
        named |= several
    certainty = 1.0 - np.minimum(1.0, np.exp(tail + math.log(tested)))
    certainty = np.where(tail <= limit, certainty, 1.0)
    return Judged(
        signature=signature,
        sources=sources[named],
        packets=(tried if signature.trials == "guard" else hits)[named],
        confidence=(trust * certainty)[named],
        first=columns["times"][named, 0],
        last=-columns["times"][named, 1],
        tested=tested,
        expected=expected,
        sampled=min(1.0 / scale, 2.0 ** -samples[-1].level if signature.min_ports else 1.0),
        single=int(np.count_nonzero(named & (distinct == 1) & (tail <= limit))),
        looked_at=looked_at,
        by_ports=int(np.count_nonzero(several)),
        favoured=tuple(ports),
    )


def _constant_by_chance(signature: Signature, code: Code | None, samples: Sequence[Sample]) -> float:
    """Sources expected to satisfy the relation with every packet by chance, because what it compares stays the same
    over their packets (a constant identification, one target and one sequence number, two counters in step): the
    number of such sources, times the chance that the one value they keep is the wanted one."""
    if code is None or signature.lane != 0:
        return 0.0
    constant = 0.0
    for sample in samples:
        values = execute(code, sample.flat(), values=True)[1].reshape(sample.valid.shape)
        same = (values == values[:, :1]) | ~sample.valid  # used places come first
        # A stack that leaves the identification at 0 has not drawn it.
        drawn = (sample.valid & (sample.columns["ip_id"] != 0)).any(axis=1)
        constant += np.count_nonzero((sample.count >= 2) & same.all(axis=1) & drawn) * 2.0**sample.level
    return constant * signature.rate
