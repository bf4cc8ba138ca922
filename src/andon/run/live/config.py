"""``andon.toml``: what the operator says, checked before anything starts. Errors name the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from andon.records.contract import duration_ns
from andon.run.feed import IPV6_TELESCOPE

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?", re.IGNORECASE)
_UNIT = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each mistake, ``FILE:LINE: what``."""


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{value!r} is not a size: write a number and B, kB, MB, GB or TB")
        return int(float(match[1]) * _UNIT[(match[2] or "B").lower()])
    return value


def _duration(value: str) -> str:
    duration_ns(value)
    return value


def _prefix(value: str) -> str:
    return str(ip_network(value.strip()))


Size = Annotated[int, Field(ge=0)]
Duration = Annotated[str, Field()]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TelescopeTable(_Table):
    """``[telescope]``: the dark prefixes (IPv4)."""

    prefixes: tuple[str, ...] = ()

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            if ip_network(prefix.strip()).version != 4:
                raise ValueError(f"telescope prefix {prefix!r}: {IPV6_TELESCOPE}")
        return tuple(_prefix(prefix) for prefix in value)


class SourceTable(_Table):
    """``[[source]]``: where packets come from, a log that grows (kind "log": of a honeypot, proxy or sensor), or
    exports of flows (kind "netflow")."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    kind: Literal["interface", "folder", "stdin", "log", "netflow"]
    interface: str = ""
    path: Path | None = None
    pattern: str = "*.pcap*"
    settle: Duration = "5s"  # a file that has not grown for so long is whole
    idle: Duration = "1h"  # a folder or pipe that is silent for so long does not hold time back any more
    ring: Size = 64 << 20
    promiscuous: bool = False
    # Of logs of proxies and sensors (observe.logs.Options).
    logformat: str = ""
    mapping: Path | None = None
    terminal: Literal["user", "address"] = "user"
    key: Path | None = None  # pseudonyms instead of users and addresses
    slack: Duration = "5min"  # how much earlier than the last a transaction may have begun
    # Of exports of flows.
    address: str = "0.0.0.0"  # exporters are other machines
    port: Annotated[int, Field(ge=0, le=65_535)] = 2055
    exporters: tuple[str, ...] = ()  # prefixes that are heeded; empty: all
    buffer: Size = 16 << 20  # of the socket

    _sizes = field_validator("ring", "buffer", mode="before")(_bytes)
    _durations = field_validator("settle", "idle", "slack")(_duration)

    @field_validator("exporters")
    @classmethod
    def _exporters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_prefix(prefix) for prefix in value)

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return str(ip_address(value.strip()))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "interface" and not self.interface:
            raise ValueError('a source of kind "interface" needs interface = "NAME"')
        if self.kind == "folder" and self.path is None:
            raise ValueError('a source of kind "folder" needs path = "DIR"')
        if self.kind == "log" and self.path is None:
            raise ValueError('a source of kind "log" needs path = "FILE", the log that grows')
        return self


class ReportsTable(_Table):
    """``[[reports]]``: a folder that reports about attacks are put into."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "reports"
    path: Path
    pattern: str = "*"
    settle: Duration = "5s"

    _durations = field_validator("settle")(_duration)


class AssetsTable(_Table):
    """``[[assets]]``: a list of systems and their addresses; ``owner``: whose they are where the list does not say."""

    path: Path
    owner: str = ""


