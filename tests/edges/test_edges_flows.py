"""Flows to destinations that no contact names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from edges_world import START, batches, contacts, random_rows, rows_of

from andon.detect.livenet.edges import engine
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


@pytest.mark.parametrize(
    "row",
    [{"answered": False}, {"dst": "10.9.9.9"}, {"src": "198.51.100.7"}, {"dst_port": 53}, {"dst_port": 123},
     {"protocol": "icmp"}, {"dst": "224.0.0.251"}, {"dst": "255.255.255.255"}, {"dst": "ff02::1"}, {"terminal": "-"}],
)  # fmt: skip
def test_scans_insiders_and_the_services_of_every_machine_are_no_edges(row: dict[str, Any]) -> None:
    assert _edges([_flows(row)]) == []


def test_prefixes_and_pseudonyms_lie_inside_as_they_should() -> None:
    hidden = _flows({"src": "addr-abc", "terminal": "addr-abc"}, {"dst": "addr-def"})
    assert [edge[:2] for edge in _edges([hidden])] == [("addr-abc", "203.0.113.1")]
    mine = _flows({"src": "198.51.100.7", "terminal": "198.51.100.7"}, {})
    assert [edge[0] for edge in _edges([mine], inside=("198.51.100.0/24",))] == ["198.51.100.7"]


def test_with_flows_the_summary_is_the_same_however_they_are_cut() -> None:
    flows = [
        _flows(*({"ts": START + n * 10**9, "dst": f"203.0.{n % 7}.{n % 90}"} for n in range(k, 300, 5)))
        for k in range(5)
    ]
    for edges in (8_000_000, 60):
        site = Site(settings={"livenet.edges.flows": 1, "livenet.edges.edges": edges})
        check_engine(engine(site), [*batches(random_rows(600, seed=3), 100), *flows])
