"""Senders that ask one port show a shorter relation with a constant; it is no family beside the one with the port."""

from __future__ import annotations

import numpy as np
import pytest
from engine_traffic import addresses, batches, conclude, engine, mirai, searching, syn
from test_discover_relations import sample_of

from andon.detect.darknet.fingerprint.candidate import FULL, Candidate
from andon.detect.darknet.fingerprint.engine import FingerprintEngine, no_orders
from andon.detect.darknet.fingerprint.layers import affine
from andon.detect.darknet.fingerprint.ports import of_the_port
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.detect.darknet.fingerprint.search import Budget, Search
from andon.detect.darknet.fingerprint.verify import Rows, Verified, verify
from andon.records.contract import Outcome, Site
from andon.records.expression import equal_on, parse
from andon.simulate.internet import Family, InternetConfig

MASSCAN = "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)"
AT_443 = "ip.id == lo16(ip.dst ^ tcp.seq ^ 0x1bb)"
AT_22 = "ip.id == lo16(ip.dst ^ tcp.seq ^ 0x16)"
MIRAI = "tcp.seq == ip.dst"
Columns = dict[str, np.ndarray]


def masscan(
    rng: np.random.Generator, first: int, count: int, ports: tuple[int, ...], each: int = 10
) -> Columns:
    packets = syn(rng, addresses(first << 24, count), each)
    packets["dst_port"] = rng.choice(np.array(ports, np.uint16), len(packets["ts"]))
    low = packets["dst"] ^ packets["tcp_seq"] ^ packets["dst_port"]
    return {**packets, "ip_id": (low & np.uint32(0xFFFF)).astype(np.uint16)}


def sequences(rng: np.random.Generator, first: int, count: int, port: int, constant: int) -> Columns:
    """Sources with ``tcp.seq == ip.dst ^ constant`` that ask one port."""
    packets = mirai(syn(rng, addresses(first << 24, count), 10))
    packets["tcp_seq"] ^= np.uint32(constant)
    packets["dst_port"][:] = port
    return packets


def found(outcome: Outcome) -> dict[str, int]:  # type: ignore[type-arg]
    return {
        f.subject[1]: f.attributes["sources"] for f in outcome.findings if f.kind == "scanner-fingerprint"
    }


