"""The engine ``darknet.backscatter``: victims of floods with forged senders, as answers to nobody show them.

Three claims, all of kind ``backscatter-victim``, told apart by ``attributes.class``:

* ``spoofed-dos-victim``: an address answers many dark addresses (``episodes``, ``thresholds``, ``victims``);
* ``reflection-target``: many addresses answer one dark address (``targets``);
* ``spoofed-flood-target``: forged sources flood one address (``targets``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.backscatter import classes, kernel, report
from andon.detect.darknet.backscatter.asked import was_asked
from andon.detect.darknet.backscatter.episodes import Episodes, find_episodes
from andon.detect.darknet.backscatter.gather import Victim, gather
from andon.detect.darknet.backscatter.services import service_ports
from andon.detect.darknet.backscatter.summary import COLUMNS, LIMIT, Summary
from andon.detect.darknet.backscatter.tables import SET_ASIDE, VICTIMS, aside_table, victims_table
from andon.detect.darknet.backscatter.targets import Flood, Reflection, find_floods, find_reflections
from andon.detect.darknet.backscatter.thresholds import SETTINGS, thresholds
from andon.detect.darknet.backscatter.victims import Answers, answers_by_source, doubts
from andon.records.contract import Context, Nothing, Outcome, Site, State, Window
from andon.records.finding import Finding

_TELESCOPE = "darknet.census:telescope"


class Backscatter:
    """See the module text. Settings ``darknet.backscatter.*`` stand in ``thresholds.SETTINGS``."""

    name: ClassVar[str] = "darknet.backscatter"
    version: ClassVar[int] = report.VERSION
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = COLUMNS
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (_TELESCOPE,)
    uses: ClassVar[tuple[str, ...]] = (
        "telescope",
        "hash_key",
        *(f"darknet.backscatter.{name}" for name in SETTINGS),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"victims": VICTIMS, "set_aside": SET_ASIDE}
    )
    limit: ClassVar[int] = LIMIT
    carries: ClassVar[type[State]] = Nothing

    def __init__(self, site: Site) -> None:
        self._site = site
        self._services = service_ports()

    def empty(self) -> Summary:
        return Summary(self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Summary) -> Summary:
        # With a telescope given only packets to it come, and a telescope asks nobody.
        into.add(batch, self._services, note_asked=not self._site.telescope)
        return into

    def merge(self, a: Summary, b: Summary) -> Summary:
        a.merge(b)
        return a

    def conclude(self, summary: Summary, carry: Nothing | None, ctx: Context[Nothing]) -> Outcome[Nothing]:
        dark, known = _telescope(ctx.tables.get(_TELESCOPE))
        rules = thresholds(self._site, dark)
        answers = _answers(summary)
        bin_keys, bins = _bins(summary, answers)
        scale = 1 << max(summary.bins.level, summary.answers.level)
        episodes = find_episodes(bin_keys, bins, rules)
        reasons = doubts(episodes, answers, _asked(summary, episodes.source), dark)
        aside = np.logical_or.reduce(list(reasons.values()))
        pairs = summary.pairs.table()[1]
        victims = gather(episodes.only(~aside), answers, pairs, 1 << summary.pairs.level, dark)
        source = (bin_keys >> np.uint64(kernel.SOURCE_SHIFT)).astype(np.uint32)
        flavours = answers.of(source)
        talks = flavours[:, classes.TALK] > flavours[:, 1 : classes.TALK].sum(axis=1)
        live = _asked(summary, source) | talks
        reflections = find_reflections(source, bins, live, scale, dark, rules)
        floods = find_floods(pairs, 1 << summary.pairs.level, dark, rules)
        view = report.View(
            window=(ctx.start, ctx.end),
            dark=dark,
            known=known,
            rules=rules,
            scale=scale,
            answers_each=float(summary.totals[1 : classes.TALK].sum()) / max(dark, 1),
            requests_each=float(summary.totals[[classes.NONE, classes.TALK]].sum()) / max(dark, 1),
            stray=_stray(bins["packets"], source, episodes),
            set_aside={
                reason: len(np.unique(episodes.source[which]))
                for reason, which in reasons.items()
                if which.any()
            },
        )
        return Outcome(
            findings=tuple(_findings(victims, reflections, floods, answers, view)),
            tables={
                "victims": victims_table(victims, reflections, floods, answers),
                "set_aside": aside_table(episodes, reasons, summary),
            },
        )


def _asked(summary: Summary, source: np.ndarray) -> np.ndarray:
    return was_asked(summary.asked, source, summary.pairs.salt)


def _telescope(table: pa.Table | None) -> tuple[int, bool]:
    """(number of dark addresses, whether the operator gave them); 0 if nothing is known."""
    if table is None or table.num_rows == 0:
        return 0, False
    return int(np.sum(table.column("addresses").to_numpy())), bool(table.column("given")[0].as_py())


def _answers(summary: Summary) -> Answers:
    keys, columns = summary.answers.table()
    return answers_by_source(keys, columns["packets"])


def _bins(summary: Summary, answers: Answers) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Keys and columns of the bins, of the sources that both tables kept."""
    keys, columns = summary.bins.table()
    if summary.answers.level <= summary.bins.level:
        return keys, columns
    both = np.isin((keys >> np.uint64(kernel.SOURCE_SHIFT)).astype(np.uint32), answers.source)
    return keys[both], {name: array[both] for name, array in columns.items()}


def _stray(packets: np.ndarray, source: np.ndarray, episodes: Episodes) -> float:
    """Mean answers of an address that has no episode."""
    other = ~np.isin(source, episodes.source)
    count = len(np.unique(source[other]))
    return float(packets[other].sum() / count) if count else 0.0


def _findings(
    victims: list[Victim],
    reflections: list[Reflection],
    floods: list[Flood],
    answers: Answers,
    view: report.View,
) -> list[Finding]:
    most = view.rules.most_findings
    found = [report.victim_finding(victim, view) for victim in victims[:most]]
    found += [report.reflection_finding(item, answers, view) for item in reflections[:most]]
    found += [report.flood_finding(item, view) for item in floods[:most]]
    found = report.one_per_address(found)
    if victims[most:]:
        found.append(report.rest_finding(victims[most:], view))
    return found
