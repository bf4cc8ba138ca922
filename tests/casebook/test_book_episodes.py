"""Episodes: the newest row of an id holds, and a follower sees each change once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from triage_samples import SECOND, episode_row, episodes

from andon.records.columns import plain_rows
from andon.records.triage import EPISODES
from andon.store.casebook import Casebook, EpisodeFilter


def test_an_episode_comes_back_as_it_was_published(book: Casebook) -> None:
    row = episode_row(3, title="防 \x00", probability=0.25, weights=[1.5, math.nan], reasons=["a", "b"])
    assert book.episodes.put(episodes(row), now=5) == 1
    (back,) = plain_rows(book.episodes.get([row["id"], "missing"]))
    assert back["features"] == [0.5, 1.25, 3.0]
    assert back["weights"] == [1.5, None]
    assert back["title"] == "防 �"
    same = {name for name in EPISODES.names if back[name] == row[name]}
    assert set(EPISODES.names) - same == {"title", "weights"}
    assert (back["seq"], back["suppressed"]) == (1, 0)
    assert book.episodes.get([]).schema.names == [*EPISODES.names, "seq", "suppressed"]
    book.episodes.put(episodes(episode_row(4)))
    assert math.isnan(book.episodes.page()["probability"][0].as_py())


def test_features_of_many_make_a_matrix(book: Casebook) -> None:
    book.episodes.put(episodes(*[episode_row(number) for number in range(50)]))
    table, last = book.episodes.since(0)
    matrix = np.stack(table["features"].to_numpy())
    assert matrix.shape == (50, 3) and matrix.dtype == np.float32 and last == 50


def test_the_newest_row_holds_and_an_earlier_state_is_left_out(book: Casebook) -> None:
    early, late = episode_row(1, alerts=3, over=False), episode_row(1, alerts=9)
    assert book.episodes.put(episodes(early)) == 1
    assert book.episodes.put(episodes(early)) == 0
    assert book.episodes.put(episodes(early, late)) == 1
    assert book.episodes.put(episodes(early)) == 0
    ranked = episode_row(1, alerts=9, tier="audit", rank=77)
    assert book.episodes.put(episodes(ranked)) == 1
    (held,) = plain_rows(book.episodes.page())
    assert (held["alerts"], held["tier"], held["rank"], held["seq"]) == (9, "audit", 77, 3)


def test_a_follower_sees_each_change_once(book: Casebook) -> None:
    rows = [episode_row(number) for number in range(5)]
    book.episodes.put(episodes(*rows))
    found, at = book.episodes.since(0, 3)
    assert found["id"].to_pylist() == [row["id"] for row in rows[:3]]
    book.episodes.put(episodes({**rows[1], "alerts": 50}))
    found, at = book.episodes.since(at)
    assert found["id"].to_pylist() == [rows[3]["id"], rows[4]["id"], rows[1]["id"]]
    assert book.episodes.since(at)[1] == at and book.episodes.since(at)[0].num_rows == 0


def test_pages_follow_time_whatever_the_filter(book: Casebook) -> None:
    rows = [episode_row(number, tier=("inspect", "screened")[number % 2]) for number in range(40)]
    book.episodes.put(episodes(*rows))
    for wanted, fits in (
        (EpisodeFilter(), lambda row: True),
        (EpisodeFilter(tier="inspect"), lambda row: row["tier"] == "inspect"),
        (EpisodeFilter(host="host3", severity=3), lambda row: row["host"] == "host3"),
        (EpisodeFilter(rule="2013028", product="suricata"), lambda row: row["rule"] == "2013028"),
        (EpisodeFilter(since=600 * SECOND, until=1200 * SECOND), lambda r: 600 <= r["last"] // SECOND < 1200),
        (EpisodeFilter(site="north"), lambda row: False),
        (EpisodeFilter(severity=4), lambda row: False),
    ):
        expected = [row["id"] for row in reversed(rows) if fits(row)]
        seen: list[str] = []
        before = None
        while (page := book.episodes.page(wanted, 7, before)).num_rows:
            seen += page["id"].to_pylist()
            before = (plain_rows(page)[-1]["last"], plain_rows(page)[-1]["seq"])
        assert seen == expected
        assert book.episodes.count(wanted) == len(expected)


def test_episodes_near_a_host_overlap_the_time_asked_for(book: Casebook) -> None:
    book.episodes.put(episodes(*[episode_row(number) for number in range(20)]))
    near = book.episodes.near("", "host2", 360 * SECOND, 600 * SECOND)
    assert [value.as_py() // SECOND for value in near["first"].cast("int64")] == [360]
    more = book.episodes.near("", "elsewhere", 0, 10**6 * SECOND, address="10.0.0.2")
    assert more.num_rows == 5
    assert book.episodes.near("north", "host2", 0, 10**6 * SECOND).num_rows == 0


def test_tables_that_are_none_are_refused(book: Casebook) -> None:
    table = episodes(episode_row(1))
    with pytest.raises(ValueError, match="no tier"):
        book.episodes.put(table.drop_columns(["tier"]))
    with pytest.raises(ValueError, match="score"):
        book.episodes.put(episodes(episode_row(1, score=math.inf)))
    with pytest.raises(ValueError, match="2 marks"):
        book.episodes.put(table, suppressed=[0, 0])
    assert book.episodes.count() == 0
