"""Laws: the contract, the calibration of e-values, the budget on noise, bounds under hostile input."""

from __future__ import annotations

import numpy as np
import pytest
from synchrony_traffic import DARK, MINUTE, SPAN, START, Run, Telescope, batch, dark, planted, strangers

from andon.detect.darknet.synchrony import engine, groups, surprise
from andon.detect.darknet.synchrony.baseline import Levels, common_factor
from andon.detect.darknet.synchrony.carry import Carry
from andon.detect.darknet.synchrony.memory import Memory
from andon.detect.darknet.synchrony.reference import Reference
from andon.detect.darknet.synchrony.series import grouped, overlap, sketch
from andon.detect.darknet.synchrony.stretches import attained
from andon.detect.darknet.synchrony.summary import Tile
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError, pack, unpack


def test_contract_also_where_sources_are_sampled() -> None:
    telescope = Telescope(1, visitors=900)
    batches = [telescope.span(0) for _ in range(4)]
    batches.append(planted(telescope.rng, strangers(telescope.rng, 50), 2, 5, dst_port=37777))
    check_engine(engine(Site()), batches)
    small = Site(settings={"darknet.synchrony.pairs": 1000, "darknet.synchrony.remembered": 1000})
    check_engine(engine(small), batches)


def test_e_values_have_a_mean_of_one_at_most_where_nothing_happens() -> None:
    """Exactly, by adding up over all counts, for the calibrated tail probabilities and their mixture."""
    from scipy.stats import nbinom

    for mean, shape in ((0.05, 0.5), (3.0, 20.0), (200.0, 400.0)):
        counts = np.arange(0, 5000)
        chance = nbinom.pmf(counts, shape, shape / (shape + mean))
        tail = surprise.at_least(counts, np.full(5000, mean), np.full(5000, shape))
        assert np.allclose(
            tail[1:200], nbinom.sf(counts[:199], shape, shape / (shape + mean)), rtol=1e-6, atol=1e-15
        )
        for level in (1e-3, 1e-6):
            assert (chance * surprise.e_value(tail, level)).sum() <= 1 + 1e-9
        low = surprise.at_most(counts, np.full(5000, mean), np.full(5000, shape))
        assert (chance * surprise.e_value(low, 1e-6)).sum() <= 1 + 1e-9
        assert surprise.reachable(5, np.array([mean]), np.array([shape]))[0] >= tail[5] - 1e-12


def test_predictions_are_calibrated_on_a_poisson_port() -> None:
    """Mean e-value over many spans of many independent ports, with levels learned on the way."""
    rng = np.random.default_rng(5)
    levels, units = Levels.empty(), np.arange(300)
    truth = np.exp(rng.normal(0, 1.5, 300))
    levels.admit(units)
    found = []
    for n in range(120):
        count = rng.poisson(truth).astype(float)
        if n > 30:
            mean, shape = levels.of(0)
            tail = surprise.at_least(count, mean, 1 / (1 / shape + levels.phi(0, mean)))
            found.append(surprise.e_value(tail, 1e-3))
            levels.learn(0, count, mean, np.ones(300, np.bool_))
        levels.take(count, count, 1.0)
    e = np.concatenate(found)
    assert e.mean() <= 1 + 3 * e.std() / np.sqrt(len(e))


def test_threshold_keeps_to_the_budget_and_more_ports_cost_more() -> None:
    few = surprise.bar(np.full((10, 5), 0.5), (0.0, 0), 0.002)
    many = surprise.bar(np.full((50_000, 5), 0.5), (1e-9, 80_000), 0.002)
    assert few.false_alerts <= 0.002 and many.false_alerts <= 0.002
    assert many.threshold > 10 * few.threshold
    assert surprise.discoveries(np.array([3e6, 4e5, 1.0]), 1e6).tolist() == [True, False, False]
    assert surprise.discoveries(np.array([3e6, 6e5, 1.0]), 1e6).tolist() == [True, True, False]


def test_budget_on_noise() -> None:
    """Six days of background with a daily cycle and ports that drift, without an alert a day."""
    alerts = 0
    for seed in range(3):
        telescope, run = Telescope(seed, visitors=80, residents=100), Run()
        for n in range(288):
            run.span(n, telescope.span(n, rate=1 + 0.4 * np.sin(2 * np.pi * n / 144)))
        alerts += len({row["series"] for row in run.alerted()})
    assert alerts <= 6


def test_common_factor_sees_through_one_port() -> None:
    rng = np.random.default_rng(1)
    unit, mean = np.arange(400), np.r_[np.full(20, 20.0), np.full(380, 0.3)]
    count = rng.poisson(0.5 * mean).astype(float)
    count[0] += 2000
    value, spread = common_factor(unit, count, mean)
    assert abs(value - 0.5) < 0.08 and spread < 0.01
    assert np.isnan(common_factor(unit[:3], count[:3], np.full(3, 0.1))[0])


