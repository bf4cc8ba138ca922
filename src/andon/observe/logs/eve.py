"""Suricata's EVE log: http, tls, quic and dns events give contacts, flow and netflow events flows, alert events alerts.

Other events (fileinfo, stats, ...) are counted as not of use here. What would count twice is read once: of DNS
the questions, and answers only where the log has no questions; ``netflow`` events (one for each direction) only where
it has no ``flow`` events. Which it has is known from the first of them on, whatever came before it stays.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, CONTACT, FLOW

if TYPE_CHECKING:
    from andon.observe.jsonlines import Block, Skipped
    from andon.observe.logs import Lines

_EVENT: Final = re.compile(rb'"event_type"\s*:\s*"[a-z_0-9]+"')
READ: Final = ("http", "tls", "quic", "dns", "flow", "netflow", "alert")
# Named when they are counted; what is not among them is "other".
_NAMED: Final = (
    "anomaly", "fileinfo", "stats", "drop", "smtp", "ssh", "smb", "dhcp", "snmp", "ftp", "ftp_data", "krb5",
    "rdp", "sip", "tftp", "ikev2", "ike", "nfs", "mqtt", "modbus", "dnp3", "rfb", "packetinfo", "http2",
    "bittorrent_dht", "dcerpc", "ldap", "mdns", "pgsql", "websocket", "frame", "verdict", "arp", "engine",
)  # fmt: skip
ANSWERS: Final = "answers to DNS questions that count themselves"
HALVES: Final = "netflow events of flows that count themselves"


def recognise(head: bytes, name: str) -> bool:
    """The first line is a JSON object with a time and an ``event_type``."""
    first = next((line for line in head.split(b"\n", 5)[:5] if line.strip()), b"").lstrip(b"[, \t")
    return first.startswith(b"{") and b'"timestamp"' in first and _EVENT.search(first) is not None


def is_events(head: bytes) -> bool:
    """Is the first line certainly an event of Suricata's, whatever else it may look like?"""
    if not recognise(head, ""):
        return False
    found = _EVENT.search(head)
    name = found[0].split(b'"')[3].decode() if found else ""
    return name in (*READ, *_NAMED) and (b'"flow_id"' in head[:65_536] or b'"pcap_cnt"' in head[:65_536])


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    return Events(state, options)


class Events:
    source = "suricata"

    def __init__(self, state: Mapping[str, Any] | None, options: Options | None = None) -> None:
        from andon.observe.alerts.columns import Inside
        from andon.observe.jsonlines import Words
        from andon.observe.logs.eve_records import PATHS

        self.kinds: tuple[str, ...] = (CONTACT, FLOW, ALERT)
        self._inside = Inside(options.inside if options is not None else ())
        self._line = int(state["line"]) if state else 1
        self._questions = bool(state["questions"]) if state else False
        self._flows = bool(state["flows"]) if state else False
        self._paths = PATHS
        self._types = Words((*READ, *_NAMED))
        self._dns = Words(("query", "request"))

    def state(self) -> Mapping[str, Any]:
        return {"line": self._line, "questions": self._questions, "flows": self._flows}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        from andon.observe.jsonlines import blocks

        first, self._line = self._line, self._line + data.count(b"\n")
        data = data.replace(b"\\/", b"/")  # as Suricata before version 6 writes the slashes of URLs
        for block in blocks(io.BytesIO(data), self._paths, skipped, first):
            yield from self._records(block, skipped)

    def _records(self, block: Block, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        from andon.observe.logs.eve_records import timed

        types: np.ndarray = block.codes("event_type", self._types)
        strange = ~block.filled("event_type")
        if strange.any():
            bad = block.line[strange]
            skipped.add(int(bad[0]), "no event_type", len(bad))
        for code in np.unique(types[~strange]).tolist():
            rows = (types == code) & ~strange
            name = self._types.words[code] if code >= 0 else "other"
            if name not in READ:
                skipped.leave(f"{name} events of Suricata: not of use here", int(rows.sum()))
                continue
            if name == "dns":
                rows = self._asked(block, rows, skipped)
            elif name == "netflow":
                rows = self._halves(types, rows, skipped)
            if rows.any():
                part, times = timed(block.of(rows), name, skipped)
                made = self._made(name, part, times, skipped) if len(part) else None
                if made is not None:
                    yield made
        self._flows |= bool((types == READ.index("flow")).any())

    def _made(
        self, name: str, part: Block, times: np.ndarray, skipped: Skipped
    ) -> tuple[str, pa.RecordBatch] | None:
        from andon.observe.logs.eve_records import RECORDS

        if name == "alert":
            from andon.observe.alerts.eve import records

            return records(part, times, skipped, self._inside)
        return RECORDS[name](part, times, skipped)

    def _asked(self, block: Block, rows: np.ndarray, skipped: Skipped) -> np.ndarray:
        """Of rows of DNS, those that count: see above."""
        asks = rows & (block.codes("dns.type", self._dns) >= 0)
        answers = self._before(rows & ~asks, asks, self._questions)
        skipped.leave(ANSWERS, int(rows.sum() - asks.sum() - answers.sum()))
        self._questions |= bool(asks.any())
        return np.asarray(asks | answers)

    def _halves(self, types: np.ndarray, rows: np.ndarray, skipped: Skipped) -> np.ndarray:
        kept = self._before(rows, types == READ.index("flow"), self._flows)
        skipped.leave(HALVES, int(rows.sum() - kept.sum()))
        return kept

    @staticmethod
    def _before(rows: np.ndarray, better: np.ndarray, known: bool) -> np.ndarray:
        """The rows before the first better one."""
        if known:
            return np.zeros_like(rows)
        first = int(np.argmax(better)) if better.any() else len(rows)
        return np.asarray(rows & (np.arange(len(rows)) < first))


def shows(where: Any, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """See ``eve_shows``."""
    from andon.observe.logs.eve_shows import shows as made

    return made(where, state)
