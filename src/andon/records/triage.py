"""Tables that the engines of ``triage`` give to one another and to casework. Times are UTC.

An *episode* is what one signature said of one host without a pause: same (site, host, product, rule), gaps of at most
300 s. A *case* is what an analyst works on: see ``records.case``.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
_TEXTS: Final = pa.list_(pa.string())

# What screening does with an episode. ACT comes from verification alone.
ACT, INSPECT, AUDIT, SCREENED = "act", "inspect", "audit", "screened"
TIERS: Final = (ACT, INSPECT, AUDIT, SCREENED)


def episode_id(site: str, host: str, product: str, rule: str, first: int) -> str:
    """Name of an episode, the same in every run: 24 hex digits. ``first``: ns.

    >>> len(episode_id("", "web1", "suricata", "2013028", 0))
    24
    """
    text = "\x1f".join((site, host, product, rule, str(first)))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


# triage.screening:episodes, one row per episode that ended, or went on, in the span. Over the spans of a day the same
# id may come again with higher counts: the newest row holds.
_EPISODES: list[pa.Field[Any]] = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("site", pa.string(), nullable=False),
    pa.field("host", pa.string(), nullable=False),
    pa.field("address", pa.string(), nullable=False),
    pa.field("product", pa.string(), nullable=False),
    pa.field("rule", pa.string(), nullable=False),
    pa.field("title", pa.string(), nullable=False),
    pa.field("severity", pa.int8(), nullable=False),  # highest, OCSF
    pa.field("category", pa.string(), nullable=False),
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field("alerts", pa.int64(), nullable=False),
    pa.field("over", pa.bool_(), nullable=False),  # no alert can join it any more
    pa.field("sources", _TEXTS, nullable=False),  # distinct `src`, most alerts first, at most 16
    pa.field("targets", _TEXTS, nullable=False),  # distinct "dst:port/protocol", likewise
    pa.field("users", _TEXTS, nullable=False),  # at most 8
    pa.field("names", _TEXTS, nullable=False),  # at most 16
    pa.field("paths", _TEXTS, nullable=False),  # at most 16
    pa.field("digests", _TEXTS, nullable=False),  # at most 8
    pa.field("commands", _TEXTS, nullable=False),  # at most 8
    pa.field("attack", _TEXTS, nullable=False),
    pa.field("cves", _TEXTS, nullable=False),
    pa.field("disposition", pa.int8(), nullable=False),  # BLOCKED only if every alert was
    # In front of whom it comes, and why.
    pa.field("score", pa.float64(), nullable=False),  # of the ranker; higher is more worth a look
    pa.field(
        "probability", pa.float64(), nullable=False
    ),  # calibrated as the model card says; NaN without labels
    pa.field("rank", pa.int64(), nullable=False),  # in its day (UTC) and site so far, from 1
    pa.field("tier", pa.string(), nullable=False),  # INSPECT, AUDIT or SCREENED
    pa.field("why_tier", pa.string(), nullable=False),  # "conformal", "budget", "audit", "below"
    pa.field("reasons", _TEXTS, nullable=False),  # at most five, in words, strongest first
    pa.field(
        "weights", pa.list_(pa.float64()), nullable=False
    ),  # of the reasons, log-odds of the additive model
    pa.field("features", pa.list_(pa.float32()), nullable=False),  # as triage.screening.features names them
    pa.field("model", pa.string(), nullable=False),  # digest of the model; "first-seen" without one
    pa.field("audit_probability", pa.float64(), nullable=False),  # with which a screened-out one was drawn
]
EPISODES: Final = pa.schema(_EPISODES)

# triage.evidence:conversations, who talked to whom in the span, folded over source ports; bounded, what the bound left
# out is in :coverage.
_CONVERSATIONS: list[pa.Field[Any]] = [
    pa.field("src", pa.string(), nullable=False),  # who began
    pa.field("dst", pa.string(), nullable=False),
    pa.field("port", pa.int32(), nullable=False),  # of dst
    pa.field("protocol", pa.string(), nullable=False),
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field("flows", pa.int64(), nullable=False),
    pa.field("failed", pa.int64(), nullable=False),  # came to nothing (records.flow.failed)
    pa.field("unknown", pa.int64(), nullable=False),  # the sensor does not say whether dst answered
    pa.field("bytes_out", pa.int64(), nullable=False),
    pa.field("bytes_in", pa.int64(), nullable=False),
    pa.field("service", pa.string(), nullable=False),
    # The largest single flow: a session among many short tries.
    pa.field("largest_out", pa.int64(), nullable=False),  # bytes; -1 unknown
    pa.field("largest_in", pa.int64(), nullable=False),
    pa.field("longest", pa.int64(), nullable=False),  # duration, ns; -1 unknown
]
CONVERSATIONS: Final = pa.schema(_CONVERSATIONS)

# triage.evidence:services, what an address was seen to answer on.
_SERVICES: list[pa.Field[Any]] = [
    pa.field("address", pa.string(), nullable=False),
    pa.field("port", pa.int32(), nullable=False),
    pa.field("protocol", pa.string(), nullable=False),
    pa.field("service", pa.string(), nullable=False),
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field("flows", pa.int64(), nullable=False),
    pa.field("clients", pa.int64(), nullable=False),  # most distinct ones in one span
]
SERVICES: Final = pa.schema(_SERVICES)

# triage.evidence:coverage, one row.
_COVERAGE: list[pa.Field[Any]] = [
    pa.field("flows", pa.int64(), nullable=False),
    pa.field("left_out", pa.int64(), nullable=False),
]
COVERAGE: Final = pa.schema(_COVERAGE)
