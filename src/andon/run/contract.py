"""The contract test: any engine, ours or a third party's, is held to the same promises by ``check_engine``.

It is part of the package so that whoever writes an engine can run it from their own tests; see
``docs/write-your-own-engine.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Outcome, duration_ns
from andon.records.kinds import KINDS, PACKET, kind_of
from andon.records.packet import COLUMNS
from andon.run.engines import AnyEngine


class ContractBroken(AssertionError):
    """The engine does not do what the contract says; the text says what and where."""


def check_engine(
    engine: AnyEngine,
    batches: Sequence[pa.RecordBatch],
    tables: dict[str, pa.Table] | None = None,
    seed: int = 1,
) -> Outcome[Any]:
    """Hold an engine to the contract on real or simulated batches of packets and of other kinds of record.

    A batch of another kind than packets says so (``records.kinds.marked``); batches may come in any mixture, and those
    of kinds that the engine does not read are left out, as a runner leaves them out. ``tables`` are what its ``needs``
    would give. Checked: declared names; equal digests of summary, findings,
    tables and carry for the batches as they are, in many pieces in any order, as shards over threads merged in
    any order; ``merge`` with an empty summary; bytes and back; the size limit; that ``merge`` leaves its second
    argument and ``conclude`` its summary alone. Returns the outcome. Raises ContractBroken.
    """
    _declared(engine)
    rng = np.random.default_rng(seed)
    # Without this an engine could pass by looking at what it did not declare.
    batches = [_shown(engine, batch) for batch in batches if _kind(batch) in engine.reads]
    whole = _summarise(engine, batches)
    reference = _digest(whole)
    _same(reference, _digest(_summarise(engine, _pieces(batches, rng))), "many small batches in any order")
    with ThreadPoolExecutor(3) as pool:
        shards = [batches[n::3] for n in range(3)]
        parts = list(pool.map(lambda shard: _summarise(engine, shard), shards))
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        copies = [type(part).from_bytes(part.to_bytes()) for part in parts]
        left = copies[order[1]]
        before = _digest(left)
        merged = engine.merge(copies[order[0]], left)
        _same(before, _digest(left), "merge must leave its second argument alone")
        merged = engine.merge(merged, copies[order[2]])
        _same(reference, _digest(merged), f"shards over threads, merged in the order {order}")
    _same(reference, _digest(engine.merge(engine.empty(), whole)), "merge into an empty summary")
    _same(reference, _digest(engine.merge(whole, engine.empty())), "merge of an empty summary")
    data = whole.to_bytes()
    _same(reference, _digest(type(whole).from_bytes(data)), "summary to bytes and back")
    if len(data) > engine.limit:
        raise ContractBroken(f"{engine.name}: summary of {len(data):,} bytes, limit {engine.limit:,}")
    context = _context(engine, batches, tables or {})
    outcome = engine.conclude(whole, None, context)
    _same(reference, _digest(whole), "conclude must not change the summary")
    again = engine.conclude(type(whole).from_bytes(data), None, context)
    _same(_outcome_digest(outcome), _outcome_digest(again), "conclude twice from equal summaries")
    _tables_as_published(engine, outcome)
    if outcome.carry is not None:
        if type(outcome.carry) is not engine.carries:
            raise ContractBroken(
                f"{engine.name}: its carry is no {engine.carries.__name__}, as `carries` says"
            )
        carry = type(outcome.carry).from_bytes(outcome.carry.to_bytes())
        _same(_digest(outcome.carry), _digest(carry), "carry to bytes and back")
        engine.conclude(whole, carry, context)
    return outcome


def _declared(engine: AnyEngine) -> None:
    for name in engine.columns:
        if name not in COLUMNS:
            raise ContractBroken(f"{engine.name}: unknown column {name!r}")
    for name in engine.reads:
        if name not in KINDS:
            raise ContractBroken(f"{engine.name}: reads {name!r}; kinds of record are {', '.join(KINDS)}")
    if bool(engine.columns) != (PACKET in engine.reads):
        raise ContractBroken(f"{engine.name}: an engine that reads packets says which columns, no other does")
    if not engine.name or "." not in engine.name or engine.version < 1 or engine.limit <= 0:
        raise ContractBroken("name (FIELD.NAME), version (from 1) and limit (bytes) must be set")


def _kind(batch: pa.RecordBatch) -> str:
    """The kind of a batch. Raises ContractBroken for one that no runner would give."""
    kind = kind_of(batch)
    if kind not in KINDS:
        raise ContractBroken(f"a batch of unknown kind {kind!r}; kinds of record are {', '.join(KINDS)}")
    if kind != PACKET and not batch.schema.equals(KINDS[kind].schema):
        raise ContractBroken(f"a batch of kind {kind} is not in its schema")
    return kind


def _shown(engine: AnyEngine, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the engine may see of a batch."""
    return batch.select(list(engine.columns)) if kind_of(batch) == PACKET else batch


def _times(batch: pa.RecordBatch) -> np.ndarray:
    """int64 ns; empty where the engine does not look at times."""
    name = KINDS[kind_of(batch)].time
    if name not in batch.schema.names:
        return np.empty(0, np.int64)
    return np.asarray(batch.column(name).view(pa.int64()).to_numpy(zero_copy_only=False))


def _pieces(batches: Sequence[pa.RecordBatch], rng: np.random.Generator) -> list[pa.RecordBatch]:
    pieces = []
    for batch in batches:
        cuts = np.unique(np.r_[0, rng.integers(0, batch.num_rows + 1, 7), batch.num_rows])
        pieces += [batch.slice(a, b - a) for a, b in pairwise(cuts.tolist())]
    return [pieces[n] for n in rng.permutation(len(pieces))]


def _summarise(engine: AnyEngine, batches: Sequence[pa.RecordBatch]) -> Any:
    summary = engine.empty()
    for batch in batches:
        summary = engine.summarise(batch, summary)
    return summary


def _context(
    engine: AnyEngine, batches: Sequence[pa.RecordBatch], tables: dict[str, pa.Table]
) -> Context[Any]:
    span = engine.window.spans[-1]
    length = duration_ns(span)
    first = min((int(ts.min()) for ts in map(_times, batches) if len(ts)), default=0)
    start = first // length * length
    return Context(span=span, start=start, end=start + length, partial=True, tables=tables)


def _digest(state: Any) -> str:
    return hashlib.blake2b(state.to_bytes(), digest_size=16).hexdigest()


def _outcome_digest(outcome: Outcome[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for finding in outcome.findings:
        digest.update(finding.to_json().encode())
        digest.update(str([(e.type, e.value, e.packets) for e in finding.entities]).encode())
    for name in sorted(outcome.tables):
        digest.update(name.encode())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, outcome.tables[name].schema) as stream:
            stream.write_table(outcome.tables[name].combine_chunks())
        digest.update(sink.getvalue())
    return digest.hexdigest()


def _same(expected: str, got: str, what: str) -> None:
    if expected != got:
        raise ContractBroken(f"not equal: {what}")


def _tables_as_published(engine: AnyEngine, outcome: Outcome[Any]) -> None:
    for name, table in outcome.tables.items():
        schema = engine.publishes.get(name)
        if schema is None or not table.schema.equals(schema):
            raise ContractBroken(f"{engine.name}: table {name!r} is not as published")
