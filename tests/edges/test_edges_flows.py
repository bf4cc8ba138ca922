"""Flows to destinations that no contact names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from edges_world import START, batches, contacts, random_rows, rows_of

from andon.detect.livenet.edges import engine
from andon.detect.livenet.edges.flows import AUTO
from andon.records.contract import Site
from andon.records.flow import FLOW
from andon.records.kinds import FLOW as KIND
from andon.records.kinds import marked
from andon.run.contract import check_engine


def _flows(*rows: dict[str, Any]) -> pa.RecordBatch:
    default = {
        "ts": START, "duration": -1, "terminal": "10.0.0.1", "src": "10.0.0.1", "dst": "203.0.113.1", "src_port": 1025,
        "dst_port": 2404, "protocol": "tcp", "service": "", "state": "SF", "answered": True, "bytes_out": 10,
        "bytes_in": 20, "packets_out": 1, "packets_in": 1, "source": "zeek-conn",
    }  # fmt: skip
    columns = []
    for field in FLOW:
        values = [(default | row)[field.name] for row in rows]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            columns.append(
                pa.array(values, pa.int64() if field.name == "ts" else field.type).cast(field.type)
            )
    return marked(pa.RecordBatch.from_arrays(columns, schema=FLOW), KIND)


def _edges(given: list[pa.RecordBatch], on: int = 1, **site: Any) -> list[tuple[str, str, int]]:
    made = engine(Site(settings={"livenet.edges.flows": on}, **site))
    outcome = check_engine(made, given)
    assert sum(row["flows"] for row in rows_of(outcome.tables["coverage"])) <= sum(b.num_rows for b in given)
    return [(row["terminal"], row["destination"], row["count"]) for row in rows_of(outcome.tables["edges"])]


def test_a_flow_to_what_no_contact_names_is_an_edge_if_that_is_wanted() -> None:
    given = [_flows({}, {"ts": START + 5}), contacts({"server": "203.0.113.2"})]
    assert _edges(given) == [("10.0.0.1", "203.0.113.1", 2), ("alice", "a.example", 1)]
    assert _edges(given, on=0) == [("alice", "a.example", 1)]


def test_a_flow_to_the_server_of_a_contact_is_said_already_whichever_comes_first() -> None:
    named = contacts({"server": "203.0.113.1"}, {"host": "203.0.113.9", "server": ""})
    flows = _flows({}, {"dst": "203.0.113.9"}, {"dst": "203.0.113.8"})
    for given in ([named, flows], [flows, named]):
        assert [edge[1] for edge in _edges(given)] == ["203.0.113.8", "203.0.113.9", "a.example"]


_NO_EDGE: list[dict[str, Any]] = [
    {"dst": "10.9.9.9"}, {"src": "198.51.100.7"}, {"dst_port": 53}, {"dst_port": 123}, {"protocol": "icmp"},
    {"dst": "224.0.0.251"}, {"dst": "255.255.255.255"}, {"dst": "ff02::1"}, {"terminal": "-"},
]  # fmt: skip


@pytest.mark.parametrize("row", [{"answered": False}, *_NO_EDGE])
def test_scans_insiders_and_the_services_of_every_machine_are_no_edges(row: dict[str, Any]) -> None:
    assert _edges([_flows(row)]) == []


def test_prefixes_and_pseudonyms_lie_inside_as_they_should() -> None:
    hidden = _flows({"src": "addr-abc", "terminal": "addr-abc"}, {"dst": "addr-def"})
    assert [edge[:2] for edge in _edges([hidden])] == [("addr-abc", "203.0.113.1")]
    mine = _flows({"src": "198.51.100.7", "terminal": "198.51.100.7"}, {})
    assert [edge[0] for edge in _edges([mine], inside=("198.51.100.0/24",))] == ["198.51.100.7"]


def test_a_day_without_contacts_takes_flows_answered_or_not() -> None:
    flows = _flows(
        {}, {"answered": False, "state": "S0"}, {"dst": "203.0.113.2", "state": "REJ"}, {"dst": "10.9.9.9"}
    )
    outcome = check_engine(engine(Site()), [flows])
    assert [
        (row["destination"], row["count"], row["failed"], len(row["times"]))
        for row in rows_of(outcome.tables["edges"])
    ] == [("203.0.113.1", 2, 1, 2), ("203.0.113.2", 1, 1, 1)]
    (coverage,) = rows_of(outcome.tables["coverage"])
    assert (coverage["contacts"], coverage["flows"], coverage["left_out"]) == (0, 3, 0)
    (terminal,) = rows_of(outcome.tables["terminals"])
    assert (terminal["terminal"], terminal["addresses"], terminal["failed"]) == ("10.0.0.1", ["10.0.0.1"], 2)


@pytest.mark.parametrize("row", _NO_EDGE)
def test_a_day_without_contacts_takes_no_flows_of_insiders_and_of_every_machine(row: dict[str, Any]) -> None:
    assert _edges([_flows(row)], on=AUTO) == []


@pytest.mark.parametrize("first", [0, 2, 5])
def test_a_conn_log_beside_contacts_changes_nothing(first: int) -> None:
    named = batches(random_rows(400, seed=11), 90)
    flows = [_flows(*({"ts": START + n, "dst": f"203.0.113.{n % 50}"} for n in range(100)))]
    with_flows, without = (
        check_engine(engine(Site()), given) for given in ([*named[:first], *flows, *named[first:]], named)
    )
    assert with_flows.tables == without.tables and with_flows.findings == without.findings
    assert with_flows.carry is not None and without.carry is not None
    assert with_flows.carry.to_bytes() == without.carry.to_bytes()


def test_one_contact_is_enough_and_one_of_nobody_is_one() -> None:
    assert _edges([_flows({}), contacts({"terminal": "-"}), _flows({})], on=AUTO) == []


def test_a_scan_of_the_outside_stays_within_the_bound_and_is_said() -> None:
    scan = [
        _flows(*({"dst": f"198.51.{n}.{m}", "answered": False, "dst_port": 23} for m in range(250)))
        for n in range(4)
    ]
    others = _flows(*({"src": f"10.0.1.{n}", "terminal": f"10.0.1.{n}"} for n in range(30)))
    outcome = check_engine(engine(Site(settings={"livenet.edges.edges": 300})), [*scan, others])
    (coverage,) = rows_of(outcome.tables["coverage"])
    assert coverage["edges"] <= 300 and coverage["left_out"] > 0 and coverage["flows"] == 1030
    assert [finding.kind for finding in outcome.findings] == ["load-shed"]
    assert "10[.]0[.]0[.]1" in outcome.findings[0].statement


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"flows is 3; it is 0 \(never\), 1 \(always\) or 2"):
        engine(Site(settings={"livenet.edges.flows": 3}))


def test_with_flows_the_summary_is_the_same_however_they_are_cut() -> None:
    flows = [
        _flows(*({"ts": START + n * 10**9, "dst": f"203.0.{n % 7}.{n % 90}"} for n in range(k, 300, 5)))
        for k in range(5)
    ]
    for edges in (8_000_000, 60):
        site = Site(settings={"livenet.edges.flows": 1, "livenet.edges.edges": edges})
        check_engine(engine(site), [*batches(random_rows(600, seed=3), 100), *flows])
        check_engine(engine(Site(settings={"livenet.edges.edges": edges})), flows)


def test_contacts_of_outsiders_leave_the_day_to_flows() -> None:
    scanner = contacts(
        {"address": "203.0.113.9", "terminal": "203.0.113.9", "user": "", "server": "10.0.0.1"}
    )
    assert _edges([scanner, _flows({}), scanner], on=AUTO) == [("10.0.0.1", "203.0.113.1", 1)]


def test_flows_do_not_say_that_no_name_was_asked_for() -> None:
    alone, beside = (
        check_engine(engine(Site()), given) for given in ([_flows({})], [contacts({"host": "203.0.113.1"})])
    )
    assert [row["is_address"] for row in rows_of(alone.tables["destinations"])] == [False]
    assert [row["is_address"] for row in rows_of(beside.tables["destinations"])] == [True]
