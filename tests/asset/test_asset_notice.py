"""What the owner is sent, and that it goes to the owner alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import asset_world as w
import pytest

from andon.records.contract import Organisation
from andon.records.finding import fingerprint_name
from andon.run.live.messages import messages_for
from andon.share.asset_notice import asset_message

A = "192.0.2.1"
SECRET = "tcp.seq ^ ip.dst == 0xcb007109"  # a constant out of the telescope's prefix


@pytest.fixture
def finding() -> Any:
    lease = w.asset(A, "cam-1", 0, w.DAY, hostname="cam1.example")
    sightings = [w.sighting(A, w.HOUR * n, SECRET) for n in (1, 2, 3)]
    day = w.tables(sightings=sightings, profiles=[w.page(fingerprints=[SECRET])], links=[w.link(SECRET)])
    (made,) = w.told(w.run(w.site([lease], [Organisation("Bank", ("192.0.2.0/24",), ("mail",))]), [day]))
    return made


def test_text_says_what_which_device_and_what_to_do(finding: Any) -> None:
    message = asset_message(finding)
    assert message.subject == "[DAEDALUS] cam-1 is suspected to be infected with SATORI"
    for part in ("To Bank", "cam1.example", A, "IP Camera Hikvision DS-2CD", "its lease covers", "CVE-2021-36260",
                 "3 times at unused addresses", "change its password", "UTC"):  # fmt: skip
        assert part in message.text
    japanese = asset_message(finding.to_dict(), "ja")
    assert "感染の疑い" in japanese.subject
    assert "ファームウェア更新" in japanese.text


def test_nothing_of_the_telescope_or_of_others_gets_out(finding: Any) -> None:
    for language in ("en", "ja"):
        message = asset_message(finding, language)
        whole = message.subject + message.text + message.json
        for secret in ("ip.dst", "cb007109", "SELECT", "evidence", "link-", "page-"):
            assert secret not in whole
    body = json.loads(asset_message(finding).json)
    assert body["schema"] == "andon.asset-notice/1"
    assert body["fingerprints"] == [fingerprint_name(SECRET)]
    assert (body["asset"], body["level"], body["organisation"]) == ("cam-1", "device", "Bank")


def test_names_cannot_become_headers(finding: Any) -> None:
    body = finding.to_dict()
    body["attributes"] |= {"family": "X\r\nBcc: all@example.org", "asset": "cam\n1"}
    message = asset_message(body)
    assert "\n" not in message.subject
    assert "\nBcc" not in message.text


def test_it_goes_to_the_owner_and_to_nobody_else(finding: Any) -> None:
    organisations = [
        SimpleNamespace(name="Bank", sinks=("mail", "hook"), language="ja"),
        SimpleNamespace(name="City", sinks=("city",), language="en"),
    ]
    send = messages_for(SimpleNamespace(organisation=organisations, sink=()))  # type: ignore[arg-type]
    messages = send(finding)
    assert [message.sink for message in messages] == ["mail", "hook"]
    assert all("感染の疑い" in message.subject for message in messages)
    assert messages[0].kind == "asset-suspected-infected"
    finding.attributes["organisation"] = ""
    assert not send(finding)


def test_another_kind_and_another_language_are_refused(finding: Any) -> None:
    with pytest.raises(ValueError, match="no texts"):
        asset_message(finding, "fr")
    with pytest.raises(ValueError, match="no notice"):
        asset_message({**finding.to_dict(), "kind": "census"})
