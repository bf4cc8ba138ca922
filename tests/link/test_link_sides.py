"""What must not be joined by address, and what must: loaders, carriers' NAT, surveys, port sets, clocks, leases."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from link_world import BASE, DAY, FIRST, HOUR, World, concluded, context, counts, families, links_of, sources

from andon.detect.darknet import link
from andon.detect.darknet.link.lease import DEFAULT, SHORTEST, Leases
from andon.records import joint
from andon.records.contract import Site

AB = {(f"F-{n}", "token", f"TOKEN-{n}") for n in "AB"}


def two_families(each: int = 20) -> World:
    world = World()
    families(world, each=each, names=("A", "B"))
    return world


def test_what_a_loader_shows_counts_for_the_bot_it_follows() -> None:
    world = two_families()
    loader = BASE + 5
    for n, src in enumerate(sources(10, seed=7).tolist()):
        at = n * HOUR
        world.see(src, at, "F-L")
        world.visit(src, at + 60, ("credential", f"root:{n % 3}"))
        world.visit(
            loader, at + 300, ("credential", f"root:{n % 3}"), ("url-base", "/bins/l."), role=joint.LOADER
        )
    world.visit(loader, 20 * HOUR, ("credential", "nobody:before"), role=joint.LOADER)
    outcome = concluded(world)[-1]
    assert ("F-L", "url-base", "/bins/l.") in links_of(outcome)
    rows = outcome.tables["loaders"].to_pylist()
    assert (
        len(rows) == 10
        and {row["delay_s"] for row in rows} == {240}
        and {row["address"] for row in rows} == {loader}
    )
    assert {row["bot"] for row in rows} == set(sources(10, seed=7).tolist()) and rows[0]["by_chance"] < 0.5
    assert loader not in set(outcome.tables["matches"]["src"].to_pylist())
    finding = next(f for f in outcome.findings if "url-base" in f.subject[1])
    assert any("10 of the sources have it by a loader" in item.statement for item in finding.evidence)


def test_an_address_with_two_fingerprints_at_once_gets_no_label() -> None:
    world = two_families()
    shared = sources(30, seed=11).tolist()
    for n, src in enumerate(shared):
        for mark in ("F-A", "F-B"):
            world.see(src, n * 600, mark, until=n * 600 + HOUR)
        world.visit(src, n * 600 + 60, ("token", "TOKEN-A"))
        world.visit(src, n * 600 + 90, ("token", "TOKEN-B"))
    outcome = concluded(world)[-1]
    assert links_of(outcome) == AB
    assert counts(outcome)["sessions of addresses shared by several kinds"] == 60
    assert not set(shared) & set(outcome.tables["matches"]["src"].to_pylist())


def test_an_address_that_changed_hands_goes_with_the_nearest_sighting() -> None:
    world = two_families()
    for n, src in enumerate(sources(8, seed=12).tolist()):
        world.see(src, n * 60, "F-OLD", until=n * 60 + HOUR)
        world.see(src, 15 * HOUR + n * 60, "F-NEW", until=17 * HOUR)
        world.visit(src, 16 * HOUR, ("token", "NEW"))
    assert links_of(concluded(world)[-1]) == AB | {("F-NEW", "token", "NEW")}


def test_surveys_relays_lists_and_addresses_of_nobody_take_no_part() -> None:
    world = two_families()
    listed, survey, judged, private = (sources(8, seed=s) for s in (21, 22, 23, 24))
    private = (10 << 24) + (private & 0xFFFFFF)
    for part, mark in ((listed, "F-TOR"), (survey, "F-SUR"), (judged, "F-JUD"), (private, "F-PRI")):
        for n, src in enumerate(part.tolist()):
            world.see(src, n * HOUR, mark)
            world.visit(
                src, n * HOUR + 60, ("token", mark), role=joint.SURVEY if part is survey else joint.BOT
            )
    world.visit("2001:db8::1", HOUR, ("token", "SIX"))
    tor = pa.table({"cidr": [f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/32" for a in listed.tolist()] + ["x"],
                    "organisation": ["Tor exit"] * 9})  # fmt: skip
    engine = link.engine(Site(lists={"tor": tor}))
    tables = world.tables(0)
    tables["darknet.purpose:sources"] = pa.table(
        {"src": pa.array(judged, pa.uint32()), "purpose": ["survey"] * len(judged)}
    )
    outcome = engine.conclude(engine.empty(), None, context(0, tables))
    assert links_of(outcome) == AB
    told = counts(outcome)
    assert told["list tor (today)"] == 16 and told["entries of lists that are no prefixes"] == 1
    assert told["nobody (today)"] == 16 and told["sessions from IPv6 (today)"] == 1
    assert told["survey in the darknet (today)"] == 8 and told["survey and relay sessions (today)"] == 16


def test_families_without_a_fingerprint_are_joined_by_their_ports() -> None:
    rng = np.random.default_rng(3)
    world = two_families()
    for n, src in enumerate(sources(60, seed=31).tolist()):
        world.see(src, n * 600, ports="23,2323,9527" if n % 2 else "23")
        world.visit(src, n * 600 + 60, ("token", "PORTS" if n % 2 else f"T{rng.integers(0, 5)}"))
    for src in sources(300, seed=32).tolist():  # the rest of the world: one port of many
        world.see(src, int(rng.integers(0, DAY)), ports=str(rng.choice([23, 80, 445, 22, 8080])))
    outcome = concluded(world)[-1]
    assert links_of(outcome) == AB | {("23,2323,9527", "token", "PORTS")}
    finding = next(f for f in outcome.findings if "PORTS" in f.subject[1])
    assert finding.attributes["port_set"] == "23,2323,9527"


def test_a_common_port_and_a_port_that_is_there_by_chance_make_no_mark() -> None:
    rng = np.random.default_rng(5)
    world = two_families()
    for n, src in enumerate(sources(400, seed=33).tolist()):
        # One family on port 22; any source asks for 1433 as well one time in ten, by chance.
        bot = n % 2
        chance = rng.random() < 0.1
        world.see(src, n * 60, ports=("22" if bot else "80") + (",1433" if chance else ""))
        world.visit(src, n * 60 + 30, ("token", "SHELL" if bot else f"T{rng.integers(0, 9)}"))
    assert links_of(concluded(world)[-1]) == AB


def surveys(world: World, seconds: int, count: int, seed: int) -> None:
    """Sources that pass both sensors within half a minute, by their clocks ``seconds`` apart."""
    rng = np.random.default_rng(seed)
    for src in sources(count, seed).tolist():
        at = int(rng.integers(DAY, 2 * DAY - 12 * HOUR))
        world.see(src, at, "")
        world.visit(src, at + seconds + int(rng.integers(0, 30)), ("client", "scan"), role=joint.SURVEY)


def test_a_clock_nine_hours_ahead_is_found_and_corrected() -> None:
    world = two_families()
    surveys(world, 9 * HOUR, 40, seed=61)
    outcome = concluded(world)[-1]
    (row,) = outcome.tables["offset"].to_pylist()
    assert row["method"] == "peak" and row["applied"] and abs(row["offset_s"] - 9 * HOUR) <= 30
    assert row["sources"] >= 40 and row["expected"] < 2 and row["log10_p"] < -10
    # Everything of the honeypot is set back, so that its bots now come nine hours before their sightings.
    lags = outcome.tables["links"]["lag_median"].cast(pa.int64()).to_numpy() / 1e9
    assert (lags < 0).all()
    assert outcome.findings == () or outcome.findings[0].attributes["clock_offset_s"] == row["offset_s"]


def short_lived(world: World, count: int, offset: int, seed: int) -> None:
    """Sources active at both sensors for the same half day, at times of their own."""
    rng = np.random.default_rng(seed)
    for src in sources(count, seed).tolist():
        begin = int(rng.integers(2 * DAY, 5 * DAY))
        for at in rng.integers(0, DAY // 2, 3).tolist():
            world.see(src, begin + at)
            world.visit(src, begin + int(rng.integers(0, DAY // 2)) + offset, ("client", "x"))


@pytest.mark.parametrize("hours", [-9, 6])
def test_a_wrong_time_zone_is_found_without_fast_surveys(hours: int) -> None:
    world = World()
    short_lived(world, 200, hours * HOUR, seed=71)
    (row,) = concluded(world)[-1].tables["offset"].to_pylist()
    assert row["method"] == "middle" and row["applied"] and row["low_s"] < hours * HOUR < row["high_s"]
    assert abs(row["offset_s"] - hours * HOUR) < 3000 and row["log10_p"] < -5


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_offset_is_claimed_without_evidence(seed: int) -> None:
    world = two_families(each=60)  # whose sessions come an hour or two after their first probe
    short_lived(world, 150, 0, seed)
    (row,) = concluded(world)[-1].tables["offset"].to_pylist()
    assert not row["applied"] and row["offset_s"] == 0 and row["method"] == "" and row["compared"] >= 100


def test_where_addresses_change_fast_only_near_matches_count() -> None:
    """One /20 whose sources stay two hours, another whose sources stay for days."""
    fast, slow = BASE + (1 << 20), BASE + (2 << 20)
    world = two_families()
    for n in range(40):
        world.see(fast + (n % 16 << 8) + n, (n % 4) * HOUR, "F-X", until=(n % 4 + 2) * HOUR)
        for day in range(6):
            world.see(slow + (n % 16 << 8) + n, day * DAY + n * 60, "F-Y", until=day * DAY + 20 * HOUR)
    for n in range(40):
        world.visit(fast + (n % 16 << 8) + n, 20 * HOUR, ("token", "X"))
        world.visit(slow + (n % 16 << 8) + n, 5 * DAY + 23 * HOUR, ("token", "Y"))
    outcome = concluded(world)[-1]
    found = links_of(outcome)
    assert ("F-Y", "token", "Y") in found and ("F-X", "token", "X") not in found
    carry = outcome.carry
    assert carry is not None
    leases = Leases(carry.darknet, (FIRST + 6) * DAY)
    stay = leases.of(np.array([fast, slow, BASE], np.uint32))
    assert stay[0] < 4 * HOUR and stay[1] > 4 * DAY and stay[2] == DEFAULT
    assert leases.reach(np.array([fast, slow], np.uint32)).tolist() == [SHORTEST, DAY]


def test_a_session_that_is_told_twice_counts_once() -> None:
    """Heralding writes its sessions as CSV and as JSON; whoever gives both gives each session twice."""
    world = two_families()
    tables = world.tables(0)
    twice = tables | {
        name: pa.concat_tables([tables[name]] * 2) for name in tables if name.startswith("intel.session:")
    }
    once, again = (
        engine.conclude(engine.empty(), None, context(0, given))
        for engine, given in ((link.engine(Site()), tables), (link.engine(Site()), twice))
    )
    assert again.tables["links"].equals(once.tables["links"]) and links_of(again) == AB
    assert counts(again)["sessions told twice (today)"] == 40 and "sessions told twice (today)" not in counts(
        once
    )
