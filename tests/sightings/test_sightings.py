"""Sightings say who was seen where and when, alike from packets and from darknet sources that somebody gave."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from andon.detect.darknet.sightings import SightingsEngine, engine
from andon.detect.darknet.sightings.summary import Sightings
from andon.records import packet
from andon.records.contract import Context, Outcome, Site
from andon.records.kinds import DARKNET_SOURCE, marked
from andon.records.sighting import SIGHTING
from andon.run.contract import check_engine
from andon.sketch.state import StateError

DAY_NS = 86_400_000_000_000
DAY = 20_500 * DAY_NS
HOUR = 3600 * 10**9
A, B = int(IPv4Address("198.51.100.1")), int(IPv4Address("198.51.100.2"))


def packets(**given: Any) -> pa.RecordBatch:
    """TCP SYNs unless said otherwise; scalars are repeated."""
    size = max((np.size(values) for values in given.values()), default=1)
    usual = {
        "ts": DAY, "src": A, "src_port": 40_000, "dst_port": 23, "proto": packet.PROTO_TCP, "tcp_flags": packet.SYN,
        "layers": packet.IPV4 | packet.TCP, "icmp_type": 0,
    }  # fmt: skip
    fields = [packet.SCHEMA.field(name) for name in SightingsEngine.columns]
    columns = [np.broadcast_to(np.asarray(given.get(f.name, usual[f.name])), size) for f in fields]
    arrays = [pa.array(c.astype(np.int64)).cast(f.type) for c, f in zip(columns, fields, strict=True)]
    return pa.record_batch(arrays, schema=pa.schema(fields))


def given_sources(*rows: tuple[int, int, int, int, str, int]) -> pa.RecordBatch:
    """Darknet sources as (first, last, src, port, fingerprint, packets), times in ns of the day."""
    made = [
        {
            "first": DAY + first, "last": DAY + last, "src": src, "dst_port": port, "protocol": 6,
            "fingerprint": text, "packets": count,
        }
        for first, last, src, port, text, count in rows
    ]  # fmt: skip
    return marked(pa.RecordBatch.from_pylist(made, SIGHTING), DARKNET_SOURCE)


def concluded(
    *batches: pa.RecordBatch, site: Site | None = None, tables: dict[str, pa.Table] | None = None
) -> Outcome[Any]:
    made = engine(site or Site())
    summary = made.empty()
    for batch in batches:
        summary = made.summarise(batch, summary)
    return made.conclude(summary, None, Context("1d", DAY, DAY + DAY_NS, tables=tables or {}))


def rows_of(outcome: Outcome[Any]) -> list[tuple[int, int, int, int, int, str]]:
    """(first, last, src, port, packets, fingerprint), times in ns of the day."""
    table = outcome.tables["sources"]
    first, last = (table[name].cast(pa.int64()).to_pylist() for name in ("first", "last"))
    rest = zip(*(table[n].to_pylist() for n in ("src", "dst_port", "packets", "fingerprint")), strict=True)
    return [(a - DAY, b - DAY, *row) for a, b, row in zip(first, last, rest, strict=True)]


def test_a_source_is_seen_once_for_each_port_and_episode() -> None:
    times = np.array([1, 2, 3, 11, 20]) * HOUR
    outcome = concluded(packets(ts=DAY + times), packets(ts=DAY + 2 * HOUR, dst_port=2323))
    assert rows_of(outcome) == [
        (1 * HOUR, 3 * HOUR, A, 23, 3, ""),
        (2 * HOUR, 2 * HOUR, A, 2323, 1, ""),
        (11 * HOUR, 11 * HOUR, A, 23, 1, ""),
        (20 * HOUR, 20 * HOUR, A, 23, 1, ""),
    ]
    assert outcome.tables["portsets"].to_pylist() == [{"src": A, "ports": "23,2323", "family": 0}]


def test_silence_of_less_than_six_hours_ends_no_episode() -> None:
    outcome = concluded(packets(ts=DAY + np.array([5.5, 11.2, 17.1]) * HOUR))
    assert [row[:2] for row in rows_of(outcome)] == [(int(5.5 * HOUR), int(17.1 * HOUR))]


@pytest.mark.parametrize(
    "answer",
    [
        {"tcp_flags": packet.SYN | packet.ACK},
        {"tcp_flags": packet.RST},
        {"proto": packet.PROTO_UDP, "layers": packet.IPV4 | packet.UDP, "src_port": 53, "dst_port": 40_000},
        {"proto": packet.PROTO_ICMP, "layers": packet.IPV4 | packet.ICMP, "icmp_type": 3},
        {"layers": packet.IPV6 | packet.TCP, "src": 0},
    ],
)
def test_answers_are_no_sightings(answer: dict[str, int]) -> None:
    outcome = concluded(packets(**answer), packets(src=B))
    assert [row[2] for row in rows_of(outcome)] == [B]
    assert outcome.tables["coverage"]["answers"].to_pylist() == [1]


def test_fingerprints_of_the_span_are_filled_in_and_a_second_one_is_told_apart() -> None:
    relations = pa.table(
        {
            "src": pa.array([A, A], pa.uint32()),
            "relation": ["ip.id == 7", "tcp.seq == ip.dst"],
            "packets": [2, 9],
        }
    )
    tools = pa.table(
        {"src": pa.array([A, B], pa.uint32()), "tool": ["mirai", "zmap"], "packets": [9, 9], "confidence": [0.9, 0.9]}
    )  # fmt: skip
    tables = {"darknet.fingerprint:sources": relations, "darknet.tools:sources": tools}
    outcome = concluded(packets(), packets(src=B), tables=tables)
    assert [(row[2], row[3], row[4], row[5]) for row in rows_of(outcome)] == [
        (A, 23, 1, "tcp.seq == ip.dst"),
        (B, 23, 1, "zmap"),
        (A, 0, 2, "ip.id == 7"),
    ]


def test_a_port_set_family_stands_before_the_ports_of_one_day() -> None:
    families = pa.table(
        {
            "src": pa.array([A, A], pa.uint32()),
            "family": [4, 5],
            "ports": ["23,26,2323", "80"],
            "posterior": [0.9, 0.1],
        }
    )
    outcome = concluded(packets(), packets(src=B), tables={"darknet.portsets:sources": families})
    assert outcome.tables["portsets"].to_pylist() == [
        {"src": A, "ports": "23,26,2323", "family": 4},
        {"src": B, "ports": "23", "family": 0},
    ]


def test_a_source_of_many_ports_has_no_set() -> None:
    outcome = concluded(packets(dst_port=np.arange(1, 18)))
    assert outcome.tables["portsets"].num_rows == 0 and outcome.tables["sources"].num_rows == 17


def test_given_sources_keep_their_fingerprints_apart() -> None:
    outcome = concluded(
        given_sources(
            (HOUR, 2 * HOUR, A, 23, "F01", 5),
            (3 * HOUR, 3 * HOUR, A, 23, "F01", 1),
            (HOUR, 30 * HOUR, A, 23, "F02", 2),
            (HOUR, HOUR, B, 23, "", 1),
        )
    )
    assert sorted(rows_of(outcome)) == sorted(
        [
            (HOUR, 3 * HOUR, A, 23, 6, "F01"),
            (HOUR, 30 * HOUR, A, 23, 2, "F02"),
            (HOUR, HOUR, B, 23, 1, ""),
        ]
    )


def test_hostile_sources_are_cut_down_and_counted() -> None:
    outcome = concluded(
        given_sources((HOUR, 400 * DAY_NS, A, 23, "x" * 5000, -7), (2 * HOUR, HOUR, B, 0, "F'01", 1 << 62))
    )
    (first, last, _, _, count, text), (_, _, _, _, many, quoted) = rows_of(outcome)
    assert first == HOUR and last < 60 * DAY_NS and (count, text) == (1, "")
    assert (many, quoted) == (1 << 40, "F'01")
    assert outcome.tables["coverage"]["nameless"].to_pylist() == [1]


def test_a_flood_of_forged_sources_leaves_a_sample_of_whole_sources() -> None:
    rng = np.random.default_rng(3)
    src = np.repeat(rng.integers(1 << 24, 1 << 31, 4_000), 2)
    outcome = concluded(
        packets(src=src, dst_port=np.tile([23, 2323], 4_000)),
        site=Site(settings={"darknet.sightings.rows": 1_000}),
    )
    coverage = outcome.tables["coverage"].to_pylist()[0]
    table = outcome.tables["sources"]
    assert table.num_rows <= 1_000 and coverage["one_source_in"] >= 8
    assert coverage["packets"] == 8_000 and coverage["kept_packets"] == table.num_rows
    assert set(outcome.tables["portsets"]["ports"].to_pylist()) == {"23,2323"}
    assert table.num_rows == 2 * coverage["sources"]


def test_the_engine_keeps_the_contract_on_packets() -> None:
    rng = np.random.default_rng(5)
    size = 20_000
    batches = [
        packets(
            ts=DAY + rng.integers(0, DAY_NS, size),
            src=rng.integers(0, 3_000, size) + A,
            dst_port=rng.choice([23, 80, 2323, 53], size),
            proto=rng.choice([6, 17], size),
            layers=packet.IPV4 | packet.TCP | packet.UDP,
        )
        for _ in range(3)
    ]
    for rows in (600_000, 500):
        outcome = check_engine(engine(Site(settings={"darknet.sightings.rows": rows})), batches)
        assert outcome.tables["sources"].num_rows > 100


def test_given_sources_merge_to_the_same_state_in_any_order() -> None:
    rng = np.random.default_rng(6)
    parts = [
        given_sources(
            *(
                (int(t), int(t) + HOUR, A + int(s), int(p), f"F{int(f)}" * int(f > 0), 3)
                for t, s, p, f in zip(
                    rng.integers(0, DAY_NS, 300),
                    rng.integers(0, 50, 300),
                    rng.choice([23, 80], 300),
                    rng.integers(0, 5, 300),
                    strict=True,
                )
            )
        )
        for _ in range(4)
    ]
    made = engine(Site(settings={"darknet.sightings.rows": 200}))

    def of(order: list[int]) -> Sightings:
        summary = made.empty()
        for number in order:
            summary = made.merge(summary, made.summarise(parts[number], made.empty()))
        return summary

    reference = of([0, 1, 2, 3]).to_bytes()
    assert of([3, 1, 0, 2]).to_bytes() == reference
    assert Sightings.from_bytes(reference).to_bytes() == reference
    with pytest.raises(StateError):
        Sightings.from_bytes(reference[:-40] + bytes(40))


def test_a_bad_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"darknet\.sightings\.rows is 0"):
        engine(Site(settings={"darknet.sightings.rows": 0}))
