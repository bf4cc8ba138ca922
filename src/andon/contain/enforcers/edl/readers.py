"""Who may fetch: readers, each with a token of its own for the lists that it is meant to have.

A token file may hold several tokens, one a line, so that one can be changed without a reader being locked out in
between: PAN-OS stops enforcing a list whose server refuses its credentials. For the same reason a token file
that cannot be read now is answered with 503, never 401, and what was read before stays valid.
"""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from andon.contain.enforcers.edl.entries import LISTS
from andon.share.outbox.parcel import Unreachable
from andon.share.outbox.secret import Secret

_FRESH: Final = 1.0  # seconds for which what was read from token files holds
_SHORTEST: Final = 16  # characters of a token
_MOST: Final = 8  # tokens in a file


@dataclass(frozen=True)
class Reader:
    """A firewall that fetches. ``name`` is also the user name of HTTP Basic. ``lists``: empty for all."""

    name: str
    token: Secret = field(repr=False)
    lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 64 or not self.name.isprintable() or ":" in self.name:
            raise ValueError("a reader needs a name of at most 64 characters, without a colon")
        for one in self.lists:
            if one not in LISTS:
                raise ValueError(
                    f"reader {self.name!r}: there is no list {one!r}; there are {', '.join(LISTS)}"
                )

    def may(self, name: str) -> bool:
        return not self.lists or name in self.lists


@dataclass(frozen=True)
class Answer:
    """``reader``: who it is; None: nobody who is known. ``unsure``: a token file could not be read, so nobody can
    say. ``claimed``: the reader that the request said it comes from."""

    reader: Reader | None = None
    unsure: bool = False
    claimed: str = ""


class Gate:
    """Checks credentials. Every token is compared, in constant time, whichever is right."""

    def __init__(self, readers: Sequence[Reader], clock: Callable[[], float] = time.monotonic) -> None:
        names = [one.name for one in readers]
        if len(set(names)) < len(names):
            raise ValueError("two readers have the same name")
        self.readers = tuple(readers)
        self._clock, self._lock = clock, threading.Lock()
        self._digests: dict[str, tuple[bytes, ...]] = {}
        self._unread: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def ask(self, authorization: str) -> Answer:
        """Whose ``Authorization`` header this is."""
        self._refresh()
        scheme, _, given = authorization.partition(" ")
        scheme, claimed, token = scheme.lower(), "", given.strip()
        if scheme == "basic":
            try:
                user, colon, token = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
            except ValueError:
                return Answer()
            if not colon:
                return Answer()
            claimed = user if any(user == one.name for one in self.readers) else ""
        elif scheme != "bearer" or not token:
            return Answer()
        digest = sha256(token.encode("utf-8", "replace")).digest()
        found = None
        for one in self.readers:
            fits = False
            for known in self._digests.get(one.name, ()):
                fits |= hmac.compare_digest(known, digest)
            if fits and scheme == "basic":
                fits = hmac.compare_digest(one.name.encode(), user.encode())
            found = one if fits and found is None else found
        unsure = found is None and bool(self._unread & {claimed} if claimed else self._unread)
        return Answer(found, unsure, claimed)

    @property
    def unread(self) -> frozenset[str]:
        """Readers whose token file cannot be read."""
        return self._unread

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at < _FRESH:
            return
        with self._lock:
            unread = set()
            for one in self.readers:
                try:
                    lines = [line.strip() for line in one.token.read().splitlines()]
                    tokens = [line for line in lines if len(line) >= _SHORTEST][:_MOST]
                except Unreachable:
                    tokens = []
                if tokens:
                    self._digests[one.name] = tuple(sha256(token.encode()).digest() for token in tokens)
                elif one.name not in self._digests:
                    unread.add(one.name)
            self._unread, self._read_at = frozenset(unread), now
