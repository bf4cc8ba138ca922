"""What is to be verified: a case as plain data, and each of its episodes as an *attempt* with a victim and its
peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from andon.records.triage import SCREENED

_LOGIN_WORDS: Final = (
    "authentication", "brute", "login", "logon", "password", "sshd", "invalid user", "credential", "kerberos",
)  # fmt: skip
_LOGIN_TECHNIQUES: Final = ("T1110", "T1078")
_SUCCESS: Final = (
    "authentication success", "authentication_success", "login success", "logon success", "successful log",
    "session opened", "accepted password", "accepted publickey", "logged in",
)  # fmt: skip
_NOT_SUCCESS: Final = ("fail", "invalid", "attempt", "denied")


@dataclass(frozen=True)
class Subject:
    """A case. ``hosts``: names of our side; ``addresses``: its addresses, as far as known; ``episodes``: rows with the
    columns of ``records.triage.EPISODES``; ``findings``: public JSON form; ``window``: ns, end exclusive."""

    id: str
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    episodes: tuple[Mapping[str, Any], ...]
    findings: tuple[Mapping[str, Any], ...]
    window: tuple[int, int]
    site: str = ""


@dataclass(frozen=True)
class Attempt:
    """One episode. ``victim``: addresses of our side that would be hurt; ``peers``: those at the other end;
    ``inbound``: the peer came to the victim (False: the victim went to the peer; None: not told); ``ports``:
    (address, port, protocol) that were asked for; ``login``: it is about logging in; ``success``: it says that a
    log-in succeeded."""

    id: str
    product: str
    rule: str
    title: str
    severity: int
    host: str
    victim: tuple[str, ...]
    peers: tuple[str, ...]
    inbound: bool | None
    ports: tuple[tuple[str, int, str], ...]
    first: int
    last: int
    alerts: int
    users: tuple[str, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    cves: tuple[str, ...]
    attack: tuple[str, ...]
    words: str  # title and category, lower case
    disposition: int
    login: bool
    success: bool
    context: bool = False  # screened out: there for the others' sake; needs no ground of its own

    @property
    def called(self) -> tuple[str, ...]:
        """Names and addresses of the host."""
        return tuple(dict.fromkeys((self.host, *self.victim)))


def is_success(words: str) -> bool:
    """Does a rule's title or category (lower case) say that somebody logged in?

    >>> is_success("sshd: authentication success."), is_success("sshd: authentication failed")
    (True, False)
    """
    return any(w in words for w in _SUCCESS) and not any(w in words for w in _NOT_SUCCESS)


def nanoseconds(value: Any) -> int:
    """Of a time as a table gives it: a number, or a datetime (pandas' has nanoseconds, Python's has not)."""
    if isinstance(value, int):
        return value
    exact = getattr(value, "value", None)
    if isinstance(exact, int):
        return exact
    whole = int(value.timestamp() // 1)
    return whole * 1_000_000_000 + int(value.microsecond) * 1000


def endpoint(text: str) -> tuple[str, int, str]:
    """Address, port (-1: none) and protocol of "dst:port/protocol" as episodes have it.

    >>> endpoint("10.0.0.5:22/tcp"), endpoint("fd00::1:443/tcp"), endpoint("10.0.0.5")
    (('10.0.0.5', 22, 'tcp'), ('fd00::1', 443, 'tcp'), ('10.0.0.5', -1, ''))
    """
    body, _, protocol = text.partition("/")
    address, colon, port = body.rpartition(":")
    if colon and port.lstrip("-").isdigit() and (protocol or "." in address):
        return address, int(port), protocol
    return body, -1, protocol


def attempt_of(episode: Mapping[str, Any], victim: Sequence[str]) -> Attempt:
    """``victim``: every address that the episode's host is known to have."""
    own = set(victim)
    ports = tuple(endpoint(text) for text in episode["targets"])
    sources = tuple(text for text in episode["sources"] if text)
    targets = {address for address, _, _ in ports if address}
    inbound: bool | None = None
    peers: tuple[str, ...] = ()
    if targets & own and set(sources) - own:
        inbound, peers = True, tuple(s for s in sources if s not in own)
    elif own & set(sources):
        inbound, peers = False, tuple(sorted(targets - own))
    elif sources and not targets:
        inbound, peers = True, sources  # a host's own log: who came, not where to
    elif sources:
        peers = (*sources, *sorted(targets))
    words = f"{episode['title']} {episode['category']}".lower()
    attack = tuple(episode["attack"])
    success = is_success(words)
    login = (
        success
        or any(w in words for w in _LOGIN_WORDS)
        or any(t.startswith(_LOGIN_TECHNIQUES) for t in attack)
    )
    return Attempt(
        id=episode["id"], product=episode["product"], rule=episode["rule"], title=episode["title"],
        severity=int(episode["severity"]), host=episode["host"], victim=tuple(victim), peers=peers[:16],
        inbound=inbound, ports=ports, first=nanoseconds(episode["first"]), last=nanoseconds(episode["last"]),
        alerts=int(episode["alerts"]), users=tuple(u for u in episode["users"] if u), names=tuple(episode["names"]),
        digests=tuple(episode["digests"]), cves=tuple(episode["cves"]), attack=attack, words=words,
        disposition=int(episode["disposition"]), login=login, success=success,
        context=episode.get("tier") == SCREENED,
    )  # fmt: skip
