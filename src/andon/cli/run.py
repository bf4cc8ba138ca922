"""``andon run``, ``andon check-config``, ``andon status``: the live runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, fail, note

if TYPE_CHECKING:
    from rich.live import Live

    from andon.records.contract import Site
    from andon.run.live.config import Config

_CONFIG = typer.Option(Path("andon.toml"), "--config", "-c", help="The configuration.")


def run_command(
    config: Path = _CONFIG,
    once: bool = typer.Option(False, "--once", help="Stop when every folder has been read."),
    log: str = typer.Option("text", "--log", help="text, or json: one object a line, on standard error."),
) -> None:
    """Watch sources without end: journal, engines, findings, alerts, history.

    Stops cleanly on SIGTERM and Ctrl-C; killed in any other way it loses nothing and goes on at the next start.

    Example: andon run --config andon.toml
    """
    import signal
    import sys

    from andon.observe.live.source import SourceError
    from andon.run.live.board import Board
    from andon.run.live.service import Service
    from andon.store.errors import StoreError

    if log not in ("text", "json"):
        fail(f"--log {log!r}: text or json", 2)
    settings = _loaded(config)
    board = _board() if log == "text" and sys.stderr.isatty() else None
    try:
        service = Service(settings, _logger(log, board), config, once)
    except (ValueError, SourceError) as error:
        fail(str(error), 2)
    except (StoreError, OSError) as error:
        fail(str(error), 1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        if board is None:
            service.run()
        else:
            view = Board()
            service.show = lambda status: board.update(view.view(status), refresh=True)
            with board:
                service.run()
    except (StoreError, SourceError, OSError, ValueError) as error:
        fail(str(error), 1)


def check_command(
    file: Path | None = typer.Argument(None, help="The configuration; else that of --config."),
    config: Path = _CONFIG,
) -> None:
    """Check a configuration without starting anything: each mistake with its line.

    Example: andon check-config andon.toml
    """
    import time

    from andon.run.containment import prepared
    from andon.run.containment.build import chain_key, forgeable
    from andon.run.live.config_parts import ConfigError
    from andon.run.live.parts import engines_of, sinks_of, site_of

    config = file or config
    settings = _loaded(config)
    try:
        site, remarks = site_of(settings, config)
        engines = engines_of(settings, site, config)
        sinks_of(settings, config)
        made = prepared(settings, config, site, None, time.time_ns())  # nothing is connected
        made.close()
        chain_key(settings.contain.key_file)
    except (ConfigError, ValueError, OSError) as error:
        fail(str(error), 2)
    remarks += made.policy.notes
    remarks += [*forgeable(settings), *_not_here(settings)]
    for remark in remarks:
        note(f"andon: {remark}")
    print(
        f"{config}: good. {len(settings.source)} source(s), {len(settings.organisation)} organisation(s), "
        f"{_besides(settings, site)}{len(settings.sink)} sink(s), {len(made.enforcers)} enforcer(s)"
    )
    if made.enforcers:
        print(f"containment: {settings.contain.mode}; {', '.join(made.enforcers)}")
    print(f"engines: {', '.join(engine.name for engine in engines)}")


def _besides(settings: Config, site: Site) -> str:
    """What else it names, if it does."""
    assets = 0 if site.assets is None else site.assets.num_rows
    folders = len(settings.reports)
    return (f"{folders} folder(s) of reports, " if folders else "") + (
        f"{assets:,} assets, " if assets else ""
    )


def _not_here(settings: Config) -> list[str]:
    """Sources that cannot be found now. It may be another machine's configuration: no mistake."""
    import socket

    interfaces = [name for _, name in socket.if_nameindex()]
    missing = []
    for one in settings.source:
        if one.kind == "folder" and one.path is not None and not one.path.is_dir():
            missing.append(f"source {one.name}: there is no folder {one.path} on this machine")
        elif one.kind == "log" and one.path is not None and not one.path.parent.is_dir():
            missing.append(f"source {one.name}: there is no folder {one.path.parent} on this machine")
        elif one.kind == "interface" and one.interface not in interfaces:
            missing.append(f"source {one.name}: there is no interface {one.interface} on this machine")
    missing += _no_bus(settings)
    missing += [
        f"reports {one.name}: there is no folder {one.path} on this machine"
        for one in settings.reports
        if not one.path.is_dir()
    ]
    return missing


