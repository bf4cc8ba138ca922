"""Sensors: bytes in, records out. One file per source format.

``read`` opens a capture. Nothing heavy is imported before it is used, so that ``andon --help`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.observe.capture import Damage, NotACapture, Reader, read

__all__ = ["Damage", "NotACapture", "Reader", "read"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from andon.observe import capture

        return getattr(capture, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
