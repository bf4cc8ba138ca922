"""The server, asked by OASIS's own client (taxii2-client) and by plain HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.routing import Mount
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages
from taxii_made import CLEAR, NOW, RED, made

from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.server import application
from andon.share.taxii.settings import Settings
from andon.share.taxii.wire import TAXII, stix
from served import Authority, served

PARTNER = ("partner", "opensesame")
ACCEPT = {"Accept": TAXII}


@pytest.fixture(autouse=True)
def own_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests prefers these to what it is told."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    opened = ObjectStore(tmp_path / "share" / "taxii")
    yield opened
    opened.close()


@pytest.fixture
def url(store: ObjectStore, tmp_path: Path, settings: Settings) -> Iterator[str]:
    """Mounted as `andon run` mounts it."""
    app = Starlette(routes=[Mount("/taxii2", application(tmp_path / "share" / "taxii", settings))])
    with served(app) as where:
        yield where + "/taxii2"


def fill(store: ObjectStore, *items: dict[str, Any], now: int = NOW) -> int:
    return store.add([stix(item) for item in items], now)


def collection(url: str, name: str) -> Collection:
    server = Server(url + "/", user=PARTNER[0], password=PARTNER[1])
    return next(one for one in server.default.collections if one.alias == name)


def get(url: str, path: str, auth: Any = PARTNER, **headers: str) -> requests.Response:
    return requests.get(url + path, auth=auth, headers={**ACCEPT, **headers}, timeout=20)


def test_a_client_finds_its_way_from_discovery_to_objects_over_tls(
    store: ObjectStore, tmp_path: Path, settings: Settings, authority: Authority
) -> None:
    fill(store, *(made(n) for n in range(5)))
    app = Starlette(routes=[Mount("/taxii2", application(tmp_path / "share" / "taxii", settings))])
    with served(app, authority) as where:
        server = Server(where + "/taxii2/", user=PARTNER[0], password=PARTNER[1], verify=str(authority.ca))
        assert server.title == "Example CERT"
        (root,) = server.api_roots
        assert root.url == where + "/taxii2/andon/" and root.versions == [TAXII]
        assert root.max_content_length > 0
        found = {one.alias: one for one in root.collections}
        assert set(found) == {"green", "indicators", "clear"}
        assert found["green"].can_read and not found["green"].can_write
        envelope = found["green"].get_objects()
        assert [one["name"] for one in envelope["objects"]] == [f"C2 {n}" for n in range(5)]
        assert found["green"].get_object(made(3)["id"])["objects"] == [made(3)]
        assert found["clear"].get_objects() == {}


def test_pages_hold_everything_once_while_objects_are_added(store: ObjectStore, url: str) -> None:
    fill(store, *(made(n) for n in range(250)))
    pages: list[dict[str, Any]] = []
    for envelope in as_pages(collection(url, "green").get_objects, per_request=50):
        pages.append(envelope)
        if len(pages) < 4:  # what is added behind the cursor comes, what was read does not come again
            fill(store, *(made(1000 + len(pages) * 10 + n) for n in range(10)))
    names = [one["name"] for page in pages for one in page["objects"]]
    assert len(names) == len(set(names)) == 280
    assert all(len(page["objects"]) == 50 for page in pages[:-1]) and not pages[-1]["more"]


def test_two_writers_and_a_reader_at_once(store: ObjectStore, url: str, tmp_path: Path) -> None:
    def write(first: int) -> None:
        own = ObjectStore(tmp_path / "share" / "taxii")
        for n in range(first, first + 60, 3):
            fill(own, made(n), made(n + 1), made(n + 2))
        own.close()

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    seen: list[str] = []
    after: dict[str, str] = {}
    green = collection(url, "green")
    until = time.monotonic() + 120
    while time.monotonic() < until:
        done = not any(writer.is_alive() for writer in writers)
        answer = get(
            url,
            f"/andon/collections/{green.id}/objects/?limit=7"
            + "".join(f"&{k}={v}" for k, v in after.items()),
        )
        seen += [one["id"] for one in answer.json().get("objects", [])]
        if answer.json():
            after = {"added_after": answer.headers["X-TAXII-Date-Added-Last"]}
        elif done:
            break
    assert len(seen) == len(set(seen)) == 120  # resumed by time alone, over and over


def test_filters(store: ObjectStore, url: str) -> None:
    relation = {**made(0), "type": "relationship", "id": made(0)["id"].replace("indicator", "relationship")}
    fill(store, made(1), made(2), now=NOW)
    fill(store, made(1, "2026-02-01T00:00:00.000Z", name="again"), relation, now=NOW + 10**9)
    green = collection(url, "green")
    one, two = made(1)["id"], made(2)["id"]
    names = lambda **f: [o["name"] for o in green.get_objects(**f).get("objects", [])]  # noqa: E731
    assert names() == ["C2 2", "again", "C2 0"]
    assert names(type="relationship") == ["C2 0"]
    assert names(type=["relationship", "indicator"], id=one) == ["again"]
    assert names(id=[one, two]) == ["C2 2", "again"]
    assert names(id=one, version="first") == ["C2 1"]
    assert names(id=one, version="all") == ["C2 1", "again"]
    assert names(version=datetime(2026, 2, 1, tzinfo=UTC)) == ["again"]
    assert names(id=one, version=["first", "last"]) == ["C2 1", "again"]
    assert names(spec_version="2.1") == ["C2 2", "again", "C2 0"] and names(spec_version="2.0") == []
    assert names(added_after=datetime(2026, 1, 1, 12, 0, 0, 500000, tzinfo=UTC)) == ["again", "C2 0"]
    assert [o["name"] for o in collection(url, "indicators").get_objects()["objects"]] == ["C2 2", "again"]
    manifest = green.get_manifest(version="all")["objects"]
    assert [(m["id"], m["version"]) for m in manifest][:1] == [(one, "2026-01-01T00:00:00.000Z")]
    assert manifest[0]["date_added"] == "2026-01-01T12:00:00.000000Z" and len(manifest) == 4
    assert {m["media_type"] for m in manifest} == {"application/stix+json;version=2.1"}
    versions = green.object_versions(one)["versions"]
    assert versions == ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"]


def test_headers_say_when_the_first_and_last_of_a_page_were_added(store: ObjectStore, url: str) -> None:
    fill(store, *(made(n) for n in range(3)))
    answer = get(url, f"/andon/collections/{collection(url, 'green').id}/objects/?limit=2")
    assert answer.headers["X-TAXII-Date-Added-First"] == "2026-01-01T12:00:00.000000Z"
    assert answer.headers["X-TAXII-Date-Added-Last"] == "2026-01-01T12:00:00.000001Z"
    assert answer.headers["Content-Type"] == TAXII and answer.json()["more"] is True


def test_what_was_marked_more_strictly_disappears_with_all_its_versions(store: ObjectStore, url: str) -> None:
    fill(store, made(1, tlp=CLEAR), made(2, tlp=RED), made(3, tlp=CLEAR))
    clear = next(c for c in ApiRoot(url + "/andon/", auth=_Bearer("t0ken")).collections)
    assert [o["name"] for o in clear.get_objects()["objects"]] == ["C2 1", "C2 3"]
    fill(store, made(1, "2026-03-01T00:00:00.000Z", tlp=RED))
    assert [o["name"] for o in clear.get_objects(version="all")["objects"]] == ["C2 3"]
    with pytest.raises(requests.HTTPError, match="404"):
        clear.get_object(made(1)["id"])
    # A part that is marked red makes the whole red.
    part = made(4, tlp=CLEAR, granular_markings=[{"marking_ref": RED, "selectors": ["name"]}])
    fill(store, part)
    assert len(clear.get_objects()["objects"]) == 1


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def test_a_user_sees_only_collections_it_may_read(store: ObjectStore, url: str, settings: Settings) -> None:
    fill(store, made(1))
    public = _Bearer("t0ken")
    root = ApiRoot(url + "/andon/", auth=public)
    assert [one.alias for one in root.collections] == ["clear"]
    hidden = next(one for one in settings.collections if one.name == "green").id
    for path in (
        f"/andon/collections/{hidden}/",
        f"/andon/collections/{hidden}/objects/",
        "/andon/collections/nothing/",
    ):
        answer = get(url, path, auth=public)
        assert answer.status_code == 404
        assert answer.json()["title"] == "There is no such collection, or it is not for you"


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Basic cGFydG5lcjp3cm9uZw==", "Bearer opensesame", "Bearer", "Basic cGFydG5lcjpOb25l",
     "Bearer None", "Digest x", "Basic " + "A" * 5000],
)  # fmt: skip
def test_nobody_is_let_in_without_the_right_secret(url: str, header: str) -> None:
    headers = {**ACCEPT, **({"Authorization": header} if header else {})}
    answer = requests.get(url + "/", headers=headers, timeout=20)
    assert answer.status_code == 401 and "Basic" in answer.headers["WWW-Authenticate"]
    assert answer.json()["http_status"] == "401" and answer.headers["Content-Type"] == TAXII


def test_a_secret_that_was_changed_counts_at_once(url: str, tmp_path: Path) -> None:
    assert get(url, "/").status_code == 200
    (tmp_path / "partner.password").write_text("new")
    assert get(url, "/").status_code == 401
    assert get(url, "/", auth=("partner", "new")).status_code == 200
    (tmp_path / "partner.password").unlink()
    assert get(url, "/", auth=("partner", "new")).status_code == 401
    assert get(url, "/", auth=("partner", "None")).status_code == 401


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (TAXII, 200), ("application/taxii+json", 200), ("application/taxii+json; version=2.1", 200), ("*/*", 200),
        ("text/html, application/taxii+json;version=2.1;q=0.5", 200), ("application/*", 200),
        ("application/taxii+json;version=2.0", 406), ("application/json", 406), ("text/html", 406),
        ("application/vnd.oasis.taxii+json; version=2.0", 406), ("application/taxii+json;q=0", 406), (";;,,", 406),
    ],
)  # fmt: skip
def test_media_types_are_negotiated(url: str, accept: str, status: int) -> None:
    answer = get(url, "/", Accept=accept)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == TAXII
    if status == 406:
        assert answer.json() == {
            "title": "Not acceptable",
            "http_status": "406",
            "description": f"This server speaks {TAXII}",
        }


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "limit=1e3", "limit=" + "9" * 30, "added_after=yesterday",
     "added_after=2026-13-01T00:00:00Z", "match[version]=newest", "match[colour]=red", "match[id]=", "next=abc",
     "next=" + "A" * 32, "match[type]=" + ",".join(f"t{n}" for n in range(101)), "limit=1&limit=2"],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_an_error_and_nothing_more(
    store: ObjectStore, url: str, query: str
) -> None:
    fill(store, made(1))
    answer = get(url, f"/andon/collections/{collection(url, 'green').id}/objects/?{query}")
    assert answer.status_code == 400 and answer.json()["http_status"] == "400"


def test_a_cursor_is_good_for_its_own_query_alone_and_after_a_restart(
    store: ObjectStore, url: str, tmp_path: Path, settings: Settings
) -> None:
    fill(store, *(made(n) for n in range(10)))
    green, clear = (
        f"/andon/collections/{collection(url, name).id}/objects/" for name in ("green", "indicators")
    )
    token = get(url, green + "?limit=4").json()["next"]
    assert get(url, clear + f"?limit=4&next={token}").status_code == 400
    assert get(url, green + f"?limit=4&match[type]=indicator&next={token}").status_code == 400
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    assert get(url, green + f"?limit=4&next={forged}").status_code == 400
    again = Starlette(routes=[Mount("/taxii2", application(tmp_path / "share" / "taxii", settings))])
    with served(again) as where:
        answer = get(where + "/taxii2", green + f"?limit=100&next={token}")
    assert [one["name"] for one in answer.json()["objects"]] == [f"C2 {n}" for n in range(4, 10)]


def test_it_is_read_only_and_says_so(store: ObjectStore, url: str) -> None:
    path = f"{url}/andon/collections/{collection(url, 'green').id}/objects/"

    def post(kind: str) -> requests.Response:
        headers = {**ACCEPT, "Content-Type": kind}
        return requests.post(path, data=b'{"objects":[]}', auth=PARTNER, headers=headers, timeout=20)

    assert post(TAXII).status_code == 403 and post("application/json").status_code == 415
    assert (
        requests.delete(path + made(1)["id"] + "/", auth=PARTNER, headers=ACCEPT, timeout=20).status_code
        == 403
    )
    assert requests.put(path, auth=PARTNER, headers=ACCEPT, timeout=20).status_code == 405
    assert get(url, "/andon/status/2d086da7-4bdc-4f91-900e-d77486753710/").status_code == 404
    assert get(url, "/other/collections/").status_code == 404
    assert (
        get(url, f"/andon/collections/{collection(url, 'green').id}/objects/indicator--x/").status_code == 404
    )
    assert get(url, "/?" + "x" * 9000).status_code == 414


def test_a_page_has_bounded_bytes(store: ObjectStore, tmp_path: Path, settings: Settings) -> None:
    from dataclasses import replace

    fill(store, *(made(n, description="x" * 100_000) for n in range(30)))
    app = application(tmp_path / "share" / "taxii", replace(settings, page_bytes=1_000_000))
    with served(app) as where:
        root = ApiRoot(where + "/andon/", user=PARTNER[0], password=PARTNER[1])
        green = next(one for one in root.collections if one.alias == "green")
        sizes = [len(json.dumps(page)) for page in as_pages(green.get_objects, per_request=1000)]
    assert max(sizes) < 1_200_000 and len(sizes) >= 3


def test_objects_without_versions_are_held_once(store: ObjectStore, url: str) -> None:
    address = {"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.7", "object_marking_refs": [CLEAR],
               "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}  # fmt: skip
    assert [fill(store, address), fill(store, address), store.count()] == [1, 0, 1]
    green = collection(url, "green")
    assert green.get_manifest()["objects"][0]["version"] == "2026-01-01T12:00:00.000000Z"
    assert green.get_objects(version="2026-01-01T12:00:00.000000Z")["objects"] == [address]
