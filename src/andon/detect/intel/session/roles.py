"""Who is behind a session: a bot that spreads, a loader that infects, a survey, somebody who relays, a person.

In Mirai's family bots scan and try credentials, report what they found, and another machine, the loader, logs in with
that one pair and installs (Antonakakis et al., USENIX Security 2017). A loader therefore gets in at the first try and
downloads from elsewhere; a download from the attacking address itself is a bot that carries its own copy (Mozi), or a
loader that is also the web server: the latter has a usual port, or comes again and again. Confidences are estimates,
checked against the planted scenario (docs/sessions.md).
"""

from __future__ import annotations

import numpy as np

from andon.detect.intel.session.digest import (
    BY_HAND,
    DELIVERED,
    DOWNLOAD,
    EXPLOITED,
    LOGIN,
    OWN_DOWNLOAD,
    OWN_PORT,
    RELAY,
    REQUESTED,
    SILENT,
    SURVEY,
    TRIED,
)  # fmt: skip
from andon.records.joint import BOT, LOADER, PERSON, UNKNOWN
from andon.records.joint import RELAY as RELAYED
from andon.records.joint import SURVEY as SURVEYING

OFTEN = 3  # sessions of a source in a span that download: nobody's bot does that to one honeypot by itself


def roles(
    flags: np.ndarray, tried: np.ndarray, commands: np.ndarray, token: np.ndarray, source: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(role, confidence) of each session. ``flags`` as in ``digest``; ``tried`` credentials; ``commands`` lines
    typed; ``token`` bool: the session shows one; ``source``: its address, as a number of any kind. The first rule
    that holds decides."""

    def has(flag: int) -> np.ndarray:
        return np.asarray(flags & flag > 0)

    inside, fetched = has(LOGIN), has(DOWNLOAD) | has(DELIVERED)
    _, place = np.unique(source, return_inverse=True)
    often = np.bincount(place, fetched)[place] >= OFTEN
    nothing = (commands == 0) & ~fetched & ~has(EXPLOITED)
    rules: list[tuple[np.ndarray, str, float]] = [
        (has(RELAY) & (commands == 0), RELAYED, 0.95),
        (has(SURVEY) & nothing & ~inside & ~has(TRIED), SURVEYING, 0.9),
        (has(BY_HAND) & (commands > 2) & ~token, PERSON, 0.8),
        (fetched & has(OWN_PORT) & ~often, BOT, 0.75),
        (fetched & inside & (tried <= 1) & (~has(OWN_DOWNLOAD) | often), LOADER, 0.9),
        (fetched & inside & (tried <= 1), LOADER, 0.7),
        (fetched & (tried == 1) & token, LOADER, 0.8),
        # Where nobody has to log in (ADB) there is nothing to report to a loader: bots bring the payload themselves.
        (fetched & (tried == 0) & ~inside & token, BOT, 0.5),
        (fetched & inside & (tried <= 3), LOADER, 0.6),
        (fetched & has(EXPLOITED), BOT, 0.6),
        (has(EXPLOITED), BOT, 0.5),
        (token, BOT, 0.9),
        (fetched, BOT, 0.5),
        (has(TRIED), BOT, 0.7),
        (inside & (commands > 0), BOT, 0.5),
        (has(RELAY), RELAYED, 0.9),
        (has(REQUESTED), SURVEYING, 0.5),
        (has(SILENT), SURVEYING, 0.4),
    ]
    role = np.full(len(flags), UNKNOWN, dtype=object)
    sure = np.full(len(flags), 0.3)
    for holds, name, confidence in reversed(rules):
        role[holds] = name
        sure[holds] = confidence
    return role, sure
