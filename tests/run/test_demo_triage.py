"""The fourth act: planted attacks are before somebody, and no case that holds one was dismissed."""

from __future__ import annotations

import json

import pytest

from andon.run.demo_triage import TriageDemo, run_triage, show_triage


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> TriageDemo:
    return run_triage(tmp_path_factory.mktemp("triage"), lambda stage, rows: None)


def test_no_attack_is_dismissed_and_most_are_before_somebody(demo: TriageDemo) -> None:
    found = demo.found
    assert demo.right and len(found.tiers) >= 5
    assert not found.attacks("screened")
    assert found.attacks("act") >= 0.4 * len(found.tiers)


def test_few_of_the_alerts_are_left_to_look_at(demo: TriageDemo) -> None:
    assert demo.alerts == 20_000 and demo.episodes > 1_000
    assert demo.found.looks() < 120
    assert demo.found.cases["act"] < demo.found.cases["inspect"]
    priorities = [case.priority for case in demo.queue]
    assert priorities == sorted(priorities, reverse=True) and demo.queue[0].tier == "act"


def test_it_prints_tables_and_json(demo: TriageDemo, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(json.dumps(demo.to_dict()))["found"]["attacks"] == len(demo.found.tiers)
    show_triage(demo)
    text = capsys.readouterr().out
    assert "planted attacks" in text and max(map(len, text.splitlines())) <= 100
