"""Forecasts of volume: intervals hold what they promise, and nothing is shown that does not beat the trivial ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.detect.darknet.census import SLOTS
from andon.records.contract import Context, Nothing, Site
from andon.run.contract import check_engine
from andon.triage.forecast import engine
from andon.triage.forecast.memory import Volumes
from andon.triage.prediction.gate import SHUT, chosen
from andon.triage.prediction.volume import (
    TAUS,
    forecasts,
    naive,
    pinball,
    quantiles,
    regression,
    surprise,
    usual,
)

HOUR = 3600 * 10**9
SLOT = HOUR // 6
START = 20_000 * 24 * HOUR


def day_and_night(
    days: int, rng: np.random.Generator, level: float = 200.0, spread: float = 0.02
) -> np.ndarray:
    """Counts with a course of the day and overdispersion, and a level that wanders."""
    hours = np.arange(days * 24)
    mean = level * np.exp(
        0.8 * np.sin(2 * np.pi * hours / 24) + np.repeat(np.cumsum(rng.normal(0, 0.12, days)), 24)
    )
    return rng.negative_binomial(1 / spread, 1 / (1 + spread * mean))


def test_pinball_is_least_at_the_true_quantiles() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.poisson(20, 20_000).astype(float)
    true = np.quantile(drawn, TAUS)
    best = pinball(drawn, np.tile(true, (len(drawn), 1)))
    for off in (-3, 3):
        assert pinball(drawn, np.tile(true + off, (len(drawn), 1))) > best


def test_quantiles_of_the_negative_binomial_agree_with_drawing() -> None:
    rng = np.random.default_rng(2)
    for mean, alpha in ((5.0, 0.5), (300.0, 0.05), (0.2, 2.0)):
        drawn = rng.negative_binomial(1 / alpha, 1 / (1 + alpha * mean), 200_000)
        made = quantiles(np.array([mean]), alpha)[0]
        assert np.all(np.abs(made - np.quantile(drawn, TAUS)) <= 1 + 0.02 * mean)
        at = int(np.quantile(drawn, 0.9))
        assert surprise(at, mean, alpha) == pytest.approx((drawn >= at).mean(), abs=0.01)


def test_regression_learns_day_and_night_and_its_interval_holds() -> None:
    rng = np.random.default_rng(3)
    series = day_and_night(60, rng)
    inside, gains = [], []
    for day in range(28, 60):
        past, came = series[: day * 24], series[day * 24 :][:24].astype(float)
        made, _, _ = regression(past, day % 7)
        inside.append((came >= made[:, 0]) & (came <= made[:, -1]))
        gains.append(min(pinball(came, naive(past)), pinball(came, usual(past))) - pinball(came, made))
    assert 0.82 < np.mean(inside) < 0.97
    assert np.mean(gains) > 0


@given(
    st.lists(st.integers(0, 10**6), min_size=24 * 8, max_size=24 * 8)
    | st.just([0] * 240)
    | st.just([10**9] * 192)
)
def test_any_series_gives_finite_forecasts(series: list[int]) -> None:
    made, (mean, alpha) = forecasts(np.array(series, np.int64), 2)
    assert np.isfinite(made).all() and (made >= 0).all() and np.isfinite(mean).all() and alpha > 0
    assert (np.diff(made, axis=2) >= -1e-6).all()


def test_the_gate_needs_days_and_more_than_luck() -> None:
    rng = np.random.default_rng(4)
    base = 10 + rng.normal(0, 1, (2, 28))
    assert chosen(base[:1] - 2, base) == 0
    assert chosen(base[:1] - 2, base) == chosen(np.vstack([base[:1] - 2, base[:1] + 1]), base)
    assert chosen((base[:1] - 2)[:, :6], base[:, :6]) == SHUT
    assert chosen(base[:1] + 2, base) == SHUT
    opened = [chosen(10 + rng.normal(0, 1, (3, 28)), np.full((1, 28), 10.0)) != SHUT for _ in range(400)]
    assert np.mean(opened) < 0.08  # three candidates without any skill
    holes = base.copy()
    holes[:, ::2] = np.nan
    assert chosen(holes[:1] - 2, holes) == 0


def slots(start: int, packets: dict[int, int], proto: int = 6) -> pa.Table:
    ports = sorted(port for port, n in packets.items() if n)
    count = [packets[port] for port in ports]
    columns = {
        "start": pa.array([start] * len(ports), pa.int64()).cast(SLOTS.field("start").type),
        "proto": [proto] * len(ports),
        "port": ports, "packets": count, "sources": count, "destinations": count, "exact": [True] * len(ports),
    }  # fmt: skip
    return pa.table(columns, schema=SLOTS)


def play(
    series: dict[int, np.ndarray], site: Site | None = None, skip: frozenset[int] = frozenset()
) -> list[Any]:
    """Outcomes of every span; ``skip``: spans in which nothing came."""
    made, carry, outcomes = engine(site or Site()), None, []
    for hour in range(len(next(iter(series.values())))):
        for part in range(6):
            start, packets = START + hour * HOUR + part * SLOT, {}
            for port, counts in series.items():
                packets[port] = int(counts[hour]) // 6 + (part < int(counts[hour]) % 6)
            if hour * 6 + part in skip:
                continue
            context = Context(
                "10min", start, start + SLOT, tables={"darknet.census:slots": slots(start, packets)}
            )
            outcomes.append(made.conclude(Nothing(), carry, context))
            carry = outcomes[-1].carry
    return outcomes


@pytest.fixture(scope="module")
def played() -> tuple[np.ndarray, list[Any]]:
    rng = np.random.default_rng(5)
    regular, wild = (
        day_and_night(34, rng),
        rng.permutation(np.r_[np.zeros(34 * 24 - 60), rng.integers(0, 9000, 60)]),
    )
    regular[33 * 24 + 13] *= 12
    return regular, play({23: regular, 445: wild.astype(np.int64)})


def test_contract_of_the_forecast_engine() -> None:
    check_engine(engine(Site()), [], {"darknet.census:slots": slots(0, {23: 7})})
    check_engine(engine(Site()), [])


def test_every_packet_is_counted_once_admitted(played: tuple[np.ndarray, list[Any]]) -> None:
    regular, outcomes = played
    rows = pa.concat_tables([o.tables["volume"] for o in outcomes])
    mine = rows.filter(pa.compute.equal(rows["port"], 23))["packets"].to_pylist()
    assert mine == regular[24:].tolist()  # the first day is needed to choose the ports


def test_the_gate_opens_for_what_is_regular_and_stays_shut_for_what_is_not(
    played: tuple[np.ndarray, list[Any]],
) -> None:
    _, outcomes = played
    shown = pa.concat_tables([o.tables["forecast"] for o in outcomes])
    assert set(shown["port"].to_pylist()) == {23} and shown.num_rows >= 24 * 5
    quality = pa.concat_tables([o.tables["quality"] for o in outcomes])
    assert set(quality["port"].to_pylist()) == {23, 445}  # judged, but not shown
    first = min(shown["start"].cast(pa.int64()).to_pylist())
    assert first >= START + (7 + 7) * 24 * HOUR  # a week to learn, a week to prove it
    low, high = (np.array(shown[name].to_pylist()) for name in ("q05", "q95"))
    assert (low <= high).all() and (low >= 0).all()


def test_an_hour_far_above_its_interval_is_told_and_no_other(played: tuple[np.ndarray, list[Any]]) -> None:
    regular, outcomes = played
    found = [f for o in outcomes for f in o.findings if "packets in an hour" in f.title]
    assert [f.first_seen for f in found] == [START + (33 * 24 + 13) * HOUR]
    (one,) = found
    assert one.kind == "volume-forecast" and one.attributes["packets"] == int(regular[33 * 24 + 13])
    assert "pinball" in one.statement and one.evidence[0].check is not None
    one.to_json()


def test_a_day_seen_in_part_is_not_learnt_from() -> None:
    series = {23: np.full(24 * 4, 60)}
    whole = play(series)[-1].carry
    part = play(series, skip=frozenset(range(144, 200)))[-1].carry
    assert (whole.hours[0][-48:] == 60).all()
    assert (part.hours[0][-48:-24] == -1).all() and (part.hours[0][-24:] == 60).all()


def test_state_is_bounded_under_a_flood_of_ports_and_goes_through_bytes() -> None:
    made, carry = engine(Site(settings={"triage.forecast.ports": 16})), None
    rng = np.random.default_rng(6)
    for at in range(150):
        packets = dict.fromkeys(rng.integers(1, 65536, 800).tolist(), 30)
        start = START + at * SLOT
        context = Context(
            "10min", start, start + SLOT, tables={"darknet.census:slots": slots(start, packets)}
        )
        carry = made.conclude(Nothing(), carry, context).carry
    assert carry is not None and len(carry.ports) == 16
    data = carry.to_bytes()
    assert Volumes.from_bytes(data).to_bytes() == data and len(data) < 2 << 20
