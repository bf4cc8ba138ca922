"""From the configuration to what runs: the site, engines, sources and sinks. Mistakes name the line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.observe.live.any_log import AnyLog
from andon.observe.live.folder import FolderSource
from andon.observe.live.reports import ReportSource
from andon.observe.live.source import Source
from andon.observe.live.stream import StreamSource
from andon.observe.logs.options import Options
from andon.records.contract import Organisation, Site, duration_ns
from andon.records.kinds import PACKET
from andon.records.model import Model
from andon.run.engines import AnyEngine, EngineError, known_settings, load_engines
from andon.run.live.config import Config, ReportsTable, SourceTable, line_of
from andon.run.live.config_parts import ConfigError
from andon.run.live.records import RecordFiles
from andon.run.live.trouble import Troubles
from andon.share.outbox import Sink, make_sink
from andon.share.policy import Caution, Ground
from andon.store.casebook import Casebook
from andon.store.journal import Journal

if TYPE_CHECKING:
    from andon.run.bus.forwarder import Forwarder


def site_of(config: Config, path: Path) -> tuple[Site, list[str]]:
    """The site that the configuration in ``path`` describes, and what was odd about its lists. Raises ConfigError."""
    from andon.detect.darknet.tools.catalogue import load as catalogue
    from andon.learn.registry import shipped
    from andon.observe import lists
    from andon.observe.reputation import merged, reputation

    remarks: list[str] = []

    def read(place: tuple[str, ...], file: Path, reader: Callable[[Path], tuple[Any, Any]]) -> Any:
        try:
            table, skipped = reader(file)
        except (OSError, ValueError) as error:
            raise _wrong(path, place, _text(error, file)) from error
        remarks.extend([f"{file}: {skipped.lines:,} lines skipped"] if skipped.lines else [])
        return table

    tables = {
        name: read(("lists", "scanners", name), file, lists.scanner_list)
        for name, file in config.lists.scanners.items()
    }
    judged = [
        read(("lists", colour, name), file, partial(reputation, colour=colour, name=name))
        for colour, files in (("black", config.lists.black), ("white", config.lists.white))
        for name, file in files.items()
    ]
    rdns, geo = config.lists.rdns, config.lists.geo
    cves = None
    if config.lists.vulnerabilities:
        from andon.observe.vulnerability import vulnerabilities

        try:
            cves, _ = vulnerabilities(config.lists.vulnerabilities)
        except (OSError, ValueError) as error:
            raise _wrong(path, ("lists", "vulnerabilities"), str(error)) from error
    names = {} if rdns is None else read(("lists", "rdns"), rdns, lists.reverse_names)
    locator = None
    if geo is not None:
        try:
            locator = lists.locator(geo)
        except (OSError, ValueError) as error:
            raise _wrong(path, ("lists", "geo"), _text(error, geo)) from error
    site = Site(
        telescope=config.telescope.prefixes,
        inside=config.inside,
        lists=tables,
        rdns=names,
        locator=locator,
        assets=asset_table(config, path, remarks),
        reputation=merged(judged),
        vulnerabilities=cves,
        organisations=tuple(Organisation(o.name, o.prefixes, o.sinks) for o in config.organisation),
        relations={sign.tool: sign.check for sign in catalogue().globals if sign.explains},
        models=shipped(),
        settings={".".join(place): value for place, value in _settings(config.engine)},
    )
    return site, remarks


def asset_table(config: Config, path: Path, remarks: list[str]) -> pa.Table | None:
    """The assets of every ``[[assets]]``; None without one. Raises ConfigError."""
    from andon.observe.sensors import ASSETS, sniff
    from andon.run.feed import FileReport
    from andon.run.inputs import assets_of

    tables = []
    for number, table in enumerate(config.assets):
        place, report = ("assets", number, "path"), FileReport(str(table.path))
        try:
            sensor = sniff(table.path)
            if sensor is None or sensor.kind != ASSETS:
                raise ValueError(f"{table.path} is not an asset list")
            tables.append(assets_of(sensor, report, table.owner))
        except (OSError, ValueError) as error:
            raise _wrong(path, place, _text(error, table.path)) from error
        lines = sum(report.skipped.values())
        remarks.extend(
            [f"{table.path}: {lines:,} lines skipped ({'; '.join(report.damage)})"] if lines else []
        )
    return pa.concat_tables(tables) if tables else None


def models_of(
    config: Config, book: Casebook, shipped: Mapping[str, Model], path: Path
) -> Mapping[str, Model]:
    """What is promoted in this store and what the configuration names, over what is shipped. Raises ConfigError."""
    from andon.learn import registry
    from andon.learn.feedback.shelf import Shelf, ShelfError, in_use, models_in_use

    knowledge = config.triage.knowledge
    try:
        # Without either nothing is read: what is shipped is loaded when an engine asks for it.
        used = models_in_use(book, Shelf(config.store.path / "learn")) if in_use(book) else shipped
        named = {} if knowledge is None else {"attacker": registry.load(knowledge)}
    except (ShelfError, registry.ModelError, OSError) as error:
        raise _wrong(path, ("triage", "knowledge"), str(error)) from error
    return {kind: used[kind] for kind in used} | named if named else used


def engines_of(config: Config, site: Site, path: Path) -> list[AnyEngine]:
    """Engines in the order in which they conclude; none where this machine only sends ([bus] analyse = false).
    Raises ConfigError."""
    if config.bus is not None and not config.bus.analyse:
        return []
    places = {".".join(place): ("engine", *place) for place, _ in _settings(config.engine)}
    try:
        chosen = load_engines(site, config.engines or None)
    except (EngineError, ValueError) as error:
        found = next((place for name, place in places.items() if name in str(error)), None)
        named = next((n for n, o in enumerate(config.organisation) if repr(o.name) in str(error)), None)
        place = found or (("organisation", named) if named is not None else ("engines",))
        raise _wrong(path, place, str(error)) from error
    known = known_settings(site)
    for name, place in places.items():
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise _wrong(path, place, f"engine setting {name}: there is no such setting; there are {there}")
    return chosen


def sinks_of(config: Config, path: Path) -> list[Sink]:
    """Raises ConfigError."""
    sinks: list[Sink] = []
    if not config.sink:
        return sinks
    ground = ground_of(config, path)
    for number, table in enumerate(config.sink):
        try:
            sinks.append(make_sink(table, path.resolve().parent, ground))
        except (ValueError, OSError) as error:
            key = next((key for key in table if key in str(error).split(": ")[-1].split()), "name")
            raise _wrong(path, ("sink", number, key), str(error)) from error
    return sinks


def ground_of(config: Config, path: Path) -> Ground:
    """What all sinks know of the site. Raises ConfigError."""
    table = config.share
    try:
        key = b""
        if table.key_file is not None:
            from andon.observe.logs.pseudonyms import read_key

            key = read_key(table.key_file)
    except (OSError, ValueError) as error:
        raise _wrong(path, ("share", "key_file"), str(error)) from error
    try:
        caution = Caution(config.inside, table.warning_lists)
    except (OSError, ValueError) as error:
        raise _wrong(path, ("share", "warning_lists"), str(error)) from error
    telescope = tuple(IPv4Network(prefix) for prefix in config.telescope.prefixes) or None
    return Ground(telescope, config.inside, key, dict(table.markings), table.organisation, caution)


def source_of(table: SourceTable, site: Site | None = None) -> Source:
    """The source of one ``[[source]]``. Raises ConfigError, OSError, ValueError (a key that cannot be read)."""
    idle = duration_ns(table.patience) / 1e9
    if table.kind == "folder" and table.path is not None:
        settle = duration_ns(table.settle) / 1e9
        return FolderSource(table.name, table.path, table.pattern, settle, idle=idle)
    if table.kind == "log" and table.path is not None:
        slack, settle = duration_ns(table.slack) / 1e9, duration_ns(table.settle) / 1e9
        return AnyLog(table.name, table.path, options_of(table, site), slack, settle, idle)
    if table.kind == "netflow":
        from andon.observe.live.netflow import NetFlowSource

        return NetFlowSource(
            table.name,
            table.address,
            table.port,
            table.exporters,
            table.buffer,
            slack=duration_ns(table.slack) / 1e9,
        )
    if table.kind == "syslog":
        from andon.observe.live.syslog import SyslogSource

        return SyslogSource(
            table.name, table.transport, table.listens, table.at_port, table.senders, options_of(table, site),
            table.certificate, table.certificate_key, table.client_ca, table.buffer,
            duration_ns(table.slack) / 1e9, idle,
        )  # fmt: skip
    if table.kind == "http-bulk":
        from andon.observe.live.bulk import BulkSource

        token = "" if table.token_file is None else _token(table.token_file)
        return BulkSource(
            table.name, table.listens, table.at_port, token, options_of(table, site), table.certificate,
            table.certificate_key, table.client_ca, table.body, table.waiting,
            slack=duration_ns(table.slack) / 1e9, idle=idle,
        )  # fmt: skip
    if table.kind == "kafka":
        from andon.run.bus.client import Brokers
        from andon.run.bus.source import KafkaSource

        buffer = table.buffer if "buffer" in table.model_fields_set else 64 << 20
        return KafkaSource(
            table.name, Brokers.of(table), table.group or f"andon-{table.name}", table.balance, table.partitions,
            table.sensors, table.start, buffer, idle, table.forgeable,
        )  # fmt: skip
    if table.kind == "stdin":
        return StreamSource(table.name, os.fdopen(0, "rb", buffering=0, closefd=False), idle=idle)
    from andon.observe.live.interface import InterfaceSource

    return InterfaceSource(table.name, table.interface, ring_bytes=table.ring, promiscuous=table.promiscuous)


def _token(path: Path) -> str:
    """The first line of a file. Raises OSError, ValueError."""
    with path.open("rb") as file:
        token = file.read(4096).split(b"\n", 1)[0].strip().decode("utf-8", "replace")
    if len(token) < 16:
        raise ValueError(f"{path}: a token has 16 characters or more")
    return token


def sources_of(config: Config, site: Site, path: Path) -> list[Source]:
    """The sources of every ``[[source]]``. Raises ConfigError."""
    made = []
    for number, table in enumerate(config.source):
        try:
            made.append(source_of(table, site))
        except (OSError, ValueError) as error:
            file = table.token_file or table.key or table.path or path
            if table.kind == "kafka":
                raise _wrong(path, ("source", number), str(error)) from error
            raise _wrong(path, ("source", number, "key"), _text(error, file)) from error
    return made


def options_of(table: SourceTable, site: Site | None = None) -> Options:
    """What the table says about the log's format and terminals. Raises OSError, ValueError."""
    key = None
    if table.key is not None:
        from andon.observe.logs.pseudonyms import read_key

        key = read_key(table.key)
    leases, inside = (None, ()) if site is None else (site.assets, site.inside)
    return Options(table.logformat, table.mapping, table.terminal, key, leases, inside)


