"""Findings of every role, a judged case and two intents: what the formats of ``share`` are tried on."""

from __future__ import annotations

from typing import Any

from andon.records.case import Case, Verdict
from andon.records.finding import Check, Entity, Evidence, Finding
from andon.records.intent import Ground, Intent, Party
from andon.share.formats.view import case_document, intent_document

SECOND = 1_000_000_000
DAY = 1_767_225_600 * SECOND  # 2026-01-01
TELESCOPE = "203.0.112.0/22"
DARK = "203.0.113.9"


def finding(kind: str, subject: tuple[str, str], **changes: Any) -> Finding:
    given: dict[str, Any] = {
        "engine": "darknet.tools", "engine_version": 1, "kind": kind, "title": f"a {kind}", "statement": "It was seen.",
        "confidence": 0.9, "calibration": "counted", "window": (DAY, DAY + 86_400 * SECOND), "subject": subject,
        "first_seen": DAY + 60 * SECOND, "last_seen": DAY + 3_600 * SECOND + 123_000_000, "count": 1_234,
    }  # fmt: skip
    return Finding(**{**given, **changes})


TOOL = finding(
    "known-tool", ("tool", "mirai"), title="Mirai: 2 sources", severity="medium", attack=("T1595.001",),
    entities=(Entity("ipv4-addr", "198.50.100.7"), Entity("ipv4-addr", "8.8.8.8")),
    evidence=(Evidence("SYN packets whose sequence number is the destination",
                       Check("tcp.seq == ip.dst", 0.1, "tcpdump", "ip and tcp and tcp[4:4] = ip[16:4]", 1_234)),),
    attributes={"tool": "mirai", "purpose": "malware", "ports": [{"port": 23, "share": 0.9}]},
)  # fmt: skip
ONE_SOURCE = finding(
    "known-tool", ("tool", "masscan"), title="masscan | one = source", severity="low",
    entities=(Entity("ipv4-addr", "198.50.100.9"),), attributes={"tool": "masscan", "purpose": "survey"},
)  # fmt: skip
FINGERPRINT = finding(
    "scanner-fingerprint", ("fingerprint", "tcp.seq == ip.dst"), engine="darknet.fingerprint", attack=("T1595.001",),
    entities=(Entity("ipv4-addr", "198.50.100.7"),),
)  # fmt: skip
ZMAP = finding("scanner-fingerprint", ("fingerprint", "ip.id == 54321"), engine="darknet.fingerprint")
SPOOFED = finding(
    "multiple-infection", ("ipv4-addr", "198.50.100.8"), entities=(Entity("ipv4-addr", "198.50.100.8"),),
    attributes={"spoofed": True},
)  # fmt: skip
INFECTED = finding(
    "infected-terminal", ("user-account", "m.mustermann"), engine="livenet.proxygraph", severity="high",
    title="m.mustermann is infected: 3 contacts to c2.evil.example.net",
    statement="m.mustermann (10[.]50[.]0[.]30) asked for c2[.]evil[.]example[.]net.",
    entities=(Entity("user-account", "m.mustermann"), Entity("ipv4-addr", "10.50.0.30"),
              Entity("domain-name", "c2.evil.example.net"), Entity("ipv4-addr", "198.50.101.44")),
    evidence=(Evidence("rows of m.mustermann", Check("", 0.0, "sql", "SELECT count(*) WHERE user = 'm.mustermann'",
    3)),), attributes={"black": ["c2.evil.example.net"], "terminals": ["m.mustermann"]}, count=3,
)  # fmt: skip
DESTINATION = finding(
    "suspected-destination", ("domain-name", "bad.example.org"), engine="livenet.proxygraph", severity="medium",
    entities=(Entity("domain-name", "bad.example.org"), Entity("user-account", "tamigi102")),
)  # fmt: skip
URL = finding(
    "suspected-url", ("url", "http://bad.example.org/a;b|c?x=1"), engine="livenet.url",
    entities=(Entity("url", "http://bad.example.org/a;b|c?x=1"), Entity("domain-name", "bad.example.org")),
)  # fmt: skip
BARE_URL = finding("suspected-url", ("url", "bad.example.org/wp/x.php"), engine="livenet.url")
OWN = finding(
    "own-host-alert", ("ipv6-addr", "2001:db8:1::7"), engine="darknet.daedalus", severity="high",
    attributes={"organisation": "Example University", "alert_kind": "outbound-scan", "state": "new",
                "dst_ports": [[23, "tcp", 9]], "packets": 9},
)  # fmt: skip
VICTIM = finding(
    "backscatter-victim", ("ipv4-addr", "198.50.102.5"), engine="darknet.backscatter", attack=("T1498.001",),
    severity="medium",
)  # fmt: skip
DARK_VICTIM = finding(
    "backscatter-victim", ("ipv4-addr", DARK), engine="darknet.backscatter", title=f"Flood aimed at {DARK}",
    statement=f"To {DARK} in {TELESCOPE}, key 0xcb007109, number {0xCB007109}", attack=("T1498.001",),
    evidence=(Evidence(f"dst {DARK}", Check("ip.dst == 0xcb007109", 0.0, "tcpdump", f"dst host {DARK}", 5)),),
    entities=(Entity("ipv4-addr", DARK), Entity("ipv4-addr", "198.50.100.7")),
    attributes={"dst": 0xCB007109, "half": "tcp.seq == 0xcb00", "nested": [{"a": "203.0.115.255"}]},
)  # fmt: skip
CENSUS = finding("census", ("census", "1d"), engine="darknet.census", severity="informational")
CRITICAL = finding("asset-suspected-infected", ("ipv4-addr", "192.0.2.99"), engine="darknet.asset", severity="critical",
                   attributes={"family": "mirai"})  # fmt: skip
