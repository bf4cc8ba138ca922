"""``andon.toml``: what the operator says, checked before anything starts. Errors name the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from andon.run.feed import IPV6_TELESCOPE
from andon.run.live.config_bus import OF_KAFKA, PATHS, BusTable, KafkaFields, is_loopback
from andon.run.live.config_contain import ContainTable, ServeTable, ShareTable
from andon.run.live.config_lines import Lines
from andon.run.live.config_parts import (
    ConfigError,
    Duration,
    Size,
    Table,
    checked_duration,
    checked_prefix,
    size_in_bytes,
)

T = TypeVar("T", bound=Table)


class TelescopeTable(Table):
    """``[telescope]``: the dark prefixes (IPv4)."""

    prefixes: tuple[str, ...] = ()

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            if ip_network(prefix.strip()).version != 4:
                raise ValueError(f"telescope prefix {prefix!r}: {IPV6_TELESCOPE}")
        return tuple(checked_prefix(prefix) for prefix in value)


class SourceTable(KafkaFields):
    """``[[source]]``: where packets come from, a log that grows (kind "log": of a honeypot, proxy or sensor, or
    alerts), exports of flows (kind "netflow"), alerts that others send (kinds "syslog" and "http-bulk"), or what other
    machines have in their journals (kind "kafka")."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    kind: Literal["interface", "folder", "stdin", "log", "netflow", "syslog", "http-bulk", "kafka"]
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
    # Of listeners for alerts.
    transport: Literal["udp", "tcp", "tls"] = "udp"  # of syslog
    senders: tuple[str, ...] = ()  # of syslog: prefixes that are heeded; empty: all
    client_ca: Path | None = None  # senders show a certificate of it
    token_file: Path | None = None  # of http-bulk; may be left out on a loopback address alone
    body: Size = 16 << 20  # of http-bulk: largest body, unpacked
    waiting: Size = 64 << 20  # of http-bulk: bodies that may wait for the journal

    _sizes = field_validator("ring", "buffer", "body", "waiting", mode="before")(size_in_bytes)
    _durations = field_validator("settle", "idle", "slack")(checked_duration)

    @field_validator("exporters", "senders")
    @classmethod
    def _exporters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_prefix(prefix) for prefix in value)

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return str(ip_address(value.strip()))

    @property
    def listens(self) -> str:
        """The address that it listens on: of http-bulk the loopback one if none is given."""
        return (
            "127.0.0.1"
            if self.kind == "http-bulk" and "address" not in self.model_fields_set
            else self.address
        )

    @property
    def forgeable(self) -> bool:
        """Whether anybody who reaches its port can send what he likes: no certificate or token is asked for. Addresses
        of senders are no proof, and NetFlow knows no other."""
        if self.kind == "kafka":  # a topic that is open to all; who may write to one is the broker's to say
            return not (
                self.spoken.startswith("sasl") or self.certificate or all(map(is_loopback, self.brokers))
            )
        if self.kind not in ("syslog", "http-bulk", "netflow") or ip_address(self.listens).is_loopback:
            return False
        if self.kind == "http-bulk":
            return self.token_file is None
        return self.kind == "netflow" or self.transport != "tls" or self.client_ca is None

    @property
    def at_port(self) -> int:
        """The port, by default that of the protocol."""
        if "port" in self.model_fields_set or self.kind not in ("syslog", "http-bulk"):
            return self.port
        return 8088 if self.kind == "http-bulk" else {"udp": 514, "tcp": 601, "tls": 6514}[self.transport]

    @property
    def patience(self) -> str:
        """After how long a silence nobody waits any more: of a sensor behind a bus sooner, for it says every second
        that it is there."""
        return "5min" if self.kind == "kafka" and "idle" not in self.model_fields_set else self.idle

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "kafka":
            self.check_kafka()
        elif strange := OF_KAFKA & self.model_fields_set:
            raise ValueError(f'{min(strange)} is a setting of kind "kafka", not of "{self.kind}"')
        if self.kind == "interface" and not self.interface:
            raise ValueError('a source of kind "interface" needs interface = "NAME"')
        if self.kind == "folder" and self.path is None:
            raise ValueError('a source of kind "folder" needs path = "DIR"')
        if self.kind == "log" and self.path is None:
            raise ValueError('a source of kind "log" needs path = "FILE", the log that grows')
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key go together")
        if self.kind == "syslog" and self.transport == "tls" and self.certificate is None:
            raise ValueError('transport = "tls" needs certificate and certificate_key')
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs certificate and certificate_key")
        if self.kind == "http-bulk" and self.token_file is None and not ip_address(self.listens).is_loopback:
            raise ValueError(
                'a source of kind "http-bulk" needs token_file = "FILE" unless address is a loopback address'
            )
        return self


