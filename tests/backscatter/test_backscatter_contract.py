"""The engine keeps the contract: equal digests however the input is cut, and bounded memory under forged sources."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from backscatter_traffic import (
    DARK,
    RST,
    SECOND,
    START,
    classes_of,
    concluded,
    flood_answers,
    packets,
    scans,
    telescope,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.backscatter import engine
from andon.detect.darknet.backscatter.asked import was_asked
from andon.detect.darknet.backscatter.services import service_ports
from andon.detect.darknet.backscatter.summary import LIMIT, Summary
from andon.records import packet
from andon.records.contract import Context, Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError

SERVICES = service_ports()


def mixed(seed: int) -> pa.RecordBatch:
    """Scans, three victims, a reflection on one address and an IPv6 packet, in random order."""
    rng = np.random.default_rng(seed)
    table = pa.Table.from_batches(
        [
            scans(2000, seed),
            *(flood_answers(0xCB007105 + n, 120, 400, seed=n, tcp_flags=RST if n else 18) for n in range(3)),
            packets(START + rng.integers(0, 60 * SECOND, 800), rng.integers(1 << 24, 1 << 31, 800), DARK),
            packets(START, 0, 0, layers=packet.IPV6),
        ]
    ).combine_chunks()
    return table.take(pa.array(rng.permutation(table.num_rows))).combine_chunks().to_batches()[0]


@given(st.integers(0, 1000), st.lists(st.integers(0, 3161), max_size=4), st.sampled_from([40, 300, 100_000]))
@settings(max_examples=25, deadline=None)
def test_digest_does_not_depend_on_order_split_or_merge(seed: int, cuts: list[int], limit: int) -> None:
    batch = mixed(1)
    shuffled = batch.take(pa.array(np.random.default_rng(seed).permutation(batch.num_rows)))
    whole = Summary(5, limit, limit, limit)
    whole.add(batch, SERVICES)
    edges = [0, *sorted(cuts), shuffled.num_rows]
    merged = Summary(5, limit, limit, limit)
    for start, end in pairwise(edges):
        part = Summary(5, limit, limit, limit)
        part.add(shuffled.slice(start, end - start), SERVICES)
        merged.merge(part)
    assert merged.to_bytes() == whole.to_bytes()
    assert Summary.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()


def test_the_contract_holds() -> None:
    outcome = check_engine(engine(Site()), [mixed(2), mixed(3), scans(5000, 4)], telescope(1 << 16))
    kinds = [finding.attributes["class"] for finding in outcome.findings]
    assert sorted(kinds) == ["reflection-target"] + ["spoofed-dos-victim"] * 3


def test_the_filter_of_asked_addresses_misses_none_and_errs_rarely() -> None:
    state = Summary(7)
    asked = np.arange(DARK, DARK + 200_000)
    state.add(packets(START, 1, asked, tcp_flags=packet.SYN), SERVICES)
    assert was_asked(state.asked, asked, np.uint64(7)).all()
    for others in (
        np.arange(1 << 28, (1 << 28) + 2_000_000),
        np.random.default_rng(1).integers(1 << 30, 1 << 32, 10**6),
    ):
        assert was_asked(state.asked, others, np.uint64(7)).mean() < 0.0005


def test_nothing_at_all_concludes_to_nothing() -> None:
    outcome = concluded(packets(np.empty(0, np.int64), np.empty(0), np.empty(0)))
    assert outcome.findings == ()
    assert outcome.tables["victims"].num_rows == 0


def test_without_a_telescope_table_the_engine_still_answers() -> None:
    ours = engine(Site())
    state = ours.summarise(flood_answers(0xCB007105, 500, 600, seed=1), ours.empty())
    (found,) = ours.conclude(state, None, Context("1d", START, START + 1)).findings
    assert found.confidence < 0.8


def test_two_million_forged_senders_of_answers_stay_within_the_limit_and_it_is_said() -> None:
    rng = np.random.default_rng(1)
    state = Summary(Site().hash_key)
    for n in range(4):
        state.add(
            packets(
                START + n * 900 * SECOND + np.sort(rng.integers(0, 900 * SECOND, 500_000)),
                rng.integers(0, 1 << 32, 500_000, dtype=np.uint32),
                DARK + rng.integers(0, 1 << 16, 500_000),
                dst_port=rng.integers(0, 65536, 500_000),
            ),
            SERVICES,
        )
    state.add(flood_answers(0xCB007105, 5000, 3000, seed=1), SERVICES)
    assert state.nbytes < 120 << 20
    assert len(state.to_bytes()) <= LIMIT
    assert state.bins.level > 0
    outcome = concluded(summary=state)
    assert set(classes_of(outcome).values()) <= {"spoofed-dos-victim"}
    assert "memory limit" in outcome.tables["set_aside"].column("reason").to_pylist()[-1]


def test_a_victim_with_too_many_ports_to_keep_does_not_confuse_the_others() -> None:
    # 3,000 rows hold no list of 20,000 ports: the sample drops sources, never parts of one.
    state = Summary(Site().hash_key, answers=3000)
    rng = np.random.default_rng(5)
    state.add(
        flood_answers(0xCB007105, 20_000, 900, seed=1, src_port=rng.integers(1, 65536, 20_000)), SERVICES
    )
    for n in range(200):
        state.add(flood_answers(0xCB007200 + n, 60, 300, seed=n), SERVICES)
    assert state.answers.level > state.bins.level
    outcome = concluded(summary=state)
    named = outcome.tables["victims"].drop(["first", "last"]).to_pylist()
    assert 0 < len(named) < 200
    assert {row["flood"] for row in named} == {"SYN flood"}
    assert all("memory limit" in finding.statement for finding in outcome.findings)


def test_a_forged_flood_is_found_however_many_pairs_there_are() -> None:
    rng = np.random.default_rng(2)
    state = Summary(Site().hash_key, pairs=5000)
    state.add(scans(1_000_000, 3, sources=200_000), SERVICES)
    state.add(
        packets(
            START + 900 * SECOND + np.sort(rng.integers(0, 30 * SECOND, 30_000)),
            rng.integers(0, 1 << 32, 30_000, dtype=np.uint32),
            DARK + 9,
            tcp_flags=packet.SYN,
        ),
        SERVICES,
    )
    assert classes_of(concluded(summary=state)) == {"10.10.0.9": "spoofed-flood-target"}


@pytest.mark.parametrize("cut", [0, 10, 40, -1])
def test_a_damaged_summary_is_refused(cut: int) -> None:
    state = Summary(1)
    state.add(scans(100, 1), SERVICES)
    with pytest.raises(StateError):
        Summary.from_bytes(state.to_bytes()[:cut])


@given(st.integers(0, 1 << 32))
@settings(max_examples=30, deadline=None)
def test_any_header_values_are_taken(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 300

    def byte() -> np.ndarray:
        return rng.integers(0, 256, n)

    wild = packets(
        rng.integers(-(1 << 62), 1 << 62, n),
        rng.integers(0, 1 << 32, n),
        rng.integers(0, 1 << 32, n),
        src_port=rng.integers(0, 65536, n),
        dst_port=rng.integers(0, 65536, n),
        proto=byte(),
        tcp_flags=byte(),
        ttl=byte(),
        layers=byte(),
        icmp_type=byte(),
        icmp_code=byte(),
    )
    state = Summary(3)
    state.add(wild, SERVICES)
    assert state.totals.sum() == n
    concluded(summary=state, dark=int(rng.integers(0, 3)))
