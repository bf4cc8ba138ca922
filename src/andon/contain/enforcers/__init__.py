"""Enforcers by kind, as ``[[enforcer]]`` of the configuration names them; others' by entry point ``andon.enforcers``.

A factory takes ``(name, settings, base)``: the rest of its table, and the folder that its paths are relative to. It
opens no connection. It raises ValueError that names the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from andon.contain.contract import Enforcer

Factory = Callable[[str, Mapping[str, Any], Path], Enforcer]
_GROUP: Final = "andon.enforcers"
# kind -> module that has ``enforcer(name, settings, base)``; imported only when one is configured.
KINDS: Final[Mapping[str, str]] = {
    "dryrun": "andon.contain.enforcers.dryrun",
    "openflow": "andon.contain.enforcers.openflow",
    "nft": "andon.contain.enforcers.nft",
    "edl": "andon.contain.enforcers.edl",
    "rpz": "andon.contain.enforcers.rpz",
    "squid": "andon.contain.enforcers.squid",
    "webhook": "andon.contain.enforcers.webhook",
}


def make_enforcer(settings: Mapping[str, Any], base: Path = Path()) -> Enforcer:
    """The enforcer of one ``[[enforcer]]`` table. Raises ValueError that names the setting."""
    name = settings.get("name")
    if not isinstance(name, str) or not name or len(name) > 64 or not name.isprintable() or "/" in name:
        raise ValueError("an enforcer needs a name of at most 64 characters, without a slash")
    kind = settings.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"enforcer {name!r} needs a kind")
    rest = {key: value for key, value in settings.items() if key not in ("name", "kind")}
    try:
        return _factory(kind)(name, rest, base)
    except (ValueError, TypeError) as error:
        raise ValueError(f"enforcer {name!r}: {error}") from error


def _factory(kind: str) -> Factory:
    if kind in KINDS:
        made: Factory = import_module(KINDS[kind]).enforcer
        return made
    others = {point.name: point for point in entry_points(group=_GROUP)}
    if kind not in others:
        raise ValueError(f"kind is one of {', '.join([*KINDS, *sorted(others)])}, not {kind!r}")
    found: Factory = others[kind].load()
    return found
