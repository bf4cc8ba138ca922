"""Containment by a web proxy: docs/enforcer-squid.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from andon.contain.enforcers.squid.enforcer import SquidEnforcer
from andon.contain.enforcers.squid.settings import Settings, read_settings

__all__ = ["Settings", "SquidEnforcer", "enforcer", "read_settings"]


def enforcer(name: str, settings: Mapping[str, Any], base: Path) -> SquidEnforcer:
    """Raises ValueError that names the setting."""
    return SquidEnforcer(name, read_settings(settings, base))
