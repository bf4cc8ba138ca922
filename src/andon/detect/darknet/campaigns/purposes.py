"""Attack or survey: what ``darknet.purpose`` says of a campaign's sources, added up, with its reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns.memory import Campaign
from andon.detect.darknet.campaigns.profile import Profiles

SURVEY, ATTACK, UNDECIDED = "survey", "attack", "undecided"
_LEAST_DECIDED, _LEAST_SHARE, _MAJORITY = 3, 0.2, 0.75


@dataclass(frozen=True)
class Votes:
    """Of a unit's sources on a day: numbers by purpose, and the weightiest reasons with their numbers."""

    survey: int = 0
    attack: int = 0
    judged: int = 0
    reasons: tuple[tuple[str, int], ...] = ()


class Purposes:
    """The table ``sources`` of ``darknet.purpose`` of the same day, by address."""

    def __init__(self, day: Profiles, table: pa.Table | None) -> None:
        self.code = np.zeros(len(day), np.int8)  # 0 not judged, 1 undecided, 2 survey, 3 attack
        self.reason = np.zeros(len(day), np.int64)
        self.reasons: list[str] = []
        if table is None or not table.num_rows or not len(day):
            return
        source = table["src"].to_numpy()
        at = np.minimum(np.searchsorted(day.address, source), len(day) - 1)
        known = day.address[at] == source
        purpose = table["purpose"].combine_chunks().dictionary_encode()
        words = purpose.dictionary.to_pylist()
        code = np.array([{SURVEY: 2, ATTACK: 3}.get(word, 1) for word in words], np.int8)
        self.code[at[known]] = code[purpose.indices.to_numpy()][known]
        reason = table["main_reason"].combine_chunks().dictionary_encode()
        self.reasons = reason.dictionary.to_pylist()
        self.reason[at[known]] = reason.indices.to_numpy()[known]

    def votes(self, rows: np.ndarray) -> Votes:
        code = self.code[rows]
        judged = int((code > 0).sum())
        if not judged:
            return Votes()
        decided = rows[code >= 2]
        names = Counter(self.reasons[n] for n in self.reason[decided].tolist())
        names.pop("", None)
        best = tuple(sorted(names.items(), key=lambda item: (-item[1], item[0]))[:3])
        return Votes(int((code == 2).sum()), int((code == 3).sum()), judged, best)


def purpose_of(campaign: Campaign) -> str:
    """Three quarters of the decided sources of all days, if at least three and a fifth of those judged are decided."""
    decided = campaign.survey + campaign.attack
    if decided < _LEAST_DECIDED or decided < _LEAST_SHARE * campaign.judged:
        return UNDECIDED
    if campaign.survey >= _MAJORITY * decided:
        return SURVEY
    return ATTACK if campaign.attack >= _MAJORITY * decided else UNDECIDED
