"""Words of alerts in one form: severities, dispositions, techniques, CVEs, titles without the event's values."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

from andon.records.alert import (
    ALLOWED,
    BLOCKED,
    CRITICAL,
    FATAL,
    HIGH,
    INFORMATIONAL,
    LOW,
    MEDIUM,
    NOT_TOLD,
    UNKNOWN,
)

_SEVERITIES: Final = {
    "informational": INFORMATIONAL, "information": INFORMATIONAL, "info": INFORMATIONAL, "notice": INFORMATIONAL,
    "debug": INFORMATIONAL, "none": INFORMATIONAL, "undefined": UNKNOWN, "unknown": UNKNOWN, "low": LOW, "minor": LOW,
    "medium": MEDIUM, "med": MEDIUM, "moderate": MEDIUM, "warning": MEDIUM, "warn": MEDIUM, "high": HIGH,
    "major": HIGH, "error": HIGH, "severe": HIGH, "very-high": CRITICAL, "very high": CRITICAL, "critical": CRITICAL,
    "crit": CRITICAL, "emergency": FATAL, "emerg": FATAL, "fatal": FATAL,
}  # fmt: skip
_BLOCKING: Final = re.compile(
    r"block|den(?:y|ied)|drop|reject|prevent|quarantin|reset|refus|clean|delet|kill", re.I
)
_LETTING: Final = re.compile(
    r"allow|permit|accept|pass|detect|alert|monitor|audit|log\b|success|no action", re.I
)
_TECHNIQUE: Final = re.compile(r"(?<![A-Za-z0-9])T(1\d{3})(?:[./](\d{3}))?(?![0-9])", re.I)
_CVE: Final = re.compile(r"(?<![A-Za-z])CVE[-_](\d{4})[-_](\d{4,9})(?![0-9])", re.I)
_LONGEST_TITLE: Final = 300
_MOST: Final = 32  # techniques or CVEs of one alert
# What changes from one event to the next; the order matters.
_VALUES: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>]+"  # URLs
    r"|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"  # mail addresses
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # GUIDs
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"  # times
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{1,5})?\b"  # IPv4
    r"|\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b"  # MAC
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){0,7}(?![\w:])|(?<![\w:])::(?:[0-9a-f]{1,4}:?){1,7}(?!\w)"
    r"|\b[0-9a-f]{32,128}\b"  # hashes
    r"|\b0x[0-9a-f]{3,16}\b"
    r"|\b[a-z]:\\[^\s\"'<>|]+|(?<![\w/])/(?:[\w.@%+-]+/)+[\w.@%+-]*"  # paths
    r"|\"[^\"]{0,200}\"|(?<!\w)'[^']{0,200}'(?!\w)"  # what is in quotes
    r"|(?<![-\d])\b\d{5,}\b",  # process numbers, counts
    re.IGNORECASE,
)


def severity(text: str) -> int:
    """OCSF's severity_id of a word; of a number from 0 to 10 as CEF grades it. UNKNOWN for anything else.

    >>> severity("High"), severity("9"), severity("3"), severity("?")
    (4, 5, 2, 0)
    """
    found = _SEVERITIES.get(text.strip().lower())
    return found if found is not None else ten(text)


def ten(text: str) -> int:
    """Of a number from 0 to 10, as CEF does: low to 3, medium to 6, high to 8, very high to 10."""
    try:
        grade = float(text) if len(text) < 8 else -1.0
    except ValueError:
        return UNKNOWN
    if not 0 <= grade <= 10:
        return UNKNOWN
    return (
        INFORMATIONAL
        if grade == 0
        else LOW
        if grade < 4
        else MEDIUM
        if grade < 7
        else HIGH
        if grade < 9
        else CRITICAL
    )


def hundred(text: str) -> int:
    """Of a risk score from 0 to 100, as Elastic does: low to 46, medium to 72, high to 98, critical above."""
    try:
        score = float(text) if len(text) < 8 else -1.0
    except ValueError:
        return UNKNOWN
    if not 0 < score <= 100:
        return UNKNOWN
    return LOW if score < 47 else MEDIUM if score < 73 else HIGH if score < 99 else CRITICAL


def disposition(text: str) -> int:
    """What an action says became of it.

    >>> disposition("Blocked"), disposition("allowed"), disposition("")
    (2, 1, 0)
    """
    if not text:
        return NOT_TOLD
    return BLOCKED if _BLOCKING.search(text) else ALLOWED if _LETTING.search(text) else NOT_TOLD


def techniques(text: str) -> str:
    """ATT&CK techniques in a text, in capitals, each once, joined with commas.

    >>> techniques('["attack.t1059.001", "T1110", "attack.execution"]')
    'T1059.001,T1110'
    """
    if "1" not in text:
        return ""
    found = (f"T{a}.{b}" if b else f"T{a}" for a, b in _TECHNIQUE.findall(text))
    return ",".join(list(dict.fromkeys(found))[:_MOST])


def cves(text: str) -> str:
    """CVEs in a text, likewise.

    >>> cves('["CVE_2021_44228"]'), cves("x")
    ('CVE-2021-44228', '')
    """
    if "-" not in text and "_" not in text:
        return ""
    return ",".join(list(dict.fromkeys(f"CVE-{a}-{b}" for a, b in _CVE.findall(text)))[:_MOST])


@lru_cache(maxsize=16_384)
def bare(title: str) -> str:
    """A title without addresses, names of files, numbers and whatever else is of one event alone.

    >>> bare("sshd: 192.0.2.1 tried 'root' 12345 times")
    'sshd: * tried * * times'
    """
    made = _VALUES.sub("*", title[: 4 * _LONGEST_TITLE])
    return " ".join(made.split())[:_LONGEST_TITLE]


def listed(text: str) -> str:
    """A list of JSON, its texts joined with commas; of one of objects their names; another text as it is.

    >>> listed('["a", "b"]'), listed("a"), listed('[{"name": "x"}]')
    ('a,b', 'a', 'x')
    """
    items = _items(text)
    return text if items is None else ",".join(filter(None, (_told(item) for item in items[:64])))


def first(text: str) -> str:
    """The first item of a list of JSON; another text as it is.

    >>> first('["192.0.2.1", "192.0.2.2"]')
    '192.0.2.1'
    """
    items = _items(text)
    if items is None:
        return text
    return _told(items[0]) if items else ""


def _items(text: str) -> list[Any] | None:
    """Of a list of JSON (whatever begins with a bracket and can be read is one); None for another text."""
    if not text.startswith("["):
        return None
    try:
        items: list[Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return items


def _told(item: Any) -> str:
    if isinstance(item, dict):
        return next(
            (str(item[key]) for key in ("name", "value", "uid", "id", "address") if item.get(key)), ""
        )
    return "" if item is None or isinstance(item, list) else str(item)
