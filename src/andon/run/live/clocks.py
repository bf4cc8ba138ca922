"""How far time has come for each engine, where sources give several kinds of record.

An engine waits for the sources of what it reads, and of what those engines read whose tables of the same span it needs;
not for others. A honeypot's log gives sessions when they end, minutes late; alerts from packets alone must not wait for
it. Engines that wait for the same sources have one watermark (``run.live.watermark``). Reports are of the past by
nature: nobody waits for a folder of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from andon.records.kinds import PACKET, REPORT
from andon.run.engines import AnyEngine
from andon.run.live.watermark import Watermark

_Group = frozenset[str]


class Clocks:
    """``sources``: what kind of record each gives, or which kinds, by its name."""

    def __init__(self, engines: Sequence[AnyEngine], sources: Mapping[str, str | Sequence[str]]) -> None:
        given = {name: frozenset([kind] if isinstance(kind, str) else kind) for name, kind in sources.items()}
        self._sources = {name: kinds for name, kinds in given.items() if kinds != {REPORT}}
        self._all = frozenset(self._sources)
        kinds = _together(engines)
        self.group = {
            engine.name: frozenset(n for n, given in self._sources.items() if given & kinds[engine.name])
            for engine in engines
        }
        self._marks: dict[_Group, Watermark] = {
            group: Watermark(sorted(group)) for group in sorted({*self.group.values(), self._all}, key=sorted)
        }

    def rows(self, source: str, ts: np.ndarray) -> dict[str, np.ndarray]:
        """int64 by engine: the watermark before each row of a source's next packets; takes them in."""
        made = {group: mark.rows(source, ts) for group, mark in self._of(source)}
        return {name: made[group] for name, group in self.group.items() if group in made}

    @property
    def low(self) -> int | None:
        """ns before which nothing more is expected from any source; None before the first row."""
        return self._marks[self._all].low

    def before(self, engine: str) -> int | None:
        """The same of what an engine waits for."""
        return self._marks[self.group[engine]].low

    def reached(self) -> dict[str, int]:
        """ns by engine, of those for which time has begun."""
        found = {name: self.before(name) for name in self.group}
        return {name: time for name, time in found.items() if time is not None}

    def promise(self, source: str, time: int) -> None:
        """Records of the source have come, and none from before ``time`` (ns) will come any more."""
        for _, mark in self._of(source):
            mark.rows(source, np.empty(0, np.int64))  # it speaks again, if it was idle
            mark.heartbeat(source, time)

    def heartbeat(self, source: str, time: int) -> None:
        for _, mark in self._of(source):
            mark.heartbeat(source, time)

    def finish(self, source: str) -> None:
        for _, mark in self._of(source):
            mark.finish(source)

    def state(self) -> dict[str, Any]:
        return {"groups": [[sorted(group), mark.state()] for group, mark in self._marks.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """What ``state`` gave, or a single watermark of all sources (of versions before this). A group that is new
        takes what is known of its sources."""
        if "groups" not in state:
            for group, mark in self._marks.items():
                mark.restore(_of_group(state, group if len(self._marks) > 1 else None))
            return
        saved = {frozenset(names): held for names, held in state["groups"]}
        largest = saved[max(saved, key=lambda names: (len(names), sorted(names)))]
        for group, mark in self._marks.items():
            mark.restore(saved.get(group) or _of_group(largest, group))

    def _of(self, source: str) -> Iterable[tuple[_Group, Watermark]]:
        """Marks that a source moves; one that is not configured any more moves all, and none waits for it."""
        known = source in self._sources
        return [(group, mark) for group, mark in self._marks.items() if not known or source in group]


def _of_group(state: Mapping[str, Any], group: _Group | None) -> dict[str, Any]:
    names = set(state["newest"]) if group is None else group & set(state["newest"])
    return {
        "newest": {name: state["newest"][name] for name in names},
        "finished": [name for name in state["finished"] if name in names],
    }


def _together(engines: Sequence[AnyEngine]) -> dict[str, set[str]]:
    """Kinds of record that each engine waits for: its own and those of all that are tied to it by needs."""
    kinds = {engine.name: set(engine.reads) for engine in engines}
    tied = [
        (engine.name, need.split(":")[0])
        for engine in engines
        for need in engine.needs
        if not need.endswith("@last") and need.split(":")[0] in kinds
    ]
    changed = True
    while changed:
        changed = False
        for a, b in tied:
            both = kinds[a] | kinds[b]
            if both != kinds[a] or both != kinds[b]:
                kinds[a], kinds[b], changed = set(both), set(both), True
    return {name: found or {PACKET} for name, found in kinds.items()}
