"""The lab itself: what is claimed of a rule is told by packets that arrive or do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from parts.private import Failed, missing, privately

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the lab can run")


def test_rules_for_ipv4_leave_ipv6_open_and_rules_for_both_close_every_direct_path(tmp_path: Path) -> None:
    found = privately("scenarios:plain_rules", {"folder": str(tmp_path), "seconds": 0.6}, seconds=240)

    assert all(number > 0 for number in found["before"].values()), found["before"]
    after = found["after IPv4 rules"]
    assert all((number == 0) == name.endswith("4") for name, number in after.items()), after
    assert found["after both"] == dict.fromkeys(found["after both"], 0)
    assert found["sent after both"]["c2-udp4"] > 100, "the infected client went on sending"
    assert all(number > 0 for number in found["again"].values()), found["again"]
    assert found["lost"] == dict.fromkeys(found["lost"], 0)
    assert found["failed"] == dict.fromkeys(found["failed"], 0)


def test_nothing_of_the_lab_is_seen_outside_and_a_failure_says_where(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="not-a-host"):
        privately("scenarios:broken", {"folder": str(tmp_path)}, seconds=30)
    with pytest.raises(Failed, match="was not done after"):
        privately("scenarios:endless", {}, seconds=2)
    assert not any("v_c2" in line for line in Path("/proc/net/dev").read_text().splitlines())
    assert "/ovs" not in Path("/proc/mounts").read_text()
    running = {p.name for p in Path("/proc").iterdir() if p.name.isdigit()}
    said = [(Path("/proc") / n / "cmdline") for n in running]
    assert not any(str(tmp_path) in one.read_text(errors="replace") for one in said if one.exists())
