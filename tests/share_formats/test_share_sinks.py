"""``[[sink]]`` of every kind: through the casebook's outbox, at least once and never twice the same, under its policy.

TheHive, IRIS and Elasticsearch are not to be had here: a server answers as their documents say they do."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from pymisp import MISPEvent
from receiving import Answer, Request, collector, http_server
from told_records import CENSUS, DARK_VICTIM, INFECTED, INTENTS, TELESCOPE, TOOL

from andon.observe.alerts.mixed import Mixed
from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options
from andon.records.finding import Finding
from andon.share.outbox import (
    FileSink,
    FolderSink,
    Message,
    Parcel,
    PostSink,
    Refused,
    SyslogSink,
    Unreachable,
    Withheld,
    deliver,
    make_sink,
)
from andon.share.outbox.parcel import parcel
from andon.share.outbox.subscribed import subscribed
from andon.share.policy import Ground
from andon.store.casebook import Casebook

GROUND = Ground((IPv4Network(TELESCOPE),), (), bytes(range(64)), organisation="Example SOC")
NOW = 1_767_268_800_000_000_000


def message(finding: Finding, sink: str = "s", key: str = "") -> Message:
    body = finding.to_dict()
    return Message(
        key or finding.id, sink, finding.kind, f"Alert: {finding.title}", "Text for people\n", body
    )


def packed(finding: Finding) -> Parcel:
    return Parcel("0123456789abcdef" * 2, "s", finding.kind, "Subject", "Text", finding.to_json(), NOW)


def sink(kind: str, **settings: Any) -> Any:
    return make_sink({"name": "s", "kind": kind, **settings}, Path(), GROUND)


@pytest.mark.parametrize(
    "form", ["message", "cef", "leef", "rfc5424", "ocsf", "ecs", "json", "stix", "misp", "thehive", "iris"]
)
def test_a_file_of_any_format_takes_each_message_once_even_after_a_kill(
    form: str, tmp_path: Path, book: Casebook, clock: Any
) -> None:
    path = tmp_path / "told.log"
    made = sink("file", path=str(path), format=form)
    book.record(messages=[message(INFECTED), message(TOOL)], clock=clock())
    assert deliver(book, [made], clock).delivered == 2
    whole = path.read_bytes()
    assert whole.count(b"\n") == 2
    # Killed before the casebook knew: the message comes again, over what had been written of it, however little.
    last = parcel(book.messages("delivered", "s", 10)[0])  # newest first
    cut = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for length in (len(whole), len(whole) - 1, cut + 40, cut + 1, cut):
        path.write_bytes(whole[:length])
        made.send(last, NOW, 5)
        assert path.read_bytes() == whole, length
    path.write_bytes(whole + b"somebody else's")
    made.send(last, NOW, 5)
    assert path.read_bytes().startswith(whole + b"somebody else's\n")


def test_a_bulk_file_has_two_lines_a_document_and_is_healed_as_well(tmp_path: Path) -> None:
    path = tmp_path / "bulk.ndjson"
    made = sink("ecs", path=str(path), index="alerts")
    made.send(packed(TOOL), NOW, 5)
    whole = path.read_bytes()
    for length in (len(whole), whole.index(b"\n") + 1, whole.index(b"\n") + 9, 7):
        path.write_bytes(whole[:length])
        made.send(packed(TOOL), NOW, 5)
        assert path.read_bytes() == whole
    assert json.loads(whole.splitlines()[0])["create"]["_index"] == "alerts"


@pytest.mark.parametrize("kind", ["leef", "cef", "syslog"])
def test_a_collector_gets_syslog_that_our_own_reader_of_messages_takes(
    kind: str, book: Casebook, clock: Any
) -> None:
    with collector() as (port, seen):
        made = sink(kind, host="127.0.0.1", port=port, tls=False, hostname="sensor-1")
        book.record(messages=[message(INFECTED), message(TOOL)], clock=clock())
        assert deliver(book, [made], clock).delivered == 2
    assert all(one.startswith(b"<13") and b" sensor-1 andon - " in one for one in seen) and len(seen) == 2
    if kind == "syslog":
        assert b'[andon@32473 id="' in seen[0] and b"\xef\xbb\xbfText for people" in seen[0]
        return
    reader = Mixed(Options(), clock)
    rows = [row for _, batch in reader.messages(seen, Skipped()) for row in batch.to_pylist()]
    assert [(row["severity"], row["dst"]) for row in rows] == [(4, "198.50.101.44"), (3, "")]


@pytest.mark.parametrize("form", ["ecs", "ocsf", "json"])
def test_syslog_carries_documents_too(form: str) -> None:
    with collector() as (port, seen):
        sink("syslog", host="127.0.0.1", port=port, tls=False, format=form).send(packed(TOOL), NOW, 5)
    assert json.loads(seen[0][seen[0].index(b"{") :])


def test_what_is_above_the_tlp_is_held_back_counted_and_audited(
    tmp_path: Path, book: Casebook, clock: Any
) -> None:
    made = sink("file", path=str(tmp_path / "x"), format="ocsf", tlp="amber")
    book.record(messages=[message(TOOL), message(INFECTED)], clock=clock())
    report = deliver(book, [made], clock)
    assert (report.delivered, report.withheld, report.failed) == (1, 1, 0)
    assert INFECTED.id not in (tmp_path / "x").read_text() and TOOL.id in (tmp_path / "x").read_text()
    said = [entry.detail["remark"] for entry in book.audit_log() if entry.actor == "outbox"]
    assert said == ["withheld: TLP:AMBER+STRICT is above TLP:AMBER, the strictest that leaves by s"]
    assert deliver(book, [made], clock).withheld == 0  # it is off the queue


@pytest.mark.parametrize("kind", ["webhook", "file", "smtp"])
def test_prose_is_held_back_by_tlp_too(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "webhook": {"url": "http://127.0.0.1:9/", "key_env": "K", "digest_after": 0},
        "file": {"path": str(tmp_path / "x")},
        "smtp": {"host": "127.0.0.1", "sender": "a@example.org", "to": ["b@example.org"], "digest_after": 0},
    }[kind]
    with pytest.raises(Withheld):
        sink(kind, tlp="green", **settings).send(packed(INFECTED), NOW, 2)
    with pytest.raises(ValueError, match="holds prose"):
        sink(kind, telescope="hide", **settings)


def test_sinks_for_others_hide_the_telescope_and_people_by_themselves(tmp_path: Path) -> None:
    made = sink("stix", path=str(tmp_path / "out"))
    with pytest.raises(Withheld):
        made.send(packed(INFECTED), NOW, 5)  # amber+strict; the default is amber
    made.send(packed(DARK_VICTIM), NOW, 5)
    text = (tmp_path / "out" / f"{packed(TOOL).id}.json").read_text()
    assert "203.0.11" not in text and "cb00" not in text
    strict = sink("stix", path=str(tmp_path / "strict"), tlp="red")
    strict.send(packed(INFECTED), NOW, 5)
    text = (tmp_path / "strict" / f"{packed(TOOL).id}.json").read_text()
    assert "m.mustermann" not in text and "Text" not in text and "c2.evil.example.net" in text


def test_a_folder_of_bundles_and_a_feed_of_events_are_the_same_after_a_repetition(
    tmp_path: Path, book: Casebook, clock: Any
) -> None:
    stix, misp = (
        sink("stix", path=str(tmp_path / "stix"), tlp="red"),
        sink("misp", path=str(tmp_path / "misp"), tlp="red"),
    )
    for made in (stix, misp):
        assert isinstance(made, FolderSink)
    for finding in (TOOL, INFECTED, TOOL):
        stix.send(Parcel(f"{finding.id:0<32}", "s", "k", "", "", finding.to_json(), NOW), NOW, 5)
        misp.send(packed(finding), NOW, 5)
    assert len(list((tmp_path / "stix").iterdir())) == 2
    manifest = json.loads((tmp_path / "misp" / "manifest.json").read_text())
    assert len(manifest) == 2 and len(list((tmp_path / "misp").iterdir())) == 4
    for uuid in manifest:
        loaded = MISPEvent()
        loaded.load_file(tmp_path / "misp" / f"{uuid}.json")
        assert loaded.info == manifest[uuid]["info"]
    lines = (tmp_path / "misp" / "hashes.csv").read_text().splitlines()
    assert len(lines) == len(set(lines))
    (tmp_path / "misp" / "manifest.json").write_text("{damaged")
    with pytest.raises(Unreachable, match="no manifest"):
        misp.send(packed(TOOL), NOW, 5)


def test_elasticsearch_takes_a_repetition_for_what_it_is() -> None:
    held: set[str] = set()

    def index(request: Request) -> Answer:
        items = []
        for line in request[3].splitlines()[::2]:
            id = json.loads(line)["create"]["_id"]
            items.append({"create": {"_id": id, "status": 409 if id in held else 201}})
            held.add(id)
        return 200, json.dumps({"errors": False, "items": items}).encode()

    with http_server(index) as (url, seen):
        made = sink("ecs", url=url, index="alerts")
        made.send(packed(TOOL), NOW, 5)
        made.send(packed(TOOL), NOW, 5)
    assert len(held) == 1 and seen[0][1] == "/_bulk" and seen[0][2]["Content-Type"] == "application/x-ndjson"
    for status, error in ((400, Refused), (429, Unreachable), (503, Unreachable)):
        body = json.dumps(
            {"items": [{"create": {"status": status, "error": {"reason": "mapping"}}}]}
        ).encode()
        with http_server(lambda _, body=body: (200, body)) as (url, _), pytest.raises(error):
            sink("ecs", url=url).send(packed(TOOL), NOW, 5)
    with http_server(lambda _: (200, b"[]")) as (url, _), pytest.raises(Unreachable, match="did not say"):
        sink("ecs", url=url).send(packed(TOOL), NOW, 5)


def test_thehive_says_of_a_repetition_that_the_alert_exists() -> None:
    refs: list[str] = []

    def hive(request: Request) -> Answer:
        ref = json.loads(request[3])["sourceRef"]
        if ref in refs:
            return 400, b'{"type":"CreateError","message":"Alert already exists"}'
        refs.append(ref)
        return 201, b"{}"

    with http_server(hive) as (url, seen):
        for _ in range(2):
            sink("thehive", url=url).send(packed(INFECTED), NOW, 5)
    assert refs == [packed(INFECTED).id] and {one[1] for one in seen} == {"/api/v1/alert"}
    with http_server(lambda _: (400, b"bad field")) as (url, _), pytest.raises(Refused):
        sink("thehive", url=url).send(packed(INFECTED), NOW, 5)


def test_iris_is_asked_first() -> None:
    alerts: list[dict[str, Any]] = []

    def iris(request: Request) -> Answer:
        if request[0] == "GET":
            ref = request[1].partition("source_reference=")[2].partition("&")[0]
            total = sum(one["alert_source_ref"] == ref for one in alerts)
            return 200, json.dumps({"status": "success", "data": {"total": total, "alerts": []}}).encode()
        alerts.append(json.loads(request[3]))
        return 200, b'{"status":"success"}'

    with http_server(iris) as (url, _):
        made = sink("iris", url=url, customer=7)
        made.send(packed(INFECTED), NOW, 5)
        made.send(packed(INFECTED), NOW, 5)
    assert len(alerts) == 1 and alerts[0]["alert_customer_id"] == 7 and alerts[0]["alert_severity_id"] == 5
    with http_server(lambda _: (200, b"<html>")) as (url, _), pytest.raises(Unreachable, match="did not say"):
        sink("iris", url=url).send(packed(INFECTED), NOW, 5)


def test_stix_and_ocsf_are_posted_with_a_key_for_repetitions() -> None:
    with http_server(lambda _: (202, b"")) as (url, seen):
        sink("stix", url=f"{url}/in", tlp="red").send(packed(TOOL), NOW, 5)
        sink("ocsf", url=f"{url}/in").send(packed(TOOL), NOW, 5)
    assert json.loads(seen[0][3])["type"] == "bundle" and json.loads(seen[1][3])["class_uid"] == 2004
    assert seen[0][2]["Content-Type"] == "application/stix+json;version=2.1"
    assert all(one[1] == "/in" and one[2]["Idempotency-Key"] == packed(TOOL).id for one in seen)


def test_a_digest_is_told_message_by_message_and_what_is_withheld_of_it_is_said(
    tmp_path: Path, book: Casebook, clock: Any
) -> None:
    made = FileSink(
        "s",
        tmp_path / "x",
        digest_after=1,
        format="json",
        gate=sink("file", path="y", format="json", tlp="amber").gate,
    )
    book.record(messages=[message(TOOL, key=f"{n}") for n in range(3)] + [message(INFECTED)], clock=clock())
    clock.turn(3700)
    deliver(book, [made], clock)
    ids = [json.loads(line)["id"] for line in (tmp_path / "x").read_text().splitlines()]
    assert ids == [TOOL.id] * 3
    assert any("1 of 4 withheld" in entry.detail.get("remark", "") for entry in book.audit_log())


def test_an_intent_goes_the_same_way(tmp_path: Path) -> None:
    body = Parcel("a" * 32, "s", "intent", "S", "T", json.dumps(INTENTS[0]), NOW)
    sink("ocsf", path=str(tmp_path / "x")).send(body, NOW, 5)
    assert json.loads((tmp_path / "x").read_text())["class_uid"] == 7001


def test_a_server_that_leads_elsewhere_or_is_away_is_unreachable() -> None:
    with http_server(lambda _: (302, b"")) as (url, _), pytest.raises(Unreachable, match="redirects"):
        sink("ocsf", url=url).send(packed(TOOL), NOW, 5)
    with pytest.raises(Unreachable):
        sink("ocsf", url="http://127.0.0.1:1/").send(packed(TOOL), NOW, 5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "stix"}, "url is missing"),
        ({"kind": "stix", "url": "http://x/", "token_env": "K"}, "not sent over plain http"),
        ({"kind": "ocsf", "url": "https://x/", "format": "ecs"}, "kind ocsf is format ocsf"),
        ({"kind": "syslog", "host": "h", "tls": False, "format": "stix"}, "format is one of"),
        ({"kind": "file", "path": "x", "format": "pdf"}, "format is one of"),
        ({"kind": "file", "path": "x", "index": "i"}, "index goes with"),
        ({"kind": "ecs", "path": "x", "token_env": "K"}, "no setting 'token_env'"),
        ({"kind": "leef", "host": "h", "tls": False, "tlp": "white"}, "tlp is one of"),
        ({"kind": "leef", "host": "h", "tls": False, "tlp": 1}, "tlp is a text"),
        ({"kind": "webhook", "url": "https://x/", "key_env": "K", "tlp": "green"}, "digest_after = 0"),
        ({"kind": "misp"}, "is missing"),
    ],
)
def test_a_mistake_in_the_settings_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_sink({"name": "s", **settings})


def test_every_kind_can_be_had(tmp_path: Path) -> None:
    assert (
        isinstance(sink("leef", host="h", tls=False), SyslogSink)
        and sink("leef", host="h", tls=False).format == "leef"
    )
    assert (
        sink("cef", host="h", tls=False).format == "cef"
        and sink("syslog", host="h", tls=False).format == "rfc5424"
    )
    for kind in ("stix", "ocsf", "ecs", "thehive", "iris"):
        made = sink(kind, url="https://example.org/x", token_env="K")
        assert (
            isinstance(made, PostSink) and made.format == kind and "K" not in repr(made).replace("kind", "")
        )
    for kind in ("ocsf", "ecs", "thehive", "iris"):
        assert isinstance(sink(kind, path=str(tmp_path / "x")), FileSink)


def test_a_sink_gets_the_findings_that_it_asks_for(tmp_path: Path, book: Casebook, clock: Any) -> None:
    tables = [
        {
            "name": "all",
            "kind": "file",
            "path": str(tmp_path / "all"),
            "findings": "medium",
            "format": "json",
        },
        {"name": "tools", "kind": "stix", "path": str(tmp_path / "tools"), "kinds": ["known-tool"]},
        {"name": "none", "kind": "file", "path": str(tmp_path / "none")},
    ]
    ask = subscribed(tables)
    asked = {finding.kind: [one.sink for one in ask(finding)] for finding in (TOOL, INFECTED, CENSUS)}
    assert asked == {"known-tool": ["all", "tools"], "infected-terminal": ["all"], "census": []}
    messages = [one for finding in (TOOL, INFECTED, TOOL) for one in ask(finding)]
    book.record(messages=messages, clock=clock())  # the repetition is none
    report = deliver(book, [make_sink(table, tmp_path, GROUND) for table in tables], clock)
    assert (report.delivered, report.failed) == (3, 0)
    for bad in ({"findings": "loud"}, {"kinds": "census"}, {"kinds": ["nothing"]}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            make_sink({"name": "s", "kind": "file", "path": "x", **bad})
