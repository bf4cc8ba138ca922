"""Parts of the beacon engine: intervals, spectrum, chance, memory, RITA's score."""

from __future__ import annotations

import numpy as np
import pytest
from beacon_world import DAY, person, polls

from andon.detect.livenet.beacon import rita
from andon.detect.livenet.beacon.chance import judge, screen
from andon.detect.livenet.beacon.intervals import templates
from andon.detect.livenet.beacon.memory import LONGEST, Memory
from andon.detect.livenet.beacon.polls import Edges, modes, visits_of
from andon.detect.livenet.beacon.score import automated, log_odds
from andon.detect.livenet.beacon.spectrum import bin_widths, line


def lists(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[0, np.cumsum([len(p) for p in parts])].astype(np.int64), np.concatenate(parts)


def seeds(number: int) -> np.ndarray:
    return np.arange(1, number + 1, dtype=np.uint64)


def test_p_values_of_evenly_spread_visits_are_what_they_say() -> None:
    rng = np.random.default_rng(1)
    offsets, times = lists([np.sort(rng.uniform(8 * 3600, 18 * 3600, 40)) for _ in range(400)])
    p = judge(offsets, times, np.zeros(400, np.int64), seeds(400)).p_value
    # Conservative, since stretches are cut where the best period says so.
    assert np.mean(p <= 0.1) < 0.14 and np.mean(p <= 0.01) < 0.03


def test_a_working_day_alone_is_not_significant() -> None:
    rng = np.random.default_rng(2)
    week = [
        np.sort(np.concatenate([d * DAY + 3600 * rng.uniform(8, 18, rng.poisson(2)) for d in range(7)]))
        for _ in range(300)
    ]
    week = [t for t in week if len(t) >= 6]
    offsets, times = lists(week)
    office = np.full(len(week), sum(1 << h for h in range(8, 18)))
    p = judge(offsets, times, office, seeds(len(week))).p_value
    assert np.mean(p <= 1e-3) < 0.02


def test_dealing_is_keyed_and_not_random() -> None:
    rng = np.random.default_rng(3)
    offsets, times = lists([person(rng, 6) for _ in range(5)])
    a, b = (judge(offsets, times, np.zeros(5, np.int64), seeds(5)) for _ in range(2))
    c = judge(offsets, times, np.zeros(5, np.int64), seeds(5) + np.uint64(99))
    assert a.ratio_p.tolist() == b.ratio_p.tolist() and a.ratio.tolist() == c.ratio.tolist()
    assert a.line_p.tolist() != c.line_p.tolist()


def test_every_template_is_a_distribution() -> None:
    shapes = templates()
    stray = np.exp(np.log(0.05))
    mass = (np.exp(shapes + np.log(0.05)) - stray) / (1 - stray) * 0.2 * 0.05
    assert np.all(mass >= -1e-12) and np.all(mass.sum(axis=1) <= 1 + 1e-9) and np.all(mass.sum(axis=1) > 0.9)


def test_the_line_of_a_poll_among_other_visits_is_seen() -> None:
    rng = np.random.default_rng(4)
    times = np.sort(np.r_[np.arange(0, 6 * 3600, 60.0), rng.uniform(0, 6 * 3600, 300)])
    offsets = np.array([0, len(times)])
    height, period = line(times, bin_widths(offsets, times)[0])
    assert min(abs(period * k - 60) for k in (1, 2, 3)) < 1.5 and height > 20


def test_requests_of_one_page_are_one_visit() -> None:
    times = np.concatenate([at + np.array([0.0, 0.4, 2.0, 4.5]) for at in (0, 100, 200)])
    visits, offsets = visits_of(Edges(np.array([0, len(times)]), times, np.zeros(len(times))))
    assert visits.tolist() == [0, 100, 200] and offsets.tolist() == [0, 3]


def test_modes_keep_to_their_edge() -> None:
    sizes = np.array([10.0, 900, 905, 910, 4e9, 4e9, 7])
    size, share = modes(Edges(np.array([0, 4, 4, 7]), np.zeros(7), sizes))
    assert size.tolist() == [905, 0, 4e9] and share.tolist() == pytest.approx([0.75, 0, 2 / 3])


def test_screen_prefers_a_poll_with_losses_to_chance() -> None:
    rng = np.random.default_rng(5)
    offsets, times = lists([polls(rng, 900, 0.3, 0.5), np.sort(rng.uniform(0, DAY, 48))])
    ratio, period = screen(offsets, times)
    assert ratio[0] > ratio[1] + 10 and period[0] == pytest.approx(900, rel=0.2)


def test_ritas_score_of_known_cases() -> None:
    even = np.arange(0, DAY, 300.0)
    rng = np.random.default_rng(6)
    humans = person(rng, 2)
    offsets, times = lists([even, humans, np.array([1.0, 2, 3])])
    got = rita.scores(offsets, times, np.full(len(times), 700.0), 0.0, DAY)
    assert got[0] == pytest.approx(1.0, abs=0.02) and got[1] < 0.75 and got[2] == 0
    # Sizes below one byte give 0.5 of the size score (no skew), as described.
    assert rita.scores(offsets, times, np.zeros(len(times)), 0.0, DAY)[0] == pytest.approx(got[0] - 0.125)


def test_log_odds_end_where_the_assumed_shares_say() -> None:
    one, many = np.array([1]), np.array([500])
    assert log_odds(np.array([12.0]), one, 1000)[0] == pytest.approx(np.log(0.3 / 0.01), abs=0.01)
    assert log_odds(np.array([12.0]), many, 1000)[0] < 0
    assert log_odds(np.array([-5.0]), one, 1000)[0] == 0
    assert automated(np.array([1]), 10)[0] == pytest.approx(0.01)


def test_memory_keeps_the_last_visits_and_those_of_most_days() -> None:
    day = 20_000 * DAY
    memory = Memory.empty()
    for n in range(4):
        keys = np.array([7, 100 + n, 200 + n], np.uint64)
        offsets, times = np.array([0, 1, 3, 4]), np.array([day, day, day + 50, day]) + n * DAY
        memory = memory.next_day(keys, offsets, times, day + (n - 6) * DAY, 3)
    assert len(memory.keys) == 3 and 7 in memory.keys and memory.forgotten == 2
    rows, offsets, times = memory.of(np.array([5, 7], np.uint64))
    assert rows.tolist() == [1] and len(times) == 4
    full = Memory.empty().next_day(
        np.array([1], np.uint64), np.array([0, 500]), np.arange(day, day + 500), day, 10
    )
    assert len(full.times) == LONGEST and full.times[-1] == day + 499
