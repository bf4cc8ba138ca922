"""Sensors: bytes in, records out. One file per source format.

``read`` opens a capture. Nothing heavy is imported before it is used, so that ``andon --help`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.observe.capture import Damage
    from andon.observe.reader import Counts, Reader, read
    from andon.observe.sources import NotACapture, sniff

__all__ = ["Counts", "Damage", "NotACapture", "Reader", "read", "sniff"]

_HOME = {"Damage": "capture", "NotACapture": "sources", "sniff": "sources"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'reader')}"), name)
