"""External dynamic lists: text files that firewalls fetch by themselves. See ``docs/enforcer-edl.md``.

[[enforcer]]
name = "perimeter"
kind = "edl"
folder = "edl"
format = "pan-os"                    # generic, pan-os, fortigate
warning_lists = ["warninglists"]     # files or folders, MISP's format
[[enforcer.reader]]
name = "fw1"
token_file = "/etc/andon/fw1-token"
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from andon.contain.clock import SteadyClock
from andon.contain.enforcers.edl.enforcer import EdlEnforcer, Settings
from andon.contain.enforcers.edl.entries import GENERIC, LIMITS
from andon.contain.enforcers.edl.readers import Reader
from andon.share.outbox.secret import secret_from
from andon.store.intents.uptime import uptime

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["EdlEnforcer", "Reader", "Settings", "application", "enforcer"]

_NAMES: Final = (
    "folder", "format", "limits", "max_age", "stale_after", "verify", "aggregate", "placeholder", "warning_lists",
    "reader",
)  # fmt: skip


def enforcer(
    name: str, settings: Mapping[str, Any], base: Path, now: Callable[[], int] | None = None
) -> EdlEnforcer:
    """The enforcer of an ``[[enforcer]]`` table. ``now``: ns since 1970; by default a clock that does not follow jumps
    of the time of day, so that a reader is missed neither too soon nor never. Raises ValueError that names the
    setting."""
    for key in settings:
        if key not in _NAMES:
            raise ValueError(f"there is no setting {key!r}; there are {', '.join(_NAMES)}")
    folder = settings.get("folder")
    if not isinstance(folder, str) or not folder:
        raise ValueError("folder is a path")
    form = settings.get("format", GENERIC)
    if form not in LIMITS:
        raise ValueError(f"format is one of {', '.join(LIMITS)}, not {form!r}")
    verify = settings.get("verify", "any")
    if verify not in ("any", "all"):
        raise ValueError(f"verify is any or all, not {verify!r}")
    return EdlEnforcer(
        name,
        Settings(
            folder=base / folder,
            format=form,
            limits=_limits(settings.get("limits", {})),
            max_age=_seconds(settings, "max_age", 300),
            stale_after=_seconds(settings, "stale_after", 900, least=1),
            verify=verify,
            aggregate=_flag(settings, "aggregate"),
            placeholder=_flag(settings, "placeholder"),
            warning_lists=tuple(base / path for path in _texts(settings, "warning_lists")),
            readers=_readers(settings.get("reader", ()), base),
        ),
        now or SteadyClock(time.time_ns, uptime).now,
    )


def application(source: EdlEnforcer, tokens: Sequence[Reader] | None = None) -> Starlette:
    """The HTTP endpoint that serves the lists (ASGI). ``tokens``: who may fetch; None: the readers of the settings."""
    from andon.contain.enforcers.edl.serve import application as made

    return made(source, tokens)


def _limits(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise ValueError("limits is a table of ip, domain, url")
    for key, value in given.items():
        if key not in LIMITS[GENERIC]:
            raise ValueError(f"limits: there is no type {key!r}; there are ip, domain, url")
        if type(value) is not int or not 0 < value <= 10_000_000:
            raise ValueError(f"limits: {key} is a number from 1 to 10,000,000, not {value!r}")
    return dict(given)


def _seconds(settings: Mapping[str, Any], name: str, otherwise: int, least: int = 0) -> int:
    value = settings.get(name, otherwise)
    if type(value) is not int or not least <= value <= 7 * 86_400:
        raise ValueError(f"{name} is a number of seconds from {least} to a week, not {value!r}")
    return value


def _flag(settings: Mapping[str, Any], name: str) -> bool:
    value = settings.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    return value


def _texts(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = settings.get(name, ())
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"{name} is a list of texts")
    return tuple(value)


def _readers(given: Any, base: Path) -> tuple[Reader, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
        raise ValueError("reader is an array of tables ([[enforcer.reader]])")
    made = []
    for one in given:
        name = one.get("name")
        for key in one:
            if key not in ("name", "token_file", "token_env", "token", "lists"):
                raise ValueError(f"reader {name!r}: there is no setting {key!r}")
        if not isinstance(name, str):
            raise ValueError("a reader needs a name")
        rest = dict(one)
        if isinstance(rest.get("token_file"), str):
            rest["token_file"] = base / rest["token_file"]
        secret = secret_from(rest, "token")
        if secret is None:
            raise ValueError(f"reader {name!r}: token_file or token_env is missing")
        made.append(Reader(name, secret, _texts(one, "lists")))
    return tuple(made)