class ReportsTable(Table):
    """``[[reports]]``: a folder that reports about attacks are put into."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "reports"
    path: Path
    pattern: str = "*"
    settle: Duration = "5s"

    _durations = field_validator("settle")(checked_duration)


class AssetsTable(Table):
    """``[[assets]]``: a list of systems and their addresses; ``owner``: whose they are where the list does not say."""

    path: Path
    owner: str = ""


class OrganisationTable(Table):
    """``[[organisation]]``: who is told when its addresses show up in the dark."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    prefixes: Annotated[tuple[str, ...], Field(min_length=1)]
    sinks: tuple[str, ...] = ()
    language: Literal["en", "ja"] = "en"

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_prefix(prefix) for prefix in value)


class ListsTable(Table):
    """``[lists]``: known scanners by name, black and white lists by name, reverse names, places."""

    scanners: dict[str, Path] = Field(default_factory=dict)
    black: dict[str, Path] = Field(default_factory=dict)
    white: dict[str, Path] = Field(default_factory=dict)
    vulnerabilities: tuple[Path, ...] = ()  # CVE records
    rdns: Path | None = None
    geo: Path | None = None


class StoreTable(Table):
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

    _sizes = field_validator("history_bytes", "journal_bytes", mode="before")(size_in_bytes)
    _durations = field_validator("retention", "keep_tables", "commit", "history_every", "checkpoint")(
        checked_duration
    )


class TriageTable(Table):
    """``[triage]``: alerts and findings as cases (docs/cases.md)."""

    cases: bool = True
    every: Duration = "10s"  # how often what is new is made cases of
    sinks: tuple[str, ...] = ()  # who is told when a case is to be acted on
    level: Literal["low", "medium", "high", "critical"] = "medium"  # told from this level on
    knowledge: Path | None = None  # of attackers (andon learn knowledge)
    keep_alerts: Duration = "90d"
    keep_episodes: Duration = "365d"  # those in no case
    keep_cases: Duration = "1825d"  # closed ones, with their verdicts

    _durations = field_validator("every", "keep_alerts", "keep_episodes", "keep_cases")(checked_duration)


class BudgetTable(Table):
    """``[budget]``: how far the engines may fall behind before load is shed (and counted)."""

    backlog_rows: Annotated[int, Field(ge=10_000)] = 5_000_000
    query_memory: Size = 10**9

    _sizes = field_validator("query_memory", mode="before")(size_in_bytes)


class MetricsTable(Table):
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


