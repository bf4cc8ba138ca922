"""What flows become as evidence."""

from __future__ import annotations

import numpy as np
import pytest
from flow_rows import SECOND, START, flow, flows, unanswered

from andon.records.contract import Context, Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError
from andon.triage.evidence import Evidence
from andon.triage.evidence.conversations import Conversations
from andon.triage.evidence.memory import Memory

SPAN = 600 * SECOND


def concluded(engine: Evidence, rows: list, number: int = 0, carry: Memory | None = None):  # type: ignore[no-untyped-def, type-arg]
    summary = engine.summarise(flows(rows), engine.empty()) if rows else engine.empty()
    start = START + number * SPAN
    return engine.conclude(summary, carry, Context("10min", start, start + SPAN))


def many(seed: int, number: int) -> list:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    made = []
    for n in range(number):
        src, dst = f"10.0.0.{rng.integers(1, 30)}", f"10.0.1.{rng.integers(1, 30)}"
        if rng.random() < 0.3:
            made.append(unanswered(float(rng.integers(0, 599)), src, dst, int(rng.choice([22, 80]))))
        else:
            service = str(rng.choice(["", "http", "ssh"]))
            made.append(
                flow(float(rng.integers(0, 599)), src, dst, int(rng.choice([22, 80])), service=service)
            )
        if n % 50 == 0:
            made.append(flow(5, "fd00::1", "not an address", -1, answered=None, state="", bytes_in=-1))
    return made


def test_engine_keeps_the_contract() -> None:
    rows = many(1, 400)
    outcome = check_engine(Evidence(Site()), [flows(rows[n::4]) for n in range(4)])
    table = outcome.tables["conversations"]
    assert sum(table.column("flows").to_pylist()) == len(rows)
    assert outcome.tables["coverage"].to_pylist() == [{"flows": len(rows), "left_out": 0}]


def test_engine_keeps_the_contract_above_its_cap() -> None:
    rows = many(2, 600)
    engine = Evidence(Site(settings={"triage.evidence.rows": 100, "triage.evidence.remembered": 7}))
    outcome = check_engine(engine, [flows(rows[n::4]) for n in range(4)])
    kept = sum(outcome.tables["conversations"].column("flows").to_pylist())
    assert 0 < outcome.tables["conversations"].num_rows <= 100
    assert outcome.tables["coverage"].to_pylist() == [{"flows": len(rows), "left_out": len(rows) - kept}]
    assert outcome.tables["services"].num_rows <= 7


def test_what_stays_under_the_cap_is_whole_pairs_and_exact() -> None:
    rows = many(3, 600)
    free = concluded(Evidence(Site()), rows).tables["conversations"].to_pylist()
    capped = Evidence(Site(settings={"triage.evidence.rows": 100}))
    held = concluded(capped, rows).tables["conversations"].to_pylist()
    pairs = {frozenset((row["src"], row["dst"])) for row in held}
    assert held == [row for row in free if frozenset((row["src"], row["dst"])) in pairs]


def test_a_conversation_tells_failures_unknowns_and_its_largest_flow() -> None:
    rows = [unanswered(n, "192.0.2.9", "10.0.0.5", 22) for n in range(3)]
    rows += [
        flow(9, "192.0.2.9", "10.0.0.5", 22, service="ssh", bytes_in=9000, duration=50 * SECOND),
        flow(4, "192.0.2.9", "10.0.0.5", 22, answered=None, state="", bytes_in=-1, duration=-1),
    ]
    (row,) = concluded(Evidence(Site()), rows).tables["conversations"].to_pylist()
    assert (row["flows"], row["failed"], row["unknown"], row["service"]) == (5, 3, 1, "ssh")
    assert (row["largest_in"], row["longest"], row["bytes_in"]) == (9000, 50 * SECOND, 9000)


def test_services_are_inside_addresses_that_answered_and_once_a_day_all_of_them() -> None:
    engine = Evidence(Site(inside=("10.0.0.0/8",)))
    first = concluded(
        engine,
        [
            flow(1, "10.0.0.1", "10.0.0.5", 80, service="http"),
            flow(2, "10.0.0.1", "192.0.2.1", 443),
            unanswered(3, "10.0.0.1", "10.0.0.6", 22),
        ],
    )
    assert [(r["address"], r["port"]) for r in first.tables["services"].to_pylist()] == [("10.0.0.5", 80)]
    second = concluded(engine, [flow(700, "10.0.0.1", "10.0.0.7", 22)], 1, first.carry)
    assert [r["address"] for r in second.tables["services"].to_pylist()] == ["10.0.0.7"]
    last = concluded(engine, [], 143, second.carry)  # ends the day
    told = last.tables["services"].to_pylist()
    assert [(r["address"], r["port"], r["service"]) for r in told] == [
        ("10.0.0.5", 80, "http"),
        ("10.0.0.7", 22, ""),
    ]
    assert concluded(engine, [], 144, last.carry).tables["services"].num_rows == 0


def test_a_service_that_no_longer_answers_is_forgotten() -> None:
    engine = Evidence(Site(settings={"triage.evidence.days": 1}))
    first = concluded(engine, [flow(1, "10.0.0.1", "10.0.0.5", 80)])
    assert concluded(engine, [], 143, first.carry).tables["services"].num_rows == 1
    assert concluded(engine, [], 287, first.carry).tables["services"].num_rows == 0


def test_damaged_states_are_refused() -> None:
    summary = Evidence(Site()).summarise(flows(many(4, 20)), Evidence(Site()).empty())
    data = bytearray(summary.to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(StateError):
        Conversations.from_bytes(bytes(data))
    with pytest.raises(StateError):
        Memory.from_bytes(b"ANDN")
