"""``[[sink]]`` of the configuration: which sink, and what it needs.

[[sink]]
name = "soc"
kind = "smtp"            # or one of _KINDS
host = "mail.example.org"
sender = "andon@example.org"
to = ["soc@example.org"]
user = "andon"
password_file = "/etc/andon/mail-password"

What may leave by a sink, and what is taken out of it first (``share.policy``), is said in the same table: ``tlp``,
``telescope``, ``people``. Sinks that share with others have strict defaults, those of the house let everything pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from andon.share.outbox import subscribed
from andon.share.outbox.file import FileSink
from andon.share.outbox.folder import FolderSink
from andon.share.outbox.formatted import MESSAGE
from andon.share.outbox.hub import HubSink
from andon.share.outbox.misp import MispSink
from andon.share.outbox.parcel import Sink
from andon.share.outbox.post import PostSink
from andon.share.outbox.secret import secret_from
from andon.share.outbox.smtp import SmtpSink
from andon.share.outbox.syslog import SyslogSink
from andon.share.outbox.taxii import TaxiiLocalSink, TaxiiSink
from andon.share.outbox.webhook import WebhookSink
from andon.share.policy import AMBER, PLAIN, PSEUDONYM, RED, Gate, Ground, Policy

_KINDS: Mapping[str, type[Any]] = {
    "smtp": SmtpSink,
    "webhook": WebhookSink,
    "cef": SyslogSink,
    "file": FileSink,
    "taxii": TaxiiSink,
    "taxii-local": TaxiiLocalSink,
    "misp": MispSink,
    "hub": HubSink,
    "stix": PostSink,
    "ocsf": PostSink,
    "ecs": PostSink,
    "thehive": PostSink,
    "iris": PostSink,
    "leef": SyslogSink,
    "syslog": SyslogSink,
}
# Kinds that write files instead where the table has a path and no url.
_FILED: Mapping[str, type[Any]] = {
    "stix": FolderSink,
    "misp": FolderSink,
    "ocsf": FileSink,
    "ecs": FileSink,
    "thehive": FileSink,
    "iris": FileSink,
}
_FORMATS: Mapping[str, str] = {
    "stix": "stix",
    "misp": "misp",
    "ocsf": "ocsf",
    "ecs": "ecs",
    "thehive": "thehive",
    "iris": "iris",
    "leef": "leef",
    "cef": "cef",
    "syslog": "rfc5424",
}
_CHOSEN = frozenset(("syslog", "file"))  # whose format is a setting
# Kinds whose messages go to others, and are made of documents: (tlp, telescope, people).
_SHARING: Mapping[str, tuple[str, str, str]] = dict.fromkeys(
    ("stix", "misp", "taxii", "taxii-local"), (AMBER, "hide", PSEUDONYM)
)
_HOUSE = (RED, "show", PLAIN)
_POLICY = ("tlp", "telescope", "people")
_SECRETS = {
    "smtp": ("password",),
    "webhook": ("key", "token"),
    "taxii": ("password", "token"),
    "misp": ("key",),
    "hub": ("key",),
    **dict.fromkeys(("stix", "ocsf", "ecs", "thehive", "iris"), ("token",)),
}
_PATHS = ("ca_file", "path")


def make_sink(settings: Mapping[str, Any], base: Path = Path(), ground: Ground | None = None) -> Sink:
    """The sink of one ``[[sink]]`` table; its paths are relative to ``base``. ``ground``: what the site knows
    (telescope, key for pseudonyms, markings); without it what comes from the darknet leaves by no sink that hides the
    telescope.

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
        return _made(kind, settings, base, ground)
    except (ValueError, TypeError) as error:
        raise ValueError(f"sink {name!r}: {error}") from error


def _made(kind: str, settings: Mapping[str, Any], base: Path, ground: Ground | None) -> Sink:
    given = dict(settings)
    del given["kind"]
    made_by = _KINDS[kind]
    if kind in _FILED and "path" in given and "url" not in given:
        made_by = _FILED[kind]
    known = {field.name: field for field in fields(made_by) if field.name != "gate"}
    secrets = [name for name in _SECRETS.get(kind, ()) if name in known]
    values: dict[str, Any] = {}
    if kind in _FORMATS and "format" in known and (kind not in _CHOSEN or "format" not in given):
        if "format" in given:
            raise ValueError(f"kind {kind} is format {_FORMATS[kind]}; give kind syslog or file for another")
        values["format"] = _FORMATS[kind]
    policy = {name: given.pop(name) for name in _POLICY if name in given}
    subscribed.checked(given)
    for name in subscribed.SETTINGS:
        given.pop(name, None)
    for name in secrets:
        if isinstance(given.get(f"{name}_file"), str):
            given[f"{name}_file"] = base / given[f"{name}_file"]
        secret = secret_from(given, name)
        given.pop(f"{name}_file", None)
        given.pop(f"{name}_env", None)
        if secret is not None:
            values[name] = secret
    for name, value in given.items():
        if name not in known or name in secrets:
            raise ValueError(
                f"there is no setting {name!r}; there are {', '.join(_settings(made_by, secrets))}"
            )
        values[name] = _value(name, str(known[name].type), value, base)
    missing = [name for name in _required(made_by) if name not in values]
    if missing:
        needed = [f"{name}_file or {name}_env" if name in secrets else name for name in missing]
        raise ValueError(f"{', '.join(needed)} is missing")
    gate = _gate(kind, values, policy, ground)
    if gate is not None and any(field.name == "gate" for field in fields(made_by)):
        values["gate"] = gate
    made: Sink = made_by(**values)
    return made


def _gate(
    kind: str, values: Mapping[str, Any], given: Mapping[str, Any], ground: Ground | None
) -> Gate | None:
    """The gate of a sink; None where everything passes as it is."""
    for name, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is a text, not {value!r}")
    if kind == "hub":
        if given:
            raise ValueError(f"{', '.join(given)}: a hub gets counts alone, and has no such setting")
        return None
    if kind not in _SHARING and not given:
        return None
    tlp, telescope, people = _SHARING.get(kind, _HOUSE)
    policy = Policy(
        str(values["name"]),
        given.get("tlp", tlp),
        given.get("telescope", telescope),
        given.get("people", people),
    )
    prose = kind in ("smtp", "webhook") or (kind == "file" and values.get("format", MESSAGE) == MESSAGE)
    if prose and (policy.telescope != "show" or policy.people != PLAIN):
        raise ValueError(
            f"telescope and people: a message of kind {kind} holds prose, out of which names cannot be taken; "
            "give tlp alone, or a kind that has a format"
        )
    if prose and values.get("digest_after", _default(kind, "digest_after")):
        raise ValueError("tlp: a digest cannot be told in part; set digest_after = 0")
    return Gate(policy, ground)


def _default(kind: str, name: str) -> Any:
    return next((field.default for field in fields(_KINDS[kind]) if field.name == name), None)


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


def _required(made_by: type[Any]) -> list[str]:
    from dataclasses import MISSING

    return [field.name for field in fields(made_by) if field.default is MISSING]


def _settings(made_by: type[Any], secrets: Sequence[str]) -> list[str]:
    names = [field.name for field in fields(made_by) if field.name not in (*secrets, "gate")]
    return [
        *names,
        *(f"{name}_{way}" for name in secrets for way in ("file", "env")),
        *_POLICY,
        *subscribed.SETTINGS,
    ]
