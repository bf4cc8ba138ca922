"""Cost of the join at scale: source-days of a darknet by sessions of honeypots, with thirty decoys a source.

    python benchmarks/link/scale.py ROWS SESSIONS [SHARE]      default 10,000,000 by 1,000,000, 1 % of the sources both

    python benchmarks/link/scale.py engine          the whole analysis of a full history: 4,000,000 by 300,000

Made-up rows by hash: ROWS source-days over 30 days, SESSIONS sessions of a third as many addresses, of which SHARE of
the addresses are in the darknet too. Measured in CPU seconds and peak memory: the semi-join (targets and all decoys),
sorting what is left, matching the target and the thirty decoys. Everything else works on matches alone.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

from andon.detect.darknet.link.decoys import CLASSES, DRAWS, moved
from andon.detect.darknet.link.history import Darknet
from andon.detect.darknet.link.match import Side, Visits, candidates
from andon.sketch.hashing import mix64_array

DAY = 86_400
_SALT = np.uint64(0x1234)


def hashed(size: int, offset: int) -> np.ndarray:
    return mix64_array(np.arange(offset, offset + size, dtype=np.uint64), _SALT)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def whole() -> None:
    """A history as full as the defaults allow: 200 fingerprints, 2,000 sets of ports, 20,000 behaviours, a tenth of the
    honeypots' addresses in the darknet."""
    from andon.detect.darknet.link.evidence import judge
    from andon.detect.darknet.link.history import History, Sessions, Told
    from andon.detect.darknet.link.versions import analyse

    rng = np.random.default_rng(1)
    rows, count, addresses = 4_000_000, 300_000, 100_000
    src = np.sort(
        rng.integers(1 << 24, 1 << 31, rows // 3).astype(np.uint32)[rng.integers(0, rows // 3, rows)]
    )
    first = (20_500 * DAY + rng.integers(0, 30 * DAY, rows)).astype(np.uint32)
    dark = Darknet(
        src, first, first + np.uint32(3600), rng.integers(-1, 200, rows).astype(np.int32),
        rng.integers(0, 2_000, rows).astype(np.int32), np.zeros(rows, np.uint8),
    )  # fmt: skip
    own = rng.integers(1 << 24, 1 << 31, addresses).astype(np.uint32)
    own[: addresses // 10] = rng.choice(src, addresses // 10)
    address = np.sort(rng.choice(own, count))
    each = rng.integers(1, 6, count).astype(np.int32)
    zero = np.zeros(count, np.int32)
    sessions = Sessions(
        address, (20_500 * DAY + rng.integers(0, 30 * DAY, count)).astype(np.uint32), zero + 23, zero,
        zero.astype(np.uint8), zero.astype(np.uint8), each,
        (20_000 * rng.random(int(each.sum())) ** 3).astype(np.int32), [f"hp/{n:012d}" for n in range(count)],
    )  # fmt: skip
    history = History(
        dark, sessions, [f"F{n}" for n in range(200)], [f"{n + 1},{n + 2},60000" for n in range(2_000)],
        [f"credential\x1fu:{n}" for n in range(20_000)], ["hp"],
        np.array([[20_500 + day, 0, 0, 0] for day in range(30)], np.int64), Told(),
    )  # fmt: skip
    before, begin = peak(), time.process_time()
    made = analyse(history, 20_500 * DAY, 20_530 * DAY, 1)
    judged = judge(made)
    spent = time.process_time() - begin
    begin = time.process_time()
    size = len(history.to_bytes())
    print(json.dumps({
        "source_days": rows, "sessions": count, "matched_sources": made.target.pairings.matched,
        "links": int(judged.linked.sum()), "cpu_s": round(spent, 2),
        "cpu_s_state": round(time.process_time() - begin, 2),
        "state_mb": round(size / 1e6, 1), "peak_gb": round(peak(), 2), "peak_gb_before": round(before, 2),
    }))  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["engine"]:
        whole()
        return
    numbers = [int(text.replace(",", "")) for text in sys.argv[1:3]] or [10_000_000, 1_000_000]
    rows, count = numbers
    share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.01
    # Warm up, so that compilation is not counted.
    candidates(np.arange(10, dtype=np.uint32), [np.arange(3, dtype=np.uint32)])
    moved(np.arange(1 << 20, (1 << 20) + 10, dtype=np.uint32), 24, 0, 0, 1)
    sources = rows // 3  # a source is there on three days, as bots are
    src = np.empty(rows, np.uint32)
    first = np.empty(rows, np.uint32)
    for at in range(0, rows, 1 << 22):
        part = hashed(min(1 << 22, rows - at), at)
        src[at : at + len(part)] = (
            mix64_array((part >> np.uint64(8)) % np.uint64(sources), _SALT) >> np.uint64(32)
        ).astype(np.uint32)
        first[at : at + len(part)] = (part % np.uint64(30 * DAY)).astype(np.uint32)
    none = np.full(rows, -1, np.int32)
    dark = Darknet(src, first, first + np.uint32(3600), none, none, np.zeros(rows, np.uint8))
    addresses = count // 3
    own = (hashed(addresses, 1 << 40) >> np.uint64(32)).astype(np.uint32)
    both = int(share * addresses)
    own[:both] = src[:: max(rows // max(both, 1), 1)][:both]
    address = np.sort(own[(hashed(count, 1 << 41) % np.uint64(addresses)).astype(np.int64)])
    at = (hashed(count, 1 << 42) % np.uint64(30 * DAY)).astype(np.int64)
    visits = Visits.of(address, at)
    before = peak()
    begin = time.process_time()
    others = [moved(visits.address, prefix, draw, 0, 1)[0] for prefix in CLASSES for draw in range(DRAWS)]
    decoys = time.process_time() - begin
    begin = time.process_time()
    kept = candidates(dark.src, [visits.address, *others])
    semi = time.process_time() - begin
    begin = time.process_time()
    side = Side(dark, kept)
    sort = time.process_time() - begin
    begin = time.process_time()
    reach = np.full(len(side.address), DAY)
    found = [len(side.match(visits, one, at, reach).session) for one in (visits.address, *others)]
    match = time.process_time() - begin
    print(json.dumps({
        "source_days": rows, "sessions": count, "addresses": len(visits.address),
        "cpu_s": {"decoys": round(decoys, 2), "semi_join": round(semi, 2), "sort": round(sort, 2),
                  "match": round(match, 2),
                  "sum": round(decoys + semi + sort + match, 2)},
        "rows_left": len(kept), "matches": found[0], "decoy_matches_mean": round(float(np.mean(found[1:])), 1),
        "peak_gb": round(peak(), 2), "peak_gb_of_the_rows_alone": round(before, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
