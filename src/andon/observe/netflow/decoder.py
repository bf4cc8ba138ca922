"""Export packets, one after the other, to flows.

``add`` takes a packet apart into sets and keeps their bytes by template; ``take`` decodes all records of a template at
once, however many packets they came in. So a packet costs a few microseconds of Python and a record none.

Sequence numbers count flows (version 5), packets (9) or data records (IPFIX); what they skip was lost on the way, and
is counted for each exporter. Data that comes before its template waits for it, a bounded number of bytes for a bounded
number of packets. Nothing in a packet can raise.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.jsonlines import Skipped
from andon.observe.netflow.elements import V5
from andon.observe.netflow.flows import Heads, counters_of, decode
from andon.observe.netflow.templates import MOST_TEMPLATES, VARIABLE, Domain, Domains, Template, parse

SOURCES: Final = {5: "netflow5", 9: "netflow9", 10: "ipfix"}
_V5_TEMPLATE: Final = Template(V5)
_WAITING: Final = 1 << 20  # bytes of one domain
_WAITING_ALL: Final = 16 << 20
_MOST_RATES: Final = 1000
_HEAD: Final = 64  # bytes, about, that the head of a packet takes until it is taken
_LATE: Final = 1000  # a sequence number that is so little behind came late
_WORD: Final = 1 << 32
_SIGN: Final = 1 << 31
_WITHOUT: Final = "data of templates that did not come"


@dataclass
class _Pending:
    template: Template
    source: str
    sets: list[bytes] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)


class Decoder:
    """``lifetime``: seconds after which a template that was not repeated is forgotten; None: never (files).

    ``skipped`` counts what could not be read; ``lost``: by exporter, records (packets for version 9) that its sequence
    numbers skip; ``sampled``: records whose counters were multiplied."""

    def __init__(self, lifetime: float | None = None) -> None:
        self.skipped = Skipped()
        self.lost: Counter[str] = Counter()
        self.packets = self.records = self.sampled = self.restarts = 0
        self.size = 0  # bytes that wait to be taken
        self._lifetime = lifetime
        self._domains = Domains(self._forget)
        self._pending: dict[tuple[int, str], _Pending] = {}
        self._heads: list[tuple[int, int, int, Domain]] = []  # ns, ms, sampling of the packet itself
        self._waiting = 0

    def add(self, packet: bytes, exporter: str = "") -> None:
        """Take in one export packet (a datagram's payload, or an IPFIX message)."""
        self.packets += 1
        version = int.from_bytes(packet[:2], "big")
        head = {5: self._five, 9: self._nine, 10: self._ten}.get(version)
        if head is None:
            self.skipped.add(0, "no export packet of version 5, 9 or 10")
            return
        try:
            head(packet, exporter)
        except struct.error:
            self.skipped.add(0, "export packet cut short")

    def take(self) -> list[pa.RecordBatch]:
        """The flows of what was added since the last call."""
        if not self._pending:
            self._heads = []
            return []
        # What options say holds for the whole packet, though it may come behind the flows.
        columns = [
            (time, uptime, domain.boot or -1, rate or domain.rate)
            for time, uptime, rate, domain in self._heads
        ]
        time, uptime, boot, rate = np.array(columns, np.int64).T.copy()
        heads = Heads(time, uptime, boot, rate, [domain.rates for *_, domain in self._heads])
        made = []
        for pending in self._pending.values():
            packets = np.array(pending.packets)
            for found in decode(pending.template, pending.sets, packets, heads, pending.source):
                self.records += found.records
                self.sampled += found.sampled
                for what, count in found.aside.items():
                    self.skipped.leave(what, count)
                if found.cut:
                    self.skipped.add(0, "set that ends inside a record", found.cut)
                if found.batch is not None:
                    made.append(found.batch)
        self._pending, self._heads, self.size = {}, [], 0
        return made

    def finish(self) -> list[pa.RecordBatch]:
        """``take`` at the end of everything: what still waits for its template is counted."""
        for domain in self._domains.all():
            if domain.waiting:
                self.skipped.add(0, _WITHOUT, len(domain.waiting))
                domain.waiting, domain.waiting_bytes = [], 0
        self._waiting = 0
        return self.take()

    def _forget(self, domain: Domain) -> None:
        self.skipped.add(0, "exporter forgotten, more than are kept")
        if domain.waiting:
            self.skipped.add(0, _WITHOUT, len(domain.waiting))
            self._waiting -= domain.waiting_bytes

    # Heads

    def _five(self, packet: bytes, exporter: str) -> None:
        _, count, uptime, seconds, nanoseconds, sequence, engine, sampling = struct.unpack_from(
            ">HHIIIIHH", packet
        )
        room = (len(packet) - 24) // 48
        if count > room:
            self.skipped.add(0, "export packet cut short")
        domain = self._domains.of(exporter, 5, engine)
        self._sequence(domain, exporter, sequence, count, uptime)
        time = seconds * 1_000_000_000 + min(nanoseconds, 999_999_999)
        rate = sampling & 0x3FFF
        if min(count, room):
            here = self._head(domain, time, uptime, rate if rate > 1 else 0)
            self._keep(_V5_TEMPLATE, 5, packet[24 : 24 + 48 * min(count, room)], here)

    def _nine(self, packet: bytes, exporter: str) -> None:
        _, _, uptime, seconds, sequence, number = struct.unpack_from(">HHIIII", packet)
        domain = self._domains.of(exporter, 9, number)
        self._sequence(domain, exporter, sequence, 1, uptime)
        here = (seconds * 1_000_000_000, uptime)
        self._sets(packet, 20, len(packet), domain, 9, here)

    def _ten(self, packet: bytes, exporter: str) -> None:
        _, length, seconds, sequence, number = struct.unpack_from(">HHIII", packet)
        if length < 16 or length > len(packet):
            self.skipped.add(0, "export packet cut short")
            length = len(packet)
        domain = self._domains.of(exporter, 10, number)
        records = self._sets(packet, 16, length, domain, 10, (seconds * 1_000_000_000, -1))
        self._sequence(domain, exporter, sequence, records, 0)

    def _sequence(self, domain: Domain, exporter: str, sequence: int, count: int | None, uptime: int) -> None:
        """Compare with what was expected; ``count``: by how much it goes on, None if that is not known."""
        expected = domain.expected
        forward = None if expected is None else (sequence - expected) % _WORD
        younger = (domain.uptime - uptime) % _WORD
        domain.uptime = uptime
        domain.expected = None if count is None else (sequence + count) % _WORD
        if not forward or expected is None:
            return
        if forward >= _WORD - _LATE:  # it was counted as lost, and comes now
            came = min(domain.lost, max(count or 1, 1))
            domain.lost -= came
            self.lost[exporter] -= came
            domain.expected = expected
        elif 1000 < younger < _SIGN or forward >= _SIGN:
            self.restarts += 1  # the exporter's clock went back: it counts anew
        else:
            domain.lost += forward
            self.lost[exporter] += forward
            if len(self.lost) > 4096:
                self.lost["(others)"] += self.lost.pop(next(iter(self.lost)))

    def _head(self, domain: Domain, time: int, uptime: int, rate: int) -> int:
        self._heads.append((time, uptime, rate, domain))
        self.size += _HEAD
        return len(self._heads) - 1

    # Sets

    def _sets(
        self, packet: bytes, at: int, stop: int, domain: Domain, version: int, when: tuple[int, int]
    ) -> int | None:
        """Go through the sets; how many data records there were, None if that cannot be told."""
        records: int | None = 0
        here = -1
        while at + 4 <= stop:
            number, length = struct.unpack_from(">HH", packet, at)
            if length < 4 or at + length > stop:
                if packet[at:stop].strip(b"\0"):
                    self.skipped.add(0, "set with a wrong length")
                    return None
                return records
            body = packet[at + 4 : at + length]
            at += length
            if number in ((0, 1) if version == 9 else (2, 3)):
                self._templates(domain, version, number in (1, 3), body, when)
            elif number >= 256:
                if here < 0:
                    here = self._head(domain, *when, 0)
                found = self._data(domain, version, number, body, here, when)
                records = None if records is None or found is None else records + found
            else:
                self.skipped.leave("sets of kinds that are not defined")
        return records

    def _templates(
        self, domain: Domain, version: int, options: bool, body: bytes, when: tuple[int, int]
    ) -> None:
        found, bad = parse(body, version, options)
        if bad:
            self.skipped.add(0, "template that makes no sense", bad)
        for number, template in found:
            if template is None:
                gone = [
                    n
                    for n, t in domain.templates.items()
                    if n == number or (number < 256 and t.options == options)
                ]
                for one in gone:
                    del domain.templates[one]
                continue
            held = domain.templates.get(number)
            if held is not None and (held.fields, held.scope, held.options) == (
                template.fields,
                template.scope,
                options,
            ):
                held.seen = when[0] / 1e9
                continue
            if held is None and len(domain.templates) >= MOST_TEMPLATES:
                self.skipped.add(0, f"template beyond the {MOST_TEMPLATES:,} that are kept of one exporter")
                continue
            template.seen = when[0] / 1e9
            domain.templates[number] = template
            self._come(domain, version, number, template)

    def _come(self, domain: Domain, version: int, number: int, template: Template) -> None:
        """A template has come: what waited for it."""
        waiting, domain.waiting = domain.waiting, []
        for one in waiting:
            if one[0] != number:
                domain.waiting.append(one)
                continue
            _, when, body = one
            domain.waiting_bytes -= len(body)
            self._waiting -= len(body)
            self._use(domain, version, template, body, self._head(domain, *when, 0))

    def _data(
        self, domain: Domain, version: int, number: int, body: bytes, here: int, when: tuple[int, int]
    ) -> int | None:
        """How many records a set has; None while its template has not come."""
        template = domain.templates.get(number)
        limit = self._lifetime
        if template is not None and limit is not None and when[0] / 1e9 - template.seen > limit:
            del domain.templates[number]
            self.skipped.leave("templates that were not repeated in time")
            template = None
        if template is None:
            self._wait(domain, number, body, when)
            return None
        return self._use(domain, version, template, body, here)

    def _use(self, domain: Domain, version: int, template: Template, body: bytes, here: int) -> int:
        if template.options:
            return self._options(domain, template, body)
        count = _count(template, body)
        if count or template.variable:
            self._keep(template, version, body, here)
        return count

    def _keep(self, template: Template, version: int, body: bytes, here: int) -> None:
        key = (id(template), SOURCES[version])
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(template, SOURCES[version])
        pending.sets.append(body)
        pending.packets.append(here)
        self.size += len(body)

    def _wait(self, domain: Domain, number: int, body: bytes, when: tuple[int, int]) -> None:
        if domain.waiting_bytes + len(body) > _WAITING or self._waiting + len(body) > _WAITING_ALL:
            self.skipped.add(0, _WITHOUT)
            return
        domain.waiting.append((number, when, body))
        domain.waiting_bytes += len(body)
        self._waiting += len(body)

    def _options(self, domain: Domain, template: Template, body: bytes) -> int:
        """What an exporter says of itself: sampling, and when it started."""
        at, count = 0, 0
        while len(body) - at >= template.least:
            record: dict[tuple[int, int], bytes] = {}
            for enterprise, element, size in template.fields:
                if size == VARIABLE:
                    size = body[at] if at < len(body) else 0
                    at += 1
                    if size == 255:
                        size = int.from_bytes(body[at : at + 2], "big")
                        at += 2
                record[(enterprise, element)] = body[at : at + size]
                at += size
            if at > len(body):
                self.skipped.add(0, "set that ends inside a record")
                break
            count += 1
            said: dict[str, Any] = counters_of(record)
            if "boot" in said:
                domain.boot = said["boot"]
            if "rate" in said and (len(domain.rates) < _MOST_RATES or said["selector"] in domain.rates):
                domain.rates[said["selector"]] = said["rate"]
        return count


def _count(template: Template, body: bytes) -> int:
    """Records of a set of flows."""
    if not template.variable:
        return len(body) // template.least
    from andon.observe.netflow.flows import count_records

    return count_records(template, body)
