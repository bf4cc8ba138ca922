"""What is remembered of sources between days."""

from __future__ import annotations

import numpy as np
import pytest
from purpose_traffic import DAY, DAY_NS, concluded, row_of, scanner, tables

from andon.detect.darknet.purpose.memory import Memory
from andon.sketch.state import StateError

LONE = 0xC6336401


def days_of(volumes: list[int], gaps: dict[int, int] | None = None) -> Memory:
    memory = Memory.empty()
    for n, volume in enumerate(volumes):
        address = np.array([LONE], np.uint32) if volume else np.zeros(0, np.uint32)
        packets = np.array([volume] if volume else [], np.int64)
        memory = memory.next_day(
            address, packets, np.zeros(len(address), np.bool_), 1.0, (gaps or {}).get(n, 0), 1000
        )
    return memory


def test_days_and_even_volume_are_remembered() -> None:
    past = days_of([100, 110, 90, 100, 105]).of(np.array([LONE, 5], np.uint32))
    assert past.came.tolist() == [5, 0] and past.since.tolist() == [5, 0]
    assert 0.05 < past.variation[0] < 0.1 and np.isnan(past.variation[1])
    assert past.packets.tolist() == [505, 0]


def test_empty_spans_count_as_days_passed_but_not_as_days_observed() -> None:
    past = days_of([100, 100, 0, 100], gaps={3: 5}).of(np.array([LONE], np.uint32))
    assert past.came[0] == 3 and past.since[0] == 4


def test_a_source_that_stays_away_is_forgotten() -> None:
    memory = days_of([100, 100])
    later = memory.next_day(
        np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.bool_), 1.0, 29, 1000
    )
    assert len(later.address) == 0


def test_memory_is_bounded_and_keeps_the_faithful() -> None:
    memory = days_of([50, 50, 50])
    rng = np.random.default_rng(1)
    crowd = np.sort(rng.choice(1 << 31, 5000, replace=False)).astype(np.uint32)
    memory = memory.next_day(crowd, np.full(5000, 900), np.zeros(5000, np.bool_), 1.0, 0, 100)
    assert len(memory.address) == 100 and memory.forgotten == 4901
    assert LONE in memory.address


def test_bytes_and_back() -> None:
    memory = days_of([10, 20, 40])
    assert Memory.from_bytes(memory.to_bytes()).to_bytes() == memory.to_bytes()
    with pytest.raises(StateError):
        Memory.from_bytes(memory.to_bytes()[:-3])


def test_steadiness_over_days_is_a_reason_for_a_survey_and_bursts_are_not() -> None:
    def last(volumes: list[int]) -> str:
        carry = None
        for n, volume in enumerate(volumes):
            day = DAY + n * DAY_NS
            part = scanner(LONE, volume, [80], seed=n)
            index = part.schema.get_field_index("ts")
            moved = part.column(index).cast("int64").to_numpy() + n * DAY_NS
            part = part.set_column(index, part.schema.field(index), _time(moved))
            outcome = concluded(part, carry=carry, day=day)
            carry = outcome.carry
        return str(row_of(outcome, LONE)["reasons"])

    assert "came on 5 of 5 days, volume varies by" in last([100, 104, 98, 101, 99])
    assert "daily volume varies by" in last([5, 5, 5, 5, 900])


def _time(values: np.ndarray) -> object:
    import pyarrow as pa

    return pa.array(values).cast(pa.timestamp("ns", tz="UTC"))


def test_malware_of_yesterday_still_speaks_for_an_attack() -> None:
    first = concluded(scanner(LONE, 100, [80]), given=tables(named={LONE: "mirai"}))
    after = concluded(scanner(LONE, 100, [80]), carry=first.carry)
    assert row_of(after, LONE)["purpose"] == "attack"
    assert "ran known malware 1 days ago" in row_of(after, LONE)["reasons"]
