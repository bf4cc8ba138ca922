"""What a case is made of: episodes of alerts that somebody has to look at, and findings about hosts of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, Final

from andon.records.finding import SEVERITIES, address_type, nanoseconds
from andon.records.triage import ACT, AUDIT, INSPECT
from andon.triage.cases.hosts import HostNames

EPISODE: Final = "episode"
FINDING: Final = "finding"

# Findings whose subject is a host of ours, and those that name hosts of ours among their entities.
_OF_SUBJECT: Final = (
    "infected-terminal",
    "suspected-terminal",
    "asset-suspected-infected",
    "own-host-alert",
    "flow-anomaly",
    "user-at-risk",
)
_OF_TERMINALS: Final = ("beacon", "redirect-chain")
_HOSTS: Final = ("ipv4-addr", "ipv6-addr", "user-account", "mac-addr", "device", "asset")
_OPENS: Final = SEVERITIES.index("medium")  # what is less only joins a case that is there
_FEW: Final = 3  # addresses that can be names of one host; behind a gateway there are many


@dataclass(frozen=True)
class Item:
    """One episode, or one finding, as it concerns one host. ``host`` is (STIX type, value) as it is shown; ``names`` is
    what else the host is called; ``opens``: a case is opened for it if it fits none. Times are ns, UTC."""

    kind: str
    id: str
    host: tuple[str, str]
    names: frozenset[str]
    first: int
    last: int
    site: str = ""
    series: str = ""
    opens: bool = True
    tier: str = INSPECT
    certainty: float = 0.5  # 0..1, that something is behind it
    severity: int = 2  # index of SEVERITIES
    title: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.id


def item_of_episode(row: Mapping[str, Any], names: HostNames) -> Item:
    """An episode (a row of ``records.triage.EPISODES``; times as ns). One that was screened out opens no
    case but joins that of its host."""
    first, last = int(row["first"]), int(row["last"])
    host, address = str(row["host"]), str(row["address"])
    shown = host or address
    probability = float(row["probability"])
    severity = int(row["severity"])  # OCSF: 0 unknown, 1 informational .. 5 critical, 6 fatal
    return Item(
        EPISODE,
        str(row["id"]),
        (address_type(shown, "device"), shown),
        names.of(host, address, at=first),
        first,
        last,
        site=str(row["site"]),
        opens=row["tier"] in (ACT, INSPECT, AUDIT),
        tier=str(row["tier"]),
        certainty=0.5 if isnan(probability) else probability,
        severity=min(max(severity - 1, 0), 4) if severity else 2,
        title=str(row["title"]),
    )


def item_of_finding(document: Mapping[str, Any], names: HostNames) -> list[Item]:
    """A finding in its public form (``andon.finding/1``) as an item for each host of ours it is about; [] if none."""
    kind = document["kind"]
    severity = SEVERITIES.index(document["severity"])
    first, last = nanoseconds(document["first_seen"]), nanoseconds(document["last_seen"])
    addresses = [
        e["value"] for e in document["entities"] if e["type"] in ("ipv4-addr", "ipv6-addr")
    ]  # of the host itself only where the subject is the host
    if kind in _OF_SUBJECT:
        subject = document["subject"]
        if subject["type"] not in _HOSTS:
            return []
        also = addresses if kind.endswith("infected") and len(addresses) <= _FEW else []
        hosts = [(subject["type"], subject["value"], also)]
    elif kind in _OF_TERMINALS:
        said = set(document["attributes"].get("terminals", ()))
        hosts = [
            (e["type"], e["value"], [])
            for e in document["entities"]
            if e["type"] in _HOSTS and e["value"] in said and e["value"] != document["subject"]["value"]
        ]
    else:
        return []
    return [
        Item(
            FINDING,
            str(document["id"]),
            (kind_of, value),
            names.of(value, *also, at=first),
            first,
            last,
            series=str(document["series"]),
            opens=severity >= _OPENS and (kind in _OF_SUBJECT or len(hosts) == 1),
            certainty=float(document["confidence"]),
            severity=severity,
            title=str(document["title"]),
        )
        for kind_of, value, also in hosts
    ]
