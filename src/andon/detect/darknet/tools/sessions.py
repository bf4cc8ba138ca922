"""Sources of a session signature: the largest group of a source's sampled packets that share a key.

A packet is further evidence only if the fields named in ``vary`` take another value, so constant fields prove
nothing: with d different values the evidence is (d - 1) r bits, plus the rarity of the guard. 40 bits are asked
for, and that the number of chance groups expected over all sources stays within the budget.

A tool may use only two or three values in a whole scan (Nmap: a sequence number for each try), of which eight
sampled packets can miss one. So where the relation is about the sequence number alone and a guard keeps other
packets out, the groups are those of the sampled *distinct sequence numbers*.
"""

from __future__ import annotations

import math

import numpy as np

from andon.detect.darknet.tools.catalogue import Signature
from andon.detect.darknet.tools.chance import log2_choose
from andon.detect.darknet.tools.judge import Judged
from andon.detect.darknet.tools.sample import FIELD_COLUMN, Sample, distinct
from andon.records.expression.ast import fields_of
from andon.records.expression.evaluate import execute
from andon.records.expression.program import Code

EVIDENCE_BITS = 40.0


def judge_session(signature: Signature, code: Code, guarded: Sample, others: Sample, budget: float) -> Judged:
    """Sources of a session signature; ``guarded`` and ``others`` are the summary's two samples."""
    by_sequence = signature.value is not None and fields_of(signature.value) == {"tcp.seq"}
    by_sequence = by_sequence and signature.vary == ("tcp.seq",)
    parts = [_part(signature, code, guarded, budget, by_sequence)]
    if not signature.guard_bits:
        parts.append(_part(signature, code, others, budget, False))
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


def _part(signature: Signature, code: Code, sample: Sample, budget: float, by_sequence: bool) -> Judged:
    shape = sample.valid.shape
    at = np.arange(shape[0])
    values = execute(code, sample.flat(), values=True)[1].reshape(shape)
    varying = [sample.columns[FIELD_COLUMN[name]] for name in signature.vary]
    if by_sequence:
        flat = {"tcp_seq": sample.sequences.reshape(-1)}
        keys = execute(code, flat, values=True)[1].reshape(shape)
        group, leader = _largest(keys, sample.sequences_valid)
        different, all_different = group.sum(axis=1), sample.sequences_valid.sum(axis=1)
        key = keys[at, leader]
        members = sample.valid & (values == key[:, None])
    else:
        members, leader = _largest(values, sample.valid)
        different, all_different = distinct(members, varying), distinct(sample.valid, varying)
        key = values[at, leader]
    specific = np.zeros(shape[0], np.bool_)
    for name in signature.specific:
        specific |= distinct(members, [sample.columns[FIELD_COLUMN[name]]]) > 1
    bits = (different - 1) * signature.bits
    tested = max(1, len(sample.sources) * 2**sample.level)
    spare = math.log2(budget / tested) + bits - log2_choose(all_different, different)
    specific &= sample.ttls >= signature.ttls
    named = (different > 1) & specific & (bits + signature.guard_bits >= EVIDENCE_BITS) & (spare >= 0)
    sampled_members = members[named].sum(axis=1)
    share = sampled_members / np.maximum(1, sample.count[named])
    ports, counts = np.unique(sample.columns["dst_port"][named][members[named]], return_counts=True)
    return Judged(
        signature=signature,
        sources=sample.sources[named],
        packets=np.maximum(sampled_members, np.rint(sample.packets[named] * share)).astype(np.int64),
        confidence=signature.trust * (1.0 - 2.0 ** -np.minimum(50.0, spare[named] - math.log2(budget))),
        first=sample.first[named],
        last=sample.last[named],
        tested=tested,
        expected=tested * 2.0 ** -(EVIDENCE_BITS - signature.guard_bits),
        sampled=2.0**-sample.level,
        keys=key[named],
        ports=dict(zip(ports.tolist(), counts.tolist(), strict=True)),
        looked_at=int(sample.packets.sum()) * 2**sample.level,
    )


def _largest(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(members of each source's largest group of equal values, a place in that group)."""
    same = (values[:, :, None] == values[:, None, :]) & valid[:, :, None] & valid[:, None, :]
    leader = same.sum(axis=2).argmax(axis=1) if len(values) else np.empty(0, np.int64)
    return same[np.arange(len(values)), leader], leader
