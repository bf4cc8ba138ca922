"""Captures that are counted apart, as workers do, give the findings of a second read in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.observe import read
from andon.records.columns import column
from andon.records.expression import ExpressionError
from andon.records.finding import Check, Evidence, Finding
from andon.run.exactly import Counted, Relation, Wanted, count, count_packets, filled, merge, wanted
from andon.run.feed import Feed, FileReport, Telescope
from andon.run.recount import count_captures, recount, recount_rows
from andon.simulate.internet import InternetConfig, parse_family, simulate

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
START = 1_767_225_600_000_000_000
SYN = "tcp.flags & 0x3f == 2"
MIRAI = f"{SYN} and (tcp.seq == ip.dst)"
KEYED = f"{SYN} and (tcp.seq == ip.dst ^ key32)"
TELESCOPE = Telescope(("198.18.0.0/20",))


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three captures of 40 minutes each, an hour apart."""
    made = []
    for hour in range(3):
        config = InternetConfig(
            seed=hour,
            packets=15_000,
            telescope=("198.18.0.0/18",),
            contamination=0.1,
            duration=2400,
            start=datetime(2026, 1, 1, hour, 10, tzinfo=UTC),
            extra=(parse_family("s:tcp.seq == ip.dst ^ key32:30"),),
        )
        made.append(str(simulate(config, tmp_path_factory.mktemp("capture")).capture))
    yield made


def finding(window: tuple[int, int], *checks: Check, **attributes: object) -> Finding:
    return Finding(
        engine="darknet.fingerprint",
        engine_version=1,
        kind="scanner-fingerprint",
        title="t",
        statement="s",
        confidence=0.9,
        calibration="c",
        window=window,
        subject=("fingerprint", "x"),
        first_seen=1,
        last_seen=2,
        count=3,
        evidence=tuple(Evidence("e", check) for check in checks),
        attributes=attributes,
    )


FINDINGS = [
    finding(
        window, Check(MIRAI, 0.0), Check(KEYED, 0.0, tool="duckdb", expression="x"), exact={"relation": MIRAI}
    )
    for window in (
        (START, START + DAY),
        (START, START + HOUR),
        (START + HOUR + HOUR // 2, START + 2 * HOUR + HOUR // 2),
        (START + 5 * HOUR, START + 6 * HOUR),
    )
] + [
    finding((START, START + HOUR), Check(KEYED, 0.0), Check("", 0.0, "sql", "SELECT 1")),
    finding((START, START + DAY), exact={"relation": KEYED}),
    finding((START, START + DAY)),
]


def times(path: str) -> tuple[int, int]:
    ts = [column(batch, "ts") for batch in read(path, columns=("ts",))]
    return int(min(one.min() for one in ts)), int(max(one.max() for one in ts))


def by_a_worker(asked: str, path: str, telescope: Telescope | None, span: tuple[int, int] | None) -> bytes:
    """Texts and bytes in and out, as between machines."""
    report = FileReport(path)

    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, object, object]]:
        for _, batch, ts, _ in Feed([report], columns, telescope):
            yield 0, batch, ts

    return count_packets(Wanted.from_json(asked), rows, [report], span).to_bytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("telescope", [None, TELESCOPE], ids=["all", "telescope"])
@pytest.mark.parametrize("spans", [False, True])
def test_files_counted_apart_give_the_findings_of_one_read(
    captures: list[str], telescope: Telescope | None, spans: bool
) -> None:
    asked = wanted(FINDINGS)
    parts = [
        Counted.from_bytes(by_a_worker(asked.to_json(), path, telescope, times(path) if spans else None))
        for path in captures
    ]
    expected = recount(FINDINGS, captures, telescope)
    for order in (parts, parts[::-1], [merge(parts[2], parts[0]), parts[1]]):
        assert filled(FINDINGS, asked, merge(*order), captures, telescope) == expected
    one = count_captures(asked, captures[::-1], telescope)
    assert spans or merge(*parts).to_bytes() == one.to_bytes()
    assert expected[0].count > 1000 and 10 < expected[1].count < expected[0].count
    assert [len(made.evidence[0].check.input) for made in expected[:4]] == [3, 1, 2, 0]  # type: ignore[union-attr]
    assert expected[3].count == 3 and expected[3].attributes["exact"]["packets"] == 0
    assert expected[4].evidence[0].check.expression == ""  # type: ignore[union-attr]
    assert expected[4].evidence[0].check.expected is not None  # type: ignore[union-attr]
    assert expected[4].evidence[1] == FINDINGS[4].evidence[1] and expected[6] == FINDINGS[6]


def test_files_that_no_finding_is_about_are_not_opened(captures: list[str]) -> None:
    about = [finding((START, START + HOUR), Check(MIRAI, 0.0))]
    rows: list[int] = []
    expected = recount(about, captures, None, rows.append)
    known = {path: times(path) for path in captures}
    assert sum(rows) == sum(batch.num_rows for path in captures for batch in read(path))
    rows.clear()
    assert recount(about, captures, None, rows.append, known) == expected
    assert sum(rows) == sum(batch.num_rows for batch in read(captures[0]))
    # What is not known of a file is looked up in it.
    assert (
        recount(about, captures, None, None, {captures[1]: (None, None), captures[2]: known[captures[2]]})
        == expected
    )
    gone = [captures[0], "/nowhere/b.pcap"]
    assert recount(
        about, gone, None, None, {gone[0]: known[gone[0]], gone[1]: (START + 2 * HOUR, START + 3 * HOUR)}
    )


