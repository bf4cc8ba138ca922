"""Laws of the parts: the test, the decoys, the join, the false-discovery rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from andon.detect.darknet.link.associate import Labels, associate, discoveries, tail
from andon.detect.darknet.link.decoys import moved, shifts, turned
from andon.detect.darknet.link.history import Darknet, sampled, spans
from andon.detect.darknet.link.match import Side, Visits, candidates
from andon.detect.darknet.link.texts import pack_texts, renumber, unpack_texts


def test_the_tail_is_that_of_the_hypergeometric_distribution() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(5, 3000, 400)
    f, b = ((n * rng.uniform(0, 1, 400)).astype(int) for _ in range(2))
    both = np.minimum(np.minimum(f, b), (f * b / n + rng.integers(1, 40, 400)).astype(int))
    above = both > f * b / n
    got, exact = tail(n, f, b, both), hypergeom.sf(both - 1, n, f, b)
    assert np.allclose(
        np.log(np.maximum(got[above], 1e-290)), np.log(np.maximum(exact[above], 1e-290)), atol=1e-8
    )
    assert (got[~above] == 1).all() and above.sum() > 200


def test_false_discoveries_stay_below_the_rate() -> None:
    rng = np.random.default_rng(2)
    false = total = 0
    for _ in range(300):
        p = np.r_[rng.uniform(0, 1e-4, 20), rng.uniform(0, 1, 200)]
        found = discoveries(p, 220, 0.1)
        false, total = false + int(found[20:].sum()), total + int(found.sum())
    assert 0.04 < false / total < 0.1


@pytest.mark.parametrize("prefix", [24, 20, 16])
@pytest.mark.parametrize("level", [0, 3])
def test_decoys_are_neighbours_of_the_sample_and_always_the_same(prefix: int, level: int) -> None:
    addresses = np.unique(np.random.default_rng(3).integers(0, 1 << 32, 5_000, dtype=np.uint32))
    other, found = moved(addresses, prefix, 4, level, 99)
    assert found.mean() > 0.99
    assert (other[found] >> np.uint32(32 - prefix) == addresses[found] >> np.uint32(32 - prefix)).all()
    assert (other[found] != addresses[found]).all() and sampled(other[found], level, 99).all()
    part, _ = moved(addresses[1000:2000], prefix, 4, level, 99)
    assert (part == other[1000:2000]).all()
    again, _ = moved(addresses, prefix, 5, level, 99)
    assert (again != other).mean() > 0.9


def test_shifts_are_nine_days_or_more_either_way() -> None:
    day = 86_400
    assert shifts(0, 17 * day, 1) == []
    found = shifts(100 * day, 130 * day, 1)
    assert len(found) == 10 and all(9 * day <= by <= 21 * day for by in found)
    at = np.arange(100 * day, 130 * day, 1000)
    there = turned(at, found[3], 100 * day, 130 * day)
    assert (np.abs(there - at) >= 9 * day).all() and there.min() >= 100 * day and there.max() < 130 * day


def test_the_join_finds_what_comparing_everything_finds() -> None:
    rng = np.random.default_rng(5)
    size = 3_000
    src = rng.integers(0, 400, size).astype(np.uint32)
    first = rng.integers(0, 10**6, size).astype(np.uint32)
    none = np.full(size, -1, np.int32)
    dark = Darknet(
        src, first, first + rng.integers(0, 5000, size).astype(np.uint32), none, none, none.astype(np.uint8)
    )
    address = np.sort(rng.integers(300, 700, 500).astype(np.uint32))
    at = rng.integers(0, 10**6, 500)
    rows = candidates(dark.src, [address])
    assert set(np.flatnonzero(np.isin(src, address)).tolist()) <= set(rows.tolist()) and len(rows) < size
    visits = Visits.of(address, at)
    side = Side(dark, rows)
    found = side.match(visits, visits.address, at, np.full(len(side.address), 20_000))
    expected = {
        (s, r)
        for s in range(500)
        for r in range(size)
        if address[s] == src[r] and int(first[r]) - 20_000 <= at[s] <= int(dark.last[r]) + 20_000
    }
    assert (
        set(zip(found.session.tolist(), found.row.tolist(), strict=True)) == expected and len(expected) > 20
    )
    assert len(found.session) == len(expected)


def test_a_network_has_one_vote() -> None:
    """Fifty sources of one /24 that all show both raise the count of sources, and hardly the certainty."""
    network = np.r_[np.arange(100), np.full(50, 1000)]
    marks = np.stack([np.r_[np.arange(10), np.arange(100, 150)], np.zeros(60, np.int64)], axis=1)
    behaviours = np.stack([np.r_[np.arange(8, 20), np.arange(100, 150)], np.zeros(62, np.int64)], axis=1)
    triples = np.array([(s, 0, 0) for s in (8, 9, *range(100, 150))])
    found = associate(Labels(network, np.ones(150, np.int64), marks, behaviours, triples), 1, 1)
    assert (found.sources[0], found.networks[0]) == (52, 3)
    assert found.p[0] > 0.05 and hypergeom.sf(51, 150, 60, 62) < 1e-20 and not found.passed[0]


def test_busy_sources_show_more_of_everything_and_prove_nothing_by_it() -> None:
    """Half of the sources come ten times and have the mark, half come once: behaviours are drawn for each session."""
    rng = np.random.default_rng(8)
    visits = np.where(np.arange(600) < 300, 10, 1)
    shown = np.unique(
        np.stack([np.repeat(np.arange(600), visits), rng.integers(0, 8, visits.sum())], axis=1), axis=0
    )
    marks = np.stack([np.arange(300), np.zeros(300, np.int64)], axis=1)
    triples = np.array([(s, 0, b) for s, b in shown.tolist() if s < 300])
    found = associate(Labels(np.arange(600), visits, marks, shown, triples), 1, 8)
    assert len(found) == 8 and not found.passed.any()
    plain = hypergeom.sf(found.sources - 1, 600, found.with_mark, found.with_behaviour)
    assert (plain < 1e-10).all()


def test_texts_come_back_and_are_numbered_by_their_text() -> None:
    texts = ["b", "", "ä\x00\n", "a"]
    assert unpack_texts("t", pack_texts("t", texts)) == texts
    kept, new = renumber(texts, np.array([0, 3, -1, 0]))
    assert kept == ["a", "b"] and new[[0, 3, -1]].tolist() == [1, 0, -1]
    assert spans(np.array([7, 1]), np.array([0, 2])).tolist() == [1, 2]
