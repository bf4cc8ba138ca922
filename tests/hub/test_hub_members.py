"""Two members and a hub, end to end over HTTP; and what happens when somebody misbehaves."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from andon.share.hub import protocol as p
from andon.share.hub.app import application
from andon.share.hub.client import HubClient, reportable, reports
from andon.share.hub.members import member
from andon.share.hub.store import HubStore, Rules
from andon.share.outbox import Refused, Secret, Unreachable
from andon.share.outbox.webhook import sign
from served import make_authority, served

HOUR = time.time_ns() // p.HOUR * p.HOUR - p.HOUR
CITY, UNIVERSITY, BANK = "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/25"


@dataclass
class Hub:
    folder: Path
    url: str
    skew: int = 0  # ns
    stopped: int = 0  # the time, if the clock stands still

    def clock(self) -> int:
        return self.stopped or time.time_ns() + self.skew

    def client(self, name: str, clock: Callable[[], int] = time.time_ns) -> HubClient:
        return HubClient(self.url, name, Secret(self.folder / "keys" / f"{name}.key"), clock=clock)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """City, university and bank; the university does not mind being named."""
    with ExitStack() as stack:
        yield open_hub(tmp_path, stack, Rules())


def open_hub(tmp_path: Path, stack: ExitStack, rules: Rules) -> Hub:
    folder = tmp_path / "hub"
    store = HubStore(folder)
    (folder / "keys").mkdir()
    for name, prefix, named in (
        ("city", CITY, False),
        ("university", UNIVERSITY, True),
        ("bank", BANK, False),
    ):
        store.add_member(member(name, [prefix], named), 1)
        (folder / "keys" / f"{name}.key").write_text(f"the key of {name}\n")
    store.close()
    made = Hub(folder, "")
    app = Starlette(routes=[Mount("/hub", application(folder, rules, made.clock))])
    made.url = stack.enter_context(served(app)) + "/hub"
    return made


def heard(source: str, packets: int = 10, tool: str = "") -> p.Sighting:
    return p.Sighting(source, "scan", HOUR, packets, (("tcp", 23, packets),), tool)


def told(client: HubClient, since: int = 0) -> list[dict[str, Any]]:
    return [one for page, _ in client.sightings(since) for one in page]


def test_a_member_learns_what_others_saw_of_its_addresses_and_nothing_else(hub: Hub) -> None:
    city, university, bank = (hub.client(name) for name in ("city", "university", "bank"))
    everything = [
        heard("198.51.100.7", 40),
        heard("203.0.113.9"),
        heard("8.8.8.8"),
        heard("192.0.2.3", tool="mirai"),
    ]
    for client in (city, university, bank):
        assert client.report(p.report_of(everything)) is True
    (seen,) = told(city)
    identity = seen.pop("id")
    assert seen == {
        "source": "198.51.100.7", "kind": "scan", "hour": p.timestamp(HOUR), "packets": 80, "ports": [["tcp", 23, 80]],
        "tools": [], "observers": 2, "observed_by": ["university"],
    }  # fmt: skip
    assert [one["source"] for one in told(university)] == ["203.0.113.9"]  # nothing of 8.8.8.8 anywhere
    assert [(one["source"], one["tools"]) for one in told(bank)] == [("192.0.2.3", ["mirai"])]
    # What grows is told again under the same id; what was told does not come again.
    cursor = [after for _, after in city.sightings()][-1]
    assert told(city, cursor) == []
    bank.report(p.report_of([heard("198.51.100.7", 21)]))
    (again,) = told(city, cursor)
    assert (again["id"], again["packets"]) == (identity, 100)  # 101, rounded
    dump = b"".join(path.read_bytes() for path in hub.folder.iterdir() if path.is_file())
    assert b"8.8.8.8" not in dump  # addresses of nobody are not even stored


def test_over_tls_the_hub_is_verified(hub: Hub, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with served(application(hub.folder), authority) as url:
        key = Secret(hub.folder / "keys" / "city.key")
        assert HubClient(url, "city", key, authority.ca).account()["prefixes"] == [CITY]
        with pytest.raises(Unreachable, match="certificate not accepted"):
            HubClient(url, "city", key).account()
    with pytest.raises(ValueError, match="https"):
        HubClient("http://hub.example.org", "city", key)


def test_alerts_of_daedalus_arrive_through_the_outbox(hub: Hub, tmp_path: Path) -> None:
    from andon.share.outbox import Message, deliver, make_sink
    from andon.store.casebook import Casebook

    alert = {
        "schema": "andon.alert/1", "id": "a", "subject": {"type": "ipv4-addr", "value": "198.51.100.77"},
        "organisation": "hub", "alert_kind": "outbound-scan", "state": "new", "first_seen": p.timestamp(HOUR),
        "last_seen": p.timestamp(HOUR + 10**9), "packets": 12, "dst_ports": [["tcp", 2323, 12]],
        "tools": [{"name": "mirai", "title": "Mirai"}], "samples": [{"secret": "203.0.113.200"}], "darknet": {"n": 1},
    }  # fmt: skip
    key = str(hub.folder / "keys" / "university.key")
    sink = make_sink({"name": "hub", "kind": "hub", "url": hub.url, "member": "university", "key_file": key})
    with Casebook(tmp_path / "casebook.db") as book:
        book.migrate()
        closed = {**alert, "id": "b", "state": "closed"}
        both = [Message(a["id"], "hub", "alert", "A", "T", a) for a in (alert, closed)]
        book.record(messages=both, clock=time.time_ns())
        assert deliver(book, [sink], time.time_ns).delivered == 2
    (seen,) = told(hub.client("city"))
    assert (seen["source"], seen["packets"], seen["tools"]) == ("198.51.100.77", 12, ["mirai"])
    assert seen["observed_by"] == ["university"]
    assert "203.0.113.200" not in json.dumps(seen)


def test_only_what_is_in_the_cover_and_not_our_own_is_sent() -> None:
    cover = [ip_network("198.0.0.0/8"), ip_network("2001:d00::/24")]
    all_of_it = [heard(a) for a in ("198.51.100.7", "8.8.8.8", "2001:db8::1", "198.51.99.1")]
    kept = list(reportable(all_of_it, cover, [ip_network("198.51.99.0/24")]))
    assert [one.source for one in kept] == ["198.51.100.7", "2001:db8::1"]
    many = [heard(f"198.51.{n // 256}.{n % 256}") for n in range(2500)] + [heard("198.51.0.1", 5)]
    made = list(reports(many))
    assert [len(one.sightings) for one in made] == [1000, 1000, 500]
    assert (
        next(one.packets for report in made for one in report.sightings if one.source == "198.51.0.1") == 15
    )
    assert [one.id for one in reports(many)] == [one.id for one in made]


def test_the_cover_hides_what_is_registered_unless_a_member_lists_it(hub: Hub) -> None:
    assert {str(block) for block in hub.client("city").cover()} == {
        "192.0.0.0/8",
        "198.0.0.0/8",
        "203.0.0.0/8",
    }
    HubStore(hub.folder).add_member(member("bank", [BANK], listed=True), 2)
    assert {str(block) for block in hub.client("city").cover()} == {BANK, "198.0.0.0/8", "203.0.0.0/8"}


def test_a_receipt_does_not_tell_whether_an_address_is_registered(hub: Hub) -> None:
    answers = []
    for source in ("203.0.113.9", "8.8.8.8", "198.51.100.7"):
        body = p.Report("0" * 31 + str(len(answers)), (heard(source),)).to_json().encode()
        status, said = raw(hub, "POST", "/v1/reports", body, "city")
        answers.append((status, {**said, "id": ""}))
    assert answers[0] == answers[1] == answers[2]


def raw(
    hub: Hub,
    method: str,
    target: str,
    body: bytes,
    name: str,
    key: str = "",
    at: int = 0,
    headers: Any = None,
) -> tuple[int, dict[str, Any]]:
    """A request as anybody could make it."""
    parts = urlsplit(hub.url)
    now = (time.time_ns() // 10**9) + at
    mark = sign((key or f"the key of {name}").encode(), p.signed_bytes(method, target, body), now)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    given = {"X-Andon-Member": name, "X-Andon-Signature": mark} if headers is None else headers
    connection.request(method, parts.path + target, body, given)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said


def test_a_wrong_key_an_unknown_member_and_an_old_signature_look_the_same(hub: Hub) -> None:
    body = p.report_of([heard("198.51.100.7")]).to_json().encode()
    tries = [
        raw(hub, "POST", "/v1/reports", body, "university", key="guessed"),
        raw(hub, "POST", "/v1/reports", body, "nobody"),
        raw(hub, "POST", "/v1/reports", body, "../keys/city"),
        raw(hub, "POST", "/v1/reports", body, "university", at=-400),
        raw(hub, "POST", "/v1/reports", body, "university", at=400),
    ]
    assert len({(status, said["error"]) for status, said in tries}) == 1 and tries[0][0] == 401
    assert raw(hub, "POST", "/v1/reports", body, "university", headers={})[0] == 401
    assert told(hub.client("city")) == []
    assert hub.client("university").account()["month"]["reports"] == 0


def test_a_signature_is_good_for_one_method_path_and_body(hub: Hub) -> None:
    body = p.report_of([heard("198.51.100.7")]).to_json().encode()
    now = time.time_ns() // 10**9
    right = sign(b"the key of university", p.signed_bytes("POST", "/v1/reports", body), now)
    headers = {"X-Andon-Member": "university", "X-Andon-Signature": right}
    assert raw(hub, "POST", "/v1/reports", body + b" ", "", headers=headers)[0] == 401
    assert raw(hub, "POST", "/v1/withdraw", body, "", headers=headers)[0] == 401
    assert raw(hub, "POST", "/v1/reports?x=1", body, "", headers=headers)[0] == 401
    assert raw(hub, "POST", "/v1/reports", body, "", headers={**headers, "X-Andon-Member": "city"})[0] == 401
    # A recording that is played again within the window counts nothing twice.
    answers = [raw(hub, "POST", "/v1/reports", body, "", headers=headers)[1] for _ in range(3)]
    assert [answer["repeated"] for answer in answers] == [False, True, True]
    assert told(hub.client("city"))[0]["packets"] == 10


def test_a_report_id_means_one_report(hub: Hub) -> None:
    client = hub.client("university")
    assert client.report(p.Report("a" * 32, (heard("198.51.100.7"),))) is True
    assert client.report(p.Report("a" * 32, (heard("198.51.100.7"),))) is False
    with pytest.raises(Refused, match="409"):
        client.report(p.Report("a" * 32, (heard("198.51.100.8"),)))
    assert (
        hub.client("bank").report(p.Report("a" * 32, (heard("198.51.100.9"),))) is True
    )  # of another member


def test_a_flood_is_stopped_and_seen(tmp_path: Path) -> None:
    with ExitStack() as stack:
        hub = open_hub(tmp_path, stack, Rules(reports=5, sightings=30))
        if (
            -time.time_ns() % (24 * p.HOUR) < p.HOUR // 6
        ):  # all of it in one day, also shortly before midnight
            hub.skew = p.HOUR // 3
        client = hub.client("university", hub.clock)
        for n in range(3):
            client.report(p.report_of([heard(f"198.51.100.{n * 10 + k}") for k in range(9)]))
        with pytest.raises(Unreachable, match="429") as caught:
            client.report(p.report_of([heard(f"203.0.113.{k}") for k in range(9)]))
        assert caught.value.retry_after is not None and caught.value.retry_after > 0
        account = client.account()
        assert account["today"] == {"reports": 3, "reports_limit": 5, "sightings": 27, "sightings_limit": 30}
        assert (account["month"]["refused"], account["month"]["share"]) == (1, 1.0)
        hub.client("bank", hub.clock).report(p.report_of([heard("198.51.100.1")]))  # others are not held up
        hub.skew += 24 * p.HOUR
        tomorrow = hub.client("university", hub.clock)
        assert tomorrow.report(p.report_of([heard(f"203.0.113.{k}") for k in range(9)])) is True


def test_requests_of_a_member_are_limited_by_the_minute(hub: Hub) -> None:
    hub.stopped = time.time_ns()
    statuses = [raw(hub, "GET", "/v1/account", b"", "bank")[0] for _ in range(125)]
    assert statuses == [200] * 120 + [429] * 5
    assert raw(hub, "GET", "/v1/account", b"", "city")[0] == 200
    hub.stopped += 10**9
    assert raw(hub, "GET", "/v1/account", b"", "bank")[0] == 200


def test_a_member_that_others_dispute_is_suspended_and_its_reports_are_told_no_more(hub: Hub) -> None:
    liar, honest = hub.client("bank"), hub.client("university")
    liar.report(p.report_of([heard(f"198.51.100.{n}") for n in range(4)] + [heard("203.0.113.1")]))
    honest.report(p.report_of([heard("198.51.100.200")]))
    city = hub.client("city")
    for one in told(city):
        if one["source"] != "198.51.100.200":
            city.dispute(one["id"], "that address is not in use")
    assert (
        liar.account()["state"] == "active" and liar.account()["disputed"] == 4
    )  # one member alone cannot do it
    honest.dispute(told(honest)[0]["id"], "nor is this one")
    assert liar.account()["state"] == "suspended"
    with pytest.raises(Unreachable, match=r"403.*suspended"):
        liar.report(p.report_of([heard("198.51.100.250")]))
    assert [one["source"] for one in told(city)] == ["198.51.100.200"]
    with pytest.raises(Unreachable, match="404"):
        city.dispute("0" * 32, "no such thing")
    HubStore(hub.folder).resume("bank", time.time_ns())
    assert len(told(city)) == 5 and liar.report(p.report_of([heard("198.51.100.250")])) is True


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"schema": NaN}',
     b'{"schema":"andon.hub-dispute/1","sighting":5,"reason":"x"}',
     b'{"schema":"andon.hub-dispute/1","sighting":"\\ud800","reason":"\\ud800"}',
     b"x" * ((1 << 20) + 1)],
)  # fmt: skip
def test_bodies_that_make_no_sense_are_refused_and_nothing_more(hub: Hub, body: bytes) -> None:
    for target in ("/v1/reports", "/v1/disputes"):
        status, said = raw(hub, "POST", target, body, "city")
        assert status in (400, 404, 413, 422) and said["status"] == status
    assert raw(hub, "GET", "/v1/sightings?since=-1", b"", "city")[0] == 400
    assert raw(hub, "GET", "/v1/sightings?limit=x", b"", "city")[0] == 400
    assert raw(hub, "GET", "/v1/account", b"", "c\xff")[0] == 401


def test_a_member_that_leaves_leaves_nothing_behind(hub: Hub) -> None:
    city, bank = hub.client("city"), hub.client("bank")
    bank.report(p.report_of([heard("198.51.100.1"), heard("203.0.113.5")]))
    city.report(p.report_of([heard("192.0.2.4"), heard("203.0.113.5")]))
    copy = hub.folder.parent / "copy"
    copy.write_text("the key of bank")
    bank.withdraw()
    assert told(city) == []
    with pytest.raises(Unreachable, match="401"):
        HubClient(hub.url, "bank", Secret(copy)).account()
    assert told(hub.client("university"))[0]["packets"] == 10
    assert "192.0.0.0/8" not in {str(block) for block in city.cover()}
    city.report(p.report_of([heard("192.0.2.5")]))
    dump = b"".join(path.read_bytes() for path in hub.folder.iterdir() if path.name == "hub.db-wal")
    assert b"192.0.2.5" not in dump


def test_least_counts_hold_back_what_one_member_alone_saw(tmp_path: Path) -> None:
    with ExitStack() as stack:
        hub = open_hub(tmp_path, stack, Rules(least_observers=2, least_packets=15))
        hub.client("bank").report(p.report_of([heard("198.51.100.1"), heard("198.51.100.2", 2)]))
        city = hub.client("city")
        assert told(city) == []
        cursor = [after for _, after in city.sightings()][-1]
        hub.client("university").report(p.report_of([heard("198.51.100.1"), heard("198.51.100.2", 2)]))
        (seen,) = told(city, cursor)
        assert (seen["source"], seen["observers"], seen["packets"]) == ("198.51.100.1", 2, 20)
