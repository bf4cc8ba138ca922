"""Pulling from servers that behave and from servers that do not, into a file that the lists' readers take."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from taxii_made import CLEAR, NOW, made
from typer.testing import CliRunner

from andon.cli.share_taxii import app as command
from andon.observe.enrichment import enrichment
from andon.observe.lists import Skipped
from andon.observe.reputation.formats import read
from andon.share.outbox.secret import Secret
from andon.share.taxii.client import Account, Bounds, TaxiiClient, TaxiiTrouble
from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.pull import pull
from andon.share.taxii.server import application
from andon.share.taxii.settings import Settings
from andon.share.taxii.wire import TAXII, stix
from served import Authority, raw_server, served


def partner(url: str, tmp_path: Path, **changes: Any) -> Account:
    return Account(url, "partner", Secret(tmp_path / "partner.password"), **changes)


def test_a_pull_goes_on_where_the_last_one_ended_and_lists_read_the_file(
    tmp_path: Path, settings: Settings, authority: Authority
) -> None:
    store, out = ObjectStore(tmp_path / "taxii"), tmp_path / "cert.json"
    store.add([stix(made(n)) for n in range(120)], NOW)
    with served(application(tmp_path / "taxii", settings), authority) as url:
        account = partner(url + "/", tmp_path, ca_file=authority.ca)
        first = pull(account, "indicators", out, Bounds(page=50))
        assert (first.pages, first.new, first.held, first.trouble) == (3, 120, 120, "")
        again = pull(account, "indicators", out, Bounds(page=50))
        assert (again.pages, again.new, again.changed) == (1, 0, 0) and again.objects <= 1
        later = [made(0, "2026-02-01T00:00:00.000Z", revoked=True), made(200)]
        store.add([stix(item) for item in later], NOW + 10**10)
        third = pull(account, "Indicators", out, Bounds(page=50))
        assert (third.new, third.changed, third.held) == (1, 1, 121) and third.objects <= 3
        assert pull(account, "indicators", out, afresh=True).objects == 121
    skipped = Skipped()
    values = read(out, out.read_bytes(), skipped).column("value").to_pylist()
    assert len(values) == 120 and "198.51.0.200" in values and "198.51.0.0" not in values  # revoked
    assert skipped.lines == 1


def test_relations_that_were_pulled_are_read_as_enrichment(tmp_path: Path, settings: Settings) -> None:
    name = {
        "type": "domain-name",
        "id": "domain-name--3c10e93f-798e-5a26-a0c1-08156efab7f5",
        "value": "c2.badness.net",
    }
    address = {
        "type": "ipv4-addr",
        "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4",
        "value": "192.42.116.16",
    }
    tie = {"type": "relationship", "id": "relationship--2f9a9aa9-108a-4333-83e2-4fb25add0463", "source_ref": name["id"],
           "target_ref": address["id"], "relationship_type": "resolves-to", "created": "2026-01-01T00:00:00.000Z",
           "modified": "2026-01-01T00:00:00.000Z"}  # fmt: skip
    store, out = ObjectStore(tmp_path / "taxii"), tmp_path / "cert.json"
    store.add([stix({**item, "object_marking_refs": [CLEAR]}) for item in (name, address, tie)], NOW)
    with served(application(tmp_path / "taxii", settings)) as url:
        assert pull(partner(url, tmp_path), "green", out).new == 3
    table, skipped = enrichment(out)
    (row,) = table.to_pylist()
    assert (row["source"], row["relation"], row["target"]) == (
        "c2.badness.net",
        "resolves-to",
        "192.42.116.16",
    )
    assert skipped.lines == 0


def test_the_url_may_be_that_of_discovery_root_or_collection(tmp_path: Path, settings: Settings) -> None:
    store = ObjectStore(tmp_path / "taxii")
    store.add([stix(made(1))], NOW)
    number = settings.collections[1].id
    with served(application(tmp_path / "taxii", settings)) as url:
        for place in ("", "/", "/andon", "/andon/", f"/andon/collections/{number}/"):
            client = TaxiiClient(partner(url + place, tmp_path))
            (page,) = client.pages(client.collection(number))
            assert [one.id for one in page.objects] == [made(1)["id"]] and not page.more
        with pytest.raises(TaxiiTrouble, match="no collection 'secret'; there are: clear, green, indicators"):
            TaxiiClient(partner(url, tmp_path)).collection("secret")
        (tmp_path / "wrong").write_text("wrong")
        wrong = Account(url, "partner", Secret(tmp_path / "wrong"))
        with pytest.raises(TaxiiTrouble, match="401: is the user right"):
            TaxiiClient(wrong).collections()


def test_the_command(tmp_path: Path, settings: Settings) -> None:
    store, out = ObjectStore(tmp_path / "taxii"), tmp_path / "cert.json"
    store.add([stix(made(n, tlp=CLEAR)) for n in range(3)], NOW)
    with served(application(tmp_path / "taxii", settings)) as url:
        access = ["--url", url, "--token-file", str(tmp_path / "public.token")]
        listed = CliRunner().invoke(command, ["collections", *access, "--format", "json"])
        assert json.loads(listed.stdout)["alias"] == "clear"
        arguments = ["pull", *access, "--collection", "clear", "--out", str(out)]
        assert (
            CliRunner()
            .invoke(command, arguments)
            .stdout.startswith("3 new and 0 changed objects of 3 read; 3 in ")
        )
        out.write_text("mine")
        spoiled = CliRunner().invoke(command, arguments)
        assert spoiled.exit_code == 1 and out.read_text() == "mine"
        assert CliRunner().invoke(command, [*arguments, "--user", "x"]).exit_code == 1


def answer(body: Any, headers: str = "", status: str = "200 OK", kind: str = TAXII) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode()
        + data
    )


def hostile(page: Callable[[socket.socket, str], None]) -> AbstractContextManager[str]:
    """A server whose collection is well-formed, and whose objects are what ``page`` makes of each request."""

    def work(peer: socket.socket) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            part = peer.recv(65536)
            if not part:
                return
            said += part
        target = said.split(b" ")[1].decode()
        if "/objects/" in target:
            page(peer, target)
        else:
            peer.sendall(answer({"id": "c", "title": "c", "can_read": True, "can_write": False}))

    return raw_server(work)


def pulled(url: str, tmp_path: Path, **bounds: Any) -> Any:
    return pull(
        Account(url + "/api/collections/c/"), "c", tmp_path / "out.json", Bounds(**{"seconds": 5.0, **bounds})
    )


def test_an_endless_next_ends(tmp_path: Path) -> None:
    asked: list[str] = []

    def same(peer: socket.socket, target: str) -> None:
        asked.append(target)
        peer.sendall(answer({"more": True, "next": "again", "objects": [made(1)]}))

    with hostile(same) as url:
        done = pulled(url, tmp_path)
    assert "in a circle" in done.trouble and done.held == 1 and len(asked) == 2

    def one_token(peer: socket.socket, target: str) -> None:  # as servers do that keep a session
        asked.append(target)
        peer.sendall(answer({"more": len(asked) < 10, "next": "session", "objects": [made(len(asked))]}))

    with hostile(one_token) as url:
        done = pulled(url, tmp_path)
    assert (done.pages, done.trouble) == (8, "")

    def empty(peer: socket.socket, target: str) -> None:
        asked.append(target)
        peer.sendall(answer({"more": True, "next": f"n{len(asked)}", "objects": []}))

    with hostile(empty) as url:
        assert "in a circle" in pulled(url, tmp_path).trouble

    def growing(peer: socket.socket, target: str) -> None:
        asked.append(target)
        peer.sendall(answer({"more": True, "next": f"n{len(asked)}", "objects": [made(len(asked))]}))

    with hostile(growing) as url:
        assert "more than 20 pages" in pulled(url, tmp_path, pages=20).trouble
    with hostile(growing) as url:
        assert "more than 5 objects" in pulled(url, tmp_path, objects=5).trouble


def test_without_next_the_pull_goes_on_by_time(tmp_path: Path) -> None:
    def by_time(peer: socket.socket, target: str) -> None:
        last = "added_after" in target
        head = "X-TAXII-Date-Added-Last: 2026-01-01T00:00:00.5Z\r\n"
        peer.sendall(answer({"more": not last, "objects": [made(2 if last else 1)]}, head))

    with hostile(by_time) as url:
        done = pulled(url, tmp_path)
    assert (done.pages, done.new, done.trouble) == (2, 2, "")
    state = json.loads((tmp_path / "out.json.state").read_text())
    assert state["added_after"] == "2026-01-01T00:00:00.4Z"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer({"objects": "many"}), "objects is no list"),
        (answer([1, 2]), "no JSON object"),
        (answer(b"<html>log in</html>"), "no JSON"),
        (answer(b'{"objects": [NaN]}'), "NaN is not JSON"),
        (answer(b"[" * 100_000), "no JSON"),
        (answer(b"\xff\xfe{}"), "no JSON"),
        (answer({}, kind="text/html"), "text/html, not as TAXII 2.1"),
        (answer({}, kind="application/vnd.oasis.stix+json; version=2.0"), "TAXII 2.0"),
        (answer({}, headers="Content-Encoding: gzip\r\n"), "packed"),
        (answer({}, headers="Location: http://127.0.0.1:1/\r\n", status="302 Found"), "leads elsewhere"),
        (answer({"title": "x\x1b[2J"}, status="500 no"), "answered 500"),
        (answer({"more": True, "next": 5, "objects": [made(1)]}), "next is no short text"),
        (answer({"more": True, "objects": [made(1)]}), "more, but not where"),
        (answer({})[:-2] + b"\x00" * 1, "cut short|no JSON"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: application/taxii+json\r\n\r\n{",
            "cut short",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", "127.0.0.1"),
        (b"", "127.0.0.1"),
    ],
)
def test_what_makes_no_sense_is_a_clear_error(said: bytes, why: str, tmp_path: Path) -> None:
    with hostile(lambda peer, target: peer.sendall(said)) as url:
        try:
            trouble = pulled(url, tmp_path).trouble
        except TaxiiTrouble as error:
            trouble = str(error)
    import re

    assert re.search(why, trouble), trouble
    assert "\x1b" not in trouble


def test_objects_that_are_no_stix_are_counted_and_left_out(tmp_path: Path) -> None:
    bad = [5, {}, {"id": "x"}, {**made(2), "id": "../../etc/passwd"}, {**made(3), "modified": "soon"}]
    with hostile(lambda peer, target: peer.sendall(answer({"objects": [made(1), *bad]}))) as url:
        done = pulled(url, tmp_path)
    assert (done.new, done.skipped, len(done.examples)) == (1, 5, 3)
    assert len(json.loads((tmp_path / "out.json").read_text())["objects"]) == 1


def test_a_body_without_end_and_a_slow_drip_end(tmp_path: Path) -> None:
    def endless(peer: socket.socket, target: str) -> None:
        peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {TAXII}\r\n\r\n".encode())
        while True:
            peer.sendall(b" " * 65536)

    with hostile(endless) as url, pytest.raises(TaxiiTrouble, match="more than 100,000 bytes"):
        pulled(url, tmp_path, page_bytes=100_000)

    def drip(peer: socket.socket, target: str) -> None:
        while True:
            peer.sendall(b"H")
            time.sleep(0.05)

    begun = time.monotonic()
    with hostile(drip) as url, pytest.raises(TaxiiTrouble, match="not done within"):
        pulled(url, tmp_path, seconds=0.5)
    assert time.monotonic() - begun < 60


def test_the_password_goes_to_one_server_only(tmp_path: Path, settings: Settings) -> None:
    heard: list[bytes] = []

    def elsewhere(peer: socket.socket) -> None:
        heard.append(peer.recv(65536))

    with raw_server(elsewhere) as other:
        body = {"title": "x", "api_roots": [other + "/api/", "//evil.example/api/", "file:///etc/"]}

        def work(peer: socket.socket) -> None:
            peer.recv(65536)
            peer.sendall(answer(body))

        with raw_server(work) as url:
            client = TaxiiClient(partner(url + "/taxii2/", tmp_path))
            assert client.collections() == []
    assert heard == [] and client.skipped.lines == 3
    with pytest.raises(ValueError, match="plain http"):
        TaxiiClient(partner("http://taxii.example.org/taxii2/", tmp_path))


def test_a_pull_that_breaks_off_keeps_what_came_and_repeats_no_page_twice(tmp_path: Path) -> None:
    def breaking(peer: socket.socket, target: str) -> None:
        if "next=" in target:
            peer.sendall(answer({}, status="503 busy"))
        else:
            head = "X-TAXII-Date-Added-Last: 2026-01-01T00:00:00Z\r\n"
            peer.sendall(answer({"more": True, "next": "n", "objects": [made(1)]}, head))

    with hostile(breaking) as url:
        done = pulled(url, tmp_path)
    assert "503" in done.trouble and done.held == 1 and done.more
    assert json.loads((tmp_path / "out.json.state").read_text())["added_after"] == "2025-12-31T23:59:59Z"