FINDINGS = (
    TOOL, ONE_SOURCE, FINGERPRINT, ZMAP, SPOOFED, INFECTED, DESTINATION, URL, BARE_URL, OWN, VICTIM, CENSUS, CRITICAL,
)  # fmt: skip

CASE = Case(
    id="0123456789abcdef01234567",
    version=3,
    state="closed",
    tier="act",
    level="high",
    priority=2.5,
    title="web1.example.org: shell and beacon",
    statement="The attack came through and the host answers to it.",
    entities=(
        ("device", "web1.example.org"),
        ("ipv4-addr", "198.50.101.44"),
        ("user-account", "m.mustermann"),
    ),
    first_seen=DAY,
    last_seen=DAY + 7_200 * SECOND,
    opened=DAY + 60 * SECOND,
    updated=DAY + 9_000 * SECOND,
    assignee="alice",
    site="hq",
    items=(("finding", INFECTED.id), ("episode", "0a1b2c3d4e5f")),
    judgement={
        "verification": {
            "decision": "act",
            "checks": [
                {
                    "name": "contact",
                    "outcome": "passed",
                    "statement": "C2 answered",
                    "weight": 2.0,
                    "evidence": [],
                }
            ],
        },
        "attacker": {"classes": ["financial"]},
    },
)
VERDICTS = (
    Verdict(("case", CASE.id), "true-positive", "alice", "confirmed on the host", time=DAY + 8_000 * SECOND),
    Verdict(("case", CASE.id), "unsure", "bob", "", time=DAY + 8_100 * SECOND),
)
CASE_DOCUMENT = case_document(CASE, VERDICTS, [INFECTED.to_dict()])

_HOST = Party("host", "web1.example.org", ("10.50.0.30", "2001:db8:1::30"), "00:11:22:33:44:55", "sw1", 7, "server",
              "lease", DAY)  # fmt: skip
BLOCK = Intent(
    id=0x1234, action="block-pair", subject=_HOST, target=Party("address", "198.50.101.44", ("198.50.101.44",)),
    ttl=3_600 * SECOND, reason="case 0123: the host answers to a C2", requested_by="andon", created=DAY + 9_100 *
    SECOND, grounds=(Ground("finding", INFECTED.id, "livenet", "asked for a black destination"),), case=CASE.id,
    level="high", classes=("financial",), rule="black-destination", enforcers=("nft",),
)  # fmt: skip
QUARANTINE = Intent(
    id=0x1235, action="quarantine", subject=_HOST, target=None, ttl=3_600 * SECOND, reason="infected",
    requested_by="andon", created=DAY + 9_200 * SECOND, case=CASE.id, level="critical",
)  # fmt: skip
INTENTS = (
    intent_document(BLOCK, "verified", BLOCK.created + SECOND),
    intent_document(QUARANTINE, "failed", QUARANTINE.created + 2 * SECOND),
)
DOCUMENTS: tuple[dict[str, Any], ...] = (*(one.to_dict() for one in FINDINGS), CASE_DOCUMENT, *INTENTS)
