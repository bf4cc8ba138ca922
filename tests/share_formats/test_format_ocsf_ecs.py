"""OCSF by its pydantic models, ECS by its fields; and both read again by our own reader as what they were."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import py_ocsf_models
import pytest
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from told_records import CASE_DOCUMENT, CENSUS, DOCUMENTS, FINDINGS, INFECTED, INTENTS

from andon.share.formats import ecs, ocsf
from andon.share.formats.view import view

# Values that ECS 8 allows (event.category, event.type), by its reference of fields.
CATEGORIES = {"api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
              "intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session",
              "threat", "vulnerability", "web"}  # fmt: skip
TYPES = {"access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "device", "end",
         "error", "group", "indicator", "info", "installation", "protocol", "start", "user"}  # fmt: skip


def test_every_finding_is_a_detection_finding_of_the_one_version_that_we_write() -> None:
    assert ocsf.VERSION == py_ocsf_models.OCSF_VERSION == "1.5.0"
    for finding in FINDINGS:
        made = ocsf.event(view(finding.to_dict()))
        read = DetectionFinding.model_validate(made)
        assert read.class_uid == 2004 and read.type_uid == 200401 and read.category_uid == 2
        assert read.finding_info.uid == finding.id and read.metadata.version == "1.5.0"
        assert (
            read.severity_id
            == ["informational", "low", "medium", "high", "critical"].index(finding.severity) + 1
        )
        assert made["is_alert"] is (finding is not CENSUS)


def test_an_update_and_a_close_say_so() -> None:
    body = INFECTED.to_dict()
    assert ocsf.event(view({**body, "revision": 2}))["type_uid"] == 200402
    assert ocsf.event(view({**body, "attributes": {"state": "closed"}}))["type_uid"] == 200403


def test_a_case_is_an_incident_finding_with_what_the_class_requires() -> None:
    made = ocsf.event(view(CASE_DOCUMENT))
    assert (made["class_uid"], made["activity_id"], made["type_uid"], made["status_id"]) == (
        2005,
        3,
        200503,
        5,
    )
    assert made["finding_info_list"][0]["uid"] == INFECTED.id and made["assignee"] == {"name": "alice"}
    assert (made["verdict_id"], made["verdict"]) == (2, "True Positive")
    opened = ocsf.event(
        view({**CASE_DOCUMENT, "state": "open", "assignee": "", "version": 1, "items": [], "findings": []})
    )
    assert opened["type_uid"] == 200501 and opened["status_id"] == 1
    assert opened["assignee_group"] and opened["finding_info_list"]  # at_least_one of the class, and required


def test_an_intent_is_a_remediation_activity() -> None:
    done, failed = (ocsf.event(view(one)) for one in INTENTS)
    for made, status in ((done, 1), (failed, 2)):
        assert (made["class_uid"], made["activity_id"], made["type_uid"]) == (7001, 1, 700101)
        assert made["status_id"] == status and made["command_uid"]
    assert failed["countermeasures"][0]["d3f_technique"]["name"] == "Network Isolation"


def test_ecs_documents_use_the_values_that_the_schema_allows() -> None:
    for document in DOCUMENTS:
        made = ecs.document(view(document))
        event = made["event"]
        assert set(event["category"]) <= CATEGORIES and set(event["type"]) <= TYPES
        assert event["kind"] in ("alert", "event") and event.get("outcome", "success") in (
            "success",
            "failure",
            "unknown",
        )
        assert made["ecs"]["version"] == "8.17.0" and made["@timestamp"].endswith("Z")
        for end in ("source", "destination"):
            if "ip" in made.get(end, {}):
                ip_address(made[end]["ip"])
        for address in made.get("related", {}).get("ip", []):
            ip_address(address)


def test_a_bulk_request_is_two_lines_with_an_id_that_repeats() -> None:
    first, second = ecs.bulk(view(INFECTED.to_dict()), "alerts").splitlines()
    assert json.loads(first) == {"create": {"_index": "alerts", "_id": f"finding-{INFECTED.id}-1"}}
    assert json.loads(second)["event"]["kind"] == "alert"
    assert ecs.bulk(view(INFECTED.to_dict()), "alerts") == ecs.bulk(view(INFECTED.to_dict()), "alerts")


@pytest.mark.parametrize(
    "body", [[], {}, 7, {"severity": [], "attributes": 3, "evidence": {}, "entities": "x"}]
)
def test_a_body_of_any_shape_is_an_event_all_the_same(body: Any) -> None:
    json.dumps(ocsf.event(view(body, "k")))
    json.dumps(ecs.document(view(body, "k")))
