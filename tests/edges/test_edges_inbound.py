"""Contacts of outsiders with servers of ours are no contacts of terminals."""

from __future__ import annotations

from typing import Any

import pytest
from edges_world import contacts, rows_of

from andon.detect.livenet.edges import engine
from andon.records.contract import Site
from andon.run.contract import check_engine

SCANNER = {
    "terminal": "203.0.113.9",
    "address": "203.0.113.9",
    "user": "",
    "host": "shop.example",
    "server": "10.0.0.5",
}
PROBE = SCANNER | {"host": "jd.example", "server": ""}  # of a proxy that we do not run


def _talk(*rows: dict[str, Any], **site: Any) -> tuple[list[str], dict[str, Any]]:
    outcome = check_engine(engine(Site(**site)), [contacts(row) for row in rows])
    (coverage,) = rows_of(outcome.tables["coverage"])
    return [row["terminal"] for row in rows_of(outcome.tables["edges"])], coverage


def test_who_asks_a_server_of_ours_from_outside_is_no_terminal() -> None:
    terminals, coverage = _talk(SCANNER, SCANNER | {"host": "10.0.0.5", "server": ""}, {})
    assert terminals == ["alice"]
    assert (coverage["contacts"], coverage["inbound"], coverage["left_out"]) == (3, 2, 0)


@pytest.mark.parametrize(
    ("row", "given", "counts"),
    [
        (PROBE, (), True),  # terminals may have public addresses
        (PROBE, ("10.0.0.0/8",), False),
        (SCANNER | {"user": "bob"}, (), True),  # known by name: at home, perhaps
        (SCANNER | {"user": "bob"}, ("10.0.0.0/8",), True),
        (SCANNER, ("203.0.113.0/24",), True),
        (SCANNER | {"address": ""}, (), True),
        (SCANNER | {"address": "addr-f00"}, (), True),
        (SCANNER | {"server": "198.51.100.1"}, (), True),
        (SCANNER | {"address": "2001:db8::1", "server": "fd00::5"}, (), False),
    ],
)
def test_who_is_a_terminal(row: dict[str, Any], given: tuple[str, ...], counts: bool) -> None:
    terminals, coverage = _talk(row, inside=given)
    assert (len(terminals), coverage["inbound"]) == ((1, 0) if counts else (0, 1))
