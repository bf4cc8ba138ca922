"""The judge goes by the truth: what counts as eligible, as found, as false; and the sixteen planted families."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.columns import column
from andon.records.expression import compile_program, evaluate, parse, session_key
from andon.records.expression.ast import keys_of
from andon.simulate.fingerprints import (
    Columns,
    benchmark_config,
    benchmark_kinds,
    evidence,
    plant,
    score,
)
from andon.simulate.internet import InternetConfig, packets, truth

NAMES = (
    "ts", "src", "dst", "src_port", "dst_port", "tcp_flags", "tcp_seq", "tcp_ack", "ip_id", "ttl", "tcp_window",
    "ip_len", "layers",
)  # fmt: skip
TELESCOPE = ("192.0.2.0/24", "198.51.100.0/24")
DST = 0xC0000200


def made(rows: list[dict[str, int]]) -> Columns:
    """Packets by hand; fields that are not given are 0."""
    types = {"src": np.uint32, "dst": np.uint32, "tcp_seq": np.uint32, "tcp_ack": np.uint32, "ts": np.int64}
    types |= {"ttl": np.uint8, "tcp_flags": np.uint8, "layers": np.uint8}
    base = {"layers": 5, "tcp_flags": 2}
    return {n: np.array([{**base, **row}.get(n, 0) for row in rows], types.get(n, np.uint16)) for n in NAMES}


def table(rows: list[tuple[int, str, str, int]]) -> pa.Table:
    """A truth table of (source, family, relation, packets)."""
    src, family, expression, count = zip(*rows, strict=True)
    return pa.table(
        {"src": pa.array(src, pa.uint32()), "family": family, "expression": expression, "packets": count}
    )


def bits(relation: str, rows: list[dict[str, int]], own: int = 1000) -> float:
    return float(evidence(parse(relation), made(rows), np.array([1], np.uint32), np.array([own]))[0])


def test_evidence_counts_packets_in_which_the_fields_vary() -> None:
    mirai = [{"src": 1, "dst": DST + i, "tcp_seq": DST + i} for i in range(3)]
    assert bits("tcp.seq == ip.dst", mirai[:2]) == 64
    assert bits("tcp.seq == ip.dst", mirai[:1] * 5) == 32  # the same packet five times
    assert bits("tcp.seq == ip.dst", [*mirai, {"src": 1, "dst": DST, "tcp_seq": 9}]) == 96  # a foreign one
    assert bits("tcp.seq == ip.dst", mirai, own=2) == 64  # the third is a chance hit of someone else
    assert bits("tcp.seq == ip.dst", [{**row, "src": 2} for row in mirai]) == 0


def test_constants_need_not_vary_and_defaults_show_nothing() -> None:
    assert bits("ip.id == 54321", [{"src": 1, "ip_id": 54321}] * 3) == 48
    assert bits("tcp.window == 14600", [{"src": 1, "tcp_window": 14600}] * 50) == 0


def test_first_packet_of_a_session_only_tells_the_key() -> None:
    relation = "tcp.seq == ip.dst ^ key32"
    session = [{"src": 1, "dst": DST + i, "tcp_seq": (DST + i) ^ 0xABCD} for i in range(3)]
    assert bits(relation, session[:1]) == 0
    assert bits(relation, session[:2]) == 32
    assert bits(relation, session) == 64
    two_hosts = [*session, *({**row, "tcp_seq": row["dst"] ^ 0x1111} for row in session)]
    assert bits(relation, two_hosts) == 64  # two keys behind one address are two sessions
    assert bits("hi16(tcp.seq) ^ lo16(tcp.seq) == key16", [{"src": 1, "tcp_seq": 0x12345678}] * 9) == 0


@pytest.mark.parametrize(("sources", "eligible"), [(19, False), (20, True)])
def test_a_family_has_twenty_sources_with_evidence(sources: int, eligible: bool) -> None:
    rows = [{"src": s, "dst": DST + i, "tcp_seq": DST + i} for s in range(sources) for i in range(2)]
    rows += [{"src": 100, "dst": DST, "tcp_seq": DST}]  # one packet: 32 bits
    real = table([(s, "bot", "tcp.seq == ip.dst", 2) for s in [*range(sources), 100]])
    (only,) = plant(real, made(rows), TELESCOPE)
    assert (len(only.sources), len(only.eligible), only.counts) == (sources + 1, sources, eligible)
    report = score([("ip.dst == tcp.seq", range(sources))], real, TELESCOPE, made(rows))
    assert report.family_recall == (1.0 if eligible else None)
    assert report.all_source_recall == pytest.approx(sources / (sources + 1))


@pytest.fixture(scope="module")
def world() -> tuple[InternetConfig, pa.Table, Columns]:
    config = benchmark_config(5, packets=60_000, contamination=0.1)
    batches = list(packets(config))
    columns = {name: np.concatenate([column(batch, name) for batch in batches]) for name in NAMES}
    return config, truth(config)[0], columns


def test_the_truth_itself_is_right_in_everything(world: tuple[InternetConfig, pa.Table, Columns]) -> None:
    config, real, columns = world
    planted = plant(real, columns, config.telescope)
    assert len(planted) == 16
    assert sum(p.counts for p in planted) >= 14
    report = score([(str(p.expression), p.sources) for p in planted], real, config.telescope, columns)
    for value in (
        report.family_recall, report.source_recall, report.all_source_recall, report.family_precision,
        report.source_precision, report.exact_share,
    ):  # fmt: skip
        assert value == 1.0
    assert (report.found_families, report.repeated, report.false) == (16, 0, ())


def test_other_words_for_a_relation_are_that_relation_but_not_exact() -> None:
    rows = [{"src": s, "dst": DST + i, "tcp_seq": DST + i} for s in range(30) for i in range(3)]
    real = table([(s, "bot", "tcp.seq == ip.dst", 3) for s in range(30)])
    report = score(
        [("tcp.seq == (ip.dst & 0xff) + 0xc0000200", range(30))], real, ["192.0.2.0/24"], made(rows)
    )
    assert (report.family_recall, report.exact_share, report.false) == (1.0, 0.0, ())
    # On a telescope with a second prefix it is another relation.
    report = score([("tcp.seq == (ip.dst & 0xff) + 0xc0000200", range(30))], real, TELESCOPE, made(rows))
    assert (report.family_recall, report.family_precision, len(report.false)) == (0.0, 0.0, 1)


def test_half_of_a_relation_is_a_false_family_that_says_whose_it_is() -> None:
    rows = [{"src": s, "dst": DST + i, "tcp_seq": DST + i} for s in range(30) for i in range(3)]
    real = table([(s, "bot", "tcp.seq == ip.dst", 3) for s in range(30)])
    report = score([("lo16(tcp.seq) == lo16(ip.dst)", range(40))], real, TELESCOPE, made(rows))
    (false,) = report.false
    assert (false.nearest, false.share, false.sources) == ("bot", 0.75, 40)
    assert (report.family_recall, report.source_precision) == (0.0, 0.0)


def test_sources_wrongly_given_and_relations_found_twice_are_counted() -> None:
    rows = [{"src": s, "dst": DST + i, "tcp_seq": DST + i} for s in range(30) for i in range(3)]
    real = table([(s, "bot", "tcp.seq == ip.dst", 3) for s in range(30)])
    found = [("tcp.seq == ip.dst", range(20)), ("ip.dst ^ tcp.seq == 0", [*range(10, 30), *range(90, 100)])]
    report = score(found, real, TELESCOPE, made(rows))
    assert (report.source_recall, report.source_precision, report.repeated) == (1.0, 0.75, 1)


@pytest.mark.parametrize("text", ["", "tcp.seq ==", "key32 == key32", "tcp.seq & 0 == 0", "x" * 10_000])
def test_what_is_no_relation_is_a_false_family(text: str) -> None:
    real = table([(1, "bot", "tcp.seq == ip.dst", 3)])
    report = score([(text, [1])], real, TELESCOPE, made([{"src": 1}]))
    assert len(report.false) == 1


def test_a_world_of_noise_has_nothing_to_recall() -> None:
    real = table([(1, "noise", "", 3)])
    report = score([], real, TELESCOPE, made([{"src": 1}]))
    assert (report.families, report.family_recall, report.family_precision) == ((), None, None)
    assert score([("ip.id == 7", [1])], real, TELESCOPE, made([{"src": 1}])).false[0].nearest == ""


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sets(st.integers(0, 60)), max_size=4), st.randoms(use_true_random=False))
def test_order_of_what_was_found_does_not_matter(members: list[set[int]], rng: object) -> None:
    texts = ["tcp.seq == ip.dst", "ip.id == 54321", "ip.id == 54322", "tcp.seq ^ ip.dst == 0"]
    rows = [
        {"src": s, "dst": DST + i, "tcp_seq": DST + i, "ip_id": 54321} for s in range(30) for i in range(3)
    ]
    real = table([(s, n, e, 3) for s in range(30) for n, e in (("a", texts[0]), ("b", texts[1]))])
    found = [*zip(texts, members, strict=False)]
    one, other = (score(order, real, TELESCOPE, made(rows)) for order in (found, found[::-1]))
    assert one.source_recall == other.source_recall
    assert one.source_precision == other.source_precision
    assert len(one.false) == len(other.false) == sum(t == texts[2] for t, _ in found)
    assert all(f.right <= f.given and f.right_eligible <= f.eligible_sources for f in one.families)


def test_constants_of_the_sixteen_change_with_the_seed() -> None:
    one, other = benchmark_kinds(1), benchmark_kinds(2)
    assert benchmark_kinds(1) == one
    assert [k.name for k in one] == [k.name for k in other]
    assert sum(a.relation != b.relation for a, b in zip(one, other, strict=True)) == 11


def test_half_of_the_sources_are_noise_and_planted_packets_keep_their_relation(
    world: tuple[InternetConfig, pa.Table, Columns],
) -> None:
    config, real, columns = world
    kinds = np.array(real["kind"].to_pylist(), object)
    names = np.array(real["family"].to_pylist(), object)
    src = real["src"].to_numpy()
    families, noise = (len(np.unique(src[m])) for m in (kinds == "botnet", names == "noise"))
    assert abs(families - noise) < 0.1 * noise
    for expression in {e for e in real["expression"].to_pylist() if e}:
        mine = np.array([e == expression for e in real["expression"].to_pylist()])
        rows = np.isin(columns["src"], src[mine])
        part = {name: values[rows] for name, values in columns.items()}
        program = compile_program(parse(expression))
        if keys_of(parse(expression)):
            key, valid = session_key(program, part)
            pairs = part["src"].astype(np.uint64) << np.uint64(32) | key
            hits = int(np.unique(pairs[valid], return_counts=True)[1].max(initial=0))
            assert hits > 2
        else:
            own = int(real["packets"].to_numpy()[mine].sum())
            assert own <= int(evaluate(program, part).sum()) <= own + 0.001 * len(part["src"]) + 2
    assert config.noise == 0.5
