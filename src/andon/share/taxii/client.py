"""Reading somebody's TAXII 2.1 server: discovery, API roots, collections, and their objects page by page.

Nothing that the server says is believed further than it can be checked: pages, objects, bytes and time have bounds, a
page that repeats itself ends the pull, the password goes to one origin only, and objects that are no STIX are counted
and left out. OASIS standard of 10 June 2021, sections 3.4, 3.5, 4.1, 4.2, 5.1, 5.4.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode, urljoin

from andon.observe.lists import Skipped
from andon.share.outbox.dial import Deadline
from andon.share.outbox.http import Answer, Endpoint
from andon.share.outbox.parcel import Unreachable, one_line
from andon.share.outbox.secret import Secret
from andon.share.taxii.wire import TAXII, NotStix, Stix, moment, read_json, stix

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_SMALL: Final = 4 << 20  # bytes of what is no page of objects
_ROOTS: Final = 50


class TaxiiTrouble(Exception):
    """A server that cannot be read. The text says what it did."""


@dataclass(frozen=True)
class Bounds:
    """How much of a server is read at a time."""

    page: int = 1000  # objects asked for
    page_bytes: int = 64 << 20
    pages: int = 10_000
    objects: int = 1_000_000
    seconds: float = 60.0  # one request
    total_seconds: float = 1800.0


@dataclass(frozen=True)
class Account:
    """Where, and as whom: ``user`` and ``password``, or ``token``."""

    url: str
    user: str = ""
    password: Secret | None = field(default=None, repr=False)
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True


@dataclass(frozen=True)
class Listed:
    """A collection that a server has. ``url`` ends with a slash."""

    url: str
    id: str
    title: str
    alias: str
    can_read: bool


@dataclass(frozen=True)
class Page:
    """Objects of one answer. ``last``: X-TAXII-Date-Added-Last, or ""; ``more``: whether others follow."""

    objects: list[Stix]
    last: str
    more: bool


class TaxiiClient:
    """Asks as ``account``. Raises ValueError for a URL that cannot work."""

    def __init__(self, account: Account, bounds: Bounds | None = None) -> None:
        self._account, self.bounds = account, bounds or Bounds()
        self._endpoint = Endpoint(account.url, account.ca_file, account.verify, "TAXII server")
        secret = account.password is not None or account.token is not None
        if secret and not self._endpoint.secure and self._endpoint.host not in _LOCAL:
            raise ValueError("a password is not sent over plain http: use https")
        if bool(account.user) != (account.password is not None):
            raise ValueError("user and password_file go together")
        if account.user and account.token is not None:
            raise ValueError("give user and password_file, or token_file, not both")
        self.skipped = Skipped()

    def collections(self) -> list[Listed]:
        """The collections behind the URL, which is that of a discovery, an API root or a collection.

        Raises TaxiiTrouble."""
        start = self._account.url if self._account.url.endswith("/") else self._account.url + "/"
        body = self._get(start)
        if "can_read" in body and "id" in body:
            return [_listed(body, start)]
        if "api_roots" in body:
            roots = body["api_roots"] if isinstance(body["api_roots"], list) else []
            named = [urljoin(start, one) for one in roots[:_ROOTS] if isinstance(one, str)]
        elif "versions" in body or "max_content_length" in body:
            named = [start]
        else:
            raise TaxiiTrouble(f"{start} is no discovery, API root or collection of a TAXII 2.1 server")
        found: list[Listed] = []
        for root in named:
            where = (root if root.endswith("/") else root + "/") + "collections/"
            try:
                listed = self._get(where).get("collections", [])
            except ValueError as error:  # an API root on another server
                self.skipped.add(str(error))
                continue
            for one in listed if isinstance(listed, list) else []:
                number = one.get("id") if isinstance(one, dict) else None
                if isinstance(number, str) and number and number.replace("-", "").isalnum():
                    found.append(_listed(one, f"{where}{number}/"))
        return found

    def collection(self, wanted: str) -> Listed:
        """The collection of this id, alias or title. Raises TaxiiTrouble if there is none, or several."""
        every = self.collections()
        hits = [one for one in every if wanted in (one.id, one.alias)] or [
            one for one in every if wanted.casefold() == one.title.casefold()
        ]
        if len(hits) != 1:
            names = ", ".join(sorted({one.alias or one.title or one.id for one in every})[:20]) or "none"
            what = "no" if not hits else "more than one"
            raise TaxiiTrouble(f"{what} collection {wanted!r}; there are: {one_line(names, 300)}")
        if not hits[0].can_read:
            raise TaxiiTrouble(f"collection {wanted!r} may not be read by this user")
        return hits[0]

    def pages(self, collection: Listed, added_after: str = "") -> Iterator[Page]:
        """Its objects, in the order in which they were added. Raises TaxiiTrouble, between pages or at once."""
        query = {"limit": str(self.bounds.page)} | ({"added_after": added_after} if added_after else {})
        seen: set[bytes] = set()
        empty = total = 0
        end = monotonic() + self.bounds.total_seconds
        for _ in range(self.bounds.pages):
            left = end - monotonic()
            if left <= 0:
                raise TaxiiTrouble(f"{self._endpoint.host}: not done within {self.bounds.total_seconds:g} s")
            url = f"{collection.url}objects/?{urlencode(query)}"
            answer = self._ask(url, self.bounds.page_bytes, min(left, self.bounds.seconds))
            body = self._body(answer, "a page of objects")
            listed = body.get("objects", [])
            if not isinstance(listed, list):
                raise TaxiiTrouble(f"{self._endpoint.host}: objects is no list")
            more = body.get("more") is True
            last = _time(answer.headers.get("x-taxii-date-added-last", ""))
            # Some servers give one ``next`` for all pages: what was in them tells whether they go on.
            mark = hashlib.sha256(answer.body.partition(b'"objects"')[2]).digest() if listed else b""
            empty = 0 if listed else empty + 1
            if mark in seen or empty > 2:
                raise TaxiiTrouble(f"{self._endpoint.host}: its pages go round in a circle")
            seen |= {mark} - {b""}
            yield Page(self._stix(listed), last, more)
            if not more:
                return
            total += len(listed)
            token = body.get("next", "")
            if not isinstance(token, str) or len(token) > 4096:
                raise TaxiiTrouble(f"{self._endpoint.host}: next is no short text")
            if token:
                query["next"] = token
            elif last and last != query.get("added_after"):  # 3.5: without next, by time
                query["added_after"] = last
            else:
                raise TaxiiTrouble(f"{self._endpoint.host}: says that there is more, but not where")
            if total >= self.bounds.objects:
                raise TaxiiTrouble(f"{self._endpoint.host}: more than {self.bounds.objects:,} objects")
        raise TaxiiTrouble(f"{self._endpoint.host}: more than {self.bounds.pages:,} pages")

    def _stix(self, listed: list[Any]) -> list[Stix]:
        made: list[Stix] = []
        for number, item in enumerate(listed):
            try:
                made.append(stix(item))
            except NotStix as error:
                self.skipped.add(one_line(f"object {number}: {error}", 120))
        return made

    def _get(self, url: str) -> dict[str, Any]:
        return self._body(self._ask(url, _SMALL, self.bounds.seconds), url)

    def _ask(self, url: str, most: int, seconds: float) -> Answer:
        where = self._endpoint
        target = where.within(url)
        try:
            with Deadline(seconds) as deadline:
                answer = where.request("GET", deadline, self._headers(), None, most, target)
        except Unreachable as error:
            raise TaxiiTrouble(self._hide(str(error))) from error
        if not answer.good:
            if 300 <= answer.status < 400:
                to = one_line(answer.headers.get("location", ""), 200)
                raise TaxiiTrouble(
                    f"{where.host} leads elsewhere ({to}): that is not followed, give the final URL"
                )
            hint = ": is the user right?" if answer.status in (401, 403) else ""
            raise TaxiiTrouble(f"{where.host} answered {answer.status}{hint}: {self._hide(answer.text(300))}")
        if not answer.whole:
            raise TaxiiTrouble(f"{where.host}: an answer that is cut short or has more than {most:,} bytes")
        return answer

    def _body(self, answer: Answer, what: str) -> dict[str, Any]:
        host, kind = self._endpoint.host, answer.headers.get("content-type", "").lower()
        if not kind.startswith("application/taxii+json"):
            old = " (that is TAXII 2.0)" if "vnd.oasis" in kind else ""
            raise TaxiiTrouble(
                f"{host}: {one_line(what)} comes as {one_line(kind, 60) or 'nothing'}, not as TAXII 2.1{old}"
            )
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise TaxiiTrouble(f"{host}: answers packed though it was not asked to")
        try:
            body = read_json(answer.body)
        except ValueError as error:
            raise TaxiiTrouble(f"{host}: {one_line(what)} is no JSON ({one_line(str(error), 80)})") from error
        if not isinstance(body, dict):
            raise TaxiiTrouble(f"{host}: {one_line(what)} is no JSON object")
        return body

    def _headers(self) -> dict[str, str]:
        made = {"Accept": TAXII, "User-Agent": "andon"}
        if self._account.token is not None:
            made["Authorization"] = f"Bearer {self._account.token.read()}"
        elif self._account.password is not None:
            pair = f"{self._account.user}:{self._account.password.read()}".encode()
            made["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return made

    def _hide(self, said: str) -> str:
        for secret in (self._account.password, self._account.token):
            said = secret.hide(said) if secret is not None else said
        return one_line(said)


def _listed(body: dict[str, Any], url: str) -> Listed:
    id, title, alias = (one_line(str(body.get(name, "")), 200) for name in ("id", "title", "alias"))
    return Listed(url, id, title, alias, body.get("can_read") is True)


def _time(text: str) -> str:
    """The text, if it is a time."""
    try:
        return text if text and moment(text) else ""
    except (ValueError, OverflowError):
        return ""