def _no_bus(settings: Config) -> list[str]:
    """What keeps the client of a bus from being set up; nothing is connected."""
    from andon.run.bus.client import Brokers, BusError, kafka

    tables = [("bus", settings.bus)] if settings.bus is not None else []
    missing = []
    for name, table in [
        *tables,
        *((f"source {one.name}", one) for one in settings.source if one.kind == "kafka"),
    ]:
        try:
            kafka()
            Brokers.of(table).settings()
        except BusError as error:
            missing.append(f"{name}: {error}")
    return missing


def status_command(
    store: Path = typer.Option(Path(), "--store", help="The store's folder; else the one of --config."),
    config: Path = _CONFIG,
    format: Format = typer.Option(Format.table, "--format", help="table, or json."),
) -> None:
    """Say how a running Andon does. Exit code 1 if none runs on that store.

    Example: andon status --store /var/lib/andon
    """
    from andon.run.live.status import read_status

    folder = store if store != Path() else _loaded(config).store.path
    status = read_status(folder)
    if status is None:
        fail(f"no Andon has run on {folder} yet", 1)
    if format is Format.json:
        print(json.dumps(status))
    else:
        _show(status)
    if not status["alive"] or status["state"] != "running":
        raise typer.Exit(1)


def _loaded(path: Path) -> Config:
    from andon.run.live.config import load
    from andon.run.live.config_parts import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror}; docs/live.md has an example to start from", 2)


def _board() -> Live:
    """A place at the foot of the terminal; what is printed to it otherwise goes above."""
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )


def _logger(kind: str, board: Live | None = None) -> Any:
    import logging
    import sys

    import structlog

    renderer: Any = structlog.processors.JSONRenderer()
    if kind == "text":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=8)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if board is None
        else lambda *_: _Above(board),
    )
    logger = structlog.get_logger()

    def log(event: str, values: dict[str, Any]) -> None:
        logger.info(event, **values)

    return log


class _Above:
    """Log lines above the board."""

    def __init__(self, board: Live) -> None:
        self._board = board

    def info(self, text: str) -> None:
        from rich.text import Text

        self._board.console.print(Text.from_ansi(text))


def _show(status: dict[str, Any]) -> None:
    from andon.run.bus.words import lines

    gone = not status["alive"] and status["state"] in ("starting", "running")
    state = "killed, or its machine went down" if gone else status["state"]
    lag = "-" if status["lag"] is None else f"{status['lag']:.1f} s"
    print(f"state     {state}, pid {status['pid']}, since {status['started']}")
    print(f"packets   {status['received']:,} received, {status['journaled']:,} in the journal")
    print(f"engines   {status['backlog']:,} packets behind, lag {lag}, {status['findings']:,} findings")
    if status["shed"] or status["lost"]:
        print(f"left out  {status['shed']:,} shed, {status['lost']:,} lost")
    for line in lines(status.get("bus", {})):
        print(line)
    for kind, rows in status.get("records", {}).items():
        print(f"records   {kind}: {rows:,} received")
    for name, rows in status["sources"].items():
        print(f"source    {name}: {rows:,} received")
    for name, (take, conclude) in status["engines"].items():
        print(f"engine    {name}: {take:.1f} CPU s taking in, {conclude:.1f} concluding")
    for name, states in status["outbox"].items():
        print(f"sink      {name}: " + ", ".join(f"{count:,} {state}" for state, count in states.items()))
    if status.get("withheld"):
        print(f"withheld  {status['withheld']:,} messages that their sink may not carry")
    if status.get("cases"):
        print(f"cases     {status['cases']:,} opened")
    if status.get("contain"):
        from andon.run.live.board import containment_line

        print(containment_line(status["contain"]))
    for text in status["trouble"]:
        print(f"trouble   {text}")
