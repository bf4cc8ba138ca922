"""Bounds: what a flood can do to the tables, and what is said of it."""

from __future__ import annotations

from edges_world import START, batches, conclude, contacts, entries, random_rows, rows_of


def test_a_flood_of_made_up_names_leaves_whole_destinations_and_every_black_one() -> None:
    flood = [{"host": f"x{n}.y{n}.example", "terminal": "bad", "ts": START + n} for n in range(6000)]
    usual = random_rows(1500, seed=8)
    black = [{"host": "evil.black.example", "terminal": f"user{n}"} for n in range(9)]
    lists = entries({"value": "black.example"})
    whole = conclude(batches(usual + black, 1000), lists)
    outcome = conclude(batches(flood + usual + black, 1000), lists, edges=2000)
    coverage = rows_of(outcome.tables["coverage"])[0]
    assert coverage["edges"] <= 2000 and coverage["left_out"] > 3000
    assert coverage["left_out"] + sum(row["count"] for row in rows_of(outcome.tables["edges"])) == (
        coverage["contacts"] - coverage["unnamed"] - coverage["nowhere"]
    )
    assert outcome.findings[0].kind == "load-shed" and outcome.findings[0].count == coverage["left_out"]
    before = {row["destination"]: row for row in rows_of(whole.tables["destinations"])}
    after = {row["destination"]: row for row in rows_of(outcome.tables["destinations"])}
    assert after["evil.black.example"]["visitors"] == 9
    kept = [name for name in after if name in before]
    assert kept
    for name in kept:  # a destination that stays is exact
        of_others = {column: after[name][column] for column in ("rare_agent", "domain_seen")}
        assert after[name] == before[name] | of_others
    assert "user" not in outcome.findings[0].statement and "bad" in outcome.findings[0].statement


def test_turning_agents_costs_rows_only_within_the_bound() -> None:
    turned = [{"agent": f"agent {n}", "ts": START + n} for n in range(3000)]
    outcome = conclude([contacts(*turned)], edges=100_000)
    edge = rows_of(outcome.tables["edges"])
    assert len(edge) == 1 and edge[0]["count"] == 3000
    assert rows_of(outcome.tables["terminals"])[0]["agents"] > 2900
    assert conclude([contacts(*turned)], edges=100).tables["edges"].num_rows <= 1


def test_names_longer_than_dns_allows_are_no_destination() -> None:
    outcome = conclude(
        [contacts({"host": "a" * 300 + ".example"}, {"host": "a" * 249 + ".com"}, {"terminal": "-"})]
    )
    coverage = rows_of(outcome.tables["coverage"])[0]
    assert (coverage["nowhere"], coverage["unnamed"], coverage["edges"]) == (1, 1, 1)


def test_names_of_users_and_devices_are_cut_where_they_are_too_long() -> None:
    rows = [
        {"terminal": "t" * 9000, "user": "\U0001f600" * 100, "address": "a" * 255},
        {"terminal": "u" * 255},
    ]
    made = {row["terminal"]: row for row in rows_of(conclude([contacts(*rows)]).tables["terminals"])}
    assert set(made) == {"t" * 60, "u" * 255}
    assert made["t" * 60]["users"] == ["\U0001f600" * 60] and made["t" * 60]["addresses"] == ["a" * 255]


def test_sizes_that_no_contact_has_do_not_overflow() -> None:
    outcome = conclude([contacts(*({"bytes_in": 2**63 - 1, "bytes_out": 2**63 - 1} for _ in range(50)))])
    edge = rows_of(outcome.tables["edges"])[0]
    assert edge["bytes_in"] == 50 * 2**40 and set(edge["sizes"]) == {2**32 - 1}
