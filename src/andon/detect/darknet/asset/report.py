"""Findings and the table of suspects."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.asset.cases import ADDRESS, DEVICE, SHARED, Case
from andon.detect.darknet.asset.gather import FAMILY
from andon.detect.darknet.asset.holders import Holders, System
from andon.detect.darknet.asset.meaning import DOES_NOT, FITS, NOT_SAID, Family, Meaning
from andon.detect.darknet.asset.seen import DARKNET, SESSION, Seen, Told, unmark
from andon.detect.darknet.asset.wording import advice, counted, moment, plain, shown
from andon.records import joint
from andon.records.asset import LEASE
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, series_of, timestamp

NAME: Final = "darknet.asset"
VERSION: Final = 2
KIND: Final = "asset-suspected-infected"
CALIBRATION: Final = (
    "shares that were right on simulated days (docs/assets.md), times the probability of the link or page"
)
_DAY: Final = 86_400 * 10**9
_WEEK: Final = 7 * _DAY
_STALE: Final = 30 * _DAY
_LISTED: Final = 20
_CLASSES: Final = (0.5, 0.8, 0.95)  # edges of the classes of probability
_MATERIAL: Final = 0.05  # change of probability below which no class is another
_FEW: Final = 3  # sightings that an address needs to be told by itself
_DOUBTFUL: Final = 0.8
_ATTACK: Final = ("T1584.005",)


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


_TIME: Final = pa.timestamp("ns", tz="UTC")
SUSPECTS: Final = _schema(
    ("level", pa.string()),  # "device" or "address"
    ("asset", pa.string()),  # "" at the level of addresses
    ("address", pa.string()),  # the newest one
    ("owner", pa.string()),
    ("family", pa.string()),
    ("fingerprints", pa.list_(pa.string())),
    ("port_sets", pa.list_(pa.string())),
    ("device", pa.string()),
    ("vendor", pa.string()),
    ("product", pa.string()),
    ("fit", pa.string()),  # "fits", "does not fit", "not said"
    ("packets", pa.int64()),  # in the darknet
    ("sessions", pa.int64()),  # at honeypots
    ("leases", pa.int32()),
    ("first", _TIME),
    ("last", _TIME),
    ("probability", pa.float64()),
    ("series", pa.string()),
)


class Subject:
    """A case with everything that is said of it."""

    def __init__(self, case: Case, seen: Seen, holders: Holders, meaning: Meaning) -> None:
        self.case, self.seen, self.holders = case, seen, holders
        self.family: Family = meaning.named(case.family)
        self.asset = holders.names[case.asset] if case.level == DEVICE else ""
        self.system = self._system()
        said = self.system.owner if self.system else ""
        self.organisation = holders.organisation(said, case.address)
        self.owner = said or self.organisation
        self.fit, self.target = NOT_SAID, ""
        if self.system is not None:
            self.fit, self.target = self.family.fit(
                self.system.device, self.system.vendor, self.system.product
            )
        self.stale = self._stale()
        self.text = str(IPv4Address(case.address))
        subject = self.asset or self.text
        # An address that two partners use inside (RFC 1918) is two things.
        self.aspect = f"{case.family}\x1f{self.owner}"
        self.subject = ("asset" if self.asset else "ipv4-addr", subject)

    @property
    def series(self) -> str:
        return series_of(NAME, *self.subject, self.aspect)

    def _system(self) -> System | None:
        if self.case.level == DEVICE:
            return self.holders.system(int(self.holders.lease_row[max(self.case.leases)]))
        found = self.holders.systems(self.case.address)
        # What a lease says of another time is nothing about this one.
        good = [s for s in found if s.basis != LEASE or _overlaps(s, self.case)]
        rest = good or [s for s in found if s.basis != LEASE]
        return rest[0] if rest else None

    def _stale(self) -> str:
        """Why the list may no longer be right, or ""."""
        system = self.system
        if system is None or self.case.level == DEVICE:
            return ""
        if system.basis == LEASE:
            return ""
        when = system.valid_to if system.valid_to is not None else system.valid_from
        if system.valid_to is not None and system.basis == "list" and system.valid_to < self.case.first:
            return f"the list's entry ended on {_day(system.valid_to)}"
        if when is not None and self.case.last - when > _STALE:
            return f"the list is of {_day(when)}, {(self.case.last - when) // _DAY} days before"
        if when is None:
            return "the list does not say of when it is"
        return ""

    @property
    def doubtful(self) -> bool:
        """One honeypot session and hardly a sighting, of an address whose listed system is not what the family is
        after."""
        case = self.case
        return case.level == ADDRESS and case.sessions == 1 and case.packets < _FEW and self.fit == DOES_NOT

    @property
    def probability(self) -> float:
        value = self.case.probability
        if self.stale:
            value *= 0.9
        if self.fit == DOES_NOT:
            value *= _DOUBTFUL if self.doubtful else 0.95
        return round(value, 4)


def _overlaps(system: System, case: Case) -> bool:
    begin = system.valid_from if system.valid_from is not None else 0
    end = system.valid_to if system.valid_to is not None else 1 << 62
    return begin <= case.last and end >= case.first


def tell(
    found: list[Case],
    seen: Seen,
    holders: Holders,
    meaning: Meaning,
    most: int,
    sources: pa.Table | None,
    ctx: Context[Any],
) -> tuple[tuple[Finding, ...], dict[str, Told], int, list[Subject]]:
    """(findings, what was told by now, how many wait, all cases with what is said of them).

    A case is told when it is new, and again on material change alone (``_news``)."""
    told = dict(seen.told)
    stories = _Stories(told)
    today = _Today(sources)
    findings: list[Finding] = []
    waiting = 0
    subjects: list[Subject] = []
    for case in found:
        one = Subject(case, seen, holders, meaning)
        subjects.append(one)
        before = stories.take(one)
        if before is not None and not _news(one, before, ctx):
            continue
        if len(findings) >= most:
            waiting += 1
            continue
        window = before.window if before is not None else ctx.start
        revision = before.revision + 1 if before is not None else 1
        findings.append(_finding(one, window, revision, today, ctx))
        told[one.series] = Told(
            "\x1f".join(one.subject), one.aspect, case.family, case.marks[:_LISTED], revision, window, ctx.end,
            case.packets, case.sessions, len(case.addresses), one.probability,
        )  # fmt: skip
    if findings and waiting:
        more = f" {waiting:,} further suspicions are told on the next days; the table suspects has them all."
        findings[0] = replace(findings[0], statement=findings[0].statement + more)
    return tuple(findings), told, waiting, subjects


class _Stories:
    """What was told, by subject. A case goes on with a story of its subject that shares a mark or the family's name."""

    def __init__(self, told: dict[str, Told]) -> None:
        self._of: dict[str, list[tuple[str, Told]]] = {}
        for series, one in sorted(told.items(), key=lambda item: (item[1].window, item[0])):
            self._of.setdefault(one.subject, []).append((series, one))
        self._taken: set[str] = set()

    def take(self, one: Subject) -> Told | None:
        """The story that this case goes on with, which gives it its aspect; None if it is new."""
        same = [item for item in self._of.get("\x1f".join(one.subject), ()) if item[0] not in self._taken]
        marks = set(one.case.marks)
        for series, before in sorted(same, key=lambda item: item[1].aspect != one.aspect):
            if before.aspect == one.aspect or before.family == one.case.family or marks & set(before.marks):
                one.aspect = before.aspect
                self._taken.add(series)
                return before
        # An aspect that another case of the subject has taken over is not free.
        while one.series in self._taken:
            one.aspect += "+"
        self._taken.add(one.series)
        return None


