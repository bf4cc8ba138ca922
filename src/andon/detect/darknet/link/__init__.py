"""Links: which fingerprint, or set of ports, goes with which behaviour at honeypots, and how many would by chance.

A source seen in the darknet with a mark and at a honeypot with a behaviour, at about the same time, is a match. Matches
of unrelated things are common, since attackers sit in dense blocks: chance is measured in the same run, by decoys
(``decoys``), and never by a formula over the address space. Marks and behaviours that go together more often than
chance are links (``associate``, ``evidence``). What is remembered between days is bounded (``history``).

Set aside and counted: survey organisations (``darknet.purpose``, roles of sessions, the operator's lists), Tor exits
(lists), addresses of nobody, IPv6. Kept from being forced into one label: addresses shared by several kinds
(``marks``). Weighed: how long an address stays with a device (``lease``). Corrected: clocks (``clock``). Loaders are
joined through the bots they follow (``loaders``). See docs/joint.md for what was measured.

Settings ``darknet.link.*``: ``rows`` (default 4,000,000 source-days of the darknet), ``sessions`` (300,000), ``days``
(30) remembered; ``told`` (200) links told a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from andon.detect.darknet.link import tables
from andon.detect.darknet.link.day import Aside, read_day
from andon.detect.darknet.link.evidence import judge
from andon.detect.darknet.link.history import MOST_LEVEL, History
from andon.detect.darknet.link.report import VERSION, tell
from andon.detect.darknet.link.versions import analyse
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.joint import LINKS, MATCHES

_NEEDS: Final = {
    "sources": "darknet.sightings:sources",
    "portsets": "darknet.sightings:portsets",
    "behaviours": "intel.session:behaviours",
    "sessions": "intel.session:sessions",
    "purposes": "darknet.purpose:sources",
}
_LIMITS: Final = {
    "rows": (4_000_000, 100_000_000),
    "sessions": (300_000, 10_000_000),
    "days": (30, 365),
    "told": (200, 10_000),
}
_NO_HONEYPOT = 2  # days
_DAY_S = 86_400
_NANO = 1_000_000_000


def engine(site: Site) -> LinkEngine:
    return LinkEngine(site)


class LinkEngine(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = tables.NAME
    version: ClassVar[int] = VERSION
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = tuple(_NEEDS.values())
    uses: ClassVar[tuple[str, ...]] = (
        "telescope",
        "lists",
        "hash_key",
        *(f"darknet.link.{name}" for name in _LIMITS),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {
            "links": LINKS,
            "matches": MATCHES,
            "offset": tables.OFFSET,
            "loaders": tables.LOADERS,
            "coverage": tables.COVERAGE,
        }
    )
    carries: ClassVar[type[State]] = History

    def __init__(self, site: Site) -> None:
        self._setting = {name: site.count(self.name, name, *of) for name, of in _LIMITS.items()}
        self._key = site.hash_key
        self._aside = Aside(site)

    def remember(self, carry: History | None, ctx: Context[History]) -> tuple[History, Counter[str]]:
        """The history with this span in it, and what was left out of it."""
        day = read_day(
            carry or History.empty(),
            {name: ctx.tables.get(need) for name, need in _NEEDS.items()},
            self._aside,
        )
        # Without a honeypot there is nothing to match: two days are kept in case that one comes.
        days = self._setting["days"] if len(day.sessions) + len(day.history.sessions) else _NO_HONEYPOT
        history = day.history.after(
            day.darknet,
            day.sessions,
            ctx.end // _NANO - days * _DAY_S,
            ctx.start // _NANO // _DAY_S,
            (self._setting["rows"], self._setting["sessions"]),
            self._key,
        )
        return history, Counter({f"{what} (today)": count for what, count in day.left_out.items()})

    def conclude(self, summary: Nothing, carry: History | None, ctx: Context[History]) -> Outcome[History]:
        before = carry or History.empty()
        history, left_out = self.remember(carry, ctx)
        end = ctx.end // _NANO
        left_out["entries of lists that are no prefixes"] = self._aside.unreadable
        left_out["darknet rows left out of the sample"], left_out["sessions left out of the sample"] = (
            history.lost
        )
        left_out["one source in"] = 1 << history.level if history.level else 0
        if not len(history.sessions) or not len(history.darknet):
            found = {name: schema.empty_table() for name, schema in self.publishes.items()}
            return Outcome(tables=found | {"coverage": tables.coverage_table(left_out)}, carry=history)
        begin = int(history.levels[:, 0].min()) * _DAY_S
        made = analyse(history, begin, end, self._key)
        judged = judge(made)
        matches = tables.Matches(made, judged)
        found_links = tables.links(made, judged, matches)
        match_table, without = tables.match_table(made, found_links, matches)
        left_out["sessions of addresses shared by several kinds"] = len(made.target.marked.ambiguous)
        left_out["matches not looked at, of the busiest addresses"] = made.target.skipped
        left_out["links without their matches"] = without
        findings, told = tell(
            made, judged, found_links, before.told, self._setting["told"], _said(history), ctx
        )
        return Outcome(
            findings=findings,
            tables={
                "links": tables.link_table(found_links),
                "matches": match_table,
                "offset": tables.offset_table(made),
                "loaders": tables.loader_table(made),
                "coverage": tables.coverage_table(left_out),
            },
            carry=replace(history, told=told),
        )


def _said(history: History) -> str:
    rows, sessions = history.lost
    if not rows and not sessions:
        return ""
    return (
        f"Of the sources of both sides one in {1 << min(history.level, MOST_LEVEL)} is remembered, a sample by hash: "
        f"{rows:,} darknet rows and {sessions:,} sessions are left out "
        "(raise darknet.link.rows, darknet.link.sessions)."
    )


__all__ = ["LinkEngine", "engine"]
