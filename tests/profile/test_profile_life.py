"""Growth, stay, states and their changes; devices against the lists; what is told and what is not told again."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from profile_tables import DAY, DECOYS, FIRST, Days, batch, number, report
from test_profile_families import BOTS, linked, run, telnet

from andon.detect.intel.profile import engine
from andon.detect.intel.profile.life import onset, slope
from andon.detect.intel.profile.memory import KMV, Memory, union
from andon.detect.intel.profile.targets import KnownSystems
from andon.records.asset import ASSET
from andon.records.contract import Outcome, Site
from andon.records.finding import Finding
from andon.run.contract import check_engine


def course(counts: list[int], stay: int = 1, site: Site | None = None) -> tuple[list[Finding], Outcome[Any]]:
    """A family with so many new sources on each day, each of which stays for so many days."""
    days = Days()
    for day in range(len(counts)):
        for born in range(max(0, day - stay + 1), day + 1):
            first = BOTS + sum(counts[:born])
            if counts[born]:
                days.scan(day, range(first, first + counts[born]), "tcp.window == 0x3908", "37215,52869")
        telnet(days, day, BOTS, "DLALXLA", "198.51.100.7", ["root:GM8182", "admin:x1"], bots=4)
        days.link(day, "tcp.window == 0x3908", "token", "DLALXLA", 12)
    made, carry, outcome = engine(site or Site()), None, Outcome()
    told: list[Finding] = []
    for day in range(len(counts)):
        outcome = made.conclude(made.empty(), carry, days.context(day))
        carry = outcome.carry
        told += outcome.findings
    return told, outcome


def states(told: list[Finding]) -> list[tuple[str, str]]:
    return [(f.attributes["before"], f.attributes["state"]) for f in told if f.kind == "malware-life-cycle"]


def test_a_family_emerges_spreads_stands_and_fades() -> None:
    counts = [2, 4, 8, 16, 32, 64, 100, 104, 98, 101, 99, 102, 97, 100, 101, 60, 40, 25, 15, 9, 5, 3]
    told, outcome = course(counts)
    assert states(told) == [("emerging", "epidemic"), ("epidemic", "plateau"), ("plateau", "decline")]
    (page,) = outcome.tables["profiles"].to_pylist()
    assert page["state"] == "decline"
    pages = [f for f in told if f.kind == "malware-profile"]
    assert len(pages) == 1  # one page; numbers that go on growing are no news
    assert pages[0].attributes["first_darknet"] == "2026-02-16"


def test_growth_and_reproduction_are_those_that_were_planted() -> None:
    rng = np.random.default_rng(3)
    for growth in (0.3, 0.0, -0.25):
        series = [(day, int(rng.poisson(400 * exp(growth * day)))) for day in range(7)]
        found, error = slope(series)
        assert abs(found - growth) < 3 * error < 0.15
    told, _ = course([20 * 2**n for n in range(6)] + [640] * 3, stay=3)
    last = [f for f in told if f.kind == "malware-profile"][-1].attributes
    assert last["reproduction"] is None or last["reproduction"] > 1


def test_a_source_that_stays_three_days_has_a_half_life_of_two() -> None:
    _, outcome = course([30] * 14, stay=3)
    days = outcome.carry.days
    assert days["fingerprint\x1ftcp.window == 0x3908", FIRST + 5][0] == 90
    from andon.detect.intel.profile import families, life

    memory = outcome.carry
    (family,) = families.find(memory)
    lived = life.live(family, memory, FIRST + 13, life.index_of(memory), False)
    assert lived.stay == pytest.approx(3.0, rel=0.25)
    assert lived.half_life == pytest.approx(3 * log(2), rel=0.25)


def test_sources_that_change_their_token_replace_a_family() -> None:
    days = Days()
    for day in range(16):
        old = day < 8
        token, mark = ("OLDTOK", "tcp.window == 0x3908") if old else ("NEWTOK", "ip.id == lo16(ip.dst)")
        host, passwords = ("198.51.100.7", ["a:1", "b:2"]) if old else ("198.51.100.9", ["c:3", "d:4"])
        telnet(days, day, BOTS, token, host, passwords, bots=12)
        days.scan(day, range(BOTS, BOTS + 40), mark, "37215,52869" if old else "8291,8728")
        days.link(day, mark, "token", token, 12)
    found = {tuple(p["tokens"]): p["state"] for p in run(days, last=15).tables["profiles"].to_pylist()}
    assert found["OLDTOK",] == "replaced"
    assert found["NEWTOK",] != "replaced"


def test_the_first_day_is_where_the_rise_begins() -> None:
    rng = np.random.default_rng(1)
    late = []
    for _ in range(50):
        noise, begin = int(rng.integers(0, 6)), int(rng.integers(4, 10))
        counts = {
            day: int(rng.poisson(noise + (3 * exp(0.6 * (day - begin)) if day >= begin else 0)))
            for day in range(20)
        }
        late.append(onset({day: count for day, count in counts.items() if count}, 0) - begin)
    assert np.median(late) in (0, 1, 2)
    assert np.quantile(np.abs(late), 0.9) <= 4


def test_a_union_of_sources_is_exact_when_small_and_near_when_large() -> None:
    rng = np.random.default_rng(2)
    every = np.unique(rng.integers(0, 2**32, 9000))
    a, b = sorted(every[:6000].tolist()), sorted(every[3000:].tolist())
    entry = [[len(x), x[:KMV], 0, 0] for x in (a, b)]
    assert union([[3, [1, 2, 3], 0, 0], [2, [3, 9], 0, 0]]) == 4
    assert abs(union(entry) - len(every)) < 0.35 * len(every)


def assets(base: int, device: str, count: int, lease: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    return [
        {
            "asset": f"{device}-{n}", "first": base + n, "last": base + n, "address": str(base + n),
            "valid_from": lease and lease[0], "valid_to": lease and lease[1], "basis": "list", "hostname": "",
            "mac": "",
            "vendor": "", "product": "", "version": "", "device": device, "os": "", "cpe": "", "owner": "",
            "contact": "",
            "services": [], "source": "test",
        }
        for n in range(count)
    ]  # fmt: skip


def test_device_classes_are_compared_with_those_of_all_scanners() -> None:
    known = pa.Table.from_pylist([*assets(BOTS, "IP Camera", 30), *assets(BOTS + 64, "Router", 60)], ASSET)
    days = Days()
    for day in range(3):
        linked(days, day)
        days.scan(day, range(BOTS, BOTS + 28), "tcp.window == 0x3908", "37215,52869")
        days.scan(day, range(BOTS + 64, BOTS + 124), "", "23")
    made, carry, told = engine(Site(assets=known)), None, []
    for day in range(3):
        outcome = made.conclude(made.empty(), carry, days.context(day))
        carry, told = outcome.carry, [*told, *outcome.findings]
    (one,) = told[0].attributes["device_classes"]
    assert (one["device"], one["seen"], one["known"]) == ("IP Camera", 28, 28)
    assert one["p_value"] < 1e-6
    assert one["expected"] < 12
    assert "IP Camera" in told[0].statement


def test_a_lease_that_has_ended_says_nothing_of_the_device() -> None:
    then = (FIRST - 10) * DAY, (FIRST - 5) * DAY
    known = KnownSystems(pa.Table.from_pylist(assets(BOTS, "DVR", 5, then), ASSET))
    assert known.of(np.array([BOTS + 1]), FIRST * DAY, (FIRST + 1) * DAY) == {}
    assert list(known.of(np.array([BOTS + 1]), (FIRST - 6) * DAY, FIRST * DAY)) == ["DVR"]


def test_the_contract_is_kept_and_the_same_reports_in_any_order_are_the_same() -> None:
    days = Days()
    linked(days, 5)
    told = report(
        "R1", 5, malware=["Romi"], token=["DLALXLA"], port=["37215", "52869"], port_set=["37215,52869"]
    )
    twice = report("R1", 5, malware=["Other"], token=["KYTON"])  # another text under the same number
    outcome = check_engine(engine(Site()), [batch(told, *DECOYS), batch(twice)], dict(days.context(5).tables))
    assert outcome.tables["profiles"].num_rows == 1


def test_more_reports_than_there_is_room_for_leave_the_same_sample() -> None:
    site = Site(settings={"intel.profile.reports": 20})
    rows = [report(f"R{n}", 0, cve=[f"CVE-2020-{1000 + n}"]) for n in range(100)]
    made = engine(site)
    whole = made.summarise(batch(*rows), made.empty())
    parts = made.merge(
        made.summarise(batch(*rows[60:]), made.empty()), made.summarise(batch(*rows[:60]), made.empty())
    )
    assert whole.to_bytes() == parts.to_bytes()
    assert len(whole.held) == 20


def test_the_memory_is_bounded_under_a_flood_of_tokens_and_port_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    from andon.detect.intel.profile import memory as m

    for name, most in (
        ("MOST_ITEMS", 300),
        ("MOST_PAIRS", 300),
        ("MOST_SETS", 300),
        ("MOST_DAYS", 300),
        ("MOST_STAYS", 50),
    ):
        monkeypatch.setattr(m, name, most)
    days = Days()
    for day in range(3):
        for n in range(400):
            days.session(
                day,
                BOTS + n,
                [("token", f"T{day}x{n}Q"), ("credential", f"root:{n}"), ("payload", f"{n:064x}")],
            )
            days.scan(day, range(BOTS + n, BOTS + n + 2), f"tcp.window == {n}", f"{n + 1},{n + 2000}")
    outcome = run(days, last=2)
    held = outcome.carry
    assert (len(held.items), len(held.pairs), len(held.days), len(held.stays)) == (300, 300, 300, 50)
    assert held.left_out["pairs"] > 0
    assert held.to_bytes() == Memory.from_bytes(held.to_bytes()).to_bytes()


def test_many_families_are_told_in_turn_and_the_rest_is_said() -> None:
    days = Days()
    for day in range(2):
        for n in range(60):
            telnet(
                days, day, BOTS + 16 * n, f"TOKEN{n}X", f"198.51.{n}.7", [f"root:{n}", f"admin:{n}"], bots=4
            )
    made = engine(Site())
    first = made.conclude(made.empty(), None, days.context(0))
    assert len(first.findings) == 50
    assert "10 more" in first.findings[0].statement
    second = made.conclude(made.empty(), first.carry, days.context(1))
    assert len(second.findings) == 10
    assert len({f.series for f in (*first.findings, *second.findings)}) == 60


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="families"):
        engine(Site(settings={"intel.profile.families": 0}))


__all__ = ["number"]