class OrganisationTable(_Table):
    """``[[organisation]]``: who is told when its addresses show up in the dark."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    prefixes: Annotated[tuple[str, ...], Field(min_length=1)]
    sinks: tuple[str, ...] = ()
    language: Literal["en", "ja"] = "en"

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_prefix(prefix) for prefix in value)


class ListsTable(_Table):
    """``[lists]``: known scanners by name, black and white lists by name, reverse names, places."""

    scanners: dict[str, Path] = Field(default_factory=dict)
    black: dict[str, Path] = Field(default_factory=dict)
    white: dict[str, Path] = Field(default_factory=dict)
    rdns: Path | None = None
    geo: Path | None = None


class StoreTable(_Table):
    """``[store]``: where everything is kept, and for how long."""

    path: Path
    casebook: str = ""  # database URL; empty: casebook.db in the store
    history: bool = True
    retention: Duration = "30d"
    keep_tables: Duration = "365d"  # tables that engines publish, delivered messages; findings stay
    history_bytes: Size = 0  # 0: no bound but the retention
    journal_bytes: Size = 4 * 10**9
    commit: Duration = "1s"
    commit_rows: Annotated[int, Field(ge=1)] = 50_000
    history_every: Duration = "45s"
    checkpoint: Duration = "60s"

    _sizes = field_validator("history_bytes", "journal_bytes", mode="before")(_bytes)
    _durations = field_validator("retention", "keep_tables", "commit", "history_every", "checkpoint")(
        _duration
    )


class BudgetTable(_Table):
    """``[budget]``: how far the engines may fall behind before load is shed (and counted)."""

    backlog_rows: Annotated[int, Field(ge=10_000)] = 5_000_000
    query_memory: Size = 10**9

    _sizes = field_validator("query_memory", mode="before")(_bytes)


class MetricsTable(_Table):
    """``[metrics]``: where Prometheus may look; empty: nowhere."""

    listen: str = ""

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        if value:
            host, _, port = value.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65535:
                raise ValueError(f"{value!r} is not HOST:PORT")
        return value


class Config(_Table):
    """The whole file. ``engine`` holds settings by engine; ``sink`` is checked by ``share.outbox``."""

    telescope: TelescopeTable = TelescopeTable()
    inside: tuple[str, ...] = ()  # the organisation's own prefixes; empty: private and link-local addresses
    source: Annotated[tuple[SourceTable, ...], Field(min_length=1)]
    organisation: tuple[OrganisationTable, ...] = ()
    reports: tuple[ReportsTable, ...] = ()
    assets: tuple[AssetsTable, ...] = ()
    lists: ListsTable = ListsTable()
    engine: dict[str, dict[str, Any]] = Field(default_factory=dict)
    store: StoreTable
    budget: BudgetTable = BudgetTable()
    metrics: MetricsTable = MetricsTable()
    sink: tuple[dict[str, Any], ...] = ()
    engines: tuple[str, ...] = ()  # run only these and what they need; empty: all

    @field_validator("inside")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(prefix.strip(), strict=False)) for prefix in value)


def _inconsistent(config: Config) -> Iterator[tuple[list[str | int], str]]:
    """Places and mistakes that no table alone can have."""
    sinks = [str(one.get("name", "")) for one in config.sink]
    for what, names in (
        ("source", [one.name for one in config.source]),
        ("organisation", [one.name for one in config.organisation]),
        ("sink", sinks),
    ):
        for number, name in enumerate(names):
            if name in names[:number]:
                yield [what, number, "name"], f"two {what}s are named {name!r}"
    for number, one in enumerate(config.organisation):
        for sink in one.sinks:
            if sink not in sinks:
                text = f"organisation {one.name!r} names sink {sink!r}, and there is no such [[sink]]"
                yield ["organisation", number, "sinks"], text
    sources = [one.name for one in config.source]
    for number, report in enumerate(config.reports):
        if report.name in (*sources, *(one.name for one in config.reports[:number])):
            yield ["reports", number, "name"], f"two sources are named {report.name!r}"
    owners = [one.name for one in config.organisation]
    for number, assets in enumerate(config.assets):
        if assets.owner and assets.owner not in owners:
            text = f"assets are of {assets.owner!r}, and there is no such [[organisation]]"
            yield ["assets", number, "owner"], text
    readers = [number for number, one in enumerate(config.source) if one.kind == "stdin"]
    for number in readers[1:]:
        yield ["source", number, "kind"], "only one source can read standard input"


def load(path: str | Path) -> Config:
    """Read and check a configuration. Paths in it are relative to its folder. Raises ConfigError, OSError.

    >>> load("no/such/file.toml")
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no/such/file.toml'
    """
    path = Path(path)
    text = path.read_bytes().decode("utf-8", "replace")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+)", str(error))
        raise ConfigError(f"{path}:{match[1] if match else 1}: {error}") from error
    lines = _Lines(text)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(path, lines, item) for item in _causes(error))) from None
    wrong = [f"{path}:{lines.of(place)}: {what}" for place, what in _inconsistent(config)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return _anchored(config, path.resolve().parent)


def line_of(path: str | Path, *place: str | int) -> int:
    """The line of a key, such as ``line_of("andon.toml", "sink", 0, "host")``, or of the table around it; from 1."""
    return _Lines(Path(path).read_bytes().decode("utf-8", "replace")).of(list(place))


def _anchored(config: Config, base: Path) -> Config:
    def at(value: Path | None) -> Path | None:
        return None if value is None else base / value

    sources = tuple(
        one.model_copy(update={"path": at(one.path), "mapping": at(one.mapping), "key": at(one.key)})
        for one in config.source
    )
    reports = tuple(one.model_copy(update={"path": base / one.path}) for one in config.reports)
    assets = tuple(one.model_copy(update={"path": base / one.path}) for one in config.assets)
    lists = config.lists.model_copy(
        update={
            "scanners": {name: base / value for name, value in config.lists.scanners.items()},
            "black": {name: base / value for name, value in config.lists.black.items()},
            "white": {name: base / value for name, value in config.lists.white.items()},
            "rdns": at(config.lists.rdns),
            "geo": at(config.lists.geo),
        }
    )
    store = config.store.model_copy(update={"path": base / config.store.path})
    return config.model_copy(
        update={"source": sources, "lists": lists, "store": store, "reports": reports, "assets": assets}
    )


def _causes(error: ValidationError) -> list[Any]:
    """The errors, without "too few" of a list whose items are wrong."""
    items: list[Any] = list(error.errors())
    places = [item["loc"] for item in items]
    return [
        item
        for item in items
        if item["type"] != "too_short"
        or not any(
            len(place) > len(item["loc"]) and place[: len(item["loc"])] == item["loc"] for place in places
        )
    ]


def _sentence(path: Path, lines: _Lines, item: Any) -> str:
    place = [part for part in item["loc"] if not isinstance(part, str) or part != "function-after"]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such setting"
    elif item["type"] == "missing":
        message = "is missing"
    name = ".".join(str(part) for part in place)
    return f"{path}:{lines.of(place)}: {name + ': ' if name else ''}{message}"


class _Lines:
    """Which line a key stands on; the nearest table header if the key itself is not there."""

    _NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
    _HEADER = re.compile(r"^\s*\[(\[)?\s*([^\]]+?)\s*\]")
    _KEY = re.compile(rf"^\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")

    def __init__(self, text: str) -> None:
        self.at: dict[tuple[str | int, ...], int] = {}
        seen: dict[str, int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            header = self._HEADER.match(line)
            if header is not None:
                parts = self._parts(header[2])
                if header[1]:
                    index = seen.get(header[2], -1) + 1
                    seen[header[2]] = index
                    table = (*parts, index)
                else:
                    table = parts
                self.at.setdefault(table, number)
                continue
            key = self._KEY.match(line)
            if key is not None:
                self.at.setdefault((*table, *self._parts(key[1])), number)

    @staticmethod
    def _parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip("\"'") for part in re.findall(_Lines._NAME, text))

    def of(self, place: list[str | int]) -> int:
        for length in range(len(place), 0, -1):
            line = self.at.get(tuple(place[:length]))
            if line is not None:
                return line
        return 1
