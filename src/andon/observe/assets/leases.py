"""Leases as DHCP servers keep them: who had which address from when to when.

``dhcpd.leases`` of ISC (dhcpd.leases(5)), the memfile of Kea (csv), the audit log of Windows' DHCP server and dnsmasq's
``dnsmasq.leases``. All but the last are logs: a renewal is one more line, so lines of one address and one hardware
address that touch are one lease, and a lease ends at the latest when the next one of its address begins.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from andon.observe.assets.places import BadAddress, Place, place
from andon.observe.assets.rows import Entry, Rows, clean, hardware
from andon.observe.assets.scans import NO_ZONE
from andon.observe.assets.source import Source, encoding_of
from andon.observe.assets.times import BadTime, when
from andon.observe.jsonlines import Skipped
from andon.records.asset import LEASE

_SECOND: Final = 10**9
_ISC: Final = re.compile(r"(?m)^\s*(?:lease [0-9a-fA-F.:]+ \{|ia-na \")")
_KEA: Final = re.compile(r"^address,(?:hwaddr|duid),(?:client_id|valid_lifetime),")
_WINDOWS: Final = re.compile(r"(?mi)^\s*ID,\s*Date,\s*Time,\s*Description,\s*IP Address,")
_DNSMASQ: Final = re.compile(r"^\d{1,12} [0-9A-Fa-f:\-]{2,60} [0-9a-fA-F.:]+ \S+ \S+$")
_MOST_OPEN: Final = 1_000_000  # addresses whose lease may still go on
_LINES: Final = 200  # of one block in dhcpd.leases


@dataclass
class _Lease:
    place: Place
    key: str  # hardware address, or client id
    start: int | None
    end: int | None  # None: never, or not known
    mac: str
    hostname: str
    line: int


class _Log:
    """Leases by address, in the order of a log."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._open: dict[str, _Lease] = {}

    def given(self, lease: _Lease) -> None:
        old = self._open.get(lease.place.text)
        if old is not None:
            same = old.key == lease.key
            touching = (
                lease.start is None
                or old.start is None
                or (lease.start >= old.start and (old.end is None or lease.start <= old.end))
            )
            if same and touching:
                old.end, old.hostname = lease.end, lease.hostname or old.hostname
                return
            if lease.start is not None and (old.end is None or old.end > lease.start):
                old.end = max(lease.start, old.start or lease.start)
            self._close(lease.place.text)
        if len(self._open) >= _MOST_OPEN:
            self._close(next(iter(self._open)))
        self._open[lease.place.text] = lease

    def ended(self, text: str, at: int | None) -> None:
        """The address was given back (or taken away) at that time."""
        lease = self._open.get(text)
        if lease is None:
            return
        if at is not None and (lease.end is None or at < lease.end):
            lease.end = max(at, lease.start or at)
        self._close(text)

    def finish(self, last: int | None = None) -> None:
        """The log ends; what is open is held until ``last``, if that is given."""
        for text in list(self._open):
            lease = self._open[text]
            if last is not None and lease.end is None:
                lease.end = last
            self._close(text)

    def _close(self, text: str) -> None:
        lease = self._open.pop(text)
        self._rows.add(
            Entry(
                (lease.place,), f"line {lease.line}", asset=lease.key, basis=LEASE, mac=lease.mac,
                valid_from=lease.start, valid_to=lease.end, hostname=lease.hostname,
            )
        )  # fmt: skip


def recognise(head: bytes) -> str | None:
    """Which server wrote a file that begins so, or None."""
    text = head[:65536].decode(encoding_of(head) or "utf-8", "replace").lstrip("﻿")
    if _KEA.match(text):
        return "kea"
    if _WINDOWS.search(text):
        return "windows-dhcp"
    if _ISC.search(text) and ("starts " in text or "cltt " in text or "binding state" in text):
        return "dhcpd"
    lines = [line for line in text.splitlines()[:20] if line.strip() and not line.startswith("duid ")]
    if len(text) < 65536 or len(lines) > 1:
        whole = lines if len(head) < 65536 else lines[:-1]
        if whole and all(_DNSMASQ.match(line.strip()) for line in whole):
            return "dnsmasq"
    return None


def read(kind: str, source: Source, rows: Rows, skipped: Skipped) -> None:
    """All leases of a file."""
    readers = {"dhcpd": _isc, "kea": _kea, "windows-dhcp": _windows, "dnsmasq": _dnsmasq}
    readers[kind](source.lines(source.encoding()), rows, skipped)


def _epoch(text: str) -> int | None:
    if not text.isdigit() or len(text) > 11:
        raise BadTime(f"{text[:40]!r} is no time")
    return int(text) * _SECOND or None


def _isc_time(rest: str) -> int | None:
    """``4 2026/03/05 10:00:00`` (UTC), ``epoch 1772704800``, ``never``."""
    words = rest.rstrip(";").split()
    if not words or words[0] == "never":
        return None
    if words[0] == "epoch":
        return _epoch(words[1].rstrip(";")) if len(words) > 1 else None
    return when(" ".join(words[1:3])).ns


