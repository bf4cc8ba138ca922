"""Containment by name servers, as a response policy zone: docs/enforcer-rpz.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from andon.contain.enforcers.rpz.enforcer import RpzEnforcer
from andon.contain.enforcers.rpz.settings import Settings, read_settings

__all__ = ["RpzEnforcer", "Settings", "enforcer", "read_settings"]


def enforcer(name: str, settings: Mapping[str, Any], base: Path) -> RpzEnforcer:
    """Raises ValueError that names the setting."""
    return RpzEnforcer(name, read_settings(settings, base))
