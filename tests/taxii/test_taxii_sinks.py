"""What the outbox delivers in STIX: to somebody's TAXII server, to our own, and MISP events to a MISP server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from taxii2client.v21 import ApiRoot
from taxii_made import NOW, made
from taxii_servers import Misp, Receiver

from andon.share.outbox import Message, Parcel, Refused, Unreachable, deliver, make_sink
from andon.share.outbox.misp import MispSink
from andon.share.outbox.secret import Secret
from andon.share.outbox.taxii import TaxiiLocalSink, TaxiiSink
from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.server import application
from andon.share.taxii.settings import Settings
from andon.store.casebook import Casebook
from served import Authority, raw_server, served


def parcel(body: Any, id: str = "0123456789abcdef" * 2, **changes: Any) -> Parcel:
    values = {"kind": "case", "subject": "S", "text": "T", "created": NOW, **changes}
    return Parcel(id=id, sink="x", body=json.dumps(body), **values)


def bundle(*numbers: int, **changes: Any) -> dict[str, Any]:
    identity = "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d"
    return {"type": "bundle", "id": identity, "objects": [made(n, **changes) for n in numbers]}


def sink(url: str, **changes: Any) -> TaxiiSink:
    return TaxiiSink("x", url + "/api/", "c1", **changes)


def test_objects_are_posted_in_batches_and_statuses_awaited(authority: Authority, monkeypatch: Any) -> None:
    monkeypatch.setenv("TAXII_PASSWORD", "geheim")
    receiver = Receiver(pending=2)
    with served(receiver.application(), authority) as url:
        access = {"user": "andon", "password": Secret(variable="TAXII_PASSWORD"), "ca_file": authority.ca}
        assert sink(url, batch=2, **access).send(parcel(bundle(1, 2, 3, 4, 5)), NOW, 20) == "5 objects"
    assert receiver.posts == [["C2 1", "C2 2"], ["C2 3", "C2 4"], ["C2 5"]]
    assert len(receiver.objects) == 5 and receiver.polls == 6
    assert receiver.authorization == ["Basic YW5kb246Z2VoZWlt"]


def test_a_digest_and_single_objects_are_understood_and_other_things_refused() -> None:
    receiver = Receiver()
    with served(receiver.application()) as url:
        lines = "\n".join(
            json.dumps({"body": body}) for body in (bundle(1, 2), made(2), {"objects": [made(3)]})
        )
        one = sink(url)
        assert one.send(parcel({}, kind="digest", lines=lines), NOW, 20) == "3 objects"
        bad: list[Any] = [
            {"schema": "nobody.knows/1"},
            [],
            5,
            {"objects": []},
            bundle(),
            {"objects": [{"type": "x"}]},
        ]
        for body in bad:
            with pytest.raises(Refused):
                one.send(parcel(body), NOW, 20)
    assert receiver.posts == [["C2 1", "C2 2", "C2 3"]]


def test_what_was_refused_is_tried_again_and_nothing_else() -> None:
    receiver = Receiver(refuse={"C2 2", "C2 4"})
    with served(receiver.application()) as url:
        one = sink(url, batch=3)
        with pytest.raises(Refused, match=r"2 of 5 objects not taken.*not wanted here"):
            one.send(parcel(bundle(1, 2, 3, 4, 5)), NOW, 20)
        receiver.refuse = {"C2 4"}
        with pytest.raises(Refused, match="1 of 5"):
            one.send(parcel(bundle(1, 2, 3, 4, 5)), NOW, 20)
        receiver.refuse = set()
        one.send(parcel(bundle(1, 2, 3, 4, 5)), NOW, 20)
    assert receiver.posts == [["C2 1", "C2 2", "C2 3"], ["C2 4", "C2 5"], ["C2 2", "C2 4"], ["C2 4"]]


def test_a_server_that_does_not_say_which_it_refused_is_believed_for_those_it_names() -> None:
    receiver = Receiver(refuse={"C2 2"}, named=False)
    with served(receiver.application()) as url:
        one = sink(url)
        with pytest.raises(Refused, match="1 of 3"):
            one.send(parcel(bundle(1, 2, 3)), NOW, 20)
        receiver.refuse = set()
        one.send(parcel(bundle(1, 2, 3)), NOW, 20)
    assert receiver.posts[1] == ["C2 2"]


def test_what_is_there_already_is_no_failure_even_where_the_server_calls_it_one() -> None:
    receiver = Receiver(strict=True)
    address = {
        "type": "ipv4-addr",
        "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4",
        "value": "198.51.100.7",
    }
    body = {"objects": [*(made(n) for n in range(120)), address]}
    with served(receiver.application()) as url:
        sink(url).send(parcel(body), NOW, 20)
        assert (
            sink(url).send(parcel(body), NOW, 20) == "121 objects"
        )  # as after a kill: another process, all again
        newer = {"objects": [made(0, "2026-05-01T00:00:00.000Z"), made(1)]}
        assert sink(url).send(parcel(newer), NOW, 20) == "2 objects"
        receiver.refuse = {"C2 200"}
        with pytest.raises(Refused, match="1 of 2 objects"):
            sink(url).send(parcel({"objects": [made(1), made(200)]}), NOW, 20)
        receiver.readable = False  # then nobody can tell
        with pytest.raises(Refused, match="2 of 2 objects"):
            sink(url).send(parcel({"objects": [made(1), made(2)]}), NOW, 20)
    assert len(receiver.objects) == 122


def test_a_status_that_takes_long_is_asked_for_again_and_not_posted_again() -> None:
    receiver = Receiver(pending=10_000)
    with served(receiver.application()) as url:
        one = sink(url)
        with pytest.raises(Unreachable, match="not done within"):
            one.send(parcel(bundle(1, 2)), NOW, 5.0)
        for held in receiver._statuses.values():
            held["left"] = 0
        assert one.send(parcel(bundle(1, 2)), NOW, 20) == "2 objects"
        assert len(receiver.posts) == 1
        # A server that forgot the status gets the objects again.
        with pytest.raises(Unreachable):
            one.send(parcel(bundle(3), "f" * 32), NOW, 5.0)
        receiver.forget, receiver.pending = True, 0
        assert one.send(parcel(bundle(3), "f" * 32), NOW, 20) == "1 object"
    assert receiver.posts[1:] == [["C2 3"], ["C2 3"]]


def test_the_size_that_a_server_takes_is_kept_to() -> None:
    receiver = Receiver(largest=3000)
    with served(receiver.application()) as url:
        one = sink(url)
        one.send(parcel(bundle(*range(20))), NOW, 20)
        assert len(receiver.posts) == 3 and len(receiver.objects) == 20
        with pytest.raises(Refused, match="larger than the server takes"):
            one.send(parcel(bundle(50, description="x" * 5000), "e" * 32), NOW, 20)
        receiver.fail_with = [(413, {}), (413, {})]  # it takes less than it says
        one.send(parcel(bundle(60, 61, 62, 63), "d" * 32), NOW, 20)
    assert len(receiver.objects) == 24


def test_one_bad_object_does_not_hold_up_the_others() -> None:
    receiver = Receiver()
    receiver.fail_with = [(422, {}), (422, {})]  # the batch, and then the first alone
    with (
        served(receiver.application()) as url,
        pytest.raises(Refused, match=r"1 of 3 objects not taken.*422"),
    ):
        sink(url).send(parcel(bundle(1, 2, 3)), NOW, 20)
    assert receiver.posts == [["C2 2"], ["C2 3"]]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 406, 415, 429, 500, 503])
def test_trouble_of_the_server_is_no_fault_of_the_message(status: int) -> None:
    receiver = Receiver(fail_with=[(status, {"Retry-After": "90", "Location": "http://127.0.0.1:1/"})])
    with served(receiver.application()) as url, pytest.raises(Unreachable, match=str(status)) as caught:
        sink(url).send(parcel(bundle(1)), NOW, 20)
    assert caught.value.retry_after == (None if status < 400 else 90)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json\r\n\r\n[1",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json\r\n\r\n{"max_content_length": -1}',
        b'HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json\r\n\r\n{"max_content_length": 1000000, "id": "../x"}',
        b"",
    ],
)
def test_a_server_that_is_none_is_unreachable(said: bytes) -> None:
    def work(peer: Any) -> None:
        peer.recv(65536)
        peer.sendall(said)

    with raw_server(work) as url, pytest.raises(Unreachable):
        sink(url).send(parcel(bundle(1)), NOW, 5)


def test_what_our_outbox_delivers_is_what_our_server_shows(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "share" / "taxii"
    local = make_sink({"name": "own", "kind": "taxii-local", "path": "share/taxii"}, tmp_path)
    with Casebook(tmp_path / "casebook.db") as book:
        book.migrate()
        messages = [Message(f"m{n}", "own", "case", "S", "T", bundle(n, n + 1)) for n in range(0, 20, 2)]
        book.record(messages=[*messages, Message("n", "own", "case", "S", "T", bundle(0, 1))], clock=NOW)
        assert deliver(book, [local], lambda: NOW).delivered == 11
        assert {one.error for one in book.messages("delivered", "own", 20)} == {
            "2 of 2 objects were new",
            "0 of 2 objects were new",
        }
    with served(application(folder, settings)) as url:
        root = ApiRoot(url + "/andon/", user="partner", password="opensesame")
        green = next(one for one in root.collections if one.alias == "green")
        assert [one["name"] for one in green.get_objects()["objects"]] == [f"C2 {n}" for n in range(20)]


def test_objects_without_a_marking_are_shown_to_nobody_who_may_see_green(tmp_path: Path) -> None:
    plain = {k: v for k, v in made(1).items() if k != "object_marking_refs"}
    TaxiiLocalSink("own", tmp_path).send(parcel(plain), NOW, 5)
    store = ObjectStore(tmp_path)
    from andon.share.taxii.objects import Query

    assert [len(store.page(Query(tlp=level), 9, 9999)[0]) for level in range(5)] == [0, 0, 1, 1, 1]
    store.close()


WORKER = """
import json, sys, time
from andon.share.outbox import Delivery, make_sink
from andon.store.casebook import Casebook
book = Casebook(sys.argv[1])
delivery = Delivery(book, [make_sink(json.loads(sys.argv[2]))], time.time_ns)
print("go", flush=True)
while book.waiting_sinks():
    delivery.step(patience=0.1)
