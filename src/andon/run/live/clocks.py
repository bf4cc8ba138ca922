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
MEMBERS = 2000  # that are known at most, in all time


class Clocks:
    """``sources``: what kind of record each gives, or which kinds, by its name. One that gives none itself has
    members (sensors behind a bus), which are known once they are heard (``member``)."""

    def __init__(self, engines: Sequence[AnyEngine], sources: Mapping[str, str | Sequence[str]]) -> None:
        given = {name: frozenset([kind] if isinstance(kind, str) else kind) for name, kind in sources.items()}
        self._hosts = frozenset(name for name, kinds in given.items() if not kinds)
        self._sources = {name: kinds for name, kinds in given.items() if kinds and kinds != {REPORT}}
        self._members: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._needed = _together(engines)
        self._group()
        self._marks: dict[_Group, Watermark] = self._new_marks()

    def _group(self) -> None:
        self._all = frozenset(self._sources)
        self.group = {
            engine: frozenset(n for n, given in self._sources.items() if given & needed)
            for engine, needed in self._needed.items()
        }

    def _new_marks(self) -> dict[_Group, Watermark]:
        groups = {*self.group.values(), self._all}
        return {group: Watermark(sorted(group)) for group in sorted(groups, key=sorted)}

    def member(self, of: str, name: str, kinds: Sequence[str]) -> None:
        """A source that is configured gives records of a member from now on, which is waited for. Nothing is known of
        its time; how far the others have come stays."""
        wanted = frozenset(kinds) - {REPORT}
        if of not in self._hosts or self._sources.get(name) == wanted:
            return
        if name not in self._members and len(self._members) >= MEMBERS:
            return  # nobody waits for it
        state = self.state()
        self._members[name] = (of, tuple(kinds))
        if wanted:
            self._sources[name] = wanted
        else:
            self._sources.pop(name, None)
        self._group()
        self._marks = self._new_marks()
        self._restore_marks(state)

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
        made: dict[str, Any] = {
            "groups": [[sorted(group), mark.state()] for group, mark in self._marks.items()]
        }
        return made | ({"members": self._members} if self._members else {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """What ``state`` gave, or a single watermark of all sources (of versions before this). A group that is new
        takes what is known of its sources."""
        for name, (of, kinds) in state.get("members", {}).items():
            self.member(of, name, kinds)
        self._restore_marks(state)

    def _restore_marks(self, state: Mapping[str, Any]) -> None:
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
