"""When a report was published: dates in fields, in the head of a page and in the head of a text, in English and
Japanese. A date in the running text tells of an event and is not taken.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

_FIRST, _LAST = 1990, 2100
_HEAD: Final = 2_000  # characters of a text in which it may say when it was published
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), 1)
    for name in names.split()
}  # fmt: skip
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_ISO = re.compile(
    r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)"
    r"(?:[T ]{1,2}(\d{2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?\s?(Z|UTC|GMT|JST|[+-]\d{2}:?\d{2})?)?"
)
_BASIC = re.compile(r"^\s*(?:D:)?(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})(Z|[+-]\d{2}'?:?\d{2}'?)?)?")
_DAY_FIRST = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th)?\s({_MONTH})[,\s]\s?(\d{{4}})(?!\d)", re.IGNORECASE
)
_MONTH_FIRST = re.compile(
    rf"(?<![A-Za-z])({_MONTH})\s(\d{{1,2}})(?:st|nd|rd|th)?,?\s(\d{{4}})(?!\d)", re.IGNORECASE
)
_KANJI = re.compile(r"(?:(\d{4})|(令和|平成)\s?(\d{1,2}|元))\s?年\s?(\d{1,2})\s?月\s?(\d{1,2})\s?日")
_ERAS: Final = {"令和": 2018, "平成": 1988}
_LABEL = re.compile(
    r"(?:published|posted|publication date|release date|released|issued|date|updated|last revised|created|"
    r"公開日?|掲載日?|発行日?|更新日?|最終更新日?|作成日?|発表日?|日付)(?:\s(?:on|at))?\s{0,2}[:：|]?\s{0,2}",
    re.IGNORECASE,
)
JST: Final = 9 * 3600


def of_field(value: Any) -> int | None:
    """ns since 1970 UTC of a field's value: a text, or seconds, milliseconds or nanoseconds since 1970.

    >>> of_field("2026-03-14") == of_field("14 March 2026") == of_field(1773446400) == 1773446400 * 10**9
    True
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        if not 0 < value < 5e18:
            return None
        for unit in (1_000_000_000, 1_000_000, 1_000, 1):
            seconds = float(value) * unit / 1e9
            if 631_152_000 <= seconds < 4_133_980_800:  # 1990 to 2100
                return int(value * unit) if isinstance(value, int) else round(value * unit)
        return None
    text = str(value).strip()[:200]
    found = _first(text)
    if found is None and (match := _BASIC.match(text)):
        year, month, day, hour, minute, second, zone = match.groups()
        found = _made(year, month, day, hour, minute, second, zone)
    return found


def of_head(text: str) -> int | None:
    """Date by which the head of a text says when it was published: behind a label, or alone in one of the first
    lines."""
    head = text[:_HEAD]
    for label in _LABEL.finditer(head):
        found = _first(head[label.end() : label.end() + 48], at_start=True)
        if found is not None:
            return found
    for line in head.splitlines()[:8]:
        stripped = line.strip().strip("*_#()（）[]|・- ")
        if len(stripped) <= 40:
            for pattern in (_KANJI, _MONTH_FIRST, _DAY_FIRST, _ISO):
                match = pattern.search(stripped)
                if match and len(match.group()) >= len(stripped) - 12:
                    return _of(pattern, match)
    return None


def _first(text: str, at_start: bool = False) -> int | None:
    for pattern in (_ISO, _KANJI, _MONTH_FIRST, _DAY_FIRST):
        match = pattern.search(text)
        if match and not (at_start and match.start() > 4):
            found = _of(pattern, match)
            if found is not None:
                return found
    return None


def _of(pattern: re.Pattern[str], match: re.Match[str]) -> int | None:
    groups = match.groups()
    if pattern is _ISO:
        return _made(*groups)
    if pattern is _KANJI:
        year, era, in_era, month, day = groups
        if year is None:
            year = str(_ERAS[era] + (1 if in_era == "元" else int(in_era)))
        return _made(year, month, day)
    day, month, year = groups if pattern is _DAY_FIRST else (groups[1], groups[0], groups[2])
    return _made(year, str(_MONTHS[month.lower().rstrip(".")]), day)


def _made(
    year: str, month: str, day: str,
    hour: str | None = None, minute: str | None = None, second: str | None = None, zone: str | None = None,
) -> int | None:  # fmt: skip
    if not _FIRST <= int(year) < _LAST:
        return None
    try:
        date(int(year), int(month), int(day))
        at = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), 59),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    at -= timedelta(seconds=_offset(zone))
    return int(at.timestamp()) * 1_000_000_000


def _offset(zone: str | None) -> int:
    if not zone or zone in ("Z", "UTC", "GMT"):
        return 0
    if zone == "JST":
        return JST
    digits = re.sub(r"\D", "", zone)
    seconds = int(digits[:2]) * 3600 + int(digits[2:4] or 0) * 60
    return -seconds if zone[0] == "-" else seconds
