"""Purpose: does a source scan to survey the Internet or to attack it?

Each source of scan packets gets a row a day (``kernel``), reasons for and against (``evidence``), a score and one
of three answers: survey, attack, undecided. Two of the reasons need other sources: a /24 that acts as one
(``neighbours``) and strangers in step (``strangers``); one needs the days before (``memory``). Known malware and
tools come from ``darknet.tools``, the size of the telescope and the time observed from ``darknet.census``.

Up to ``darknet.purpose.sources`` sources (650,000) are judged a day; beyond that a sample of one source in 2^level,
which the findings say. ``darknet.purpose.remembered`` sources (400,000) are remembered between days.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.purpose import attacked, names
from andon.detect.darknet.purpose.evidence import Judged, Known, Setting, judge, malware_mask
from andon.detect.darknet.purpose.kernel import SLOTS
from andon.detect.darknet.purpose.lists import ScannerLists
from andon.detect.darknet.purpose.memory import Memory
from andon.detect.darknet.purpose.neighbours import find
from andon.detect.darknet.purpose.profile import Sources, ones, sources
from andon.detect.darknet.purpose.report import SOURCES, findings, table
from andon.detect.darknet.purpose.strangers import in_step
from andon.detect.darknet.purpose.summary import READ, Profiles
from andon.records.contract import Context, Outcome, Site, State, Window

_SECOND = 1_000_000_000
_DAY = 86_400
_TOOL_CONFIDENCE = 0.5
_LEAST_SHARE = 1 / 24  # less than an hour is not blown up to a day by more than this


def engine(site: Site) -> PurposeEngine:
    return PurposeEngine(site)


class PurposeEngine:
    """See the module text."""

    name: ClassVar[str] = "darknet.purpose"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (
        "darknet.census:telescope",
        "darknet.tools:sources",
        "darknet.backscatter:victims",
    )
    uses: ClassVar[tuple[str, ...]] = (
        "lists",
        "rdns",
        "hash_key",
        "darknet.purpose.sources",
        "darknet.purpose.remembered",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"sources": SOURCES})
    limit: ClassVar[int] = 80 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sources = int(site.setting(self.name, "sources", 650_000))
        self._remembered = int(site.setting(self.name, "remembered", 400_000))
        self._attacked = attacked.table()
        self._lists = ScannerLists(site.lists)

    def empty(self) -> Profiles:
        return Profiles(self._sources, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Profiles) -> Profiles:
        into.add(batch, self._attacked)
        return into

    def merge(self, a: Profiles, b: Profiles) -> Profiles:
        a.merge(b)
        return a

    def conclude(self, summary: Profiles, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        found = sources(summary)
        setting, begin, end = _setting(ctx, found)
        tool, tools = _tools(found.address, ctx.tables.get("darknet.tools:sources"))
        malware = malware_mask(tool, tools)
        memory = (carry or Memory.empty()).next_day(
            found.address, found.packets, malware, setting.share, ctx.gap, self._remembered
        )
        if not len(found):
            return Outcome(carry=memory)
        past = memory.of(found.address)
        ever = np.maximum(past.packets, found.packets)
        known = Known(
            listed=self._lists.find(found.address),
            names=names.kinds(found.address, self._site.rdns),
            tool=tool,
            tools=tools,
            neighbours=find(found, ever, malware),
            strangers=in_step(found, begin, end),
            past=past,
        )
        judged = judge(found, known, setting)
        return Outcome(
            findings=findings(
                (self.name, self.version),
                found,
                known,
                judged,
                _left_out(summary, memory, self._lists),
                _forged(ctx.tables.get("darknet.backscatter:victims")),
                ctx,
            ),
            tables={"sources": table(found, known, judged, ctx.start)},
            carry=memory,
        )


def _setting(ctx: Context[Any], found: Sources) -> tuple[Setting, int, int]:
    """Size of the telescope and what was observed of the day; (setting, first second, last second)."""
    telescope = ctx.tables.get("darknet.census:telescope")
    if telescope is not None and telescope.num_rows:
        # 0.0.0.0/0 says that no telescope could be inferred: then nothing is judged by its size.
        unknown = telescope["cidr"][0].as_py() == "0.0.0.0/0"
        addresses = 0 if unknown else int(np.sum(telescope["addresses"].to_numpy()))
        first = int(telescope["first"][0].value)
        last = int(telescope["last"][0].value)
        begin, end = (first - ctx.start) // _SECOND, (last - ctx.start) // _SECOND
    else:  # alone, without the census
        addresses = int(found.targets.max(initial=1.0))
        begin, end = int(found.first.min(initial=0)), int(found.last.max(initial=0))
    begin, end = min(max(begin, 0), _DAY - 1), min(max(end, 0), _DAY - 1)
    share = max((end - begin + 1) / _DAY, _LEAST_SHARE)
    slots = int(ones(np.bitwise_or.reduce(found.slots, axis=0, keepdims=True))[0]) if len(found) else 0
    return Setting(addresses, share, min(slots, SLOTS)), begin, end


def _tools(address: np.ndarray, named: pa.Table | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The surest tool of each source, as an index into the tools' names (-1: none)."""
    tool = np.full(len(address), -1, np.int64)
    if named is None or not named.num_rows:
        return tool, ()
    names_of = tuple(sorted(set(named["tool"].to_pylist())))
    number = np.searchsorted(np.array(names_of), np.array(named["tool"].to_pylist()))
    confidence = named["confidence"].to_numpy()
    malware = malware_mask(number, names_of)
    source = named["src"].to_numpy()
    # The last one written stands: malware after tools, the surer after the less sure.
    order = np.lexsort((number, confidence, malware))
    order = order[confidence[order] >= _TOOL_CONFIDENCE]
    at = np.minimum(np.searchsorted(address, source[order]), max(len(address) - 1, 0))
    known = address[at] == source[order] if len(address) else np.zeros(len(order), np.bool_)
    tool[at[known]] = number[order][known]
    return tool, names_of


def _left_out(summary: Profiles, memory: Memory, lists: ScannerLists) -> str:
    text = []
    if summary.rows.level:
        judged = int(summary.rows.table()[1]["counts"][:, 0].sum())
        text.append(
            f"Only one source in {1 << summary.rows.level} was judged: there were more than "
            f"{summary.rows.limit:,} (raise darknet.purpose.sources); {summary.packets - judged:,} of "
            f"{summary.packets:,} scan packets are from the others."
        )
    if memory.forgotten:
        text.append(f"{memory.forgotten:,} sources were not remembered for want of room.")
    if lists.unreadable:
        text.append(f"{lists.unreadable:,} entries of the lists are no prefixes and were left out.")
    return " ".join(text)


def _forged(victims: pa.Table | None) -> str:
    """What floods on single addresses mean for this answer: their senders are forged and have no purpose."""
    if victims is None:
        return ""
    classes = np.array(victims["class"].to_pylist(), dtype=object)
    flooded = np.isin(classes, ("spoofed-flood-target", "reflection-target"))
    if not flooded.any():
        return ""
    senders = int(victims["partners"].to_numpy()[flooded].sum())
    return (
        f"Not all of them scan: about {senders:,} sources of the day took part in a flood or a reflection aimed at "
        "one address (see backscatter-victim); forged or abused, they have no purpose of their own."
    )


__all__ = ["Judged", "PurposeEngine", "engine"]
