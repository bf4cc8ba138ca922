"""``[taxii]`` of the configuration: who may read which collections.

[taxii]
title = "Example CERT"

[[taxii.user]]
name = "partner"
password_file = "/etc/andon/taxii-partner"     # Basic; token_file: Bearer

[[taxii.collection]]
name = "indicators"
types = ["indicator", "sighting"]              # none: all types
tlp = "green"                                  # the strictest marking that is shown
readers = ["partner"]                          # none: every user
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from andon.share.outbox.parcel import Unreachable
from andon.share.outbox.secret import Secret, secret_from
from andon.share.taxii.wire import LEVELS

_NAMESPACE: Final = uuid.UUID("3f6d3fb6-8c5e-5c0e-9f5f-0d4a6a2b7c11")  # ours, for ids of collections
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclass(frozen=True)
class Collection:
    """A view of the store: objects of these types that are marked no stricter than ``tlp``."""

    name: str
    title: str = ""
    description: str = ""
    types: tuple[str, ...] = ()
    tlp: str = "green"
    readers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not set(self.name) <= _PLAIN or len(self.name) > 64:
            raise ValueError(f"collection {self.name!r}: a name has letters, digits, dots, - and _ only")
        if self.tlp not in LEVELS:
            raise ValueError(f"collection {self.name!r}: tlp is one of {', '.join(LEVELS)}, not {self.tlp!r}")

    @property
    def id(self) -> str:
        """UUIDv5 of the name: the same after a new installation."""
        return str(uuid.uuid5(_NAMESPACE, self.name))

    @property
    def level(self) -> int:
        return LEVELS.index(self.tlp)


@dataclass(frozen=True)
class User:
    """Somebody who may ask, by password (Basic) or token (Bearer), or both."""

    name: str
    password: Secret | None = field(default=None, repr=False)
    token: Secret | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.name or ":" in self.name or not self.name.isprintable() or len(self.name) > 128:
            raise ValueError(f"user {self.name!r}: a name is printable and has no colon")
        if self.password is None and self.token is None:
            raise ValueError(f"user {self.name!r} needs password_file or token_file")


# What is shown if nothing else is said: everything that may go to a community, and what may be public.
COLLECTIONS: Final = (
    Collection("green", "TLP:GREEN and milder", "Findings, cases and indicators for the community."),
    Collection("clear", "TLP:CLEAR", "Findings, cases and indicators for everybody.", tlp="clear"),
)


@dataclass(frozen=True)
class Settings:
    """Of the server. ``page``: most objects of one answer; ``page_bytes``: and about so much JSON."""

    users: tuple[User, ...]
    collections: tuple[Collection, ...] = COLLECTIONS
    title: str = "Andon"
    description: str = ""
    contact: str = ""
    root: str = "andon"
    page: int = 1000
    page_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        if not self.users:
            raise ValueError("taxii: there is no [[taxii.user]]: nobody could read anything")
        for what, names in (
            ("user", [user.name for user in self.users]),
            ("collection", [c.name for c in self.collections]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"taxii: two {what}s have the same name")
        strangers = {name for c in self.collections for name in c.readers} - {u.name for u in self.users}
        if strangers:
            raise ValueError(f"taxii: readers name no [[taxii.user]]: {', '.join(sorted(strangers))}")
        if not self.root or not set(self.root) <= _PLAIN:
            raise ValueError(f"taxii: root {self.root!r}: letters, digits, dots, - and _ only")
        if not 1 <= self.page <= 100_000:
            raise ValueError("taxii: page is a number of objects from 1 to 100,000")

    def readable(self, user: User) -> tuple[Collection, ...]:
        """The collections that a user may see."""
        return tuple(c for c in self.collections if not c.readers or user.name in c.readers)

    def known(self, scheme: str, given: str) -> User | None:
        """Who this is. ``given``: "name:password" of Basic, or the token of Bearer. All users are compared with,
        by digests of equal length, so that the time it takes tells nothing."""
        found: User | None = None
        for user in self.users:
            secret = user.password if scheme == "basic" else user.token
            try:
                right = secret.read() if secret is not None else None
            except Unreachable:
                right = None  # its file is missing: nobody is let in by it
            wanted = f"{user.name}:{right}" if scheme == "basic" else str(right)
            same = hmac.compare_digest(_digest(wanted), _digest(given))
            if same and right is not None:
                found = user
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def settings_from(given: Mapping[str, Any], base: Path = Path()) -> Settings:
    """``[taxii]`` as read from TOML; paths are relative to ``base``. Raises ValueError that names the setting.

    >>> settings_from({"user": [{"name": "p", "token_file": "t"}]}).readable(User("p", token=Secret(Path("t"))))[1].name
    'clear'
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name == "user":
            values["users"] = tuple(_user(one, base) for one in _tables(name, value))
        elif name == "collection":
            values["collections"] = tuple(_collection(one) for one in _tables(name, value))
        elif name in ("title", "description", "contact", "root"):
            values[name] = _text(f"taxii: {name}", value)
        elif name in ("page", "page_bytes"):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"taxii: {name} is a whole number above 0")
            values[name] = value
        else:
            raise ValueError(f"taxii: there is no setting {name!r}")
    return Settings(**{"users": (), **values})


def _tables(name: str, value: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"taxii: write [[taxii.{name}]]")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 4000:
        raise ValueError(f"{name} is a text")
    return value


def _user(given: Mapping[str, Any], base: Path) -> User:
    values = dict(given)
    secrets = {}
    for name in ("password", "token"):
        if isinstance(values.get(f"{name}_file"), str):
            values[f"{name}_file"] = base / values[f"{name}_file"]
        secrets[name] = secret_from(values, name)
        values.pop(f"{name}_file", None)
        values.pop(f"{name}_env", None)
    extra = set(values) - {"name"}
    if extra:
        raise ValueError(f"taxii: user has no setting {sorted(extra)[0]!r}")
    return User(_text("taxii: user name", values.get("name")), secrets["password"], secrets["token"])


def _collection(given: Mapping[str, Any]) -> Collection:
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("types", "readers"):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"taxii: collection: {name} is a list of texts")
            values[name] = tuple(value)
        elif name in ("name", "title", "description", "tlp"):
            values[name] = _text(f"taxii: collection: {name}", value)
        else:
            raise ValueError(f"taxii: collection has no setting {name!r}")
    return Collection(**{"name": "", **values})
