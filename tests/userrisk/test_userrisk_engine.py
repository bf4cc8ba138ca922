"""User risk: forecasts from the past alone, worth what they say, bounded, and without names of destinations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from risk_tables import DAY, START, context, tables

from andon.detect.livenet.userrisk import boost, engine
from andon.detect.livenet.userrisk.memory import BOOST, RATE, Memory
from andon.records.contract import Nothing, Site
from andon.run.contract import check_engine


@dataclass
class Town:
    """Terminals of which every fifth loves risk: it visits many rare places, and more often something black-listed."""

    terminals: int = 110
    telling: bool = True  # do the rare places tell who it is?
    seen: dict[str, int] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def day(self, day: int) -> dict[str, Any]:
        rng, visits, black = self.rng, [], []
        for t in range(self.terminals):
            name, risky = f"u{t:03d}", t % 5 == 0
            visits += [(name, f"s{h}.example", 3) for h in rng.integers(0, 40, 6)]
            loves = risky if self.telling else rng.random() < 0.2
            visits += [(name, f"r{day}x{t}x{i}.example", 1) for i in range(rng.poisson(5 if loves else 0.3))]
            if rng.random() < (0.08 if risky else 0.003):
                black.append(f"b{day}x{t}.example")
                visits.append((name, black[-1], 1))
        return tables(day, visits, black, seen=self.seen)


def play(
    town: Town, days: int, settings: dict[str, Any] | None = None, carry: Memory | None = None
) -> list[Any]:
    made, outcomes = engine(Site(settings=settings or {})), []
    for day in range(days):
        outcome = made.conclude(Nothing(), carry, context(day, town.day(day)))
        carry = outcome.carry
        outcomes.append(outcome)
    return outcomes


@pytest.fixture(scope="module")
def telling() -> list[Any]:
    return play(Town(), 70)


def test_contract_is_kept_with_and_without_tables() -> None:
    check_engine(engine(Site()), [], tables=Town().day(0))
    check_engine(engine(Site()), [])


def test_trees_take_over_where_behaviour_tells_who_is_at_risk(telling: list[Any]) -> None:
    rows = _quality(telling[-1])
    trees = [r for r in rows if r["model"] == "boosted trees"]
    assert len(trees) >= 3 and trees[-1]["used"]
    rate = [r for r in rows if r["model"] == "gamma-poisson" and r["at"] >= trees[0]["at"]]
    assert np.mean([r["auc"] for r in trees]) > 0.8
    assert np.mean([r["auc"] for r in trees]) > np.mean([r["auc"] for r in rate]) + 0.02
    assert np.mean([r["calibration_error"] for r in trees]) < 0.1  # bins of 11 terminals


def test_of_noise_the_trees_learn_nothing_that_is_used_for_long() -> None:
    last = play(Town(telling=False, rng=np.random.default_rng(6)), 63)[-1]
    trees = [r for r in _quality(last) if r["model"] == "boosted trees"]
    rate = [r for r in _quality(last) if r["model"] == "gamma-poisson"][-len(trees) :]
    # Who met something before meets it again: both know that, and nothing else is to be known.
    assert np.mean([r["auc"] for r in trees]) < np.mean([r["auc"] for r in rate]) + 0.1


def _quality(outcome: Any) -> list[dict[str, Any]]:
    table = outcome.tables["quality"]
    at = table.column("from").cast("int64").to_pylist()
    return [{**row, "at": t} for row, t in zip(table.drop_columns(["from"]).to_pylist(), at, strict=True)]


def test_findings_come_once_a_week_bounded_and_name_what_moved_them(telling: list[Any]) -> None:
    days = [i for i, outcome in enumerate(telling) if outcome.findings]
    assert days and all(day % 7 == 6 for day in days)
    for outcome in telling:
        assert len(outcome.findings) <= 20
        for f in outcome.findings:
            assert f.kind == "user-at-risk" and f.entities[0].type == "user-account"
            assert f.confidence >= 0.05 and f.attributes["probability"] >= 3.9 * f.attributes["mean"]
    late = [f for outcome in telling[-14:] for f in outcome.findings]
    assert late and all(f.attributes["reasons"] for f in late)
    risky = [int(f.subject[1][1:]) % 5 == 0 for f in late]
    assert np.mean(risky) > 0.8
    few = play(
        Town(),
        21,
        {"livenet.userrisk.findings": 1, "livenet.userrisk.lift": 1.5, "livenet.userrisk.least": 0.0},
    )
    assert max(len(o.findings) for o in few) == 1
    assert any("More that are above the bar" in f.statement for o in few for f in o.findings)


def test_risk_is_sorted_and_inside_its_interval(telling: list[Any]) -> None:
    table = telling[-1].tables["risk"]
    p = np.array(table.column("probability").to_pylist())
    assert (np.diff(p) <= 0).all() and (p > 0).all() and (p < 1).all()
    low, rate, high = (np.array(table.column(n).to_pylist()) for n in ("low", "rate", "high"))
    assert (low < rate).all() and (rate < high).all()


def test_nothing_of_later_days_is_in_what_was_learned(telling: list[Any]) -> None:
    carry = telling[55].carry
    done = carry.snapshots.y >= 0
    assert carry.snapshots.day[done].max() + 7 <= carry.today
    # The same past gives the same forecast, whatever comes after it.
    again = play(Town(), 56)[-1]
    assert again.carry.to_bytes() == carry.to_bytes()
    assert again.tables["risk"].equals(telling[55].tables["risk"])


def test_going_on_from_bytes_is_going_on() -> None:
    town, made = Town(50), engine(Site())
    carry = play(town, 45)[-1].carry
    days = [town.day(day) for day in (45, 46, 47, 48)]
    there, back = carry, Memory.from_bytes(carry.to_bytes())
    for day, one in enumerate(days, 45):
        a = made.conclude(Nothing(), there, context(day, one))
        b = made.conclude(Nothing(), Memory.from_bytes(back.to_bytes()), context(day, one))
        assert a.tables["risk"].equals(b.tables["risk"])
        there, back = a.carry, b.carry
    assert there.to_bytes() == back.to_bytes()


def test_the_store_holds_no_destination(telling: list[Any]) -> None:
    data = telling[-1].carry.to_bytes()
    assert b".example" not in data and b"u005" in data


def test_without_lightgbm_the_rate_stands_alone_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boost, "available", lambda: False)
    outcomes = play(Town(), 35)
    assert outcomes[-1].carry.model is None
    assert {r["model"] for r in _quality(outcomes[-1])} == {"gamma-poisson", "met before"}
    told = [f for o in outcomes for f in o.findings]
    assert told and all("gamma-Poisson rate alone" in f.calibration for f in told)


def test_a_beacon_that_goes_on_is_no_new_contact() -> None:
    made, carry, seen = engine(Site()), None, {}
    for day in range(15):
        visits = [(f"u{t}", "s.example", 2) for t in range(20)] + (
            [("u0", "c2.example", 50)] if day >= 4 else []
        )
        outcome = made.conclude(
            Nothing(), carry, context(day, tables(day, visits, ["c2.example"], seen=seen))
        )
        carry = outcome.carry
    met = carry.met()
    assert 0.5 < met["u0"] <= 1.0 and met["u1"] == 0.0


def test_scanners_are_no_users() -> None:
    made, carry, seen = engine(Site()), None, {}
    for day in range(8):
        black = [f"b{day}x{i}.example" for i in range(6)]
        visits = [(f"u{t}", "s.example", 2) for t in range(20)] + [("scan", b, 1) for b in black]
        outcome = made.conclude(Nothing(), carry, context(day, tables(day, visits, black, ["scan"], seen)))
        carry = outcome.carry
    assert "scan" not in outcome.tables["risk"].column("terminal").to_pylist()
    assert not outcome.findings and outcome.tables["risk"].num_rows == 20


def test_bounds_hold_and_are_counted() -> None:
    last = play(Town(), 3, {"livenet.userrisk.terminals": 40})[-1]
    assert len(last.carry.names) == 40 and last.carry.left_out == 70
    thinned = play(Town(), 42, {"livenet.userrisk.rows": 300})[-1].carry.snapshots
    done = thinned.y >= 0
    assert done.sum() < 420  # 300, and those of the last week
    assert thinned.weight[done].sum() == pytest.approx(110 * len(np.unique(thinned.day[done])), rel=0.25)


def test_quiet_days_between_are_days_that_pass() -> None:
    town, made = Town(), engine(Site())
    carry = play(town, 10)[-1].carry
    before = carry.sums.copy()
    later = made.conclude(Nothing(), carry, context(40, {}, gap=30)).carry
    assert later.today - carry.today == 31
    np.testing.assert_allclose(later.sums[:, :, 2], before[:, :, 2] * 0.5 ** (31 / 30), rtol=1e-9)
    assert later.population().size == 0
    far = made.conclude(Nothing(), carry, context(200, town.day(200), gap=190)).carry
    assert set(far.first) == {(START + 200 * DAY) // DAY}


def test_settings_out_of_range_are_refused() -> None:
    for name, value in (("lift", 0.5), ("certain", 0.2), ("findings", 0), ("least", 2)):
        with pytest.raises(ValueError, match=name):
            engine(Site(settings={f"livenet.userrisk.{name}": value}))


def test_the_model_used_is_the_one_that_was_better() -> None:
    memory = Memory(quality=np.array([
        [1, RATE, 10, 2, 0.6, 0.1, 0.30, 0.1, 1, 1], [1, BOOST, 10, 2, 0.7, 0.1, 0.20, 0.1, 1, 0],
        [8, RATE, 10, 2, 0.6, 0.1, 0.30, 0.1, 1, 1], [8, BOOST, 10, 2, 0.7, 0.1, 0.45, 0.1, 1, 0],
    ]))  # fmt: skip
    from andon.detect.livenet.userrisk.weekly import _boost_is_better

    assert not _boost_is_better(memory)
    memory.quality[3, 6] = 0.35
    assert _boost_is_better(memory)
