"""Any automation that takes JSON by POST: intents, plans, and questions about them. See ``docs/enforcer-webhook.md``.

[[enforcer]]
name = "soar"
kind = "webhook"
url = "https://soar.example.org/andon"
key_file = "/etc/andon/soar-key"           # signs
actions = ["block", "quarantine"]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from andon.contain.contract import PATHS
from andon.contain.enforcers.webhook.client import Receiver
from andon.contain.enforcers.webhook.enforcer import Settings, WebhookEnforcer
from andon.records.intent import ACTIONS, PARTIES
from andon.share.outbox.secret import secret_from

__all__ = ["Receiver", "Settings", "WebhookEnforcer", "enforcer"]

_NAMES: Final = (
    "url", "key_file", "key_env", "token_file", "token_env", "ca_file", "verify", "actions", "parties", "open_paths",
    "seconds", "most",
)  # fmt: skip


def enforcer(
    name: str, settings: Mapping[str, Any], base: Path, now: Callable[[], int] = time.time_ns
) -> WebhookEnforcer:
    """The enforcer of an ``[[enforcer]]`` table. Raises ValueError that names the setting."""
    given = dict(settings)
    for secret in ("key", "token"):
        if isinstance(given.get(f"{secret}_file"), str):
            given[f"{secret}_file"] = base / given[f"{secret}_file"]
    key, token = secret_from(given, "key"), secret_from(given, "token")
    for setting in given:
        if setting not in _NAMES:
            raise ValueError(f"there is no setting {setting!r}; there are {', '.join(_NAMES)}")
    if key is None:
        raise ValueError("key_file or key_env is missing: requests are signed")
    url, ca_file, verify = given.get("url"), given.get("ca_file"), given.get("verify", True)
    if not isinstance(url, str):
        raise ValueError("url is missing")
    if not isinstance(verify, bool):
        raise ValueError(f"verify is true or false, not {verify!r}")
    if ca_file is not None and not isinstance(ca_file, str):
        raise ValueError("ca_file is a path")
    receiver = Receiver(url, key, token, base / ca_file if ca_file else None, verify)
    otherwise = Settings(receiver)
    return WebhookEnforcer(
        name,
        Settings(
            receiver,
            actions=_some(given, "actions", otherwise.actions, ACTIONS),
            parties=_some(given, "parties", otherwise.parties, PARTIES),
            open_paths=_some(given, "open_paths", otherwise.open_paths, PATHS),
            seconds=_number(given, "seconds", 5.0, 0.1, 30.0),
            most=int(_number(given, "most", 10_000, 1, 1_000_000)),
        ),
        now,
    )


def _some(
    given: Mapping[str, Any], name: str, otherwise: tuple[str, ...], every: tuple[str, ...]
) -> tuple[str, ...]:
    value = given.get(name, otherwise)
    if not isinstance(value, list | tuple) or not all(one in every for one in value):
        raise ValueError(f"{name} is a list of some of {', '.join(every)}")
    return tuple(value)


def _number(given: Mapping[str, Any], name: str, otherwise: float, least: float, most: float) -> float:
    value = given.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is a number from {least:g} to {most:g}, not {value!r}")
    return value
