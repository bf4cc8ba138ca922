"""Threat level of a case: class of the attacker x value of the asset x certainty x stage reached, each part
explained.

The parts are multiplied as geometric mean of class, asset and stage, times the certainty: one part at its lowest
pulls the level down, none alone lifts it to the top. The table of cuts was set by hand on the cases of
``tests/attacker/test_threat.py``. Two rules stand above the product. A class never lowers a level: it counts by the
worst of what it could still be and at least as much as an unknown attacker, so a wrong class alone cannot take
containment away. And a certain attack that reached its objective, or spreads on an important asset, is high whoever
does it."""

# ruff: noqa: E501  one rule a line

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from andon.records.case import CLASSES, FINANCIAL, HACKTIVIST, LEVELS, TARGETED, Attacker, Threat
from andon.triage.stages import LOOKING, OBJECTIVE, SPREAD, Stage, stage_of

__all__ = ["AssetValue", "Stage", "asset_value", "stage_of", "threat"]

UNKNOWN_CLASS: Final = 0.7
CLASS_VALUE: Final = {HACKTIVIST: 0.7, FINANCIAL: 0.8, TARGETED: 1.0}  # none below an unknown one
UNKNOWN_ASSET: Final = 0.5
CUTS: Final = ((0.72, "critical"), (0.5, "high"), (0.3, "medium"), (0.12, "low"))
_SURE: Final = 0.8  # certainty from which a floor holds
_IMPORTANT: Final = 0.8

