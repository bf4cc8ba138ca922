"""An alert as a finding of kind ``own-host-alert``. No dark address gets in, nor anything one could be read from.

Told are the own address, ports, times, counts. Not told: destinations, sequence and acknowledgement numbers, the IP
identification and the window (scanners compute them from the destination), relations of unknown families (their
constants may show where the telescope is).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np

from andon.detect.darknet.daedalus import entry as e
from andon.detect.darknet.daedalus import flavours, judge, state
from andon.detect.darknet.daedalus.advice import advice
from andon.detect.darknet.daedalus.machine import Told
from andon.detect.darknet.daedalus.naming import Families, Named, Relations, proven
from andon.detect.darknet.daedalus.timing import HOUR
from andon.records.contract import Organisation
from andon.records.expression import count_sql, parse
from andon.records.finding import Check, Entity, Evidence, Finding, timestamp

VERSION = 1
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_BOTS = ("mirai", "hajime", "mozi")
_ICMP = (1, 58)
_SEVERITIES = {
    state.INTERNAL_SCAN: "high",
    state.OUTBOUND_SCAN: "medium",
    state.BACKSCATTER: "medium",
    state.MISCONFIGURATION: "low",
    state.SPOOFED: "low",
    state.MANY: "high",
}
_ATTACK = {
    state.INTERNAL_SCAN: ("T1046",),
    state.OUTBOUND_SCAN: ("T1595.001",),
    state.BACKSCATTER: ("T1498",),
}


def address_text(hi: int, lo: int) -> str:
    """An address of two words as text.

    >>> address_text(0, 0xFFFF_C000_0207)
    '192.0.2.7'
    """
    if hi == 0 and lo >> 32 == 0xFFFF:
        return str(IPv4Address(lo & 0xFFFFFFFF))
    return str(IPv6Address(hi << 64 | lo))


def _subject(hi: int, lo: int) -> tuple[str, str]:
    return ("ipv4-addr" if hi == 0 and lo >> 32 == 0xFFFF else "ipv6-addr", address_text(hi, lo))


def port_text(proto: int, port: int) -> str:
    """``tcp/23``; of ICMP the type.

    >>> port_text(6, 23), port_text(47, 0)
    ('tcp/23', 'ip47/0')
    """
    return f"{_PROTOCOLS.get(proto, f'ip{proto}')}/{port}"


class Reporter:
    """Makes findings of what the machine tells; ``window``: the span that is concluded."""

    def __init__(
        self,
        organisations: Sequence[Organisation],
        hashes: Sequence[int],
        relations: Relations,
        families: Families,
        named: Named,
        window: tuple[int, int],
    ) -> None:
        self._of = dict(zip(hashes, organisations, strict=True))
        self._relations, self._families, self._named = relations, families, named
        self._window = window

    def finding(self, told: Told) -> Finding:
        row = told.entry
        organisation = self._of[int(row["organisation"])]
        kind = self._kind(row)
        whole = kind in (state.SPOOFED, state.MANY)
        address = _subject(int(row["hi"]), int(row["lo"]))
        subject = ("identity", organisation.name) if whole else address
        tools = self.tools(row) if kind in (state.INTERNAL_SCAN, state.OUTBOUND_SCAN) else []
        attributes = self._attributes(told, organisation, kind, tools)
        entities = (
            tuple(Entity(*_subject(hi, lo), packets) for hi, lo, packets in told.entities)
            if whole
            else (Entity(*address, int(row["packets"])),)
        )
        confidence, calibration = _confidence(row, kind, tools)
        return Finding(
            engine="darknet.daedalus",
            engine_version=VERSION,
            kind="own-host-alert",
            title=_title(told, organisation.name, kind, subject[1], tools),
            statement=_statement(told, organisation.name, kind, subject[1], tools, attributes),
            confidence=confidence,
            calibration=calibration,
            window=self._span(told.at),
            subject=subject,
            first_seen=int(row["began"]),
            last_seen=int(row["last"]),
            count=int(row["packets"]),
            entities=entities,
            evidence=self._evidence(told, kind),
            attack=_ATTACK.get(kind, ()),
            severity=_severity(told, kind, tools),
            attributes=attributes,
            aspect=attributes["dedup_key"],
        )

    def shed(self, records: np.ndarray, before: np.ndarray, hour: int) -> Iterator[Finding]:
        """What had to be left out: of each organisation and hour one finding, again whenever its number has doubled.
        ``before``: the numbers of ``records`` before this span."""
        for record, old in zip(records, before, strict=True):
            evicted, left_out = int(record["evicted_now"]), int(record["left_out_now"])
            number = evicted + left_out
            if number.bit_length() == (int(old["evicted_now"]) + int(old["left_out_now"])).bit_length():
                continue
            name = self._of[int(record["organisation"])].name
            said = []
            if left_out:
                said.append(
                    f"{left_out:,} packets of addresses that a full span did not take in were not looked at"
                )
            if evicted:
                said.append(
                    f"{evicted:,} addresses or alerts that were followed were forgotten to make room for others"
                )
            yield Finding(
                engine="darknet.daedalus",
                engine_version=VERSION,
                kind="load-shed",
                title=f"{name}: more addresses in the darknet than can be followed",
                statement=f"Of {name}, since {timestamp(hour)}: {'; '.join(said)}. Alerts of single addresses may be "
                "missing or told anew; the alerts of the whole organisation count everything that was taken in.",
                confidence=1.0,
                calibration="counted",
                window=(hour, hour + HOUR),
                subject=("identity", name),
                first_seen=self._window[0],
                last_seen=self._window[1] - 1,
                count=number,
                attributes={
                    "organisation": name, "packets_left_out": left_out, "forgotten": evicted,
                    "packets_left_out_in_all": int(record["left_out"]), "forgotten_in_all": int(record["evicted"]),
                },
                aspect="load-shed",
                revision=number.bit_length(),
            )  # fmt: skip

    def _span(self, at: int) -> tuple[int, int]:
        start, end = self._window
        length = end - start
        begin = at // length * length
        return begin, begin + length

    def _kind(self, row: Any) -> int:
        """The kind as it looks now: what was told as a scan may turn out as retries."""
        kind = int(row["kind"])
        if kind in (state.INTERNAL_SCAN, state.OUTBOUND_SCAN) and not self.tools(row):
            ports, packets = e.ports(row), int(row["packets"])
            if judge.is_misconfiguration(ports, judge.distinct(row["dsts"]), packets, False):
                return state.MISCONFIGURATION
        return kind

    def tools(self, row: Any) -> list[dict[str, Any]]:
        """What is known of the program, best evidence first. ``packets`` of ``looked_at`` show it."""
        addresses = judge.distinct(row["dsts"])
        looked_at = int(row["looked_at"])
        found: dict[str, dict[str, Any]] = {}
        for at, name in enumerate(self._relations.names):
            hits = int(row["hits"][at])
            if proven(self._relations.bits[at], hits, looked_at, addresses):
                found[name] = {"name": name, "packets": hits, "looked_at": looked_at, "by": "relation"}
        for name in self._named.tools(int(row["hi"]), int(row["lo"])):
            found.setdefault(name, {"name": name, "by": "darknet.tools"})
        for number in self._family_numbers(row, addresses):
            family = self._families.by_number.get(number)
            name = (family.known_as if family else "") or f"fp-{number:08x}"
            unknown = {"title": f"unknown family {name}"} if name.startswith("fp-") else {}
            found.setdefault(name, {"name": name, **unknown, "by": "darknet.fingerprint"})
        return sorted(
            found.values(), key=lambda tool: (tool["name"].startswith("fp-"), -tool.get("packets", 0))
        )

    def _family_numbers(self, row: Any, addresses: int) -> list[int]:
        numbers = self._named.families(int(row["hi"]), int(row["lo"]))
        family = self._families.by_number.get(int(row["family"]))
        if family and proven(family.bits, int(row["family_hits"]), int(row["looked_at"]), addresses):
            numbers.append(int(row["family"]))
        return sorted(set(numbers))

    def _attributes(
        self, told: Told, organisation: Organisation, kind: int, tools: list[dict[str, Any]]
    ) -> dict[str, Any]:
        row = told.entry
        whole = kind in (state.SPOOFED, state.MANY)
        address = "" if whole else address_text(int(row["hi"]), int(row["lo"]))
        first = e.key_port(row)
        place = "inside" if row["inside"] else "outside"
        key = (organisation.name, address, state.KINDS[row["kind"]], place, port_text(*first))
        top = e.top_port(row) if e.ports(row) else first
        made: dict[str, Any] = {
            "organisation": organisation.name,
            "alert_kind": state.KINDS[kind],
            "state": told.what,
            "dedup_key": "|".join(key[: 3 if whole else 5]),
            "episode": int(row["episode"]),
            "told_first": timestamp(int(row["opened"])),
            "packets": int(row["packets"]),
            "packets_since": int(row["since"]),
            "advice": advice(kind, top, [tool["name"] for tool in tools]),
            "sinks": list(organisation.sinks),
        }
        if whole:
            return {**made, "addresses": int(row["sources"]), "estimated": True}
        return {
            **made,
            "dst_ports": [
                [port, _PROTOCOLS.get(proto, str(proto)), n] for (proto, port), n in e.ports(row).items()
            ],
            "ports_are": "own service ports" if kind == state.BACKSCATTER else "ports looked for",
            "other_ports": int(row["other_ports"]),
            "ports_estimated": bool(row["sampled"]),
            "tcp_flags": [name for bit, name in enumerate(_FLAGS) if row["flags"] >> bit & 1],
            "packets_by_type": _by_type(row),
            "tools": tools,
            "darknet": {
                "inside": bool(row["inside"]),
                "addresses": judge.distinct(row["dsts"]),
                "estimated": judge.distinct(row["dsts"]) >= len(row["dsts"]),
            },
            "samples": [_sample(seen) for seen in row["seen"] if seen["ts"]],
        }

    def _evidence(self, told: Told, kind: int) -> tuple[Evidence, ...]:
        row = told.entry
        lo = int(row["lo"])
        if told.what != "new" or kind in (state.SPOOFED, state.MANY) or row["hi"] or lo >> 32 != 0xFFFF:
            return (Evidence("Counted as the packets came."),)
        relation = f"ip.src == {lo & 0xFFFFFFFF:#010x}"
        start, end = self._span(told.at)
        # Not tcpdump: the runner would add the telescope's prefixes to the filter. This query is for the operator.
        sql = f"{count_sql(parse(relation))} AND epoch_ns(ts) >= {start} AND epoch_ns(ts) < {end}"
        return (
            Evidence(
                "Packets from this address to the darknet in the window; the operator of the telescope can check this.",
                Check(relation, 0.0, tool="duckdb", expression=sql),
            ),
        )


def _by_type(row: Any) -> Mapping[str, int]:
    return {name: int(n) for name, n in zip(flavours.FLAVOURS, row["flavours"], strict=True) if n}


def _sample(seen: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "time": timestamp(int(seen["ts"])),
        "type": flavours.FLAVOURS[int(seen["flavour"])],
        "protocol": _PROTOCOLS.get(int(seen["proto"]), str(int(seen["proto"]))),
        "ttl": int(seen["ttl"]),
        "length": int(seen["length"]),
    }
    if seen["proto"] in (6, 17):
        made["src_port"] = None if seen["hidden"] else int(seen["src_port"])
        made["dst_port"] = int(seen["dst_port"])
    elif seen["proto"] in _ICMP:
        made["icmp_type"] = int(seen["icmp_type"])
    if seen["proto"] == 6:
        made["tcp_flags"] = [name for bit, name in enumerate(_FLAGS) if seen["flags"] >> bit & 1]
    return made


def _severity(told: Told, kind: int, tools: list[dict[str, Any]]) -> str:
    if told.what == "closed":
        return "informational"
    if kind == state.OUTBOUND_SCAN:
        if any(tool["name"].lower().startswith(_BOTS) for tool in tools):
            return "high"
        if told.entry["packets"] == 1 and not tools:
            return "low"
    return _SEVERITIES[kind]


def _confidence(row: Any, kind: int, tools: list[dict[str, Any]]) -> tuple[float, str]:
    if kind in (state.INTERNAL_SCAN, state.OUTBOUND_SCAN):
        if any(tool["by"] == "relation" for tool in tools):
            return (
                0.99,
                "a relation that chance satisfies for fewer than one source in 2^20; the address could be forged",
            )
        if judge.distinct(row["dsts"]) >= judge.SCAN_ADDRESSES:
            return 0.9, "judgement: three dark addresses or more"
        return 0.5, "judgement: so few packets may be a scan's first or a mistake; a single one may be forged"
    values = {state.BACKSCATTER: 0.8, state.MISCONFIGURATION: 0.7, state.SPOOFED: 0.9, state.MANY: 0.7}
    return values[kind], "judgement, by the rules in docs/daedalus.md"


def _name(tools: list[dict[str, Any]]) -> str:
    return str(tools[0].get("title", tools[0]["name"])) if tools else ""


def _title(told: Told, organisation: str, kind: int, subject: str, tools: list[dict[str, Any]]) -> str:
    by = f" ({_name(tools)})" if tools else ""
    what = {
        state.INTERNAL_SCAN: f"{subject} scans inside {organisation}{by}",
        state.OUTBOUND_SCAN: f"{subject} of {organisation} scans{by}",
        state.BACKSCATTER: f"{subject} of {organisation} answers forged packets",
        state.MISCONFIGURATION: f"{subject} of {organisation} asks an unused address",
        state.SPOOFED: f"addresses of {organisation} are being spoofed",
        state.MANY: f"many addresses of {organisation} are heard in the darknet",
    }[kind]
    return f"{what}: {told.what}"


def _statement(
    told: Told,
    organisation: str,
    kind: int,
    subject: str,
    tools: list[dict[str, Any]],
    attributes: dict[str, Any],
) -> str:
    row = told.entry
    packets = int(row["packets"])
    began, last = timestamp(int(row["began"])), timestamp(int(row["last"]))
    between = f"between {began} and {last}" if began != last else f"at {began}"
    count = f"{packets:,} packet{'s' * (packets != 1)}"
    if told.what == "closed":
        return f"Nothing was heard from {subject} for 72 hours ({count} before, {between})."
    if kind == state.SPOOFED:
        return (
            f"About {int(row['sources']):,} addresses of {organisation} sent {count} to the darknet {between}, nearly "
            "each of them one packet, spread evenly over the whole address space: senders are forged, the addresses "
            "are being spoofed by somebody else. Single addresses are told only on stronger evidence."
        )
    if kind == state.MANY:
        return (
            f"About {int(row['sources']):,} further addresses of {organisation} sent {count} to the darknet {between}. "
            "They are told together, as more came in an hour than are told one by one."
        )
    dark = attributes["darknet"]
    goal = f"{'about ' if dark['estimated'] else ''}{dark['addresses']:,} unused address"
    goal += "es" * (dark["addresses"] != 1) + " of its own organisation" * dark["inside"]
    ports = ", ".join(port_text(*port) for port in list(e.ports(row))[:5])
    more = f", {int(row['since']):,} of them since the last message" if told.what == "continued" else ""
    if kind == state.BACKSCATTER:
        return (
            f"{subject} sent {count} in answer to nothing that {goal} had sent, {between}{more}, from {ports}: "
            "somebody sends it packets with forged senders, so it is attacked or used as a reflector."
        )
    text = f"{subject} sent {count} to {goal} {between}{more}, {ports}."
    if kind == state.MISCONFIGURATION:
        return f"{text} It does not look around, so a wrong setting is more likely than malware."
    if tools:
        text += (
            f" The mark of {_name(tools)} is on them."
            if packets > 1
            else f" It bears the mark of {_name(tools)}."
        )
    return f"{text} Nothing there was ever in use, so a program on the device looks for others."
