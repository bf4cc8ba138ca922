"""The engine ``darknet.asset``: gathers the day's episodes of listed addresses, tells what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from andon.detect.darknet.asset.cases import cases
from andon.detect.darknet.asset.gather import from_darknet, from_honeypots
from andon.detect.darknet.asset.holders import Holders
from andon.detect.darknet.asset.meaning import Meaning
from andon.detect.darknet.asset.report import NAME, SUSPECTS, VERSION, suspects, tell
from andon.detect.darknet.asset.seen import Seen
from andon.records.asset import ASSET
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.sketch.surveys import Listed, surveys

_NEEDS: Final = {
    "sources": "darknet.sightings:sources",
    "portsets": "darknet.sightings:portsets",
    "sessions": "intel.session:sessions",
    "behaviours": "intel.session:behaviours",
    "links": "darknet.link:links",
    "profiles": "intel.profile:profiles",
    "purposes": "darknet.purpose:sources",
}
_LIMITS: Final = {"rows": (500_000, 10_000_000), "days": (30, 365), "least": (3, 1000), "told": (500, 10_000)}
_DAY: Final = 86_400 * 10**9
_COVERAGE: Final[list[pa.Field[object]]] = [
    pa.field("what", pa.string(), nullable=False), pa.field("count", pa.int64(), nullable=False),
]  # fmt: skip
COVERAGE: Final = pa.schema(_COVERAGE)


class AssetEngine(OnTables):
    """See the package's text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = tuple(_NEEDS.values())
    uses: ClassVar[tuple[str, ...]] = (
        "assets",
        "organisations",
        "lists",
        "hash_key",
        *(f"darknet.asset.{name}" for name in _LIMITS),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"suspects": SUSPECTS, "coverage": COVERAGE}
    )
    carries: ClassVar[type[State]] = Seen

    def __init__(self, site: Site) -> None:
        assets = site.assets if site.assets is not None else ASSET.empty_table()
        self._holders = Holders(assets.combine_chunks(), site.organisations)
        self._lists = Listed(site.lists)
        self._setting = {name: site.count(self.name, name, *of) for name, of in _LIMITS.items()}
        self._key = site.hash_key

    def conclude(self, summary: Nothing, carry: Seen | None, ctx: Context[Seen]) -> Outcome[Seen]:
        table = {name: ctx.tables.get(need) for name, need in _NEEDS.items()}
        left_out: Counter[str] = Counter()
        fresh = [
            from_darknet(
                table["sources"], table["portsets"], self._holders, self._lists, surveys(table["purposes"]), left_out
            ),
            from_honeypots(table["sessions"], table["behaviours"], self._holders, self._lists, left_out),
        ]  # fmt: skip
        before = carry or Seen.empty()
        since = ctx.end - self._setting["days"] * _DAY
        seen = before.after(
            [rows for rows in fresh if rows is not None], since, self._setting["rows"], self._key
        )
        meaning = Meaning(table["profiles"], table["links"])
        found = cases(seen, self._holders, meaning, self._setting["least"])
        left_out["episodes that the sample left out"] = seen.lost
        left_out["rows of the lists without an IPv4 address"] = self._holders.left_out
        findings, told, waiting, subjects = tell(
            found, seen, self._holders, meaning, self._setting["told"], table["sources"], ctx
        )
        left_out["suspicions that are told on later days"] = waiting
        seen.told = {series: one for series, one in told.items() if one.at >= since}
        what = {name: count for name, count in sorted(left_out.items()) if count}
        return Outcome(
            findings=findings,
            tables={
                "suspects": suspects(subjects),
                "coverage": pa.table([list(what), list(what.values())], schema=COVERAGE),
            },
            carry=seen,
        )
