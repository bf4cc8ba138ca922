"""What a reverse name (PTR) says of a source. Anyone can choose the reverse name of an own address, and it was
not confirmed by a forward look-up, so it is evidence of middling weight at most."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_SURVEY = re.compile(
    r"(^|[.\-_\d])(scan(ner|ning|s)?|survey|census|research|probes?|crawler|measurements?|internet-?measurement|"
    r"netscan|security-?scan|shadowserver|shodan|censys|binaryedge|stretchoid|onyphe|leakix|driftnet|rapid7|"
    r"internet-census|openintel|academyforinternetresearch|cybergreen|netsystemsresearch)([.\-_\d]|$)"
)
_HOME = re.compile(
    r"(^|[.\-_\d])(a?dsl|vdsl|ppp(oe)?|dyn(amic)?|dial(up)?|pool|cable|broadband|cpe|ftth|fib(er|re)|mobile|gprs|"
    r"lte|customers?|clients?|home|res(idential)?)([.\-_\d]|$)"
)
NONE, SURVEY, HOME = 0, 1, 2


def read(name: str) -> int:
    """
    >>> read("scan-07.shadowserver.org"), read("p4f3.dyn.example.net"), read("mail.example.net")
    (1, 2, 0)
    """
    name = name.lower().rstrip(".")
    if _SURVEY.search(name):
        return SURVEY
    return HOME if _HOME.search(name) else NONE


def kinds(address: np.ndarray, rdns: Mapping[int, str]) -> np.ndarray:
    """int8 array: SURVEY, HOME or NONE for each address (uint32)."""
    out = np.zeros(len(address), np.int8)
    if rdns:
        for at, number in enumerate(address.tolist()):
            name = rdns.get(number)
            if name:
                out[at] = read(name)
    return out
