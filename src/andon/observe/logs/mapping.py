"""Mappings: which field of a CSV, key=value or JSON log is which column of a contact, flow or alert, as a TOML file
says.

    kind = "contact"                 # or "flow", "alert"
    source = "gateway"               # what the records are called
    format = "csv"                   # or "pairs" (key=value), "json" (one object a line)
    separator = ","                  # of csv and pairs; "\\t" for a tab, " " for any number of blanks
    header = true                    # csv: the first line names the fields; false: they are numbers, from 1

    [columns]
    ts = { from = ["date", "time"], format = ["%Y-%m-%d", "%H:%M:%S"], zone = "+09:00", at = "end" }
    address = "client"               # a field by its name, number or (json) dotted path
    url = "url"
    duration = { from = "ms", unit = "ms" }
    refused = { from = "action", values = ["Blocked"] }
    method = { value = "GET" }       # the same for all
    mime = { from = "type", map = { "1" = "text/html" } }

Columns of a contact: ts, address, user, url, host, port, scheme, path, query, method, status, action, server,
bytes_in, bytes_out, duration, referer, agent, mime, location, category, sni, refused. Of a flow: ts, duration, src,
dst, src_port, dst_port, protocol, service, state, bytes_in, bytes_out, packets_in, packets_out. Of an alert: ts,
product, rule, title, severity, category, host, address, user, src, src_port, dst, dst_port, protocol, name, path,
digest, command, attack, cve, action, count, uid, site; severity is a word or a number from 0 to 10, or what ``map``
makes one of.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from andon.observe.logs.clock import plan

FORMATS: Final = ("csv", "pairs", "json")
_UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_KEYS: Final = frozenset({"kind", "source", "format", "separator", "header", "columns"})
_WORDS: Final = {
    "contact": ("address", "user", "method", "action", "scheme", "mime", "category", "agent"),
    "flow": ("protocol", "service", "state"),
    "alert": (
        "product",
        "rule",
        "title",
        "severity",
        "category",
        "host",
        "address",
        "user",
        "protocol",
        "action",
        "site",
    ),
}
_OTHERS: Final = {
    "contact": ("url", "host", "port", "path", "query", "status", "server", "bytes_in", "bytes_out", "referer",
                "location", "sni"),
    "flow": ("src", "dst", "src_port", "dst_port", "bytes_in", "bytes_out", "packets_in", "packets_out"),
    "alert": ("src", "src_port", "dst", "dst_port", "name", "path", "digest", "command", "attack", "cve", "count",
              "uid"),
}  # fmt: skip
_NEEDED: Final[dict[str, tuple[set[str], ...]]] = {
    "contact": ({"address", "user"}, {"url", "host", "sni"}),
    "flow": ({"src"}, {"dst"}),
    "alert": ({"rule", "title"},),
}
_LARGEST: Final = 1 << 20  # bytes of a mapping


@dataclass(frozen=True)
class LogMap:
    """A mapping, checked. ``fields``: slot (of ``contacts`` or ``flows``) to the field that it is read from;
    ``values``: columns that are the same for all; ``maps``: words of a column to those they stand for; ``clocks`` and
    ``zone``: formats of one or two times; ``unit``: ns of durations."""

    kind: str
    source: str
    format: str
    separator: str
    header: bool
    fields: Mapping[str, str]
    clocks: tuple[str, ...]
    zone: str
    at_end: bool
    unit: int
    values: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refusals: frozenset[str] | None = None


def load(path: str | Path) -> LogMap:
    """The mapping of a file. Raises ValueError that names the file and what is wrong in it, and OSError."""
    with Path(path).open("rb") as file:
        text = file.read(_LARGEST + 1)
    try:
        if len(text) > _LARGEST:
            raise ValueError("larger than 1 MiB")
        return parse(tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def parse(given: Mapping[str, Any]) -> LogMap:
    """The mapping of a TOML table. Raises ValueError."""
    if strange := sorted(set(given) - _KEYS):
        raise ValueError(f"{strange[0]!r} is no key of a mapping ({', '.join(sorted(_KEYS))})")
    kind, form = str(given.get("kind", "contact")), str(given.get("format", ""))
    if kind not in _WORDS:
        raise ValueError(f"kind is contact, flow or alert, not {kind!r}")
    if form not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {form!r}")
    separator = str(given.get("separator", "," if form == "csv" else " "))
    if len(separator) != 1 or not separator.isascii() or separator in '"\n\r#=':
        raise ValueError(f"separator is one character, not {separator!r}")
    columns = given.get("columns")
    if not isinstance(columns, Mapping) or not columns:
        raise ValueError("[columns] is missing")
    build = _Build(kind)
    for name, value in columns.items():
        try:
            build.column(name, value if isinstance(value, Mapping) else {"from": value})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"columns.{name}: {error}") from error
    fields = build.fields
    needed = _NEEDED[kind]
    for some in ({"time"}, *needed):
        if not some & fields.keys():
            names = " or ".join(sorted(some)).replace("time", "ts")
            raise ValueError(f"columns: {names} is missing")
    if doubled := [one for one in fields.values() if list(fields.values()).count(one) > 1]:
        raise ValueError(f"columns: field {doubled[0]!r} is given to two columns")
    header = bool(given.get("header", True)) and form == "csv"
    if form == "csv" and not header:
        for one in fields.values():
            if not one.isascii() or not one.isdigit() or not 1 <= int(one) <= 1024:
                raise ValueError(f"columns: without a header a field is a number from 1 on, not {one!r}")
    return LogMap(
        kind, str(given.get("source", "log")), form, separator, header, fields, build.clocks, build.zone,
        build.at_end, build.unit, build.values, build.maps, build.refusals,
    )  # fmt: skip


class _Build:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.fields: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.clocks: tuple[str, ...] = ()
        self.zone = "+00:00"
        self.at_end = False
        self.unit = _UNITS["s"]
        self.refusals: frozenset[str] | None = None

    def column(self, name: str, said: Mapping[str, Any]) -> None:
        """One column. Raises ValueError, KeyError, TypeError."""
        if name == "ts":
            self._time(said)
        elif name == "duration" and self.kind != "alert":
            _only(said, "from", "unit")
            self.fields["elapsed"] = _field(said["from"])
            if said.get("unit", "s") not in _UNITS:
                raise ValueError(f"unit is one of {', '.join(_UNITS)}")
            self.unit = _UNITS[said.get("unit", "s")]
        elif name == "refused" and self.kind == "contact":
            _only(said, "from", "values")
            self.fields["verdict"] = _field(said["from"])
            if "values" in said:
                self.refusals = frozenset(str(value).lower() for value in said["values"])
        elif name in _WORDS[self.kind]:
            _only(said, "from", "value", "map")
            if "value" in said:
                if name in ("address", "user"):
                    raise ValueError("who it was is read, not given")
                self.values[name] = str(said["value"])
                return
            self.fields[name] = _field(said["from"])
            if "map" in said:
                self.maps[name] = {str(key): str(value) for key, value in dict(said["map"]).items()}
        elif name in _OTHERS[self.kind]:
            _only(said, "from")
            self.fields[name] = _field(said["from"])
        else:
            known = sorted(
                {
                    "ts",
                    *(() if self.kind == "alert" else ("duration",)),
                    *_WORDS[self.kind],
                    *_OTHERS[self.kind],
                }
            )
            raise ValueError(f"no column of a {self.kind}; there are {', '.join(known)}")

    def _time(self, said: Mapping[str, Any]) -> None:
        _only(said, "from", "format", "zone", "at")
        fields = said["from"] if isinstance(said["from"], list) else [said["from"]]
        forms = said.get("format", "epoch")
        forms = forms if isinstance(forms, list) else [forms]
        if len(fields) != len(forms) or not 1 <= len(fields) <= 2:
            raise ValueError("one field and its format, or two (date and time of day) in lists")
        self.zone = str(said.get("zone", "+00:00"))
        for form in forms:
            plan(str(form), self.zone)
        self.clocks = tuple(map(str, forms))
        for slot, one in zip(("time", "time2"), fields, strict=False):
            self.fields[slot] = _field(one)
        if said.get("at", "start") not in ("start", "end"):
            raise ValueError("at is start or end")
        self.at_end = said.get("at") == "end"


def _field(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value):
        raise ValueError(f"a field is a name or a number, not {value!r}")
    return str(value)


def _only(said: Mapping[str, Any], *keys: str) -> None:
    if strange := sorted(set(said) - set(keys)):
        raise ValueError(f"{strange[0]!r} is not among {', '.join(keys)}")
    if "from" not in said and "value" not in said:
        raise ValueError("from is missing")
