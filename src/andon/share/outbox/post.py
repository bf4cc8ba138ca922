"""Other systems by their own HTTP interfaces: TheHive, DFIR-IRIS, Elasticsearch and OpenSearch, or any collector of
STIX and OCSF. (MISP servers: ``misp``; TAXII servers: ``taxii``.)

Each attempt is the same request, and each interface has its own way to know a repetition; what it says of one counts as
taken:

* stix, ocsf: ``Idempotency-Key``, as for webhooks (ids in the body are the same besides);
* ecs: ``_bulk`` with ``create`` and an id: 409 of a document is one that is there already;
* thehive: ``/api/v1/alert`` with ``sourceRef``, the message's id; 400 that says *already exist* is one that is there;
* iris: ``/alerts/filter`` is asked for the message's id first, since ``/alerts/add`` takes everything twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from andon.share.formats import ecs, iris, stix, thehive
from andon.share.formats.export import Told
from andon.share.formats.view import View
from andon.share.outbox.dial import Deadline
from andon.share.outbox.formatted import views
from andon.share.outbox.http import Answer, Endpoint
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret
from andon.share.policy import Gate

FORMATS: Final = ("stix", "ocsf", "ecs", "thehive", "iris")
_REFUSED: Final = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 431})  # about this one request
_ANSWER: Final = 1 << 20
_TOKEN: Final[Mapping[str, str]] = {"ecs": "ApiKey {}"}  # how each wants to be shown a token
_One = tuple[View, str, str, str, int]


@dataclass(frozen=True)
class PostSink:
    """``url``: of the server for thehive, iris and ecs (their paths are added), of the endpoint itself for stix and
    ocsf. ``token`` is the API key. ``index``: of ecs; ``customer``: number of iris.

    Raises ValueError for a URL that cannot work."""

    name: str
    url: str
    format: str
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True
    index: str = "logs-andon-default"
    customer: int = 1
    digest_after: int = 0
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, not {self.format!r}")
        endpoint = Endpoint(self.url, self.ca_file, self.verify, "sink")  # what cannot work is said at once
        if self.token is not None and not endpoint.secure:
            raise ValueError("a token is not sent over plain http: use https")

    @cached_property
    def _told(self) -> Told:
        return Told(self.format, self.gate, self.customer, self.index)

    @cached_property
    def _stix(self) -> stix.Writer:
        ground = self._told.gate.ground
        return stix.Writer(ground.organisation, ground.caution)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Deliver. Raises Unreachable, Refused, Withheld."""
        some, remark = views(self._told, parcel)
        with Deadline(seconds) as deadline:
            if self.format == "stix":
                self._posted(deadline, "", stix.dumps(self._bundle(some)), parcel.id)
            elif self.format == "ocsf":
                lines = [self._told.text(told, level) for told, level, *_ in some]
                self._posted(
                    deadline, "", lines[0] if len(lines) == 1 else "\n".join(lines) + "\n", parcel.id
                )
            elif self.format == "ecs":
                self._bulk(deadline, "".join(ecs.bulk(one[0], self.index, one[1]) for one in some))
            else:
                for one in some:
                    self._each(deadline, one)
        return remark

    def _bundle(self, some: list[_One]) -> dict[str, Any]:
        return stix.bundle(made for told, level, *_ in some for made in self._stix.objects(told, level))

    def _each(self, deadline: Deadline, one: _One) -> None:
        told, level, _, id, _ = one
        caution = self._told.gate.ground.caution
        if self.format == "thehive":
            body = {**thehive.alert(told, level, caution), "sourceRef": id}
            answer = self._ask(deadline, "POST", "/api/v1/alert", _json(body))
            if not answer.good and not (
                answer.status in (400, 409) and "exist" in answer.text(65536).lower()
            ):
                self._failed(answer)
        else:
            found = self._ask(deadline, "GET", f"/alerts/filter?source_reference={id}&per_page=1", None)
            if not found.good:
                self._failed(found)
            if not _has_one(found):
                body = {**iris.alert(told, level, self.customer, caution), "alert_source_ref": id}
                answer = self._ask(deadline, "POST", "/alerts/add", _json(body))
                if not answer.good:
                    self._failed(answer)

    def _bulk(self, deadline: Deadline, lines: str) -> None:
        answer = self._ask(
            deadline, "POST", "/_bulk", lines.encode("utf-8", "replace"), "application/x-ndjson"
        )
        if not answer.good:
            self._failed(answer)
        said = _parsed(answer)
        items = said.get("items") if isinstance(said, dict) else None
        if not isinstance(items, list):
            raise Unreachable(f"{self._at('').host} did not say what became of the documents")
        for item in items:
            told: Any = next(iter(item.values()), {}) if isinstance(item, dict) else {}
            status = told.get("status", 500) if isinstance(told, dict) else 500
            if isinstance(status, int) and (200 <= status < 300 or status == 409):
                continue
            text = one_line(json.dumps(told.get("error", "")) if isinstance(told, dict) else "")
            if status == 400:
                raise Refused(f"{self._at('').host} does not take a document: {text}")
            raise Unreachable(f"{self._at('').host} answered {status} for a document: {text}")

    def _posted(self, deadline: Deadline, path: str, text: str, id: str) -> None:
        kind = "application/stix+json;version=2.1" if self.format == "stix" else "application/json"
        if self.format == "ocsf" and text.endswith("\n"):
            kind = "application/x-ndjson"
        answer = self._ask(deadline, "POST", path, text.encode("utf-8", "replace"), kind, id)
        if not answer.good:
            self._failed(answer)

    def _at(self, path: str) -> Endpoint:
        return Endpoint(self.url.rstrip("/") + path if path else self.url, self.ca_file, self.verify, "sink")

    def _ask(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        body: bytes | None,
        kind: str = "application/json",
        id: str = "",
    ) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": "andon"}
        if body is not None:
            headers["Content-Type"] = kind
        if id:
            headers["Idempotency-Key"] = id
        if self.token is not None:
            headers["Authorization"] = _TOKEN.get(self.format, "Bearer {}").format(self.token.read())
        try:
            return self._at(path).request(method, deadline, headers, body, _ANSWER)
        except Unreachable as error:
            raise Unreachable(self._hide(error), error.retry_after) from error

    def _failed(self, answer: Answer) -> None:
        """Raises what an answer means that is no success."""
        host = self._at("").host
        if 300 <= answer.status < 400:
            raise Unreachable(
                f"{host} answered {answer.status}: redirects are not followed, give the final URL"
            )
        text = f"{host} answered {answer.status}: {self._hide(answer.text())}"
        if answer.status in _REFUSED:
            raise Refused(text)
        raise Unreachable(text, answer.retry_after)

    def _hide(self, said: object) -> str:
        text = str(said) or type(said).__name__
        return one_line(self.token.hide(text) if self.token is not None else text)


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        return None


def _has_one(answer: Answer) -> bool:
    said = _parsed(answer)
    data = said.get("data") if isinstance(said, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("total"), int):
        raise Unreachable("the server did not say whether it has the alert")
    return bool(data["total"])
