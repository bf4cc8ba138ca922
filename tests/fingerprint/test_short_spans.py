"""Spans of ten minutes beside the day's: news at once, one name for a family in both, a bounded search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from engine_traffic import DAY, addresses, batches, keyed, mirai, searching, syn

from andon.detect.darknet.fingerprint import summary
from andon.detect.darknet.fingerprint.again import TURNS, Turn, part_to_search, turn_of
from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.engine import FingerprintEngine, Found, by_algebra, no_orders
from andon.detect.darknet.fingerprint.order import order_families
from andon.detect.darknet.fingerprint.sample import Sample
from andon.records.columns import column
from andon.records.contract import Context, Site, Window
from andon.records.expression import equal_on, parse
from andon.run.conclusions import Concluded, Conclusions
from andon.run.contract import check_engine
from andon.run.engines import load_engines

TEN = DAY // 144
MIRAI, KEYED = "tcp.seq == ip.dst", "tcp.seq == ip.dst ^ key32"
NEW = "tcp.seq == ip.dst ^ (tcp.dstport << 0x10) ^ 0x1f2e3d4c"


def short(
    *relations: str, relations_of_tools: dict[str, str] | None = None, **settings: Any
) -> FingerprintEngine:
    made = {f"darknet.fingerprint.{name}": value for name, value in ({"every": "10min"} | settings).items()}
    site = Site(settings=made, relations=relations_of_tools or {})
    return FingerprintEngine(site, searching(*relations), no_orders)


def in_span(columns: dict[str, np.ndarray], number: int, of: int = 1) -> dict[str, np.ndarray]:
    """The same packets within ``of`` spans of ten minutes from ``number`` on."""
    return {**columns, "ts": number * TEN + columns["ts"] // (144 // of)}


def new_family(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    port = columns["dst_port"].astype(np.uint32) << np.uint32(16)
    return {**columns, "tcp_seq": columns["dst"] ^ port ^ np.uint32(0x1F2E3D4C)}


def half_an_hour(new_in: int = 1) -> list[pa.RecordBatch]:
    """Three spans: bots in all of them, another family from span ``new_in`` on, unrelated sources."""
    rng = np.random.default_rng(5)
    return batches(
        in_span(mirai(syn(rng, addresses(1 << 24, 60), 30)), 0, 3),
        in_span(keyed(syn(rng, addresses(50 << 24, 30), 30), rng), 0, 3),
        in_span(syn(rng, addresses(100 << 24, 400), 9), 0, 3),
        in_span(new_family(syn(rng, addresses(150 << 24, 50), 20)), new_in, 3 - new_in),
    )


def concluded(engine: FingerprintEngine, parts: Sequence[pa.RecordBatch]) -> list[Concluded]:
    told: list[Concluded] = []
    conclusions = Conclusions([engine], told.append)
    for batch in parts:
        conclusions.windows[0].add(batch, column(batch, "ts"))
        conclusions.until(int(column(batch, "ts").max()))
    conclusions.until(None)
    return told


def relations(one: Concluded) -> list[str]:
    return sorted(one.outcome.tables["families"]["relation"].to_pylist())


def test_the_engine_keeps_the_contract_with_short_spans() -> None:
    made = short(MIRAI, KEYED)
    assert made.window == Window("10min", ("10min", "1d"))
    outcome = check_engine(made, half_an_hour())
    assert {f.subject[1] for f in outcome.findings} == {MIRAI, KEYED}


def test_without_the_setting_or_with_a_whole_day_there_are_days_alone() -> None:
    assert FingerprintEngine(Site()).window == short(every="1d").window == Window("1d", ("1d",))


@pytest.mark.parametrize("every", ["7min", "1min", "2d", "soon"])
def test_a_day_is_a_whole_number_of_short_spans_not_too_many(every: str) -> None:
    with pytest.raises(ValueError, match=r"darknet\.fingerprint\.every"):
        short(every=every)


def test_with_short_spans_it_runs_among_all_the_engines() -> None:
    engines = load_engines(Site(settings={"darknet.fingerprint.every": "10min"}))
    (mine,) = (engine for engine in engines if engine.name == "darknet.fingerprint")
    assert mine.window.spans == ("10min", "1d")


def test_a_family_is_told_when_it_is_new_and_is_in_the_tables_of_every_span() -> None:
    *spans, day = concluded(short(MIRAI, KEYED, NEW), half_an_hour())
    assert [one.span for one in (*spans, day)] == ["10min", "10min", "10min", "1d"]
    assert [{f.subject[1] for f in one.outcome.findings} for one in spans] == [{MIRAI, KEYED}, {NEW}, set()]
    assert [relations(one) for one in spans] == [sorted({MIRAI, KEYED}), *[sorted({MIRAI, KEYED, NEW})] * 2]
    assert (
        "no finding on 3 families told of before"
        in spans[2].outcome.tables["coverage"]["left_out"].to_pylist()[0]
    )
    assert {f.subject[1] for f in day.outcome.findings if f.kind == "scanner-fingerprint"} == {
        MIRAI,
        KEYED,
        NEW,
    }


def test_a_family_has_one_series_and_one_age_in_short_spans_and_in_the_day() -> None:
    told = concluded(short(MIRAI, KEYED, NEW), half_an_hour())
    found = [f for one in told for f in one.outcome.findings if f.subject[1] == NEW]
    assert len(found) == 2
    assert len({f.series for f in found}) == 1
    assert len({f.id for f in found}) == 2
    assert {f.attributes["born"] for f in found} == {TEN}
    assert [f.attributes["sources"] for f in found] == [50, 50]


def test_the_day_keeps_the_name_that_a_short_span_gave_a_family() -> None:
    """The day's own search writes the relation in another way, equal to the first."""
    made = short(MIRAI)
    first = concluded(made, half_an_hour())[0].outcome
    later = short("ip.dst == tcp.seq")
    carry = Families()
    carry.learn(first.tables["known"])
    assert carry.to_search()[0].spans == 0
    batch = half_an_hour()
    whole = later.empty()
    for one in batch:
        whole = later.summarise(one, whole)
    tables = {"darknet.fingerprint:known@last": first.tables["known"]}
    outcome = later.conclude(whole, None, Context("1d", 0, DAY, tables=tables))
    assert [f.subject[1] for f in outcome.findings] == [MIRAI]
    assert outcome.findings[0].attributes["spans_seen"] == 1


