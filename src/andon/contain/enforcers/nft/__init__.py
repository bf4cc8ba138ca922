"""Containment by nftables on a gateway or a host: docs/enforcer-nft.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from andon.contain.enforcers.nft.enforcer import NftEnforcer
from andon.contain.enforcers.nft.settings import Settings, read_settings

__all__ = ["NftEnforcer", "Settings", "enforcer", "read_settings"]


def enforcer(name: str, settings: Mapping[str, Any], base: Path) -> NftEnforcer:
    """Raises ValueError that names the setting."""
    return NftEnforcer(name, read_settings(settings, base))
