"""The engine: sessions in, sessions understood out (see the package's text)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pyarrow as pa

from andon.detect.intel.session.digest import Digester
from andon.detect.intel.session.exploits import Exploits, imported, own
from andon.detect.intel.session.memory import Memory
from andon.detect.intel.session.reading import Requests
from andon.detect.intel.session.report import findings
from andon.detect.intel.session.summary import Sessions
from andon.detect.intel.session.tables import CLUSTERS, CONTROLLERS, STEPS_SEEN, tables
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.joint import BEHAVIOURS, SESSIONS

RULES = "exploit-rules"  # name of the list in Site.lists that holds rules of an IDS


def engine(site: Site) -> SessionEngine:
    return SessionEngine(site)


class SessionEngine:
    """See the package's text."""

    name: ClassVar[str] = "intel.session"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("honeypot-session",)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ("hash_key", "lists", "intel.session.megabytes")
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {
            "sessions": SESSIONS,
            "behaviours": BEHAVIOURS,
            "clusters": CLUSTERS,
            "steps": STEPS_SEEN,
            "controllers": CONTROLLERS,
        }
    )
    limit: ClassVar[int] = 384 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._salt = site.hash_key
        self._bytes = min(max(int(site.setting(self.name, "megabytes", 256)), 1), 256) << 20
        signatures = own()
        rules = site.lists.get(RULES)
        if rules is not None:
            signatures += imported(rules.to_pydict())
        self._exploits = Exploits(signatures)
        self._digester = Digester(Requests(self._exploits), site.hash_key)

    def empty(self) -> Sessions:
        return Sessions(self._bytes, self._salt)

    def summarise(self, batch: pa.RecordBatch, into: Sessions) -> Sessions:
        if batch.num_rows:
            into.add(*self._digester.rows(batch))
        return into

    def merge(self, a: Sessions, b: Sessions) -> Sessions:
        a.merge(b)
        return a

    def conclude(self, summary: Sessions, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        made, memory = tables(summary, carry or Memory.empty(), self._exploits, ctx.start)
        return Outcome(findings((self.name, self.version), summary, ctx), made, memory)
