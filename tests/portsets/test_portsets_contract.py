"""The contract, bounded state, and what counts as a scan."""

from __future__ import annotations

import numpy as np
import pytest
from portsets_traffic import DARK, Run, addresses, batch, family, noise

from andon.detect.darknet.portsets import PortSets
from andon.detect.darknet.portsets.carry import Remembered
from andon.detect.darknet.portsets.kernel import CODES, PORTS, code_of_order
from andon.detect.darknet.portsets.scanners import scanners
from andon.detect.darknet.portsets.summary import Scans, services
from andon.records import packet
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError

TELNET = ((23, 9), (2323, 1))


def scans(*batches, limit: int = 1000) -> Scans:
    made = Scans(limit, 5)
    for part in batches:
        made.add(part, services())
    return made


def test_engine_keeps_the_contract() -> None:
    parts = [
        noise(1500, 1),
        family(addresses(150, 2), TELNET, 12, 3),
        noise(700, 4),
        batch(src=7, dst_port=np.arange(90)),
    ]
    outcome = check_engine(PortSets(Site()), parts)
    assert outcome.tables["families"]["ports"].to_pylist() == ["23,2323"]


def test_engine_keeps_the_contract_above_its_cap() -> None:
    rng = np.random.default_rng(1)
    parts = [
        batch(
            src=rng.integers(0, 5000, 4000),
            dst_port=rng.integers(1, 40, 4000),
            second=rng.uniform(0, 80_000, 4000),
        )
        for _ in range(4)
    ]
    outcome = check_engine(PortSets(Site(settings={"darknet.portsets.sources": 700})), parts)
    (coverage,) = [f for f in outcome.findings if f.subject == ("coverage", "portset")]
    assert "Only one source in" in coverage.statement
    row = outcome.tables["coverage"].to_pylist()[0]
    assert row["one_source_in"] == 8 and row["packets"] + row["packets_not_looked_at"] == 16_000


def test_the_order_of_ports_is_a_permutation() -> None:
    assert np.array_equal(np.sort(code_of_order()), np.arange(CODES))


def test_sixteen_ports_are_exact_and_more_make_a_sweeper_however_it_was_cut() -> None:
    rng = np.random.default_rng(3)
    few, many = rng.choice(60_000, PORTS, replace=False), rng.choice(60_000, 40, replace=False)
    sent = rng.integers(1, 9, PORTS)
    packets = batch(
        src=np.r_[np.full(sent.sum(), 10), np.full(200, 20)],
        dst_port=np.r_[np.repeat(few, sent), np.tile(many, 5)],
    )
    order = rng.permutation(packets.num_rows)
    shuffled = packets.take(order)
    whole, left, right = scans(packets), scans(shuffled.slice(0, 123)), scans(shuffled.slice(123))
    left.merge(right)
    assert left.to_bytes() == whole.to_bytes()
    found = scanners(whole)
    assert found.sweeps.tolist() == [False, True] and found.sizes.tolist() == [PORTS, PORTS]
    assert dict(zip(found.codes[:PORTS].tolist(), found.counts[:PORTS].tolist(), strict=True)) == dict(
        zip(few.tolist(), sent.tolist(), strict=True)
    )
    # Of the sweeper the sixteen ports that are kept have exact counts as well.
    assert set(found.counts[PORTS:].tolist()) == {5} and found.packets[1] == 200


def test_only_requests_count() -> None:
    ipv4 = packet.IPV4
    made = scans(
        batch(src=1, dst_port=23),
        batch(src=2, tcp_flags=packet.SYN | packet.ACK, dst_port=23),
        batch(src=3, tcp_flags=packet.RST, dst_port=23),
        batch(src=4, proto=17, layers=ipv4 | packet.UDP, tcp_flags=0, dst_port=53),
        batch(src=5, proto=17, layers=ipv4 | packet.UDP, tcp_flags=0, src_port=53, dst_port=50_000),
        batch(src=6, layers=ipv4, dst_port=23),
        batch(src=0, layers=packet.IPV6 | packet.TCP, dst_port=23),
    )
    found = scanners(made)
    assert found.address.tolist() == [1, 4] and found.codes.tolist() == [23, 65536 + 53]
    assert (made.packets, made.answers) == (2, 1)


def test_a_million_made_up_sources_stay_within_the_bounds() -> None:
    run = Run(site=Site(settings={"darknet.portsets.sources": 20_000}))
    flood = [
        batch(src=np.arange(250_000) * 4093 + n * 250_000, dst=DARK + 9, dst_port=80, second=n)
        for n in range(4)
    ]
    outcome = run.next(*flood, family(addresses(4000, 5), TELNET, 12, 6))
    summary = run.engine.empty()
    for part in flood:
        summary = run.engine.summarise(part, summary)
    assert summary.rows.used <= 20_000 and summary.packets == 1_000_000
    assert len(summary.to_bytes()) < run.engine.limit * 20_000 / 320_000
    assert "23,2323" in run.families()
    row = outcome.tables["coverage"].to_pylist()[0]
    assert row["one_source_in"] >= 64 and row["unexplained_one_target"] > 0.9 * row["one_port_sources"]


def test_sweepers_make_no_family_and_are_counted() -> None:
    rng = np.random.default_rng(8)
    source = np.repeat(addresses(300, 9), 200)
    run = Run()
    run.next(batch(src=source, dst_port=rng.integers(1, 2000, len(source))), noise(500, 10))
    assert run.outcome.tables["families"].num_rows == 0
    assert run.outcome.tables["coverage"]["sweeper_sources"].to_pylist() == [300]


def test_a_crowd_of_random_sets_of_sixteen_ports_stays_within_the_bounds() -> None:
    rng = np.random.default_rng(11)
    popular = rng.integers(1, 65536, 300)
    source = np.repeat(addresses(4000, 12), 16)
    run = Run("1h")
    run.next(batch(src=source, dst_port=popular[rng.integers(0, 300, len(source))]))
    assert run.carry is not None and len(run.carry.to_bytes()) < 16 << 20
    assert all(len(one.codes) == 1 for one in run.carry.families)  # ports are new, but no set of them is


def test_states_that_are_none_are_refused() -> None:
    good = scans(batch(src=np.arange(9), dst_port=23)).to_bytes()
    for bad in (b"", good[:40], good[:-1] + b"x"):
        with pytest.raises(StateError):
            Scans.from_bytes(bad)
    carry = Remembered().to_bytes()
    with pytest.raises(StateError):
        Remembered.from_bytes(carry[:-3])
    with pytest.raises(ValueError, match="limit and hash key"):
        scans(limit=10).merge(scans(limit=11))


@pytest.mark.parametrize(
    ("name", "value"), [("sources", 0), ("sources", 10**7), ("false_births", 0), ("warm_up", -1)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"darknet.portsets.*{name}"):
        PortSets(Site(settings={f"darknet.portsets.{name}": value}))


def test_no_packets_leave_the_carry_as_it_was() -> None:
    run = Run()
    run.next(noise(200, 13))
    before = run.carry
    run.next()
    assert run.outcome.carry is before and run.outcome.findings == ()
