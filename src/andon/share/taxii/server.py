"""The TAXII 2.1 server: discovery, one API root, collections, objects, manifests, versions; read-only.

OASIS standard of 10 June 2021: content negotiation 1.6.8, headers 3.2, filters 3.4, pages 3.5, errors 3.6, endpoints 4
and 5. Adding and deleting (5.5, 5.7) are answered with 403, a status (4.3) with 404. A collection that a user may not
read does not exist for that user. ``next`` is a row number under an HMAC over user, collection and filters: it stays
good while objects are added, cannot be made up, and is refused with other filters, as 3.5 wants it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.share.taxii.objects import ObjectStore, Query, Row
from andon.share.taxii.settings import Collection, Settings, User
from andon.share.taxii.wire import LARGEST, STIX, TAXII, moment, stamp
from andon.store.errors import StoreError

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_VALUES: Final = 100  # of one filter
_LONG: Final = 8192  # characters of a query string
_MATCHES: Final = frozenset(("id", "type", "version", "spec_version"))
_ACCEPTED: Final = frozenset(("application/taxii+json", "application/*", "*/*"))


class TaxiiError(Exception):
    """An answer that is an error (3.6.1)."""

    def __init__(self, status: int, title: str, description: str = "", **headers: str) -> None:
        super().__init__(title)
        self.status, self.title, self.description = status, title, description
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        body = {"title": self.title, "http_status": str(self.status)}
        if self.description:
            body["description"] = self.description
        return _answer(body, self.status, self.headers)


def application(folder: Path, settings: Settings) -> Starlette:
    """The endpoints, to be mounted (at /taxii2: the place that 4.1 names). ``folder``: STORE/share/taxii.

    Raises StoreError where the store cannot be opened."""
    store = ObjectStore(folder)
    server = _Server(store, settings)
    return Starlette(routes=[Route("/{path:path}", server.endpoint, methods=_METHODS)])


class _Server:
    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def endpoint(self, request: Request) -> Response:
        """Any request. Runs in a thread of the pool."""
        try:
            return self._answer(request)
        except TaxiiError as error:
            return error.response()
        except StoreError:
            return TaxiiError(503, "The store cannot be read now", Retry_After="30").response()

    def _answer(self, request: Request) -> Response:
        user = self._user(request.headers.get("authorization", ""))
        if not _acceptable(request.headers.get("accept", "*/*")):
            raise TaxiiError(406, "Not acceptable", f"This server speaks {TAXII}")
        if len(request.url.query) > _LONG:
            raise TaxiiError(414, "The filters are too long")
        if request.method not in ("GET", "HEAD"):
            self._no_writing(request)
        root = self._settings.root
        match request.path_params["path"].strip("/").split("/"):
            case [""]:
                return self._discovery(request)
            case [name] if name == root:
                return self._root()
            case [name, "collections"] if name == root:
                listed = [_described(c) for c in self._settings.readable(user)]
                return _answer({"collections": listed} if listed else {})
            case [name, "collections", number] if name == root:
                return _answer(_described(self._collection(user, number)))
            case [name, "collections", number, "objects"] if name == root:
                return self._page(request, user, self._collection(user, number), "objects")
            case [name, "collections", number, "manifest"] if name == root:
                return self._page(request, user, self._collection(user, number), "manifest")
            case [name, "collections", number, "objects", object_id] if name == root:
                return self._page(request, user, self._collection(user, number), "objects", object_id)
            case [name, "collections", number, "objects", object_id, "versions"] if name == root:
                return self._page(request, user, self._collection(user, number), "versions", object_id)
        raise TaxiiError(404, "There is nothing here")

    def _user(self, given: str) -> User:
        scheme, _, value = given.strip().partition(" ")
        scheme, value = scheme.lower(), value.strip()
        user = None
        if scheme == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                value = ""
        if scheme in ("basic", "bearer") and value:
            user = self._settings.known(scheme, value)
        if user is None:
            asks = 'Basic realm="TAXII", charset="UTF-8", Bearer realm="TAXII"'
            raise TaxiiError(401, "Authentication is needed", WWW_Authenticate=asks)
        return user

    def _no_writing(self, request: Request) -> None:
        if request.method == "POST" and not _taxii(request.headers.get("content-type", "")):
            raise TaxiiError(415, "Unsupported media type", f"This server speaks {TAXII}")
        if request.method in ("POST", "DELETE"):
            raise TaxiiError(403, "This server is read-only")
        raise TaxiiError(405, "Method not allowed", Allow="GET, HEAD")

    def _discovery(self, request: Request) -> Response:
        settings = self._settings
        root = f"{request.scope.get('root_path', '')}/{settings.root}/"
        body = {"title": settings.title, "default": root, "api_roots": [root]}
        body |= {name: text for name in ("description", "contact") if (text := getattr(settings, name))}
        return _answer(body)

    def _root(self) -> Response:
        settings = self._settings
        body = {"title": settings.title, "versions": [TAXII], "max_content_length": LARGEST}
        return _answer(body | ({"description": settings.description} if settings.description else {}))

    def _collection(self, user: User, number: str) -> Collection:
        for one in self._settings.readable(user):
            if number in (one.id, one.name):
                return one
        raise TaxiiError(404, "There is no such collection, or it is not for you")

    def _page(
        self, request: Request, user: User, collection: Collection, what: str, object_id: str = ""
    ) -> Response:
        query = _query(request, collection, what, object_id)
        seal = _Seal(self._store.key, user, collection, what, query)
        token = _single(request, "next")
        if token:
            query = replace(query, after=seal.opened(token))
        limit = min(_limit(request), self._settings.page)
        rows, more = self._store.page(query, limit, self._settings.page_bytes)
        if not rows and object_id and not self._store.page(_all(collection, object_id), 1, 1)[0]:
            raise TaxiiError(404, "There is no such object")
        if not rows:
            return _answer({})
        head: dict[str, Any] = {"more": more}
        if more:
            head["next"] = seal.token(rows[-1].seq)
        name = "versions" if what == "versions" else "objects"
        body = f'{json.dumps(head)[:-1]}, "{name}": [{",".join(_items(what, rows))}]}}'
        dates = {"X-TAXII-Date-Added-First": stamp(rows[0].added),
                 "X-TAXII-Date-Added-Last": stamp(rows[-1].added)}  # fmt: skip
        return Response(body.encode(), headers=dates | _HEADERS, media_type=TAXII)


class _Seal:
    """Cursors of one user, collection and set of filters."""

    def __init__(self, key: bytes, user: User, collection: Collection, what: str, query: Query) -> None:
        said = json.dumps(
            [user.name, collection.id, what, query.added_after, query.ids, query.match_types, query.versions,
             query.specs]
        )  # fmt: skip
        self._key = hmac.new(key, said.encode(), hashlib.sha256).digest()

    def token(self, seq: int) -> str:
        """``next`` of a page that ended with this row."""
        number = seq.to_bytes(8, "big")
        return base64.urlsafe_b64encode(number + self._mark(number)).decode()

    def opened(self, token: str) -> int:
        """The row number. Raises TaxiiError for a token that was not given for this query."""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, UnicodeError):
            raw = b""
        if len(raw) != 24 or not hmac.compare_digest(self._mark(raw[:8]), raw[8:]):
            raise TaxiiError(400, "next is not of this query", "Use it with the same filters, or begin anew")
        return int.from_bytes(raw[:8], "big")

    def _mark(self, number: bytes) -> bytes:
        return hmac.new(self._key, number, hashlib.sha256).digest()[:16]


def _items(what: str, rows: list[Row]) -> list[str]:
    if what == "objects":
        return [row.text for row in rows]
    if what == "versions":
        return [json.dumps(row.version_text or stamp(row.added)) for row in rows]
    return [
        json.dumps(
            {
                "id": row.id,
                "date_added": stamp(row.added),
                "version": row.version_text or stamp(row.added),
                "media_type": STIX if row.spec_version == "2.1" else STIX.replace("2.1", row.spec_version),
            }
        )
        for row in rows
    ]


def _all(collection: Collection, object_id: str) -> Query:
    return Query(collection.types, collection.level, ids=(object_id,), versions=("all",))


def _query(request: Request, collection: Collection, what: str, object_id: str) -> Query:
    wanted: dict[str, tuple[str, ...]] = {}
    for name in request.query_params:
        if name.startswith("match[") and name.endswith("]"):
            field = name[6:-1]
            if field not in _MATCHES:
                raise TaxiiError(
                    400, "Unknown filter", f"There are match[{'], match['.join(sorted(_MATCHES))}]"
                )
            values = tuple(dict.fromkeys(filter(None, _single(request, name).split(","))))
            if not values or len(values) > _VALUES:
                raise TaxiiError(400, "Bad filter", f"{name} has one to {_VALUES} values")
            wanted[field] = values
    if object_id and ({"id", "type"} & set(wanted) or (what == "versions" and "version" in wanted)):
        raise TaxiiError(400, "Unknown filter", "Of one object only its versions can be chosen")
    after = _single(request, "added_after")
    try:
        added = moment(after) // 1000 if after else None
        versions = tuple(
            one if one in ("first", "last", "all") else moment(one)
            for one in wanted.get("version", ("last",))
        )
    except (ValueError, OverflowError) as error:
        raise TaxiiError(400, "Bad time", str(error)) from None
    return Query(
        types=collection.types,
        tlp=collection.level,
        added_after=added,
        ids=(object_id,) if object_id else wanted.get("id", ()),
        match_types=wanted.get("type", ()),
        versions=("all",) if what == "versions" or "all" in versions else versions,
        specs=wanted.get("spec_version", ()),
    )


def _single(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise TaxiiError(400, "Bad filter", f"{name[:40]} is given twice")
    return str(values[0]) if values else ""


def _limit(request: Request) -> int:
    text = _single(request, "limit")
    if not text:
        return 1 << 30
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 10):
        raise TaxiiError(400, "Bad limit", "limit is a whole number above 0")
    return int(text)


def _taxii(media: str) -> bool:
    """Whether a media type is TAXII's, in a version that is read here.

    >>> _taxii("application/taxii+json; version=2.1"), _taxii("application/taxii+json;version=2.0")
    (True, False)
    """
    kind, *parameters = (part.strip().lower() for part in media.split(";"))
    versions = [part[8:].strip('"') for part in parameters if part.startswith("version=")]
    return kind == "application/taxii+json" and versions in ([], ["2.1"])


def _acceptable(accept: str) -> bool:
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        refused = any(piece in ("q=0", "q=0.0", "q=0.00", "q=0.000") for piece in parameters)
        if kind in _ACCEPTED and not refused:
            bare = ";".join([kind, *(piece for piece in parameters if not piece.startswith("q="))])
            if kind != "application/taxii+json" or _taxii(bare):
                return True
    return False


def _described(collection: Collection) -> dict[str, Any]:
    body = {"id": collection.id, "title": collection.title or collection.name, "alias": collection.name}
    more = {"description": collection.description} if collection.description else {}
    return body | more | {"can_read": True, "can_write": False, "media_types": [STIX]}


_HEADERS: Final = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def _answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body).encode(), status, {**_HEADERS, **(headers or {})}, media_type=TAXII)
