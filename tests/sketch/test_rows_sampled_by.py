"""Tables that sample by part of the key: all rows of a source stay or go together."""

from __future__ import annotations

import numpy as np

from andon.sketch.rows import KeyedRows

_LOW = 0xFFFFFFFF


def _pairs(sources: np.ndarray, ports: int) -> np.ndarray:
    keys = np.arange(ports, dtype=np.uint64)[:, None] << np.uint64(32) | sources.astype(np.uint64)
    return np.random.default_rng(1).permutation(keys.ravel())


def test_a_kept_source_keeps_all_its_ports() -> None:
    sources = np.random.default_rng(2).choice(1 << 32, 5_000, replace=False)
    rows = KeyedRows({}, 4_000, sampled_by=_LOW)
    rows.add(_pairs(sources, 7))
    kept, ports = np.unique(rows.table()[0] & np.uint64(_LOW), return_counts=True)
    assert rows.level > 0 and set(ports.tolist()) == {7}
    assert abs(len(kept) * 2**rows.level / 5_000 - 1) < 0.2


def test_merging_beyond_the_limit_equals_adding_and_stays_small() -> None:
    sources = np.random.default_rng(3).choice(1 << 32, 6_000, replace=False)
    keys = _pairs(sources, 5)
    whole = KeyedRows({}, 3_000, sampled_by=_LOW)
    whole.add(keys)
    merged = KeyedRows({}, 3_000, sampled_by=_LOW)
    for part in np.array_split(keys, 6):
        piece = KeyedRows({}, 3_000, sampled_by=_LOW)
        piece.add(part)
        merged.merge(piece)
    assert merged.to_bytes() == whole.to_bytes()
    assert merged.keys.shape == whole.keys.shape  # merging did not leave a larger table behind
    again = KeyedRows.from_bytes(whole.to_bytes(), {})
    assert again.to_bytes() == whole.to_bytes() and again.sampled_by == whole.sampled_by