def _news(one: Subject, before: Told, ctx: Context[Any]) -> bool:
    """Another name of the family, another address of the system, another class of probability, or twice the sightings a
    week later: an infected system goes on scanning. A page's probability moves a little every day: at a class's edge
    that is no news."""
    case = one.case
    if case.last < ctx.start:
        return False
    seen, then = case.packets + case.sessions, before.packets + before.sessions
    other = _class(one.probability) != _class(before.probability)
    return (
        case.family != before.family
        or (case.level == DEVICE and len(case.addresses) > before.addresses)
        or (seen >= 2 * then and ctx.end - before.at >= _WEEK)
        or (other and abs(one.probability - before.probability) >= _MATERIAL)
    )


def _class(probability: float) -> int:
    return sum(probability >= edge for edge in _CLASSES)


class _Today:
    """Rows of the day's table of sightings, by address and by /24."""

    def __init__(self, sources: pa.Table | None) -> None:
        column = sources["src"].to_numpy() if sources is not None else np.zeros(0, np.uint32)
        self._of = _counts(column)
        self._near = _counts(column >> 8)

    def __contains__(self, address: int) -> bool:
        return address in self._of

    def around(self, address: int) -> float:
        """Rows of an address of the same /24, on average."""
        return (self._near[address >> 8] - self._of[address]) / 255


def _counts(values: np.ndarray) -> dict[int, int]:
    found, count = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), count.tolist(), strict=True))