delivery.close(wait=True)
"""


def test_a_killed_delivery_leaves_each_object_once(tmp_path: Path) -> None:
    settings = {"name": "own", "kind": "taxii-local", "path": str(tmp_path / "taxii")}
    with Casebook(tmp_path / "casebook.db") as book:
        book.migrate()
        messages = [
            Message(f"m{n}", "own", "case", "S", "T", bundle(3 * n, 3 * n + 1, 3 * n + 2)) for n in range(80)
        ]
        book.record(messages=messages, clock=time.time_ns())
        store = ObjectStore(tmp_path / "taxii")
        for kill in (True, True, False):
            command = [sys.executable, "-c", WORKER, str(tmp_path / "casebook.db"), json.dumps(settings)]
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
            assert worker.stdout is not None and worker.stdout.readline() == b"go\n"
            begun, wait = store.count(), time.monotonic() + 30
            while kill and store.count() < begun + 20 and time.monotonic() < wait:
                time.sleep(0.002)
            if kill:
                worker.kill()
            worker.wait(timeout=60)
            worker.stdout.close()
        assert book.outbox_counts() == {("own", "delivered"): 80}
    assert store.count() == 240
    store.close()


def misp(url: str) -> MispSink:
    return MispSink("m", url, Secret(variable="MISP_KEY"))


def test_misp_events_are_added_then_changed_and_a_repetition_is_neither(monkeypatch: Any) -> None:
    monkeypatch.setenv("MISP_KEY", "misp-key")
    server = Misp()
    event = {"Event": {"info": "C2", "uuid": "5d0092c5-5f74-4287-9642-33f4c354e56d", "timestamp": "1767268800",
                       "Attribute": [{"type": "ip-dst", "value": "198.51.100.7"}]}}  # fmt: skip
    with served(server.application()) as url:
        one = misp(url)
        newer = {"Event": {**event["Event"], "timestamp": "1767268900", "info": "C2 and more"}}
        said = [one.send(parcel(body), NOW, 10) for body in (event, event, newer, newer, event)]
        assert said == ["added", "was there", "changed", "was there", "was there"]
        assert server.log == ["added", "changed"]
        assert [e["info"] for e in server.events.values()] == ["C2 and more"]
        # The answer to an event that was stored is lost: the next attempt finds it there.
        server.lose = 1
        with pytest.raises(Unreachable, match="504"):
            one.send(parcel({"Event": {"info": "x"}}, "a" * 32), NOW, 10)
        assert one.send(parcel({"Event": {"info": "x"}}, "a" * 32), NOW, 10) == "was there"
        assert len(server.events) == 2
        both = "\n".join(json.dumps({"body": {"Event": {"info": f"d{n}"}}}) for n in range(2))
        assert one.send(parcel({}, "b" * 32, kind="digest", lines=both), NOW, 10) == "added"
        assert len(server.events) == 4


def test_misp_says_whether_it_is_the_event_or_the_key(monkeypatch: Any) -> None:
    monkeypatch.setenv("MISP_KEY", "misp-key")
    uuid = "5d0092c5-5f74-4287-9642-33f4c354e56d"
    server = Misp(blocked={uuid})
    with served(server.application()) as url:
        one = misp(url)
        with pytest.raises(Refused, match="blocklist"):
            one.send(parcel({"Event": {"info": "x", "uuid": uuid}}), NOW, 10)
        for body in ({"Event": {"info": ""}}, {"Event": 5}, {"Event": {"info": "x", "uuid": "no"}}, []):
            with pytest.raises(Refused):
                one.send(parcel(body), NOW, 10)
        monkeypatch.setenv("MISP_KEY", "wrong-key")
        with pytest.raises(Unreachable, match="Authentication failed"):
            one.send(parcel({"Event": {"info": "x"}}), NOW, 10)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "taxii", "url": "https://t.example/api/"}, "collection is missing"),
        (
            {"kind": "taxii", "url": "https://t.example/api/", "collection": "a/b"},
            "not the id of a collection",
        ),
        ({"kind": "taxii", "url": "https://t.example/api/", "collection": "a", "user": "u"}, "go together"),
        (
            {"kind": "taxii", "url": "http://t.example/api/", "collection": "a", "token_env": "T"},
            "plain http",
        ),
        ({"kind": "taxii", "url": "https://t.example/api/", "collection": "a", "batch": 0}, "batch"),
        (
            {"kind": "taxii", "url": "https://t.example/", "collection": "a", "password": "geheim"},
            "password_file",
        ),
        ({"kind": "taxii-local", "path": "x", "unmarked": "pink"}, "unmarked is one of"),
        ({"kind": "misp", "url": "https://m.example/"}, "key_file or key_env is missing"),
        ({"kind": "misp", "url": "http://m.example/", "key_env": "K"}, "plain http"),
        (
            {"kind": "hub", "url": "https://h.example/", "member": "../x", "key_env": "K"},
            "no name of a member",
        ),
        ({"kind": "hub", "url": "http://h.example/", "member": "x", "key_env": "K"}, "https"),
    ],
)
def test_a_mistake_in_the_settings_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        make_sink({"name": "x", **settings})
    assert "geheim" not in str(caught.value)
