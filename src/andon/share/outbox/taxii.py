"""STIX objects to a TAXII 2.1 server: ``taxii`` posts them to somebody's, ``taxii-local`` puts them into our own.

Posting follows sections 5.5 (Add Objects) and 4.3 (status) of the OASIS standard. A server may take some objects and
refuse others: the next attempt sends what was refused, and no more. If this process is killed in between, all are sent
again; servers differ in what they call that (the standard's reference server calls it a failure), so of what is said to
have failed the manifest (5.3) is asked whether it is there.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from andon.share.outbox.dial import Deadline
from andon.share.outbox.http import Answer, Endpoint
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret
from andon.share.taxii.wire import LEVELS, TAXII, Stix, moment, read_json

if TYPE_CHECKING:
    from andon.share.policy import Gate
    from andon.share.taxii.objects import ObjectStore

_REFUSED = frozenset({400, 422})
_MOST = 1 << 20  # bytes of an answer
_POLL = 0.2  # s, at first; it doubles
_REMEMBERED = 1000  # parcels
_IDS = 50  # of one question
_LOOKED_FOR = 1000
_LOCAL = ("localhost", "127.0.0.1", "::1")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_Key = tuple[str, int]  # id and version of an object


@dataclass
class _Progress:
    """Of one parcel: the (id, version) that are still to go, and what the server still works on, by status id."""

    left: set[_Key]
    pending: dict[str, list[_Key]] = field(default_factory=dict)


@dataclass(frozen=True)
class TaxiiSink:
    """``url``: the API root; ``collection``: its id or alias there. ``user`` and ``password``, or ``token``.

    ``batch``: most objects of one request. Raises ValueError for settings that cannot work."""

    name: str
    url: str
    collection: str
    user: str = ""
    password: Secret | None = field(default=None, repr=False)
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True
    batch: int = 500
    digest_after: int = 0
    gate: Gate | None = None

    def __post_init__(self) -> None:
        endpoint = self._endpoint
        if self.token is not None and (self.user or self.password is not None):
            raise ValueError("give user and password_file, or token_file, not both")
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password_file go together")
        if not endpoint.secure and (self.user or self.token) and endpoint.host not in _LOCAL:
            raise ValueError("a password is not sent over plain http: use https")
        if not self.collection or "/" in self.collection or not self.collection.isprintable():
            raise ValueError(f"{self.collection!r} is not the id of a collection")
        if not 1 <= self.batch <= 100_000:
            raise ValueError("batch is a number of objects from 1 to 100,000")

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.ca_file, self.verify, "TAXII server")

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Post the objects of a parcel; those that an earlier attempt got through are left out.

        Raises Unreachable; Withheld; Refused, which names the objects that were not taken."""
        from andon.share.taxii.content import stix_of

        objects, remark = stix_of(parcel, self.gate)
        progress = self._held.setdefault(parcel.id, _Progress({_key(one) for one in objects}))
        while len(self._held) > _REMEMBERED:
            del self._held[next(iter(self._held))]
        refused: dict[str, str] = {}
        with Deadline(seconds) as deadline:
            headers = self._headers()
            for number, keys in list(progress.pending.items()):
                status = {"id": number, "status": "pending"}
                refused |= self._settled(deadline, headers, progress, status, keys)
            left = [one for one in objects if _key(one) in progress.left and one.id not in refused]
            size = self._room(deadline, headers) if left else 0
            for some in _batches(left, self.batch, size):
                refused |= self._post(deadline, headers, progress, some, size)
        if refused:
            first = "; ".join(f"{id}: {why}" for id, why in list(refused.items())[:3])
            raise Refused(one_line(f"{len(refused)} of {len(objects)} objects not taken: {first}", 300))
        if progress.left:
            raise Unreachable(f"{len(progress.left)} objects: the server does not say what became of them")
        del self._held[parcel.id]
        return remark or f"{len(objects)} object{'' if len(objects) == 1 else 's'}"

    @cached_property
    def _held(self) -> dict[str, _Progress]:
        return {}

    def _room(self, deadline: Deadline, headers: dict[str, str]) -> int:
        """Bytes of one request (max_content_length of the API root, 4.2.1)."""
        body = self._json(self._ask("GET", "", deadline, headers), "the API root")
        most = body.get("max_content_length")
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise Unreachable(f"{self._endpoint.host}: {self.url} is not an API root of a TAXII 2.1 server")
        return min(most, 64 << 20)

    def _post(
        self,
        deadline: Deadline,
        headers: dict[str, str],
        progress: _Progress,
        objects: Sequence[Stix],
        size: int,
    ) -> dict[str, str]:
        body = _envelope(objects)
        if len(body) > size:
            return {objects[0].id: f"larger than the server takes ({size:,} bytes)"}  # a batch of one
        answer = self._ask(
            "POST",
            f"collections/{self.collection}/objects/",
            deadline,
            {**headers, "Content-Type": TAXII},
            body,
        )
        if answer.status == 413 and len(objects) > 1:
            middle = len(objects) // 2
            refused = self._post(deadline, headers, progress, objects[:middle], size)
            return refused | self._post(deadline, headers, progress, objects[middle:], size)
        if answer.status == 413 or answer.status in _REFUSED:
            why = self._hide(answer.text(300))
            if len(objects) > 1:  # which of them it is about is not said: they are tried one by one
                refused = {}
                for one in objects:
                    refused |= self._post(deadline, headers, progress, [one], size)
                return refused
            return {objects[0].id: f"{answer.status} {why}"}
        status = self._json(answer, "the server")
        return self._settled(deadline, headers, progress, status, [_key(one) for one in objects])

    def _settled(
        self,
        deadline: Deadline,
        headers: dict[str, str],
        progress: _Progress,
        status: dict[str, Any],
        keys: list[_Key],
    ) -> dict[str, str]:
        """Waits for a status to be complete, notes what was taken, gives what was not."""
        number, pause = status.get("id"), _POLL
        if not isinstance(number, str) or not number or not set(number) <= _PLAIN or len(number) > 128:
            raise Unreachable(f"{self._endpoint.host} answered with a status that has no id")
        progress.pending[number] = keys
        while status.get("status") != "complete":
            time.sleep(min(pause, deadline.left))
            pause = min(2 * pause, 5.0)
            answer = self._ask("GET", f"status/{number}/", deadline, headers)
            if answer.status == 404:  # forgotten there: what is left is sent again
                del progress.pending[number]
                return {}
            status = self._json(answer, "the server")
        del progress.pending[number]
        failures = {
            str(one.get("id")): one_line(str(one.get("message", "refused")), 120)
            for one in _dicts(status.get("failures"))
        }
        if status.get("failure_count", 0) and not failures:  # which is not said: only those named are done
            taken = {one.get("id") for one in _dicts(status.get("successes"))}
            failures = {id: "refused" for id, _ in keys if id not in taken}
        if failures:
            there = self._there(deadline, headers, [key for key in keys if key[0] in failures])
            failures = {id: why for id, why in failures.items() if id not in there}
        progress.left -= {key for key in keys if key[0] not in failures}
        return {id: failures[id] for id, _ in keys if id in failures}

    def _there(self, deadline: Deadline, headers: dict[str, str], keys: list[_Key]) -> set[str]:
        """Those of some objects that the server has in this very version; none if it does not let us look."""
        found: set[str] = set()
        for at in range(0, min(len(keys), _LOOKED_FOR), _IDS):
            some = keys[at : at + _IDS]
            query = urlencode({"match[id]": ",".join(id for id, _ in some), "match[version]": "all"})
            try:
                answer = self._ask(
                    "GET", f"collections/{self.collection}/manifest/?{query}", deadline, headers
                )
                listed = _dicts(self._json(answer, "the server").get("objects"))
            except Unreachable:
                _ = deadline.left  # no time: that is trouble; no right to read: then they count as refused
                return found
            held = {(str(one.get("id")), _version(one.get("version"))) for one in listed}
            # What has no version of its own has the time at which it was added for one.
            found |= {
                id for id, v in some if (id, v) in held or (not v and any(id == name for name, _ in held))
            }
        return found

    def _ask(
        self, method: str, path: str, deadline: Deadline, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        where = self._endpoint
        target = where.within(self.url.rstrip("/") + "/" + path)
        try:
            answer = where.request(method, deadline, headers, body, _MOST, target)
        except Unreachable as error:
            raise Unreachable(self._hide(str(error)), error.retry_after) from error
        if answer.good or answer.status in _REFUSED or answer.status == 413:
            return answer
        if answer.status == 404 and path.startswith("status/"):
            return answer
        said = f"{where.host} answered {answer.status}"
        if 300 <= answer.status < 400:
            raise Unreachable(f"{said}: redirects are not followed, give the final URL of the API root")
        raise Unreachable(f"{said}: {self._hide(answer.text(300))}", answer.retry_after)

    def _json(self, answer: Answer, whose: str) -> dict[str, Any]:
        host = self._endpoint.host
        if not answer.good:
            raise Unreachable(f"{host} answered {answer.status}: {self._hide(answer.text(300))}")
        if not answer.headers.get("content-type", "").lower().startswith("application/taxii+json"):
            raise Unreachable(f"{host}: {whose} does not answer in TAXII 2.1")
        try:
            body = read_json(answer.body) if answer.whole else None
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unreachable(f"{host}: {whose} answered with what is no JSON object")
        return body

    def _headers(self) -> dict[str, str]:
        made = {"Accept": TAXII, "User-Agent": "andon"}
        if self.token is not None:
            made["Authorization"] = f"Bearer {self.token.read()}"
        elif self.password is not None:
            pair = f"{self.user}:{self.password.read()}".encode()
            made["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return made

    def _hide(self, said: str) -> str:
        for secret in (self.password, self.token):
            said = secret.hide(said) if secret is not None else said
        return one_line(said)


def _version(text: Any) -> int:
    try:
        return moment(str(text))
    except (ValueError, OverflowError):
        return -1


def _key(one: Stix) -> _Key:
    return one.id, one.version


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _envelope(objects: Sequence[Stix]) -> bytes:
    return ('{"objects":[' + ",".join(one.text for one in objects) + "]}").encode()


def _batches(objects: Sequence[Stix], most: int, size: int) -> list[list[Stix]]:
    """By number and by bytes; an object that is too large is alone."""
    made: list[list[Stix]] = []
    room = 0
    for one in objects:
        length = len(one.text.encode()) + 1
        if not made or len(made[-1]) == most or length > room:
            made.append([])
            room = size - 16
        made[-1].append(one)
        room -= length
    return made


@dataclass(frozen=True)
class TaxiiLocalSink:
    """``path``: folder of the objects that our own server shows (STORE/share/taxii). ``unmarked``: TLP of
    ready-made objects that bear no marking; those made of our documents have the document's."""

    name: str
    path: Path
    unmarked: str = "amber"
    digest_after: int = 0
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.unmarked not in LEVELS:
            raise ValueError(f"unmarked is one of {', '.join(LEVELS)}, not {self.unmarked!r}")

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """One commit, on disk when it returns; what is held already stays as it is.

        Raises Refused, Unreachable, Withheld."""
        from andon.share.taxii.content import stix_of
        from andon.store.errors import StoreError

        objects, remark = stix_of(parcel, self.gate, self.unmarked)
        try:
            added = self._store.add(objects, now)
        except StoreError as error:
            raise Unreachable(str(error)) from error
        return remark or f"{added} of {len(objects)} objects were new"

    @cached_property
    def _store(self) -> ObjectStore:
        from andon.share.taxii.objects import ObjectStore

        return ObjectStore(self.path)