# Words in names, roles, products and device classes -> value. The highest that is found counts.
_ROLES: Final[tuple[tuple[re.Pattern[str], float, str], ...]] = tuple(
    (re.compile(rf"(?:^|[^a-z0-9])(?:{words})(?:[^a-z]|$)"), value, said)
    for words, value, said in (
        (r"dc\d*|domain.?controller|active.?directory|adds?|ldap|krb\d*|kdc|adfs|ca\d*|pki|idp|sso|iam", 1.0, "directory or identity"),
        (r"scada|plc|ics|hmi|rtu|dcs|historian|safety", 1.0, "control of machines"),
        (r"backup\w*|veeam|bkp|vault|hsm|pam", 0.95, "backups or secrets"),
        (r"erp|sap|payroll|payment|billing|swift|bank\w*|finance\w*|hr|ehr|pacs|crm", 0.95, "business records"),
        (r"db\d*|sql\w*|database|oracle|postgres\w*|mysql|mariadb|mongo\w*|san|nas|file.?server|fs\d+|files?", 0.9, "data"),
        (r"esx\w*|vcenter|hyper.?v|hypervisor|k8s|kube\w*|docker|proxmox", 0.9, "a host of others"),
        (r"fw\d*|firewall|vpn\d*|gateway|gw\d*|router|switch|core|proxy\d*|waf", 0.85, "the network itself"),
        (r"mail\w*|exchange|mx\d*|smtp|imap|ns\d+|dns\d*|git\w*|wiki\w*|jenkins|ci|build|deploy|ansible|puppet|sccm|wsus", 0.85, "a service that others trust"),
        (r"siem|soc|monitor\w*|log\w*|nagios|zabbix", 0.8, "watching"),
        (r"srv\w*|server|web\d*|www\d*|app\d*|api\d*|portal", 0.7, "a server"),
        (r"ceo|cfo|cto|exec\w*|board|legal|admin\w*|jump\w*|bastion", 0.8, "people with rights"),
        (r"laptop|desktop|ws\d*|workstation|pc\d*|client\d*|notebook", 0.5, "a work place"),
        (r"printer|ip.?camera|camera|dvr|nvr|phone|voip|tv|iot|thermostat|badge", 0.35, "a device"),
        (r"guest\w*|test\w*|dev|lab|sandbox|demo|staging|honeypot", 0.25, "a place for tests or guests"),
    )
)  # fmt: skip
_CRITICALITY: Final = {
    "critical": 1.0, "very high": 1.0, "crown jewel": 1.0, "high": 0.85, "medium": 0.5, "moderate": 0.5, "normal": 0.5,
    "low": 0.25, "minimal": 0.1, "none": 0.1, "very low": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class AssetValue:
    """What would be lost with an asset, 0..1, and by what that is said."""

    value: float
    statement: str


def asset_value(rows: Sequence[Mapping[str, Any]], name: str = "") -> AssetValue:
    """Value of a host by its rows of the asset list (``records.asset.ASSET`` as dictionaries; [] if it has none) and
    its name. A column ``criticality`` or ``value`` (words, or a number 0..1, 1..5, or up to 10) stands above
    everything else; then the most valuable of the words for what it is and does.

    >>> asset_value([{"hostname": "dc01.corp.example", "device": ""}]).value
    1.0
    """
    for row in rows:
        for column in ("criticality", "value", "business_value", "importance"):
            if (given := _given(row.get(column))) is not None:
                return AssetValue(given, f"the asset list says {column} {str(row[column])[:40]}")
    texts = [name] + [
        str(row.get(column) or "")
        for row in rows
        for column in ("hostname", "asset", "device", "product", "role", "os", "service")
    ]
    # "corp-dc01.lab.example": what a machine is stands in its own name, before the first dot.
    words = [
        text.casefold().partition(".")[0] if "." in text and " " not in text else text.casefold()
        for text in texts
    ]
    found = [
        (value, said, text)
        for text in words
        if text
        for pattern, value, said in _ROLES
        if pattern.search(text[:200])
    ]
    if found:
        value, said, text = _chosen(found)
        return AssetValue(value, f"{said}, by {text[:60]!r}")
    if rows:
        return AssetValue(UNKNOWN_ASSET, "in the asset list, without a word on what it does")
    return AssetValue(UNKNOWN_ASSET, "not in the asset list")


def _chosen(found: list[tuple[float, str, str]]) -> tuple[float, str, str]:
    """The most valuable; but what is said to be for tests or guests is worth that, unless it is the directory
    itself."""
    top = max(found)
    low = [each for each in found if each[0] <= 0.25]
    return min(low) if low and top[0] < 0.9 else top


def _given(value: Any) -> float | None:
    if isinstance(value, bool) or value in (None, ""):
        return None
    if isinstance(value, str):
        if value.strip().casefold() in _CRITICALITY:
            return _CRITICALITY[value.strip().casefold()]
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    scale = 1.0 if value <= 1 else 5.0 if value <= 5 else 10.0
    return min(float(value) / scale, 1.0)


def threat(attacker: Attacker | None, *, asset: AssetValue, certainty: float, stage: Stage) -> Threat:
    """The level of a case. ``certainty``: probability 0..1 that the case is a real attack. Raises ValueError for one
    that is none.

    >>> sure = threat(None, asset=AssetValue(1.0, "directory"), certainty=0.95, stage=Stage("objective", 1.0, ""))
    >>> sure.level
    'critical'
    """
    if not 0.0 <= certainty <= 1.0:
        raise ValueError(f"certainty {certainty} is not a probability")
    worst, said = _class(attacker)
    value = certainty * (worst * asset.value * stage.value) ** (1 / 3)
    level = next((name for cut, name in CUTS if value >= cut), LEVELS[0])
    why = [
        f"attacker {said} ({worst:.2f})", f"asset {asset.statement} ({asset.value:.2f})",
        f"{stage.statement} ({stage.value:.2f})", f"certainty {certainty:.2f}",
    ]  # fmt: skip
    floor = _floor(asset, certainty, stage)
    if LEVELS.index(floor) > LEVELS.index(level):
        level = floor
        why.append(f"at least {floor} at this stage whoever it is")
    parts = {
        "class": worst,
        "asset": asset.value,
        "certainty": certainty,
        "stage": stage.value,
        "product": round(value, 4),
    }
    return Threat(
        level, stage.name, f"{level.capitalize()}: " + "; ".join(why) + ".", MappingProxyType(parts)
    )


def _class(attacker: Attacker | None) -> tuple[float, str]:
    if attacker is None or not attacker.classes or set(attacker.classes) == set(CLASSES):
        return UNKNOWN_CLASS, "unknown, not enough evidence"
    worst = max(attacker.classes, key=lambda name: CLASS_VALUE[name])
    others = " or ".join(attacker.classes)
    return max(CLASS_VALUE[worst], UNKNOWN_CLASS), others


def _floor(asset: AssetValue, certainty: float, stage: Stage) -> str:
    """The least level by stage and asset alone."""
    if certainty < _SURE or stage.name == LOOKING:
        return LEVELS[0]
    if stage.name == OBJECTIVE or (stage.name == SPREAD and asset.value >= _IMPORTANT):
        return "high"
    return "medium" if stage.name == SPREAD else LEVELS[0]
