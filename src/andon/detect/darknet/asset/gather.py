"""The day's rows of listed addresses, out of the tables of sightings, sessions and behaviours.

Set aside: what survey organisations do (``darknet.purpose``, the operator's lists), tools that anybody may use (a
scan with ZMap is no infection), and sessions of loaders, surveys and relays.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.darknet.asset.holders import Holders
from andon.detect.darknet.asset.seen import DARKNET, SESSION, Fresh, mark
from andon.records import joint
from andon.sketch.surveys import Listed

FAMILY: Final = "family"
TOLD_BY: Final = (
    joint.TOKEN,
    joint.URL_BASE,
    joint.PAYLOAD,
    joint.EXPLOIT,
)  # behaviours that can tell a family
MOST_EPISODES: Final = 32  # of one mark at one address in a day
MOST_BEHAVIOURS: Final = 8  # of one session
_COMMON: Final = frozenset(
    {"21", "22", "23", "25", "53", "80", "81", "110", "143", "443", "445", "1433", "2222", "2323", "3306", "3389",
     "5060", "5900", "6379", "8080", "8443"}
)  # fmt: skip


def from_darknet(
    sources: pa.Table | None,
    sets: pa.Table | None,
    holders: Holders,
    lists: Listed,
    surveying: np.ndarray,
    left_out: Counter[str],
) -> Fresh | None:
    """Episodes of listed addresses with a fingerprint, or else with their set of ports."""
    if sources is None or not sources.num_rows:
        return None
    address = sources["src"].to_numpy().astype(np.int64)
    wanted = holders.listed(address)
    aside = wanted & (lists.find(address) | np.isin(address, surveying))
    left_out["sightings of survey organisations"] += int(aside.sum())
    table = sources.filter(pa.array(wanted & ~aside))
    if not table.num_rows:
        return None
    address = table["src"].to_numpy().astype(np.int64)
    texts = table["fingerprint"].to_pylist()
    of = _sets(sets, address)
    marks: dict[str, int] = {}
    number = np.full(len(address), -1, np.int64)
    for n, text in enumerate(texts):
        if text and not is_tool(text):
            made = mark(joint.MARK_FINGERPRINT, text)
        elif not text and int(address[n]) in of:
            made = mark(joint.MARK_PORT_SET, of[int(address[n])])
        else:
            left_out[
                "sightings with a tool that anybody may use" if text else "sightings without a mark"
            ] += 1
            continue
        number[n] = marks.setdefault(made, len(marks))
    first, last = (table[name].cast(pa.int64()).to_numpy() for name in ("first", "last"))
    order = np.lexsort((table["dst_port"].to_numpy(), first, number, address))
    order = order[number[order] >= 0]
    group = address[order] << 24 | number[order]
    begin = np.searchsorted(group, group)  # group is sorted
    kept = order[np.arange(len(order)) - begin < MOST_EPISODES]
    left_out["episodes beyond 32 of one mark at one address in a day"] += len(order) - len(kept)
    port = table["dst_port"].to_numpy().astype(np.int32)
    return Fresh(
        {
            "address": address[kept], "mark": number[kept], "first": first[kept], "last": last[kept],
            "packets": table["packets"].to_numpy()[kept], "port": port[kept],
            "kind": np.full(len(kept), DARKNET, np.uint8),
        },
        list(marks),
    )  # fmt: skip


def is_tool(fingerprint: str) -> bool:
    """Whether a fingerprint is the name of a tool (``ZMAP``, ``masscan``) rather than what a bot was found by.

    >>> is_tool("masscan"), is_tool("tcp.seq == ip.dst"), is_tool("F07")
    (True, False, False)
    """
    return fingerprint.lower().split("-")[0] in {"zmap", "masscan", "nmap", "unicorn", "unicornscan", "zgrab"}


def _sets(sets: pa.Table | None, addresses: np.ndarray) -> dict[int, str]:
    """The set of ports of each of these addresses, where it tells anything."""
    if sets is None or not sets.num_rows:
        return {}
    rows = sets.filter(pa.array(np.isin(sets["src"].to_numpy().astype(np.int64), addresses)))
    found: dict[int, str] = {}
    for src, ports in zip(rows["src"].to_pylist(), rows["ports"].to_pylist(), strict=True):
        parts = ports.split(",")
        if len(parts) > 1 or parts[0] not in _COMMON:
            found[src] = ports
    return found


def from_honeypots(
    sessions: pa.Table | None,
    behaviours: pa.Table | None,
    holders: Holders,
    lists: Listed,
    left_out: Counter[str],
) -> Fresh | None:
    """What bots at listed addresses showed at honeypots."""
    if sessions is None or not sessions.num_rows:
        return None
    address = sessions["address"].to_numpy().astype(np.int64)
    wanted = (address >= 0) & holders.listed(address)
    roles = np.array(sessions["role"].to_pylist(), dtype=object)
    bots = wanted & (roles == joint.BOT) & ~lists.find(address)
    left_out["honeypot sessions of loaders, surveys and others"] += int((wanted & ~bots).sum())
    table = sessions.filter(pa.array(bots))
    shown = _behaviours(behaviours, set(table["session"].to_pylist()))
    marks: dict[str, int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    for row in table.select(["session", "start", "end", "address", "family", "dst_port"]).to_batches():
        start, end = (row.column(name).cast(pa.int64()).to_pylist() for name in ("start", "end"))
        for n, one in enumerate(row.drop_columns(["start", "end"]).to_pylist()):
            said = [mark(FAMILY, one["family"])] if one["family"] else []
            for text in [*said, *shown.get(one["session"], ())][:MOST_BEHAVIOURS]:
                number = marks.setdefault(text, len(marks))
                rows.append((one["address"], number, start[n], max(end[n], start[n]), one["dst_port"]))
    if not rows:
        return None
    table_ = np.array(rows, np.int64)
    return Fresh(
        {
            "address": table_[:, 0], "mark": table_[:, 1], "first": table_[:, 2], "last": table_[:, 3],
            "packets": np.ones(len(rows), np.int64), "port": table_[:, 4],
            "kind": np.full(len(rows), SESSION, np.uint8),
        },
        list(marks),
    )  # fmt: skip


def _behaviours(behaviours: pa.Table | None, wanted: set[str]) -> dict[str, list[str]]:
    if behaviours is None or not behaviours.num_rows or not wanted:
        return {}
    rows = behaviours.filter(
        pc.and_(
            pc.is_in(behaviours["kind"], pa.array(TOLD_BY)),
            pc.is_in(behaviours["session"], pa.array(sorted(wanted), pa.string())),
        )
    )
    found: dict[str, list[str]] = {}
    columns: list[list[Any]] = [rows[name].to_pylist() for name in ("session", "kind", "value")]
    for session, kind, value in sorted(set(zip(*columns, strict=True))):
        found.setdefault(session, []).append(mark(kind, value))
    return found
