"""The birth alarm, its silence, and lineages with their dates."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from portsets_traffic import DAY, DAY_NS, HOUR_NS, Run, addresses, family, noise

from andon.records.contract import Site

TELNET = ((23, 9), (2323, 1))
LATER = ((23, 6), (2323, 2), (5555, 2))
QUICK = Site(settings={"darknet.portsets.warm_up": 6})


def quiet_hours(run: Run, hours: int, seed: int, sources: int = 1500) -> list[str]:
    told = []
    for _ in range(hours):
        run.next(noise(sources, seed, run.at, 3600))
        told += run.births()
    return told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_early_mirai_is_told_within_the_hour_of_its_first_two_hundred_sources(seed: int) -> None:
    run = Run("1h", QUICK)
    assert quiet_hours(run, 8, seed) == []
    run.next(
        noise(1500, seed, run.at, 3600), family(addresses(200, seed + 50), TELNET, 6, seed, run.at, 3600)
    )
    assert run.births() == ["23,2323"]
    (birth,) = [f for f in run.outcome.findings if f.kind == "port-set-birth"]
    assert birth.severity == "medium" and birth.evidence[1].check is not None
    assert birth.evidence[1].check.relation.startswith("(tcp.dstport == 23 or tcp.dstport == 2323) and")
    assert run.carry is not None
    run.next(
        noise(1500, seed, run.at, 3600), family(addresses(400, seed + 50), TELNET, 6, seed, run.at, 3600)
    )
    assert run.births() == []  # once is enough


def test_a_bot_that_is_heard_once_an_hour_is_told_from_several_hours_together() -> None:
    run = Run("1h", QUICK)
    quiet_hours(run, 7, 4)
    bots, told = addresses(200, 60), []
    for _ in range(5):
        run.next(noise(1500, 4, run.at, 3600), family(bots, TELNET, 1, 61, run.at, 3600))
        told += run.births()
    # The new port alone may be told first: ten in a hundred bots show nothing else.
    assert "23,2323" in told and set(told) <= {"2323", "23,2323"}


def test_nothing_is_a_birth_while_the_record_is_young_but_the_sets_are_said() -> None:
    run = Run("1d", Site())
    run.next(noise(1500, 5), family(addresses(200, 62), TELNET, 15, 63))
    assert run.births() == [] and "23,2323" in run.families()
    assert not any(run.outcome.tables["births"]["alarmed"].to_pylist())
    assert "Births are not told yet" in run.outcome.findings[-1].statement
    assert run.families()["23,2323"]["since_start"]


def test_a_set_that_is_known_is_no_birth_when_it_grows() -> None:
    run = Run("1h", QUICK)
    for n in range(8):
        run.next(noise(1500, 6, run.at, 3600), family(addresses(100, 64), TELNET, 8, 65 + n, run.at, 3600))
        assert run.births() == []
    run.next(noise(1500, 6, run.at, 3600), family(addresses(600, 66), TELNET, 8, 67, run.at, 3600))
    assert run.births() == []


def test_a_new_port_is_told_once_and_a_busy_one_never() -> None:
    run = Run("1h", QUICK)
    quiet_hours(run, 8, 7)
    new, busy = addresses(60, 68), addresses(300, 69)
    told = []
    for n in range(2):
        run.next(
            noise(1500, 7, run.at, 3600),
            family(new, ((38_291, 1),), 3, 70 + n, run.at, 3600),
            family(busy, ((23, 1),), 3, 71 + n, run.at, 3600),
        )
        told += run.births()
    assert told == ["38291"]


def test_a_day_of_hours_of_noise_tells_no_birth() -> None:
    assert quiet_hours(Run("1h", QUICK), 24, 8, 1200) == []


def days(stages: dict[int, tuple[tuple[int, int], ...]], last: int, turnover: int = 20) -> Run:
    """A family of 240 sources, of which some are replaced every day, with ports that change at midnight."""
    run = Run("1d", begin=DAY)
    pool, ports = addresses(240 + turnover * last, 72), stages[0]
    for day in range(last):
        ports = stages.get(day, ports)
        run.next(noise(1500, 9, run.at), family(pool[day * turnover :][:240], ports, 16, 73, run.at))
    return run


def test_a_line_reads_as_a_story_with_dates() -> None:
    run = days({0: ((23, 1),), 2: TELNET, 5: LATER}, 7)
    row = run.families()["23,2323,5555"]
    assert row["line"] == ["23", "23,2323", "23,2323,5555"]
    born = [_ns(t) for t in row["line_born"]]
    assert born[1:] == [DAY + 2 * DAY_NS, DAY + 5 * DAY_NS] and born[0] <= DAY + DAY_NS
    (story,) = [f.statement for f in run.outcome.findings if f.subject == ("port-set", "23,2323,5555")]
    assert "23,2323 (since 2024-10-06) -> 23,2323,5555 (since 2024-10-09)" in story


def test_a_family_keeps_its_number_and_series_while_its_weights_drift() -> None:
    numbers, series = set(), set()
    run = Run("1d")
    for day in range(5):
        ports = ((23, 90 - 4 * day), (2323, 10 + 4 * day))
        run.next(noise(1500, 10, run.at), family(addresses(200, 74), ports, 16, 75 + day, run.at))
        numbers.add(run.families()["23,2323"]["family"])
        series |= {f.series for f in run.outcome.findings if f.subject == ("port-set", "23,2323")}
    assert len(numbers) == 1 and len(series) == 1
    assert run.families()["23,2323"]["spans"] == 5


def test_the_union_of_a_day_of_change_is_no_stage() -> None:
    bots = addresses(200, 76)
    run = Run("1d")
    old, new = ((8291, 1), (8728, 1)), ((8291, 1), (49_001, 1))
    run.next(noise(1200, 11, run.at), family(bots, old, 20, 77, run.at))
    half = [
        family(bots, old, 12, 78, run.at, 43_200),
        family(bots, new, 12, 79, run.at + 12 * HOUR_NS, 43_200),
    ]
    run.next(noise(1200, 11, run.at), *half)
    assert "8291,8728,49001" in run.families()
    run.next(noise(1200, 11, run.at), family(bots, new, 20, 80, run.at))
    row = run.families()["8291,49001"]
    assert row["line"] == ["8291,8728", "8291,49001"]
    assert _ns(row["line_born"][1]) == DAY + DAY_NS


def test_a_fingerprint_ties_a_line_whose_sources_have_all_changed() -> None:
    run = Run("1d")
    for day, ports in enumerate((((8291, 1), (8728, 1)), ((8291, 1), (8728, 1), (49_001, 1)))):
        bots = addresses(200, 81 + day)
        tools = pa.table(
            {
                "src": pa.array(bots, pa.uint32()),
                "tool": ["odd"] * 200,
                "packets": pa.array([9] * 200, pa.int64()),
                "confidence": [0.99] * 200,
            }
        )
        run.next(
            noise(1000, 12, run.at),
            family(bots, ports, 20, 83, run.at),
            tables={"darknet.tools:sources": tools},
        )
    assert run.families()["8291,8728,49001"]["line"] == ["8291,8728", "8291,8728,49001"]


def test_a_birth_names_new_ports_first_sources_and_the_known_relative() -> None:
    run = Run("1h", QUICK)
    for n in range(8):
        run.next(noise(1500, 13, run.at, 3600), family(addresses(150, 84), TELNET, 10, 85 + n, run.at, 3600))
    fresh = addresses(150, 86)
    run.next(noise(1500, 13, run.at, 3600), family(fresh, LATER, 10, 87, run.at, 3600))
    (birth,) = [f for f in run.outcome.findings if f.kind == "port-set-birth"]
    assert birth.attributes["new_ports"] == "5555" and birth.attributes["known_relative"] == "23,2323"
    assert "It resembles 23,2323" in birth.statement
    assert (
        np.isin([int(np.uint32(a)) for a in fresh], [_number(e.value) for e in birth.entities]).mean() > 0.5
    )


def _ns(time: datetime) -> int:
    return round(time.timestamp()) * 1_000_000_000


def _number(text: str) -> int:
    a, b, c, d = (int(part) for part in text.split("."))
    return a << 24 | b << 16 | c << 8 | d