def test_only_the_first_span_is_searched_whole_and_what_was_left_out_is_said() -> None:
    made = short(MIRAI, KEYED, cpu_seconds_again=0.01)
    seen: list[tuple[int, Turn]] = []
    inner = made.search

    def noting(sample: Sample, least: int, prefixes: Sequence[str], turn: Turn) -> Found:
        seen.append((sample.rows, turn))
        return inner(sample, least, prefixes, turn)

    made.search = noting
    *spans, _ = concluded(made, half_an_hour())
    assert [turn for _, turn in seen] == [Turn(), Turn(1, TURNS), Turn(2, TURNS), Turn()]
    assert all(rows <= 320 for rows, _ in seen[1:3])
    for one in spans[1:]:
        (text,) = one.outcome.tables["coverage"]["left_out"].to_pylist()
        assert "were searched, for far-fetched" in text


def test_a_family_found_in_a_part_is_counted_in_all_packets() -> None:
    """Its window is one that few use, so its sources come first; all of them are counted."""
    made = short(MIRAI, NEW, cpu_seconds_again=0.03, min_sources=10)
    *spans, _ = concluded(made, half_an_hour())
    (news,) = spans[1].outcome.findings
    assert news.subject[1] == NEW
    assert news.attributes["sources"] == 50


def test_a_known_tool_is_no_alarm_though_its_table_comes_at_the_end_of_the_day() -> None:
    made = short(MIRAI, KEYED, relations_of_tools={"mirai": f"(tcp.flags & 0x3f == 2) and ({MIRAI})"})
    findings = {f.subject[1]: f for f in concluded(made, half_an_hour())[0].outcome.findings}
    assert findings[MIRAI].attributes["known_as"] == "mirai"
    assert findings[MIRAI].severity == "low"
    assert findings[KEYED].attributes["known_as"] == ""


