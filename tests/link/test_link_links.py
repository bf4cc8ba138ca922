"""What goes together is linked with its chance beside it; what does not is not."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from link_world import (
    BASE,
    DAY,
    FIRST,
    HOUR,
    SECOND,
    World,
    concluded,
    context,
    counts,
    families,
    links_of,
    sources,
)

from andon.detect.darknet import link
from andon.detect.darknet.link.history import History
from andon.records import joint
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError

ABC = {(f"F-{n}", "token", f"TOKEN-{n}") for n in "ABC"}


def test_three_families_are_three_links_and_no_more() -> None:
    world = World()
    families(world)
    outcome = concluded(world)[-1]
    assert links_of(outcome) == ABC
    assert {finding.series for finding in outcome.findings} == set(
        outcome.tables["links"]["series"].to_pylist()
    )
    for row in outcome.tables["links"].to_pylist():
        assert row["mark_kind"] == joint.MARK_FINGERPRINT and row["sources"] >= 15
        assert row["networks_24"] == row["sources"] and row["decoys"] < 0.5
        assert row["p_value"] < 1e-8 and row["fdr"] <= 0.05 and 2.5 < row["effect"] < 3.5
        assert 0.5 < row["probability"] <= 1 and row["first"] <= row["last"]


def test_the_sql_of_a_finding_counts_its_sources_and_can_fail() -> None:
    world = World()
    families(world)
    nasty = "x' OR '1'='1"
    for n, src in enumerate(sources(8, seed=9).tolist()):
        world.see(src, n * HOUR, "F'Q")
        world.visit(src, n * HOUR + 60, ("credential", nasty))
    outcome = concluded(world)[-1]
    darknet_link_matches = outcome.tables["matches"]
    assert darknet_link_matches.num_rows
    connection = duckdb.connect()
    connection.register("darknet_link_matches", darknet_link_matches)
    assert len(outcome.findings) == 4
    for finding in outcome.findings:
        check = finding.evidence[0].check
        assert check is not None and check.tool == "sql" and check.relation == ""
        (got,) = connection.execute(check.expression).fetchone() or (None,)
        assert got == finding.attributes["sources"] == len(finding.entities)
        assert check.by_chance == pytest.approx(finding.attributes["decoys"], abs=1e-3)
    assert any(nasty in finding.subject[1] for finding in outcome.findings)


def test_a_finding_says_what_a_reader_needs() -> None:
    world = World()
    families(world)
    for n, src in enumerate(sources(8, seed=9).tolist()):
        world.see(src, n * HOUR, "F-W")
        world.visit(
            src,
            n * HOUR + 600,
            ("exploit", "CVE-2017-17215"),
            ("url", "http://198.51.100.9/bins/x\x1b[2J"),
            port=80,
        )
    findings = {f.subject[1]: f for f in concluded(world)[-1].findings}
    exploit = findings["F-W ~ exploit:CVE-2017-17215"]
    assert exploit.kind == "malware-link" and exploit.attributes["cve"] == "CVE-2017-17215"
    assert exploit.attributes["fingerprint"] == "F-W" and exploit.attributes["honeypot_ports"] == [80]
    assert exploit.attributes["lag_median_s"] == 600 and exploit.attributes["clock_offset_s"] is None
    assert "in the same /24" in exploit.statement and "8 sources in 8 /24s" in exploit.statement
    url = next(f for name, f in findings.items() if ":http" in name)
    assert "hxxp://198[.]51[.]100[.]9/bins/x\\x1b[2J" in url.title and "\x1b" not in url.title + url.statement
    assert url.evidence[0].check is None  # a value with control characters goes into no query
    assert all(finding.to_json() for finding in findings.values())


def test_links_are_told_once_and_again_when_they_have_doubled() -> None:
    world = World()
    families(world, each=10)
    for day, more in ((1, 3), (2, 12)):
        for n, src in enumerate(sources(more, seed=40 + day).tolist()):
            world.see(src, day * DAY + n * HOUR, "F-A")
            world.visit(src, day * DAY + n * HOUR + 60, ("token", "TOKEN-A"))
    told = [{finding.subject[1] for finding in outcome.findings} for outcome in concluded(world)]
    assert told == [{f"F-{n} ~ token:TOKEN-{n}" for n in "ABC"}, set(), {"F-A ~ token:TOKEN-A"}]


def test_findings_beyond_the_limit_are_told_the_next_day() -> None:
    world = World()
    families(world)
    outcomes = concluded(world, Site(settings={"darknet.link.told": 2}), days=2)
    assert [len(outcome.findings) for outcome in outcomes] == [2, 1]
    assert "1 further new links" in outcomes[0].findings[0].statement
    assert outcomes[0].tables["links"].num_rows == 3


def test_honeypot_logs_of_another_time_link_nothing() -> None:
    world = World()
    families(world)
    moved = World(world.sightings, world.sets)
    for row in world.behaviours:
        if row["kind"] == "token":
            moved.visit(row["address"], row["at"] // SECOND - FIRST * DAY + 12 * DAY, ("token", row["value"]))
    outcomes = concluded(moved)
    assert counts(outcomes[-1]) == {} and not any(outcome.tables["links"].num_rows for outcome in outcomes)


def test_families_given_out_at_random_link_nothing() -> None:
    linked = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        world = World()
        for src in sources(90, seed).tolist():
            at = int(rng.integers(0, DAY - 8 * HOUR))
            world.see(src, at, f"F-{rng.integers(0, 4)}", until=at + HOUR)
            world.visit(
                src, at + 60, ("token", f"T{rng.integers(0, 4)}"), ("credential", f"u:{rng.integers(0, 9)}")
            )
        linked += concluded(world)[-1].tables["links"].num_rows > 0
    assert linked == 0


def test_a_block_whose_every_address_matches_is_no_link_of_addresses() -> None:
    """A third of three /24s shows the mark, and comes to the honeypot from any address of them: moved addresses match
    as often."""
    rng = np.random.default_rng(4)
    world = World()
    families(world, names=("A", "B"))
    for network in (BASE + (70_000 << 8) % (1 << 22), BASE + (1 << 20), BASE + (1 << 21)):
        for host in rng.permutation(254).tolist():
            world.see(network + 1 + host, int(rng.integers(0, DAY // 2)), "F-BLOCK", until=DAY // 2 + HOUR)
        for host in rng.permutation(254)[:40].tolist():
            world.visit(network + 1 + host, int(rng.integers(DAY // 4, DAY // 2)), ("token", "BLOCK"))
    outcome = concluded(world)[-1]
    assert ("F-A", "token", "TOKEN-A") in links_of(outcome)
    assert ("F-BLOCK", "token", "BLOCK") not in links_of(outcome)


def test_one_network_is_no_proof_however_many_sources_it_has() -> None:
    world = World()
    families(world, names=("A", "B"))
    for host in range(1, 60, 2):
        world.see(BASE + (1 << 20) + host, HOUR, "F-ONE")
        world.visit(BASE + (1 << 20) + host, HOUR + 60, ("token", "ONE"))
    assert links_of(concluded(world)[-1]) == {(f"F-{n}", "token", f"TOKEN-{n}") for n in "AB"}


def test_history_is_joined_across_days() -> None:
    world = World()
    for day, (part, seed) in enumerate((("A", 1), ("B", 2), ("A", 3), ("B", 4))):
        for src in sources(6, seed).tolist():
            world.see(src, day * DAY + 23 * HOUR, f"F-{part}")
            world.visit(src, (day + 1) * DAY + HOUR, ("token", f"TOKEN-{part}"))
    outcomes = concluded(world)
    assert links_of(outcomes[1]) == set()
    assert links_of(outcomes[-1]) == {(f"F-{n}", "token", f"TOKEN-{n}") for n in "AB"}
    forgetful = concluded(world, Site(settings={"darknet.link.days": 1}))
    assert links_of(forgetful[-1]) == set()


def test_without_honeypots_little_is_remembered() -> None:
    world = World()
    for day in range(6):
        world.see(BASE + day, day * DAY + HOUR, "F-A")
    kept = [outcome.carry for outcome in concluded(world)]
    assert [len(history.darknet) for history in kept if history is not None] == [1, 2, 2, 2, 2, 2]


def test_a_sample_keeps_the_same_sources_on_both_sides_and_says_so() -> None:
    world = World()
    families(world, each=400)
    outcome = concluded(world, Site(settings={"darknet.link.rows": 300, "darknet.link.sessions": 400}))[-1]
    told = counts(outcome)
    kept = outcome.carry
    assert kept is not None and told["one source in"] == 1 << kept.level == 4
    assert told["darknet rows left out of the sample"] == 1200 - len(kept.darknet)
    assert set(kept.darknet.src.tolist()) == set(kept.sessions.address.tolist())
    assert links_of(outcome) == ABC
    assert "one in 4 is remembered" in outcome.findings[0].statement


def test_a_flood_beyond_every_sample_drops_the_oldest_and_counts_them() -> None:
    world = World()
    families(world, each=400)
    outcome = concluded(world, Site(settings={"darknet.link.rows": 5, "darknet.link.sessions": 7}))[-1]
    kept, told = outcome.carry, counts(outcome)
    assert kept is not None and (len(kept.darknet), len(kept.sessions)) == (5, 7)
    assert told["one source in"] == 64
    assert told["darknet rows left out of the sample"] == 1195
    assert told["sessions left out of the sample"] == 1193


def test_the_engine_keeps_the_contract() -> None:
    world = World()
    families(world)
    tables = world.tables(0)
    engine = link.engine(Site())
    begin = FIRST * DAY * SECOND
    # check_engine has no rows to take the time from, so it concludes the first day of 1970: nothing is linked there.
    assert check_engine(engine, [], {}).carry is not None
    first = engine.conclude(engine.empty(), None, context(0, tables))
    shuffled = {
        name: table.take(np.random.default_rng(2).permutation(table.num_rows))
        for name, table in tables.items()
    }
    second = engine.conclude(engine.empty(), None, context(0, shuffled))
    assert first.carry is not None and second.carry is not None and begin > 0
    assert first.carry.to_bytes() == second.carry.to_bytes()
    assert [f.to_json() for f in first.findings] == [f.to_json() for f in second.findings]
    assert {n: t.to_pylist() for n, t in first.tables.items()} == {
        n: t.to_pylist() for n, t in second.tables.items()
    }
    assert all(table.schema.equals(engine.publishes[name]) for name, table in first.tables.items())
    data = first.carry.to_bytes()
    assert History.from_bytes(data).to_bytes() == data
    with pytest.raises(StateError):
        History.from_bytes(data[:-30])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"darknet\.link\.days is 0"):
        link.engine(Site(settings={"darknet.link.days": 0}))
