"""The telescope is found from destinations, or it is said that it cannot be."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import numpy as np
import pytest
from census_traffic import batch, concluded, telescope_of
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.census import CensusEngine
from andon.observe import read
from andon.records.contract import Site

FIVE = ("23.90.64.0/18", "58.181.128.0/18", "101.44.0.0/18", "146.71.192.0/18", "203.8.0.0/18")


def addresses(prefix: str, share: float, rng: np.random.Generator) -> np.ndarray:
    network = IPv4Network(prefix)
    inside = np.flatnonzero(rng.random(network.num_addresses) < share)
    return int(network.network_address) + inside


def anywhere(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1 << 24, 127 << 24, count)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.02])
def test_a_sparsely_covered_16_is_one_prefix(share: float) -> None:
    rng = np.random.default_rng(1)
    assert telescope_of(Site(), batch(dst=addresses("198.18.0.0/16", share, rng))) == ["198.18.0.0/16"]


@pytest.mark.parametrize("share", [0.9, 0.1, 0.005])
@pytest.mark.parametrize("strays", [0, 5, 100])
def test_five_disjoint_18_stay_five_whatever_strays_there_are(share: float, strays: int) -> None:
    rng = np.random.default_rng(2)
    inside = np.concatenate([addresses(prefix, share, rng) for prefix in FIVE])
    assert telescope_of(Site(), batch(dst=np.r_[inside, anywhere(strays, rng)])) == list(FIVE)


@given(
    st.integers(15, 28),
    st.integers(0, 2**32 - 1),
    st.floats(0.3, 1.0),
    st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_any_one_prefix_is_found(length: int, anchor: int, share: float, seed: int) -> None:
    first = (anchor % (222 << 24)) | (1 << 24)
    prefix = IPv4Network((first >> (32 - length) << (32 - length), length))
    if prefix.subnet_of(IPv4Network("127.0.0.0/8")):
        return
    inside = addresses(str(prefix), share, np.random.default_rng(seed))
    low, high = int(prefix.network_address), int(prefix.broadcast_address)
    inside = np.unique(np.r_[low, inside, high])  # a prefix whose halves were seen
    found = [IPv4Network(text) for text in telescope_of(Site(), batch(dst=inside))]
    if length <= 24:
        assert found == [prefix]
    assert all(network.subnet_of(prefix) for network in found)


def test_a_single_destination_is_a_32() -> None:
    assert telescope_of(Site(), batch(dst=np.full(50, 0xC0000207))) == ["192.0.2.7/32"]


def test_destinations_all_over_the_internet_are_not_a_telescope() -> None:
    rng = np.random.default_rng(3)
    outcome = concluded(CensusEngine(Site()), batch(dst=anywhere(5000, rng)))
    row = outcome.tables["telescope"].to_pylist()[0]
    assert row["cidr"] == "0.0.0.0/0" and row["addresses"] == row["seen"] > 4990
    assert "could not be inferred" in outcome.findings[0].statement


def test_scattered_sensors_that_hear_much_are_a_telescope_of_single_addresses() -> None:
    rng = np.random.default_rng(4)
    sensors = anywhere(15, rng)
    found = telescope_of(Site(), batch(dst=np.repeat(sensors, 200), src=rng.integers(0, 1 << 32, 3000)))
    assert found == [f"{IPv4Network(int(a))}" for a in np.sort(sensors)]


def test_prefixes_given_are_kept_and_what_falls_outside_is_said() -> None:
    site = Site(telescope=("192.0.2.128/25", "192.0.2.0/25", "2001:db8::/32"))
    outcome = concluded(CensusEngine(site), batch(dst=[0xC0000201, 0xC00002FF, 0x01020304]))
    row = outcome.tables["telescope"].to_pylist()[0]
    assert (row["cidr"], row["addresses"], row["seen"], row["given"]) == ("192.0.2.0/24", 256, 2, True)
    assert "1 destination outside" in outcome.findings[0].statement


def test_a_bad_prefix_is_named() -> None:
    with pytest.raises(ValueError, match="not-a-prefix"):
        concluded(CensusEngine(Site(telescope=("not-a-prefix",))), batch(dst=[1]))


def test_the_statement_says_that_prefixes_were_inferred_and_that_sources_lie_inside() -> None:
    rng = np.random.default_rng(5)
    inside = addresses("192.0.2.0/24", 1.0, rng)
    outcome = concluded(CensusEngine(Site()), batch(dst=inside, src=np.where(inside % 4 == 0, inside, 9)))
    assert "inferred from the destinations, not given" in outcome.findings[0].statement
    assert "64 packets came from inside the telescope" in outcome.findings[0].statement


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zmap_syn80_10k.pcap", ["0.0.0.0/0"]),
        ("iot_malware_telnet_scan.pcap", ["0.0.0.0/0"]),
        ("nmap_synscan_2010.pcap", ["64.13.134.52/32"]),
        ("masscan_tcp_0_1000_vlan.pcap", ["198.124.152.15/32"]),
    ],
)
def test_real_captures_give_what_a_person_would_say(andon_data: Path, name: str, expected: list[str]) -> None:
    path = andon_data / "darknet-data" / "captures" / name
    assert telescope_of(Site(), *read(path, columns=CensusEngine.columns)) == expected
