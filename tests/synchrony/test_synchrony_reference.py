"""The reference that is not learned from what is judged: slow growth, the day's rhythm, gaps, and regulars that go."""

from __future__ import annotations

import numpy as np
import pytest
from synchrony_traffic import Run, Telescope, planted, strangers

from andon.detect.darknet.synchrony import regulars, surprise
from andon.detect.darknet.synchrony.memory import Memory
from andon.detect.darknet.synchrony.reference import STARTS, STOPS, Expected, Reference, common_ratio
from andon.sketch.state import StateError

UNITS = np.arange(400)
HOUR = 500_000  # of the first one, since 1970


class Port:
    """Counts of 400 ports, by span: a rhythm of the day of each port's own, and wandering of 8 % an hour."""

    def __init__(self, seed: int, spec=STARTS) -> None:  # type: ignore[no-untyped-def]
        self.rng, self.spec, self.ref = np.random.default_rng(seed), spec, Reference.empty()
        self.mean = np.exp(self.rng.normal(0.5, 1.2, len(UNITS)))
        self.phase = self.rng.uniform(0, 24, len(UNITS))
        self.tails: dict[int, list[np.ndarray]] = {}

    def play(self, hours: int, more=lambda hour: 0.0, unit: int = 0, common: float = 1.0) -> Port:  # type: ignore[no-untyped-def]
        total, spans = np.zeros(len(UNITS)), 0
        begun = int(self.ref.clock[1]) + 1 if self.ref.clock[1] >= 0 else HOUR
        for hour in range(begun, begun + hours):
            self.ref.turn(UNITS, total, spans, hour, self.spec)
            total, spans = np.zeros(len(UNITS)), 6
            rate = self.mean * (1 + 0.4 * np.cos(2 * np.pi * (hour - self.phase) / 24)) * common
            rate = rate * np.exp(self.rng.normal(0, 0.08, len(UNITS)))
            rate[unit] += more(hour - HOUR) / 6
            for q in range(6):
                count = self.rng.poisson(np.maximum(rate, 0)).astype(float)
                total += count
                if self.ref.ready:
                    self._judge(hour, q, count, total)
        return self

    def _judge(self, hour: int, q: int, count: np.ndarray, total: np.ndarray) -> None:
        places = np.searchsorted(UNITS, self.ref.unit)
        for j in range(4):
            given = self.ref.expect(self.spec, j, hour * 6 + q, count[places], total[places])
            tail = surprise.at_most if self.spec.stop else surprise.at_least
            found = np.ones(len(UNITS))
            found[places] = tail(given.count, given.mean, 1 / given.spread)
            self.tails.setdefault(hour - HOUR, []).append(found)
            if j == 0 or q == 5:
                self.ref.learn(self.spec, j, given, np.ones(len(places), np.bool_))


def test_growth_over_two_days_inside_a_port_with_traffic_of_its_own_is_not_learned() -> None:
    """600 sources in 48 hours, e-fold eight hours, on a port that brings 400 a day."""
    port = Port(1)
    port.mean[0] = 400 / 144
    grown = 600 / 8 / np.expm1(6)
    port.play(96).play(48, more=lambda hour: grown * np.exp((hour - 96) / 8))
    least = {hour: min(t[0] for t in tails) for hour, tails in port.tails.items()}
    assert min(least[h] for h in least if h < 100) > 1e-6
    told = min(h for h in least if least[h] < 1e-6)
    assert told <= 138, "not after the port has doubled for hours"


def test_rhythm_and_wandering_are_no_surprise() -> None:
    port = Port(2).play(120)
    tails = np.array([t for hour, rows in port.tails.items() if hour >= 48 for t in rows])
    assert (tails.min(axis=0) < 1e-6).mean() <= 0.01, "of 400 ports in three days"


def test_common_rises_and_gaps_are_no_surprise_and_the_reference_recovers() -> None:
    port = Port(3).play(60)
    port.play(6, common=1.8)
    assert min(t.min() for h in range(60, 66) for t in port.tails[h]) > 1e-9
    port.ref.turn(
        UNITS, np.zeros(len(UNITS)), 0, int(port.ref.clock[1]) + 30, STARTS
    )  # thirty hours without packets
    assert port.ref.ready and np.isfinite(port.ref.ratio).all()
    port.ref.turn(UNITS, np.ones(len(UNITS)), 6, int(port.ref.clock[1]) + 10_000, STARTS)
    assert np.isfinite(port.ref.ratio).all() and len(port.ref.unit) <= len(UNITS)


def test_a_stop_is_held_against_what_came_in_the_hours_before() -> None:
    port = Port(4, STOPS)
    port.mean[0] = 2.0
    port.play(60).play(10, more=lambda hour: 120.0)  # began only hours ago: no day knows it
    port.play(2)
    assert min(t[0] for t in port.tails[70]) < 1e-6


def test_an_anomaly_raises_its_own_phi_little() -> None:
    port = Port(5).play(72)
    before = float(port.ref.phi[0, 3])
    given = Expected(
        np.full(len(port.ref.unit), 1e4),
        np.full(len(port.ref.unit), 1e2),
        np.full(len(port.ref.unit), 0.05),
        1.0,
    )
    one = port.ref.unit == 0
    for _ in range(24):
        port.ref.learn(STARTS, 3, given, one)
    port.play(1)
    assert float(port.ref.phi[0, 3]) <= max(2 * float(np.median(port.ref.phi[:, 3])), before) * 1.5


