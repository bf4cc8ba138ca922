"""What somebody else asks of us, as proposals: never more than that.

An imported intent has a new id, is requested by whoever sent it, and needs at least one person here to agree; what the
document says of approvals, of grounds or of its own authority counts for nothing. The guard judges it like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final

from andon.contain.languages.document import DocumentError, shown
from andon.contain.spelling import Unreadable, name, spans, url
from andon.records.intent import (
    ADDRESS,
    BLOCK_PAIR,
    DOMAIN,
    HOST,
    LONGEST,
    PREFIX,
    SHORTEST,
    URL,
    Ground,
    Intent,
    Party,
)

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
MOST_INTENTS: Final = 1_000  # of one document


@dataclass(frozen=True)
class Asker:
    """How an outside request becomes an intent of ours. ``who``: name of the party, as we know it (never as the
    document calls itself). ``party``: resolves (kind, value) as ``resolve.Resolver.party`` does; else nothing is.
    ``ttl``: ns, for requests that name no end. ``approvals``: at least how many people here must agree, 1 or more."""

    who: str
    now: int
    new_id: Callable[[], int]
    party: Callable[[str, str], Party] | None = None
    ttl: int = DAY
    approvals: int = 1

    def __post_init__(self) -> None:
        if self.approvals < 1:
            raise ValueError("what others ask for needs somebody's approval here")
        if not self.who:
            raise ValueError("whoever asks has a name")

    def of(self, kind: str, value: str) -> Party:
        """A party. Raises DocumentError for a value that is none of its kind."""
        plain = canonical(kind, value)
        if self.party is not None:
            try:
                return self.party(kind, plain)
            except ValueError as error:
                raise DocumentError(shown(str(error))) from error
        return Party(
            kind, plain, addresses=(plain,) if kind == ADDRESS else (), basis="given", resolved=self.now
        )

    def intent(
        self, action: str, subject: Party, target: Party | None, ttl: int, language: str, reference: str, reason: str
    ) -> Intent:  # fmt: skip
        """The proposal. ``ttl`` is cut to the longest that there is. Raises DocumentError."""
        if ttl < SHORTEST:
            raise DocumentError("it would have ended by now")
        if action == BLOCK_PAIR and target is None:
            raise DocumentError("a pair needs two parties")
        said = shown(reason, 1000) or f"requested by {self.who}"
        return Intent(
            id=self.new_id(), action=action, subject=subject, target=target, ttl=min(ttl, LONGEST), reason=said,
            requested_by=f"{language}:{self.who}"[:128], created=self.now,
            grounds=(Ground("analyst", shown(reference, 128), f"request:{self.who}"[:128], said),),
            approvals=self.approvals,
        )  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """``intents``: proposals. ``revokes``: ids of ours that somebody wants taken back, which people decide too.
    ``left_out``: what the document asks for besides, and why it is not here. ``response``: the answer in the language
    of the request, if it has answers."""

    intents: tuple[Intent, ...] = ()
    revokes: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    response: dict[str, Any] | None = field(default=None)


def canonical(kind: str, value: str) -> str:
    """A value in its one spelling. Raises DocumentError.

    >>> canonical(ADDRESS, "2001:DB8::0:1"), canonical(PREFIX, "198.51.100.0/24")
    ('2001:db8::1', '198.51.100.0/24')
    """
    try:
        if kind in (ADDRESS, PREFIX):
            only = spans(value)[0]
            if (only.size == 1) != (kind == ADDRESS):
                raise DocumentError(f"{shown(value, 60)!r} is no {kind}")
            net = ip_network(value, strict=True)
            return str(net.network_address) if kind == ADDRESS else str(net)
        if kind == DOMAIN:
            if "*" in value:
                raise DocumentError(f"{shown(value, 60)!r}: a name was expected, not a pattern")
            return name(value)
        if kind == URL:
            url(value)
            return value
    except Unreadable as error:
        raise DocumentError(shown(str(error))) from error
    if kind != HOST or not value or len(value) > 253 or not value.isprintable():
        raise DocumentError(f"{shown(value, 60)!r} is no name of a host")
    return value


def net_party(asker: Asker, value: str) -> Party:
    """The party of an address or prefix as OpenC2 and STIX write them, where a single address may have its prefix
    length. Raises DocumentError."""
    try:
        only = spans(value)[0]
    except Unreadable as error:
        raise DocumentError(shown(str(error))) from error
    if only.size == 1:
        return asker.of(ADDRESS, value.partition("/")[0])
    return asker.of(PREFIX, value)
