"""Beacons through the engine: what is found, what is not, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from beacon_world import DAY, START, concluded, person, polls, rows_of, tables

from andon.detect.livenet.beacon import BeaconEngine
from andon.detect.livenet.beacon.memory import Memory
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.run.table_checks import SpanParts
from andon.sketch.state import StateError

EDGE = ("t1", "c2.example")


def crowd(rng: np.random.Generator, number: int = 60) -> dict[tuple[str, str], np.ndarray]:
    return {(f"t{n % 20}", f"site{n}.example"): person(rng) for n in range(number)}


def test_engine_keeps_the_contract() -> None:
    rng = np.random.default_rng(1)
    given = tables(crowd(rng) | {EDGE: polls(rng, 300, 0.2, 0.1)}, terminals=400)
    outcome = check_engine(BeaconEngine(Site()), [], given)
    assert outcome.findings and outcome.tables["beacons"].num_rows
    assert not check_engine(BeaconEngine(Site()), []).findings


@pytest.mark.parametrize(
    ("period", "jitter", "loss"), [(30, 0.0, 0.0), (300, 0.5, 0.0), (300, 0.3, 0.5), (3600, 0.2, 0.1)]
)
def test_a_lone_poll_comes_first_with_its_period(period: float, jitter: float, loss: float) -> None:
    rng = np.random.default_rng(2)
    outcome = concluded(tables(crowd(rng) | {EDGE: polls(rng, period, jitter, loss)}, terminals=400))
    row = rows_of(outcome)[EDGE]
    assert outcome.tables["beacons"]["destination"][0].as_py() == EDGE[1]
    assert row["period"] == pytest.approx(period, rel=0.15)
    assert row["jitter"] == pytest.approx(jitter, abs=0.12)
    assert row["score"] > 0.5 and row["log_odds"] > 2 and row["p_value"] < 1e-3 and row["size"] == 500
    assert [f.subject for f in outcome.findings] == [("domain-name", EDGE[1])]


def test_a_poll_that_pauses_while_the_laptop_sleeps_is_found() -> None:
    rng = np.random.default_rng(3)
    times = polls(rng, 600, 0.2, 0.1)
    hour = times / 3600
    awake = times[((hour > 8) & (hour < 12)) | ((hour > 13) & (hour < 17.5))]
    row = rows_of(concluded(tables(crowd(rng) | {EDGE: awake}, terminals=400)))[EDGE]
    assert row["score"] > 0.5 and row["period"] == pytest.approx(600, rel=0.1)


def test_people_are_no_beacons_and_neither_is_their_day() -> None:
    rng = np.random.default_rng(4)
    steady = {
        (f"t{n}", f"office{n}.example"): np.sort(8 * 3600 + 36_000 * rng.random(40)) for n in range(100)
    }
    outcome = concluded(tables(crowd(rng, 300) | steady, terminals=400))
    assert not outcome.findings
    assert sum(row["score"] > 0.5 for row in rows_of(outcome).values()) <= 1


def test_the_same_poll_counts_the_less_the_more_terminals_have_it() -> None:
    rng = np.random.default_rng(5)
    times = polls(rng, 300, 0.1)
    odds, scores = [], []
    for visitors in (1, 5, 40, 400):
        rows = rows_of(concluded(tables({EDGE: times}, terminals=1000, visitors={EDGE[1]: visitors})))
        odds.append(rows[EDGE]["log_odds"] if rows else 0.0)
        scores.append(rows[EDGE]["score"] if rows else 0.0)
    assert odds[:3] == sorted(odds[:3], reverse=True) and odds[0] > 3 and odds[2] < 1 and odds[3] == 0
    assert scores == sorted(scores, reverse=True) and scores[3] == 0


def test_what_every_terminal_of_a_small_network_polls_is_no_finding() -> None:
    rng = np.random.default_rng(6)
    every = {(f"t{n}", "telemetry.example"): polls(rng, 300, 0.01) for n in range(10)}
    assert not concluded(tables(every, terminals=12)).findings
    # In a network of one terminal prevalence says nothing, and the poll alone decides.
    assert concluded(tables({EDGE: polls(rng, 250, 0.2)})).findings


def test_a_slow_poll_is_found_over_days_and_forgotten_after_them() -> None:
    rng = np.random.default_rng(7)
    carry = None
    score = []
    slow = 5 * 3600 * (np.arange(40) + 0.3) + rng.uniform(-900, 900, 40)
    for day in range(5):
        today = slow[(slow >= day * DAY) & (slow < (day + 1) * DAY)] - day * DAY
        human = {
            (f"t{n}", f"s{n}.example"): np.sort(8 * 3600 + 36_000 * rng.random(rng.integers(1, 4)))
            for n in range(200)
        }
        outcome = concluded(
            tables(human | {EDGE: today}, START + day * DAY, terminals=400), START + day * DAY, carry
        )
        carry = outcome.carry
        score.append(rows_of(outcome).get(EDGE, {"score": 0.0})["score"])
    assert score[0] == 0 and score[-1] > 0.5
    assert "over" in outcome.findings[0].statement
    assert outcome.findings[0].subject[1] == EDGE[1]
    assert sum(row["score"] > 0.5 for key, row in rows_of(outcome).items() if key != EDGE) <= 1
    gone = concluded(tables({EDGE: np.array([5.0])}, START + 30 * DAY), START + 30 * DAY, carry).carry
    assert gone is not None and len(gone.keys) == 1 and len(gone.times) == 1


def test_the_check_counts_intervals_of_that_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    quoted = ("o'neil", "c2.example")
    given = tables(crowd(rng) | {quoted: polls(rng, 300, 0.1)}, terminals=400)
    outcome = concluded(given)
    parts = SpanParts()
    parts.add("1d", START, given)
    counted = parts.count(outcome.findings, [("1d", START)], {name: [table] for name, table in given.items()})
    check = counted[0].evidence[0].check
    assert check is not None and check.expected is not None, counted[0].evidence[0].statement
    assert check.expected > 250 and check.by_chance < check.expected / 3


def test_what_a_cap_left_out_is_said() -> None:
    rng = np.random.default_rng(9)
    many = {(f"t{n}", f"c{n}.example"): polls(rng, 600, 0.1) for n in range(30)}
    outcome = concluded(
        tables(many, terminals=400), settings={"livenet.beacon.judged": 20, "livenet.beacon.findings": 5}
    )
    assert outcome.tables["beacons"].num_rows == 20
    assert len(outcome.findings) == 5
    assert "10 edges with a lower likelihood ratio were not examined" in outcome.findings[-1].statement
    assert "15 destinations with a lower score" in outcome.findings[-1].statement


def test_hostile_names_are_shown_defanged() -> None:
    rng = np.random.default_rng(10)
    edge = ("user\x1b[2J", "evil\u202ex.example")
    finding = concluded(tables({edge: polls(rng, 300)}, terminals=400)).findings[0]
    assert "\x1b" not in finding.statement and "\u202e" not in finding.title + finding.statement
    assert "evil" in finding.title and "[.]example" in finding.title


def test_a_polled_black_destination_says_so_and_weighs_more() -> None:
    given = tables(
        crowd(np.random.default_rng(12)) | {EDGE: polls(np.random.default_rng(13), 300)}, terminals=400
    )
    places = given["livenet.edges:destinations"]
    mine = [name == EDGE[1] for name in places["destination"].to_pylist()]
    told: dict[str, list[object]] = {
        "colour": ["black" if one else "gray" for one in mine],
        "lists": [["feed/emotet since 2026-01-02"] * one for one in mine],
        "age_known": list(mine),
    }
    marked = places
    for name, values in told.items():
        at = places.schema.get_field_index(name)
        marked = marked.set_column(
            at, places.schema.field(at), pa.array(values, places.schema.field(at).type)
        )
    listed = given | {"livenet.edges:destinations": marked}
    gray, black = (concluded(which).findings[0] for which in (given, listed))
    assert gray.severity == "low" and black.severity == "medium"
    assert (
        "black" not in gray.title + gray.statement and "or earlier (the logs begin there)" in gray.statement
    )
    assert "which is black-listed," in black.title and "or earlier" not in black.statement
    assert "It is on a black list (feed/emotet since 2026-01-02)." in black.statement
    assert "chance below one in a billion" in black.statement
    assert "1 of 400 terminals goes there." in black.statement


def test_order_and_chunks_of_the_tables_do_not_matter() -> None:
    rng = np.random.default_rng(11)
    given = tables(crowd(rng) | {EDGE: polls(rng, 300, 0.2)}, terminals=400)
    mixed = dict(given)
    edges = given["livenet.edges:edges"]
    mixed["livenet.edges:edges"] = pa.concat_tables(
        [edges.take(pa.array(rng.permutation(edges.num_rows))).slice(n * 20, 20) for n in range(4)]
    )
    a, b = (concluded(every) for every in (given, mixed))
    assert [f.subject for f in a.findings] == [f.subject for f in b.findings]


def test_settings_are_checked() -> None:
    for name, value in (("popular", 0), ("popular", 2), ("score", 1), ("visits", 0), ("days", 99)):
        with pytest.raises(ValueError, match=f"livenet.beacon.{name}"):
            BeaconEngine(Site(settings={f"livenet.beacon.{name}": value}))


def test_a_damaged_memory_is_refused() -> None:
    good = Memory(np.array([5], np.uint64), np.array([0, 2]), np.array([1, 2], np.uint32))
    assert Memory.from_bytes(good.to_bytes()).times.tolist() == [1, 2]
    bad = Memory(good.keys, np.array([0, 9]), good.times)
    with pytest.raises(StateError, match="fit together"):
        Memory.from_bytes(bad.to_bytes())
