"""The simulated alerts: the same every time, their truth from what happened, and verification measured on them."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from andon.cli.simulate import app
from andon.simulate.alerts import Happened, Scenario, observed, play, write
from andon.simulate.score_alerts_triage import score

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "triage"))
import verification_world as world

SCENARIO = Scenario(seed=2, days=2, terminals=60, alerts=1500)


@pytest.fixture(scope="module")
def happened() -> Happened:
    return play(SCENARIO)


@pytest.fixture(scope="module")
def folder(happened: Happened, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alerts")
    write(happened, SCENARIO, out)
    return out


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    made = ["simulate", "alerts", "--seed", "2", "--days", "2", "--terminals", "60", "--alerts", "1500"]
    result = CliRunner().invoke(app, [*made[1:], "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert len(names) == 10
    assert [digest(folder / n) for n in names] == [digest(tmp_path / n) for n in names]


def test_a_bad_scenario_is_refused() -> None:
    for more in (["--stale", "2"], ["--alerts", "5"], ["--days", "0"], ["--start", "yesterday"]):
        assert CliRunner().invoke(app, ["alerts", "--out", "/nonexistent/x", *more]).exit_code == 2


def test_how_it_is_observed_changes_nothing_of_what_happened(
    happened: Happened, folder: Path, tmp_path: Path
) -> None:
    write(happened, replace(SCENARIO, stale=0.5, missing=0.6), tmp_path)
    assert digest(folder / "eve.json") == digest(tmp_path / "eve.json")
    assert digest(folder / "truth" / "alerts.parquet") == digest(tmp_path / "truth" / "alerts.parquet")
    assert digest(folder / "assets.csv") != digest(tmp_path / "assets.csv")
    few = observed.flows(replace(SCENARIO, missing=0.6), happened.estate, happened.links)
    more = observed.flows(replace(SCENARIO, missing=0.1), happened.estate, happened.links)
    every = observed.flows(replace(SCENARIO, missing=0.0), happened.estate, happened.links)
    assert 0.37 < few.num_rows / every.num_rows < 0.43
    assert 0.88 < more.num_rows / every.num_rows < 0.92

    def keys(table: pa.Table) -> set[tuple[object, ...]]:
        return set(zip(*(table.column(n).to_pylist() for n in ("ts", "src", "dst", "sport")), strict=True))

    assert keys(few) <= keys(more)


def test_a_share_of_the_list_is_out_of_date(happened: Happened) -> None:
    def told(stale: float) -> dict[str, str]:
        rows = observed.assets(replace(SCENARIO, stale=stale), happened.estate)
        return {row["asset"]: row["product"] for row in rows if row["product"]}

    right, wrong = told(0.0), told(1.0)
    assert {s.kind.product for s in happened.estate.servers} == set(right.values())
    differ = sum(wrong[asset] != right[asset] for asset in right)
    assert differ > 0.7 * len(right)  # what replaced a system may have been of its kind
    some = told(0.2)
    assert 0 < sum(some[asset] != right[asset] for asset in right) < 0.4 * len(right)


def test_true_alerts_are_of_hosts_that_were_hurt(happened: Happened) -> None:
    book = happened.book
    assert any(a.harm for a in book.alarms)
    for alarm in book.alarms:
        if alarm.harm:
            assert book.causes[alarm.cause].true
    hurt = {c.number for c in book.causes if c.true}
    assert hurt == {a.cause for a in book.alarms if a.harm} | {
        c for c in hurt if not any(a.cause == c for a in book.alarms)
    }


def test_the_truth_knows_every_line(folder: Path) -> None:
    truth = pq.read_table(folder / "truth" / "alerts.parquet")
    for name in ("eve.json", "wazuh.json"):
        mine = truth.filter(pc.equal(truth.column("file"), name))
        assert mine.num_rows == len((folder / name).read_bytes().splitlines())
    assert sum(b.num_rows for b in world.alerts(folder)) == truth.num_rows


def test_verification_loses_no_attack_and_removes_many_that_are_none(folder: Path) -> None:
    since = (SCENARIO.organisation.begin + 86_400_000) * 1_000_000
    result = score(world.judged(world.observed(folder), since), 1)
    assert result.true >= 3
    assert result.lost == 0
    assert result.removed > 0.4 * result.false
    assert result.act_true >= 1


def test_without_flows_nothing_is_dismissed_for_lack_of_an_answer(happened: Happened, tmp_path: Path) -> None:
    blind = replace(SCENARIO, missing=0.95)
    write(happened, blind, tmp_path)
    made = world.judged(world.observed(tmp_path), (SCENARIO.organisation.begin + 86_400_000) * 1_000_000)
    sparse = score(made, 1)
    assert sparse.lost == 0
    kinds = {k for j in made if j.decision == "dismiss" for k in j.case.kinds}
    assert kinds <= {"sanctioned scanner"}
