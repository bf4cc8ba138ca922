"""The squid enforcer before a real Squid: what is denied to whom, and how often it is told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parts.private import HERE as LAB
from parts.private import missing, privately

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(bool(missing("squid")), reason=missing("squid") or "the lab can run")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Squid gives up root and has to pass through every folder above its own: pytest's are closed to others."""
    with tempfile.TemporaryDirectory(prefix="andon-squid-") as made:
        (Path(made) / "squid").mkdir()
        yield Path(made) / "squid"


def seen_in(scenario: str, folder: Path) -> Any:
    return privately(f"squid_scenarios:{scenario}", {"folder": str(folder)}, seconds=240, paths=(LAB, HERE))


def test_every_list_means_what_the_plan_says(folder: Path) -> None:
    found = seen_in("lists", folder)

    assert found["before"] == [200, 200]
    assert found["verified"], "by the serial that the proxy itself tells"
    assert found["seconds"] < 20
    assert found["blocked"] == [403, 403, 403, 200, 200]
    assert found["all verified"]
    assert found["url"] == [403, 403, 200, 200, 200], "a URL is no pattern"
    assert found["client"] == [302]
    assert found["page"]
    assert found["pair"] == [403, 200]
    assert found["clean"] == [200, 200, 200]
    assert found["actual"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found["health"] == ["ok", ""]
    assert found["addresses"] == [403, 200, 200]
    assert found["the narrower is left"] == [403]
    assert found["cleared"] == ["ok", {}]
    assert found["after"] == [200, 200, 200]
    assert found["alive"]


def test_a_hundred_changes_are_a_few_reconfigurations_and_nothing_is_passed_over(folder: Path) -> None:
    found = seen_in("batches", folder)

    assert found["there"] == 100
    assert found["loaded"] == "ok"
    # The first at once, the others together once a second.
    assert 2 <= found["reconfigured"] <= 2 + found["calls"]
    assert found["short"] == 403
    assert found["ended"] == [[200], 200]
    epochs = [epoch for _, epoch, _, _ in found["hands"]]
    assert epochs == sorted(set(epochs)), "every change by hand is a new epoch"
    assert [[there, mended, verified] for there, _, mended, verified in found["hands"]] == [
        [False, True, True]
    ] * 5
    assert found["foreign"] == ["degraded", True]
    assert found["away"].startswith("Unreachable: squid: ")
    assert found["down"] == "down"
    assert found["back"] == [[300, 301], "ok", 403]
    assert found["another"] == [300, 301]