def _finding(one: Subject, window: int, revision: int, today: _Today, ctx: Context[Any]) -> Finding:
    case, family = one.case, one.family
    name = plain(family.name)
    who = f"{one.asset} ({one.text})" if one.asset else one.text
    title = f"{who}: suspected infection with {name}"
    rows = case.rows
    entities = tuple(
        Entity(
            "ipv4-addr",
            str(IPv4Address(address)),
            int(one.seen.packets[rows[one.seen.address[rows] == address]].sum()),
        )
        for address in case.addresses
    )
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind=KIND,
        title=title,
        statement=_statement(one, name),
        confidence=one.probability,
        calibration=CALIBRATION,
        window=(window, window + (ctx.end - ctx.start)),
        subject=one.subject,
        first_seen=case.first,
        last_seen=case.last,
        count=case.packets + case.sessions,
        entities=entities,
        evidence=tuple(_evidence(one, today)),
        attack=_ATTACK,
        severity="medium" if one.doubtful or (case.level == ADDRESS and one.probability < 0.8) else "",
        attributes=_attributes(one),
        revision=revision,
        aspect=one.aspect,
    )


def _statement(one: Subject, name: str) -> str:
    case = one.case
    did = []
    if case.packets:
        did.append(
            f"was seen scanning {counted(case.packets, 'time')} in the darknet with the marks of {name}"
        )
    if case.sessions:
        like = "behaved like it" if case.packets else f"behaved like {name}"
        did.append(f"{like} in {counted(case.sessions, 'session')} at honeypots")
    between = f"between {moment(case.first)} and {moment(case.last)}"
    if case.level == DEVICE:
        who = f"{one.asset}, {one.system.words if one.system else ''}, had the address at these times and"
        proof = (
            f"The marks followed it through {len(case.leases)} leases."
            if case.followed
            else "Its lease covers all of these times, and the address showed nothing of the kind without it."
        )
        if case.followed and case.without:
            times = counted(case.without, "time")
            proof += f" The addresses also showed them {times} within a day when it did not hold them."
    else:
        system = one.system
        listed = f" On the list the address is {system.words}." if system is not None else ""
        who = f"Whatever has the address {one.text}"
        why = (
            "Leases of several systems cover these times"
            if case.several
            else "No lease shows which device that was"
        )
        proof = f"{why}, so this is about the address.{listed}"
        if one.stale:
            proof += f" That may be out of date: {one.stale}."
    parts = [f"{who} {' and '.join(did)} {between}. {proof}"]
    if case.shared >= SHARED:
        parts.append(
            f"Up to {case.shared} kinds of malware were seen behind one address within a day: many devices share it "
            "(NAT), and only its operator's log tells which of them this is."
        )
    elif case.shared:
        parts.append("More than one system may be behind the address (NAT).")
    if one.fit == FITS:
        parts.append(f"It fits: {name} is after {_target(one.target)}.")
    elif one.fit == DOES_NOT:
        parts.append(
            f"It does not fit the systems that {name} is known to be after ({_target(one.target)}); look twice."
        )
    parts.append(f"Next: {advice(one.fit, case.level, case.shared >= SHARED)}")
    return " ".join(parts)


def _target(text: str) -> str:
    maker, model, kind = ([*text.split("|"), "", ""])[:3]
    return plain(" ".join(part for part in (kind, maker, model) if part)) or "such systems"


def _evidence(one: Subject, today: _Today) -> list[Evidence]:
    case, seen = one.case, one.seen
    found: list[Evidence] = []
    rows = case.rows
    for number in np.unique(seen.mark[rows]).tolist():  # in the order of their texts
        kind, value = unmark(seen.marks[number])
        here = rows[seen.mark[rows] == number]
        first, last = moment(int(seen.first[here].min())), moment(int(seen.last[here].max()))
        ports = ", ".join(str(port) for port in np.unique(seen.port[here])[:_LISTED].tolist())
        packets = int(seen.packets[here].sum())
        if seen.kind[here[0]] == DARKNET:
            what = "fingerprint" if kind == joint.MARK_FINGERPRINT else "set of ports"
            said = f"{counted(packets, 'sighting')} with the {what} {shown(kind, value)} (ports {ports})"
            found.append(Evidence(f"{said}, {first} to {last}", _sightings(one, kind, value, today)))
        else:
            said = f"at honeypots {kind} {shown(kind, value)} ({counted(packets, 'time')}, ports {ports})"
            found.append(Evidence(f"{said}, {first} to {last}"))
    if case.sessions:
        address = f"address = {case.address}"
        sql = f"SELECT count(*) FROM intel_session_sessions WHERE {address} AND role = '{joint.BOT}'"
        found.append(
            Evidence(
                f"{counted(case.sessions, 'session')} of a bot from it in all", Check("", 0.0, "sql", sql)
            )
        )
    if case.level == DEVICE:
        found += [Evidence(text) for text in _leases(one)]
    if one.family.links:
        found.append(
            Evidence(
                f"the mark is tied to the malware by {counted(len(one.family.links), 'link')} (darknet.link)"
            )
        )
    if one.family.by:
        found.append(
            Evidence(f"the family goes by {one.family.by}, with probability {one.family.probability:.2f}")
        )
    return found


