"""Tables that the engines of ``detect.livenet`` give one another; times are UTC, ``destination`` is what the proxy
graph has as a node: a host name or address, or ``*.domain`` where a registered domain has too many names to tell
apart."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
_TEXTS: Final = pa.list_(pa.string())

# livenet.edges:edges, one row for a terminal and a destination in the span.
_EDGES: list[pa.Field[Any]] = [
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("destination", pa.string(), nullable=False),
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field(
        "count", pa.int64(), nullable=False
    ),  # contacts (lines of the log); those refused are among them
    pa.field("bytes_in", pa.int64(), nullable=False),  # of those that say so
    pa.field("bytes_out", pa.int64(), nullable=False),
    pa.field("refused", pa.int64(), nullable=False),
    pa.field("failed", pa.int64(), nullable=False),  # status of 400 and above, or no answer
    pa.field("no_referer", pa.int64(), nullable=False),  # contacts whose log has the field, and it is empty
    pa.field("referers", pa.int64(), nullable=False),  # contacts whose log has the field
    pa.field("hours", pa.int32(), nullable=False),  # bit h: seen in hour h of the day, UTC
    # The time sketch, empty for white destinations: of each hour the earliest 256 contacts. `times`: ms since the start
    # of the span, ascending; `sizes`: bytes_in of the same, at most 2^32 - 1.
    pa.field("times", pa.list_(pa.uint32()), nullable=False),
    pa.field("sizes", pa.list_(pa.uint32()), nullable=False),
    pa.field("unlisted", pa.int64(), nullable=False),  # contacts that the sketch left out
]
EDGES: Final = pa.schema(_EDGES)

# livenet.edges:destinations, one row for each.
_DESTINATIONS: list[pa.Field[Any]] = [
    pa.field("destination", pa.string(), nullable=False),
    pa.field(
        "domain", pa.string(), nullable=False
    ),  # registered domain, private suffixes included; "" for addresses
    pa.field(
        "is_address", pa.bool_(), nullable=False
    ),  # contacted by address, without a name; never where only flows are known
    pa.field("colour", pa.string(), nullable=False),  # "black", "white" or "gray"
    pa.field("lists", _TEXTS, nullable=False),  # where it stands: "maltrail/emotet since 2025-01-02"
    pa.field(
        "fresh", pa.bool_(), nullable=False
    ),  # black by an entry of the last days (setting), or an undated one
    pa.field("servers", _TEXTS, nullable=False),  # addresses that answered, at most 8
    pa.field("ports", pa.list_(pa.int32()), nullable=False),  # at most 8
    pa.field("visitors", pa.int64(), nullable=False),  # terminals in the span
    pa.field("count", pa.int64(), nullable=False),
    pa.field("bytes_in", pa.int64(), nullable=False),
    pa.field("bytes_out", pa.int64(), nullable=False),
    pa.field("first_seen", _TIME, nullable=False),  # in the organisation, as far back as is remembered
    pa.field("age_known", pa.bool_(), nullable=False),  # something was remembered when it was first seen
    pa.field("no_referer", pa.int64(), nullable=False),
    pa.field("referers", pa.int64(), nullable=False),
    pa.field(
        "rare_agent", pa.int64(), nullable=False
    ),  # contacts with an empty agent or one of few terminals
    pa.field("agents", pa.int64(), nullable=False),  # contacts whose log has the field
    pa.field("untitled", pa.int64(), nullable=False),  # TLS without a name
    pa.field("domain_seen", _TIME, nullable=False),  # as first_seen, of any name of the registered domain
    pa.field(
        "folded", pa.int64(), nullable=False
    ),  # names that "*.domain" stands for; 0 for a name or address
]
DESTINATIONS: Final = pa.schema(_DESTINATIONS)

# livenet.edges:terminals.
_TERMINALS: list[pa.Field[Any]] = [
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("addresses", _TEXTS, nullable=False),  # at most 8
    pa.field("users", _TEXTS, nullable=False),  # at most 8
    pa.field("count", pa.int64(), nullable=False),
    pa.field("destinations", pa.int64(), nullable=False),
    pa.field("bytes_in", pa.int64(), nullable=False),
    pa.field("bytes_out", pa.int64(), nullable=False),
    pa.field("refused", pa.int64(), nullable=False),
    pa.field("failed", pa.int64(), nullable=False),
    pa.field("agents", pa.int64(), nullable=False),  # distinct user agents
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field("hours", pa.int32(), nullable=False),
]
TERMINALS: Final = pa.schema(_TERMINALS)

# livenet.edges:coverage, one row: what became of the contacts of the span.
_COVERAGE: list[pa.Field[Any]] = [
    pa.field("contacts", pa.int64(), nullable=False),
    pa.field("unnamed", pa.int64(), nullable=False),  # of no terminal ("" or "-"): left out
    pa.field(
        "nowhere", pa.int64(), nullable=False
    ),  # of no destination, or of a name longer than names are: left out
    pa.field("left_out", pa.int64(), nullable=False),  # left out by the bound on edges
    pa.field(
        "level", pa.int64(), nullable=False
    ),  # of thinning: 0 nothing, 1 sketches shorter, n: 1 in 2^(n-1) hosts
    pa.field("edges", pa.int64(), nullable=False),
    pa.field("destinations", pa.int64(), nullable=False),
    pa.field("terminals", pa.int64(), nullable=False),
    pa.field("folded", pa.int64(), nullable=False),  # names that stand in no row of their own
    pa.field("remembered", pa.int64(), nullable=False),  # destinations and domains whose first visit is known
    pa.field("forgotten", pa.int64(), nullable=False),  # for want of room, at the end of this span
    pa.field(
        "flows", pa.int64(), nullable=False
    ),  # flows that count as contacts (setting), beside `contacts`
    pa.field("memory_began", _TIME),  # the first contact that is remembered; null: none
    pa.field("inbound", pa.int64(), nullable=False),  # of outsiders that asked servers of ours: left out
]
COVERAGE: Final = pa.schema(_COVERAGE)

# livenet.beacon:beacons, edges that repeat.
_BEACONS: list[pa.Field[Any]] = [
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("destination", pa.string(), nullable=False),
    pa.field("contacts", pa.int64(), nullable=False),
    pa.field("period", pa.float64(), nullable=False),  # s; 0 where none is significant
    pa.field("jitter", pa.float64(), nullable=False),  # spread of intervals over the period, 0..1
    pa.field("size", pa.int64(), nullable=False),  # most frequent size of an answer, bytes
    pa.field("p_value", pa.float64(), nullable=False),  # of the period, by permutation
    pa.field("prevalence", pa.float64(), nullable=False),  # share of the terminals that visit the destination
    pa.field("first_seen", _TIME, nullable=False),
    pa.field("rita", pa.float64(), nullable=False),  # RITA's score, 0..1, for comparison
    pa.field("score", pa.float64(), nullable=False),  # ours, 0..1
    pa.field(
        "log_odds", pa.float64(), nullable=False
    ),  # what it adds to the log-odds that the destination is bad
]
BEACONS: Final = pa.schema(_BEACONS)

# livenet.url:hosts, what the URLs of a destination look like.
_URL_HOSTS: list[pa.Field[Any]] = [
    pa.field("destination", pa.string(), nullable=False),  # host name as seen
    pa.field(
        "score", pa.float64(), nullable=False
    ),  # probability of the worst URL, calibrated as the model card says
    pa.field(
        "log_odds", pa.float64(), nullable=False
    ),  # what it adds to the log-odds that the destination is bad
    pa.field("url", pa.string(), nullable=False),  # the worst
    pa.field("urls", pa.int64(), nullable=False),  # distinct, estimated
]
URL_HOSTS: Final = pa.schema(_URL_HOSTS)

# livenet.proxygraph:gray, ranked; and livenet.proxygraph:terminals, ranked.
_GRAY: list[pa.Field[Any]] = [
    pa.field("rank", pa.int64(), nullable=False),
    pa.field("destination", pa.string(), nullable=False),
    pa.field("probability", pa.float64(), nullable=False),
    pa.field("log_odds", pa.float64(), nullable=False),
    pa.field("prior", pa.float64(), nullable=False),  # log-odds before anybody's visit counts
    pa.field("visitors", pa.int64(), nullable=False),
    pa.field("suspects", pa.int64(), nullable=False),  # visitors that speak for it
    pa.field("first_seen", _TIME, nullable=False),
    pa.field("reading", pa.string(), nullable=False),  # "malicious" or "landing page", the more probable
    pa.field("day", _TIME, nullable=False),  # on which the list was made
]
GRAY: Final = pa.schema(_GRAY)
_SUSPECTS: list[pa.Field[Any]] = [
    pa.field("rank", pa.int64(), nullable=False),
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("probability", pa.float64(), nullable=False),
    pa.field("certain", pa.bool_(), nullable=False),  # by what proves infection (setting)
    pa.field("black", pa.int64(), nullable=False),  # black destinations it contacted
    pa.field("gray", pa.int64(), nullable=False),  # gray destinations that speak against it
    pa.field(
        "clean", pa.bool_(), nullable=False
    ),  # a scanner, gateway or analyst by its behaviour or by a list
    pa.field("why", pa.string(), nullable=False),  # what made it certain or clean; "" where it is neither
    pa.field("day", _TIME, nullable=False),  # on which the list was made
]
SUSPECTS: Final = pa.schema(_SUSPECTS)
_REASONS: list[pa.Field[Any]] = [
    pa.field("destination", pa.string(), nullable=False),
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("log_odds", pa.float64(), nullable=False),  # what this visit adds to the destination's
    pa.field(
        "part", pa.string(), nullable=False
    ),  # "visit", or the name of a part of the prior (no terminal)
]
REASONS: Final = pa.schema(_REASONS)
