"""Containment by a switch that speaks OpenFlow 1.3 (Open vSwitch, or another): docs/enforcer-openflow.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from andon.contain.enforcers.openflow.enforcer import OpenFlowEnforcer
from andon.contain.enforcers.openflow.settings import read_settings


def enforcer(name: str, settings: Mapping[str, Any], base: Path) -> OpenFlowEnforcer:
    """Of one ``[[enforcer]]`` table; opens no connection. Raises ValueError that names the setting."""
    return OpenFlowEnforcer(name, read_settings(settings, base))
