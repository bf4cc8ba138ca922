"""ZMap's address order is recognised whatever its generator, threads and blocklist, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_traffic import aimless, sample, telescope, together, visits, zmap_order

from andon.detect.darknet.fingerprint.order import CYCLIC, OrderFound, order_families, shared_scans
from andon.detect.darknet.fingerprint.order_cyclic import interpret
from andon.detect.darknet.fingerprint.sample import Sample
from andon.sketch.cyclic import LARGEST_GENERATOR, ORDER, P, is_generator, log3

SPACE = telescope()
SOURCE = 0x01020304


def generator(seed: int, below: int = LARGEST_GENERATOR) -> int:
    g = int(np.random.default_rng(seed).integers(2, below))
    while not is_generator(g):
        g -= 1
    return g


def only(made: Sample) -> OrderFound:
    (found,) = order_families(made).found
    return found


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    threads=st.integers(1, 4),
    blocklist=st.booleans(),
    count=st.integers(20, 400),
)
def test_generator_threads_and_blocklist_of_any_scan_are_told(
    seed: int, threads: int, blocklist: bool, count: int
) -> None:
    g = generator(seed)
    rng = np.random.default_rng(seed)
    dst, when = zmap_order(SPACE, g, int(rng.integers(ORDER)), threads, blocklist)
    found = only(sample(visits(SOURCE, dst, when, count, rng)))
    assert (found.order, found.walk.generator, found.blocklist) == (CYCLIC, g, blocklist)
    looked_at = min(count, 96)  # the sample holds the earliest 96
    if looked_at >= 24 * threads:  # fewer packets may leave a thread unseen
        assert found.threads == threads
    else:
        assert 1 <= found.threads <= threads
    share = min(1.0, 96 / count) / threads
    # The visits are drawn at random: the share of the walk between the outermost of n scatters by about 1/n of itself
    # for each, and by more than ten of these once in 10,000 draws.
    assert found.bits >= 40 and found.turns / found.walk.pieces <= share + 0.25
    if found.threads == threads and looked_at >= 24 * threads:
        assert found.turns / found.walk.pieces >= share * (1 - 10 / (looked_at / threads)) - 0.05


@pytest.mark.parametrize("seed", range(5))
def test_an_old_zmap_with_a_generator_of_32_bits_is_found_too(seed: int) -> None:
    g = generator(seed, 2**32)
    rng = np.random.default_rng(seed)
    dst, when = zmap_order(SPACE, g, 5, 1, False)
    found = only(sample(visits(SOURCE, dst, when, 60, rng)))
    assert found.walk.generator == g and not found.walk.small


def test_a_thousandth_of_a_scan_is_enough() -> None:
    rng = np.random.default_rng(1)
    dst, when = zmap_order(SPACE, generator(1), 99)
    piece = slice(30_000, 30_080)
    found = only(sample(visits(SOURCE, dst[piece], (when[piece] - when[30_000]) * 1000, 80, rng)))
    assert found.walk.generator == generator(1)
    assert found.turns < 0.002


def test_order_alone_is_enough_when_the_rate_is_not_constant() -> None:
    rng = np.random.default_rng(2)
    dst, _ = zmap_order(SPACE, generator(2), 7)
    when = np.sort(rng.random(len(dst)) ** 2)
    assert only(sample(visits(SOURCE, dst, when, 96, rng))).walk.generator == generator(2)


def test_packets_of_another_host_behind_the_address_do_not_hide_the_scan() -> None:
    rng = np.random.default_rng(3)
    dst, when = zmap_order(SPACE, generator(3), 7, threads=2)
    scan = visits(SOURCE, dst, when, 90, rng)
    same_header = sample(scan, aimless(SOURCE, SPACE, 10, rng))
    assert only(same_header).walk.generator == generator(3)
    foreign = together(aimless(SOURCE, SPACE, 60, rng))
    foreign["ttl"] = foreign["ttl"] + np.uint8(3)
    assert only(sample(together(scan), foreign)).walk.generator == generator(3)


def test_each_port_has_a_scan_of_its_own() -> None:
    rng = np.random.default_rng(4)
    parts = []
    for port in (22, 80):
        dst, when = zmap_order(SPACE, generator(port), port)
        parts.append(visits(SOURCE, dst, when, 48, rng, port))
    found = order_families(sample(*parts)).found
    assert {one.port: one.walk.generator for one in found} == {22: generator(22), 80: generator(80)}


def test_a_scan_that_is_started_again_is_found_in_part_of_the_day() -> None:
    rng = np.random.default_rng(5)
    parts = []
    for run in range(2):
        dst, when = zmap_order(SPACE, generator(run), run)
        parts.append(visits(SOURCE, dst, when / 2 + run / 2, 48, rng))
    assert only(sample(*parts)).walk.generator in (generator(0), generator(1))


def test_shards_of_one_scan_are_put_together() -> None:
    rng = np.random.default_rng(6)
    dst, when = zmap_order(SPACE, generator(6), 1)
    shards = np.array_split(np.arange(len(dst)), 3)
    parts = [
        visits(SOURCE + n, dst[at], (when[at] - when[at[0]]) * 3, 60, rng) for n, at in enumerate(shards)
    ]
    ((relation, group),) = shared_scans(order_families(sample(*parts)).found).items()
    assert len(group) == 3
    assert relation == f"order(ip.dst) == cyclic(modulus {P}, generator {generator(6)})"


@pytest.mark.parametrize("seed", range(3))
def test_aimless_sources_have_no_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [aimless(n + 1, SPACE, int(rng.integers(12, 150)), rng) for n in range(150)]
    assert order_families(sample(*parts)).found == ()


def test_the_right_order_at_the_wrong_times_is_no_order() -> None:
    rng = np.random.default_rng(8)
    dst, when = zmap_order(SPACE, generator(8), 1)
    made = visits(SOURCE, dst, when, 90, rng)
    made["dst"] = rng.permutation(made["dst"])
    assert order_families(sample(made)).found == ()


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 8, 16])
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=10)
def test_a_small_generator_tells_the_pieces(seed: int, pieces: int) -> None:
    g = generator(seed)
    walk = interpret(pieces * inverse_log(g) % ORDER)
    assert pow(3, pow(walk.multiplier, -1, ORDER), P) == walk.generator
    if walk.pieces == pieces:
        assert walk.generator == g
    else:
        assert walk.pieces < pieces and walk.small  # one in a few hundred by chance


def inverse_log(g: int) -> int:
    return pow(int(log3(np.array([g], np.uint64))[0]), -1, ORDER)


def test_hostile_samples_do_no_harm() -> None:
    rng = np.random.default_rng(9)
    still = aimless(1, SPACE, 96, rng)
    still["ts"][:] = 5
    one_address = {**aimless(2, SPACE, 96, rng), "dst": np.full(96, 7, np.uint32)}
    edges = {**aimless(3, SPACE, 90, rng), "dst": np.tile(np.array([0, 1, 2**32 - 1], np.uint32), 30)}
    high = aimless(4, (SPACE | np.uint32(0xF0000000)).astype(np.uint32), 96, rng)
    low = aimless(5, (SPACE & np.uint32(0xFFFFFF)).astype(np.uint32), 96, rng)
    assert order_families(sample(still, one_address, edges, high, low)).found == ()
    none = aimless(1, SPACE, 3, rng)
    assert order_families(sample(none)).series == 0


def test_a_budget_is_kept_and_what_it_cuts_is_said() -> None:
    rng = np.random.default_rng(10)
    parts = [aimless(n + 1, SPACE, 60, rng) for n in range(20)]
    made = order_families(sample(*parts), most_lattices=10)
    assert made.left_out and "left out" in made.left_out[0]
    assert not order_families(sample(*parts)).left_out
