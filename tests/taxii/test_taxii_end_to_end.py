"""A finding on its way: casebook, outbox, gate, STIX, our server, OASIS's client, a file, the lists' reader."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import stix2
from taxii2client.v21 import ApiRoot
from taxii_made import NOW
from taxii_servers import Misp, Receiver

from andon.observe.lists import Skipped
from andon.observe.reputation.formats import read
from andon.records.finding import Entity, Evidence, Finding
from andon.share.outbox import Message, deliver, make_sink
from andon.share.outbox.secret import Secret
from andon.share.policy import Ground
from andon.share.taxii.client import Account
from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.pull import pull
from andon.share.taxii.server import application
from andon.share.taxii.settings import Settings
from andon.share.taxii.wire import stix
from andon.store.casebook import Casebook
from served import served

GROUND = Ground(telescope=(ip_network("203.0.113.0/24"),), inside=("198.18.0.0/24",), key=bytes(range(64)))


def finding(kind: str, subject: tuple[str, str], **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "engine": "test", "engine_version": 1, "kind": kind, "title": f"{subject[1]} scans 203.0.113.77",
        "statement": "It does.", "confidence": 0.9, "calibration": "none", "window": (NOW, NOW + 10**9),
        "subject": subject, "first_seen": NOW, "last_seen": NOW + 5, "count": 9,
        "entities": (Entity(subject[0], subject[1], 9),), "evidence": (Evidence("It was heard."),), **changes,
    }  # fmt: skip
    return Finding(**values)


def deliver_all(tmp_path: Path, findings: list[Finding], settings: dict[str, Any]) -> dict[str, str]:
    """Through the outbox; gives the remark of each message."""
    sink = make_sink({"name": "out", **settings}, tmp_path, GROUND)
    with Casebook(tmp_path / "casebook.db") as book:
        book.migrate()
        messages = [
            Message(f"m{n}", "out", "finding", "S", "T", one.to_dict()) for n, one in enumerate(findings)
        ]
        book.record(messages=messages, clock=NOW)
        report = deliver(book, [sink], lambda: NOW)
        assert report.errors == {} and report.failed == 0
        return {one.body: one.error for one in book.messages("delivered", "out", 20)}


def test_findings_come_out_at_the_other_end_as_far_as_they_may_and_without_the_telescope(
    tmp_path: Path, settings: Settings
) -> None:
    scanner = finding("known-tool", ("ipv4-addr", "192.42.116.16"))
    partner = finding("suspected-destination", ("domain-name", "c2.badness.net"))
    ours = finding("infected-terminal", ("ipv4-addr", "198.18.0.5"))
    remarks = deliver_all(tmp_path, [scanner, partner, ours], {"kind": "taxii-local", "path": "taxii"})
    assert sum(remark.startswith("withheld: TLP:AMBER+STRICT") for remark in remarks.values()) == 1
    out = tmp_path / "partner.json"
    with served(application(tmp_path / "taxii", settings)) as url:
        root = ApiRoot(url + "/andon/", user="partner", password="opensesame")
        shown = {one.alias: one.get_objects().get("objects", []) for one in root.collections}
        pull(Account(url, "partner", Secret(tmp_path / "partner.password")), "green", out)
    text = json.dumps(shown)
    assert "192.42.116.16" in text and "c2.badness.net" not in text and "198.18.0.5" not in text
    assert "203.0.113.77" not in text and "203.0.113." not in out.read_text()
    assert shown["clear"] == [] or all("192.42.116.16" not in json.dumps(one) for one in shown["clear"])
    for item in shown["green"]:
        stix2.parse(item, allow_custom=True)
    store = ObjectStore(tmp_path / "taxii")
    assert store.count() > len(shown["green"])  # the amber one is there for those who may see it
    store.close()
    if any(one["type"] == "indicator" for one in shown["green"]):
        skipped = Skipped()
        assert "192.42.116.16" in read(out, out.read_bytes(), skipped).column("value").to_pylist()


def test_an_address_that_a_milder_finding_names_too_is_shown_there(tmp_path: Path) -> None:
    address = {"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.7",
               "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}  # fmt: skip
    store = ObjectStore(tmp_path)
    assert store.add([stix(address, 2)], NOW) == 1
    assert store.add([stix(address, 3)], NOW) == 0  # once amber, always amber
    assert store.add([stix(address, 1)], NOW) == 1 and store.add([stix(address, 2)], NOW) == 0
    from andon.share.taxii.objects import Query

    (row,), _ = store.page(Query(tlp=1), 9, 9999)
    assert row.added > NOW // 1000 and store.count() == 1
    store.close()


def test_the_same_findings_are_pushed_to_a_taxii_and_a_misp_server(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MISP_KEY", "misp-key")
    findings = [
        finding("known-tool", ("ipv4-addr", "192.42.116.16")),
        finding("infected-terminal", ("ipv4-addr", "198.18.0.5")),
    ]
    receiver, misp = Receiver(), Misp()
    with served(receiver.application()) as url:
        deliver_all(
            tmp_path, findings, {"kind": "taxii", "url": url + "/api/", "collection": "c1", "tlp": "green"}
        )
    sent = json.dumps(list(receiver.objects.values()))
    assert "192.42.116.16" in sent and "198.18.0.5" not in sent and "203.0.113.77" not in sent
    (tmp_path / "casebook.db").unlink()
    with served(misp.application()) as url:
        deliver_all(tmp_path, findings, {"kind": "misp", "url": url, "key_env": "MISP_KEY"})
    (event,) = misp.events.values()
    assert "192.42.116.16" in json.dumps(event) and "203.0.113.77" not in json.dumps(event)
