"""The demonstration is right: what was simulated is what is found."""

from __future__ import annotations

import json

import pytest

from andon.run.demo import Demo, run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return run_demo(tmp_path_factory.mktemp("demo"), seed=2, small=True, progress=lambda stage, packets: None)


def test_every_tool_that_was_there_is_named_and_no_other(demo: Demo) -> None:
    assert demo.right
    scores = {score.name: score for score in demo.tools}
    assert set(scores) == {"mirai", "masscan", "zmap", "nmap", "unicornscan", "hajime"}
    for name in ("mirai", "masscan", "zmap", "unicornscan"):
        assert scores[name].recall >= 0.98, name
        assert scores[name].precision >= 0.97, name


def test_surveys_and_attackers_are_told_apart_without_accusing_the_wrong_ones(demo: Demo) -> None:
    for score in demo.purposes:
        assert score.precision >= 0.97, score


def test_victims_and_the_flooded_address_are_found(demo: Demo) -> None:
    assert demo.victims.precision == 1.0
    assert demo.victims.recall >= 0.9
    assert (demo.floods.true, demo.floods.right, demo.floods.found) == (1, 1, 1)


def test_it_prints_tables_and_json(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    demo.show(as_json=True)
    assert json.loads(capsys.readouterr().out)["packets"] == 1_000_000
    demo.show(as_json=False)
    text = capsys.readouterr().out
    assert "The answer beside the truth" in text
    assert max(map(len, text.splitlines())) <= 100
