"""Times as lists write them, in nanoseconds since 1970 UTC, and whether they say their zone."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = 4_102_444_800  # 2100: what lies behind it is a number of something else
_TEXT: Final = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?"
    r"(?:[T\s]+(?P<hour>\d{1,2})[:時](?P<minute>\d{1,2})(?:[:分](?P<second>\d{1,2})(?:[.,](?P<part>\d{1,9})\d*)?秒?)?)?"
    r"分?\s*(?P<zone>Z|UTC|GMT|JST|[+-]\d{2}:?\d{2}(?:\s?UTC)?|[+-]\d{2})?",
    re.IGNORECASE,
)
_NEVER: Final = frozenset(
    {"", "-", "never", "infinite", "unlimited", "無期限", "none", "null", "n/a", "static"}
)
_UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (10**20, 1))  # below -> ns of a unit


class When(NamedTuple):
    """``ns`` is None where nothing is said. ``zoned``: the zone is known."""

    ns: int | None
    zoned: bool


class BadTime(ValueError):
    """No time; the text says what stands there."""


def when(value: Any) -> When:
    """A time of a list: ISO 8601 and its like, Japanese dates, or a number of s, ms, us or ns since 1970.

    Raises BadTime.

    >>> when("2026-03-01T09:00:00+09:00"), when("2026年3月1日").zoned, when(1772323200000).ns
    (When(ns=1772323200000000000, zoned=True), False, 1772323200000000000)
    """
    if value is None or isinstance(value, bool):
        return When(None, True)
    if isinstance(value, int | float):
        return When(_number(value), True)
    if isinstance(value, str):
        return _text(value)
    raise BadTime(f"{str(value)[:40]!r} is no time")


def _number(value: float) -> int | None:
    if value == 0:
        return None
    for below, unit in _UNITS:
        if 0 < value < below:
            ns = int(value * unit) if isinstance(value, int) else round(value * unit)
            if ns < _LATEST * 10**9:
                return ns
    raise BadTime(f"{value!r} is no time")


@lru_cache(maxsize=1 << 16)
def _text(value: str) -> When:
    text = unicodedata.normalize("NFKC", value).strip()
    if text.lower() in _NEVER:
        return When(None, True)
    if re.fullmatch(r"\d{9,19}(?:\.\d{1,9})?", text):
        return When(_number(float(text) if "." in text else int(text)), True)
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadTime(f"{value[:40]!r} is no time")
    try:
        moment = datetime(
            int(found["year"]), int(found["month"]), int(found["day"]), int(found["hour"] or 0),
            int(found["minute"] or 0), int(found["second"] or 0), tzinfo=UTC,
        )  # fmt: skip
    except ValueError as error:
        raise BadTime(f"{value[:40]!r} is no time ({error})") from None
    zone = (found["zone"] or "").upper()
    whole = int((moment - _offset(zone) - _EPOCH).total_seconds())
    if not 0 <= whole < _LATEST:
        raise BadTime(f"{value[:40]!r} is not between 1970 and 2100")
    return When(whole * 10**9 + int((found["part"] or "0").ljust(9, "0")), bool(zone))


def _offset(zone: str) -> timedelta:
    if zone == "JST":
        return timedelta(hours=9)
    if not zone or zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").replace("UTC", "").strip()
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return size if zone[0] == "+" else -size
