"""Requests that nobody would send: an answer below 500 for each, in TAXII's own words."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taxii_made import NOW, made

from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.server import application
from andon.share.taxii.settings import settings_from
from andon.share.taxii.wire import TAXII, stix
from served import served

_PIECES = ["andon", "collections", "objects", "manifest", "versions", "status", "%ff", "%00", "%ed%a0%80", "..", ".",
           "", "%2e%2e", made(1)["id"], "indicator--%F0%9F%92%A9", "a" * 300]  # fmt: skip
_NAMES = [
    "limit",
    "next",
    "added_after",
    "match[id]",
    "match[version]",
    "match[type]",
    "match[spec_version]",
    "match[]",
    "%ff",
]
_VALUES = ["", "1", "-1", "999999999", "last", "all", "first,all", "2026-01-01T00:00:00Z",
           "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "%00", "%ff", "%ed%a0%80",
           "' OR 1=1 --", ",,,", "AAAA", "=" * 50]  # fmt: skip
_PATH = st.lists(st.sampled_from(_PIECES), max_size=6).map("/".join)
_QUERY = st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=3)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    folder: Path = tmp_path_factory.mktemp("fuzz")
    (folder / "pw").write_text("pw")
    made_settings = settings_from({"user": [{"name": "u", "password_file": "pw"}]}, folder)
    store = ObjectStore(folder)
    store.add([stix(made(n)) for n in range(5)], NOW)
    with served(application(folder, made_settings)) as url:
        yield urlsplit(url), made_settings.collections[0].id
    store.close()


@settings(max_examples=150)
@given(
    path=_PATH, query=_QUERY, known=st.booleans(),
    method=st.sampled_from(["GET", "GET", "GET", "POST", "DELETE", "PUT", "HEAD"]),
    accept=st.sampled_from([TAXII, TAXII, TAXII, "*/*", "", "\xff", ";;;", "application/taxii+json;version"]),
)  # fmt: skip
def test_no_request_breaks_it(place, path: str, query, known: bool, method: str, accept: str) -> None:  # type: ignore[no-untyped-def]
    parts, number = place
    target = f"/andon/collections/{number}/{path}/" if known else f"/{path}"
    text = "&".join(f"{name}={value}".replace(" ", "%20") for name, value in query)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    connection.putrequest(method, target + (f"?{text}" if text else ""), skip_accept_encoding=True)
    connection.putheader("Authorization", "Basic dTpwdw==")
    connection.putheader("Accept", accept.encode("latin-1"))
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status < 500, (target, text, body)
    if answer.status != 404 or body.startswith(b"{"):
        assert answer.headers["Content-Type"] == TAXII or answer.status in (400, 405, 307)
