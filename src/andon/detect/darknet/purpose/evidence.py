"""Survey or attack: the evidence for each source, added up.

Every reason has a weight in log-odds (natural logarithm; positive speaks for a survey), written with where it
comes from. A source is called survey above +2.2 and attack below -2.2, nine to one; what lies between is
undecided, which is the honest answer for most small sources. Weights are round numbers, kept well below what was
measured, because reasons are not independent and a simulator is not the Internet: it has no attackers with a block
of their own and no cheap hosters that scan every port. Two small ones, zmap and irregular over days, have the other
sign in simulation; they stand on judgement.

Where it fails: a survey from scattered addresses lacks the strongest sign and mostly stays undecided; if it also
wakes and stops in step it looks like a botnet. Lists and reverse names are the remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.purpose import names
from andon.detect.darknet.purpose.lists import Listed
from andon.detect.darknet.purpose.memory import Past
from andon.detect.darknet.purpose.neighbours import Neighbours
from andon.detect.darknet.purpose.profile import Sources, at_equal_packets

THRESHOLD: Final = 2.2
_MANY = 8
UNDECIDED, SURVEY, ATTACK = 0, 1, 2
PURPOSES: Final = ("undecided", "survey", "attack")
NICTER_PORTS: Final = 30
NICTER_PER_ADDRESS: Final = 1.0  # 300,000 packets a day to about 300,000 dark addresses
SMALLEST_TELESCOPE: Final = 256  # below, packets per address and coverage say nothing of a scan's reach


@dataclass(frozen=True)
class Weight:
    """``measured`` is the log-likelihood ratio found on simulated traffic (``benchmarks/purpose/simulated.py``:
    five seeds of one hour; reasons that need days: two seeds of five days); None where the simulator cannot
    show the reason."""

    log_odds: float
    origin: str
    measured: float | None = None


WEIGHTS: Final = {
    "list": Weight(6.0, "the operator's list names the organisation"),
    "name of a survey": Weight(2.5, "judgement: reverse names are free to choose, but attackers rarely do"),
    "name of a home": Weight(-0.7, "judgement: surveys do not run from access lines"),
    "volume rule": Weight(
        2.5, "NICTER: 30 ports and 300,000 packets a day, scaled; decides alone there", 6.1
    ),
    "very wide": Weight(
        1.5, "Shikanai and Tsunoda 2025-26: which ports tells more than how many packets", 4.7
    ),
    "wide": Weight(0.8, "as very wide", 2.7),
    "many alike neighbours": Weight(2.2, "survey organisations use blocks of their own", 9.2),
    "alike neighbours": Weight(1.4, "as many alike neighbours; fewer than eight", 2.4),
    "wide together": Weight(1.0, "volume rule for slow, distributed surveys", 8.9),
    "steady over days": Weight(0.5, "surveys keep schedules; reassigned home addresses do not", 0.5),
    "irregular over days": Weight(-0.2, "as steady over days", 0.4),
    "steady through the day": Weight(0.2, "weak: infected hosts that stay on are steady too", 2.3),
    "bursts": Weight(-0.2, "weak: daily surveys are short as well"),
    "reaches most of the telescope": Weight(0.6, "a survey wants every address; bots draw them at random"),
    "vertical": Weight(-1.0, "many ports of few addresses: interest in those hosts"),
    "malware": Weight(-5.0, "darknet.tools: header relation of a malware family", -6.7),
    "malware before": Weight(
        -2.8, "as malware, within a week: a host may be cleaned, an address passed on", -3.5
    ),
    "zmap": Weight(0.4, "weak: the tool of most surveys, free for everyone", -2.0),
    "masscan": Weight(0.2, "weak: as zmap", 2.4),
    "other tool": Weight(0.0, "said, not weighed"),
    "in step with strangers": Weight(-2.6, "a common controller; beyond chance, see strangers.py", -4.7),
    "attacked ports": Weight(-1.2, "ports that are mostly attacked, see attacked.py", -7.2),
}
MALWARE: Final = ("mirai", "hajime", "mozi")


@dataclass(frozen=True)
class Setting:
    """What the sources are seen against: dark addresses, observed share of the day, observed slots."""

    addresses: int
    share: float
    slots: int


@dataclass(frozen=True)
class Known:
    """What is known of each source beside its packets; parallel to ``Sources``."""

    listed: Listed
    names: np.ndarray  # names.kinds
    tool: np.ndarray  # index into tools, -1: none
    tools: tuple[str, ...]
    neighbours: Neighbours
    strangers: np.ndarray
    past: Past


@dataclass(frozen=True)
class Judged:
    """``score`` and ``purpose`` per source; ``reasons`` maps each reason to (who has it, words for source i)."""

    score: np.ndarray
    purpose: np.ndarray
    reasons: dict[str, tuple[np.ndarray, Callable[[int], str]]]

    def words(self, i: int) -> str:
        """Reasons of source ``i``, weightiest first, separated by "; "."""
        mine = [name for name, (mask, _) in self.reasons.items() if mask[i]]
        mine.sort(key=lambda name: -abs(WEIGHTS[name].log_odds))
        return "; ".join(f"{self.reasons[name][1](i)} ({WEIGHTS[name].log_odds:+.1f})" for name in mine)

    def main_reason(self) -> list[str]:
        """For each source the weightiest reason on the side of its purpose; "none" if undecided without one."""
        size = len(self.score)
        best, which = np.zeros(size), np.full(size, -1)
        sign = np.where(self.purpose == ATTACK, -1.0, np.where(self.purpose == SURVEY, 1.0, 0.0))
        for number, (name, (mask, _)) in enumerate(self.reasons.items()):
            weight = WEIGHTS[name].log_odds
            strength = np.where(sign == 0, abs(weight), weight * sign) * mask
            better = strength > best
            best[better], which[better] = strength[better], number
        labels = [*self.reasons, "none"]
        return [labels[number] for number in which.tolist()]


def malware_mask(tool: np.ndarray, tools: tuple[str, ...]) -> np.ndarray:
    """Which sources run malware by the tool named for them."""
    known = [number for number, name in enumerate(tools) if name.lower().startswith(MALWARE)]
    return np.isin(tool, known)


def judge(sources: Sources, known: Known, setting: Setting) -> Judged:
    """Weigh all reasons."""
    s, k, n = sources, known, setting
    large = n.addresses >= SMALLEST_TELESCOPE
    per_address = s.packets / max(n.addresses, 1) / max(n.share, 1 / 86400)
    reach = s.targets / max(n.addresses, 1)
    together = k.neighbours.packets / max(n.addresses, 1) / max(n.share, 1 / 86400)
    equal = at_equal_packets(s.sampled, s.breadth)
    busy = s.active / max(n.slots, 1)
    tool = [name.lower() for name in k.tools]
    malware = malware_mask(k.tool, k.tools)
    zmap = np.isin(k.tool, [i for i, name in enumerate(tool) if name.startswith("zmap")])
    masscan = np.isin(k.tool, [i for i, name in enumerate(tool) if name.startswith("masscan")])
    very_wide = equal >= 50
    alike = k.neighbours.alike
    came, since, cv = k.past.came, k.past.since, k.past.variation
    wide_together = (alike > 0) & (k.neighbours.ports >= NICTER_PORTS)

    def listed(i: int) -> str:
        organisation = k.listed.organisations[k.listed.organisation[i]]
        return f"{organisation} by list {k.listed.lists[k.listed.which[i]]}"

    def ports(i: int) -> str:
        return f"about {equal[i]:.0f} ports in 100 packets"

    def block(i: int) -> str:
        return f"one of {alike[i]} sources of its /24 with equal volume and hours"

    def volume(i: int) -> str:
        return f"volume rule: {s.ports[i]:.0f} ports, {per_address[i]:.2g} packets per dark address and day"

    reasons: dict[str, tuple[np.ndarray, Callable[[int], str]]] = {
        "list": (k.listed.organisation >= 0, listed),
        "name of a survey": (k.names == names.SURVEY, lambda _: "reverse name of a survey"),
        "name of a home": (k.names == names.HOME, lambda _: "reverse name of an access line"),
        "volume rule": (
            (s.ports >= NICTER_PORTS)
            & (per_address >= NICTER_PER_ADDRESS)
            & (reach >= 0.1 * n.share)
            & large,
            volume,
        ),
        "very wide": (very_wide, ports),
        "wide": ((equal >= 20) & ~very_wide, ports),
        "many alike neighbours": (alike >= _MANY, block),
        "alike neighbours": ((alike > 0) & (alike < _MANY), block),
        "wide together": (
            wide_together,
            lambda i: (
                f"its /24 together: {k.neighbours.ports[i]:.0f} ports, "
                f"{together[i]:.2g} packets per dark address and day"
            ),
        ),
        "steady over days": (
            (came >= 4) & (came >= 0.75 * since) & (cv <= 0.35),
            lambda i: f"came on {came[i]} of {since[i]} days, volume varies by {100 * cv[i]:.0f} %",
        ),
        "irregular over days": (
            (came >= 3) & (cv >= 1.0),
            lambda i: f"daily volume varies by {100 * cv[i]:.0f} %",
        ),
        "steady through the day": (
            (n.slots >= 36) & (busy >= 0.9),
            lambda i: f"active in {100 * busy[i]:.0f} % of the day",
        ),
        "bursts": (
            (n.slots >= 36) & (busy <= 0.05) & (s.packets >= 100),
            lambda i: f"all in {s.active[i]} ten-minute slots",
        ),
        "reaches most of the telescope": (
            large & (reach >= 0.5),
            lambda i: f"reached about {100 * min(reach[i], 1.0):.0f} % of the telescope",
        ),
        "vertical": (
            large & (s.ports >= 40) & (s.targets <= s.ports / 5),
            lambda i: f"about {s.ports[i]:.0f} ports of few addresses",
        ),
        "malware": (malware, lambda i: f"header relation of {k.tools[k.tool[i]]}"),
        "malware before": (
            ~malware & (k.past.malware > 0) & (k.past.malware <= 8),
            lambda i: f"ran known malware {k.past.malware[i] - 1} days ago",
        ),
        "zmap": (zmap, lambda i: f"tool {k.tools[k.tool[i]]}"),
        "masscan": (masscan, lambda i: f"tool {k.tools[k.tool[i]]}"),
        "other tool": (
            (k.tool >= 0) & ~(malware | zmap | masscan),
            lambda i: f"tool {k.tools[k.tool[i]]}",
        ),
        "in step with strangers": (
            k.strangers > 0,
            lambda i: f"starts and stops in step with {k.strangers[i]:,} sources on the same port",
        ),
        "attacked ports": (
            (s.attacked >= 0.8 * s.packets)
            & (s.packets >= 5)
            & ((alike == 0) | (k.neighbours.attacked >= 0.8)),
            lambda i: f"{100 * s.attacked[i] / s.packets[i]:.0f} % to ports that are mostly attacked",
        ),
    }
    score = np.zeros(len(s))
    for name, (mask, _) in reasons.items():
        score += WEIGHTS[name].log_odds * mask
    score = np.round(score, 3)
    purpose = np.where(score >= THRESHOLD, SURVEY, np.where(score <= -THRESHOLD, ATTACK, UNDECIDED))
    return Judged(score, purpose, reasons)
