"""Which classes of devices may be the same thing under two names (the names are Recog's)."""

from __future__ import annotations

from typing import Final

_KIN: Final = (
    frozenset(
        {"Router", "Broadband Router", "DSL Modem", "Cable Modem", "DOCSIS Cable Modem", "ADSL Router", "ADSL Modem"}
    ),
    frozenset({"IP Camera", "Web Cam"}),
    frozenset({"DVR", "Cloud Network Video Recorder"}),
    frozenset({"Printer", "Multifunction Device", "Print Server", "Copier"}),
    frozenset({"NAS", "Storage", "Storage Appliance"}),
    frozenset({"WAP", "WLAN Repeater", "Wireless Controller"}),
    frozenset({"VoIP", "SIP Device", "VoIP Gateway", "SIP Gateway"}),
)  # fmt: skip


def same_class(one: str, other: str) -> bool:
    """Whether two classes may be the same device: equal, or of one kind.

    >>> same_class("Broadband Router", "router"), same_class("NAS", "DVR")
    (True, False)
    """
    if one.casefold() == other.casefold():
        return True
    return any({one.casefold(), other.casefold()} <= {name.casefold() for name in kin} for kin in _KIN)
