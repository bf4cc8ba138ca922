"""Where chains are looked for: visits that may be the malicious end of one.

A black destination, a program or an archive fetched from a gray host, a page whose URL is rarer than the model's
threshold for findings. How probable it is that such an end is malicious is summed from the weights below. They are
judgement, not learnt (nobody has labelled field data of this kind), and kept so that a download from a host nobody
knows is no finding by itself; it becomes one with an odd way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.redirects.kinds import ARCHIVE, PROGRAM, kind_of
from andon.detect.livenet.redirects.lists import GRAY, Lists
from andon.records.domains import NAME, kinds_of_hosts
from andon.records.reputation import BLACK, WHITE
from andon.sketch.urlscore import BARE, WITH_PATH, UrlScorer

ALARM: Final = float(-np.log(1e-5))
PRIOR: Final = -6.0
WEIGHTS: Final = {
    "black": 10.0,
    "program": 2.5,
    "archive": 1.0,
    "new host": 1.0,  # not met by the organisation before
    "old host": -2.0,
    "an address": 1.5,
    "URL": 4.0,  # at the threshold of findings; less below it
    "nobody clicked": 1.5,
    "three domains": 1.0,
    "several terminals": 1.0,
}


@dataclass(frozen=True)
class End:
    """``row`` of the visits; ``why``: names of WEIGHTS with how much each gives; ``black``: the list that names
    it."""

    row: int
    kind: str
    black: str
    rarity: float
    why: dict[str, float]


def ends(
    visits: pa.Table,
    begin: int,
    lists: Lists,
    scorer: UrlScorer | None,
    known: dict[str, bool] | None,
    most: int,
) -> tuple[list[End], int]:
    """Ends among the visits from time ``begin`` (ns) on, and how many were left out. ``known``: hosts of the
    organisation's past, True for those met by several terminals; None where there is no past."""
    fresh = np.flatnonzero(visits["ts"].to_numpy() >= begin)
    if not len(fresh):
        return [], 0
    part = visits.take(pa.array(fresh))
    hosts = part["host"].combine_chunks().dictionary_encode()
    ports = part["port"].to_numpy()
    colours = _colours(hosts, ports, lists)
    rarity = _rarity(part, colours, scorer)
    paths, mimes = part["path"].to_pylist(), part["mime"].to_pylist()
    answered = (part["status"].to_numpy() < 400) & ~part["refused"].to_numpy(zero_copy_only=False)
    tunnel = part["tunnel"].to_numpy(zero_copy_only=False)
    names = hosts.dictionary.to_pylist()
    numeric = kinds_of_hosts(hosts.dictionary) != NAME
    codes = hosts.indices.to_numpy()
    found: list[End] = []
    for at in _candidates(part, colours, rarity).tolist():
        name, path = names[codes[at]], paths[at]
        colour, listed = lists.of(name, int(ports[at]))
        listed = listed if colour == BLACK else lists.url(name, path)
        kind = kind_of(path, mimes[at], bool(answered[at])) if not tunnel[at] else "page"
        why: dict[str, float] = {}
        if listed:
            why["black"] = WEIGHTS["black"]
        if kind in (PROGRAM, ARCHIVE):
            why[kind] = WEIGHTS[kind]
        if rarity[at] > 4:
            why["URL"] = WEIGHTS["URL"] * min(float(rarity[at]) / ALARM, 1.2)
        if not listed and kind not in (PROGRAM, ARCHIVE) and rarity[at] < ALARM:
            continue
        if known is not None:
            if name not in known:
                why["new host"] = WEIGHTS["new host"]
            elif known[name]:
                why["old host"] = WEIGHTS["old host"]
        if numeric[codes[at]]:
            why["an address"] = WEIGHTS["an address"]
        found.append(End(int(fresh[at]), kind, listed, float(rarity[at]), why))
    left = max(len(found) - most, 0)
    if left:  # the likeliest stay; ties by row, which is by terminal and time
        found = sorted(found, key=lambda end: (-sum(end.why.values()), end.row))[:most]
    return sorted(found, key=lambda end: end.row), left


def _colours(hosts: pa.DictionaryArray, ports: np.ndarray, lists: Lists) -> np.ndarray:
    """Colour of each visit."""
    pairs = hosts.indices.to_numpy().astype(np.int64) * 65_537 + np.maximum(ports, -1) + 1
    unique, back = np.unique(pairs, return_inverse=True)
    names = hosts.dictionary.to_pylist()
    own = [lists.of(names[pair // 65_537], int(pair % 65_537) - 1)[0] for pair in unique.tolist()]
    return np.array(own, dtype=object)[back] if own else np.empty(0, dtype=object)


def _rarity(part: pa.Table, colours: np.ndarray, scorer: UrlScorer | None) -> np.ndarray:
    """How rare each visit's URL is; 0 of white ones."""
    rarity = np.zeros(part.num_rows)
    rows = np.flatnonzero(colours != WHITE)
    if scorer is None or not len(rows):
        return rarity
    host, path = part["host"].combine_chunks(), part["path"].combine_chunks()
    keys = pc.binary_join_element_wise(host, path, "").take(pa.array(rows)).dictionary_encode()
    codes = keys.indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    own = scorer.scores(host, path, rows[first])
    kinds = np.where(
        pc.less_equal(pc.binary_length(path), 1).to_numpy(zero_copy_only=False)[rows[first]], BARE, WITH_PATH
    )
    rarity[rows] = scorer.rarity(own, kinds)[codes]
    return rarity


def _candidates(part: pa.Table, colours: np.ndarray, rarity: np.ndarray) -> np.ndarray:
    """Rows that are worth a closer look."""
    looks = pc.or_(
        pc.match_substring_regex(part["mime"], r"^application/(x-|vnd|java|zip|octet|hta|msi)"),
        pc.match_substring_regex(part["path"], r"(?i)\.[a-z0-9]{2,4}(\?|$)"),
    ).to_numpy()
    gray = colours == GRAY
    return np.flatnonzero((colours == BLACK) | (gray & (looks | (rarity >= ALARM))))
