"""Campaigns in words: the tables and the findings of a day."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns import changes
from andon.detect.darknet.campaigns.chance import Others
from andon.detect.darknet.campaigns.evidence import PARTS
from andon.detect.darknet.campaigns.memory import STATES, Campaign, Mix
from andon.detect.darknet.campaigns.profile import Profiles, kind_of, relation_of, words
from andon.detect.darknet.campaigns.purposes import ATTACK, SURVEY, UNDECIDED, Votes, purpose_of
from andon.detect.darknet.campaigns.track import Told
from andon.detect.darknet.campaigns.units import OTHERS
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, timestamp
from andon.sketch.asks import KIND_ICMP, KIND_TCP

_TIME = pa.timestamp("ns", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


CAMPAIGNS = _schema(
    ("day", _TIME),
    ("campaign", pa.string()),
    ("state", pa.string()),  # active, quiet, dead
    ("packets", pa.int64()),  # of the day; estimates where only a part of the sources was kept
    ("sources", pa.int64()),
    ("ports", pa.string()),  # "23 90 %, 2323 10 %", heaviest first; of the last active day if it is quiet
    ("header", pa.string()),
    ("relation", pa.string()),  # what one packet shows, in the expression language; "" if nothing
    ("name", pa.string()),  # tool or fingerprint of most of its sources, or ""
    ("purpose", pa.string()),
    ("born", _TIME),  # start of its first day
    ("last", _TIME),  # start of its last active day
    ("active_days", pa.int64()),
    ("match_score", pa.float64()),  # evidence that it is the campaign of before, nats; 0 on its first day
    ("events", pa.string()),  # words of changes.Event, comma between them
    # There on the first day and not seen to act as one since: a campaign, or all who use one scanner on one service.
    ("standing", pa.bool_()),
)
MEMBERS = _schema(("src", pa.uint32()), ("campaign", pa.string()), ("packets", pa.int64()))
MOST_MEMBERS = 100_000
_MOST_ENTITIES = 1_000
_MOST_FIRST = 10
_PORTS_CHECKED, _PORTS_SHOWN = 6, 12
_RANK = (
    changes.BIRTH, changes.DEATH, changes.FINGERPRINT, changes.PORTS, changes.RESUME, changes.GROWTH, changes.PAUSE,
    changes.FIRST,
)  # fmt: skip
_CALIBRATION = (
    "share of (campaign, day) pairs that kept their name over 30 simulated days with all addresses new each day "
    "(benchmarks/campaigns)"
)
_CONFIDENCE = 0.95


def campaigns_table(told: Sequence[Told], day: int, one_in: int) -> pa.Table:
    """A row for each campaign that is not dead or died today."""
    rows = []
    for t in told:
        c = t.campaign
        rows.append(
            (
                day, c.name, STATES[c.state],
                t.unit.packets * one_in if t.unit else 0, t.unit.size * one_in if t.unit else 0,
                mix_words(t.unit.ports if t.unit else c.ports), words(c.klass), _relation(c), c.label, purpose_of(c),
                c.born, c.last, c.active_days, round(t.score.total, 3) if t.score else 0.0,
                ",".join(event.kind for event in t.events), not c.acted,
            )
        )  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * len(CAMPAIGNS)
    return pa.Table.from_arrays(
        [_array(column, field.type) for column, field in zip(columns, CAMPAIGNS, strict=True)],
        schema=CAMPAIGNS,
    )


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def members_table(told: Sequence[Told], sources: Profiles) -> tuple[pa.Table, int]:
    """(which source is in which campaign today; rows left out). Campaigns share the room: the largest are cut."""
    active = [t for t in told if t.unit is not None]
    sizes = np.array([t.unit.size for t in active if t.unit], np.int64)
    room = MOST_MEMBERS
    each = int(sizes.max(initial=0))
    if sizes.sum() > room:
        ordered = np.sort(sizes)
        for n, size in enumerate(ordered.tolist()):
            if size * (len(ordered) - n) > room:
                each = room // (len(ordered) - n)
                break
            room -= size
    src, names, packets = [], [], []
    for t in active:
        assert t.unit is not None
        rows = _busiest(t.unit.sources, sources, each)
        src.append(sources.address[rows])
        packets.append(sources.packets[rows])
        names += [t.campaign.name] * len(rows)
    none = np.zeros(0, np.int64)
    table = pa.Table.from_arrays(
        [
            pa.array(np.concatenate(src or [none]).astype(np.uint32)),
            pa.array(names, pa.string()),
            pa.array(np.concatenate(packets or [none]).astype(np.int64)),
        ],
        schema=MEMBERS,
    )
    return table, int(sizes.sum()) - table.num_rows


def findings(
    engine: tuple[str, int],
    told: Sequence[Told],
    votes: dict[str, Votes],
    sources: Profiles,
    left_out: str,
    most: int,
    ctx: Context[Any],
) -> tuple[Finding, ...]:
    """One finding for each campaign with something to tell, the weightiest first, at most ``most`` and of those that
    were only there on the first day ``_MOST_FIRST``; what more there was is said in each."""
    telling = [t for t in told if t.events]
    telling.sort(
        key=lambda t: (min(_RANK.index(e.kind) for e in t.events), -t.campaign.size, t.campaign.name)
    )
    only_there = [t for t in telling if [e.kind for e in t.events] == [changes.FIRST]]
    in_table = {id(t) for t in only_there[_MOST_FIRST:]}  # a first day brings a crowd for every busy service
    total = len(telling)
    telling = [t for t in telling if id(t) not in in_table]
    more = total - min(len(telling), most)
    said = f"{more:,} more campaigns had something to tell; they are in the table." if more > 0 else ""
    made = []
    others = Others(sources)
    for t in telling[:most]:
        note = " ".join(part for part in (said, left_out) if part)
        made.append(_finding(engine, t, votes.get(t.campaign.name, Votes()), sources, others, note, ctx))
    return tuple(made)


def _finding(
    engine: tuple[str, int],
    t: Told,
    votes: Votes,
    sources: Profiles,
    others: Others,
    note: str,
    ctx: Context[Any],
) -> Finding:
    c, unit = t.campaign, t.unit
    purpose = purpose_of(c)
    kinds = [event.kind for event in t.events]
    one_in = sources.one_in
    size, packets = (unit.size * one_in, unit.packets * one_in) if unit else (0, 0)
    what = c.label or relation_of(c.klass) or words(c.klass)
    events = "; ".join(event.text for event in t.events)
    days = "day" if c.active_days == 1 else "days"
    statement = (
        f"Campaign {c.name} ({what}; {mix_words(unit.ports if unit else c.ports)}): {events}. "
        f"{_age(c)}, {c.active_days} active {days}, about {c.sources_ever() * one_in:,} sources in all. "
        f"Purpose: {purpose}{_reasons(votes)}."
    )
    if t.score:
        parts = ", ".join(
            f"{key} {value:+.1f}" for key, value in t.score.as_dict().items() if abs(value) >= 0.05
        )
        statement += f" Why it is the same: evidence {t.score.total:+.1f} nats ({parts})."
    if t.related:
        statement += f" Related: {'; '.join(t.related)}."
    if note:
        statement += f" {note}"
    rows = _busiest(unit.sources, sources, _MOST_ENTITIES) if unit else np.zeros(0, np.int64)
    first, last = _hours_seen(unit.hours if unit else c.hours, ctx.start if unit else c.last)
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="campaign",
        title=f"{c.name}: {', '.join(kinds)} ({what}, {mix_words(unit.ports if unit else c.ports, 3)})",
        statement=statement,
        confidence=_CONFIDENCE if unit else 1.0,
        calibration=_CALIBRATION if unit else "says only that no group of the day matched it",
        window=(ctx.start, ctx.end),
        subject=("campaign", c.name),
        first_seen=first,
        last_seen=last,
        count=packets,
        entities=tuple(
            Entity("ipv4-addr", str(IPv4Address(int(sources.address[i]))), int(sources.packets[i]))
            for i in rows.tolist()
        ),
        evidence=_evidence(t, others),
        attack=("T1595.001",) if purpose == ATTACK else (),
        severity=_severity(kinds, purpose),
        attributes={
            "events": kinds,
            "born": timestamp(c.born),
            "born_known": not c.from_start,
            "standing": not c.acted,
            "last": timestamp(c.last),
            "active_days": c.active_days,
            "quiet_days": c.quiet,
            "ports": mix_dict(unit.ports if unit else c.ports),
            "ports_before": mix_dict(t.before.ports) if t.before else {},
            "header": words(c.klass),
            "header_before": words(t.before.klass) if t.before else "",
            "fingerprint": c.label or _relation(c),
            "purpose": purpose,
            "purpose_votes": {SURVEY: c.survey, ATTACK: c.attack, UNDECIDED: c.judged - c.survey - c.attack},
            "purpose_reasons": dict(votes.reasons),
            "sources_today": size,
            "sources_in_all": c.sources_ever() * one_in,
            "packets_today": packets,
            "networks_16": [f"{IPv4Address(int(n) << 16)}/16" for n in _heaviest(c.networks, 5)],
            "block": f"{IPv4Address(c.block << 8)}/24" if c.block >= 0 else "",
            "volume": [[int(d), int(p), int(s)] for d, p, s, _ in c.ring[c.ring[:, 0] > 0].tolist()],
            "match": t.score.as_dict() if t.score else dict.fromkeys(PARTS, 0.0),
            "match_total": round(t.score.total, 2) if t.score else 0.0,
            "related": list(t.related),
        },
    )


def _evidence(t: Told, others: Others) -> tuple[Evidence, ...]:
    c = t.campaign
    mix = t.unit.ports if t.unit else c.ports
    members = t.unit.sources if t.unit else np.zeros(0, np.int64)
    guard = _guard(c, mix)
    ports = sorted(_heaviest(mix, _PORTS_CHECKED))
    relation = _relation(c)
    shown = "today" if t.unit else "on its last active day"
    if kind_of(c.klass) == KIND_ICMP:
        made = [Evidence(f"ICMP types {shown}: {mix_words(mix)}. The language of checks has no ICMP fields.")]
    else:
        what = "the heaviest of them" if ports else "any port"
        text = f"Ports {shown}: {mix_words(mix)}. The check counts all packets that ask for {what}, whoever sends them."
        made = [Evidence(text, Check(guard, round(others.on_ports(c.klass, ports, members), 1)))]
    if relation:
        chance = others.of_class(c.klass, ports, members)
        made.append(
            Evidence(
                f"Most packets of each of its sources show {relation} ({words(c.klass)}); by chance: other sources of "
                "this header on these ports.",
                Check(f"({guard}) and ({relation})", round(chance, 1)),
            )
        )
    if t.score and t.before:
        made.append(
            Evidence(
                f"Same as on {timestamp(t.before.last)[:10]}: ports alike {t.score.likeness:.2f} (of 1), "
                + ", ".join(f"{k} {v:+.2f}" for k, v in t.score.as_dict().items())
            )
        )
    return tuple(made)


def _guard(c: Campaign, mix: Mix) -> str:
    kind = kind_of(c.klass)
    name, tail = ("tcp", " and tcp.flags & 0x3f == 2") if kind == KIND_TCP else ("udp", "")
    chosen = [f"{name}.dstport == {port}" for port in sorted(_heaviest(mix, _PORTS_CHECKED))]
    if not chosen:  # a list of many ports, none of which stands out
        return "tcp.flags & 0x3f == 2" if kind == KIND_TCP else "udp.dstport == udp.dstport"
    text = chosen[0] if len(chosen) == 1 else f"({' or '.join(chosen)})"
    return text + tail


def _relation(c: Campaign) -> str:
    """The fingerprint found, if it is a relation that one packet can show, else that of the header class."""
    if " == " in c.label and "key" not in c.label:
        return c.label
    return relation_of(c.klass)


def _busiest(rows: np.ndarray, sources: Profiles, most: int) -> np.ndarray:
    order = np.lexsort((sources.address[rows], -sources.packets[rows]))
    return np.asarray(rows[order[:most]])


def _heaviest(mix: Mix, most: int) -> list[int]:
    codes, shares = mix
    return [int(codes[i]) for i in np.lexsort((codes, -shares)) if codes[i] != OTHERS][:most]


def _port(code: int) -> str:
    return "others" if code == OTHERS else str(code)


def mix_dict(mix: Mix) -> dict[str, float]:
    codes, shares = mix
    order = np.lexsort((codes, -shares))[:_PORTS_SHOWN]
    return {_port(int(codes[i])): round(float(shares[i]), 3) for i in order}


def mix_words(mix: Mix, most: int = 6) -> str:
    """Ports with shares, heaviest first.

    >>> mix_words((np.array([23, 2323]), np.array([0.9, 0.1])))
    '23 90 %, 2323 10 %'
    """
    codes, shares = mix
    order = np.lexsort((codes, -shares))
    text = ", ".join(f"{_port(int(codes[i]))} {100 * shares[i]:.0f} %" for i in order[:most])
    return text + (f" and {len(codes) - most} more" if len(codes) > most else "")


def _age(c: Campaign) -> str:
    day = timestamp(c.born)[:10]
    return f"Seen since the first day observed, {day}" if c.from_start else f"Born on {day}"


def _reasons(votes: Votes) -> str:
    if not votes.judged:
        return " (no source of it was judged)"
    reasons = ", ".join(f"{name} ({number:,})" for name, number in votes.reasons)
    numbers = f"{votes.survey:,} survey, {votes.attack:,} attack of {votes.judged:,} judged today"
    return f" ({numbers}: {reasons})" if reasons else f" ({numbers})"


def _hours_seen(hours: np.ndarray, day: int) -> tuple[int, int]:
    hour = 3_600_000_000_000
    active = np.flatnonzero(hours > 0)
    if not len(active):
        return day, day
    return day + int(active[0]) * hour, day + (int(active[-1]) + 1) * hour - 1


def _severity(kinds: Sequence[str], purpose: str) -> str:
    if purpose == SURVEY or set(kinds) <= {changes.PAUSE, changes.DEATH, changes.FIRST}:
        return "informational" if set(kinds) <= {changes.FIRST, changes.PAUSE} else "low"
    if purpose == ATTACK and set(kinds) & {changes.BIRTH, changes.GROWTH, changes.PORTS, changes.FINGERPRINT}:
        return "medium"
    return "low"
