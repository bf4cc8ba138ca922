"""Secrets come from a file or from the environment, are read when they are needed, and are never shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from andon.share.outbox.parcel import Unreachable


@dataclass(frozen=True)
class Secret:
    """Where a password, token or key is kept. A rotated file is picked up at the next delivery.

    >>> Secret(variable="ANDON_DEMO").read({"ANDON_DEMO": "not shown"})
    'not shown'
    """

    file: Path | None = None
    variable: str = ""

    def __post_init__(self) -> None:
        if (self.file is None) == (not self.variable):
            raise ValueError("a secret is in a file or in an environment variable: give one of the two")

    def read(self, environment: Mapping[str, str] = os.environ) -> str:
        """The secret, without the line break at its end. Raises Unreachable if it is missing or empty."""
        if self.file is not None:
            try:
                text = self.file.read_text(encoding="utf-8").strip("\r\n")
            except (OSError, UnicodeError) as error:
                raise Unreachable(
                    f"secret file {self.file}: {getattr(error, 'strerror', None) or 'not UTF-8'}"
                ) from error
        else:
            text = environment.get(self.variable, "")
        if not text:
            raise Unreachable(f"secret {self.file or self.variable} is missing or empty")
        return text

    def hide(self, text: str) -> str:
        """The text without the secret, should a server have sent it back."""
        try:
            secret = self.read()
        except Unreachable:
            return text
        return text.replace(secret, "***")


def secret_from(settings: Mapping[str, object], name: str) -> Secret | None:
    """``NAME_file`` or ``NAME_env`` of a sink's settings. Raises ValueError for both, or a secret in the clear."""
    if name in settings:
        raise ValueError(f"write {name}_file or {name}_env: a {name} does not belong into the configuration")
    file, variable = settings.get(f"{name}_file"), settings.get(f"{name}_env")
    if file is None and variable is None:
        return None
    return Secret(Path(str(file)) if file is not None else None, str(variable or ""))
