"""The whole line without a human: an infected client scans, is judged, cut off, mirrored, and let go again."""

from __future__ import annotations

import os

import pytest
from parts.private import missing, privately

NIGHTLY = bool(os.environ.get("ANDON_LAB_NIGHTLY"))
_NOT = missing("nft", "squid", "unbound", "unbound-control", "tcpdump")
pytestmark = pytest.mark.skipif(bool(_NOT), reason=_NOT or "the lab can run")


def test_an_infected_client_is_cut_off_by_every_path_and_nobody_else_loses_a_packet() -> None:
    found = privately("whole:whole", {"folder": "/run/lab", "names": NIGHTLY}, seconds=480)

    assert found["flowing before"] == [], "every path to the C2 was open"
    # Judged by two independent kinds of evidence, decided by nobody but Andon.
    assert (found["actor"], found["rule"], found["fields"]) == (
        "andon",
        "infected",
        ["alerts:suricata", "darknet"],
    )
    assert found["seconds from scan to cut"] < 60
    for when in ("leaks", "leaks until the end", "leaks before revoke", "leaks before kill-switch"):
        assert found[when]["sent"] > 300, f"the infected client went on sending ({when})"
        assert found[when]["arrived"] == {}, when
        assert found[when]["on the wire"] == 0, when
    assert "Quarantine" in found["page"]
    assert "Quarantine" not in found["page of the clean client"]
    assert found["page of the clean client"].startswith("HTTP/1.1 200")
    assert "critical server" in found["critical server for the infected"]
    assert found["mirror before"] > 100, "evidence from before the verdict"
    assert found["mirror after"] > 100, "and from after it"
    assert found["mirror of others"] == 0
    assert 5.5 < found["seconds in force"] < 30, "its time was six seconds"
    for when in ("expiry", "revoke", "kill-switch"):
        assert found[f"not back after {when}"] == [], when
    assert found["harm"]["sent"] > 5_000
    assert (found["harm"]["lost"], found["harm"]["failed"]) == ({}, {})
    assert {one["state"] for one in found["status"]["enforcers"].values()} <= {"ok", "degraded"}
    assert found["exit"] == 0
    requests, refused = found["harm"]["by the proxy"]
    assert refused <= max(2, requests / 50)
    if NIGHTLY:
        blocked = found["name"]
        assert blocked["addresses while blocked"] == []
        assert blocked["by the proxy while blocked"].startswith("HTTP/1.1 403")
        assert blocked["other names while blocked"] == ["198.51.100.80"]
        assert len(blocked["addresses afterwards"]) == 4
        assert blocked["by the proxy afterwards"].startswith("HTTP/1.1 200")
        assert blocked["refused by the proxy"] <= blocked["requests through the proxy"] / 10


@pytest.mark.skipif(not NIGHTLY, reason="nightly: make nightly-lab")
@pytest.mark.parametrize("by", ["br0", "br0, gateway"])
def test_a_pair_that_cannot_be_closed_on_every_path_becomes_a_quarantine_that_can(by: str) -> None:
    found = privately("whole:pair", {"folder": "/run/lab", "by": by}, seconds=480)

    assert found["action"] == "quarantine"
    assert "ipv6" in found["escalated"].lower(), found["escalated"]
    assert found["leaks"]["sent"] > 300
    assert found["leaks"]["arrived"] == {} and found["leaks"]["on the wire"] == 0
    assert (found["harm"]["lost"], found["harm"]["failed"]) == ({}, {})
