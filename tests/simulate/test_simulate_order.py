"""ZMap's address order is the real one: checked against walking the group step by step."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.simulate.internet import Always, Family, InternetConfig, packets
from andon.simulate.internet.addresses import space
from andon.simulate.internet.cyclic import ORDER, Logarithms, P, Scan, elements, is_generator, visits
from andon.simulate.internet.population import populate

LOGARITHMS = Logarithms()
ONE_SCANNER = Family("z", "zmap", "tool", "attack", 1, 1.0, ((443, 1),), Always())


@given(st.lists(st.integers(1, P - 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_three_to_the_logarithm_is_the_element(values: list[int]) -> None:
    logs = LOGARITHMS.of(np.array(values, np.uint64))
    assert [pow(3, int(log), P) for log in logs] == values


def walk(scan: Scan, steps: int) -> dict[int, int]:
    """The scanner itself: address -> step, for the first ``steps`` steps."""
    x, seen = pow(scan.generator, scan.offset, P), {}
    for step in range(steps):
        if x <= 2**32:
            seen[x - 1] = step
        x = x * scan.generator % P
    return seen


def test_visits_are_those_of_the_scanner_walking_step_by_step() -> None:
    blocks = (ipaddress.IPv4Network("96.0.0.0/11"), ipaddress.IPv4Network("150.128.0.0/12"))
    addresses = space(blocks).all()
    scan = Scan.draw(np.random.default_rng(4))
    steps = 400_000
    walked = [a for a in walk(scan, steps) if any(ipaddress.IPv4Address(a) in b for b in blocks)]
    index, when = visits(scan.positions(LOGARITHMS.of(elements(addresses, False)), LOGARITHMS), 0, 1, 1, 0.0)
    assert len(walked) > 200
    assert addresses[index[when < steps]].tolist() == walked


def test_every_address_is_visited_once_in_a_whole_scan_and_shards_divide_it() -> None:
    addresses = space(InternetConfig(seed=1).blocks).all()
    scan = Scan.draw(np.random.default_rng(9))
    positions = scan.positions(LOGARITHMS.of(elements(addresses, False)), LOGARITHMS)
    whole, _ = visits(positions, 0, 1, 4, 0.0)
    assert sorted(whole.tolist()) == list(range(len(addresses)))
    parts = [visits(positions, shard, 8, 2, 0.0)[0] for shard in range(8)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(addresses)))


def test_generators_generate_and_are_small_enough_for_zmap() -> None:
    for seed in range(20):
        scan = Scan.draw(np.random.default_rng(seed))
        assert is_generator(scan.generator) and scan.generator < 2**22
    assert not is_generator(pow(3, 2, P)) and not is_generator(pow(3, 131, P))


def test_the_blocklist_shifts_addresses_by_what_is_blocked_below_them() -> None:
    a = np.array(
        [int(ipaddress.IPv4Address(x)) for x in ("1.0.0.0", "11.0.0.0", "128.0.0.0", "223.255.255.255")]
    )
    shift = (a + 1 - elements(a.astype(np.uint32), True).astype(np.int64)).tolist()
    blocked = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8"]
    sizes = np.cumsum([ipaddress.IPv4Network(b).num_addresses for b in blocked])
    assert shift[:3] == [sizes[0], sizes[1], sizes[3]]
    later = ["169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"]
    assert shift[3] == sizes[3] + sum(ipaddress.IPv4Network(b).num_addresses for b in later) + 4 * 4096


@pytest.mark.parametrize("seed", [1, 2, 3, 11])
def test_packets_in_time_order_are_rising_powers_of_one_generator(seed: int) -> None:
    """x' / x = g^k with k > 0 for consecutive packets of each of the scanner's threads."""
    config = InternetConfig(
        seed=seed, packets=5000, noise=0.0, families=(ONE_SCANNER,), telescope=("23.0.0.0/14",)
    )
    scan = Scan.draw(np.random.default_rng([seed, 0, 0, 7]))
    threads = int(populate(config).sessions["threads"][0])
    piece = ORDER // threads
    last: dict[int, int] = {}
    steps: list[int] = []
    for address in pa.Table.from_batches(packets(config))["dst"].to_pylist():
        # Each packet's exponent, found by walking back from the logarithm to base 3 and proved by a power.
        log = int(LOGARITHMS.of(np.array([address + 1], np.uint64))[0])
        base = int(LOGARITHMS.of(np.array([scan.generator], np.uint64))[0])
        exponent = log * pow(base, -1, ORDER) % ORDER
        assert pow(scan.generator, exponent, P) == address + 1
        position = (exponent - scan.offset) % ORDER
        thread = position // piece
        assert position > last.get(thread, -1)
        if thread in last:
            steps.append(position - last[thread])
        last[thread] = position
    assert len(last) == threads
    assert np.mean(steps) == pytest.approx(2**32 / 2**18, rel=0.1)  # one in so many addresses is dark
