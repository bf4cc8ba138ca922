"""Colours, folding and the memory."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from edges_world import DAY, HOUR, START, conclude, contacts, entries, rows_of

from andon.detect.livenet.edges.lists import Lists


def _colours(lists: pa.Table, *rows: dict[str, Any], **settings: int) -> dict[str, dict[str, Any]]:
    outcome = conclude([contacts(*rows)], lists, **settings)
    return {row["destination"]: row for row in rows_of(outcome.tables["destinations"])}


def _hosts(lists: pa.Table, *names: str, **settings: int) -> dict[str, str]:
    found = _colours(lists, *({"host": name} for name in names), **settings)
    return {name: found[name]["colour"] for name in names}


def test_a_domain_matches_names_below_it_and_a_host_itself_alone() -> None:
    lists = entries({"value": "x.example"}, {"value": "h.y.example", "type": "host"})
    assert _hosts(lists, "x.example", "a.b.x.example", "ax.example", "h.y.example", "a.h.y.example") == {
        "x.example": "black", "a.b.x.example": "black", "ax.example": "gray", "h.y.example": "black",
        "a.h.y.example": "gray",
    }  # fmt: skip


def test_addresses_match_by_themselves_and_by_prefix() -> None:
    lists = entries(
        {"value": "192.0.2.7", "type": "address"},
        {"value": "198.51.100.0/25", "type": "prefix"},
        {"value": "203.0.113.0/24", "type": "prefix", "colour": "white"},
        {"value": "2001:db8:1::/48", "type": "prefix"},
    )
    asked = ("192.0.2.7", "192.0.2.8", "198.51.100.127", "198.51.100.128", "203.0.113.9", "2001:db8:1::5")
    assert _hosts(lists, *asked, "2001:db8:2::5") == {
        "192.0.2.7": "black", "192.0.2.8": "gray", "198.51.100.127": "black", "198.51.100.128": "gray",
        "203.0.113.9": "white", "2001:db8:1::5": "black", "2001:db8:2::5": "gray",
    }  # fmt: skip


def test_an_entry_for_a_port_holds_where_the_port_was_contacted() -> None:
    lists = entries(
        {"value": "192.0.2.7", "type": "address", "port": 8080}, {"value": "x.example", "port": 81}
    )
    found = _colours(
        lists,
        {"host": "192.0.2.7", "port": 443},
        {"host": "x.example", "port": 80},
        {"host": "x.example", "port": 81},
    )
    assert found["192.0.2.7"]["colour"] == "gray" and found["x.example"]["colour"] == "black"
    assert found["x.example"]["lists"] == ["mine: domain x.example:81"]


def test_the_server_behind_a_name_does_not_make_the_name_black() -> None:
    lists = entries({"value": "198.51.100.1", "type": "address"})
    assert (
        _colours(lists, {"host": "cdn.example", "server": "198.51.100.1"})["cdn.example"]["colour"] == "gray"
    )


def test_a_ranking_is_white_down_to_the_rank_of_the_setting() -> None:
    ranked = {"colour": "white", "list": "tranco"}
    lists = entries(
        {"value": "a.example", "rank": 10, **ranked}, {"value": "b.example", "rank": 11, **ranked}
    )
    assert _hosts(lists, "www.a.example", "b.example", rank=10) == {
        "www.a.example": "white",
        "b.example": "gray",
    }
    assert _hosts(lists, "www.a.example", rank=0) == {"www.a.example": "gray"}


def test_black_beats_a_ranking_and_the_operator_beats_a_domain_on_a_black_list() -> None:
    ranking = {"colour": "white", "list": "tranco", "rank": 3}
    own = {"colour": "white", "list": "ours"}
    lists = entries(
        {"value": "cdn.example"}, {"value": "cdn.example", **ranking},
        {"value": "ours.example"}, {"value": "ours.example", **own},
        {"value": "evil.ours.example"}, {"value": "exact.ours.example", "type": "host"},
        {"value": "wide.example"}, {"value": "good.wide.example", **own},
    )  # fmt: skip
    own_names = ("www.ours.example", "evil.ours.example", "exact.ours.example", "good.wide.example")
    found = _colours(lists, *({"host": name} for name in ("cdn.example", "a.wide.example", *own_names)))
    assert {name: row["colour"] for name, row in found.items()} == {
        "cdn.example": "black",  # a rank is no innocence
        "www.ours.example": "white",  # the operator has decided about this domain
        "evil.ours.example": "black",  # and not about a more specific entry
        "exact.ours.example": "black",  # nor about this very host
        "good.wide.example": "white",
        "a.wide.example": "black",
    }
    assert (
        "mine: domain ours.example (overruled by a white list of the operator)"
        in found["www.ours.example"]["lists"]
    )
    assert sorted(found["cdn.example"]["lists"]) == [
        "mine: domain cdn.example",
        "tranco rank 3: domain cdn.example",
    ]


def test_a_cdn_on_the_black_list_stays_black_with_the_facts_to_doubt_it() -> None:
    lists = entries({"value": "cdn.example", "family": "emotet", "added": START - 400 * DAY})
    rows = [{"host": "cdn.example", "terminal": f"user{n}"} for n in range(300)]
    first = conclude([contacts(*rows)], lists)
    later = conclude(
        [contacts(*({**row, "ts": START + 30 * DAY} for row in rows))], lists, first.carry, day=30
    )
    row = rows_of(later.tables["destinations"])[0]
    assert (row["colour"], row["visitors"], row["fresh"]) == ("black", 300, False)
    assert row["lists"] == ["mine/emotet since 2024-11-27: domain cdn.example"]
    assert row["first_seen"] == START


def test_an_entry_is_fresh_when_it_is_of_late_or_of_unknown_date() -> None:
    lists = entries(
        {"value": "old.example", "added": START - 90 * DAY}, {"value": "new.example", "added": START - 5 * DAY},
        {"value": "some.example"},
    )  # fmt: skip
    found = _colours(lists, {"host": "old.example"}, {"host": "new.example"}, {"host": "some.example"})
    assert {name: row["fresh"] for name, row in found.items()} == {
        "old.example": False, "new.example": True, "some.example": True,
    }  # fmt: skip


def test_names_of_one_hash_are_compared_and_a_crowded_value_keeps_every_colour() -> None:
    many = [{"value": "x.example", "list": f"list{n}"} for n in range(5000)]
    lists = Lists(entries(*many, {"value": "x.example", "colour": "white", "list": "ours"}), 10)
    assert lists.flags(pa.array(["x.example", "a.x.example", "y.example"])).tolist() == [2, 2, 0]


def test_a_domain_of_too_many_names_folds_and_listed_names_stay_apart() -> None:
    rows = [{"host": f"n{n}.many.example", "ts": START + n * 10**9, "terminal": "alice"} for n in range(12)]
    rows += [{"host": f"n{n}.few.example"} for n in range(5)]
    found = _colours(entries({"value": "n3.many.example", "type": "host"}), *rows, names=10)
    assert set(found) == {"*.many.example", *(f"n{n}.few.example" for n in range(5)), "n3.many.example"}
    star = found["*.many.example"]
    assert (star["folded"], star["count"], star["visitors"], star["domain"]) == (11, 11, 1, "many.example")
    assert found["n3.many.example"]["colour"] == "black"
    edges = rows_of(conclude([contacts(*rows)], names=10).tables["edges"])
    times = next(edge["times"] for edge in edges if edge["destination"] == "*.many.example")
    assert times == [n * 1000 for n in range(12)]


def test_addresses_and_names_of_one_public_suffix_do_not_fold() -> None:
    rows = [{"host": f"me{n}.github.io"} for n in range(30)] + [{"host": f"192.0.2.{n}"} for n in range(30)]
    assert len(_colours(entries(), *rows, names=3)) == 60


def test_the_first_visit_is_remembered_and_forgotten_after_the_days_of_the_setting() -> None:
    first = conclude([contacts({"host": "old.example"}, {"host": "a.many.example"})])
    row = rows_of(first.tables["destinations"])[0]
    assert (row["first_seen"], row["age_known"]) == (START, False)  # everything is new on the first day
    again = {"ts": START + 3 * DAY + HOUR}
    third = conclude(
        [contacts({**again, "host": "old.example"}, {**again, "host": "b.many.example"})],
        None,
        first.carry,
        day=3,
    )
    found = {row["destination"]: row for row in rows_of(third.tables["destinations"])}
    assert (found["old.example"]["first_seen"], found["old.example"]["age_known"]) == (START, False)
    new = found["b.many.example"]
    assert (new["first_seen"], new["age_known"], new["domain_seen"]) == (again["ts"], True, START)
    late = {"ts": START + 80 * DAY, "host": "old.example"}
    lost = conclude([contacts(late)], None, third.carry, day=80)
    assert rows_of(lost.tables["destinations"])[0]["first_seen"] == late["ts"]


def test_a_full_memory_forgets_the_longest_unseen_and_says_how_many() -> None:
    first = conclude([contacts(*({"host": f"192.0.2.{n}"} for n in range(50)))], memory=60)
    day = [contacts(*({"host": f"198.51.100.{n}", "ts": START + DAY} for n in range(40)))]
    second = conclude(day, None, first.carry, day=1, memory=60)
    coverage = rows_of(second.tables["coverage"])[0]
    assert (coverage["remembered"], coverage["forgotten"]) == (60, 30)
    third = conclude(day, None, second.carry, day=1, memory=60)
    assert {row["first_seen"] for row in rows_of(third.tables["destinations"])} == {START + DAY}


def test_settings_out_of_range_are_refused() -> None:
    for setting in ({"edges": 0}, {"rank": -1}, {"days": 0}):
        with pytest.raises(ValueError, match=r"livenet\.edges"):
            conclude([], **setting)
