"""The engine ``darknet.backscatter``: victims of floods with forged senders, as answers to nobody show them.

Three claims, all of kind ``backscatter-victim``, told apart by ``attributes.class``:

* ``spoofed-dos-victim``: an address answers many dark addresses (``episodes``, ``thresholds``, ``victims``);
* ``reflection-target``: many addresses answer one dark address (``targets``);
* ``spoofed-flood-target``: forged sources flood one address (``targets``).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.backscatter import classes, kernel, report
from andon.detect.darknet.backscatter.asked import was_asked
from andon.detect.darknet.backscatter.episodes import MOST_COUNTED, Episodes, find_episodes
from andon.detect.darknet.backscatter.rates import Hits, counting_error, global_rate
from andon.detect.darknet.backscatter.services import service_ports
from andon.detect.darknet.backscatter.summary import COLUMNS, LIMIT, Summary
from andon.detect.darknet.backscatter.tables import SET_ASIDE, VICTIMS, aside_table, victims_table
from andon.detect.darknet.backscatter.targets import Flood, Reflection, find_floods, find_reflections
from andon.detect.darknet.backscatter.thresholds import SETTINGS, thresholds
from andon.detect.darknet.backscatter.victims import Answers, answers_by_source, doubts, nature
from andon.records.contract import Context, Nothing, Outcome, Site, Window
from andon.records.finding import Finding
from andon.sketch.hashing import mix64_array

_ENOUGH = 30  # sampled pairs of a victim from which on their number is an estimate
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

    def __init__(self, site: Site) -> None:
        self._site = site
        self._services = service_ports()

    def empty(self) -> Summary:
        return Summary(self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Summary) -> Summary:
        into.add(batch, self._services)
        return into

    def merge(self, a: Summary, b: Summary) -> Summary:
        a.merge(b)
        return a

    def conclude(self, summary: Summary, carry: Nothing | None, ctx: Context[Nothing]) -> Outcome[Nothing]:
        dark, known = _telescope(ctx.tables.get(_TELESCOPE))
        rules = thresholds(self._site, dark)
        bin_keys, bins = summary.bins.table()
        answers = answers_by_source(*_answer_columns(summary))
        scale = 1 << max(summary.bins.level, summary.answers.level)
        episodes = find_episodes(bin_keys, bins, rules)
        reasons = doubts(episodes, answers, self._asked(summary, episodes.source), dark)
        aside = np.logical_or.reduce(list(reasons.values()))
        pairs = summary.pairs.table()[1]
        victims = _victims(episodes.only(~aside), answers, pairs, 1 << summary.pairs.level, dark)
        source = (bin_keys >> np.uint64(kernel.SOURCE_SHIFT)).astype(np.uint32)
        flavours = answers.of(source)
        talks = flavours[:, classes.TALK] > flavours[:, 1 : classes.TALK].sum(axis=1)
        live = self._asked(summary, source) | talks
        reflections = find_reflections(source, bins, live, 1 << summary.bins.level, dark, rules)
        floods = find_floods(pairs, 1 << summary.pairs.level, dark, rules)
        view = report.View(
            window=(ctx.start, ctx.end),
            dark=dark,
            known=known,
            rules=rules,
            scale=scale,
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

    def _asked(self, summary: Summary, source: np.ndarray) -> np.ndarray:
        if self._site.telescope:  # only packets to the telescope come, and a telescope asks nobody
            return np.zeros(len(source), np.bool_)
        return was_asked(summary.asked, mix64_array(source.astype(np.uint64), summary.pairs.salt))


def _telescope(table: pa.Table | None) -> tuple[int, bool]:
    """(number of dark addresses, whether the operator gave them); 0 if nothing is known."""
    if table is None or table.num_rows == 0:
        return 0, False
    return int(np.sum(table.column("addresses").to_numpy())), bool(table.column("given")[0].as_py())


def _answer_columns(summary: Summary) -> tuple[np.ndarray, np.ndarray]:
    keys, columns = summary.answers.table()
    return keys, columns["packets"]


def _stray(packets: np.ndarray, source: np.ndarray, episodes: Episodes) -> float:
    """Mean answers of an address that has no episode."""
    other = ~np.isin(source, episodes.source)
    count = len(np.unique(source[other]))
    return float(packets[other].sum() / count) if count else 0.0


def _victims(
    episodes: Episodes, answers: Answers, pairs: dict[str, np.ndarray], scale: int, dark: int
) -> list[report.Victim]:
    """One per source, most packets first."""
    found = []
    for address in np.unique(episodes.source):
        mine = episodes.only(episodes.source == address)
        flavours = answers.of(np.array([address]))[0]
        tcp = flavours[classes.SYN_ACK : classes.RST_ACK + 1].sum() >= flavours[classes.UDP_ANSWER]
        repeated = bool(flavours[classes.SYN_ACK] * 20 > mine.packets.sum())
        wanted = (classes.SYN_ACK, classes.RST, classes.RST_ACK) if tcp else (classes.UDP_ANSWER,)
        hit = _together(mine.addresses, dark)
        full = bool(mine.addresses.max() >= MOST_COUNTED)
        sampled = int(np.count_nonzero(pairs["src"] == address))
        if full and sampled >= _ENOUGH:  # the masks are full, but the sample of pairs tells
            hit, full = max(hit, float(sampled * scale)), False
        found.append(
            report.Victim(
                address=int(address),
                episodes=mine,
                flavours=flavours,
                nature=nature(flavours),
                ports=answers.ports(np.array([address]), wanted),
                rates=tuple(
                    global_rate(
                        int(mine.packets[n]),
                        _hits(
                            int(mine.packets[n]),
                            float(mine.addresses[n]),
                            repeated,
                            (sampled, scale) if len(mine) == 1 else None,
                        ),
                        int(mine.last[n] - mine.first[n]),
                        dark,
                    )
                    for n in range(len(mine))
                ),
                addresses=round(min(hit, float(mine.packets.sum()))),
                at_least=full,
            )
        )
    return sorted(found, key=lambda victim: (-victim.packets, victim.address))


def _hits(packets: int, counted: float, repeated: bool, sample: tuple[int, int] | None) -> Hits | None:
    """Forged packets behind one attack: its answers if nothing is repeated, else its distinct dark addresses,
    counted or from (pairs in the sample, scale) if that holds enough of just this attack."""
    if not repeated:
        return Hits(packets)
    if counted < MOST_COUNTED:
        return Hits(counted, counting_error(counted))
    if sample is None or sample[0] < _ENOUGH:
        return None
    number, scale = sample
    return Hits(number * scale, sqrt((1 - 1 / scale) / number))


def _together(addresses: np.ndarray, dark: int) -> float:
    """Distinct addresses hit by several attacks that each hit so many of ``dark`` at random."""
    if dark <= 0:
        return float(addresses.sum())
    return float(dark * (1.0 - np.prod(1.0 - np.minimum(addresses / dark, 1.0))))


def _findings(
    victims: list[report.Victim],
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
