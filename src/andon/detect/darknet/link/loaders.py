"""Loaders: they infect and never scan, so the darknet does not know them; the bot before them at the honeypot does.

In Mirai a bot that has guessed a password reports it, and a loader logs in with the same pair at the same honeypot
within minutes and brings the payload. A loader's session is therefore joined with the newest earlier session at its
sensor that has one of its pairs, within an hour; what it shows (token, URL, payload) then counts for the address of
that bot. How often such a partner is there by chance is measured with the loaders' times moved by hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.link.day import LOADER, SEPARATOR
from andon.detect.darknet.link.history import History, spans
from andon.records import joint

WITHIN: Final = 3600  # s from the bot to its loader
_MOVED: Final = tuple(sign * hours * 3600 for hours in (2, 3, 5, 7, 11) for sign in (-1, 1))


@dataclass(frozen=True)
class Deliveries:
    """Loader sessions and the bot sessions they follow (numbers of sessions), the pair they share (number of a
    behaviour), seconds between them; ``by_chance`` is the share of loaders that would find a bot at another hour."""

    loader: np.ndarray
    bot: np.ndarray
    credential: np.ndarray
    delay: np.ndarray
    loaders: int
    by_chance: float


def deliveries(history: History) -> Deliveries:
    """Join them; see the module text."""
    sessions = history.sessions
    of = np.repeat(np.arange(len(sessions)), sessions.count)
    is_pair = np.array(
        [text.startswith(joint.CREDENTIAL + SEPARATOR) for text in history.behaviours] + [False], np.bool_
    )
    entry = np.flatnonzero(is_pair[sessions.behaviour])
    session, pair = of[entry], sessions.behaviour[entry].astype(np.int64)
    is_loader = sessions.role[session] == LOADER
    # One order of time for each (sensor, pair).
    group = (sessions.sensor[session].astype(np.int64) + 1) << 32 | pair
    at = sessions.at[session].astype(np.int64)
    bots = np.flatnonzero(~is_loader & (sessions.aside[session] == 0))
    bots = bots[np.lexsort((session[bots], at[bots], group[bots]))]
    wanted = np.flatnonzero(is_loader)
    total = len(np.unique(session[wanted]))
    place, delay = _before(group[bots], at[bots], group[wanted], at[wanted])
    good = place >= 0
    loader, bot = session[wanted][good], session[bots][place[good]]
    credential, delay = pair[wanted][good], delay[good]
    order = np.lexsort((credential, delay, loader))
    _, first = np.unique(loader[order], return_index=True)
    order = order[first]
    chance = 0.0
    if total:
        for by in _MOVED:
            there = _before(group[bots], at[bots], group[wanted], at[wanted] + by)[0] >= 0
            chance += len(np.unique(session[wanted][there])) / total / len(_MOVED)
    return Deliveries(loader[order], bot[order], credential[order], delay[order], total, chance)


def _before(
    group: np.ndarray, at: np.ndarray, wanted: np.ndarray, when: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each (wanted, when) the place of the newest earlier entry of the same group (-1: none within an hour), and
    how much earlier it is. ``group`` and ``at`` are in order."""
    if not len(group):
        return np.full(len(wanted), -1), np.zeros(len(wanted), np.int64)
    members, number = np.unique(group, return_inverse=True)
    base = int(at.min()) - WITHIN - max(abs(by) for by in _MOVED) - 1
    span = int(max(at.max(), when.max(initial=0))) - base + 2
    key = number * span + (at - base)
    slot = np.minimum(np.searchsorted(members, wanted), len(members) - 1)
    known = members[slot] == wanted
    moment = np.clip(when - base, 0, span - 1)
    place = np.searchsorted(key, slot * span + moment, "right") - 1
    valid = known & (place >= 0)
    place = np.maximum(place, 0)
    delay = when - at[place]
    valid &= (number[place] == slot) & (delay >= 0) & (delay <= WITHIN)
    return np.where(valid, place, -1), np.where(valid, delay, 0)


def with_deliveries(history: History, found: Deliveries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(begin, count, behaviour) of each session, those of a loader added to the bot it followed."""
    sessions = history.sessions
    begins = sessions.begins()
    of = np.repeat(np.arange(len(sessions)), sessions.count)
    extra = spans(begins[found.loader], sessions.count[found.loader])
    owner = np.repeat(found.bot, sessions.count[found.loader])
    pair = np.unique(
        np.concatenate([of, owner]) << 32
        | np.concatenate([sessions.behaviour, sessions.behaviour[extra]]).astype(np.int64)
    )
    count = np.bincount(pair >> 32, minlength=len(sessions))
    return np.cumsum(count) - count, count, pair & 0xFFFFFFFF
