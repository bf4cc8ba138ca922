"""Alerts of DFIR-IRIS (``POST /alerts/add``, API 2).

IRIS numbers severities, states, TLP and types of indicators; the numbers here are those of a new installation (2.4), in
the order in which IRIS fills its tables. ``alert_source_ref`` is the id of the finding; IRIS does not refuse a second
alert of the same reference, so the sink asks first (``alerts/filter``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon.share.formats.view import View
from andon.share.policy import AMBER, Caution

_SEVERITY: Final[Mapping[str, int]] = {
    "": 1, "informational": 2, "low": 3, "medium": 4, "high": 5, "critical": 6,
}  # fmt: skip
_TLP: Final[Mapping[str, int]] = {"red": 1, "amber": 2, "green": 3, "clear": 4, "amber+strict": 5}
_NEW: Final = 2  # alert status
_IOC: Final[Mapping[str, int]] = {"ipv4-addr": 76, "ipv6-addr": 76, "domain-name": 20, "url": 141}
_ACCOUNT, _MACHINE = 1, 9  # types of assets: an account; a computer (Windows - Computer)
_MOST: Final = 100
_TITLE: Final = 512


def alert(
    told: View, level: str = AMBER, customer: int = 1, caution: Caution | None = None
) -> dict[str, Any]:
    """The body of an alert for a customer of IRIS."""
    caution = caution or Caution()
    ours = set(told.ours)
    iocs: list[dict[str, Any]] = []
    assets: list[dict[str, Any]] = []
    hostile = {one for one in told.hostile if not caution.holds(*one)}
    for one in dict.fromkeys([told.subject, *told.entities]):
        if one in ours or one[0] in ("user-account", "device", "x-host"):
            if len(assets) < _MOST:
                assets.append(_asset(one))
        elif one[0] in _IOC and len(iocs) < _MOST:
            iocs.append(
                {"ioc_value": one[1], "ioc_type_id": _IOC[one[0]], "ioc_tlp_id": _TLP[level],
                 "ioc_description": told.kind, "ioc_tags": "hostile" if one in hostile else "seen"}
            )  # fmt: skip
    when = told.first or told.issued or "1970-01-01T00:00:00Z"
    lines = [told.statement or told.title, *(f"- {statement}" for statement, _ in told.evidence)]
    return {
        "alert_title": (told.title or told.kind)[:_TITLE], "alert_description": "\n".join(lines)[:20_000],
        "alert_source": "andon", "alert_source_ref": told.id, "alert_source_link": "",
        "alert_severity_id": _SEVERITY[told.severity], "alert_status_id": _NEW,
        "alert_source_event_time": when[:19], "alert_note": "", "alert_customer_id": customer,
        "alert_tags": ",".join([f"tlp:{level}", told.kind.replace(",", " "), *told.attack]),
        "alert_source_content": dict(told.body),
        "alert_context": {"kind": told.kind, "series": told.series, "revision": told.revision, "state": told.state},
        "alert_iocs": iocs, "alert_assets": assets,
    }  # fmt: skip


def _asset(one: tuple[str, str]) -> dict[str, Any]:
    account = one[0] == "user-account"
    made: dict[str, Any] = {"asset_name": one[1], "asset_type_id": _ACCOUNT if account else _MACHINE,
                            "asset_description": one[0], "asset_tags": one[0]}  # fmt: skip
    if one[0] in ("ipv4-addr", "ipv6-addr"):
        made["asset_ip"] = one[1]
    return made
