"""From rows of relations to numbered nodes and folded edges.

Nodes are numbered in the order of their kind and value, so that a graph does not depend on the order of its files. A
name that its owner registered is of kind ``registered-domain``; names below it, and name servers, are tied to it with
``under`` (records.domains, by the public suffix list). Rows that say the same of the same two things are one edge: the
earliest first, the latest last, the sum of the counts, and every origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.records.domains import registered_domains
from andon.records.infrastructure import (
    DOMAIN,
    NAME_SERVER,
    NODE_KINDS,
    REGISTERED,
    REGISTERED_AT,
    REGISTERED_BY,
    RELATION,
    RELATIONS,
    UNDER,
)

NEVER: Final = np.iinfo(np.int64).min  # a time that nobody said
KIND: Final = {name: number for number, name in enumerate(NODE_KINDS)}
VERB: Final = {name: number for number, name in enumerate(RELATIONS)}
_BREAK: Final = "\x1f"
_PAUSE: Final = 30 * 86_400 * 10**9
_REGISTRATIONS: Final = (VERB[REGISTERED_BY], VERB[REGISTERED_AT])


@dataclass(frozen=True)
class Numbered:
    """``kinds`` int8 and ``values`` (pa.StringArray) by node; the columns of the edges, all of one length.
    ``origins`` is
    a bit set over ``names`` of feeds (the last bit stands for all beyond the 62nd)."""

    kinds: np.ndarray
    values: pa.StringArray
    source: np.ndarray
    target: np.ndarray
    relation: np.ndarray
    first: np.ndarray  # ns; NEVER: not said
    last: np.ndarray
    count: np.ndarray
    origins: np.ndarray
    names: tuple[str, ...]


def number(tables: Iterable[pa.Table]) -> Numbered:
    """Number the nodes and fold the edges of any number of tables (``RELATION``), in any order.

    Raises ValueError for a kind or relation that is not in ``records.infrastructure``."""
    held = [_plain(table) for table in tables]
    table = pa.concat_tables(held) if held else _plain(RELATION.empty_table())
    ends = [_keys(table, side) for side in ("source", "target")]
    words = pa.chunked_array([chunk for end in ends for chunk in end.chunks], pa.string()).combine_chunks()
    coded = words.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kinds, values, codes, under = _named(coded.dictionary, codes)
    n = table.num_rows
    feeds = table["origin"].combine_chunks().dictionary_encode()
    names = sorted(map(str, feeds.dictionary.to_pylist()))
    bits = np.array([1 << min(names.index(str(name)), 62) for name in feeds.dictionary.to_pylist()], np.int64)
    columns = (
        codes[:n],
        codes[n:],
        _codes(table["relation"], VERB),
        _times(table["first"]),
        _times(table["last"]),
        table["count"].to_numpy().astype(np.int64),
        bits[feeds.indices.to_numpy(zero_copy_only=False)] if len(bits) else np.zeros(0, np.int64),
    )
    extra = len(under)
    derived = (
        under[:, 0],
        under[:, 1],
        np.full(extra, VERB[UNDER], np.int8),
        np.full(extra, NEVER),
        np.full(extra, NEVER),
        np.ones(extra, np.int64),
        np.zeros(extra, np.int64),
    )
    merged = [np.concatenate(pair) for pair in zip(columns, derived, strict=True)]
    return _folded(kinds, values, merged, tuple(names))


def _plain(table: pa.Table) -> pa.Table:
    """The columns as plain texts: dictionaries of several feeds differ."""
    table = table.select(RELATION.names).cast(RELATION)
    fields = [pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in RELATION]
    return table.cast(pa.schema(fields))


def _codes(column: pa.ChunkedArray, known: dict[str, int]) -> np.ndarray:
    coded = column.combine_chunks().dictionary_encode()
    found = coded.dictionary.to_pylist()
    strange = [str(word) for word in found if word not in known]
    if strange:
        raise ValueError(f"{strange[0][:40]!r} is not known; there are {', '.join(known)}")
    table = np.array([known[word] for word in found] or [0], np.int8)
    return np.asarray(table[coded.indices.to_numpy(zero_copy_only=False)])


def _times(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()).fill_null(NEVER).to_numpy()).astype(np.int64)


def _keys(table: pa.Table, side: str) -> pa.ChunkedArray:
    """Kind (as a letter, so that sorting is by kind) and value of one side."""
    kinds = table[f"{side}_kind"].combine_chunks().dictionary_encode()
    letters = []
    for word in kinds.dictionary.to_pylist():
        if word not in KIND:
            raise ValueError(f"{str(word)[:40]!r} is no kind of node; there are {', '.join(NODE_KINDS)}")
        letters.append(chr(97 + KIND[word]))
    spelled = pc.take(pa.array(letters, pa.string()), kinds.indices)
    return pa.chunked_array([pc.binary_join_element_wise(spelled, table[side].combine_chunks(), _BREAK)])


def _named(
    words: pa.StringArray, codes: np.ndarray
) -> tuple[np.ndarray, pa.StringArray, np.ndarray, np.ndarray]:
    """(kinds, values, new numbers for ``codes``, pairs of names and what they are under) of the distinct keys."""
    letters = pc.utf8_slice_codeunits(words, 0, 1)
    texts = pc.utf8_slice_codeunits(words, 2)
    kinds = (
        np.frombuffer("".join(letters.to_pylist()).encode("ascii"), np.uint8).astype(np.int8) - 97
        if len(words)
        else np.zeros(0, np.int8)
    )
    is_name = np.isin(kinds, [KIND[DOMAIN], KIND[NAME_SERVER], KIND[REGISTERED]])
    owners = registered_domains(texts)
    has = is_name & np.asarray(pc.not_equal(owners, ""))
    itself = has & np.asarray(pc.equal(owners, texts)) & (kinds == KIND[DOMAIN])
    kinds = np.where(itself, KIND[REGISTERED], kinds).astype(np.int8)
    below = np.flatnonzero(has & ((kinds == KIND[DOMAIN]) | (kinds == KIND[NAME_SERVER])))
    # Distinct keys once more: a registered domain may have been there under both kinds.
    spelled = pc.take(
        pa.array([chr(97 + n) for n in range(len(NODE_KINDS))]), pa.array(kinds.astype(np.int32))
    )
    keys = pc.binary_join_element_wise(spelled, texts, _BREAK)
    made = pc.binary_join_element_wise(
        pa.array([chr(97 + KIND[REGISTERED])] * len(below), pa.string()), owners.take(pa.array(below)), _BREAK
    )
    coded = pa.concat_arrays([keys, made]).dictionary_encode()
    order = pc.sort_indices(coded.dictionary).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = rank[coded.indices.to_numpy(zero_copy_only=False)] if len(coded) else np.zeros(0, np.int64)
    final = coded.dictionary.take(pa.array(order))
    first = pc.utf8_slice_codeunits(final, 0, 1)
    final_kinds = np.array([ord(letter) - 97 for letter in first.to_pylist()], np.int8)
    old, new = numbers[: len(words)], numbers[len(words) :]
    pairs = np.stack([old[below], new], axis=1) if len(below) else np.zeros((0, 2), np.int64)
    return final_kinds, pc.utf8_slice_codeunits(final, 2), old[codes] if len(codes) else codes, pairs


@njit(cache=True, nogil=True)
def _begins(key: np.ndarray, first: np.ndarray, last: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Where another edge begins, in rows sorted by key and first. Rows without a time go with the first."""
    out = np.zeros(key.shape[0], np.bool_)
    until = NEVER
    for i in range(key.shape[0]):
        end = max(first[i], last[i])
        if (
            i == 0
            or key[i] != key[i - 1]
            or (until != NEVER and first[i] != NEVER and first[i] > until and first[i] - until > slack[i])
        ):
            out[i], until = True, end
        else:
            until = max(until, end)
    return out


def _folded(
    kinds: np.ndarray, values: pa.StringArray, columns: list[np.ndarray], names: tuple[str, ...]
) -> Numbered:
    source, target, relation, first, last, count, origins = columns
    keep = source != target
    source, target, relation, first, last, count, origins = (column[keep] for column in columns)
    n = max(len(kinds), 1)
    key = (source * n + target) * len(RELATIONS) + relation
    order = np.lexsort((last, first, key))
    slack = np.where(np.isin(relation, _REGISTRATIONS), 0, _PAUSE)
    starts = np.flatnonzero(_begins(key[order], first[order], last[order], slack[order]))
    at = order[starts]
    # A time that nobody said must not count as the earliest.
    latest = np.iinfo(np.int64).max
    early = np.where(first == NEVER, latest, first)[order]
    made: list[Any] = []
    if len(starts):
        low = np.minimum.reduceat(early, starts)
        made = [
            np.where(low == latest, NEVER, low),
            np.maximum.reduceat(last[order], starts),
            np.add.reduceat(count[order], starts),
            np.bitwise_or.reduceat(origins[order], starts),
        ]
    else:
        made = [np.zeros(0, np.int64) for _ in range(4)]
    return Numbered(
        kinds,
        values,
        source[at].astype(np.int32),
        target[at].astype(np.int32),
        relation[at].astype(np.int8),
        first=made[0],
        last=made[1],
        count=made[2],
        origins=made[3],
        names=names,
    )
