"""LEEF 2.0: ``LEEF:2.0|vendor|product|version|event id|delimiter|key=value...`` (Log Event Extended Format, QRadar).

The delimiter is a tab, written as ``x09`` in the header so that it survives whatever rewrites tabs there. LEEF has no
escapes: in the header a ``|`` becomes ``/``, in values the delimiter and line breaks become spaces. ``devTime`` is in
milliseconds, which QRadar knows without a format. ``sev`` is from 1 to 10 there; ours are 1, 3, 6, 8 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from andon.share.formats.cef import pairs
from andon.share.formats.view import View, milliseconds

SEVERITY: Final[Mapping[str, int]] = {"informational": 1, "low": 3, "medium": 6, "high": 8, "critical": 10}
DELIMITER: Final = "\t"
# CEF's key to LEEF's, where LEEF names it otherwise.
_KEYS: Final[Mapping[str, str]] = {
    "spt": "srcPort", "dpt": "dstPort", "suser": "usrName", "rt": "", "start": "", "end": "",
    "c6a2": "src", "c6a3": "dst",
    "c6a2Label": "", "c6a3Label": "", "destinationDnsDomain": "domain", "act": "action", "dhost": "identHostName",
}  # fmt: skip


def leef(
    told: View, version: str, text: str | None = None, wire_id: str = "", created: int | None = None
) -> str:
    """One event; arguments as those of ``cef.cef``."""
    head = "|".join([_header(part) for part in ("Andon", "Andon", version, told.kind or told.what)])
    moment = milliseconds(told.first or told.issued)
    if moment is None and created is not None:
        moment = created // 1_000_000
    made = [f"devTime={moment or 0}", f"sev={SEVERITY.get(told.severity, 5)}"]
    label = ""
    for key, said in pairs(told, text, wire_id, created):
        if key.startswith("cs") and key[2:3].isdigit():
            if key.endswith("Label"):
                label = said
            else:
                made.append(f"andon{label.capitalize()}={_value(said)}")
            continue
        name = _KEYS.get(key, key)
        if name:
            made.append(f"{name}={_value(said)}")
    made.append(f"eventName={_value(told.title or told.kind)}")
    return f"LEEF:2.0|{head}|x09|{DELIMITER.join(made)}"


def _header(text: str) -> str:
    return _plain(text).replace("|", "/")


def _value(text: str) -> str:
    return _plain(text)


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])
