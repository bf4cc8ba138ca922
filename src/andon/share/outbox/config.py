"""``[[sink]]`` of the configuration: which sink, and what it needs.

[[sink]]
name = "soc"
kind = "smtp"            # smtp, webhook, cef, file
host = "mail.example.org"
sender = "andon@example.org"
to = ["soc@example.org"]
user = "andon"
password_file = "/etc/andon/mail-password"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from andon.share.outbox.file import FileSink
from andon.share.outbox.parcel import Sink
from andon.share.outbox.secret import secret_from
from andon.share.outbox.smtp import SmtpSink
from andon.share.outbox.syslog import SyslogSink
from andon.share.outbox.webhook import WebhookSink

_KINDS: Mapping[str, type[Any]] = {
    "smtp": SmtpSink,
    "webhook": WebhookSink,
    "cef": SyslogSink,
    "file": FileSink,
}
_SECRETS = {"smtp": ("password",), "webhook": ("key", "token")}
_PATHS = ("ca_file", "path")


def make_sink(settings: Mapping[str, Any], base: Path = Path()) -> Sink:
    """The sink of one ``[[sink]]`` table; its paths are relative to ``base``.

    Raises ValueError that names the setting.

    >>> make_sink({"name": "log", "kind": "file", "path": "alerts.ndjson"}).name
    'log'
    """
    name = settings.get("name")
    if not isinstance(name, str) or not name or len(name) > 128 or not name.isprintable():
        raise ValueError("a sink needs a name of at most 128 characters")
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"sink {name!r}: kind is one of {', '.join(_KINDS)}, not {kind!r}")
    try:
        return _made(kind, settings, base)
    except (ValueError, TypeError) as error:
        raise ValueError(f"sink {name!r}: {error}") from error


def _made(kind: str, settings: Mapping[str, Any], base: Path) -> Sink:
    given = dict(settings)
    del given["kind"]
    values: dict[str, Any] = {}
    for name in _SECRETS.get(kind, ()):
        if isinstance(given.get(f"{name}_file"), str):
            given[f"{name}_file"] = base / given[f"{name}_file"]
        secret = secret_from(given, name)
        given.pop(f"{name}_file", None)
        given.pop(f"{name}_env", None)
        if secret is not None:
            values[name] = secret
    known = {field.name: field for field in fields(_KINDS[kind])}
    for name, value in given.items():
        if name not in known or name in _SECRETS.get(kind, ()):
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(_settings(kind))}")
        values[name] = _value(name, str(known[name].type), value, base)
    missing = [name for name in _required(kind) if name not in values]
    if missing:
        needed = [
            f"{name}_file or {name}_env" if name in _SECRETS.get(kind, ()) else name for name in missing
        ]
        raise ValueError(f"{', '.join(needed)} is missing")
    made: Sink = _KINDS[kind](**values)
    return made


def _value(name: str, kind: str, value: Any, base: Path) -> Any:
    if name in _PATHS:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} is a path")
        return base / value
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
            raise ValueError(f"{name} is a list of texts")
        return tuple(value)
    wanted = {"int": int, "bool": bool, "str": str}[kind]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {_WORDS[wanted]}, not {value!r}")
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{name} is not negative")
    return value


_WORDS: Mapping[type, str] = {int: "a whole number", bool: "true or false", str: "a text"}


def _required(kind: str) -> list[str]:
    from dataclasses import MISSING

    return [field.name for field in fields(_KINDS[kind]) if field.default is MISSING]


def _settings(kind: str) -> list[str]:
    names = [field.name for field in fields(_KINDS[kind]) if field.name not in _SECRETS.get(kind, ())]
    return names + [f"{name}_{way}" for name in _SECRETS.get(kind, ()) for way in ("file", "env")]
