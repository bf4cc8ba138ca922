"""``[serve]``: what others fetch from a running Andon over HTTP, on one port: lists for firewalls, STIX objects, what a
DAEDALUS hub tells its members."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from andon.contain.contract import Enforcer
from andon.run.live.config import Config, line_of
from andon.run.live.config_contain import ServeTable
from andon.run.live.config_parts import ConfigError


def serve(table: ServeTable, applications: Mapping[str, Any]) -> Callable[[], None]:
    """Serve ASGI applications by the prefix of their path (``/edl``) in a thread; gives a function that stops it.
    Raises OSError that names the address, ValueError for a certificate that cannot be used."""
    if not table.listen or not applications:
        return lambda: None
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from andon.observe.live.http_thread import serve as in_thread

    host, port = table.place
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"[serve] listen {table.listen}: {error.strerror or error}") from error
    whole = Starlette(routes=[Mount(prefix, app=made) for prefix, made in applications.items()])
    try:
        server, thread = in_thread(
            whole, listening, table.certificate, table.certificate_key, table.client_ca, "serve"
        )
    except (OSError, ValueError):
        listening.close()
        raise

    def stop() -> None:
        server.should_exit = True
        thread.join(timeout=10.0)
        listening.close()

    return stop


def applications(
    config: Config, path: Path, enforcers: Mapping[str, Enforcer], store: Path
) -> dict[str, Any]:
    """What ``[serve]`` of the configuration in ``path`` has served, by prefix. Raises ConfigError, StoreError."""
    made: dict[str, Any] = {}
    if not config.serve.listen:
        return made
    for number, table in enumerate(config.enforcer):
        if table.get("kind") == "edl":
            from andon.contain.enforcers import edl

            if not table.get("reader") and not config.serve.loopback:
                text = "its lists are served to other machines: it needs an [[enforcer.reader]] with a token"
                raise ConfigError(f"{path}:{line_of(path, 'enforcer', number)}: {text}")
            enforcer = enforcers[str(table["name"])]
            if isinstance(enforcer, edl.EdlEnforcer):
                made[f"/edl/{enforcer.name}"] = edl.application(enforcer)
    if config.taxii:
        from andon.share.taxii.server import application
        from andon.share.taxii.settings import settings_from

        try:
            settings = settings_from(config.taxii, path.resolve().parent)
        except ValueError as error:
            raise ConfigError(f"{path}:{line_of(path, 'taxii')}: {error}") from error
        made["/taxii2"] = application(store / "share" / "taxii", settings)
    if config.hub is not None:
        made["/hub"] = _hub(config.hub, path, store)
    return made


def _hub(table: Mapping[str, Any], path: Path, store: Path) -> Any:
    from andon.share.hub.app import application
    from andon.share.hub.store import rules_from

    for name, value in table.items():  # one by one, so that the error names the line
        try:
            rules_from({name: value})
        except ValueError as error:
            raise ConfigError(f"{path}:{line_of(path, 'hub', name)}: {error}") from error
    return application(store / "hub", rules_from(table))
