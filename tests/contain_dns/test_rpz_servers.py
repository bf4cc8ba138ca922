"""The rpz enforcer before real BIND and real Unbound: what names are answered, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parts.private import HERE as LAB
from parts.private import missing, privately

HERE = Path(__file__).resolve().parent
TOOLS = ("named", "rndc", "unbound", "unbound-control")
pytestmark = pytest.mark.skipif(bool(missing(*TOOLS)), reason=missing(*TOOLS) or "the lab can run")


def seen_in(scenario: str, server: str, folder: Path) -> Any:
    given = {"folder": str(folder), "server": server}
    return privately(f"dns_scenarios:{scenario}", given, seconds=240, paths=(LAB, HERE))


@pytest.mark.parametrize("server", ["bind", "unbound"])
def test_every_trigger_and_policy_means_what_the_plan_says(server: str, tmp_path: Path) -> None:
    found = seen_in("policies", server, tmp_path)

    assert found["before"] == ["203.0.113.7", "203.0.113.7", "192.0.2.10", "2001:db8:f::7"]
    assert found["verified"], "by the serial of the rules in force"
    assert found["seconds"] < 20
    assert found["blocked"] == ["NXDOMAIN", "NXDOMAIN", "NXDOMAIN", "192.0.2.10", "203.0.113.7"]
    assert found["all verified"]
    assert found["others"] == [
        "203.0.113.7",  # allowed below a blocked name
        "NXDOMAIN", "192.0.2.80", "2001:db8::80",
        "NXDOMAIN",  # by the address in the answer
        "203.0.113.99", "NXDOMAIN", "192.0.2.10",
    ]  # fmt: skip
    assert found["actual"]
    assert found["client"] == ["192.0.2.80", "2001:db8::80", "192.0.2.10"]
    assert found["health"] == ["ok", ""]
    assert found["allowed over blocked"] == ["203.0.113.99", False, [1, 2, 3, 4, 5, 6, 7]]
    assert found["blocked again"] == "NXDOMAIN"
    assert found["cleared"] == ["203.0.113.7", "203.0.113.8", "192.0.2.10", {}]


@pytest.mark.parametrize("server", ["bind", "unbound"])
def test_what_has_ended_is_answered_again_and_a_server_that_is_away_is_told_later(
    server: str, tmp_path: Path
) -> None:
    found = seen_in("expiry", server, tmp_path)

    assert found["before"] == [[1, 2], "NXDOMAIN"]
    assert found["ended"] == [1]
    assert found["left"] == ["203.0.113.7", "NXDOMAIN", [2]]
    assert found["said"].startswith("Unreachable: ")
    assert found["down"] == ["down", "Unreachable"], "written is not in force"
    if server == "bind":
        assert found["back"] == ["NXDOMAIN", "ok", [2, 3]]