def _hours(memory: Memory, span: int, sources: np.ndarray, units: np.ndarray) -> None:
    keys = np.unique(sources.astype(np.uint64) << np.uint64(18) | units.astype(np.uint64))
    memory.take(keys, np.ones(len(keys), np.bool_), span, 2016, 1_000_000)


@pytest.mark.parametrize("organisation", [False, True])
def test_regulars_that_fall_silent_among_many_passers_by(organisation: bool) -> None:
    """150 bots that come twice in three hours among 300 passers-by an hour fall silent; one organisation is no stop."""
    rng = np.random.default_rng(6)
    ref, memory = Reference.empty(), Memory.empty()
    bots = strangers(rng, 150)
    if organisation:
        bots = 0x55AA0000 + np.arange(150) % 3 * 256 + np.arange(150) // 3
    others = [strangers(rng, 80) for _ in range(30)]  # regulars of thirty other ports
    tails = []
    for hour in range(30):
        sources, units = [], []
        for q in range(6):
            sources, units = [], []
            if hour < 24:
                here = bots[rng.random(len(bots)) < 0.12]
                sources.append(here)
                units.append(np.full(len(here), 445))
            visitors = strangers(rng, rng.poisson(50))
            sources.append(visitors)
            units.append(np.full(len(visitors), 445))
            for k, own in enumerate(others):
                here = own[rng.random(len(own)) < 0.12]
                sources.append(here)
                units.append(np.full(len(here), 1000 + k))
            _hours(memory, HOUR * 6 + hour * 6 + q, np.concatenate(sources), np.concatenate(units))
        ref.turn(np.r_[445, 1000 + np.arange(30)], np.full(31, 100.0), 6, HOUR + hour, STOPS)
        if len(ref.unit):
            found = regulars.again(ref, (HOUR + hour) * 6 + 5, memory, np.ones(len(ref.unit), np.bool_), 8)
            tails.append((hour, found.tail))
    quiet = [t.min() for hour, t in tails if 8 <= hour < 24]
    assert min(quiet) > 1e-5
    at = int(np.searchsorted(ref.unit, 445))
    assert (tails[-6][0], tails[-6][1][at] < 1e-6) == (24, not organisation)


@pytest.mark.parametrize("gone", [0, 300])
def test_busy_ports_that_all_sway_are_no_stops_and_one_that_loses_half_is(gone: int) -> None:
    """600 regulars at each of twenty ports; the part that comes again wanders by 12 % an hour, as at a /16."""
    rng = np.random.default_rng(4)
    ref, memory = Reference.empty(), Memory.empty()
    ports = [strangers(rng, 600) for _ in range(20)]
    tails = {}
    for hour in range(22):
        ref.turn(1000 + np.arange(20), np.full(20, 100.0), 6, HOUR + hour, STOPS)
        parts = 0.1 * np.exp(rng.normal(0, 0.12, 20))
        for q in range(6):
            here = [
                there[rng.random(len(there)) < part]
                for there, part in zip(
                    (ports[0][gone if hour >= 18 else 0 :], *ports[1:]), parts, strict=True
                )
            ]
            units = np.repeat(1000 + np.arange(20), [len(one) for one in here])
            _hours(memory, HOUR * 6 + hour * 6 + q, np.concatenate(here), units)
        if len(ref.unit):
            tails[hour] = regulars.again(
                ref, (HOUR + hour) * 6 + 5, memory, np.ones(len(ref.unit), np.bool_), 8
            ).tail
    quiet = min(tail[1:].min() for hour, tail in tails.items() if hour >= 8)
    assert quiet > 1e-5
    assert tails[18][0] < 1e-6 if gone else tails[18][0] > 1e-5


def test_a_reference_survives_bytes_and_damage_is_named() -> None:
    ref = Port(7).play(26).ref
    arrays = ref.arrays("x")
    again = Reference.of_arrays(arrays, "x")
    assert all(np.array_equal(again.arrays("x")[name], value) for name, value in arrays.items())
    with pytest.raises(StateError, match="no "):
        Reference.of_arrays({}, "x")
    with pytest.raises(StateError, match="shape"):
        Reference.of_arrays({**arrays, "x.ring": arrays["x.ring"][:, :5]}, "x")


def test_what_all_ports_do_is_seen_through_one_port() -> None:
    mean = np.r_[np.full(20, 20.0), np.full(380, 0.3)]
    count = np.random.default_rng(1).poisson(0.7 * mean).astype(float)
    count[0] += 3000
    value, spread = common_ratio(count, mean)
    assert abs(value - 0.7) < 0.1 and spread < 0.02
    assert np.isnan(common_ratio(np.zeros(3), np.full(3, 0.1))[0])


def test_more_events_than_are_told_are_counted() -> None:
    telescope = Telescope(8)
    wakes = [
        planted(telescope.rng, strangers(telescope.rng, 30), 240, 9, dst_port=30000 + i) for i in range(24)
    ]
    run = Run().play(telescope, range(25), *wakes)
    findings = run.outcomes[24].findings
    assert len(findings) == 20 and findings[0].attributes["findings_left_out"] == 4
    assert "4 more events" in findings[0].statement
