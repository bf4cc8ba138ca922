"""What a product says of severity and blocking: a bounded, rising addition that says nothing where nothing varies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from screening_rows import DAY, START, batch

from andon.records.contract import Context, Site
from andon.triage.screening import engine
from andon.triage.screening.episodes import advance
from andon.triage.screening.memory import Memory
from andon.triage.screening.severity import BLOCKED, CAP, Told, counted, told
from andon.triage.screening.summary import Summary


def judged(levels: list[int], memory: Memory | None = None, **more: Any) -> tuple[Told, Memory]:
    """What one day's episodes (one alert each, of as many hosts) are told to be worth, and the memory after it."""
    summary = Summary()
    summary.add(
        batch(
            [{"at": n, "host": f"h{n:05}", "rule": "r", "severity": v, **more} for n, v in enumerate(levels)]
        )
    )
    before = memory or Memory()
    made, after = advance(summary, before)
    assert made.table["severity"].tolist() == levels
    counts = counted(made, before.severities, np.ones(len(made), bool))
    return told(made, before.severities), replace(after, severities=counts)


def test_a_level_counts_by_how_rarely_its_product_reaches_it() -> None:
    made, _ = judged([2] * 96 + [3] * 2 + [4])
    assert made.added[0] == 0 and made.share[0] == 1
    np.testing.assert_allclose(made.added[[-2, -1]], [np.log(100 / 4), np.log(100 / 2)])
    assert judged([2] * 9999 + [4])[0].added[-1] == CAP
    assert made.reason(0) == () and made.reason(98)[0][0] == (
        "severity high, which 2 % of this product's episodes here reach"
    )


@pytest.mark.parametrize("levels", [[0] * 20, [3] * 20, [6], [0, 0, 5]])
def test_where_severities_do_not_vary_scores_stay_to_the_bit(levels: list[int]) -> None:
    made, _ = judged(levels)
    score = np.linspace(0, 1, len(levels))
    assert made.scored(score).tobytes() == score.tobytes()
    assert made.likely(score).tobytes() == score.tobytes()


def test_products_are_measured_each_by_its_own_history() -> None:
    _, memory = judged([2] * 500 + [4])
    made, _ = judged([4], memory)
    assert made.added[0] > 4
    assert judged([4], memory, product="other")[0].added[0] == 0
    assert judged([4], memory, site="elsewhere")[0].added[0] == 0
    again = Memory.from_bytes(memory.to_bytes())
    assert judged([4], again)[0].added[0] == made.added[0]


def test_blocked_lowers() -> None:
    made, _ = judged([2, 2], disposition=2)
    assert made.weight.tolist() == [-BLOCKED] * 2
    assert (made.scored(np.array([0.01, 0.9])) < [0.01, 0.9]).all()


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(0, CAP), st.floats(0, CAP), st.sampled_from([0.0, BLOCKED])
)
def test_scores_rise_with_the_ranker_and_with_the_severity(
    one: float, other: float, few: float, much: float, taken: float
) -> None:
    (one, other), (few, much) = sorted((one, other)), sorted((few, much))
    added = np.array([few, few, much])
    made = Told(np.full(3, 4), np.exp(-added), added, np.full(3, taken))
    score = made.scored(np.array([one, other, other]))
    assert score[0] <= score[1] + 1e-12 and score[1] <= score[2] + 1e-12
    assert ((score >= 0) & (score <= 1)).all()


def test_a_rare_severity_lifts_an_episode_in_the_queue_and_says_so() -> None:
    rows = [
        {"at": 60 * n, "host": f"h{n % 40}", "rule": f"r{n % 40}", "severity": 2, "disposition": 1}
        for n in range(1200)
    ]
    rows += [{"at": 70000.0, "host": "h7", "rule": "r7", "severity": 4, "title": "Odd"}]
    for severe in (True, False):
        made = engine(Site(settings={"triage.screening.model": "rarity"}))
        given_rows = [row if severe else {**row, "severity": 2} for row in rows]
        summary = made.summarise(batch(sorted(given_rows, key=lambda row: row["at"])), made.empty())
        outcome = made.conclude(summary, None, Context("1d", START, START + DAY))
        table = outcome.tables["episodes"]
        (row,) = table.filter(pc.equal(table["first"].cast("int64"), START + 70_000_000_000_000)).to_pylist()
        assert (row["rank"] <= 3) == severe
        assert any("severity high" in reason for reason in row["reasons"]) == severe
