"""The engine: alerts in, episodes with rank, tier and reasons out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from screening_rows import DAY, SECOND, START, batch, office

from andon.learn import registry
from andon.records.contract import Context, Outcome, Site
from andon.records.triage import EPISODES
from andon.run.contract import check_engine
from andon.run.engines import BUILT_IN
from andon.run.windows import EngineWindows
from andon.triage.screening import engine
from andon.triage.screening.features import FEATURES
from andon.triage.screening.memory import Memory

RARITY = {"triage.screening.model": "rarity"}


def through(rows: list[dict[str, Any]], site: Site | None = None, span: str = "1d") -> list[Outcome[Any]]:
    """Conclusions of one span length, in time order."""
    made = engine(site or Site(settings=RARITY))
    windows = EngineWindows(made)
    for part in np.array_split(np.arange(len(rows)), 3):
        one = batch([rows[i] for i in part.tolist()])
        windows.add(one, one.column("ts").cast(pa.int64()).to_numpy())
    windows.close_until(None)
    carry, out = None, []
    for name, start, end, summary in windows.take_closed(None):
        if name == span:
            outcome = made.conclude(summary, carry, Context(name, start, end))
            carry = None if outcome.carry is None else Memory.from_bytes(outcome.carry.to_bytes())
            out.append(outcome)
    return out


def newest(outcomes: list[Outcome[Any]]) -> dict[str, dict[str, Any]]:
    """The last row of each episode."""
    rows = pa.concat_tables([outcome.tables["episodes"] for outcome in outcomes])
    for name in ("first", "last"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(pa.int64()))
    return {row["id"]: row for row in rows.to_pylist()}


@pytest.mark.parametrize("settings", [RARITY, {}])
def test_contract(settings: dict[str, Any]) -> None:
    site = Site(settings=settings, models=registry.shipped())
    rows = office(1, attack=0.5)
    outcome = check_engine(engine(site), [batch(rows[:90]), batch(rows[90:])])
    assert outcome.tables["episodes"].num_rows > 50
    assert outcome.findings
    assert "andon.triage.screening" in BUILT_IN


def test_nothing_concludes() -> None:
    made = engine(Site(settings=RARITY))
    outcome = made.conclude(made.empty(), None, Context("1d", START, START + DAY))
    assert outcome.tables["episodes"].schema == EPISODES
    assert not outcome.findings


def test_an_episode_ends_after_five_minutes_of_silence() -> None:
    times = [0, 200, 500, 800.5, 1200]  # 300.5 s of silence before the fourth
    outcomes = through([{"at": at, "host": "h", "rule": "r", "position": n} for n, at in enumerate(times)])
    found = sorted(newest(outcomes).values(), key=lambda row: int(row["first"]))
    assert [row["alerts"] for row in found] == [3, 1, 1]
    assert [row["last"] - row["first"] for row in found] == [500 * SECOND, 0, 0]


def test_ten_minutes_or_a_day_tell_the_same_episodes() -> None:
    rows = office(2)
    rows += [{"at": 86400 + at, "host": "night", "rule": "over midnight"} for at in range(-900, 900, 100)]
    rows = [{**row, "position": n} for n, row in enumerate(sorted(rows, key=lambda row: row["at"]))]
    long, short = newest(through(rows)), newest(through(rows, span="10min"))
    assert long.keys() == short.keys()
    neighbours = FEATURES.index("duration") + 1  # those of a day know what came after
    for name, row in long.items():
        other = short[name]
        assert (row["alerts"], row["last"], row["rule"]) == (other["alerts"], other["last"], other["rule"])
        np.testing.assert_allclose(
            row["features"][:neighbours], other["features"][:neighbours], rtol=1e-4, atol=1e-4
        )
    night = [row for row in long.values() if row["host"] == "night"]
    assert [row["alerts"] for row in night] == [18]


def test_the_attack_leads_the_queue_without_labels_and_says_so() -> None:
    outcomes = through(office(2))
    first = min((f for f in outcomes[1].findings), key=lambda f: int(f.attributes["rank"]))
    assert first.attributes["host"] == "host3" and str(first.attributes["rule"]).startswith("X")
    assert "No labels yet: ordered by rarity." in first.statement
    assert first.attributes["probability"] is None and first.attributes["model"] == "first-seen"
    assert any("never fired on this host" in reason for reason in first.attributes["reasons"])
    rows = [row for row in newest(outcomes).values() if row["rule"].startswith("X")]
    assert max(row["rank"] for row in rows) <= 20
    assert {row["targets"][0] for row in rows} == {f"10.0.0.3:{80 + n}/tcp" for n in range(10)}
    assert rows[0]["sources"] == ["198.51.100.9"] and rows[0]["attack"] == ["T1190"]


def test_findings_tell_their_promise_and_can_be_checked() -> None:
    outcomes = through(office(2), Site(models=registry.shipped()))
    table = outcomes[1].tables["episodes"]
    for finding in outcomes[1].findings:
        told = finding.attributes
        assert {
            "n",
            "alpha",
            "confidence",
            "k",
            "networks",
            "tier",
            "why_tier",
            "rank",
            "score",
        } <= told.keys()
        row = table.filter(pc.equal(table["id"], told["episode"]))
        assert row.num_rows == 1 and row["alerts"][0].as_py() == told["alerts"] == finding.count
        check = finding.evidence[0].check
        assert check is not None and f"id = '{told['episode']}'" in check.expression
    ids = [finding.id for finding in outcomes[1].findings]
    assert len(set(ids)) == len(ids)


def many() -> list[dict[str, Any]]:
    return [
        {"at": 600 * (n % 140) + n / 10, "host": f"h{n % 700}", "rule": f"r{n % 31}"} for n in range(8000)
    ]


def drawn(table: pa.Table) -> tuple[set[str], dict[str, float]]:
    """(ids that are audited, probability of each that is not inspected)."""
    rows = (
        table.filter(pc.not_equal(table["tier"], "inspect"))
        .select(["id", "tier", "audit_probability"])
        .to_pylist()
    )
    return {row["id"] for row in rows if row["tier"] == "audit"}, {
        row["id"]: row["audit_probability"] for row in rows
    }


def test_budget_bounds_what_is_shown_and_the_audit_is_drawn_by_hash() -> None:
    settings = RARITY | {
        "triage.screening.budget": 500, "triage.screening.audit": 0.05, "triage.screening.audit_budget": 1.0,
    }  # fmt: skip
    (outcome,) = through(many(), Site(settings=settings))
    table = outcome.tables["episodes"]
    assert pc.sum(pc.equal(table["tier"], "inspect")).as_py() == 500
    audited, chance = drawn(table)
    assert set(chance.values()) == {0.05}  # 57 episodes in ten minutes, 3.5 looks
    assert abs(len(audited) - 0.05 * len(chance)) < 4 * np.sqrt(0.05 * 0.95 * len(chance))
    again = through(many(), Site(settings=settings))[0].tables["episodes"]
    assert again["tier"].equals(table["tier"])
    other = through(many(), Site(settings=settings, hash_key=5))[0].tables["episodes"]
    assert not other["tier"].equals(table["tier"])


def test_audits_keep_to_their_part_of_the_budget_and_the_short_spans_draw_the_same() -> None:
    site = Site(settings=RARITY | {"triage.screening.audit": 1.0, "triage.screening.budget": 200})
    (outcome,) = through(many(), site)
    audited, chance = drawn(outcome.tables["episodes"])
    assert 15 < sum(chance.values()) <= 20 and 5 < len(audited) < 40
    short = pa.concat_tables([each.tables["episodes"] for each in through(many(), site, span="10min")])
    theirs, their_chance = drawn(short)
    both = chance.keys() & their_chance.keys()
    assert len(both) > 6000 and all(chance[name] == their_chance[name] for name in both)
    assert theirs & both == audited & both


@pytest.mark.parametrize(("day", "least", "most"), [(0, 0, 3), (2, 10, 10)], ids=["first day", "later"])
def test_what_happens_after_midnight_finds_room_in_the_queue(day: int, least: int, most: int) -> None:
    site = Site(settings=RARITY | {"triage.screening.budget": 20, "triage.screening.audit": 0.0})
    outcomes = through(office(3, attack=day + 0.002), site, span="10min")
    told = pa.concat_tables([outcome.tables["episodes"] for outcome in outcomes])
    rows = told.select(["rule", "tier"]).to_pylist()
    shown = {row["rule"] for row in rows if row["rule"].startswith("X") and row["tier"] == "inspect"}
    assert least <= len(shown) <= most, (
        "the first day has the looks of its hours so far, each later one those of a day"
    )


def test_an_episode_that_goes_on_keeps_the_chance_it_was_drawn_with() -> None:
    rows = [{"at": at, "host": "h", "rule": "long"} for at in range(0, 3000, 200)]
    rows += [
        {"at": 1.0 + n / 100, "host": f"g{n}", "rule": "r", "severity": 1 + 4 * (n == 5)} for n in range(99)
    ]
    rows.sort(key=lambda row: row["at"])
    settings = RARITY | {"triage.screening.audit": 1.0, "triage.screening.budget": 1}
    outcomes = through(rows, Site(settings=settings), span="10min")
    table = pa.concat_tables([each.tables["episodes"] for each in outcomes])
    table = table.filter(pc.and_(pc.equal(table["rule"], "long"), pc.not_equal(table["tier"], "inspect")))
    assert set(table["audit_probability"].to_pylist()) == {0.1 / 144 / 100}


def test_sites_are_independent() -> None:
    rows = office(1, attack=0.5)
    alone = newest(through([{**row, "site": "a"} for row in rows]))
    noise = [{**row, "site": "b", "position": 10_000 + n} for n, row in enumerate(office(1, seed=9))]
    both = newest(
        through(sorted([*({**row, "site": "a"} for row in rows), *noise], key=lambda row: float(row["at"])))
    )
    mine = {name: row for name, row in both.items() if row["site"] == "a"}
    assert mine.keys() == alone.keys()
    for name, row in mine.items():
        assert (row["rank"], row["tier"], row["features"]) == (
            alone[name]["rank"],
            alone[name]["tier"],
            alone[name]["features"],
        )


def test_what_bounds_left_out_is_said() -> None:
    settings = RARITY | {"triage.screening.pairs": 9, "triage.screening.findings": 2}
    outcomes = through(office(1, attack=0.5), Site(settings=settings))
    assert len(outcomes[0].findings) == 2
    assert "alerts of the day were left out" in outcomes[0].findings[0].statement
    assert "more episodes of the day are in the table alone" in outcomes[0].findings[0].statement


def test_names_of_strangers_are_harmless_in_texts() -> None:
    odd = "http://evil.example/\x1b[2J"
    (outcome,) = through([{"at": 5, "host": "o'hara", "rule": "r'1", "title": odd, "users": "x"}])
    finding = outcome.findings[0]
    assert "http://" not in finding.title + finding.statement and "\x1b" not in finding.title
    check = finding.evidence[0].check
    assert check is not None and "'o''hara'" in check.expression


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "best"),
        ("budget", 0),
        ("audit", 2.0),
        ("audit_budget", 1.5),
        ("alpha", 0.9),
        ("confidence", 0.0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"triage.screening.{name}"):
        engine(Site(settings={f"triage.screening.{name}": value}))