def widened(candidate: Candidate, *parts: Columns) -> list[Verified]:
    """What the port makes of the strongest constant of a candidate."""
    sample = Sample.of_packets({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
    columns = {name: sample.columns[name] for name in COLUMNS}
    columns |= {"layers": np.full(sample.rows, 5, np.uint8), "tcp_flags": np.full(sample.rows, 2, np.uint8)}
    rows = Rows.of(columns | {"src": sample.src[sample.of_row]}, sample.of_row, len(sample.src))
    best, *_ = verify(rows, candidate, 20)
    return list(of_the_port(rows, best, 20, np.ones(sample.rows, np.bool_)))


def of_dst(op: str) -> Candidate:
    return Candidate("tcp.seq", op, "ip.dst", FULL, FULL, "L3", 1.0, "tcp.seq")


# --- in the search ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [70, 0], ids=["some ask several ports", "all ask one"])
def test_the_search_finds_masscan_once_where_most_sources_ask_one_port(several: int) -> None:
    def family(sources: int, *ports: int) -> Family:
        weights = tuple((port, 1.0) for port in ports)
        return Family(f"m{ports[0]}", "masscan", "tool", "survey", sources, 1.0, weights, ports_each=3)

    families = [family(70, 443), family(35, 3389)]
    families += [family(several, 80, 22, 8080, 443, 5900)] if several else []
    search = Search(sample_of(InternetConfig(seed=4, packets=30_000, families=tuple(families))), Budget())
    search.refresh()
    affine(search)
    assert [(str(f.expression), len(f.sources)) for f in search.found] == [(MASSCAN, 105 + several)]


@pytest.mark.parametrize(
    ("op", "relation"),
    [
        ("^", "tcp.seq == ip.dst ^ tcp.dstport ^ 0x5a5a1234"),
        ("^", "tcp.seq == ip.dst ^ (tcp.dstport << 16) ^ 0x5a5a1234"),
        ("-", "tcp.seq == ip.dst + (tcp.dstport << 8) + 0x5a5a1234"),
    ],
)
def test_the_port_is_told_from_the_constant_by_the_senders_at_other_ports(op: str, relation: str) -> None:
    rng = np.random.default_rng(1)
    parts = []
    for first, port, count in ((1, 443, 60), (60, 22, 25), (120, 8080, 22)):
        packets = sequences(rng, first, count, port, 0)
        moved = np.uint32(port << (8 if "8)" in relation else 16 if "16)" in relation else 0))
        constant = np.uint32(0x5A5A1234)
        dst = packets["dst"]
        packets["tcp_seq"] = dst ^ moved ^ constant if op == "^" else dst + moved + constant
        parts.append(packets)
    best, *_ = widened(of_dst(op), *parts)
    assert equal_on(best.expression, parse(relation), ("10.0.0.0/16",), 1, 20_000)
    assert len(best.sources) == 107


def test_botnets_with_a_constant_and_a_port_of_their_own_are_not_one() -> None:
    rng = np.random.default_rng(2)
    parts = [sequences(rng, 1, 60, 443, 0x1234567), sequences(rng, 60, 40, 22, 0xABCDEF01)]
    assert widened(of_dst("^"), *parts) == []


def test_nineteen_senders_at_other_ports_prove_no_port() -> None:
    rng = np.random.default_rng(3)
    for others, proved in ((19, False), (20, True)):
        parts = [sequences(rng, 1, 60, 443, 443 ^ 7), sequences(rng, 60, others, 22, 22 ^ 7)]
        assert bool(widened(of_dst("^"), *parts)) == proved


def test_mirai_at_one_port_is_not_given_to_fewer_senders_that_agree_with_it_there() -> None:
    """A high byte of the port is zero at 23: the other family says the same there, but Mirai has more sources."""
    rng = np.random.default_rng(4)
    parts = [sequences(rng, 1, 60, 23, 0), sequences(rng, 60, 40, 2323, 2323 >> 8)]
    assert widened(of_dst("^"), *parts) == []


# --- among families ---------------------------------------------------------------------------------------------


def one_port(rng: np.random.Generator, several: int = 30) -> list[Columns]:
    made = [masscan(rng, 1, 60, (443,)), masscan(rng, 60, 30, (22,)), syn(rng, addresses(200 << 24, 300), 5)]
    return [*made, masscan(rng, 120, several, (80, 443, 8080, 21, 5900))] if several else made


def test_families_that_are_parts_of_another_are_dropped_and_it_has_their_sources() -> None:
    parts = batches(*one_port(np.random.default_rng(5)))
    assert found(conclude(engine(AT_443, AT_22, MASSCAN), parts)) == {MASSCAN: 120}


def test_a_part_that_is_carried_goes_when_the_other_relation_is_found() -> None:
    rng = np.random.default_rng(6)
    first = conclude(engine(AT_443), batches(masscan(rng, 1, 60, (443,))))
    assert found(first) == {AT_443: 60}
    later = conclude(engine(MASSCAN), batches(*one_port(rng)), first.carry, day=1)
    assert found(later) == {MASSCAN: 120}


def test_parts_of_a_tool_of_the_catalogue_are_the_tool() -> None:
    site = Site(relations={"masscan": f"(tcp.flags & 0x3f == 2) and ({MASSCAN})"})
    made = FingerprintEngine(site, searching(AT_443, AT_22), no_orders)
    assert found(conclude(made, batches(*one_port(np.random.default_rng(7), 0)))) == {MASSCAN: 90}


def test_a_constant_that_is_only_at_one_port_what_the_other_relation_says_is_a_family() -> None:
    rng = np.random.default_rng(9)
    own = masscan(rng, 60, 40, (80, 443))
    own["ip_id"] = ((own["dst"] ^ own["tcp_seq"] ^ np.uint32(0x1BB)) & np.uint32(0xFFFF)).astype(np.uint16)
    scans = masscan(rng, 120, 50, (80, 443, 8080, 21, 5900))
    assert found(conclude(engine(AT_443, MASSCAN), batches(own, scans)))[AT_443] >= 40


@pytest.mark.parametrize(
    "other",
    [
        f"{MIRAI} and ip.id == lo16(tcp.srcport ^ 0x5555)",  # more than the first says
        "tcp.seq & 0xff == (ip.dst ^ tcp.dstport ^ 0x17) & 0xff",  # less
        "tcp.seq == ip.dst ^ (tcp.dstport >> 8)",  # the same at port 23, shown by fewer sources elsewhere
        "tcp.seq == ip.dst ^ key32",
    ],
)
def test_a_plain_relation_is_no_part_of_one_that_contains_it(other: str) -> None:
    rng = np.random.default_rng(8)
    bots = sequences(rng, 1, 60, 23, 0)
    bots["ip_id"] = ((bots["src_port"] ^ 0x5555) & 0xFFFF).astype(np.uint16)
    port = syn(rng, addresses(60 << 24, 50), 10)
    port["dst_port"][:] = 2323
    shifted = np.uint32(2323 >> 8) if ">>" in other else np.uint32(2323 ^ 0x17)
    keep = np.uint32(0xFF) if "0xff" in other else np.uint32(0xFFFFFFFF)
    port["tcp_seq"] = (port["tcp_seq"] & ~keep) | ((port["dst"] ^ shifted) & keep)
    assert found(conclude(engine(MIRAI, other), batches(bots, port)))[MIRAI] == 60
