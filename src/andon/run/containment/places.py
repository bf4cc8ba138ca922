"""Where systems are plugged in: a table that the site keeps, as CSV with the columns key, switch, port and mac."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

Place = tuple[str, int, str]  # name of the enforcer that is the switch, port, hardware address
_COLUMNS: Final = ("key", "switch", "port", "mac")
_MOST: Final = 1_000_000


def read_places(path: Path) -> dict[str, Place]:
    """key (host name, address or hardware address) -> place. ``mac`` may be left out. Raises OSError, ValueError that
    names the line.

    key,switch,port,mac
    pc7.corp.example,core-switch,12,00:11:22:33:44:55
    """
    found: dict[str, Place] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.DictReader(file)
        names = [(name or "").strip().lower() for name in rows.fieldnames or ()]
        missing = [name for name in _COLUMNS[:3] if name not in names]
        if missing:
            raise ValueError(f"{path}:1: the column {missing[0]!r} is missing; there are {', '.join(names)}")
        rows.fieldnames = names
        for row in rows:
            line = rows.line_num
            key, switch, port = ((row.get(name) or "").strip() for name in _COLUMNS[:3])
            if not key or not switch:
                raise ValueError(f"{path}:{line}: key and switch are needed")
            if not port.isdecimal() or not 0 < int(port) < 1 << 32:
                raise ValueError(f"{path}:{line}: port {port[:20]!r} is no number of a port")
            if key in found:
                raise ValueError(f"{path}:{line}: {key[:80]!r} is in the table twice")
            if len(found) >= _MOST:
                raise ValueError(f"{path}:{line}: more than {_MOST:,} places")
            found[key] = (switch, int(port), (row.get("mac") or "").strip().lower())
    return found
