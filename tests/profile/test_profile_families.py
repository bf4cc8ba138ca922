"""What becomes one family and what does not, and which reports speak of it."""

from __future__ import annotations

from typing import Any

import pytest
from profile_tables import DECOYS, FIRST, Days, batch, number, report

from andon.detect.intel.profile import ProfileEngine, engine
from andon.records.contract import Outcome, Site

BOTS = number("203.0.113.0")


def run(days: Days, *reports: dict[str, Any], last: int = 0) -> Outcome[Any]:
    """The outcome of the last day; each report comes on the day it was published."""
    made, carry, outcome = engine(Site()), None, Outcome()
    for day in range(
        min([*days.rows, *(r["published"] // 86_400_000_000_000 - FIRST for r in reports)]), last + 1
    ):
        mine = [r for r in reports if r["published"] // 86_400_000_000_000 - FIRST == day]
        summary = made.summarise(batch(*mine), made.empty()) if mine else made.empty()
        outcome = made.conclude(summary, carry, days.context(day))
        carry = outcome.carry
    return outcome


def profiles(outcome: Outcome[Any]) -> list[dict[str, Any]]:
    return outcome.tables["profiles"].to_pylist()


def telnet(
    days: Days,
    day: int,
    base: int,
    token: str,
    host: str,
    passwords: list[str],
    exploit: str = "",
    bots: int = 6,
) -> None:
    """Bots with a token and passwords, and one loader with the same and a payload."""
    for n in range(bots):
        shown = [("token", token), *(("credential", p) for p in passwords)]
        days.session(day, base + n, shown)
    name = host.replace(".", "")
    days.session(day, number(host), [("token", token), ("credential", passwords[0]), ("url", f"http://{host}/a/x.arm"),
                                     ("url-base", "/a/x."), ("payload", (name * 8)[:64])], role="loader")  # fmt: skip
    days.session(day, number(host), [("token", token), ("credential", passwords[1]), ("url", f"http://{host}/a/x.mips"),
                                     ("url-base", "/a/x."), ("payload", (name[::-1] * 8)[:64])],
                                     role="loader")  # fmt: skip
    if exploit:
        for n in range(3):
            days.session(day, base + n, [("exploit", exploit), ("url", f"http://{host}/a/x.arm"), ("url-base",
            "/a/x.")],
                         targets="DrayTek|Vigor2960|Router")  # fmt: skip


def test_shared_passwords_exploits_url_bases_and_common_tokens_join_nobody() -> None:
    days = Days()
    for day in (0, 1):
        telnet(days, day, BOTS, "DLALXLA", "198.51.100.7", ["root:1234", "admin:x1"], "CVE-2020-8515")
        telnet(days, day, BOTS + 64, "KYTON", "198.51.100.9", ["root:1234", "admin:x1"], "CVE-2020-8515")
        for base, token in ((128, "DLALXLA"), (160, "KYTON")):
            days.session(
                day, BOTS + base, [("token", token), ("token", "BOTNET"), ("credential", "root:1234")]
            )
    found = {tuple(p["tokens"]): p for p in profiles(run(days, last=1))}
    assert set(found) == {("DLALXLA",), ("KYTON",)}
    assert found["DLALXLA",]["loaders"] == ["198.51.100.7"]
    assert found["KYTON",]["loaders"] == ["198.51.100.9"]
    assert all(
        p["credentials"] == ["admin:x1", "root:1234"] and p["cves"] == ["CVE-2020-8515"]
        for p in found.values()
    )


@pytest.mark.parametrize(
    ("second", "families"),
    [(["root:1234", "admin:x1", "user:y2", "tech:z3"], 1), (["a:1", "b:2", "c:3", "d:4"], 2)],
)
def test_a_copied_token_joins_two_loaders_only_if_they_have_more_in_common(
    second: list[str], families: int
) -> None:
    days = Days()
    for day in range(3):
        for passwords, host, base in (
            (["root:1234", "admin:x1", "user:y2", "tech:z3"], "198.51.100.7", 0), (second, "198.51.100.9", 64),
        ):  # fmt: skip
            for n, password in enumerate(passwords):
                telnet(days, day, BOTS + base + 8 * n, "DLALXLA", host, [password, passwords[0]], bots=2)
    loaders = sorted(tuple(p["loaders"]) for p in profiles(run(days, last=2)))
    whole = [("198.51.100.7", "198.51.100.9")] if families == 1 else [("198.51.100.7",), ("198.51.100.9",)]
    assert loaders == whole


def test_a_fingerprint_of_many_forks_is_told_of_each_and_joins_none() -> None:
    days = Days()
    for day in (0, 1):
        for n, token in enumerate(("AKIRU1", "BOATX2", "CULTZ3")):
            telnet(days, day, BOTS + 16 * n, token, f"198.51.100.{n + 1}", [f"root:{n}", f"admin:{n}"])
            days.link(day, "tcp.seq == ip.dst", "token", token, 20)
            days.scan(day, range(BOTS + 16 * n, BOTS + 16 * n + 8), "tcp.seq == ip.dst", "23,2323")
    outcome = run(days, last=1)
    assert sorted(p["tokens"] for p in profiles(outcome)) == [["AKIRU1"], ["BOATX2"], ["CULTZ3"]]
    told = [f.attributes for f in run(days, last=0).findings if f.kind == "malware-profile"]
    assert len(told) == 3
    assert all("tcp.seq == ip.dst" in [*a["fingerprints"], *a["shared_fingerprints"]] for a in told)


def linked(days: Days, day: int) -> None:
    """A family of every sort of evidence, on one day."""
    telnet(days, day, BOTS, "DLALXLA", "198.51.100.7", ["root:GM8182", "admin:x1"], "CVE-2020-8515")
    days.scan(day, range(BOTS, BOTS + 10), "tcp.window == 0x3908", "37215,52869")
    days.link(day, "tcp.window == 0x3908", "token", "DLALXLA", 12)
    days.link(day, "37215,52869", "token", "DLALXLA", 9)
    days.link(day, "tcp.window == 0x3908", "exploit", "CVE-2020-8515", 8)


def test_a_report_names_the_family_and_the_decoys_do_not_stick() -> None:
    days = Days()
    for day in range(4):
        linked(days, day)
    told = report("R1", 3, malware=["Romi"], token=["DLALXLA"], port=["37215", "52869"], port_set=["37215,52869"],
                  cve=["CVE-2020-8515"], device=["DrayTek Vigor2960"], vendor=["DrayTek"], url=["http://198.51.100.20/a/x.arm"],
                  ipv4_addr=["198.51.100.99"])  # fmt: skip
    alone = report("P1", 3, cve=["CVE-2020-8515"])  # says which hole, not who
    (page,) = profiles(run(days, told, alone, *DECOYS, last=6))
    assert page["family"] == "Romi"
    assert page["aliases"] == ["DLALXLA"]
    assert page["fingerprints"] == ["tcp.window == 0x3908"]
    assert page["port_sets"] == ["37215,52869"]
    assert page["cves"] == ["CVE-2020-8515"]
    assert page["targets"] == ["DrayTek|Vigor2960|Router"]
    assert page["reports"] == ["R1"]
    assert page["loaders"] == ["198.51.100.7", "198.51.100.20"]
    assert page["controllers"] == ["198.51.100.99"]
    assert 0.9 < page["probability"] <= 0.99


def test_a_report_from_before_the_first_probe_counts_for_vulnerability_and_device_alone() -> None:
    days = Days()
    for day in range(10, 14):
        linked(days, day)
    token = report(
        "E1", 2, malware=["Romi"], token=["DLALXLA"], port=["37215", "52869"], port_set=["37215,52869"]
    )
    hole = report(
        "E2", 2, malware=["Phate"], token=["DLALXLA"], cve=["CVE-2020-8515"], device=["DrayTek Vigor2960"]
    )
    outcome = run(days, token, hole, *DECOYS, last=13)
    (page,) = profiles(outcome)
    assert page["reports"] == ["E2"]
    (row,) = outcome.tables["reports"].to_pylist()
    assert row["early"]
    assert "token" not in row["why"]
    (finding,) = [f for f in outcome.findings if f.kind == "malware-profile"] or [None]
    if finding is not None:
        assert finding.attributes["delays"]["darknet_to_report"] == -8


def test_a_family_that_no_honeypot_met_is_found_through_ports_and_a_report() -> None:
    days = Days()
    for day in range(4):
        days.scan(day, range(BOTS, BOTS + 12), "ip.id == lo16(ip.dst)", "8291,8728")
        days.scan(day, range(BOTS + 50, BOTS + 60), "", "8080,60001")
        days.scan(day, range(BOTS + 100, BOTS + 160), "", "23")
    sami = report(
        "R1", 3, malware=["Sami"], port=["8291", "8728"], port_set=["8291,8728"], cve=["CVE-2018-10561"]
    )
    lemi = report(
        "R2", 3, malware=["Lemi"], port=["8080", "60001"], port_set=["8080,60001"], token=["UYMBXUL"]
    )
    far = report(
        "R3", 3, malware=["Kasate"], port=["7547", "37215"], port_set=["37215,7547"]
    )  # nobody asks for these
    assert profiles(run(days, *DECOYS, last=6)) == []
    found = {p["family"]: p for p in profiles(run(days, sami, lemi, far, *DECOYS, last=6))}
    assert set(found) == {"Sami", "Lemi"}
    assert found["Sami"]["fingerprints"] == ["ip.id == lo16(ip.dst)"]
    assert found["Sami"]["cves"] == ["CVE-2018-10561"]
    assert found["Lemi"]["port_sets"] == ["8080,60001"]
    assert found["Lemi"]["tokens"] == ["UYMBXUL"]
    assert found["Lemi"]["fingerprints"] == []


def test_scans_and_sessions_that_no_link_joins_are_joined_by_a_report() -> None:
    days = Days()
    for day in range(4):
        telnet(days, day, BOTS, "EQWFWK", "198.51.100.7", ["root:1", "admin:2"])
        days.scan(day, range(BOTS + 100, BOTS + 112), "tcp.window == 0x3908", "4444,5556")
    told = report(
        "R1", 3, malware=["Zukudo"], token=["EQWFWK"], port=["4444", "5556"], port_set=["4444,5556"]
    )
    assert len(profiles(run(days, *DECOYS, last=6))) == 1
    (page,) = profiles(run(days, told, *DECOYS, last=6))
    assert (page["family"], page["tokens"], page["fingerprints"]) == (
        "Zukudo",
        ["EQWFWK"],
        ["tcp.window == 0x3908"],
    )


def test_two_families_with_the_same_vulnerability_share_no_report_about_it() -> None:
    days = Days()
    for day in range(3):
        telnet(days, day, BOTS, "DLALXLA", "198.51.100.7", ["root:1", "admin:2"], "CVE-2020-8515")
        telnet(days, day, BOTS + 64, "KYTON", "198.51.100.9", ["root:3", "admin:4"], "CVE-2020-8515")
    told = report("R1", 2, malware=["Romi"], cve=["CVE-2020-8515"], device=["DrayTek Vigor2960"])
    outcome = run(days, told, *DECOYS, last=6)
    assert [p["reports"] for p in profiles(outcome)] == [[], []]


def test_without_links_and_reports_there_is_nothing_but_what_honeypots_show() -> None:
    days = Days()
    days.scan(0, range(BOTS, BOTS + 50), "tcp.window == 0x3908", "23,2323")
    assert profiles(run(days, last=0)) == []
    made = ProfileEngine(Site())
    outcome = made.conclude(made.empty(), None, Days().context(0))
    assert [table.num_rows for table in outcome.tables.values()] == [0, 0, 0]
    assert outcome.findings == ()
