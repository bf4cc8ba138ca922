"""Findings in a file (``findings.ndjson`` of ``analyze --out``), read like those of a casebook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from andon.records.finding import SEVERITIES, nanoseconds
from andon.store.casebook.records import Filter, StoredFinding


class FindingLines:
    """The findings of one file; lines that are none are skipped and counted in ``skipped``. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.skipped = 0
        self._found: dict[str, StoredFinding] = {}
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    found = _finding(json.loads(line), number, line)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                    self.skipped += 1
                    continue
                held = self._found.get(found.id)
                if held is None or found.revision > held.revision:
                    self._found[found.id] = found

    def findings(self, filter: Filter | None = None, limit: int | None = None) -> Iterator[StoredFinding]:
        """Newest (last seen) first."""
        wanted = filter or Filter()
        newest = sorted(self._found.values(), key=lambda found: (-found.last_seen, -found.seq))
        hits = (found for found in newest if _fits(found, wanted))
        for number, found in enumerate(hits):
            if number == limit:
                return
            yield found

    def finding(self, id: str) -> StoredFinding | None:
        """The finding of this id, or the only one whose id begins so (from four digits on)."""
        if id in self._found:
            return self._found[id]
        hits = [found for found in self._found.values() if len(id) >= 4 and found.id.startswith(id)]
        return hits[0] if len(hits) == 1 else None


def _finding(body: Mapping[str, Any], seq: int, line: str) -> StoredFinding:
    return StoredFinding(
        seq=seq,
        id=str(body["id"]),
        series=str(body["series"]),
        revision=int(body["revision"]),
        engine=str(body["engine"]),
        engine_version=int(body["engine_version"]),
        kind=str(body["kind"]),
        severity=SEVERITIES[SEVERITIES.index(body["severity"])],
        confidence=float(body["confidence"]),
        window_start=nanoseconds(body["window"]["start"]),
        window_end=nanoseconds(body["window"]["end"]),
        first_seen=nanoseconds(body["first_seen"]),
        last_seen=nanoseconds(body["last_seen"]),
        count=int(body["count"]),
        title=str(body["title"]),
        stored=0,
        document=line.strip(),
    )


def _fits(found: StoredFinding, wanted: Filter) -> bool:
    if wanted.entity:
        body = found.to_dict()
        named = [body.get("subject"), *(body.get("entities") or ())]
        if wanted.entity not in [thing.get("value") for thing in named if isinstance(thing, dict)]:
            return False
    return (
        (not wanted.kinds or found.kind in wanted.kinds)
        and (not wanted.engines or found.engine in wanted.engines)
        and SEVERITIES.index(found.severity) in wanted.severities
        and (wanted.since is None or found.last_seen >= wanted.since)
        and (wanted.until is None or found.last_seen < wanted.until)
        and (not wanted.series or found.series == wanted.series)
    )
