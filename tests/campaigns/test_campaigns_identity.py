"""A campaign keeps its name through new addresses, ports and fingerprints; what is not one has none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from campaigns_traffic import (
    LINUX,
    WINDOWS,
    addresses,
    batch,
    bots,
    conclude,
    events,
    group,
    noise,
    purpose_table,
    rows,
    run,
    tools_table,
)

from andon.detect.darknet.campaigns import CampaignsEngine
from andon.records.contract import Site

TELNET = {23: 0.9, 2323: 0.1}
ROUTERS = {8291: 0.5, 8728: 0.5}


def cookie(count: int, ports: dict[int, float], day: int, seed: int = 1) -> list:
    """Bots whose sequence number is the destination."""
    rng = np.random.default_rng((seed, day))
    dst = 0x0A000000 + rng.integers(0, 1 << 16, count * 12)
    return [bots(count, ports, day, seed, dst=dst, tcp_seq=dst)]


def test_a_campaign_keeps_its_name_when_all_its_addresses_are_new() -> None:
    outcomes = run(6, lambda day: cookie(60, TELNET, day))
    names = [{row["campaign"] for row in rows(outcome)} for outcome in outcomes]
    assert names == [names[0]] * 6 and len(names[0]) == 1
    assert events(outcomes) == [(0, next(iter(names[0])), "first-day")]
    members = outcomes[-1].tables["members"]
    assert set(members["src"].to_pylist()) == set(addresses(60, 1005).tolist())
    assert outcomes[-1].carry is not None
    assert outcomes[-1].carry.campaigns[0].sources_ever() == pytest.approx(360, rel=0.3)


def test_the_same_name_is_explained_and_can_be_checked() -> None:
    outcomes = run(3, lambda day: cookie(60 if day < 2 else 200, TELNET, day))
    (finding,) = outcomes[2].findings
    assert finding.kind == "campaign" and finding.attributes["events"] == ["growth"]
    assert finding.subject == ("campaign", rows(outcomes[0])[0]["campaign"])
    assert finding.series == outcomes[0].findings[0].series
    match = finding.attributes["match"]
    assert match["ports"] > 1 and match["header"] > 1 and match["sources"] == 0
    assert finding.attributes["match_total"] == pytest.approx(sum(match.values()), abs=0.05)
    relations = [item.check.relation for item in finding.evidence if item.check]
    assert "tcp.dstport == 23" in relations[0] and relations[1].endswith("and (tcp.seq == ip.dst)")


def test_a_birth_is_told_on_its_day_and_the_first_day_is_none() -> None:
    outcomes = run(4, lambda day: cookie(60, TELNET, day) + ([bots(40, ROUTERS, day, 2)] if day >= 2 else []))
    assert [event[::2] for event in events(outcomes)] == [(0, "first-day"), (2, "birth")]
    born = next(row for row in rows(outcomes[3]) if "8291" in row["ports"])
    assert born["born"] == rows(outcomes[2])[0]["day"]


def test_ports_change_and_the_fingerprint_stays() -> None:
    later = {23: 0.45, 5555: 0.55}
    outcomes = run(5, lambda day: cookie(80, TELNET if day < 3 else later, day))
    told = events(outcomes)
    assert [event[::2] for event in told] == [(0, "first-day"), (3, "ports")]
    assert len({name for _, name, _ in told}) == 1
    attributes = outcomes[3].findings[0].attributes
    assert attributes["ports_before"]["23"] > 0.8 and 0.4 < attributes["ports"]["5555"] < 0.7


def test_the_fingerprint_changes_and_ports_and_sources_stay() -> None:
    src = addresses(60, 4)
    outcomes = run(
        5,
        lambda day: [
            bots(60, ROUTERS, day, src=src)
            if day < 3
            else group(src, ROUTERS, day, tcp_options=WINDOWS, ttl=110)
        ],
    )
    told = events(outcomes)
    assert [event[::2] for event in told] == [(0, "first-day"), (3, "fingerprint")]
    assert len({name for _, name, _ in told}) == 1
    attributes = outcomes[3].findings[0].attributes
    assert attributes["match"]["sources"] > 1
    assert "no options" in attributes["header_before"] and "WS" in attributes["header"]


def test_pause_and_resumption() -> None:
    outcomes = run(7, lambda day: cookie(60, TELNET, day) if day not in (2, 3, 4) else [])
    assert [event[::2] for event in events(outcomes)] == [(0, "first-day"), (2, "pause"), (5, "resume")]
    assert rows(outcomes[3])[0]["state"] == "quiet"
    assert "quiet since 2024-10-05" in outcomes[2].findings[0].statement  # day 1, the last one active


def test_a_weekly_pause_is_told_once() -> None:
    outcomes = run(14, lambda day: cookie(40, TELNET, day) if day % 4 < 2 else [])
    assert [event[::2] for event in events(outcomes)] == [(0, "first-day"), (2, "pause"), (4, "resume")]


def test_death_is_told_after_seven_quiet_days_and_dated_to_the_last_active_one() -> None:
    outcomes = run(12, lambda day: cookie(60, TELNET, day) if day < 3 or day == 11 else [])
    told = events(outcomes)
    assert [event[::2] for event in told] == [(0, "first-day"), (3, "pause"), (9, "death"), (11, "resume")]
    assert len({name for _, name, _ in told}) == 1
    death = outcomes[9].findings[0]
    assert death.attributes["last"].startswith("2024-10-06") and death.severity == "low"
    assert rows(outcomes[10]) == []


def test_days_without_any_traffic_say_nothing_of_a_campaign() -> None:
    engine = CampaignsEngine(Site())
    first = conclude(engine, [*noise(300, 0), *cookie(60, TELNET, 0)], 0)
    silent = conclude(engine, [], 1, first.carry)
    assert silent.carry is not None and silent.carry.campaigns == first.carry.campaigns and not silent.tables
    again = conclude(engine, [*noise(300, 12), *cookie(60, TELNET, 12)], 12, silent.carry, gap=10)
    assert [row["events"] for row in rows(again)] == [""]


def test_two_campaigns_of_the_same_ports_differ_by_their_header() -> None:
    outcomes = run(
        4, lambda day: [bots(50, ROUTERS, day), group(addresses(50, 70 + day), ROUTERS, day, tcp_window=1025)]
    )
    names = [{(row["campaign"], row["header"]) for row in rows(outcome)} for outcome in outcomes]
    assert names == [names[0]] * 4 and len(names[0]) == 2


def test_two_campaigns_of_one_header_differ_by_their_ports_though_they_share_one() -> None:
    other = {37215: 0.5, 80: 0.25, 8000: 0.25}
    third = {37215: 0.25, 5555: 0.25, 7547: 0.25, 52869: 0.25}
    outcomes = run(5, lambda day: cookie(60, other, day) + (cookie(70, third, day, 2) if day >= 2 else []))
    assert [event[::2] for event in events(outcomes)] == [(0, "first-day"), (2, "birth")]
    assert [len(rows(outcome)) for outcome in outcomes] == [1, 1, 2, 2, 2]
    assert len({row["campaign"] for outcome in outcomes for row in rows(outcome)}) == 2


def test_a_new_campaign_is_not_taken_for_one_that_died() -> None:
    outcomes = run(
        6, lambda day: cookie(60, TELNET, day) if day < 3 else [bots(60, ROUTERS, day, 2, tcp_options=2)]
    )
    kinds = [event[::2] for event in events(outcomes)]
    assert kinds == [(0, "first-day"), (3, "pause"), (3, "birth")]


def test_noise_gives_no_campaign() -> None:
    outcomes = run(4, lambda day: noise(1500, day, seed=21))
    assert [rows(outcome) for outcome in outcomes] == [[]] * 4


def test_a_known_tool_names_its_campaign() -> None:
    named = [dict.fromkeys(addresses(60, 1000 + day).tolist(), "mirai") for day in range(2)]
    outcomes = run(
        2,
        lambda day: cookie(60, TELNET, day),
        tables=lambda day: {"darknet.tools:sources": tools_table(named[day])},
    )
    assert rows(outcomes[1])[0]["name"] == "mirai"
    assert outcomes[0].findings[0].attributes["fingerprint"] == "mirai"


@pytest.mark.parametrize(
    ("word", "severity"), [("attack", "medium"), ("survey", "low"), ("undecided", "low")]
)
def test_purpose_is_that_of_the_sources_and_a_survey_is_never_above_low(word: str, severity: str) -> None:
    def tables(day: int) -> dict:
        return {
            "darknet.purpose:sources": purpose_table(dict.fromkeys(addresses(60, 1000 + day).tolist(), word))
        }

    outcomes = run(2, lambda day: cookie(60, TELNET, day) if day else [], tables=tables)
    (finding,) = outcomes[1].findings
    assert finding.attributes["purpose"] == word and finding.severity == severity
    assert rows(outcomes[1])[0]["purpose"] == word


def test_a_network_that_scans_a_long_list_of_ports_is_one_campaign() -> None:
    block = 0x51000100 + np.arange(30)
    long = {int(p): 1.0 for p in range(1, 60_000, 97)}
    outcomes = run(4, lambda day: [group(block, long, day, tcp_options=LINUX, tcp_window=64240, frag=0x4000)])
    assert [len(rows(outcome)) for outcome in outcomes] == [1] * 4
    assert len({row["campaign"] for outcome in outcomes for row in rows(outcome)}) == 1
    assert events(outcomes)[0][2] == "first-day" and len(events(outcomes)) == 1
    assert outcomes[0].findings[0].attributes["block"] == "81.0.1.0/24"


def test_udp_and_echo_sources_are_campaigns_too() -> None:
    def of(day: int) -> list:
        udp = group(
            addresses(40, 90 + day), {5683: 1.0}, day, proto=17, layers=9, tcp_options=0, tcp_window=0
        )
        ordinary = [
            group(
                addresses(60, 190 + day * 10 + n),
                {port: 1.0},
                day,
                proto=17,
                layers=9,
                tcp_options=0,
                tcp_window=0,
                frag=0x4000,
            )
            for n, port in enumerate((53, 123, 161, 1900))
        ]
        return [udp, *ordinary]

    found = rows(run(2, of)[1])
    assert [row["ports"] for row in found if "DF" not in row["header"]] == ["5683 100 %"]


def test_a_flood_on_one_address_is_no_campaign() -> None:
    outcome = run(
        1, lambda day: [batch(day, src=addresses(3000, 5), dst=0x0A000007, tcp_options=0, tcp_window=512)]
    )[0]
    assert rows(outcome) == []


def test_a_standing_population_that_crosses_the_threshold_is_no_birth() -> None:
    sizes = (7, 6, 7, 5, 7, 12)
    outcomes = run(6, lambda day: [bots(sizes[day], {9999: 1.0}, day)])
    assert events(outcomes) == []
    outcomes = run(6, lambda day: [bots(sizes[day], {9999: 1.0}, day)] if day == 5 else [])
    assert [event[::2] for event in events(outcomes)] == [(5, "birth")]


def test_a_campaign_that_doubles_from_a_few_sources_is_born_all_the_same() -> None:
    outcomes = run(6, lambda day: [bots(2 << day, {9999: 1.0}, day)] if day else [])
    told = events(outcomes)
    assert [event for event in told if event[2] == "birth"] == told[:1] and told[0][0] in (2, 3)
    assert len({name for _, name, _ in told}) == 1


def test_a_new_campaign_on_other_ports_says_which_one_it_may_continue() -> None:
    # All addresses and all ports new, a header that others have as well: nothing joins the two but the time.
    ordinary = {"tcp_options": LINUX, "tcp_window": 64240, "frag": 0x4000, "ttl": 52}
    outcomes = run(
        5,
        lambda day: [group(addresses(90, 30 + day), {6001 if day < 3 else 7001: 1.0}, day, **ordinary)],
    )
    births = [finding for finding in outcomes[3].findings if "birth" in finding.attributes["events"]]
    assert len(births) == 1
    assert births[0].attributes["related"][0].startswith(f"may continue {rows(outcomes[0])[0]['campaign']}")


def test_a_fingerprint_found_names_its_campaign_and_is_its_check_and_a_tool_goes_before_it() -> None:
    src = [addresses(60, 1000 + day).tolist() for day in range(2)]
    relation = "tcp.seq == rotl32(ip.dst, 7)"

    def tables(day: int) -> dict:
        found = pa.table(
            {
                "src": pa.array(src[day], pa.uint32()),
                "relation": [relation] * 60,
                "hits": pa.array([5] * 60, pa.int64()),
            }
        )
        named = {"darknet.tools:sources": tools_table(dict.fromkeys(src[day], "mozi"))} if day else {}
        return {"darknet.fingerprint:sources": found, **named}

    outcomes = run(2, lambda day: [bots(60, ROUTERS, day)], tables=tables)
    assert [rows(outcome)[0]["name"] for outcome in outcomes] == [relation, "mozi"]
    checks = [item.check.relation for item in outcomes[0].findings[0].evidence if item.check]
    assert checks[1].endswith(f"and ({relation})") and rows(outcomes[0])[0]["relation"] == relation
    assert rows(outcomes[0])[0]["campaign"] == rows(outcomes[1])[0]["campaign"]
    assert rows(outcomes[1])[0]["events"] == ""