def _isc(lines: Iterator[tuple[int, str]], rows: Rows, skipped: Skipped) -> None:
    log = _Log(rows)
    client = ""
    block: dict[str, str] = {}
    address, begun = "", 0
    for number, line in lines:
        text = line.strip()
        if text.startswith(("ia-na ", "ia-ta ")):
            client = text.split('"')[1] if text.count('"') >= 2 else ""
        elif text.startswith(("lease ", "iaaddr ")) and text.endswith("{"):
            if begun:
                skipped.add(begun, "lease without its end")
            address, block, begun = text.split()[1], {}, number
            if text.startswith("lease "):
                client = ""
        elif text == "}" and begun:
            try:
                _isc_block(log, address, block, client, begun)
            except BadAddress as error:
                skipped.add(begun, f"no address: {error}"[:120])
            except BadTime as error:
                skipped.add(begun, f"no time: {error}"[:120])
            begun = 0
        elif begun and len(block) < _LINES:
            name, _, rest = text.partition(" ")
            if name in ("binding", "hardware"):
                word, _, rest = rest.partition(" ")
                name = f"{name} {word}" if name == "binding" else name
            block[name] = rest.rstrip(";").strip()
    if begun:
        skipped.add(begun, "lease without its end")
    log.finish()


def _isc_block(log: _Log, address: str, block: dict[str, str], client: str, line: int) -> None:
    where = place(address)
    start = _isc_time(block.get("starts") or block.get("cltt") or "")
    end = _isc_time(block.get("ends", ""))
    state = block.get("binding state", "active")
    mac = hardware(block.get("hardware", ""))
    key = mac or clean(block.get("uid", "").strip('"')) or clean(client)
    if state in ("active", "expired", "released", "free"):
        if not key and state != "active":
            log.ended(where.text, end)
            return
        log.given(
            _Lease(where, key, start, end, mac, clean(block.get("client-hostname", "").strip('"')), line)
        )
        if state != "active":
            log.ended(where.text, end)


def _kea(lines: Iterator[tuple[int, str]], rows: Rows, skipped: Skipped) -> None:
    log = _Log(rows)
    names: list[str] = []
    for number, line in lines:
        if not names:
            names = line.strip().lstrip("﻿").split(",")
            continue
        cells = dict(zip(names, line.rstrip("\r\n").split(","), strict=False))
        try:
            where = place(cells.get("address", ""))
            expire, lifetime = _epoch(cells.get("expire", "")), cells.get("valid_lifetime", "")
            if not lifetime.isdigit() or len(lifetime) > 10 or expire is None:
                raise BadTime(f"{lifetime[:40]!r} is no lifetime")
        except BadAddress as error:
            skipped.add(number, f"no address: {error}"[:120])
            continue
        except BadTime as error:
            skipped.add(number, f"no time: {error}"[:120])
            continue
        start = max(expire - int(lifetime) * _SECOND, 0)
        if lifetime == "0":
            log.ended(where.text, start)  # deleted: nobody has it from here on
            continue
        if cells.get("state") == "1":
            skipped.add(number, "address declined: somebody else uses it")
            continue
        # 0xffffffff seconds are for ever.
        end = None if int(lifetime) >= 0xFFFFFFFF else expire
        mac = hardware(cells.get("hwaddr", ""))
        key = mac or clean(cells.get("duid") or cells.get("client_id"))
        host = clean(cells.get("hostname", "").replace("&#x2c", ",")).rstrip(".")
        log.given(_Lease(where, key, start, end, mac, host, number))
        if cells.get("state") == "2":
            log.ended(where.text, end)
    log.finish()


# Event codes at the top of every audit log.
_GIVEN: Final = frozenset({"10", "11", "20", "21"})
_TAKEN: Final = frozenset({"12", "16", "17", "18"})


def _windows(lines: Iterator[tuple[int, str]], rows: Rows, skipped: Skipped) -> None:
    """The log says no lease time, but it does say when one expires: what has not expired is held when the log ends."""
    log = _Log(rows)
    begun = False
    latest: int | None = None
    for number, line in lines:
        if not begun:
            begun = bool(_WINDOWS.match(line))
            continue
        cells = next(csv.reader([line]), [])
        if len(cells) < 5 or not cells[0].strip().isdigit():
            continue
        try:
            at = _windows_time(cells[1].strip(), cells[2].strip())
        except BadTime as error:
            skipped.add(number, f"no time: {error}"[:120])
            continue
        rows.note(NO_ZONE)
        latest = max(at, latest or at)
        event = cells[0].strip().lstrip("0") or "0"
        if event not in _GIVEN | _TAKEN:
            continue
        try:
            where = place(cells[4])
        except BadAddress as error:
            skipped.add(number, f"no address: {error}"[:120])
            continue
        if event in _TAKEN:
            log.ended(where.text, at)
            continue
        mac = hardware(cells[6]) if len(cells) > 6 else ""
        host = clean(cells[5]).rstrip(".") if len(cells) > 5 else ""
        log.given(_Lease(where, mac or host, at, None, mac, host, number))
    log.finish(latest)


def _windows_time(date: str, time: str) -> int:
    for form in ("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"):
        try:
            moment = datetime.strptime(f"{date} {time}", form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if 1990 <= moment.year < 2100:
            return int(moment.timestamp()) * _SECOND
    raise BadTime(f"{date[:20]!r} {time[:20]!r} is no time")


def _dnsmasq(lines: Iterator[tuple[int, str]], rows: Rows, skipped: Skipped) -> None:
    for number, line in lines:
        words = line.split()
        if len(words) < 4 or words[0] == "duid":
            continue
        try:
            where, end = place(words[2]), _epoch(words[0])
        except (BadAddress, BadTime) as error:
            skipped.add(number, str(error)[:120])
            continue
        mac = hardware(words[1])
        host = "" if words[3] == "*" else clean(words[3])
        key = mac or (clean(words[4]) if len(words) > 4 and words[4] != "*" else "")
        rows.add(
            Entry((where,), f"line {number}", asset=key, basis=LEASE, mac=mac, valid_to=end, hostname=host)
        )
    rows.note("dnsmasq keeps no beginning of a lease: no device is claimed by these alone")