def test_a_file_that_is_given_twice_counts_twice_and_is_named_twice(captures: list[str]) -> None:
    about = [finding((START, START + HOUR), Check(MIRAI, 0.0))]
    (once,), (twice,) = recount(about, captures[:1], None), recount(about, captures[:1] * 2, None)
    one, two = once.evidence[0].check, twice.evidence[0].check
    assert one is not None and two is not None and one.expected is not None
    assert two.expected == 2 * one.expected and two.input == one.input * 2
    asked = wanted(about)
    part = count_captures(asked, captures[:1], None)
    assert filled(about, asked, merge(part, part), captures[:1] * 2, None) == [twice]


@dataclass
class Held:
    path: str
    vlan_depth: int


def test_the_filter_looks_behind_as_many_tags_as_a_counted_file_has(captures: list[str]) -> None:
    about = [
        finding((START, START + HOUR), Check(MIRAI, 0.0)),
        finding((START, START + DAY), Check(MIRAI, 0.0)),
    ]
    batches = [(n, batch, column(batch, "ts")) for n, path in enumerate(captures) for batch in read(path)]
    held = [Held("b.pcap", 0), Held("c.pcap", 2), Held("a.pcap", 1)]
    hour, day = recount_rows(about, lambda _: batches, held, None)
    first, second = hour.evidence[0].check, day.evidence[0].check
    assert first is not None and second is not None
    assert first.expression.count("vlan") == 0 and first.input == ("b.pcap",)
    assert second.expression.count("vlan") == 2 and second.input == ("a.pcap", "b.pcap", "c.pcap")
    asked = wanted(about)
    parts = [count(asked, [one for one in batches if one[0] == n], held) for n in range(3)]
    assert filled(about, asked, merge(*parts), ["c.pcap", "a.pcap", "b.pcap"], None) == [hour, day]


def test_figures_of_another_job_are_refused(captures: list[str]) -> None:
    asked = wanted(FINDINGS)
    counted = count_captures(asked, captures[:1], None)
    with pytest.raises(ValueError, match="not of this job"):
        filled(FINDINGS, asked, counted, captures[1:], None)
    for other in (
        wanted(FINDINGS[:1]),
        Wanted(tuple(sorted(replace(one, exact=not one.exact) for one in asked.relations))),
    ):
        with pytest.raises(ValueError, match="other findings"):
            filled(FINDINGS, other, counted, captures, None)
        forged = replace(counted, wanted=other.digest)
        with pytest.raises(ValueError, match="other findings"):
            filled(FINDINGS, other, forged, captures, None)


def test_what_is_wanted_does_not_depend_on_the_order_of_findings() -> None:
    asked = wanted(FINDINGS)
    again = wanted([replace(one, evidence=one.evidence[::-1]) for one in FINDINGS[::-1]])
    assert again == asked and again.to_json() == asked.to_json() and again.digest == asked.digest
    assert Wanted.from_json(asked.to_json()) == asked
    assert asked.digest != wanted(FINDINGS[1:]).digest
    assert len(asked.relations) == 8
    assert asked.columns == ("src", "dst", "dst_port", "tcp_flags", "tcp_seq", "layers")
    assert wanted([FINDINGS[-1]]) == Wanted() and recount([FINDINGS[-1]], [], None) == [FINDINGS[-1]]
    with pytest.raises(ExpressionError):
        wanted([finding((0, 1), Check("ip.nothing == 1", 0.0))])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"version":2,"relations":[]}',
        '{"version":1,"relations":{}}',
        '{"version":1,"relations":[],"more":1}',
        '{"version":1,"relations":[[0,1,"ip.ttl == 1"]]}',
        '{"version":1,"relations":[[0,1,"ip.ttl == 1",2]]}',
        '{"version":1,"relations":[[0,1,"ip.ttl == 1",true]]}',
        '{"version":1,"relations":[[0,1.5,"ip.ttl == 1",0]]}',
        '{"version":1,"relations":[[0,9223372036854775808,"ip.ttl == 1",0]]}',
        '{"version":1,"relations":[[0,1,"ip.nothing == 1",0]]}',
        '{"version":1,"relations":[[0,1,7,0]]}',
        '{"version":1,"relations":[[0,1,"ip.ttl == 1",0],[0,1,"ip.ttl == 1",1]]}',
        '{"version":1,"relations":[[1,2,"ip.ttl == 1",0],[0,1,"ip.ttl == 1",0]]}',
    ],
)
def test_a_damaged_list_of_what_is_wanted_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Wanted.from_json(text)


@given(
    st.lists(
        st.tuples(
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.sampled_from(["ip.ttl == 1", "tcp.seq == ip.dst", KEYED]),
        ),
        unique=True,
        max_size=8,
    ),
    st.integers(0, 255),
)
def test_a_list_of_what_is_wanted_comes_back_as_it_was(rows: list[tuple[int, int, str]], exact: int) -> None:
    made = Wanted(tuple(Relation(*row, bool(exact >> n & 1)) for n, row in enumerate(sorted(rows))))
    assert Wanted.from_json(made.to_json()) == made
