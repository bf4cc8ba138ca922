"""The second read counts what a finding asks for: the whole span's packets, sources, ports and times, and sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from andon.observe import read
from andon.records.columns import column
from andon.records.expression import parse, session_sql
from andon.records.finding import Check, Evidence, Finding, timestamp
from andon.run.exactly import figures as exact
from andon.run.recount import recount
from andon.simulate.internet import InternetConfig, parse_family, simulate

DAY = 86_400_000_000_000
START = 1_767_225_600_000_000_000
SYN = "tcp.flags & 0x3f == 2"
MIRAI = f"{SYN} and (tcp.seq == ip.dst)"
KEYED = f"{SYN} and (tcp.seq == ip.dst ^ key32)"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exact")
    config = InternetConfig(
        seed=5,
        packets=60_000,
        telescope=("198.18.0.0/18",),
        contamination=0.1,
        extra=(parse_family("s:tcp.seq == ip.dst ^ key32:30"),),
    )
    yield simulate(config, folder).capture


def finding(*checks: Check, **attributes: object) -> Finding:
    return Finding(
        engine="darknet.fingerprint",
        engine_version=1,
        kind="scanner-fingerprint",
        title="t",
        statement="s",
        confidence=0.9,
        calibration="c",
        window=(START, START + DAY),
        subject=("fingerprint", "x"),
        first_seen=1,
        last_seen=2,
        count=3,
        evidence=tuple(Evidence("e", check) for check in checks),
        attributes=attributes,
    )


def columns(capture: Path) -> dict[str, np.ndarray]:
    batches = list(read(capture))
    names = ("ts", "src", "dst", "dst_port", "tcp_seq", "tcp_flags", "layers")
    return {name: np.concatenate([column(batch, name) for batch in batches]) for name in names}


def test_exact_figures_are_those_of_every_packet_of_the_span(capture: Path) -> None:
    (counted,) = recount([finding(exact={"relation": MIRAI})], [str(capture)], None)
    c = columns(capture)
    hit = (c["tcp_seq"] == c["dst"]) & ((c["tcp_flags"] & 0x3F) == 2) & ((c["layers"] & 5) == 5)
    got = counted.attributes["exact"]
    assert got["packets"] == counted.count == hit.sum() > 1000
    assert got["sources"] == len(np.unique(c["src"][hit]))
    assert got["sources_exact"] is True
    assert (counted.first_seen, counted.last_seen) == (c["ts"][hit].min(), c["ts"][hit].max())
    assert got["first_seen"] == timestamp(counted.first_seen)
    ports, counts = np.unique(c["dst_port"][hit], return_counts=True)
    assert {p["port"]: p["packets"] for p in got["ports"]}.items() <= dict(
        zip(ports.tolist(), counts.tolist(), strict=True)
    ).items()


def test_a_finding_that_does_not_ask_keeps_its_own_figures(capture: Path) -> None:
    (counted,) = recount([finding(Check(MIRAI, by_chance=0.0))], [str(capture)], None)
    assert (counted.count, counted.first_seen, counted.last_seen) == (3, 1, 2)
    assert counted.evidence[0].check is not None
    assert counted.evidence[0].check.expected


def test_a_relation_that_selects_nothing_leaves_the_times_alone(capture: Path) -> None:
    (counted,) = recount(
        [finding(exact={"relation": "tcp.srcport == 0 and tcp.dstport == 0"})], [str(capture)], None
    )
    assert counted.attributes["exact"]["packets"] == 0
    assert counted.attributes["exact"]["first_seen"] is None
    assert counted.first_seen == 1


def test_the_sessions_of_a_keyed_check_are_what_its_sql_counts(capture: Path) -> None:
    some = np.unique(columns(capture)["src"])[:60].tolist()
    senders = " or ".join(f"ip.src == {IPv4Address(address)}" for address in some)
    packets = pa.Table.from_batches(list(read(capture)))
    for relation, where in (
        (KEYED, ""),
        (f"{KEYED} and ({senders})", f" WHERE src IN ({', '.join(map(str, some))})"),
    ):
        sql = f"WITH chosen AS (SELECT * FROM packets{where}) " + session_sql(parse(KEYED), "chosen")
        (counted,) = recount(
            [finding(Check(relation, 0.0, tool="duckdb", expression=sql))], [str(capture)], None
        )
        check = counted.evidence[0].check
        assert check is not None
        assert check.expression == sql
        with duckdb.connect() as db:
            db.register("packets", packets)
            (sessions, _) = db.execute(sql).fetchone() or (None, None)
        assert check.expected == sessions


def test_more_pairs_than_fit_give_no_number_rather_than_a_wrong_one(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "PAIRS", 100)
    (counted,) = recount([finding(Check(KEYED, 0.0, tool="duckdb", expression="x"))], [str(capture)], None)
    assert counted.evidence[0].check is not None
    assert counted.evidence[0].check.expected is None


def test_more_sources_than_fit_are_an_estimate_that_says_so(capture: Path) -> None:
    tally = exact.Exact()
    tally.sources = exact.KeyedRows({}, 100)
    rng = np.random.default_rng(1)
    src = rng.integers(1, 1 << 32, 5000, dtype=np.uint32)
    tally.add(src, np.full(5000, 23, np.uint16))
    got = tally.to_dict("x", 5000, 0, 4999)
    assert got["sources_exact"] is False
    assert 3000 < got["sources"] < 7500
    assert got["packets"] == 5000


def test_figures_are_those_of_the_window_alone(capture: Path) -> None:
    half = START + 1_800 * 10**9
    parts = [
        replace(finding(exact={"relation": MIRAI}), window=w) for w in ((START, half), (half, START + DAY))
    ]
    whole = finding(exact={"relation": MIRAI})
    first, second, both = recount([*parts, whole], [str(capture)], None)
    assert first.count + second.count == both.count
    assert first.last_seen < half <= second.first_seen
