"""From a day's summary to the sources of each signature.

Global signatures: hits of packets, counted exactly, against the binomial tail (``chance``). Shares play no part:
a host that sends a tool's packets among many others (several infections, a NAT, a fifth of foreign packets)
keeps its hits. Session signatures: the largest group of a source's sampled packets with one key. A packet is
further evidence only if the fields named in ``vary`` take another value, so constant fields prove nothing; with
d different values the evidence is (d - 1) r bits, plus the rarity of the guard. 40 bits are asked for, and that
the expected number of chance groups over all sources is within the budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from andon.detect.darknet.tools.catalogue import Signature
from andon.detect.darknet.tools.chance import distinct_hits, expected_by_chance, log2_choose, log_tail
from andon.detect.darknet.tools.summary import SAMPLE, ToolsSummary
from andon.records.expression import ast, compile_program, evaluate, machine, parse
from andon.records.expression.evaluate import execute
from andon.records.expression.program import Code, Emitter
from andon.records.packet import IPV4, SYN, TCP
from andon.sketch.hashing import mix64_array, unmix64_array
from andon.sketch.rows import KeyedRows

EVIDENCE_BITS = 40.0
_LEAST_ORDINARY = 30  # sources to compare with
_FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
_FIELD_COLUMN = {
    "ip.dst": "dst",
    "ip.id": "ip_id",
    "tcp.seq": "tcp_seq",
    "tcp.srcport": "src_port",
    "tcp.dstport": "dst_port",
    "tcp.window": "tcp_window",
}


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


def tested_sources(summary: ToolsSummary, lane: int) -> int:
    """How many sources sent packets in a lane: linear counting, never above the number of packets."""
    packets = int(summary.packets[lane])
    estimate = summary.lanes[lane].distinct()
    return packets if math.isinf(estimate) else min(packets, math.ceil(estimate * 1.02) + 2)


def judge_global(signature: Signature, summary: ToolsSummary, budget: float, least: int = 1) -> Judged:
    """Sources of a global signature; ``budget``: chance sources allowed; ``least``: distinct hits asked for."""
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
        spread = summary.lanes[signature.lane].cells[0]
    trials = np.maximum(trials, hits)
    limit = math.log(budget / tested)
    tail = log_tail(trials, distinct, signature.rate)
    named = (tail <= limit) & (distinct >= least)
    expected = expected_by_chance(spread, signature.rate, budget / tested) if looked_at else 0.0
    trust = np.full(len(sources), signature.trust)
    if signature.also:
        has = also * 2 >= hits
        trust[~has] = signature.trust_without_also
    if signature.constant:
        extra = _constant_by_chance(summary)
        if expected + extra > budget and signature.also:
            named &= also * 2 >= hits
        expected += extra
    if signature.min_ports:
        ports = np.bitwise_count(columns["ports"]).astype(np.int64)
        by_ports = ~named & (ports >= signature.min_ports) & (tried >= signature.min_ports)
        trust[by_ports] = _trust_in_ports(signature, summary, budget)
        named |= by_ports & (trust > 0.0)
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
        sampled=1.0 / scale,
        single=int(np.count_nonzero(named & (distinct == 1) & (tail <= limit))),
        looked_at=looked_at,
    )


def _constant_by_chance(summary: ToolsSummary) -> float:
    """Sources expected to send the wanted IP identification in every packet by chance: those that send a
    constant one (some stacks do), over the 65,535 values it could have been."""
    constant = 0.0
    for rows in (summary.others, summary.guarded):
        sample = _Sample(rows, int(summary.key))
        low = np.where(sample.valid, sample.columns["ip_id"], 0xFFFF).min(axis=1, initial=0xFFFF)
        high = np.where(sample.valid, sample.columns["ip_id"], 0).max(axis=1, initial=0)
        constant += np.count_nonzero((sample.count >= 2) & (low == high) & (low > 0)) * 2.0**rows.level
    return constant / 65535.0


def _trust_in_ports(signature: Signature, summary: ToolsSummary, budget: float) -> float:
    """How likely a source that passes the guard and reaches ``min_ports`` is more than an ordinary host: 0 where
    hosts that pass the guard reach as many ports no more often than those that pass ``compare``.

    With f and q the shares of sources with that many ports in the two groups, a part (f - q) / (1 - q) of the
    first group must be something else; that is (f - q) / (f (1 - q)) of its sources with many ports."""
    sample = _Sample(summary.others, summary.key)
    inside, ordinary = (
        _many_ports(sample, signature, signature.guard),
        _many_ports(sample, signature, signature.compare),
    )
    if len(ordinary) < _LEAST_ORDINARY:
        return signature.trust_by_ports
    common = (np.count_nonzero(ordinary) + 1) / (len(ordinary) + 2)
    common += 2.33 * math.sqrt(common * (1.0 - common) / len(ordinary))  # not too low with 99 % confidence
    many, count = int(np.count_nonzero(inside)), len(inside)
    if common >= 1.0 or log_tail(np.array([max(1, count)]), np.array([many]), common)[0] > math.log(budget):
        return 0.0
    share = many / count
    return min(signature.trust, (share - common) / (share * (1.0 - common)))


def _many_ports(sample: _Sample, signature: Signature, group: str) -> np.ndarray:
    """For each source with ``min_ports`` sampled packets in the group: whether they went to as many ports."""
    member = sample.valid & evaluate(compile_program(parse(group)), sample.flat()).reshape(sample.valid.shape)
    ports = _distinct(member, [sample.columns["dst_port"]])
    return np.asarray(ports[member.sum(axis=1) >= signature.min_ports] >= signature.min_ports)


class _Sample:
    """A sample table as columns of shape (sources, SAMPLE); ``valid`` tells used places."""

    def __init__(self, rows: KeyedRows, key: int) -> None:
        keys, columns = rows.table()
        self.sources = keys.astype(np.uint32)
        self.packets = columns["packets"]
        self.first, self.last = columns["times"][:, 0], -columns["times"][:, 1]
        items = columns["sample"].reshape(len(keys), SAMPLE, 2)
        hashed, others = items[..., 0].reshape(-1), items[..., 1].reshape(-1)
        salt = np.uint64(key)
        word = unmix64_array(hashed, salt) ^ mix64_array(others, salt)
        shape = (len(keys), SAMPLE)
        self.valid = (hashed != _FREE).reshape(shape)
        self.count = self.valid.sum(axis=1)
        low16 = np.uint64(0xFFFF)
        self.columns = {
            "src": np.repeat(self.sources, SAMPLE).reshape(shape),
            "dst": (word >> np.uint64(32)).astype(np.uint32).reshape(shape),
            "tcp_seq": (word & np.uint64(0xFFFFFFFF)).astype(np.uint32).reshape(shape),
            "src_port": (others >> np.uint64(48)).astype(np.uint16).reshape(shape),
            "dst_port": ((others >> np.uint64(32)) & low16).astype(np.uint16).reshape(shape),
            "tcp_window": ((others >> np.uint64(16)) & low16).astype(np.uint16).reshape(shape),
            "ip_id": (others & low16).astype(np.uint16).reshape(shape),
        }

    def flat(self) -> dict[str, np.ndarray]:
        """The columns for evaluation, one row per place; every place as a TCP SYN packet."""
        rows = {name: array.reshape(-1) for name, array in self.columns.items()}
        rows["layers"] = np.full(self.valid.size, IPV4 | TCP, np.uint8)
        rows["tcp_flags"] = np.full(self.valid.size, SYN, np.uint8)
        return rows


def value_code(signature: Signature) -> Code:
    """Machine code for the left side of a session relation. Raises ValueError if a sample could not give it."""
    emitter = Emitter()
    emitter.emit(machine.VALUE, emitter.value(signature.value))
    names = ast.fields_of(signature.value)
    unknown = sorted((names | set(signature.vary) | set(signature.specific)) - _FIELD_COLUMN.keys())
    if unknown:
        raise ValueError(
            f"session signature of {signature.tool} needs {', '.join(unknown)}, which is not sampled"
        )
    return emitter.finish()


def judge_session(signature: Signature, code: Code, summary: ToolsSummary, budget: float) -> Judged:
    """Sources of a session signature, from the sampled packets of those that pass its guard."""
    tables = [summary.guarded] if signature.guard_bits else [summary.guarded, summary.others]
    parts = [_session_part(signature, code, rows, summary.key, budget) for rows in tables]
    sources = np.concatenate([part.sources for part in parts])
    # A source may be in both tables; it is one source, with the stronger of the two claims.
    order = np.lexsort((-np.concatenate([part.packets for part in parts]), sources))
    keep = order[np.r_[True, np.diff(sources[order]) != 0]] if len(order) else order
    ports: dict[int, int] = {}
    for part in parts:
        for port, count in part.ports.items():
            ports[port] = ports.get(port, 0) + count

    def joined(name: str) -> np.ndarray:
        return np.asarray(np.concatenate([getattr(part, name) for part in parts])[keep])

    return Judged(
        signature=signature,
        sources=sources[keep],
        packets=joined("packets"),
        confidence=joined("confidence"),
        first=joined("first"),
        last=joined("last"),
        keys=joined("keys"),
        tested=sum(part.tested for part in parts),
        expected=sum(part.expected for part in parts),
        sampled=min(part.sampled for part in parts),
        ports=ports,
        looked_at=sum(part.looked_at for part in parts),
    )


def _session_part(signature: Signature, code: Code, rows: KeyedRows, key: int, budget: float) -> Judged:
    sample = _Sample(rows, key)
    shape = sample.valid.shape
    values = execute(code, sample.flat(), values=True)[1].reshape(shape)
    same = (values[:, :, None] == values[:, None, :]) & sample.valid[:, :, None] & sample.valid[:, None, :]
    leader = same.sum(axis=2).argmax(axis=1) if shape[0] else np.empty(0, np.int64)
    group = same[np.arange(shape[0]), leader]
    different = _distinct(group, [sample.columns[_FIELD_COLUMN[name]] for name in signature.vary])
    all_different = _distinct(sample.valid, [sample.columns[_FIELD_COLUMN[name]] for name in signature.vary])
    bits = (different - 1) * signature.bits
    specific = np.zeros(shape[0], np.bool_)
    for name in signature.specific:
        specific |= _distinct(group, [sample.columns[_FIELD_COLUMN[name]]]) > 1
    tested = max(1, len(sample.sources) * 2**rows.level)
    spare = np.log2(budget / tested) + bits - log2_choose(all_different, different)
    named = (different > 1) & specific & (bits + signature.guard_bits >= EVIDENCE_BITS) & (spare >= 0)
    members = group.sum(axis=1)
    share = members[named] / np.maximum(1, sample.count[named])
    ports, counts = np.unique(sample.columns["dst_port"][named][group[named]], return_counts=True)
    return Judged(
        signature=signature,
        sources=sample.sources[named],
        packets=np.maximum(members[named], np.rint(sample.packets[named] * share)).astype(np.int64),
        confidence=signature.trust * (1.0 - 2.0 ** -np.minimum(50.0, spare[named] - math.log2(budget))),
        first=sample.first[named],
        last=sample.last[named],
        tested=tested,
        expected=tested * 2.0 ** -(EVIDENCE_BITS - signature.guard_bits),
        sampled=2.0**-rows.level,
        keys=values[np.arange(shape[0]), leader][named],
        ports=dict(zip(ports.tolist(), counts.tolist(), strict=True)),
        looked_at=int(sample.packets.sum()) * 2**rows.level,
    )


def _distinct(group: np.ndarray, fields: list[np.ndarray]) -> np.ndarray:
    """How many different values the fields take together over each source's group (int64 per source)."""
    equal = group[:, :, None] & group[:, None, :]
    for values in fields:
        equal &= values[:, :, None] == values[:, None, :]
    earlier = np.tri(SAMPLE, k=-1, dtype=np.bool_)
    repeated = (equal & earlier).any(axis=2)
    return np.asarray((group & ~repeated).sum(axis=1))