def kinds_of(source: Source) -> tuple[str, ...]:
    """Kinds of the records that a source gives."""
    kinds: tuple[str, ...] = getattr(source, "kinds", None) or (getattr(source, "kind", PACKET),)
    return kinds


def kinds_by_name(sources: Sequence[Source]) -> dict[str, tuple[str, ...]]:
    """Kinds of the records that each gives, members that are waited for from the start among them."""
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        members: Mapping[str, tuple[str, ...]] | None = getattr(source, "members", None)
        found |= {source.name: kinds_of(source)} if members is None else {source.name: (), **members}
    return found


def forwarder_of(
    config: Config, path: Path, sources: Sequence[Source], journal: Journal, records: RecordFiles,
    troubles: Troubles, log: Callable[[str, dict[str, Any]], None],
) -> Forwarder | None:  # fmt: skip
    """What sends the journal to a bus; None without ``[bus]``. Raises ConfigError, StoreError."""
    if config.bus is None:
        return None
    from andon.run.bus.client import Brokers, BusError
    from andon.run.bus.forwarder import Forwarder

    try:
        return Forwarder(
            journal, records, config.store.path / "bus", Brokers.of(config.bus), config.bus.name,
            lambda: kinds_by_name(sources), troubles, config.bus.message, config.bus.buffer, log,
        )  # fmt: skip
    except BusError as error:
        raise _wrong(path, ("bus",), str(error)) from error


def reports_of(table: ReportsTable) -> ReportSource:
    """The source of one ``[[reports]]``."""
    return ReportSource(table.name, table.path, table.pattern, duration_ns(table.settle) / 1e9)


def _settings(
    tables: Mapping[str, Any], place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Settings of engines, whether the table is written ``[engine."a.b"]`` or ``[engine.a.b]``."""
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from _settings(value, (*place, name))
        else:
            yield (*place, name), value


def _text(error: Exception, file: Path) -> str:
    return f"{file}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)


def _wrong(path: Path, place: tuple[str | int, ...], text: str) -> ConfigError:
    return ConfigError(f"{path}:{line_of(path, *place)}: {text}")