def test_memory_tells_new_from_known_and_forgets_the_longest_silent() -> None:
    memory = Memory.empty()
    key = lambda source, port: np.uint64(source << 18 | port)  # noqa: E731
    first = np.array(sorted([key(0x01020301, 23), key(0x01020302, 23), key(0x05000001, 80)]))
    every = np.ones(3, np.bool_)
    assert not memory.take(first, every, 100, 50, 100).pair.any()
    asked = np.array(sorted([key(0x01020301, 23), key(0x01020301, 80), key(0x01020309, 23)]))
    seen = memory.take(asked, every, 101, 50, 100)
    assert seen.pair.tolist() == [True, False, False] or seen.pair.tolist() == [False, True, False]
    by_key = dict(zip(asked.tolist(), zip(seen.pair, seen.source, seen.neighbours, strict=True), strict=True))
    assert by_key[int(key(0x01020309, 23))] == (False, False, 2)
    assert by_key[int(key(0x01020301, 80))] == (False, True, 0)
    assert memory.since(23, 101).tolist() == [0x01020309]
    memory.take(np.zeros(0, np.uint64), np.zeros(0, np.bool_), 151, 50, 100)
    assert len(memory.key) == 3 and memory.reach == 101, "what was silent for longer is gone"
    memory.take(np.arange(1, 500, dtype=np.uint64) << np.uint64(18), np.ones(499, np.bool_), 152, 50, 400)
    assert len(memory.key) <= 499 and memory.reach > 101


def test_sources_shared_and_grouped() -> None:
    rng = np.random.default_rng(3)
    a = strangers(rng, 5000)
    same, other = sketch(a), sketch(strangers(rng, 5000))
    assert overlap(same, sketch(a[:2500])) > 0.9 and overlap(same, other) == 0.0
    assert grouped([same, other, sketch(a[1000:])]) == [[0, 2], [1]]


def test_a_flood_of_forged_sources_stays_in_bounds_and_is_said() -> None:
    rng = np.random.default_rng(2)
    site = Site(settings={"darknet.synchrony.pairs": 2000, "darknet.synchrony.remembered": 4000})
    run, telescope = Run(site), Telescope(2)
    run.play(telescope, range(12))
    flood = batch(
        START + 12 * SPAN + (rng.random(200_000) * 10 * MINUTE).astype(np.int64), rng.integers(0, 2**32, 200_000),
        dark(rng, 200_000), dst_port=4444,
    )  # fmt: skip
    outcome = run.span(12, telescope.span(12), flood)
    assert outcome.carry is not None and len(outcome.carry.memory.key) <= 4000
    assert "Only one source in" in outcome.findings[0].statement
    assert len(outcome.findings) <= 20 and len(outcome.findings[0].entities) <= 20_000


def test_wild_timestamps_and_empty_spans_do_no_harm() -> None:
    run, telescope = Run(), Telescope(4)
    summary = run.engine.empty()
    wild = batch(np.array([0, 2**62, -(2**40)]), np.array([1, 2, 3]), np.full(3, DARK))
    run.engine.summarise(wild, summary)
    assert summary.minutes.sum() == 3 and summary.scans == 3
    run.play(telescope, range(6))
    before = run.carry
    outcome = run.span(6)
    assert outcome.findings == () and outcome.carry is not None and before is not None
    assert outcome.carry.to_bytes() == before.to_bytes()


def test_states_survive_bytes_and_damage_is_named() -> None:
    telescope = Telescope(6)
    wake = planted(telescope.rng, strangers(telescope.rng, 40), 82, 5, dst_port=37777)
    run = Run().play(telescope, range(10), wake)
    assert run.carry is not None and run.carry.open.series
    data = run.carry.to_bytes()
    assert Carry.from_bytes(data).to_bytes() == data
    with pytest.raises(StateError):
        Carry.from_bytes(data[:-20] + bytes(20))
    tile = run.engine.summarise(telescope.span(11), run.engine.empty())
    assert Tile.from_bytes(tile.to_bytes()).to_bytes() == tile.to_bytes()
    with pytest.raises(StateError):
        Tile.from_bytes(b"short")
    after = Run()
    after.carry = Carry.from_bytes(data)
    here, there = (
        r.span(10, telescope_span) for telescope_span in [telescope.span(10)] for r in (run, after)
    )
    assert here.carry.to_bytes() == there.carry.to_bytes(), "a restart changes nothing"


@pytest.mark.parametrize(
    ("name", "value"), [("alerts_per_day", 0), ("memory_days", 0), ("pairs", 10), ("remembered", 10)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        engine(Site(settings={f"darknet.synchrony.{name}": value}))


def test_networks_of_one_organisation_count_little() -> None:
    crowd = np.concatenate([(0x010203 + i) * 256 + np.arange(50) for i in range(3)])
    assert groups.networks_of(crowd) == 0
    assert groups.networks_of(np.arange(10) * 65536 + 0x01000000) == 10
    assert groups.networks_of(0x01000000 + np.arange(40) * 256) == groups.PER_16


def test_a_carry_of_the_version_before_is_read_and_older_ones_are_refused() -> None:
    carry = Run().play(Telescope(3, visitors=300), range(3)).carry
    assert carry is not None
    arrays, scalars = unpack("synchrony", 3, carry.to_bytes())
    before = {name: array for name, array in arrays.items() if not name.endswith(".kept")}
    again = Carry.from_bytes(pack("synchrony", 2, before, scalars))
    assert again.to_bytes() == carry.to_bytes()  # in its first day there is no calibration yet
    with pytest.raises(StateError, match="version 1, expected synchrony version 3"):
        Carry.from_bytes(pack("synchrony", 1, before, scalars))


def test_calibration_that_is_worse_than_promised_raises_what_is_reckoned_with() -> None:
    ref = Reference.empty()
    assert attained(ref) == pytest.approx(0.4)  # nothing is known: what simulated telescopes showed
    ref.kept = np.array([30.0, 100.0])
    assert attained(ref) == pytest.approx(0.4)  # better than that is not relied upon
    ref.kept = np.array([120.0, 100.0])
    assert attained(ref) == pytest.approx((120 + 12) / 130)
    ref.kept = np.array([9000.0, 100.0])
    assert attained(ref) == 16.0  # so much is an Internet in uproar, no matter of calibration
