"""The summary: a sample that depends on the packets alone, in bounded memory, exact in its counts."""

from __future__ import annotations

import numpy as np
import pytest
from engine_traffic import addresses, batches, keyed, mirai, syn
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.fingerprint.kernels import SIZES, STEPS, kept_of
from andon.detect.darknet.fingerprint.summary import FingerprintSummary
from andon.records.columns import column
from andon.simulate.internet import InternetConfig, packets
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError

NAMES = ("ts", "src", "dst", "src_port", "dst_port", "tcp_flags", "tcp_seq", "tcp_ack", "ip_id", "ttl", "tcp_window",
         "ip_len", "layers")  # fmt: skip


def traffic(seed: int, sources: int, most: int) -> dict[str, np.ndarray]:
    """SYN packets of sources whose packet counts reach from 1 to ``most``."""
    rng = np.random.default_rng(seed)
    made = syn(rng, np.arange(1, sources + 1), 1)
    n = int((rng.pareto(0.7, sources) + 1).clip(1, most).sum())
    weight = (rng.pareto(0.7, sources) + 1).clip(1, most)
    chosen = rng.choice(sources, n, p=weight / weight.sum()) + 1
    more = syn(rng, np.ones(1), n)
    more["src"] = chosen.astype(np.uint32)
    return {name: np.concatenate([made[name], more[name]]) for name in made}


def part(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in columns.items()}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sources=st.sampled_from([3, 60, 400]),
    limit=st.sampled_from([40, 1000]),
    units=st.sampled_from([96, 500, 2000, 50_000]),
    parts=st.integers(1, 5),
)
def test_any_order_split_and_merge_gives_the_same_bytes(
    seed: int, sources: int, limit: int, units: int, parts: int
) -> None:
    columns = traffic(seed, sources, 300)
    whole = FingerprintSummary(5, limit, units)
    whole.add(columns)
    rng = np.random.default_rng(seed + 1)
    shuffled = rng.permutation(len(columns["ts"]))
    shards = []
    for rows in np.array_split(shuffled, parts):
        shard = FingerprintSummary(5, limit, units)
        for piece in np.array_split(rows, 3):
            shard.add(part(columns, piece))
        shards.append(FingerprintSummary.from_bytes(shard.to_bytes()))
    merged = FingerprintSummary(5, limit, units)
    for at in rng.permutation(parts):
        before = shards[at].to_bytes()
        merged.merge(shards[at])
        assert shards[at].to_bytes() == before
    assert merged.to_bytes() == whole.to_bytes()
    assert FingerprintSummary.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()


def packet_hashes(columns: dict[str, np.ndarray], key: int) -> np.ndarray:
    """Keyed hash of every packet, as the module text of the kernels says it is made."""
    c = {name: array.astype(np.uint64) for name, array in columns.items()}
    u, salt = np.uint64, np.uint64(key)
    words = (
        c["ts"],
        c["tcp_ack"] << u(32) | c["ttl"] << u(24) | c["ip_len"] << u(8),
        c["src_port"] << u(48) | c["dst_port"] << u(32) | c["tcp_window"] << u(16) | c["ip_id"],
        c["dst"] << u(32) | c["tcp_seq"],
    )
    hashed = np.zeros(len(c["ts"]), np.uint64)
    for word in words:
        hashed = mix64_array(word ^ hashed, salt)
    return hashed


@pytest.mark.parametrize("units", [50_000, 8000, 5000, 3000, 2200])
def test_a_sample_is_the_packets_with_the_lowest_hashes(units: int) -> None:
    columns = traffic(11, 300, 2000)
    summary = FingerprintSummary(5, 1000, units)
    for rows in np.array_split(np.random.default_rng(1).permutation(len(columns["ts"])), 7):
        summary.add(part(columns, rows))
    assert summary.level == 0
    sample = summary.sample()
    hashed, source_hash = packet_hashes(columns, 5), mix64_array(sample.src.astype(np.uint64), np.uint64(5))
    for at, source in enumerate(sample.src):
        mine = np.flatnonzero(columns["src"] == source)
        k = kept_of(source_hash[at], summary.step)
        lowest = mine[np.argsort(hashed[mine])[:k]]
        rows = slice(sample.starts[at], sample.starts[at + 1])
        assert np.array_equal(np.sort(sample.columns["ts"][rows]), np.sort(columns["ts"][lowest]))


@pytest.mark.parametrize("units", [96, 300, 5000])
def test_packets_that_are_the_same_in_all_are_kept_like_others_in_any_order(units: int) -> None:
    rng = np.random.default_rng(8)
    few = syn(rng, addresses(1 << 24, 4), 40)
    columns = {name: np.repeat(array, 5) for name, array in few.items()}
    made = set()
    for _ in range(6):
        summary = FingerprintSummary(5, 1000, units)
        for rows in np.array_split(rng.permutation(len(columns["ts"])), 5):
            summary.add(part(columns, rows))
        made.add(summary.to_bytes())
    assert len(made) == 1
    assert set(summary.sample().packets) == {200}


