"""Strict checkers of what a bundle holds: the part of each language that we write, and nothing else.

They are no parsers of the whole languages. A rule that they take has the form that the documentation of Suricata 7
("Rules Format"), Zeek 6 (intelligence framework; scripts) and pcap-filter(7) give for these keywords; a rule that holds
anything else, or text that breaks out of a string, is refused. Each function gives "" or what is wrong. BPF filters are
compiled by libpcap besides where tcpdump is there (``tests``).
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final

_HEAD: Final = re.compile(
    r"alert (ip|tcp|udp|icmp|dns|http|tls) (\S+) (\S+) (->|<>) (\S+) (\S+) \((.*)\)", re.DOTALL
)
_OPTION: Final = re.compile(r'([a-z0-9_.]+)(?::(!?"(?:[^"\\;]|\\.)*"|[^;"]*))?;\s?')
_KEYWORDS: Final = frozenset(
    (
        "msg",
        "id",
        "ttl",
        "seq",
        "ack",
        "flags",
        "window",
        "sameip",
        "ipv4.hdr",
        "content",
        "offset",
        "depth",
        "dns.query",
        "dotprefix",
        "endswith",
        "startswith",
        "nocase",
        "http.host",
        "http.uri",
        "bsize",
        "metadata",
        "sid",
        "rev",
    )
)
_BARE: Final = frozenset(
    (
        "sameip",
        "ipv4.hdr",
        "dns.query",
        "dotprefix",
        "endswith",
        "startswith",
        "nocase",
        "http.host",
        "http.uri",
    )
)
_CONTENT: Final = re.compile(r'!?"(?:[^"\\;:|\x00-\x1f\x7f-\U0010ffff]|\|[0-9a-f]{2}(?: [0-9a-f]{2})*\|)+"')
_PORT: Final = re.compile(r"any|!?\d{1,5}")
_INTEL: Final = {"Intel::ADDR", "Intel::SUBNET", "Intel::DOMAIN", "Intel::URL"}
_BPF: Final = re.compile(r"[a-z0-9 .:/\[\]()&|^+*<>=!-]+")
_MOST: Final = 60_000


def suricata_problem(rule: str) -> str:
    """
    >>> suricata_problem('alert ip 192.0.2.1 any -> any any (msg:"x"; sid:1; rev:1;)')
    ''
    >>> suricata_problem('alert ip any any -> any any (msg:"x"; lua:evil.lua; sid:1; rev:1;)')
    'option lua is none that we write'
    """
    if "\n" in rule or "\r" in rule or len(rule) > _MOST:
        return "a rule is one line"
    match = _HEAD.fullmatch(rule)
    if match is None:
        return "not of the form: action protocol address port -> address port (options)"
    _, source, port, _, target, other, body = match.groups()
    if not (_addresses(source) and _addresses(target) and _PORT.fullmatch(port) and _PORT.fullmatch(other)):
        return "an address or port that is none"
    at, names = 0, []
    while at < len(body):
        option = _OPTION.match(body, at)
        if option is None:
            return f"an option that cannot be read: {body[at : at + 40]!r}"
        name, value = option[1], option[2]
        if name not in _KEYWORDS:
            return f"option {name} is none that we write"
        if (name in _BARE) != (value is None):
            return f"option {name} {'has no' if name in _BARE else 'needs a'} value"
        if name == "content" and not _CONTENT.fullmatch(value):
            return f"a content with characters that need to be in hex: {value[:40]!r}"
        if name in ("sid", "rev", "bsize", "offset", "depth") and not value.isdigit():
            return f"{name} is a number"
        names.append(name)
        at = option.end()
    for name in ("msg", "sid", "rev"):
        if names.count(name) != 1:
            return f"{name} stands {names.count(name)} times"
    return ""


def _addresses(text: str) -> bool:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    for part in inner.split(","):
        one = part.removeprefix("!")
        if one == "any":
            continue
        try:
            ip_network(one, strict=False)
        except ValueError:
            return False
    return bool(inner)


def zeek_intel_problem(line: str) -> str:
    """
    >>> zeek_intel_problem("evil.example\\tIntel::DOMAIN\\tAndon\\tx")
    ''
    """
    if not line.isprintable() and line.replace("\t", "").isprintable() is False:
        return "a line with control characters"
    cells = line.split("\t")
    if len(cells) != 4 or any(not cell for cell in cells):
        return f"{len(cells)} fields, or an empty one; there are four"
    if cells[1] not in _INTEL:
        return f"{cells[1]!r} is no type of indicator"
    try:
        if cells[1] == "Intel::ADDR":
            ip_address(cells[0])
        elif cells[1] == "Intel::SUBNET":
            ip_network(cells[0], strict=False)
    except ValueError:
        return f"{cells[0]!r} is no address"
    return "an indicator does not begin with #" if cells[0].startswith("#") else ""


def zeek_problem(script: str) -> str:
    """Balanced, one function and one event, and no other call than those that the translation makes."""
    depth = 0
    bare = re.sub(r'"[^"\n]*"|#[^\n]*', "", script)
    for c in bare:
        depth += (c in "({[") - (c in ")}]")
        if depth < 0:
            return "a bracket too many"
    if depth:
        return "a bracket that is not closed"
    if bare.count("function ") != 1 or bare.count("event raw_packet") != 1:
        return "not one function and one event"
    calls = set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", bare))
    strange = {c for c in calls if not c.startswith("andon_match")} - {
        "raw_packet", "addr_to_counts", "port_to_count", "network_time", "fmt", "if", "return", "print", "is_v4_addr",
    }  # fmt: skip
    return f"a call of {sorted(strange)[0]}" if strange else ""


def bpf_problem(text: str) -> str:
    """
    >>> bpf_problem("ip and host 192.0.2.1"), bpf_problem("host `id`")
    ('', 'a character that no filter of ours has')
    """
    if len(text) > _MOST:
        return "too long for libpcap"
    if not _BPF.fullmatch(text):
        return "a character that no filter of ours has"
    depth = 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if depth < 0:
            return "a bracket too many"
    return "a bracket that is not closed" if depth else ""
