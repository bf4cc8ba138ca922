"""The lists over a real HTTP server: conditional requests, caching, credentials, and what a reader's visit proves."""

from __future__ import annotations

import base64
import gzip
import shutil
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from edl_world import Clock, apply, host, intent, made, served

from andon.contain.contract import DEGRADED, OK
from andon.contain.enforcers.edl import enforcer
from andon.contain.enforcers.edl.readers import Gate, Reader
from andon.share.outbox import Secret

TOKEN, OTHER = "t" * 32, "o" * 32


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def readers(folder: Path, **tokens: str) -> list[dict[str, object]]:
    made_of = []
    for name, token in tokens.items():
        (folder / f"{name}-token").write_text(token + "\n")
        made_of.append({"name": name, "token_file": f"{name}-token"})
    return made_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_reader_that_has_the_version_gets_304(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9"))
    with served(one) as client:
        status, headers, body = client.ask("/ip.txt")
        assert (status, body) == (200, b"203.0.113.9\n")
        assert headers["content-type"].startswith("text/plain")
        etag = headers["etag"]
        for given in (etag, f"W/{etag}", f'"x", {etag}'):
            status, again, body = client.ask("/ip", If_None_Match=given)
            assert (status, body, again["etag"]) == (304, b"", etag)
        assert client.ask("/ip", If_None_Match='"other"')[0] == 200
        apply(one, intent(2, "203.0.113.10"))
        status, headers, body = client.ask("/ip.txt", If_None_Match=etag)
        assert (status, body) == (200, b"203.0.113.9\n203.0.113.10\n")
        assert headers["etag"] != etag


def test_head_has_the_same_headers_and_no_body(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9"))
    with served(one) as client:
        got, head = client.ask("/ip.txt"), client.ask("/ip.txt", "HEAD")
        same = ("etag", "last-modified", "cache-control", "content-length", "content-type", "vary")
        assert head[0] == 200 and head[2] == b""
        assert {name: head[1][name] for name in same} == {name: got[1][name] for name in same}
        assert client.ask("/ip.txt", "POST")[0] == 405


def test_gzip_is_another_representation(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, *(intent(i, f"203.0.113.{i}") for i in range(1, 200)))
    with served(one) as client:
        plain = client.ask("/ip.txt")
        packed = client.ask("/ip.txt", Accept_Encoding="deflate, gzip;q=0.5")
        assert packed[1]["content-encoding"] == "gzip" and packed[1]["vary"] == "Accept-Encoding"
        assert gzip.decompress(packed[2]) == plain[2] and len(packed[2]) < len(plain[2])
        assert packed[1]["etag"] != plain[1]["etag"]
        assert client.ask("/ip.txt", If_None_Match=packed[1]["etag"])[0] == 304
        assert "content-encoding" not in client.ask("/ip.txt", Accept_Encoding="gzip;q=0")[1]


def test_a_date_counts_only_where_it_tells_versions_apart(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    clock.on(100)
    apply(one, intent(1, "203.0.113.9"))
    with served(one) as client:
        first = client.ask("/ip.txt")[1]["last-modified"]
        assert parsedate_to_datetime(first).timestamp() == clock() // 10**9
        assert client.ask("/ip.txt", If_Modified_Since=first)[0] == 304
        apply(one, intent(2, "203.0.113.10"))  # in the same second
        assert client.ask("/ip.txt", If_Modified_Since=first)[0] == 200
        clock.on(1)
        apply(one, intent(3, "203.0.113.11"))
        assert client.ask("/ip.txt", If_Modified_Since=first)[0] == 200
        assert client.ask("/ip.txt", If_Modified_Since="not a date")[0] == 200
        later = client.ask("/ip.txt")[1]["last-modified"]
        assert (
            client.ask("/ip.txt", If_None_Match='"x"', If_Modified_Since=later)[0] == 200
        )  # the tag goes first


def test_a_copy_is_good_no_longer_than_its_next_entry(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, max_age=300)
    apply(one, intent(1, "203.0.113.9", ttl=100), intent(2, "203.0.113.10", ttl=1000))
    with served(one) as client:
        assert client.ask("/ip.txt")[1]["cache-control"] == "private, must-revalidate, max-age=100"
        one.tick(clock.on(101))
        assert client.ask("/ip.txt")[1]["cache-control"].endswith("max-age=300")
        clock.on(5000)
        assert client.ask("/ip.txt")[1]["cache-control"].endswith("max-age=0")
        assert client.ask("/url.txt")[1]["cache-control"].endswith("max-age=300")


def test_an_empty_list_is_an_empty_list(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9"))
    one.revoke([1])
    with served(one) as client:
        for name in ("ip", "ip6", "domain", "url", "host-ip", "host-ip6", "sinkhole-domain"):
            status, headers, body = client.ask(f"/{name}.txt")
            assert (status, body, headers["content-length"]) == (200, b"", "0")
        for path in ("/nothing.txt", "/..%2Fintents.log", "/ip.txt/x", "/%00", "/ip.txt.txt"):
            assert client.ask(path)[0] == 404


def test_held_back_lists_are_503_so_that_readers_keep_theirs(tmp_path: Path, clock: Clock) -> None:
    one = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    with served(one) as client:
        status, headers, _ = client.ask("/ip.txt")
        assert status == 503 and headers["retry-after"] == "10"
        one.actual()
        one.actual()
        assert client.ask("/ip.txt")[0] == 200


def test_each_reader_has_a_token_and_its_lists(tmp_path: Path, clock: Clock) -> None:
    tables = readers(tmp_path, fw1=TOKEN, fw2=OTHER)
    tables[1]["lists"] = ["ip"]
    one = made(tmp_path, clock, reader=tables)
    with served(one) as client:
        assert client.ask("/ip.txt", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert client.ask("/ip.txt", Authorization=basic("fw2", OTHER))[0] == 200
        assert client.ask("/url.txt", Authorization=basic("fw2", OTHER))[0] == 403
        index = client.ask("/", Authorization=basic("fw2", OTHER))
        assert index[0] == 200 and index[2].startswith(b"ip.txt 0 ") and b"url" not in index[2]
        wrong = ["", "Bearer x", "Bearer", f"Basic {TOKEN}", basic("fw1", OTHER), basic("fw2", TOKEN), "Basic ####",
                 f"Digest {TOKEN}", basic("nobody", TOKEN), "Bearer " + TOKEN[:-1]]  # fmt: skip
        for given in wrong:
            status, headers, body = client.ask("/ip.txt", Authorization=given)
            assert (
                status == 401
                and headers["www-authenticate"].startswith("Basic ")
                and TOKEN.encode() not in body
            )
        assert "requests of" in one.health().statement and TOKEN not in one.health().statement


def test_a_token_can_be_changed_without_locking_a_reader_out(tmp_path: Path) -> None:
    path, now = tmp_path / "token", [0.0]
    path.write_text(f"{TOKEN}\n")
    gate = Gate([Reader("fw1", Secret(path))], lambda: now[0])
    assert gate.ask(f"Bearer {TOKEN}").reader is not None
    path.write_text(f"{OTHER}\n{TOKEN}\n")
    now[0] += 2
    assert gate.ask(f"Bearer {TOKEN}").reader and gate.ask(f"Bearer {OTHER}").reader
    path.write_text(f"{OTHER}\n")
    now[0] += 2
    assert gate.ask(f"Bearer {TOKEN}").reader is None
    path.unlink()  # a file that is gone for a moment locks nobody out
    now[0] += 2
    assert gate.ask(f"Bearer {OTHER}").reader is not None and not gate.unread


def test_a_token_that_cannot_be_read_is_not_the_readers_fault(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, reader=[{"name": "fw1", "token_file": "missing"}])
    with served(one) as client:
        assert client.ask("/ip.txt", Authorization=basic("fw1", TOKEN))[0] == 503
        assert client.ask("/ip.txt", Authorization=f"Bearer {TOKEN}")[0] == 503
        assert client.ask("/ip.txt")[0] == 401
    assert "token file of fw1" in one.health().statement


def test_readers_can_be_given_to_the_endpoint(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "token").write_text(TOKEN)
    one = made(tmp_path, clock)
    with served(one, tokens=[Reader("fw1", Secret(tmp_path / "token"))]) as client:
        assert client.ask("/ip.txt")[0] == 401
        assert client.ask("/ip.txt", Authorization=basic("fw1", TOKEN))[0] == 200
    assert set(one.access.readers()) == {"fw1"}


def test_verified_means_fetched(tmp_path: Path, clock: Clock) -> None:
    for verify in ("any", "all"):
        folder = tmp_path / verify
        folder.mkdir()
        one = made(folder, clock, verify=verify, reader=readers(folder, fw1=TOKEN, fw2=OTHER))
        clock.on(1)
        receipts = apply(one, intent(1, "203.0.113.9"), host(2, "10.0.0.5"))
        with served(one) as client:
            one_of, two_of = basic("fw1", TOKEN), basic("fw2", OTHER)
            assert one.verify(receipts[0]) is None
            client.ask("/ip.txt", "HEAD", Authorization=one_of)
            client.ask("/ip.txt", Authorization="Bearer wrong")
            client.ask("/host-ip.txt", Authorization=one_of)
            client.ask("/ip.txt", Authorization=one_of, If_None_Match="*")
            client.ask("/ip.txt", Authorization=one_of, If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")
            assert one.verify(receipts[0]) is None
            tag = client.ask("/ip.txt", Authorization=one_of)[1]["etag"]
            assert one.verify(receipts[0]) is (True if verify == "any" else None)
            client.ask("/ip.txt", Authorization=two_of, If_None_Match=tag)
            assert one.verify(receipts[0])
            later = apply(one, intent(3, "203.0.113.11"))[0]
            assert one.verify(receipts[0]) is True and one.verify(later) is None
            one.revoke([1])
            assert one.verify(receipts[0]) is False


def test_what_readers_fetched_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    receipt = apply(one, intent(1, "203.0.113.9"))[0]
    with served(one) as client:
        client.ask("/ip.txt")
    assert one.verify(receipt)
    one.close()
    other = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert other.verify(receipt)
    other.close()
    (tmp_path / "edl" / "intents.log").unlink()  # another epoch: versions begin again
    third = made(tmp_path, clock)
    assert not third.verify(apply(third, intent(1, "203.0.113.9"))[0])
    (tmp_path / "edl" / "access.json").write_text("[1, 2")
    assert enforcer("perimeter", {"folder": "edl"}, tmp_path, clock).access.readers() == {}


def test_a_reader_that_stays_away_is_missed(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, stale_after=900, reader=readers(tmp_path, fw1=TOKEN, fw2=OTHER))
    with served(one) as client:
        client.ask("/ip.txt", Authorization=basic("fw1", TOKEN))
        assert one.health().state == OK
        clock.on(901)
        client.ask("/ip.txt", Authorization=basic("fw1", TOKEN))
        health = one.health()
        assert health.state == DEGRADED and "fw2 has never fetched a list" in health.statement
        client.ask("/ip.txt", Authorization=basic("fw2", OTHER))
        assert one.health().state == OK
        clock.on(901)
        assert "fw1 has not fetched ip since 2026-01-01T00:15:01Z" in one.health().statement
    assert one.health().detail["readers"]["fw1"]["ip"]["whole"] == 2
    with served(one) as client:  # somebody looked at a list by hand once; that is not missed for ever
        client.ask("/url.txt", Authorization=basic("fw1", TOKEN))
        clock.on(86_500)
        for name, token in (("fw1", TOKEN), ("fw2", OTHER)):
            client.ask("/ip.txt", Authorization=basic(name, token))
        assert "fw1 has not fetched url" in one.health().statement
        one.tick(clock.on(31))
        assert one.health().state == OK and set(one.access.readers()["fw1"]) == {"ip"}
    assert one.control == ("127.0.0.1",)


def test_nobody_has_fetched_yet(tmp_path: Path, clock: Clock) -> None:
    assert "nobody has fetched" in made(tmp_path, clock).health().statement


def test_curl_fetches_once_and_then_only_asks(tmp_path: Path, clock: Clock) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    one = made(tmp_path, clock, reader=readers(tmp_path, fw1=TOKEN))
    receipt = apply(one, *(intent(i, f"203.0.113.{i}") for i in range(1, 100)))[0]
    with served(one) as client:
        command = [
            curl, "--silent", "--fail", "--noproxy", "*", "--user", f"fw1:{TOKEN}", "--compressed", "--max-time", "60",
            "--etag-save", "tag", "--etag-compare", "tag", "--output", "list", "--write-out", "%{http_code}",
            f"http://127.0.0.1:{client.port}/ip.txt",
        ]  # fmt: skip
        said = [subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout]
        assert (tmp_path / "list").read_bytes() == one.snapshot("ip").body  # type: ignore[union-attr]
        said.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
        client.ask("/done")
    assert said == ["200", "304"] and one.verify(receipt) is True
    fetch = one.access.readers()["fw1"]["ip"]
    assert (fetch.whole, fetch.unchanged) == (1, 1)
