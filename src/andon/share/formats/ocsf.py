"""Findings, cases and intents in the Open Cybersecurity Schema Framework, version 1.5.0 (``metadata.version``).

A finding is a Detection Finding (class 2004), a case an Incident Finding (2005), an intent a Remediation Activity
(7001). ``type_uid`` is class x 100 + activity; times are ms. ``finding_info.uid`` is the id of the finding and
``finding_info.analytic.uid`` its kind under its engine, so that a receiver groups what belongs together. What our own
reader (``observe.alerts.ocsf``) reads of it has the same severity, source and destination again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon import __version__
from andon.records.intent import ALLOW, CUTTING
from andon.share.formats.techniques import name_of
from andon.share.formats.view import CASE, INTENT, Thing, View, milliseconds
from andon.share.policy import AMBER

VERSION: Final = "1.5.0"
_SEVERITY: Final[Mapping[str, tuple[int, str]]] = {
    "": (0, "Unknown"), "informational": (1, "Informational"), "low": (2, "Low"), "medium": (3, "Medium"),
    "high": (4, "High"), "critical": (5, "Critical"),
}  # fmt: skip
_ACTIVITIES: Final = ("Unknown", "Create", "Update", "Close")
_OBSERVABLE: Final[Mapping[str, tuple[int, str]]] = {  # type_id of objects/observable.json
    "domain-name": (1, "Hostname"), "ipv4-addr": (2, "IP Address"), "ipv6-addr": (2, "IP Address"),
    "user-account": (4, "User Name"), "url": (6, "URL String"), "file": (8, "Hash"), "device": (1, "Hostname"),
    "x-host": (1, "Hostname"),
}  # fmt: skip
_PRODUCT: Final = {"name": "Andon", "vendor_name": "Andon", "version": __version__}
_MOST: Final = 100  # observables
_MOST_EVIDENCE: Final = 20
_VERDICTS: Final = {"true-positive": (2, "True Positive"), "false-positive": (1, "False Positive"),
                    "benign-positive": (7, "Benign"), "unsure": (5, "Other")}  # fmt: skip
_STATES: Final = {"applied": (1, "Success"), "verified": (1, "Success"), "failed": (2, "Failure"),
                  "revoked": (1, "Success"), "expired": (1, "Success")}  # fmt: skip


def event(told: View, level: str = AMBER) -> dict[str, Any]:
    """The event of a view, of the class that fits."""
    if told.what == CASE:
        return _incident(told, level)
    if told.what == INTENT:
        return _remediation(told, level)
    return _detection(told, level)


def _base(
    told: View, class_uid: int, class_name: str, activity: int, name: str, level: str
) -> dict[str, Any]:
    number, word = _SEVERITY[told.severity]
    made: dict[str, Any] = {
        "category_uid": class_uid // 1000, "category_name": "Remediation" if class_uid >= 7000 else "Findings",
        "class_uid": class_uid, "class_name": class_name, "activity_id": activity, "activity_name": name,
        "type_uid": class_uid * 100 + activity, "type_name": f"{class_name}: {name}",
        "time": milliseconds(told.last or told.issued) or milliseconds(told.issued) or 0,
        "severity_id": number, "severity": word, "message": told.title,
        "metadata": {
            "version": VERSION, "product": _PRODUCT, "uid": f"{told.id}-{told.revision}",
            "labels": [f"tlp:{level}"], "log_provider": told.engine or "andon", "tenant_uid": _site(told),
        },
    }  # fmt: skip
    if not made["metadata"]["tenant_uid"]:
        del made["metadata"]["tenant_uid"]
    seen = [
        _observable(one) for one in dict.fromkeys([told.subject, *told.entities]) if one[0] in _OBSERVABLE
    ]
    if seen:
        made["observables"] = seen[:_MOST]
    return made


def _detection(told: View, level: str) -> dict[str, Any]:
    activity = 3 if told.state == "closed" else 2 if told.revision > 1 else 1
    made = _base(told, 2004, "Detection Finding", activity, _ACTIVITIES[activity], level)
    first, last = milliseconds(told.first), milliseconds(told.last)
    info: dict[str, Any] = {
        "uid": told.id or "-", "title": told.title or told.kind, "desc": told.statement, "types": [told.kind],
        "created_time": milliseconds(told.issued) or made["time"],
        "analytic": {"uid": f"{told.engine}:{told.kind}", "name": told.kind, "type": "Behavioral", "type_id": 2,
                     "category": told.engine},
        "product_uid": "andon",
    }  # fmt: skip
    if told.series:
        info["related_events"] = [{"uid": told.series, "type": "series"}]
    if first is not None:
        made["start_time"] = info["first_seen_time"] = first
    if last is not None:
        made["end_time"] = info["last_seen_time"] = last
    if told.attack:
        info["attacks"] = [_attack(one) for one in told.attack]
    made["finding_info"] = info
    made["is_alert"] = told.severity not in ("", "informational")
    made["status_id"], made["status"] = (4, "Resolved") if activity == 3 else (1, "New")
    if told.count:
        made["count"] = told.count
    if told.confidence is not None:
        score = round(100 * told.confidence)
        made["confidence_score"] = score
        made["confidence_id"], made["confidence"] = (
            (3, "High") if score >= 80 else (2, "Medium") if score >= 50 else (1, "Low")
        )
    evidences = _evidences(told)
    if evidences:
        made["evidences"] = evidences
    hosts = [_resource(one) for one in told.ours[:_MOST_EVIDENCE]]
    if hosts:
        made["resources"] = hosts
    return made


def _evidences(told: View) -> list[dict[str, Any]]:
    """Ends of the connection first, then what was stated, with its check."""
    ends: dict[str, Any] = {}
    if told.source:
        ends["src_endpoint"] = {"ip": told.source}
    if told.destination or told.named:
        end: dict[str, Any] = {}
        if told.destination:
            end["ip"] = told.destination
        if told.named:
            end["hostname"] = told.named
        ends["dst_endpoint"] = end
    if told.ports:
        port, protocol = told.ports[0]
        ends.setdefault("dst_endpoint", {})["port"] = port
        if protocol:
            ends["connection_info"] = {"protocol_name": protocol, "direction_id": 0}
    if told.user:
        ends["actor"] = {"user": {"name": told.user}}
    made = [ends] if ends else []
    for statement, check in told.evidence[: _MOST_EVIDENCE - 1]:
        data: dict[str, Any] = {"statement": statement}
        if check:
            data["check"] = dict(check)
        made.append({"data": data})
    return made


def _incident(told: View, level: str) -> dict[str, Any]:
    body = told.body
    closed = told.state in ("closed", "merged")
    activity = 3 if closed else 2 if told.revision > 1 else 1
    made = _base(told, 2005, "Incident Finding", activity, _ACTIVITIES[activity], level)
    findings = [
        {"uid": str(one["id"]), "title": str(one.get("title") or one.get("kind") or one["id"]),
         "types": [str(one.get("kind") or "finding")]}
        for one in _mappings(body.get("findings")) if one.get("id")
    ]  # fmt: skip
    known = {one["uid"] for one in findings}
    findings += [
        {"uid": str(one["id"]), "title": f"{one.get('kind')} {one['id']}", "types": [str(one.get("kind"))]}
        for one in _mappings(body.get("items"))
        if one.get("id") and str(one["id"]) not in known
    ]
    made["finding_info_list"] = findings or [{"uid": told.id or "-", "title": told.title or "case"}]
    made["desc"] = told.statement
    assignee = body.get("assignee")
    made["status_id"], made["status"] = (
        (5, "Closed") if closed else (2, "In Progress") if assignee else (1, "New")
    )
    if isinstance(assignee, str) and assignee:
        made["assignee"] = {"name": assignee}
    else:
        made["assignee_group"] = {"name": str(body.get("site") or "andon")}
    first, last = milliseconds(told.first), milliseconds(told.last)
    if first is not None:
        made["start_time"] = first
    if last is not None:
        made["end_time"] = last
    if told.attack:
        made["attacks"] = [_attack(one) for one in told.attack]
    priority = _SEVERITY[told.severity][0]
    if 2 <= priority <= 5:
        made["priority_id"], made["priority"] = priority - 1, _SEVERITY[told.severity][1]
    labels = [str(one.get("label")) for one in _mappings(body.get("verdicts"))]
    labels = [one for one in labels if one != "unsure"] or labels
    if labels and labels[-1] in _VERDICTS:
        made["verdict_id"], made["verdict"] = _VERDICTS[labels[-1]]
    if told.ours:
        made["unmapped"] = {"host": told.ours[0][1], "attacker": body.get("attacker") or []}
    return made


def _remediation(told: View, level: str) -> dict[str, Any]:
    action = told.kind
    activity, name = (
        (1, "Isolate") if action in CUTTING else (3, "Restore") if action == ALLOW else (99, "Other")
    )
    made = _base(told, 7001, "Remediation Activity", activity, name, level)
    made["time"] = milliseconds(told.issued) or 0
    made["command_uid"] = told.id or "-"
    made["status_id"], made["status"] = _STATES.get(told.state, (99, told.state.capitalize() or "Other"))
    made["status_detail"] = told.state
    made["start_time"] = made["time"]
    until = milliseconds(told.last)
    if until is not None:
        made["end_time"] = until
    made["remediation"] = {"desc": f"{told.title}. {told.statement}".strip()}
    if action in CUTTING:
        # D3FEND's tactic Isolate; its techniques by what is cut.
        host = action == "quarantine"
        made["countermeasures"] = [
            {"d3f_tactic": {"uid": "d3f:Isolate", "name": "Isolate"},
             "d3f_technique": {"uid": "d3f:NetworkIsolation" if host else "d3f:NetworkTrafficFiltering",
                               "name": "Network Isolation" if host else "Network Traffic Filtering"}}
        ]  # fmt: skip
    return made


def _attack(technique: str) -> dict[str, Any]:
    parent = technique.partition(".")[0]
    made: dict[str, Any] = {"version": "15", "technique": {"uid": parent, "name": name_of(parent)}}
    if parent != technique:
        made["sub_technique"] = {"uid": technique, "name": name_of(technique)}
    return made


def _observable(one: Thing) -> dict[str, Any]:
    number, word = _OBSERVABLE[one[0]]
    return {"name": one[0], "type": word, "type_id": number, "value": one[1]}


def _resource(one: Thing) -> dict[str, Any]:
    return {"name": one[1], "type": one[0]}


def _site(told: View) -> str:
    site = told.body.get("site")
    return site if isinstance(site, str) else ""


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []
