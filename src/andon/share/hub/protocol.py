"""What members and hub say to each other (``andon.hub-.../1``): reports, and how a request is signed.

A report names addresses that somebody's telescope heard, with counts by the hour and port. It has no place for dark
addresses or exact times, and what is not in the schema (``report.schema.json`` beside this file) is refused, so that a
careless member cannot give its telescope away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from andon.records.finding import nanoseconds, timestamp

REPORT: Final = "andon.hub-report/1"
RECEIPT: Final = "andon.hub-receipt/1"
COVER: Final = "andon.hub-cover/1"
SIGHTINGS: Final = "andon.hub-sightings/1"
ACCOUNT: Final = "andon.hub-account/1"
DISPUTE: Final = "andon.hub-dispute/1"
KINDS: Final = ("scan", "backscatter", "misconfiguration")
HOUR: Final = 3_600_000_000_000  # ns
MOST: Final = 1000  # sightings of a report
PORTS: Final = 20
LARGEST: Final = 1 << 20  # bytes of a request
WINDOW: Final = 300  # seconds that a signature is good for, to both sides
_OLDEST: Final = 7 * 24 * HOUR
_AHEAD: Final = 600 * 1_000_000_000
_MEMBER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_TOOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_PROTOCOLS: Final = ("tcp", "udp", "icmp", "icmp6")

Network = IPv4Network | IPv6Network


class BadReport(ValueError):
    """A report that is not as the schema says. The text names the place."""


@dataclass(frozen=True)
class Sighting:
    """One address that was heard in one hour. ``hour``: ns, on the hour; ``ports``: (protocol, port, packets)."""

    source: str
    kind: str
    hour: int
    packets: int
    ports: tuple[tuple[str, int, int], ...] = ()
    tool: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a report."""
        body: dict[str, Any] = {
            "source": self.source,
            "kind": self.kind,
            "hour": timestamp(self.hour),
            "packets": self.packets,
        }
        if self.ports:
            body["ports"] = [list(port) for port in self.ports]
        return body | ({"tool": self.tool} if self.tool else {})


@dataclass(frozen=True)
class Report:
    """``id``: 32 hex digits; the member's own, and the same in every attempt."""

    id: str
    sightings: tuple[Sighting, ...]

    def to_json(self) -> str:
        """One line of JSON."""
        body = {"schema": REPORT, "id": self.id, "sightings": [one.to_dict() for one in self.sightings]}
        return json.dumps(body, ensure_ascii=True, allow_nan=False)


def report_of(sightings: Iterable[Sighting], id: str = "") -> Report:
    """A report; without an ``id`` it has one made of what it says, so that the same report is the same twice."""
    kept = tuple(sightings)
    said = json.dumps([one.to_dict() for one in kept])
    return Report(id or hashlib.sha256(said.encode()).hexdigest()[:32], kept)


def read_report(body: Any, now: int) -> Report:
    """A report from outside; ``now`` in ns. Raises BadReport.

    >>> heard = {"source": "198.51.100.7", "kind": "scan", "hour": "2026-01-01T00:00:00Z", "packets": 3}
    >>> body = {"schema": REPORT, "id": "0" * 32, "sightings": [heard]}
    >>> read_report(body, 1_767_225_600_000_000_000).sightings[0].packets
    3
    """
    if not isinstance(body, dict) or set(body) != {"schema", "id", "sightings"}:
        raise BadReport("a report has schema, id and sightings, and nothing else")
    if body["schema"] != REPORT:
        raise BadReport(f"schema is {REPORT!r}")
    if not isinstance(body["id"], str) or not _ID.fullmatch(body["id"]):
        raise BadReport("id is 32 hex digits in lower case")
    listed = body["sightings"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST:
        raise BadReport(f"sightings is a list of 1 to {MOST}")
    return Report(body["id"], tuple(_sighting(one, f"sighting {at}", now) for at, one in enumerate(listed)))


def _sighting(given: Any, where: str, now: int) -> Sighting:
    need, may = {"source", "kind", "hour", "packets"}, {"ports", "tool"}
    if not isinstance(given, dict) or not need <= set(given) or not set(given) <= need | may:
        raise BadReport(f"{where} has source, kind, hour, packets, may have ports and tool, and nothing else")
    if given["kind"] not in KINDS:
        raise BadReport(f"{where}: kind is one of {', '.join(KINDS)}")
    try:
        source = ip_address(given["source"] if isinstance(given["source"], str) else "")
        hour = nanoseconds(given["hour"] if isinstance(given["hour"], str) else "")
    except (ValueError, OverflowError):
        raise BadReport(f"{where}: source is an address, hour a time in UTC") from None
    public = source.is_global and not source.is_multicast
    if getattr(source, "scope_id", None) or not (public or _documentation(str(source))):
        raise BadReport(f"{where}: source is an address of the Internet")
    if hour % HOUR or not now - _OLDEST <= hour <= now + _AHEAD:
        raise BadReport(f"{where}: hour is a full hour of the last seven days")
    if not _count(given["packets"]):
        raise BadReport(f"{where}: packets is a whole number above 0")
    tool = given.get("tool", "")
    if not isinstance(tool, str) or (tool and not _TOOL.fullmatch(tool)):
        raise BadReport(f"{where}: tool is a name of at most 64 letters, digits, spaces, dots, - and _")
    ports = _ports(given.get("ports", []), where)
    return Sighting(str(source), given["kind"], hour, given["packets"], ports, tool)


_DOCUMENTATION: Final = tuple(
    ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)


def _documentation(text: str) -> bool:
    """RFC 5737, RFC 3849: nobody's; taken so that a hub can be tried out."""
    address = ip_address(text)
    return any(address in network for network in _DOCUMENTATION)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53


def _ports(given: Any, where: str) -> tuple[tuple[str, int, int], ...]:
    if not isinstance(given, list) or len(given) > PORTS:
        raise BadReport(f"{where}: ports is a list of at most {PORTS}")
    made: list[tuple[str, int, int]] = []
    for one in given:
        if not _is_port(one):
            raise BadReport(f"{where}: a port is [{' or '.join(_PROTOCOLS)}, number to 65535, packets]")
        made.append((one[0], one[1], one[2]))
    return tuple(made)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_port(one: Any) -> bool:
    if not isinstance(one, list | tuple) or len(one) != 3 or one[0] not in _PROTOCOLS or not _count(one[2]):
        return False
    return isinstance(one[1], int) and not isinstance(one[1], bool) and 0 <= one[1] <= 65535


def signed_bytes(method: str, target: str, body: bytes) -> bytes:
    """What the HMAC of a request is over, after the time: method, path with query (from the hub's own root), body.

    >>> signed_bytes("GET", "/v1/cover", b"")
    b'GET /v1/cover\\n'
    """
    return f"{method} {target}\n".encode() + body


def member_name(text: str) -> str:
    """A member's name, checked. Raises ValueError."""
    if not _MEMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a member: a-z, 0-9 and -, at most 63")
    return text


def network(text: str) -> Network:
    """A prefix that a member may register: /8 to /32, /19 to /64. Raises ValueError.

    >>> str(network("198.51.100.0/24"))
    '198.51.100.0/24'
    """
    try:
        made = ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no prefix: {error}") from error
    least, most = (8, 32) if made.version == 4 else (19, 64)
    if not least <= made.prefixlen <= most:
        raise ValueError(f"{text}: a prefix of /{least} to /{most} can be registered")
    return made


def sighting_of(document: Mapping[str, Any]) -> Sighting | None:
    """What an alert of DAEDALUS (``andon.alert/1``), or a finding of kind ``own-host-alert`` or ``backscatter-victim``,
    says of one address. None for others, for closed alerts, and for those of an organisation as a whole."""
    subject, attributes = document.get("subject"), document.get("attributes", document)
    if not isinstance(subject, Mapping) or not isinstance(attributes, Mapping):
        return None
    if subject.get("type") not in ("ipv4-addr", "ipv6-addr") or attributes.get("state") == "closed":
        return None
    alert = str(attributes.get("alert_kind", ""))
    if document.get("kind") == "backscatter-victim":
        alert = "backscatter"
    kind = {"internal-scan": "scan", "outbound-scan": "scan"}.get(alert, alert)
    try:
        hour = nanoseconds(str(document["last_seen"])) // HOUR * HOUR
        packets = attributes.get("packets_since") or attributes.get("packets") or document.get("count")
        if kind not in KINDS or not _count(packets):
            return None
        source = str(ip_address(str(subject["value"])))
    except (KeyError, ValueError, OverflowError):
        return None
    ports = tuple(
        (str(one[0]), int(one[1]), int(one[2]))
        for one in _listed(attributes.get("dst_ports"))
        if _is_port(one)
    )
    tools = [one for one in _listed(attributes.get("tools")) if isinstance(one, Mapping)]
    tool = str(tools[0].get("name", "")) if tools else ""
    return Sighting(
        source, kind, hour, int(packets or 0), ports[:PORTS], tool if _TOOL.fullmatch(tool) else ""
    )
