"""What the tables of ``andon.toml`` are made of: sizes, durations, prefixes, and nothing that is not known."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from andon.records.contract import duration_ns

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?", re.IGNORECASE)
_UNIT = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each mistake, ``FILE:LINE: what``."""


def size_in_bytes(value: Any) -> Any:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{value!r} is not a size: write a number and B, kB, MB, GB or TB")
        return int(float(match[1]) * _UNIT[(match[2] or "B").lower()])
    return value


def checked_duration(value: str) -> str:
    duration_ns(value)
    return value


def checked_prefix(value: str) -> str:
    return str(ip_network(value.strip()))


Size = Annotated[int, Field(ge=0)]
Duration = Annotated[str, Field()]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
