"""What can be checked of a family: filters for tcpdump, and SQL that counts sessions."""

from __future__ import annotations

import numpy as np

from andon.detect.darknet.fingerprint.judged import GUARD, Day, Judged, expressible, number
from andon.detect.darknet.fingerprint.measure import Measured
from andon.detect.darknet.fingerprint.proof import SESSION_BITS
from andon.detect.darknet.fingerprint.statement import constant
from andon.records.expression import NotExpressible, canonical, parse, session_sql
from andon.records.finding import Check, Evidence

_CONCRETE_SESSIONS = 5
_QUERIED_SESSIONS = 20


def evidence(day: Day, judged: Judged, order: np.ndarray) -> list[Evidence]:
    """``order``: the family's sources, most packets first."""
    m, family = judged.measured, judged.measured.family
    if not expressible(family.relation):
        return [Evidence(f"{number(judged.sources, 'source')} in this order")]
    if family.scope == "session":
        return _sessions(day, m, order)
    others = max(0, day.syn - m.total)
    chance = m.chance(others)
    if judged.kind == "stack-default":
        chance = others / 65536  # if the field were drawn freely
    made = [
        Evidence(
            f"TCP SYN packets with {family.relation}",
            Check(f"{GUARD} and ({family.relation})", by_chance=chance),
        )
    ]
    if judged.constants and judged.kind != "stack-default":
        both = " and ".join(f"{name} == {constant(value)}" for name, value, _ in judged.constants)
        made.append(
            Evidence(
                f"of them, packets with {both}",
                Check(f"{GUARD} and ({family.relation}) and ({both})", by_chance=chance),
            )
        )
    return made


def _sessions(day: Day, m: Measured, order: np.ndarray) -> list[Evidence]:
    addresses = day.packets.sample.src[m.family.sources]
    text = (
        f"{number(len(addresses), 'source')} whose packets agree on a key over packets that differ, with at least "
        f"{SESSION_BITS:.0f} bits of evidence each"
    )
    items = [Evidence(text)]
    for at in order[:_CONCRETE_SESSIONS]:
        source, key = dotted(addresses[at]), int(m.keys[at])
        relation = f"{GUARD} and (ip.src == {source}) and ({with_key(m.family.relation, key)})"
        others = int(day.packets.sample.packets[m.family.sources[at]]) - int(m.packets[at])
        items.append(
            Evidence(
                f"{source}: packets with the key {key:#x}",
                Check(relation, by_chance=m.chance(max(0, others))),
            )
        )
    return items + _session_query(m, addresses[order[:_QUERIED_SESSIONS]])


def _session_query(m: Measured, addresses: np.ndarray) -> list[Evidence]:
    """The SQL that counts the sessions of these sources."""
    keyed = f"{GUARD} and ({m.family.relation})"
    try:
        sql = session_sql(parse(keyed), "chosen")
    except NotExpressible:
        return []
    listed = ", ".join(str(int(address)) for address in addresses)
    sql = f"WITH chosen AS (SELECT * FROM packets WHERE src IN ({listed})) {sql}"
    senders = " or ".join(f"ip.src == {dotted(address)}" for address in addresses)
    text = (
        f"sessions of the {number(len(addresses), 'source')} with most packets: packets that agree on a key, with at "
        "least 40 bits of evidence (SQL over packets.parquet as the table packets)"
    )
    check = Check(
        f"{keyed} and ({senders})",
        by_chance=len(addresses) * 2.0**-SESSION_BITS,
        tool="duckdb",
        expression=sql,
    )
    return [Evidence(text, check)]


def with_key(relation: str, key: int) -> str:
    """A session relation with its key as a constant: something tcpdump can count.

    >>> with_key("tcp.seq == ip.dst ^ key32", 255)
    'tcp.seq == ip.dst ^ 0xff'
    """
    return str(canonical(parse(relation.replace("key16", hex(key)).replace("key32", hex(key)))))


def dotted(address: int) -> str:
    """
    >>> dotted(0x0A000001)
    '10.0.0.1'
    """
    a = int(address)
    return f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"