def _sightings(one: Subject, kind: str, value: str, today: _Today) -> Check | None:
    """Anybody can count the day's rows, if it was seen on the day that is concluded."""
    if one.case.address not in today or not value.isprintable():
        return None
    where = f"src = {one.case.address}"
    if kind == joint.MARK_FINGERPRINT:
        where += f" AND fingerprint = '{value.replace(chr(39), chr(39) * 2)}'"
    return Check(
        "", round(today.around(one.case.address), 3), "sql",
        f"SELECT count(*) FROM darknet_sightings_sources WHERE {where}",
    )  # fmt: skip


def _leases(one: Subject) -> list[str]:
    holders = one.holders
    found = []
    for lease in sorted(one.case.leases, key=lambda n: -int(holders.lease_begin[n]))[:5]:
        end = int(holders.lease_end[lease])
        until = moment(end) if end < 1 << 62 else "now"
        found.append(
            f"lease of {IPv4Address(int(holders.lease_address[lease]))} to {one.asset} from "
            f"{moment(int(holders.lease_begin[lease]))} to {until}"
        )
    return found


def _attributes(one: Subject) -> dict[str, Any]:
    case, system, family = one.case, one.system, one.family
    marks = [unmark(text) for text in case.marks]
    ports = np.unique(one.seen.port[case.rows]).tolist()
    return {
        "level": case.level,
        "asset": one.asset,
        "owner": one.owner,
        "organisation": one.organisation,
        "contact": system.contact if system else "",
        "hostname": system.hostname if system else "",
        "address": one.text,
        "addresses": [str(IPv4Address(address)) for address in case.addresses[:_LISTED]],
        "family": plain(family.name),
        "aliases": [plain(alias) for alias in family.aliases[:_LISTED]],
        "alternatives": [plain(name) for name in case.alternatives],
        "cves": family.cves[:_LISTED],
        "fingerprint": next((value for kind, value in marks if kind == joint.MARK_FINGERPRINT), ""),
        "fingerprints": [value for kind, value in marks if kind == joint.MARK_FINGERPRINT],
        "port_sets": [value for kind, value in marks if kind == joint.MARK_PORT_SET][:_LISTED],
        "behaviours": [
            f"{kind} {shown(kind, value)}" for kind, value in marks
            if kind not in (joint.MARK_FINGERPRINT, joint.MARK_PORT_SET, FAMILY)
        ][:_LISTED],
        "links": sorted(set(family.links))[:_LISTED],
        "profile": family.page,
        "ports": ports[:_LISTED],
        "sightings": case.packets,
        "sessions": case.sessions,
        "days": case.days,
        "leases": len(case.leases),
        "without": case.without,
        "shared": case.shared,
        "first_seen": timestamp(case.first),
        "last_seen": timestamp(case.last),
        "device": system.device if system else "",
        "vendor": system.vendor if system else "",
        "product": system.product if system else "",
        "fit": one.fit,
        "target": one.target,
        "stale": one.stale,
        "list": system.source if system else "",
        "advice": advice(one.fit, case.level, case.shared >= SHARED),
    }  # fmt: skip


def suspects(subjects: list[Subject]) -> pa.Table:
    """All cases of the span."""
    rows = []
    for one in subjects:
        case, system = one.case, one.system
        marks = [unmark(text) for text in case.marks]
        rows.append(
            (
                case.level, one.asset, one.text, one.owner, plain(one.family.name),
                [value for kind, value in marks if kind == joint.MARK_FINGERPRINT],
                [value for kind, value in marks if kind == joint.MARK_PORT_SET],
                system.device if system else "", system.vendor if system else "", system.product if system else "",
                one.fit, case.packets, case.sessions, len(case.leases), case.first, case.last, one.probability,
                one.series,
            )
        )  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SUSPECTS)
    return pa.table(
        [pa.array(list(column), field.type) for column, field in zip(columns, SUSPECTS, strict=True)],
        schema=SUSPECTS,
    )


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d")


__all__ = ["ADDRESS", "SESSION", "SUSPECTS", "suspects", "tell"]