class Config(Table):
    """The whole file. ``engine`` holds settings by engine; ``sink`` is checked by ``share.outbox``,
    ``enforcer`` by ``contain.enforcers``, ``taxii`` by ``share.taxii``, ``hub`` by ``share.hub``."""

    telescope: TelescopeTable = TelescopeTable()
    inside: tuple[str, ...] = ()  # the organisation's own prefixes; empty: private and link-local addresses
    source: Annotated[tuple[SourceTable, ...], Field(min_length=1)]
    organisation: tuple[OrganisationTable, ...] = ()
    reports: tuple[ReportsTable, ...] = ()
    assets: tuple[AssetsTable, ...] = ()
    lists: ListsTable = ListsTable()
    engine: dict[str, dict[str, Any]] = Field(default_factory=dict)
    store: StoreTable
    triage: TriageTable = TriageTable()
    budget: BudgetTable = BudgetTable()
    metrics: MetricsTable = MetricsTable()
    sink: tuple[dict[str, Any], ...] = ()
    contain: ContainTable = ContainTable()
    enforcer: tuple[dict[str, Any], ...] = ()
    serve: ServeTable = ServeTable()
    share: ShareTable = ShareTable()
    bus: BusTable | None = None
    taxii: dict[str, Any] = Field(default_factory=dict)
    hub: dict[str, Any] | None = None  # None: no hub; an empty table: one with the usual limits
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
        ("enforcer", [str(one.get("name", "")) for one in config.enforcer]),
    ):
        for number, name in enumerate(names):
            if name in names[:number]:
                yield [what, number, "name"], f"two {what}s are named {name!r}"
    for number, one in enumerate(config.organisation):
        for sink in one.sinks:
            if sink not in sinks:
                text = f"organisation {one.name!r} names sink {sink!r}, and there is no such [[sink]]"
                yield ["organisation", number, "sinks"], text
    for table, named in (
        ("triage", config.triage.sinks),
        ("contain", config.contain.sinks),
    ):
        for sink in named:
            if sink not in sinks:
                yield [table, "sinks"], f"{table} names sink {sink!r}, and there is no such [[sink]]"
    for table, given in (("taxii", bool(config.taxii)), ("hub", config.hub is not None)):
        if given and not config.serve.listen:
            yield [table], f'[{table}] is served by [serve]: it needs listen = "ADDRESS:PORT" there'
    if config.hub is not None and not config.serve.loopback and config.serve.certificate is None:
        yield ["serve", "listen"], "a [hub] that others reach needs certificate and certificate_key"
    if config.bus is not None:
        for number in [n for n, one in enumerate(config.source) if one.kind == "kafka"]:
            yield (
                ["source", number, "kind"],
                "a machine that reads a bus does not send its journal to one ([bus])",
            )
    if config.enforcer and not config.triage.cases:
        yield ["enforcer", 0], "an [[enforcer]] needs cases: [triage] cases = true"
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
    lines = Lines(text)
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
    return Lines(Path(path).read_bytes().decode("utf-8", "replace")).of(list(place))


_PLACES = (
    "path",
    "mapping",
    "key",
    "client_ca",
    "token_file",
    *PATHS,
)  # of a source


def _anchored(config: Config, base: Path) -> Config:
    def at(value: Path | None) -> Path | None:
        return None if value is None else base / value

    sources = tuple(
        one.model_copy(
            update={place: at(value) for place in _PLACES if (value := getattr(one, place)) is not None}
        )
        for one in config.source
    )
    reports = tuple(one.model_copy(update={"path": base / one.path}) for one in config.reports)
    assets = tuple(one.model_copy(update={"path": base / one.path}) for one in config.assets)
    lists = config.lists.model_copy(
        update={
            "scanners": {name: base / value for name, value in config.lists.scanners.items()},
            "black": {name: base / value for name, value in config.lists.black.items()},
            "white": {name: base / value for name, value in config.lists.white.items()},
            "vulnerabilities": tuple(base / value for value in config.lists.vulnerabilities),
            "rdns": at(config.lists.rdns),
            "geo": at(config.lists.geo),
        }
    )
    store = config.store.model_copy(update={"path": base / config.store.path})
    triage = config.triage.model_copy(update={"knowledge": at(config.triage.knowledge)})
    contain = _based(config.contain, base, "policy", "places", "key_file")
    serve = _based(config.serve, base, "certificate", "certificate_key", "client_ca")
    share = _based(config.share, base, "key_file")
    lists_of_share = tuple(base / one for one in share.warning_lists)
    return config.model_copy(
        update={
            "source": sources,
            "lists": lists,
            "store": store,
            "reports": reports,
            "assets": assets,
            "triage": triage,
            "contain": contain,
            "serve": serve,
            "share": share.model_copy(update={"warning_lists": lists_of_share}),
            "bus": None if config.bus is None else _based(config.bus, base, *PATHS),
        }
    )


def _based(table: T, base: Path, *names: str) -> T:
    """The table with its paths relative to the configuration's folder."""
    given = {name: base / value for name in names if (value := getattr(table, name)) is not None}
    return table.model_copy(update=given)


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


def _sentence(path: Path, lines: Lines, item: Any) -> str:
    place = [part for part in item["loc"] if not isinstance(part, str) or part != "function-after"]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such setting"
    elif item["type"] == "missing":
        message = "is missing"
    name = ".".join(str(part) for part in place)
    return f"{path}:{lines.of(place)}: {name + ': ' if name else ''}{message}"
