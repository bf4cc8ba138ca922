"""Exact figures for checks: a second read of the files counts what each relation selects in its span.

Bounded summaries cannot give exact counts, so no engine states one. Whatever stands in ``check.expected`` was
counted here, over the packets of the finding's window (and of the telescope given, if one was given).

A finding can ask for more: ``attributes["exact"] = {"relation": TEXT}`` is filled with the packets, sources, ports and
times of that relation, and the finding's ``count``, ``first_seen`` and ``last_seen`` become those. A check whose
relation has a session key is answered with its number of sessions.

Here the read is done in this process. Its parts, which workers call as well, are in ``run.exactly``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from andon.records.finding import Finding
from andon.run.exactly import Counted, Input, Rows, Wanted, count_packets, filled, wanted
from andon.run.feed import Feed, FileReport, Telescope

__all__ = ["Input", "Rows", "count_captures", "recount", "recount_rows"]

Times = tuple[int | None, int | None]


def recount(
    findings: Sequence[Finding],
    files: Sequence[str | FileReport],
    telescope: Telescope | None,
    progress: Callable[[int], None] | None = None,
    times: Mapping[str, Times] | None = None,
) -> list[Finding]:
    """The findings with every check translated and counted in files of packets.

    ``files``: paths, or reports of the first read. ``progress`` gets the rows of each batch. ``times``: first and last
    time (ns) of files that are given as paths, as far as the first read saw them; a file whose times no finding is
    about is not opened again."""
    asked = wanted(findings)
    if not asked.relations:
        return list(findings)
    paths = [_path(file) for file in files]
    within = {one.path: one.within for one in files if isinstance(one, FileReport) and one.within}
    counted = count_captures(asked, files, telescope, progress, times)
    return filled(findings, asked, counted, paths, telescope, within)


def recount_rows(
    findings: Sequence[Finding], rows: Rows, inputs: Sequence[Input], telescope: Telescope | None
) -> list[Finding]:
    """The findings with every check translated and counted in rows from anywhere.

    ``inputs`` are looked at when ``rows`` has ended. What becomes of the findings: ``run.exactly.filled``."""
    asked = wanted(findings)
    if not asked.relations:
        return list(findings)
    counted = count_packets(asked, rows, inputs)
    return filled(findings, asked, counted, [one.path for one in inputs], telescope)


def count_captures(
    asked: Wanted,
    files: Sequence[str | FileReport],
    telescope: Telescope | None,
    progress: Callable[[int], None] | None = None,
    times: Mapping[str, Times] | None = None,
) -> Counted:
    """What is wanted, counted in files of packets one after the other; see ``recount``. Figures of files that were
    counted apart merge to the same (``run.exactly.merge``). A file that cannot be read, or not to its end, counts as
    far as it can be read: the first read has said what is wrong with it, and if it had more, its report says that
    now."""
    reports: list[Input] = []
    known = [(file, _times(file, times or {})) for file in files]
    opened = [(file, span) for file, span in known if _is_about(asked, span)]
    if not opened:
        return Counted(asked.digest)

    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, Any, np.ndarray]]:
        for number, (file, _) in enumerate(opened):
            again = file.fresh() if isinstance(file, FileReport) else file
            feed = Feed([again], columns, telescope, meets=asked.meets)
            reports.extend(feed.reports)
            for _, batch, ts, _ in feed:
                if progress is not None:
                    progress(batch.num_rows)
                yield number, batch, ts
            if isinstance(file, FileReport):
                _compare(file, feed.reports[0], feed.left)

    return count_packets(asked, rows, reports, _hull([span for _, span in opened]))


def _path(file: str | FileReport) -> str:
    return file.path if isinstance(file, FileReport) else str(file)


def _times(file: str | FileReport, times: Mapping[str, Times]) -> Times | None:
    if isinstance(file, FileReport) and file.path not in times:
        return file.first, file.last
    return times.get(_path(file))


def _compare(first: FileReport, second: FileReport, left: int) -> None:
    """Say in the report of the first read what the second one did not find any more; ``left``: rows that it passed
    over."""
    found = second.rows + left
    if second.error is None and found >= first.rows:
        return
    why = second.error or f"{first.rows - found:,} packets fewer than in the first read"
    first.damage.insert(0, f"checks count less than there was: {why}")
    first.places += 1


def _is_about(asked: Wanted, times: Times | None) -> bool:
    if times is None or times[0] is None or times[1] is None:
        return True
    return asked.meets(times[0], times[1])


def _hull(times: Sequence[Times | None]) -> tuple[int, int] | None:
    """(first, last) of all files, None if it is not known of one of them."""
    firsts = [one[0] for one in times if one is not None and one[0] is not None]
    lasts = [one[1] for one in times if one is not None and one[1] is not None]
    return (min(firsts), max(lasts)) if firsts and len(firsts) == len(lasts) == len(times) else None
