"""How many hosts are cut off: counted through an index as if each were compared with each."""

from __future__ import annotations

import random

from andon.contain.guard.asks import _Counted, _within
from andon.contain.guard.reach import Reach, reach_of
from andon.records.intent import ADDRESS, HOST, PREFIX, Party
from spent import spent


def _reach(rng: random.Random) -> Reach:
    some = [f"10.0.0.{rng.randint(1, 12)}", f"10.0.1.{rng.randint(1, 6)}", f"fd00::{rng.randint(1, 4)}"]
    addresses = tuple(rng.sample(some, rng.randint(0, 3)))
    mac = f"00:11:22:33:44:0{rng.randint(1, 4)}" if rng.random() < 0.4 else ""
    kind = rng.choice((HOST, HOST, HOST, ADDRESS, PREFIX))
    if kind == PREFIX:
        return reach_of(
            Party(PREFIX, rng.choice(("10.0.0.0/29", "10.0.0.0/24", "10.0.1.4/31", "fd00::/126")), (), mac)
        )
    if kind == ADDRESS:
        return reach_of(Party(ADDRESS, some[0], addresses, mac))
    if rng.random() < 0.1:
        addresses = (*addresses, rng.choice(("10.0.0.0/30", "nonsense", "10.0.0.007")))
    return reach_of(Party(HOST, f"pc{rng.randint(1, 30)}", addresses, mac))


def test_the_index_counts_what_comparing_each_with_each_counts() -> None:
    rng = random.Random(8)
    again = 0
    for _ in range(400):
        counted, seen = _Counted(), list[Reach]()
        for _ in range(rng.randint(1, 25)):
            other = _reach(rng)
            further = bool(other.problems) or not any(
                _within(other, before) or _within(before, other) for before in seen
            )
            assert counted.is_further(other) is further, (other, seen)
            if further:
                seen.append(other)
            again += not further
    assert again > 500


def test_a_thousand_hosts_are_counted_in_milliseconds() -> None:
    hosts = []
    for n in range(1, 1_001):
        addresses = (f"10.1.{n >> 8}.{n & 255}", f"fd00::1:{n:x}")
        hosts.append(reach_of(Party(HOST, f"pc{n}", addresses, f"00:11:22:33:{n >> 8:02x}:{n & 255:02x}")))
    counted = _Counted()
    with spent() as cost:
        assert all(counted.is_further(host) for host in hosts)
        assert not any(counted.is_further(host) for host in hosts)
    assert cost.seconds < 1.0  # each compared with each: some 4 s
