"""Scanners whose sources send one to three packets: found together, exactly, and nothing beside them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from andon.detect.darknet.fingerprint.fragments import is_fragment, selects
from andon.detect.darknet.fingerprint.layers import pooled, slow
from andon.detect.darknet.fingerprint.masked import masked_sums
from andon.detect.darknet.fingerprint.multiples import products
from andon.detect.darknet.fingerprint.parity import cluster, strongest
from andon.detect.darknet.fingerprint.pools import rank_within
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.detect.darknet.fingerprint.search import Budget, Search
from andon.detect.darknet.fingerprint.words import fields_matrix
from andon.records.expression import apply, equal_on, parse, solve
from andon.simulate.internet import DEFAULT_TELESCOPE

TYPES = {"dst": np.uint32, "src": np.uint32, "tcp_seq": np.uint32, "tcp_ack": np.uint32, "ttl": np.uint8}
BLOCKS = (0x175A4000, 0x3AB58000, 0x652C0000, 0x9247C000, 0xCB080000)


def traffic(rng: np.random.Generator, sources: int, first: int = 1) -> dict[str, np.ndarray]:
    """One to three packets of each source, fields at random as a raw-socket scanner draws them."""
    of = np.repeat(np.arange(sources), rng.integers(1, 4, sources))
    n = len(of)
    made = {
        "src": (first + of) * 7919, "dst": np.array(BLOCKS)[rng.integers(0, 5, n)] + rng.integers(0, 2**14, n),
        "ip_id": rng.integers(0, 65536, n), "ttl": rng.integers(40, 64, n), "ip_len": np.full(n, 40),
        "src_port": rng.integers(1024, 65536, n), "dst_port": rng.choice([23, 80, 443, 2323], n),
        "tcp_seq": rng.integers(0, 2**32, n), "tcp_ack": np.zeros(n),
        "tcp_window": rng.integers(1, 65536, sources)[of],
    }  # fmt: skip
    typed = {name: values.astype(TYPES.get(name, np.uint16)) for name, values in made.items()}
    return {**typed, "ts": np.arange(n, dtype=np.int64), "layers": np.full(n, 5, np.uint8)}


def planted(rng: np.random.Generator, relation: str, sources: int, first: int) -> dict[str, np.ndarray]:
    columns = traffic(rng, sources, first)
    keys = rng.integers(0, 2**32, sources, dtype=np.uint32)[columns["src"].astype(np.int64) // 7919 - first]
    return apply(solve(parse(relation)), columns, keys)


def joined(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in ("src", *COLUMNS, "ts")}


def searched(columns: dict[str, np.ndarray]) -> Search:
    """The layers for slow sources alone, on these packets."""
    search = Search(Sample.of_packets(columns), Budget())
    pooled(search)
    slow(search)
    return search


RELATIONS = (
    "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 16) ^ 0xa5c3f00d",
    "ip.id == rotl16(lo16(ip.dst) ^ tcp.srcport, 5) ^ 0x3c21",
    "tcp.seq & 0xbbf7acd7 == (ip.dst ^ 0x5b2e91c3) & 0xbbf7acd7",
    "tcp.seq == (ip.dst * 0x479ee615) + tcp.dstport",
    "ip.id == lo16(ip.dst ^ tcp.srcport) | 0x9021",
    "tcp.window == (ip.id & 0xfebf) ^ 0xbd44",
    "tcp.seq == rotl32(ip.dst * 0xf808ff33, 16) ^ 0xa28beaf8",
    "ip.id == lo16(tcp.seq) ^ (lo16(ip.dst) & tcp.srcport) ^ 0x1d0f",
)
KEYED = "tcp.seq == ip.dst ^ tcp.srcport ^ (tcp.dstport << 16) ^ key32"


@cache
def found() -> Search:
    """Eight families of sixty sources and one with keys, in noise of two thousand sources like theirs."""
    rng = np.random.default_rng(42)
    parts = [planted(rng, text, 60, 10_000 * (i + 1)) for i, text in enumerate(RELATIONS)]
    parts.append(planted(rng, KEYED, 120, 200_000))
    return searched(joined(traffic(rng, 2000), *parts))


@pytest.mark.parametrize("relation", [*RELATIONS, KEYED])
def test_slow_family_is_found_exactly(relation: str) -> None:
    known = [str(one.expression) for one in found().found]
    assert any(equal_on(parse(text), parse(relation), DEFAULT_TELESCOPE, 1, 20_000) for text in known), known


def test_no_fragment_of_a_slow_family_is_reported() -> None:
    for one in found().found:
        assert any(
            equal_on(one.expression, parse(text), DEFAULT_TELESCOPE, 1, 20_000)
            for text in (*RELATIONS, KEYED)
        ), str(one.expression)


def test_masked_window_of_many_sources_gives_no_family_for_each_value_of_the_masked_bits() -> None:
    rng = np.random.default_rng(7)
    relation = "tcp.window == (ip.id & 0xfebf) ^ 0xbd44"
    made = searched(joined(traffic(rng, 1000), planted(rng, relation, 2000, 50_000)))
    assert [equal_on(f.expression, parse(relation), DEFAULT_TELESCOPE, 1, 20_000) for f in made.found] == [
        True
    ]


@pytest.mark.parametrize("kind", ["spoofed", "windows", "fixed seq", "linux"])
def test_noise_of_slow_sources_has_no_family(kind: str) -> None:
    rng = np.random.default_rng(9)
    columns = traffic(rng, 1500)
    n = len(columns["src"])
    of, rank = np.unique(columns["src"], return_inverse=True)[1], rank_within(columns["src"])
    if kind == "spoofed":
        columns["tcp_window"] = rng.integers(0, 65536, n).astype(np.uint16)
        columns["ttl"] = rng.integers(1, 256, n).astype(np.uint8)
    elif kind == "windows":
        columns["ip_id"] = (rng.integers(0, 500, 1500)[of] + rank).astype(np.uint16)
        columns["src_port"] = (1025 + rng.integers(0, 200, 1500)[of] + rank).astype(np.uint16)
        columns["tcp_window"][:] = 8192
    elif kind == "fixed seq":
        columns["tcp_seq"] = rng.integers(0, 2**32, 1500)[of].astype(np.uint32)
        columns["ip_id"] = (rng.integers(0, 65536, 1500)[of] + 3 * rank).astype(np.uint16)
    else:
        columns["ip_id"] = (rng.integers(0, 65536, 1500)[of] + rank).astype(np.uint16)
        columns["tcp_window"][:] = 29200
    assert [str(f.expression) for f in searched(columns).found] == []


def test_a_mask_is_found_where_no_single_parity_stands_out() -> None:
    rng = np.random.default_rng(3)
    columns = joined(
        traffic(rng, 2500), planted(rng, "ip.id == lo16(ip.dst ^ tcp.srcport) | 0x9021", 40, 30_000)
    )
    fields = fields_matrix(columns)
    order = np.argsort(columns["src"], kind="stable")
    best = next(
        masked_sums(fields[:, order], np.arange(len(order)), columns["src"][order].astype(np.int64), 20)
    )
    assert best.mask == 0xFFFF & ~0x9021
    assert {str(word) for word in best.words} == {"ip.dst", "tcp.srcport"}
    assert abs(strongest(fields)[0][0]) < 8


def test_a_factor_is_lifted_from_its_low_bits() -> None:
    rng = np.random.default_rng(4)
    columns = joined(
        traffic(rng, 1500), planted(rng, "tcp.seq == rotl32(ip.dst * 0xf808ff33, 9) ^ 0x77", 40, 30_000)
    )
    made = [c for c, _ in products(columns, 20) if c is not None]
    assert any(str(0xF808FF33) in c.right for c in made)


def test_parities_gather_the_rows_of_a_family_that_no_word_describes() -> None:
    rng = np.random.default_rng(5)
    columns = joined(traffic(rng, 1000), traffic(rng, 600, 30_000))
    mine = columns["src"] >= 30_000 * 7919
    order = rng.permutation(14)
    mixed = sum((columns["dst"] >> np.uint32(b) & np.uint32(1)) << np.uint32(order[b] + 9) for b in range(14))
    columns["tcp_seq"][mine] = (columns["tcp_seq"] & np.uint32(0xFF8001FF) | mixed)[mine] ^ np.uint32(
        0x155000
    )
    rows = cluster(fields_matrix(columns), np.arange(len(mine)))
    assert len(rows) > 0.9 * mine.sum()
    assert mine[rows].mean() > 0.95


def test_constants_that_differ_in_a_bit_are_one_relation_with_a_mask() -> None:
    rng = np.random.default_rng(6)
    port = rng.integers(0, 60000, 400).astype(np.uint16)
    whole = np.full(400, 0xBD04, np.uint32)
    assert not is_fragment(whole, port, bitwise=True)
    assert is_fragment(
        whole ^ (rng.integers(0, 2, 400).astype(np.uint32) << np.uint32(6)), port, bitwise=True
    )


def test_a_constant_for_every_port_is_a_relation_with_the_port() -> None:
    port = np.repeat(np.array([22, 23, 80], np.uint16), 50)
    residue = port.astype(np.uint32) + np.uint32(1000)
    assert is_fragment(residue, port, bitwise=False)
    assert not is_fragment(residue[:50], port[:50], bitwise=False)


def test_counters_that_begin_low_are_no_relation() -> None:
    rng = np.random.default_rng(2)
    low = rng.integers(0, 500, 40_000).astype(np.uint32) - rng.integers(1025, 1225, 40_000).astype(np.uint32)
    assert is_fragment(low & np.uint32(0xFFFF), np.full(len(low), 445, np.uint16), bitwise=False)


def test_rows_chosen_by_their_target_are_told_from_a_scan() -> None:
    dst = np.random.default_rng(8).integers(0, 2**14, 4000).astype(np.uint32)
    assert selects(dst[dst % 4 == 1], dst)
    assert not selects(dst[:100], dst)
