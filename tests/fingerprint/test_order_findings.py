"""Findings of kind scan-order: words, identity over days, and checks that DuckDB runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_traffic import batches, conclude, searching
from order_traffic import DAY, Packets, aimless, sample, telescope, together, visits, zmap_order

from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.detect.darknet.fingerprint.order import CYCLIC, STRIDE, order_families
from andon.detect.darknet.fingerprint.order_findings import ORDERS, order_findings
from andon.detect.darknet.fingerprint.order_values import VALUES
from andon.records.contract import Site
from andon.records.finding import Finding
from andon.records.packet import IPV4, SYN, TCP
from andon.sketch.cyclic import P, is_generator

SPACE = telescope()
TWO_TO_32 = 2**32
SMALL, LARGE = 1_000_005, 3_000_000_019
ENGINE = ("darknet.fingerprint", 1)


def generator(near: int) -> int:
    while not is_generator(near):
        near += 1
    return near


def cyclic(source: int, near: int, threads: int = 1, blocklist: bool = False, port: int = 443) -> Packets:
    rng = np.random.default_rng(source)
    dst, when = zmap_order(SPACE, generator(near), source, threads, blocklist)
    return visits(source, dst, when, 90, rng, port)


def by_key(source: int, keys: np.ndarray) -> Packets:
    order = np.argsort(keys)
    return visits(source, SPACE[order], np.arange(len(order)) / len(order), 90, np.random.default_rng(source))


def parts() -> list[Packets]:
    rng = np.random.default_rng(0)
    made = [cyclic(1, SMALL), cyclic(2, SMALL + 99, 3, True), cyclic(3, LARGE), cyclic(4, SMALL, port=80)]
    for n, value in enumerate(VALUES):
        keys = value.of(SPACE).astype(np.int64)
        made.append(by_key(10 + n, -keys if n % 2 else keys))
    inverse = pow(2654435761, -1, TWO_TO_32)
    made.append(by_key(50, np.array([int(a) * inverse % TWO_TO_32 for a in SPACE])))
    return [*made, *(aimless(100 + n, SPACE, 60, rng) for n in range(20))]


@pytest.fixture(scope="module")
def day() -> tuple[list[Finding], pa.Table, Packets]:
    packets = parts()
    seen = sample(*packets)
    findings, table = order_findings(order_families(seen), seen, ENGINE, (0, DAY), Families())
    return findings, table, together(*packets)


def tables_of(packets: Packets, folder: Path) -> Any:
    """DuckDB with the packets as their Parquet file, as ``andon analyze --packets`` writes it."""
    table = pa.table(
        {
            "ts": pa.array(packets["ts"], pa.timestamp("ns", tz="UTC")),
            "src": packets["src"],
            "dst": packets["dst"],
        }
    )
    pq.write_table(table, folder / "packets.parquet")
    made = duckdb.connect()
    made.execute(f"CREATE VIEW packets AS SELECT * FROM '{folder / 'packets.parquet'}'")
    return made


def counts(findings: list[Finding], database: Any) -> list[tuple[int, int, float]]:
    """(counted, expected, by chance) of every check."""
    made = []
    for finding in findings:
        for item in finding.evidence:
            if item.check is not None:
                counted = database.execute(item.check.expression).fetchone()[0]
                made.append((counted, item.check.expected, item.check.by_chance))
    return made


def test_every_check_gives_in_duckdb_what_it_says(day: Any, tmp_path: Path) -> None:
    findings, _, packets = day
    checked = counts(findings, tables_of(packets, tmp_path))
    assert len(checked) >= len(VALUES) + 5
    for counted, expected, by_chance in checked:
        assert counted == expected >= 18 and by_chance < 4


def test_checks_fail_on_packets_in_another_order(day: Any, tmp_path: Path) -> None:
    findings, _, packets = day
    shuffled = {**packets, "dst": packets["dst"].copy()}
    rng = np.random.default_rng(1)
    for source in np.unique(packets["src"]):
        mine = np.flatnonzero(packets["src"] == source)
        shuffled["dst"][mine] = rng.permutation(packets["dst"][mine])
    for counted, expected, _ in counts(findings, tables_of(shuffled, tmp_path)):
        assert counted < expected / 2


def test_a_wrong_generator_proves_nothing(day: Any, tmp_path: Path) -> None:
    findings, _, packets = day
    database = tables_of(packets, tmp_path)
    (first,) = [f for f in findings if f.subject[1] == CYCLIC]
    for item in first.evidence[1:]:
        assert item.check is not None
        g = first.attributes["listed"][0]["generator"]
        wrong = item.check.expression.replace(f"CAST({g} AS HUGEINT)", f"CAST({g + 1} AS HUGEINT)")
        if wrong != item.check.expression:
            assert database.execute(wrong).fetchone()[0] == 0


def test_one_finding_for_each_kind_of_order_and_for_each_shared_scan(day: Any) -> None:
    findings, table, _ = day
    names = [finding.subject[1] for finding in findings]
    shared = f"order(ip.dst) == cyclic(modulus {P}, generator {generator(SMALL)})"
    assert sorted(names) == sorted([CYCLIC, STRIDE, shared, *(value.text for value in VALUES)])
    zmap = findings[names.index(CYCLIC)]
    assert zmap.attributes["sources"] == 4 and zmap.attributes["small_generators"] == 3
    assert {entity.value for entity in zmap.entities} == {"0.0.0.1", "0.0.0.2", "0.0.0.3", "0.0.0.4"}
    assert table.schema == ORDERS and table.num_rows == 4 + len(VALUES) + 1
    assert {f.kind for f in findings} == {"scan-order"} and {f.severity for f in findings} == {"low"}


def test_a_rate_says_how_fast_the_whole_internet_is_passed(day: Any) -> None:
    _, table, _ = day
    whole = TWO_TO_32 / (0.99 * 86400)
    rates = [
        r["positions_per_second"]
        for r in table.select(["order", "positions_per_second"]).to_pylist()
        if r["order"] == CYCLIC
    ]
    assert rates == pytest.approx([whole] * 4, rel=0.05)


def test_the_name_of_an_order_lasts_over_days_whatever_the_generator() -> None:
    carried, ids = Families(), []
    for number, near in enumerate((SMALL, LARGE)):
        seen = sample(cyclic(7, near))
        window = (number * DAY, (number + 1) * DAY)
        (finding,), _ = order_findings(order_families(seen), seen, ENGINE, window, carried)
        ids.append((finding.series, finding.attributes["born"], finding.attributes["spans_seen"]))
    assert ids == [(ids[0][0], 0, 1), (ids[0][0], 0, 2)]


def test_the_engine_reports_orders_beside_its_families() -> None:
    packets = together(
        cyclic(1, SMALL), *(aimless(100 + n, SPACE, 40, np.random.default_rng(n)) for n in range(5))
    )
    n = len(packets["ts"])
    packets["tcp_flags"] = np.full(n, SYN, np.uint8)
    packets["layers"] = np.full(n, IPV4 | TCP, np.uint8)
    outcome = conclude(FingerprintEngine(Site(), searching()), batches(packets))
    (finding,) = [f for f in outcome.findings if f.kind == "scan-order"]
    assert finding.subject == ("fingerprint", CYCLIC)
    assert outcome.tables["orders"].num_rows == 1
    assert finding.to_json()
