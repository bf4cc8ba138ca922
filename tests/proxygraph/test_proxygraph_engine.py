from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from proxygraph_worlds import BEGIN, DAY, NANO, concluded, number, plain, small, suspects, world

from andon.detect.livenet.proxygraph import engine
from andon.detect.livenet.proxygraph.memory import Memory, remember
from andon.records.contract import Context, Site
from andon.records.livenet import EDGES
from andon.run.contract import check_engine
from andon.sketch.state import StateError

MADE = small(seed=4, campaigns=10)


def test_the_engine_keeps_the_contract() -> None:
    check_engine(engine(Site()), [], world.tables_of(small(terminals=120, campaigns=4)))


def test_hidden_infected_terminals_and_gray_destinations_come_first() -> None:
    outcome = concluded(MADE)
    hidden = MADE.hidden
    ranked = [hidden[number(row["terminal"])] for row in suspects(outcome)[: int(hidden.sum()) // 2]]
    assert np.mean(ranked) > 0.8
    gray = [MADE.kind[number(row["destination"])] for row in plain(outcome.tables["gray"])[:20]]
    assert np.mean(np.isin(gray, (world.MALICIOUS, world.COMPROMISED))) >= 0.9
    told = [f for f in outcome.findings if f.kind == "suspected-destination"]
    right = [MADE.kind[number(f.subject[1])] >= world.COMPROMISED for f in told]
    assert len(told) >= 10 and np.mean(right) > 0.9


def test_every_log_odds_is_the_sum_of_its_reasons() -> None:
    outcome = concluded(MADE)
    reasons: dict[str, float] = {}
    prior: dict[str, float] = {}
    for row in plain(outcome.tables["reasons"]):
        reasons[row["destination"]] = reasons.get(row["destination"], 0.0) + row["log_odds"]
        if row["part"] not in ("visit", "either reading"):
            prior[row["destination"]] = prior.get(row["destination"], 0.0) + row["log_odds"]
    rows = plain(outcome.tables["gray"])
    assert len(rows) == 1000
    for row in rows:
        assert reasons[row["destination"]] == pytest.approx(row["log_odds"], abs=0.02)
        assert prior[row["destination"]] == pytest.approx(row["prior"], abs=1e-9)
    visitors = {row["destination"]: row["visitors"] for row in rows}
    counts = pa.table(outcome.tables["reasons"]).filter(
        pa.compute.equal(outcome.tables["reasons"]["part"], "visit")
    )
    shown = counts.group_by("destination").aggregate([("terminal", "count")]).to_pylist()
    assert {row["destination"]: row["terminal_count"] for row in shown} == visitors


def test_day_by_day_and_all_days_at_once_agree() -> None:
    whole, daily = concluded(MADE), concluded(MADE, days=3)
    p, q = (
        [{row[key]: row["probability"] for row in plain(o.tables[table])} for o in (whole, daily)]
        for table, key in (("terminals", "terminal"), ("gray", "destination"))
    )
    for one, other in (p, q):
        shared = one.keys() & other.keys()
        assert list(one) == list(other)
        assert max(abs(one[name] - other[name]) for name in shared) < 1e-9


def test_the_last_day_tells_what_the_first_day_showed() -> None:
    """A terminal that touched black on the first day alone is still infected on the third."""
    outcome = concluded(MADE, days=3)
    black = MADE.colour[MADE.destination] == world.BLACK
    early = set(MADE.terminal[black & (MADE.last < DAY)].tolist()) - set(
        MADE.terminal[black & (MADE.last >= DAY)].tolist()
    )
    certain = {number(row["terminal"]) for row in plain(outcome.tables["terminals"]) if row["certain"]}
    assert early and early <= certain


def test_what_is_older_than_the_memory_is_forgotten_and_what_has_no_room_is_counted() -> None:
    site = Site(settings={"livenet.proxygraph.days": 1})
    last = concluded(MADE, days=3, site=site)
    held = last.carry.edges["last"]
    assert held.min() >= BEGIN + 2 * DAY
    assert plain(last.tables["coverage"])[0]["days"] == 1
    crowded = concluded(MADE, days=3, site=Site(settings={"livenet.proxygraph.edges": 5000}))
    (coverage,) = plain(crowded.tables["coverage"])
    assert coverage["edges"] == 5000 and coverage["forgotten"] > 10_000
    black = MADE.colour[MADE.destination] == world.BLACK
    kept = crowded.carry.destinations["colour"][crowded.carry.edges.destination] == 1
    assert kept.sum() == len(set(zip(MADE.terminal[black], MADE.destination[black], strict=True)))


def test_a_destination_that_turns_white_is_forgotten() -> None:
    tables = {name.split(":")[1]: table for name, table in world.tables_of(MADE, 0).items()}
    memory = remember(Memory.empty(), tables, BEGIN, BEGIN + DAY, 14, 10**6)
    name = memory.destinations.texts["name"][int(memory.edges.destination[0])].as_py()
    colours = tables["destinations"]
    rows = pa.compute.equal(colours["destination"], name)
    white = colours.set_column(
        colours.schema.get_field_index("colour"),
        colours.schema.field("colour"),
        pa.compute.if_else(rows, "white", colours["colour"]),
    )
    later = remember(memory, tables | {"destinations": white}, BEGIN + DAY, BEGIN + 2 * DAY, 14, 10**6)
    assert name not in later.destinations.texts["name"].to_pylist()
    assert len(later.destinations) == len(memory.destinations) - 1


def test_the_memory_survives_bytes_and_damage_is_told() -> None:
    carry = concluded(small(terminals=120, campaigns=4)).carry
    data = carry.to_bytes()
    assert type(carry).from_bytes(data).to_bytes() == data
    with pytest.raises(StateError):
        Memory.from_bytes(data[:-40] + bytes(40))


def test_nothing_at_all_and_tables_that_do_not_fit_together() -> None:
    of = engine(Site())
    nothing = of.conclude(of.empty(), None, Context("1d", 0, DAY * NANO))
    assert not nothing.findings and nothing.tables["gray"].num_rows == 0
    tables = world.tables_of(small(terminals=60, campaigns=2))
    tables["livenet.edges:destinations"] = tables["livenet.edges:destinations"].slice(10)
    tables["livenet.edges:terminals"] = tables["livenet.edges:terminals"].slice(10)
    cut = of.conclude(
        of.empty(), nothing.carry, Context("1d", BEGIN * NANO, (BEGIN + DAY) * NANO, tables=tables)
    )
    assert 0 < plain(cut.tables["coverage"])[0]["edges"] < tables["livenet.edges:edges"].num_rows
    assert EDGES.equals(tables["livenet.edges:edges"].schema)


def test_hostile_names_are_quoted_and_neutralised() -> None:
    made = small(terminals=120, campaigns=4)
    tables = world.tables_of(made)
    evil = "x' OR '1'='1"
    for name, table in tables.items():
        for column in ("terminal", "destination"):
            if column in table.column_names:
                old = "u" if column == "terminal" else "d"
                changed = pa.compute.replace_substring_regex(
                    table[column], f"^{old}", f"{evil}\x1b[2J http://{old}"
                )
                table = table.set_column(
                    table.schema.get_field_index(column), table.schema.field(column), changed
                )
        tables[name] = table
    of = engine(Site())
    outcome = of.conclude(of.empty(), None, Context("1d", BEGIN * NANO, (BEGIN + DAY) * NANO, tables=tables))
    assert outcome.findings
    for finding in outcome.findings:
        assert "\x1b" not in finding.title + finding.statement
        assert "http://" not in finding.title + finding.statement
        for item in finding.evidence:
            assert item.check is not None
            assert item.check.expression.count("'") % 2 == 0 and "x'' OR ''1''=''1" in item.check.expression


@pytest.mark.parametrize(
    ("name", "value"),
    [("proof", "some"), ("days", 0), ("findings", 10**9), ("terminal", 0.0), ("destination", 1.5)],
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"livenet.proxygraph.{name}"):
        engine(Site(settings={f"livenet.proxygraph.{name}": value}))


def test_findings_are_bounded_and_say_what_is_left_out() -> None:
    few = {"livenet.proxygraph.findings": 3, "livenet.proxygraph.certain": 3}
    outcome = concluded(MADE, site=Site(settings=few))
    by_kind: dict[str, list[str]] = {}
    for finding in outcome.findings:
        by_kind.setdefault(finding.kind, []).append(finding.statement)
    assert {kind: len(said) for kind, said in by_kind.items()} == {
        "infected-terminal": 3,
        "suspected-terminal": 3,
        "suspected-destination": 3,
    }
    for said in by_kind.values():
        assert "more" in said[-1] and "livenet.proxygraph.findings" in said[-1]
