"""Intents of every kind, and somebody who asks."""

from __future__ import annotations

from itertools import count

from hypothesis import strategies as st

from andon.contain.languages.request import Asker
from andon.records.intent import (
    ACTIONS,
    ADDRESS,
    BLOCK_PAIR,
    DOMAIN,
    HOST,
    PREFIX,
    SINKHOLE,
    URL,
    Intent,
    Party,
)

SECOND = 1_000_000_000
NOW = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def asker(now: int = NOW, approvals: int = 1) -> Asker:
    numbers = count(1 << 40)
    return Asker("partner", now, lambda: next(numbers), approvals=approvals)


def intent(
    action: str, subject: Party, target: Party | None = None, ttl: float = 3600, number: int = 7
) -> Intent:
    return Intent(number, action, subject, target, round(ttl * SECOND), "C2 of the case", "alice", NOW, approvals=2,
                  case="case-1", level="high", rule="known-c2")  # fmt: skip


def address(value: str) -> Party:
    return Party(ADDRESS, value, addresses=(value,))


def machine(name: str, *addresses: str) -> Party:
    return Party(HOST, name, addresses=addresses)


V4 = st.integers(1 << 24, (224 << 24) - 1).map(
    lambda n: ".".join(str(n >> at & 255) for at in (24, 16, 8, 0))
)
V6 = st.integers(0, 0xFFFF).map(lambda n: f"2001:db8::{n:x}" if n else "2001:db8::")
ADDRESSES = st.one_of(V4, V6).map(address)
PREFIXES = st.tuples(st.integers(1, 223), st.integers(0, 255), st.integers(16, 31)).map(
    lambda t: Party(PREFIX, f"{t[0]}.{t[1]}.0.0/{max(16, t[2] - 15)}")
)
DOMAINS = st.from_regex(r"[a-z][a-z0-9]{0,9}\.example\.(com|net)", fullmatch=True).map(
    lambda t: Party(DOMAIN, t)
)
URLS = st.from_regex(r"http://[a-z]{1,8}\.example\.com/[a-z0-9'\\]{0,8}", fullmatch=True).filter(
    lambda t: "\\" not in t
).map(lambda t: Party(URL, t))  # fmt: skip
HOSTS = st.tuples(
    st.from_regex(r"pc[0-9]{1,4}", fullmatch=True), st.lists(V4, min_size=1, max_size=3, unique=True)
).map(lambda t: machine(t[0], *t[1]))
PARTIES = st.one_of(ADDRESSES, PREFIXES, DOMAINS, URLS, HOSTS)


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    action = draw(st.sampled_from(ACTIONS))
    subject = draw(DOMAINS if action == SINKHOLE else PARTIES)
    target = draw(st.one_of(ADDRESSES, PREFIXES)) if action == BLOCK_PAIR else None
    return intent(action, subject, target, draw(st.integers(2, 600_000)), draw(st.integers(1, (1 << 63) - 1)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
