"""What a store knows of the site: who uses a destination, which addresses a name had, where a host is plugged in."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.records.livenet import DESTINATIONS, EDGES
from andon.records.triage import CONVERSATIONS
from andon.run.containment.known import DAY, addresses_of_names, used_by
from andon.run.containment.own import local_addresses
from andon.run.containment.places import read_places
from andon.store.casebook import Casebook, Conclusion

NOW = 1_780_000_000 * 10**9


def filled(schema: pa.Schema, rows: list[dict[str, object]]) -> pa.Table:
    """Rows with zeros and empty texts where nothing is said."""

    def empty(field: pa.Field) -> object:
        if pa.types.is_list(field.type):
            return []
        if pa.types.is_string(field.type):
            return ""
        return False if pa.types.is_boolean(field.type) else 0

    return pa.Table.from_pylist([{f.name: row.get(f.name, empty(f)) for f in schema} for row in rows], schema)


def published(book: Casebook, folder: Path, name: str, table: pa.Table, start: int, end: int) -> None:
    engine, _, short = name.partition(":")
    path = f"{engine}-{short}-{start}.parquet"
    pq.write_table(table, folder / path)
    kept = ((name, path, path, table.num_rows),)
    book.conclude(Conclusion(engine, 1, f"{end - start}", start, end, 1, tables=kept))


def test_users_of_a_destination_are_distinct_over_days_and_the_larger_count_of_logs_and_flows_holds(
    tmp_path: Path,
) -> None:
    with Casebook(tmp_path) as book:
        book.migrate()
        for days, hosts in ((40, ["x", "y", "z", "w", "v"]), (3, ["a", "b"]), (2, ["b", "c"])):
            rows: list[dict[str, object]] = [{"terminal": h, "destination": "cdn.example"} for h in hosts]
            rows.append({"terminal": "a", "destination": "only.example"})
            start = NOW - days * DAY
            published(book, tmp_path, "livenet.edges:edges", filled(EDGES, rows), start, start + DAY)
        flows: list[dict[str, object]] = [{"src": f"10.0.0.{n}", "dst": "203.0.113.9"} for n in range(4)]
        published(
            book,
            tmp_path,
            "triage.evidence:conversations",
            filled(CONVERSATIONS, flows),
            NOW - DAY,
            NOW - DAY // 2,
        )
        assert used_by(book, tmp_path, NOW) == {"cdn.example": 3, "203.0.113.9": 4}
        for file in tmp_path.glob("livenet*.parquet"):
            file.unlink()  # retention
        assert used_by(book, tmp_path, NOW) == {"203.0.113.9": 4}


def test_addresses_of_names_are_those_that_answered(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"destination": "bad.example", "servers": ["203.0.113.9", "2001:db8::9"]},
        {"destination": "203.0.113.77", "is_address": True, "servers": ["203.0.113.77"]},
    ]
    with Casebook(tmp_path) as book:
        book.migrate()
        published(
            book, tmp_path, "livenet.edges:destinations", filled(DESTINATIONS, rows), NOW - 2 * DAY, NOW - DAY
        )
        found = addresses_of_names(book, tmp_path, NOW)
    assert found == {"bad.example": [("2001:db8::9", NOW - DAY), ("203.0.113.9", NOW - DAY)]}


def test_places_are_read_and_mistakes_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    path.write_text("Key,switch,port,mac\npc7,core,12,00:11:22:33:44:55\n10.0.0.9,core,13,\n")
    assert read_places(path) == {"pc7": ("core", 12, "00:11:22:33:44:55"), "10.0.0.9": ("core", 13, "")}
    for text, what in (
        ("key,port\npc7,1\n", "switch"),
        ("key,switch,port\npc7,core,none\n", ":2: port"),
        ("key,switch,port\npc7,core,1\npc7,core,2\n", ":3:"),
        ("key,switch,port\n,core,1\n", ":2:"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=what):
            read_places(path)


def test_own_addresses_are_those_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 10.0.0.0/24 2 0 2\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n"
        "        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
    )
    (tmp_path / "if_inet6").write_text(
        "20010db8000000000000000000000005 02 40 00 80 eth0\nfe800000000000000000000000000005 02 40 20 80 eth0\n"
    )
    assert local_addresses(tmp_path) == ("10.0.0.5", "2001:db8::5")
    assert local_addresses(tmp_path / "nowhere") == ()
    assert all(not ip_address(one).is_loopback for one in local_addresses())