def test_the_exact_search_finds_a_family_that_is_born_between_two_spans() -> None:
    made = FingerprintEngine(Site(settings={"darknet.fingerprint.every": "10min"}), by_algebra, no_orders)
    rng = np.random.default_rng(8)
    born = syn(rng, addresses(150 << 24, 40), 20)
    born["tcp_seq"] = born["dst"] ^ np.uint32(0x5A5A1234)
    parts = batches(
        in_span(mirai(syn(rng, addresses(1 << 24, 40), 40)), 0, 2),
        in_span(syn(rng, addresses(100 << 24, 300), 10), 0, 2),
        in_span(born, 1),
    )
    first, second, day = concluded(made, parts)
    (news,) = second.outcome.findings
    assert relations(first) == [MIRAI]
    assert equal_on(
        parse(news.subject[1]), parse("tcp.seq == ip.dst ^ 0x5a5a1234"), ("10.0.0.0/16",), 1, 20_000
    )
    assert set(relations(second)) == {MIRAI, news.subject[1]} <= set(relations(day))


def test_every_part_has_its_turn_once() -> None:
    turns = [turn_of(n * TEN, (n + 1) * TEN) for n in range(TURNS)]
    items = np.arange(1000)
    assert np.array_equal(np.sort(np.concatenate([turn.mine(items) for turn in turns])), items)


def test_every_source_is_looked_at_for_orders_once_in_all_turns() -> None:
    rng = np.random.default_rng(3)
    sample = Sample.of_packets(syn(rng, addresses(1 << 24, 50), 20))
    turns = [order_families(sample, Turn(n, TURNS)) for n in range(TURNS)]
    assert sum(one.sources for one in turns) == order_families(sample).sources == 50


def test_a_part_is_of_whole_sources_within_its_rows_and_another_each_time() -> None:
    rng = np.random.default_rng(4)
    packets = syn(rng, addresses(1 << 24, 2000), 10)
    usual = np.isin(packets["src"], addresses(1 << 24, 1500))
    packets["tcp_window"][usual] = 64240
    sample = Sample.of_packets(packets)
    first, index = part_to_search(sample, 2000, 7)
    again, same = part_to_search(sample, 2000, 7)
    _, other = part_to_search(sample, 2000, 8)
    assert 1990 <= first.rows <= 2000
    assert np.array_equal(np.diff(first.starts), np.full(len(first.src), 10))
    assert np.array_equal(sample.src[index], first.src)
    assert np.array_equal(index, same) and first.rows == again.rows
    assert len(np.intersect1d(index, other)) < len(index) // 2
    # A quarter of the sources have a window of their own, and they get half of the room.
    own = first.columns["tcp_window"][first.starts[:-1]] != 64240
    assert own.mean() >= 0.5
    assert part_to_search(sample, 10**6, 7)[0].rows == sample.rows


def test_a_family_that_was_away_for_more_than_two_days_is_news() -> None:
    carry = Families()
    carry.see(MIRAI, "global", "scanner-fingerprint", 0, 20, 99)
    assert not carry.is_news(MIRAI, 2 * DAY)
    assert carry.is_news(MIRAI, 2 * DAY + TEN)
    assert carry.is_news(NEW, 0)


def test_what_one_carry_knows_another_learns_and_ages_are_the_older_one_s() -> None:
    first, second = Families(), Families()
    first.see(MIRAI, "global", "scanner-fingerprint", TEN, 20, 99)
    second.see(KEYED, "session", "scanner-fingerprint", 0, 5, 9)
    second.learn(first.table())
    second.learn(None)
    assert [(k.relation, k.born, k.spans) for k in second.to_search()] == [(KEYED, 0, 1), (MIRAI, TEN, 0)]
    assert second.see(MIRAI, "global", "scanner-fingerprint", TEN, 20, 99).spans == 1
    assert Families.from_bytes(second.to_bytes()).table().equals(second.table())


@pytest.mark.parametrize("span", [TEN, DAY, 1 << 60])
def test_packets_of_a_source_are_in_order_of_time_and_hash_whichever_way_they_are_sorted(span: int) -> None:
    rng = np.random.default_rng(9)
    source = np.sort(rng.integers(0, 1 << 20, 5000))
    items = rng.integers(0, span, (5000, 4), dtype=np.uint64)
    items[::7, 3] = items[0, 3]
    items = items[np.lexsort((items[:, 0], source))]
    assert np.array_equal(summary.by_time(source, items), np.lexsort((items[:, 0], items[:, 3], source)))
