"""CPE names (2.2 URI and 2.3 string) as far as asset lists need them: part, vendor, product, version."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_COLON = re.compile(r"(?<!\\):")


class Cpe(NamedTuple):
    part: str  # "h", "o" or "a"
    vendor: str
    product: str
    version: str
    text: str


def parse(text: Any) -> Cpe | None:
    """None for what is no CPE.

    >>> parse("cpe:/h:dahua:ipc-hdw").vendor, parse("cpe:2.3:o:cisco:ios:12.4:*:*:*:*:*:*:*").version
    ('dahua', '12.4')
    """
    if not isinstance(text, str) or not text.lower().startswith("cpe:") or len(text) > 512:
        return None
    fields = _COLON.split(text)
    fields = fields[2:] if fields[1] == "2.3" else [fields[1].lstrip("/"), *fields[2:]]
    fields = [_shown(field) for field in fields] + [""] * 4
    if fields[0] not in ("a", "h", "o"):
        return None
    return Cpe(fields[0], fields[1], fields[2], fields[3], text)


def _shown(field: str) -> str:
    return "" if field in ("*", "-") else field.replace("\\", "").replace("_", " ")


def best(texts: list[Any]) -> Cpe | None:
    """The hardware among them, else the operating system, else the first."""
    found = [cpe for cpe in map(parse, texts) if cpe is not None]
    return min(found, key=lambda cpe: "hoa".index(cpe.part)) if found else None


def split(product: str, cpe: Cpe | None) -> tuple[str, str]:
    """(vendor, product) of ``"Dahua IPC-HDW"`` where the CPE says which of it is the vendor.

    >>> split("TP-Link Archer AX21", parse("cpe:/h:tp-link:archer_ax21"))
    ('TP-Link', 'Archer AX21')
    >>> split("IPC-HDW", parse("cpe:/h:dahua:ipc-hdw"))
    ('dahua', 'IPC-HDW')
    """
    if cpe is None or cpe.part == "a":
        return "", product
    size = len(cpe.vendor)
    if size and product.lower().startswith(cpe.vendor.lower() + " "):
        return product[:size], product[size:].strip()
    return cpe.vendor, product or cpe.product
