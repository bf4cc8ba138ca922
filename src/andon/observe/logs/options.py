"""What the operator says about logs: formats that cannot be recognised, and who a terminal is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Options:
    """``logformat``: a Squid ``logformat`` directive or the name of a built-in one, for text logs; ``mapping``: a TOML
    file that maps the fields of CSV, key=value or JSON lines; every file that they fit is read so, the others as what
    they are. ``terminal``: "user" (the user where the log names one, else the address) or "address". ``key``:
    pseudonyms instead of users and addresses; the way back needs the same key. ``leases``: ``records.asset.ASSET``.
    ``inside``: prefixes whose addresses get pseudonyms in flows, CIDR; empty: private and link-local addresses."""

    logformat: str = ""
    mapping: Path | None = None
    terminal: str = "user"
    key: bytes | None = field(default=None, repr=False)
    leases: pa.Table | None = field(default=None, repr=False, compare=False)
    inside: tuple[str, ...] = ()