@pytest.mark.parametrize("units", [100_000, 3000, 800])
def test_counts_and_times_of_kept_sources_are_those_of_all_their_packets(units: int) -> None:
    columns = traffic(3, 300, 500)
    summary = FingerprintSummary(5, 1000, units)
    summary.add(columns)
    sample, (first, last) = summary.sample(), summary.times()
    assert summary.packets == len(columns["ts"])
    for at, source in enumerate(sample.src):
        mine = columns["src"] == source
        assert sample.packets[at] == mine.sum()
        assert (first[at], last[at]) == (columns["ts"][mine].min(), columns["ts"][mine].max())


def test_a_small_day_is_kept_whole_and_every_field_comes_back() -> None:
    rng = np.random.default_rng(1)
    columns = syn(rng, addresses(1 << 24, 50), 30)
    columns["tcp_ack"] = rng.integers(0, 1 << 32, len(columns["ts"]), dtype=np.uint32)
    columns["ip_len"] = rng.integers(40, 65536, len(columns["ts"])).astype(np.uint16)
    summary = FingerprintSummary(5)
    summary.add(columns)
    sample = summary.sample()
    order = np.lexsort((columns["ts"], columns["src"]))
    assert np.array_equal(np.repeat(sample.src, np.diff(sample.starts)), columns["src"][order])
    for name, array in sample.columns.items():
        assert array.dtype == columns[name].dtype
        assert np.array_equal(array, columns[name][order]), name


def test_a_loud_source_is_sampled_evenly_over_the_day() -> None:
    rng = np.random.default_rng(2)
    columns = syn(rng, np.array([77]), 50_000)
    summary = FingerprintSummary(5)
    summary.add(columns)
    sample = summary.sample()
    assert sample.rows == 96
    quarters = np.bincount(sample.columns["ts"] * 4 // 86_400_000_000_000, minlength=4)
    assert quarters.min() >= 10


def test_no_flood_of_made_up_sources_takes_the_memory() -> None:
    rng = np.random.default_rng(4)
    summary = FingerprintSummary(5, 2000, 5000)
    biggest = 0
    for _ in range(40):
        summary.add(syn(rng, rng.integers(1, 1 << 32, 5000), 1))
        biggest = max(biggest, summary.nbytes)
    assert summary.packets == 200_000
    assert len(summary.sample().src) <= 2000
    assert summary.level > 0
    assert biggest <= 4096 * 40 + (5000 + 1250) * 32
    assert len(summary.to_bytes()) <= 2000 * 32 + 5000 * 32 + (1 << 16)


def test_only_syn_packets_of_ipv4_are_taken() -> None:
    rng = np.random.default_rng(5)
    columns = syn(rng, addresses(1 << 24, 10), 10)
    columns["tcp_flags"][:50] = np.tile(np.array([18, 4, 16, 1, 0], np.uint8), 10)
    columns["layers"][50:60] = 2
    columns["tcp_flags"][60:70] = 0xC2  # a SYN that sets up ECN
    summary = FingerprintSummary(5)
    summary.add(columns)
    assert summary.packets == 40
    assert summary.sample().rows == 40


def test_steps_never_ask_for_more_of_a_source_than_the_step_before() -> None:
    deep, others, share = STEPS.T
    assert np.all(np.diff(deep) <= 0) and np.all(np.diff(others) <= 0) and np.all(np.diff(share) >= 0)
    assert {int(k) for k in (*deep, *others)} <= set(SIZES.tolist())


def test_damaged_bytes_are_refused() -> None:
    summary = FingerprintSummary(5)
    summary.add(syn(np.random.default_rng(1), addresses(1 << 24, 5), 5))
    data = summary.to_bytes()
    for bad in (b"", data[:-1], data[:40] + b"x" + data[41:], data + b"\0"):
        with pytest.raises(StateError):
            FingerprintSummary.from_bytes(bad)


def test_what_was_planted_in_a_simulated_day_is_in_the_sample() -> None:
    summary = FingerprintSummary(5)
    total = 0
    for batch in packets(InternetConfig(seed=9, packets=60_000, telescope=("198.18.0.0/18",))):
        columns = {name: column(batch, name) for name in NAMES}
        summary.add(columns)
        total += int((((columns["tcp_flags"] & 0x3F) == 2) & ((columns["layers"] & 5) == 5)).sum())
    assert summary.packets == total
    sample = summary.sample()
    hits = sample.columns["tcp_seq"] == sample.columns["dst"]
    assert len(np.unique(sample.of_row[hits])) >= 20  # Mirai is in the default world


def test_made_traffic_is_what_it_says() -> None:
    rng = np.random.default_rng(1)
    (batch,) = batches(mirai(syn(rng, addresses(1 << 24, 5), 4)), rows=100)
    assert np.array_equal(column(batch, "tcp_seq"), column(batch, "dst"))
    made = keyed(syn(rng, addresses(1 << 24, 5), 4), rng)
    assert len(np.unique(made["tcp_seq"] ^ made["dst"])) == 5
